"""A session's document: what is written is what comes back, and what cannot be is refused with one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from documents import restored, session_over, written
from executing import Client

from cupool.contract.errors import ContractViolation, ForeignArray


def moved(client: Client) -> Client:
    """The same client, whose session is now over another executor."""
    document, buffers = written(session_over(client.executor))
    session = restored(document, buffers)
    client.executor = session.executor
    return client


def books(client: Client) -> Any:
    account = client.executor.accounting
    return account.used, account.peak, account.total, account.raw, account.modules, client.executor.handles.faults


def test_arrays_and_views_come_back() -> None:
    client = Client()
    client.array(1)
    client.run(("view", 2, 1, 8), ("add", 3, 1, 1), ("alias", 4, 3))
    before = books(client)
    moved(client)
    assert books(client) == before
    client.run(("iadd", 1, 1, 1))
    np.testing.assert_array_equal(client.fetch(1), np.arange(4.0) * 2)
    np.testing.assert_array_equal(client.fetch(2), [2.0, 4.0])
    client.run(("iadd", 3, 3, 3))
    np.testing.assert_array_equal(client.fetch(4), np.arange(4.0) * 4)
    client.run(("free", 1), ("free", 2), ("free", 3), ("free", 4))
    assert client.used == 0


def test_faults_come_back() -> None:
    client = Client()
    client.array(1)
    client.run(("wrong", 2, 1, 1))
    moved(client)
    assert client.executor.handles.faults == 1
    with pytest.raises(ContractViolation):
        client.fetch(2)
    client.run(("free", 2))
    assert client.executor.handles.faults == 0
    with pytest.raises(ForeignArray):
        client.fetch(7)
