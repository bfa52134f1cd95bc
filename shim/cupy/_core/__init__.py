"""What programs take from CuPy's private `cupy._core`: the public classes under the names that older programs use, no more."""

from __future__ import annotations

import importlib
from typing import Any

from ..._generated import functions as _functions
from ...array import ndarray as ndarray
from ...convert import array as array
from ...ufunc import ufunc as ufunc
from . import _routines_linalg as _routines_linalg
from . import core as core
from . import internal as internal
from ._routines_linalg import get_compute_type as get_compute_type
from ._routines_linalg import set_compute_type as set_compute_type

_KERNELS = {
    **dict.fromkeys(("ElementwiseKernel", "ReductionKernel", "RawKernel", "RawModule"), "...kernels"),
    "create_reduction_func": "...kernels.simple",
}
_SUBMODULES = frozenset(("fusion", "_fusion_kernel", "_fusion_trace", "_scalar"))


def elementwise_copy(source: Any, target: Any) -> Any:
    """Copy elements from one array to another."""
    _functions.copyto(target, source)
    return target


def _accelerators() -> list[int]:
    """The libraries that CuPy would use in place of its own kernels: which ones a device uses is its own business."""
    return []


get_reduction_accelerators = get_routine_accelerators = _accelerators


def _get_warpsize() -> int:
    return 32


def _full_mask() -> int:
    return 0xFFFFFFFF


def __getattr__(name: str) -> Any:
    if name in _KERNELS:
        return getattr(importlib.import_module(_KERNELS[name], __package__), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"{__package__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
