"""GPU: what local CuPy costs, and the same through cupool on the same GPU. Empty where there is none.

Local CuPy and the shim cannot share a process (both are `cupy`), so each loop runs in an interpreter of its own, alternating.
"""

from __future__ import annotations

from cupool.pool.cli.coldstart import has_local_cupy

from benchmarks.harness import Missing, Ratio, Result, alternate, script

ROW = "GPU"
TITLE = "through cupool / local CuPy, on one GPU"

LAUNCH, LOOP = "S1b: caller's time per small op / local launch", "S2: launch-bound loop, wall"

_LOOP = """
import time
a, b = cp.arange(8.0), cp.ones(8)
for _ in range(100):
    c = a + b
cp.cuda.Device().synchronize()
start = time.perf_counter()
for _ in range({ops}):
    c = a + b
issued = time.perf_counter()
cp.cuda.Device().synchronize()
print((issued - start) / {ops}, (time.perf_counter() - start) / {ops})
"""
_LOCAL = "import cupy as cp\n"
_OURS = (
    "from cupool import cupy as cp\nfrom cupool.shim import session\nassert session.device().kind == 'cuda', 'no GPU'\n"
)


def loop_us(prefix: str, ops: int, column: int) -> float:
    """Microseconds per op: issued (column 0) or done (column 1)."""
    text = script(prefix + _LOOP.format(ops=ops), env={"CUPOOL_DEVICE": "cuda"})
    return float(text.split()[column]) * 1e6


def run(quick: bool) -> list[Result]:
    if not has_local_cupy():
        return [Missing(what, "needs a GPU and the real CuPy: `make gpu`") for what in (LAUNCH, LOOP)]
    times = 2 if quick else 5
    issued = alternate(times, lambda: loop_us(_OURS, 20_000, 0), lambda: loop_us(_LOCAL, 20_000, 0), warm=0)
    done = alternate(times, lambda: loop_us(_OURS, 50_000, 1), lambda: loop_us(_LOCAL, 50_000, 1), warm=0)
    return [
        Ratio(LAUNCH, *issued, unit="us", goal=0.2),
        Ratio(LOOP, *done, unit="us an op", goal=1.0),
    ]
