"""`cupyx.jit`: kernels written in Python."""

from __future__ import annotations

import importlib
from typing import Any

from ...kernels.jit.builtins import (
    atomic_add,
    atomic_and,
    atomic_cas,
    atomic_dec,
    atomic_exch,
    atomic_inc,
    atomic_max,
    atomic_min,
    atomic_or,
    atomic_sub,
    atomic_xor,
    blockDim,
    blockIdx,
    grid,
    gridDim,
    gridsize,
    laneid,
    shared_memory,
    shfl_down_sync,
    shfl_sync,
    shfl_up_sync,
    shfl_xor_sync,
    syncthreads,
    syncwarp,
    threadIdx,
    warpsize,
)
from ...kernels.jit.builtins import range_ as range
from ...kernels.jit.kernel import rawkernel
from . import cg


def __getattr__(name: str) -> Any:
    if name in ("cub", "thrust"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'cupyx.jit' has no attribute {name!r}")


__all__ = [
    "atomic_add", "atomic_and", "atomic_cas", "atomic_dec", "atomic_exch", "atomic_inc", "atomic_max", "atomic_min", "atomic_or",
    "atomic_sub", "atomic_xor", "blockDim", "blockIdx", "cg", "grid", "gridDim", "gridsize", "laneid", "range", "rawkernel",
    "shared_memory", "shfl_down_sync", "shfl_sync", "shfl_up_sync", "shfl_xor_sync", "syncthreads", "syncwarp", "threadIdx", "warpsize",
]  # fmt: skip
