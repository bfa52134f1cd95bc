"""Pages asked for ahead: they are there before anybody touches them, no byte changes, and nothing is held longer than needed."""

from __future__ import annotations

import os
import weakref

import numpy as np
import pytest

from cupool.contract import prefault
from cupool.contract.prefault import Ahead

MIB = 1 << 20


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="without a second core nothing is done ahead")
def test_pages_are_there_and_no_byte_changes() -> None:
    written = np.full(64 * MIB, 7, np.uint8)
    fresh = np.empty(256 * MIB, np.uint8)
    before = _resident()
    ahead = Ahead()
    ahead.add(written)
    ahead.add(fresh)
    thread = ahead._thread
    assert thread is not None
    ahead._arrays.put(None)
    thread.join(60)
    assert not thread.is_alive()
    if not ahead._is_wanted:
        pytest.skip("this kernel has no MADV_POPULATE_WRITE")
    assert _resident() - before > 200 * MIB
    assert (written == 7).all()
    ahead.stop()


def test_little_memory_starts_no_thread_and_stop_lets_go() -> None:
    ahead = Ahead()
    array = np.empty(prefault.SMALLEST_BYTES // 2, np.uint8)
    gone = weakref.ref(array)
    ahead.add(array)
    assert ahead._thread is None
    del array
    ahead.stop()
    assert gone() is None


def test_no_thread_where_others_have_the_cores() -> None:
    ahead = Ahead(busy=len(os.sched_getaffinity(0)))
    ahead.add(np.empty(2 * prefault.SMALLEST_BYTES, np.uint8))
    assert ahead._thread is None
    ahead.stop()


def test_a_kernel_that_refuses_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefault, "_MADV_POPULATE_WRITE", 9999)
    ahead = Ahead()
    ahead._is_wanted = True
    array = np.empty(2 * prefault.SMALLEST_BYTES, np.uint8)
    ahead.add(array)
    assert ahead._thread is not None
    ahead._thread.join(60)
    assert not ahead._is_wanted
    array[:] = 1
    ahead.stop()
