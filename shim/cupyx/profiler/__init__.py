"""`cupyx.profiler`: timing of the program's functions, and marks for profilers, which attach to the server's process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...cupy.cuda import runtime as _runtime
from ._time import benchmark
from ._time_range import time_range


@contextmanager
def profile() -> Iterator[None]:
    """`cupy.cuda.runtime.profilerStart` and, at the end, `profilerStop`."""
    _runtime.profilerStart()
    try:
        yield
    finally:
        _runtime.profilerStop()


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext cupyx.profiler`: adds the magic `%gpu_timeit`."""
    from ._timeit_magic import GPUTimeitMagics

    ipython.register_magics(GPUTimeitMagics)


__all__ = ["benchmark", "load_ipython_extension", "profile", "time_range"]
