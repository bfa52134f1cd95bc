"""S1a: what an asynchronous small op costs the caller, sends apart."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.harness import Ratio, alternate
from benchmarks.rows._product import open_session, settle

ROW = "S1a"
TITLE = "caller's time per small op, sends apart / NumPy's own 8-element add"
#: Done in less than the millisecond after which the session would send by itself.
OPS = 1000


def seconds_per_op(a: Any, b: Any, ops: int) -> float:
    """The same loop for both: one op, its result dropped by the next."""
    start = time.perf_counter()
    for _ in range(ops):
        c = a + b
    took = time.perf_counter() - start
    del c
    return took / ops


def run(quick: bool) -> list[Ratio]:
    cp = open_session()
    from cupool.shim.pending import GATE

    x, y = np.arange(8.0), np.ones(8)
    a, b = cp.asarray(x), cp.asarray(y)

    def ours() -> float:
        settle()
        GATE.words = 1 << 60  # send later
        try:
            return seconds_per_op(a, b, OPS) * 1e9
        finally:
            GATE.words = 0
            settle()

    samples = alternate(20 if quick else 100, ours, lambda: seconds_per_op(x, y, OPS) * 1e9)
    return [Ratio("c = a + b, its free included", *samples, unit="ns", goal=3.0)]
