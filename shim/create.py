"""New arrays that are not functions of the table: the constructor `cupy.ndarray(...)`, copies, `zeros_like` for `imag`."""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np

from cupool.contract.spec import Spec, spec_of

from . import dispatch, views
from .convert import check_dtype
from .rows import ROWS

MAX_NDIM = 64
_ROW_COPY = ROWS["ndarray.copy"]
_ROW_ASTYPE = ROWS["ndarray.astype"]


def shape_of(shape: Any) -> tuple[int, ...]:
    """A shape argument. Raises ValueError for negative or too many dimensions."""
    if isinstance(shape, dispatch.ndarray):
        raise TypeError("a shape must be given as Python integers, not as a device array")
    sizes = (operator.index(shape),) if not np.iterable(shape) else tuple(operator.index(n) for n in shape)
    if len(sizes) > MAX_NDIM:
        raise ValueError(f"maximum supported dimension for an ndarray is {MAX_NDIM}, found {len(sizes)}")
    if any(n < 0 for n in sizes):
        raise ValueError("Negative dimensions are not allowed")
    return sizes


def constructed(shape: Any, dtype: Any, memptr: Any, strides: Any, order: str | None) -> Any:
    """`cupy.ndarray(shape, dtype, memptr, strides, order)`."""
    sizes = shape_of(shape)
    order = (str(order or "C")[:1]).upper()
    if order not in ("C", "F"):
        raise ValueError(f"order must be one of 'C', 'F' (got {order!r})")
    if np.dtype(dtype).byteorder == ">" and memptr is None:
        raise ValueError(f"Unsupported dtype {np.dtype(dtype)} with big-endian byte-order")
    kind = np.dtype(dtype) if memptr is not None else check_dtype(np.dtype(dtype))
    if strides is None:
        spec = spec_of(sizes, kind, order=order)
    else:
        if len(sizes) != len(strides):
            raise ValueError("len(shape) != len(strides)")
        spec = spec_of(sizes, kind, tuple(operator.index(s) for s in strides))
    if memptr is not None:
        if not hasattr(memptr, "as_array"):
            raise TypeError(f"memptr must be a cupy.cuda.MemoryPointer, not a {type(memptr).__name__}")
        return memptr.as_array(spec)
    if strides is None:
        from ._generated import functions

        return functions.empty(sizes, kind, order)
    return _with_strides(spec)


def _with_strides(spec: Spec) -> Any:
    """An array of its own memory with given strides, which must stay within a packed array's size."""
    from ._generated import functions

    if any(s < 0 for s in spec.strides):
        raise ValueError("ndarray() with strides currently does not allow negative strides")
    reach = sum(s * (n - 1) for s, n in zip(spec.strides, spec.shape, strict=True)) + spec.itemsize if spec.size else 0
    if reach > spec.nbytes:
        raise ValueError(
            f"ndarray() with strides must stay withing a contiguous size of {spec.nbytes} but got {reach}."
        )
    return views.heir(functions.empty((spec.size,), spec.dtype), spec)


def astype(a: Any, dtype: Any, order: str | None, copy: bool | None) -> Any:
    """A copy of `a` as `dtype`; the array itself where `copy` is not True and nothing would change.

    Raises:
        ValueError: `copy` is False and a copy is needed, or the dtype or order is unknown.
    """
    # Memory that others made may hold what CuPy makes no arrays of (datetimes): it is passed on as it is.
    kind = a.dtype if dtype is a.dtype else check_dtype(np.dtype(dtype))
    order = "K" if order is None else str(order).upper()
    if kind.kind not in "bc" and a.dtype.kind == "c":
        text = "Casting complex values to real discards the imaginary part"
        warnings.warn(text, np.exceptions.ComplexWarning, stacklevel=3)
    if a._spec is None and kind == a.dtype and copy:
        return dispatch.call(_ROW_COPY, (a, order))
    if a._spec is None and copy:
        return dispatch.call(_ROW_ASTYPE, (a, kind, order, None, None, True))
    spec = a._resolve()
    if kind == spec.dtype and not copy:
        fits = {"K": True, "A": spec.c_contiguous or spec.f_contiguous, "C": spec.c_contiguous, "F": spec.f_contiguous}
        if order not in fits:
            raise ValueError(f"order must be one of 'C', 'F', 'A', or 'K' (got {order!r})")
        if fits[order]:
            return a
    if copy is False:
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    if kind == spec.dtype:
        return dispatch.call(_ROW_COPY, (a, order))
    return dispatch.call(_ROW_ASTYPE, (a, kind, order, None, None, True))


def zeros_like(a: Any) -> Any:
    """Zeros of the same shape and dtype."""
    from ._generated import functions

    return functions.zeros(a.shape, a.dtype)
