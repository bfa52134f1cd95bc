"""What programs take from CuPy's private `cupy._core`: the public classes and functions under the names that they have there."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from ..._generated import functions as _functions
from ...array import ndarray as ndarray
from ...convert import array as array
from ...ufunc import ufunc as ufunc
from . import _routines_linalg as _routines_linalg
from . import core as core
from . import internal as internal
from ._accelerator import get_elementwise_accelerators as get_elementwise_accelerators
from ._accelerator import get_reduction_accelerators as get_reduction_accelerators
from ._accelerator import get_routine_accelerators as get_routine_accelerators
from ._accelerator import set_elementwise_accelerators as set_elementwise_accelerators
from ._accelerator import set_reduction_accelerators as set_reduction_accelerators
from ._accelerator import set_routine_accelerators as set_routine_accelerators
from ._routines_linalg import get_compute_type as get_compute_type
from ._routines_linalg import set_compute_type as set_compute_type

_KERNELS = {
    **dict.fromkeys(("ElementwiseKernel", "ReductionKernel", "RawKernel", "RawModule"), "...kernels"),
    **dict.fromkeys(("create_reduction_func", "create_ufunc"), "...kernels.simple"),
}
_SUBMODULES = frozenset(("fusion", "_accelerator", "_fusion_kernel", "_fusion_trace", "_scalar"))
#: Functions of `cupy` that are in `cupy._core` too.
_PUBLIC = frozenset(
    (
        "absolute", "add", "angle", "array_split", "ascontiguousarray", "asfortranarray", "bitwise_and", "bitwise_count",
        "bitwise_or", "bitwise_xor", "broadcast", "broadcast_to", "conjugate", "divide", "divmod", "dot", "equal", "floor_divide",
        "fromDlpack", "greater", "greater_equal", "invert", "left_shift", "less", "less_equal", "matmul", "moveaxis", "multiply",
        "nanmax", "nanmin", "negative", "not_equal", "positive", "power", "remainder", "right_shift", "rollaxis", "size", "sqrt",
        "subtract", "true_divide",
    )
)  # fmt: skip


def elementwise_copy(source: Any, target: Any) -> Any:
    """Copy elements from one array to another."""
    _functions.copyto(target, source)
    return target


def _get_warpsize() -> int:
    return 32


def _full_mask() -> int:
    return 0xFFFFFFFF


def __getattr__(name: str) -> Any:
    if name in _KERNELS:
        return getattr(importlib.import_module(_KERNELS[name], __package__), name)
    if name in _PUBLIC:
        return getattr(sys.modules[__name__.rpartition(".")[0]], name)
    if name in _SUBMODULES:
        return importlib.import_module(f"{__package__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
