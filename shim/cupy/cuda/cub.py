"""`cupy.cuda.cub`: its reductions, scans and histograms on arrays. The server's CuPy has CUB inside of `cupy.sum` and its kin, of which
these are made; where CUB has no answer the functions return None, as CuPy's do.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ... import dispatch

available = False


class cupy_cub_op(IntEnum):  # CuPy's name
    """The operations."""

    CUPY_CUB_SUM = 0
    CUPY_CUB_MIN = 1
    CUPY_CUB_MAX = 2
    CUPY_CUB_ARGMIN = 3
    CUPY_CUB_ARGMAX = 4
    CUPY_CUB_CUMSUM = 5
    CUPY_CUB_CUMPROD = 6
    CUPY_CUB_PROD = 7


CUPY_CUB_SUM, CUPY_CUB_MIN, CUPY_CUB_MAX, CUPY_CUB_ARGMIN, CUPY_CUB_ARGMAX = tuple(cupy_cub_op)[:5]
CUPY_CUB_CUMSUM, CUPY_CUB_CUMPROD, CUPY_CUB_PROD = tuple(cupy_cub_op)[5:]

CUB_support_dtype_without_half = [
    np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64, np.complex64,
    np.complex128,
]  # fmt: skip
CUB_support_dtype_with_half = [*CUB_support_dtype_without_half, np.float16]
CUB_support_dtype: dict[int, Any] = {}
CUB_sum_support_dtype_without_half = [np.int64, np.uint64, np.float32, np.float64, np.complex64, np.complex128]
CUB_sum_support_dtype_with_half = [*CUB_sum_support_dtype_without_half, np.float16]
CUB_sum_support_dtype: dict[int, Any] = {}

_REDUCTIONS = {CUPY_CUB_SUM: "sum", CUPY_CUB_PROD: "prod", CUPY_CUB_MIN: "min", CUPY_CUB_MAX: "max"}
_POSITIONS = {CUPY_CUB_ARGMIN: "argmin", CUPY_CUB_ARGMAX: "argmax"}
_SCANS = {CUPY_CUB_CUMSUM: "cumsum", CUPY_CUB_CUMPROD: "cumprod"}
#: What CUB counts with: an int.
_MAX_ITEMS = 0x7FFFFFFF


def get_build_version() -> int:
    """0: there is none in this process."""
    return 0


def _array(x: Any) -> Any:
    if not isinstance(x, dispatch.ndarray):
        raise TypeError(f"Argument 'x' has incorrect type (expected cupy.ndarray, got {type(x).__name__})")
    return x


def _given(y: Any, out: Any, message: str, fits: bool) -> Any:
    """The result, or `out` with it."""
    if out is None:
        return y
    if not fits:
        raise ValueError(f"output parameter for reduction operation has the wrong {message}")
    out[...] = y
    return out


def _refuse_nothing(x: Any, op: Any, axes: tuple[int, ...]) -> None:
    if op not in (CUPY_CUB_SUM, CUPY_CUB_PROD) and 0 in [x.shape[i] for i in axes]:
        raise ValueError(f"zero-size array to reduction operation {cupy_cub_op(op).name} which has no identity")


def device_reduce(
    x: Any, op: Any, reduce_axis: tuple[int, ...], out_axis: tuple[int, ...], out: Any = None, keepdims: bool = False
) -> Any:
    """Reduce the whole array. A sum has the array's dtype, a position is an int64.

    Raises:
        ValueError: another operation, nothing to take the least of, or `out` of other dimensions.
    """
    _array(x)
    if op not in _REDUCTIONS and op not in _POSITIONS:
        raise ValueError(
            "only CUPY_CUB_SUM, CUPY_CUB_PROD, CUPY_CUB_MIN, CUPY_CUB_MAX, CUPY_CUB_ARGMIN, and CUPY_CUB_ARGMAX are supported."
        )
    _refuse_nothing(x, op, tuple(reduce_axis))
    if op in _POSITIONS:
        y = getattr(x, _POSITIONS[op])()
    elif op in (CUPY_CUB_SUM, CUPY_CUB_PROD):
        y = getattr(x, _REDUCTIONS[op])(dtype=x.dtype)
    else:
        y = getattr(x, _REDUCTIONS[op])()
    if keepdims:
        y = y.reshape((1,) * x.ndim)
    return _given(y, out, "number of dimensions", out is None or out.ndim == y.ndim)


def device_segmented_reduce(
    x: Any, op: Any, reduce_axis: tuple[int, ...], out_axis: tuple[int, ...], out: Any = None, keepdims: bool = False,
    contiguous_size: int = 0,
) -> Any:  # fmt: skip
    """Reduce the axes `reduce_axis` of a contiguous array.

    Raises:
        ValueError: another operation, nothing to take the least of, or `out` of another shape.
        RuntimeError: the array is not contiguous.
    """
    _array(x)
    if op not in _REDUCTIONS:
        raise ValueError("only CUPY_CUB_SUM, CUPY_CUB_PROD, CUPY_CUB_MIN, and CUPY_CUB_MAX are supported.")
    _refuse_nothing(x, op, tuple(reduce_axis))
    if not (x.flags.c_contiguous or x.flags.f_contiguous):
        raise RuntimeError("input is neither C- nor F- contiguous.")
    options = {"dtype": x.dtype} if op in (CUPY_CUB_SUM, CUPY_CUB_PROD) else {}
    y = getattr(x, _REDUCTIONS[op])(axis=tuple(reduce_axis), keepdims=keepdims, **options)
    return _given(y, out, "shape", out is None or out.shape == y.shape)


def device_scan(x: Any, op: Any) -> Any:
    """Cumulative sums or products of all elements, in the array itself (in a copy, where it is not contiguous)."""
    _array(x)
    if op not in _SCANS:
        raise ValueError("only CUPY_CUB_CUMSUM and CUPY_CUB_CUMPROD are supported.")
    if not x.size:
        return x
    from ... import cupy

    x = cupy.ascontiguousarray(x)
    flat = x.reshape(-1)
    flat[...] = getattr(flat, _SCANS[op])(dtype=x.dtype)
    return x


def device_histogram(x: Any, y: Any, bins: Any) -> Any:
    """Count the elements of `x` between the edges `bins` (an array, ascending; or a number n: edges 0, 1, …, n-1) into `y`.

    Each bin has its lower edge and not its upper one.

    Raises:
        ValueError: a number of bins for elements that are not integers, or `y` of another size.
    """
    from ... import cupy

    _array(x)
    if isinstance(bins, dispatch.ndarray):
        edges = bins
    else:
        if x.dtype.kind not in "bui":
            raise ValueError("only integer input is supported")
        edges = cupy.arange(bins)
    if y.size != edges.size - 1:
        raise ValueError(f"{edges.size} edges have {edges.size - 1} bins, and the output has {y.size}")
    place = cupy.searchsorted(edges, x.ravel(), side="right")
    counts = cupy.zeros(edges.size + 1, np.int64)
    cupy.add.at(counts, place, 1)
    y[...] = counts[1:-1].astype(y.dtype)
    return y


def cub_reduction(
    arr: Any, op: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
) -> Any:
    """A reduction over all axes or over the last (first, in column order) ones; None for what CUB does not do."""
    _array(arr)
    if op in _POSITIONS and dtype is not None:
        return None
    if not (arr.flags.c_contiguous or arr.flags.f_contiguous):
        return None
    axes = tuple(sorted(range(arr.ndim) if axis is None else normalize_axis_tuple(axis, arr.ndim)))
    kept = tuple(i for i in range(arr.ndim) if i not in axes)
    if not _is_supported(arr.dtype, op, dtype) or arr.size > _MAX_ITEMS:
        return None
    if not kept:
        return device_reduce(arr, op, axes, kept, out, keepdims)
    ends = axes == (tuple(range(len(kept), arr.ndim)) if arr.flags.c_contiguous else tuple(range(len(axes))))
    if op in _POSITIONS or not ends or not arr.size:
        return None
    return device_segmented_reduce(arr, op, axes, kept, out, keepdims, int(np.prod([arr.shape[i] for i in axes])))


def _is_supported(dtype: Any, op: Any, wanted: Any) -> bool:
    sums = op in (CUPY_CUB_SUM, CUPY_CUB_PROD)
    listed = CUB_sum_support_dtype_with_half if sums else CUB_support_dtype_with_half
    return dtype.type in listed and (wanted is None or np.dtype(wanted) == dtype)


def cub_scan(arr: Any, op: Any) -> Any:
    """`device_scan`; None for what CUB does not do."""
    if op not in _SCANS or _array(arr).dtype.type not in CUB_support_dtype_with_half or arr.size > _MAX_ITEMS:
        return None
    return device_scan(arr, op)


def cub_histogram(x: Any, y: Any, bins: Any) -> Any:
    """`device_histogram`; None for more bins than CUB counts in."""
    return None if y.size > _MAX_ITEMS // 1024 else device_histogram(x, y, bins)


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.cub", name)
