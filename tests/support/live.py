"""A session for the tests of a module, at this process's own pool: `from live import device as device` opens it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import session


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    """The session is open while the module's tests run."""
    session.current()
    # Starts what large arrays need, so that no single test seems to leak it.
    cp.array(np.zeros(100_000)).get()
    yield
    session.close()


def waits() -> int:
    """How often the program has waited for the server."""
    return int(session.statistics().waits)
