"""What an operation costs by the size of its arrays, 1 to 10^8 elements, and bytes up and down by size; beside NumPy, and memcpy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.harness import Point, alternate
from benchmarks.rows._product import close, open_session, pool, settle

ROW = "SIZES"
TITLE = "an operation's time by elements, results in hand / NumPy in one process; bytes up and down / memcpy"
ELEMENTS = tuple(10**k for k in range(9))
TIMEOUT_S = 900
#: So many elements in all go into a sample, at least one operation, at most so many.
WORK, MOST = 2_000_000, 4000

#: Name -> the operation, over two arrays of one size.
OPERATIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "a + b": lambda xp, a, b: a + b,
    "sqrt(a * b + a).sum()": lambda xp, a, b: xp.sqrt(a * b + a).sum(),
}


def nanoseconds(xp: Any, operation: Callable[[Any, Any, Any], Any], a: Any, b: Any, repeats: int) -> float:
    """Nanoseconds of one operation, `repeats` of them pipelined, all results there at the end."""
    is_ours = xp is not np
    if is_ours:
        settle()
    start = time.perf_counter()
    for _ in range(repeats):
        operation(xp, a, b)
    if is_ours:
        settle()
    return (time.perf_counter() - start) / repeats * 1e9


def points(elements: Sequence[int], rounds: int) -> list[Point]:
    """The curves, by elements."""
    found = []
    with pool("cpu:1:8GiB") as (address, token):
        try:
            cp = open_session(True, address, token)
            for size in elements:
                found += _at(cp, size, rounds)
                settle()
        finally:
            close()
    return found


def _at(cp: Any, size: int, rounds: int) -> list[Point]:
    x, y = np.arange(size, dtype=np.float64), np.ones(size)
    a, b = cp.arange(size, dtype=np.float64), cp.ones(size)
    repeats = max(1, min(MOST, WORK // size))
    found = []
    for name, operation in OPERATIONS.items():
        samples = alternate(
            rounds,
            partial(nanoseconds, cp, operation, a, b, repeats),
            partial(nanoseconds, np, operation, x, y, repeats),
        )
        found.append(Point(name, size, "elements", samples[0], "ns", samples[1]))
    return found + _transfers(cp, x, b, rounds)


def _transfers(cp: Any, data: np.ndarray, held: Any, rounds: int) -> list[Point]:
    target = np.zeros_like(data)

    def up() -> float:
        start = time.perf_counter()
        made = cp.asarray(data)
        settle()
        took = time.perf_counter() - start
        del made
        return data.nbytes / took / 1e9

    def down() -> float:
        start = time.perf_counter()
        held.get()
        return data.nbytes / (time.perf_counter() - start) / 1e9

    def copy() -> float:
        start = time.perf_counter()
        np.copyto(target, data)
        return data.nbytes / (time.perf_counter() - start) / 1e9

    settle()
    ups, downs, copies = alternate(rounds, up, down, copy)
    return [
        Point("bytes up, through shared memory", data.size, "elements", ups, "GB/s", copies, more_is_better=True),
        Point("bytes down, through shared memory", data.size, "elements", downs, "GB/s", copies, more_is_better=True),
    ]


def run(quick: bool) -> list[Point]:
    return points(ELEMENTS[:7:2] if quick else ELEMENTS, 2 if quick else 5)
