"""For tests of several processes: their servers are forked, see `forked`."""

from __future__ import annotations

from collections.abc import Iterator

import forked
import pytest

from benchmarks import moving


@pytest.fixture(scope="session", autouse=True)
def nursery() -> Iterator[None]:
    forked.nursery, before, moving.launch = forked.Nursery(), moving.launch, forked.launch
    yield
    moving.launch = before
    forked.nursery.close()
    forked.nursery = None
