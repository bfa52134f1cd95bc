"""`cupyx.jit.cub`: CUB's reductions in kernels written in Python."""

from __future__ import annotations

from ...kernels.jit.collectives import BlockReduce, Max, Min, Sum, WarpReduce

__all__ = ["BlockReduce", "Max", "Min", "Sum", "WarpReduce"]
