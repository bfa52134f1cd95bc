"""S1b: what an asynchronous small op costs the caller, sends included, at 256 commands and more in a batch."""

from __future__ import annotations

import numpy as np

from benchmarks.harness import Ratio, alternate
from benchmarks.rows._product import open_session, settle
from benchmarks.rows.s1a import seconds_per_op

ROW = "S1b"
TITLE = "caller's time per small op, sends included / NumPy's own 8-element add"
#: Fits in what may be in flight: beyond it the caller waits for the server, which is S2b.
OPS = 20_000


def run(quick: bool) -> list[Ratio]:
    cp = open_session()
    from cupool.shim import session

    x, y = np.arange(8.0), np.ones(8)
    a, b = cp.asarray(x), cp.asarray(y)
    batches: list[float] = []

    def ours() -> float:
        settle()
        before = session.statistics()
        took = seconds_per_op(a, b, OPS) * 1e9
        after = session.statistics()
        batches.append((after.commands - before.commands) / max(1, after.batches - before.batches))
        settle()
        return took

    samples = alternate(5 if quick else 15, ours, lambda: seconds_per_op(x, y, OPS) * 1e9)
    note = f"{float(np.median(batches)):.0f} commands a batch"
    return [Ratio("c = a + b, its free and its share of sending included", *samples, unit="ns", goal=3.0, note=note)]
