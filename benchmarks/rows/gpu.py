"""GPU: what local CuPy costs, and the same through cupool on the same GPU. Empty where there is none; `make gpu` measures more."""

from __future__ import annotations

from cupool.pool.cli.coldstart import has_local_cupy

from benchmarks.gpu.rows import IS_DRY, LAUNCH, LOOP, loops
from benchmarks.harness import Missing, Result

ROW = "GPU"
TITLE = "through cupool / local CuPy, on one GPU"


def run(quick: bool) -> list[Result]:
    if not IS_DRY and not has_local_cupy():
        return [Missing(what, "needs a GPU and the real CuPy: `make gpu`") for what in (LAUNCH, LOOP)]
    return list(loops(quick))
