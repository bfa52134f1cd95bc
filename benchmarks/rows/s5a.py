"""S5a: bulk bytes on one host, through the shared-memory ring, against memcpy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Ratio, alternate, touch_memory
from benchmarks.rows._product import open_session, settle

ROW = "S5a"
TITLE = "bulk on one host, shared-memory ring / memcpy into a warm destination"
MIB = 1 << 20
#: Larger arrays are not made of memory that the process has kept.
KEPT_BYTES = 32 * MIB


def _touch(size: int) -> None:
    """Before an array is made: a host takes back what its guest has freed, and gives it again at 0.4 GB/s."""
    if size > KEPT_BYTES:
        touch_memory(2 * size)


def bandwidths(cp: Any, size: int) -> tuple[Callable[[], float], Callable[[], float], Callable[[], float]]:
    """Functions that measure GB/s: up, down into a fresh array, down into a warm one."""
    source = np.random.default_rng(size).integers(0, 255, size, np.uint8)
    warm = np.zeros_like(source)
    held = cp.asarray(source)

    def up() -> float:
        settle()
        start = time.perf_counter()
        made = cp.asarray(source)
        settle()  # the server has it as an array
        took = time.perf_counter() - start
        del made
        return size / took / 1e9

    def down() -> float:
        _touch(size)
        settle()
        start = time.perf_counter()
        held.get()
        return size / (time.perf_counter() - start) / 1e9

    def down_warm() -> float:
        settle()
        start = time.perf_counter()
        held.get(out=warm)
        took = time.perf_counter() - start
        assert warm[-1] == source[-1]
        return size / took / 1e9

    return up, down, down_warm


def memcpy(size: int) -> Callable[[], float]:
    source = np.ones(size, np.uint8)
    target = np.zeros(size, np.uint8)

    def copy() -> float:
        start = time.perf_counter()
        target[:] = source
        return size / (time.perf_counter() - start) / 1e9

    return copy


def memcpy_fresh(size: int) -> Callable[[], float]:
    """Into an array that is made for it, a piece at a time, as bytes arrive: the system gives and clears each page first."""
    source = np.ones(size, np.uint8)

    def copy() -> float:
        _touch(size)
        start = time.perf_counter()
        target = np.empty(size, np.uint8)
        for at in range(0, size, 2 * MIB):
            target[at : at + 2 * MIB] = source[at : at + 2 * MIB]
        return size / (time.perf_counter() - start) / 1e9

    return copy


def run(quick: bool) -> list[Ratio]:
    cp = open_session()
    touch_memory()
    results = []
    for mib in (1, 16, 64, 256):
        size = mib * MIB
        up, down, down_warm = bandwidths(cp, size)
        works = up, down, down_warm, memcpy(size), memcpy_fresh(size)
        ups, downs, warms, copies, fresh = alternate(3 if quick else 9, *works, warm=2)
        goals = mib == 256
        results += [
            Ratio(f"up, {mib} MiB", ups, copies, "GB/s", 0.5 if goals else None, more_is_better=True),
            Ratio(
                f"down to a fresh array, {mib} MiB", downs, copies, "GB/s", 0.4 if goals else None, more_is_better=True
            ),
            Ratio(
                f"down to a fresh array, {mib} MiB / memcpy into one", downs, fresh, "GB/s", None, more_is_better=True
            ),
            Ratio(f"down to a warm array, {mib} MiB", warms, copies, "GB/s", None, more_is_better=True),
        ]
    return results
