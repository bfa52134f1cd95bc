"""What programs take from CuPy's private `cupy._core`: the public classes under the names that older programs use, no more."""

from __future__ import annotations

import importlib
from typing import Any

from ...array import ndarray as ndarray
from ...convert import array as array
from ...ufunc import ufunc as ufunc
from . import core as core
from . import internal as internal

_KERNELS = frozenset(("ElementwiseKernel", "ReductionKernel", "RawKernel", "RawModule"))


def __getattr__(name: str) -> Any:
    if name in _KERNELS:
        return getattr(importlib.import_module("...kernels", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
