"""What a command costs by the size of the batch that it travels in: the caller's time, and end to end; beside NumPy's own operation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.harness import Point, alternate
from benchmarks.rows._product import open_session, settle

ROW = "BATCHES"
TITLE = "a small operation by operations a batch / NumPy's own"
SIZES = (1, 4, 16, 64, 256, 1024, 4096)
OPS = 8192


def batched(a: Any, b: Any, size: int, ops: int) -> tuple[float, float]:
    """Nanoseconds an operation: of the caller, and until all are done. A batch is sent after each `size` operations."""
    from cupool.shim import session
    from cupool.shim.pending import GATE

    settle()
    GATE.words = 1 << 60  # nothing is sent but by flush
    try:
        start = time.perf_counter()
        for _ in range(ops // size):
            for _ in range(size):
                c = a + b
            session.flush()
        issued = time.perf_counter() - start
        settle()
        took = time.perf_counter() - start
    finally:
        GATE.words = 0
    del c
    return issued / ops * 1e9, took / ops * 1e9


def points(sizes: Sequence[int], rounds: int) -> list[Point]:
    """The curves, by operations a batch."""
    cp = open_session()
    x, y = np.arange(8.0), np.ones(8)
    a, b = cp.asarray(x), cp.asarray(y)
    found = []
    for size in sizes:
        ops, wholes = min(OPS, 256 * size), []

        def issued(size: int = size, ops: int = ops, wholes: list[float] = wholes) -> float:
            caller, whole = batched(a, b, size, ops)
            wholes.append(whole)
            return caller

        def local(ops: int = ops) -> float:
            start = time.perf_counter()
            for _ in range(ops):
                c = x + y
            del c
            return (time.perf_counter() - start) / ops * 1e9

        callers, numpy = alternate(rounds, issued, local)
        found.append(Point("the caller's time", size, "operations a batch", callers, "ns", numpy))
        found.append(Point("until all are done", size, "operations a batch", wholes[1:], "ns", numpy))
    return found


def run(quick: bool) -> list[Point]:
    return points(SIZES[::3] if quick else SIZES, 3 if quick else 15)
