"""What rules share: names, axes, broadcasting, dtypes, `out=`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from cupool.contract.spec import Spec, spec_of

AxisError = np.exceptions.AxisError

BOOL = np.dtype(np.bool_)
INT64 = np.dtype(np.int64)
UINT64 = np.dtype(np.uint64)
FLOAT64 = np.dtype(np.float64)
COMPLEX128 = np.dtype(np.complex128)

#: dtype characters that CuPy has kernels for.
SUPPORTED_CHARS = "?bhilqBHILQefdFD"


def rule(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a rule the name by which the row's digest knows it. Parametrised rules put their parameters into it."""

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        function.rule_name = name  # type: ignore[attr-defined]
        return function

    return mark


# -- dtypes ---------------------------------------------------------------------------------------------------------


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype of a dtype-like. Raises TypeError as NumPy does, ValueError for what no array can have."""
    return check_dtype(np.dtype(dtype))


def check_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """`dtype`, if an array on the device may have it. Raises ValueError otherwise, as CuPy."""
    if dtype.char in SUPPORTED_CHARS:
        if dtype.byteorder == ">":
            raise ValueError(f"Unsupported dtype {dtype} with big-endian byte-order")
        return dtype
    if dtype.kind == "V" and dtype.subdtype is None and dtype.itemsize and not dtype.hasobject:
        return dtype  # structured, void, and ml_dtypes' types
    raise ValueError(f"Unsupported dtype {dtype}")


def scalar_dtype(value: Any) -> np.dtype[Any]:
    """The dtype that `cupy.array(value)` has for a scalar. Raises TypeError for what is none."""
    if isinstance(value, np.generic):
        return value.dtype
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return UINT64 if value >= 1 << 63 else INT64
    if isinstance(value, float):
        return FLOAT64
    if isinstance(value, complex):
        return COMPLEX128
    raise TypeError(f"Unsupported type {type(value)}")


def dtype_of(value: Any) -> np.dtype[Any]:
    """The dtype of an array or a scalar."""
    return value.dtype if isinstance(value, Spec) else scalar_dtype(value)


def promote(*values: Any) -> np.dtype[Any]:
    """`numpy.result_type` over Specs, scalars (Python's are weak) and dtypes."""
    return np.result_type(*(v.dtype if isinstance(v, Spec) else v for v in values))


def check_cast(source: np.dtype[Any], target: np.dtype[Any], casting: str, what: str = "array data") -> None:
    """Raises TypeError, as CuPy, when `source` may not become `target`."""
    if source == target or (casting == "same_kind" and source.kind == target.kind):
        return
    if not np.can_cast(source, target, casting):  # type: ignore[arg-type]
        raise TypeError(f"Cannot cast {what} from {source!r} to {target!r} according to the rule '{casting}'")


# -- axes and shapes ------------------------------------------------------------------------------------------------


def normalize_axis(axis: Any, ndim: int) -> int:
    """A non-negative axis. Raises AxisError, TypeError for what is no integer."""
    index: int = operator.index(axis)
    if not -ndim <= index < ndim:
        raise AxisError(index, ndim)
    return index + ndim if index < 0 else index


def normalize_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Sorted non-negative axes of a reduction; None is all. Raises AxisError; ValueError for duplicates."""
    if axis is None:
        return tuple(range(ndim))
    axes = sorted(normalize_axis(a, ndim) for a in (axis if isinstance(axis, Sequence | np.ndarray) else (axis,)))
    if len(set(axes)) != len(axes):
        raise ValueError("duplicate value in 'axis'")
    return tuple(axes)


def reduced_shape(shape: tuple[int, ...], axes: Iterable[int], keepdims: bool) -> tuple[int, ...]:
    """The shape after reducing `axes` (non-negative)."""
    gone = frozenset(axes)
    if keepdims:
        return tuple(1 if i in gone else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in gone)


def broadcast(*operands: Any) -> tuple[int, ...]:
    """The common shape of Specs and scalars. Raises ValueError with CuPy's text."""
    shapes = [x.shape for x in operands if isinstance(x, Spec)]
    if not shapes:
        return ()
    first = shapes[0]
    for shape in shapes:
        if shape != first:
            break
    else:
        return first
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        text = " ".join(str(x.shape) if isinstance(x, Spec) else "()" for x in operands)
        raise ValueError(f"operands could not be broadcast together with shapes {text}") from None


def as_shape(shape: Any) -> tuple[int, ...]:
    """A shape argument as a tuple. Raises TypeError and ValueError as CuPy does."""
    if shape is None:
        raise TypeError("Use () not None as shape arguments")
    items = tuple(shape) if isinstance(shape, Sequence) or (isinstance(shape, np.ndarray) and shape.ndim) else (shape,)
    result = []
    for n in items:
        if isinstance(n, bool | np.bool_):
            raise TypeError("an integer is required")
        n = operator.index(n)
        if n < 0:
            raise ValueError("Negative dimensions are not allowed")
        result.append(n)
    return tuple(result)


# -- orders and results ---------------------------------------------------------------------------------------------


def order_char(order: Any, allowed: str = "CFAK") -> str:
    """One of C, F, A, K. None is C. Raises ValueError, TypeError."""
    if order is None:
        return allowed[0] if "K" not in allowed else "K"
    if not isinstance(order, str):
        raise TypeError(f"order must be a string, not {type(order).__name__}")
    char = order[:1].upper() or "C"
    if char not in "CFAK":
        raise ValueError("order not understood")
    if char not in allowed:
        raise ValueError(f"order '{char}' is not permitted")
    return char


def strides_like(a: Spec, itemsize: int, shape: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Packed strides that keep the order of `a`'s axes in memory ('K'), as CuPy and NumPy lay out copies.

    Note that NumPy compares absolute strides and breaks ties towards C order.
    """
    shape = a.shape if shape is None else shape
    perm = sorted(range(a.ndim), key=lambda i: (-abs(a.strides[i]), i))
    strides = [0] * a.ndim
    step = itemsize
    for i in reversed(perm):
        strides[i] = step
        step *= max(shape[i], 1)
    return tuple(strides)


def layout(a: Spec, order: str, dtype: np.dtype[Any]) -> Spec:
    """A fresh array of `a`'s shape and `dtype`, laid out by `order` (C, F, A, K)."""
    if order == "A":
        order = "F" if a.f_contiguous and not a.c_contiguous else "C"
    if order == "K":
        if a.c_contiguous:
            order = "C"
        elif a.f_contiguous:
            order = "F"
        else:
            return spec_of(a.shape, dtype, strides_like(a, dtype.itemsize))
    return spec_of(a.shape, dtype, order=order)


def checked_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], casting: str = "unsafe") -> Spec:
    """The result spec: `out`'s after checking it, or a fresh C-ordered one."""
    if out is None:
        return spec_of(shape, dtype)
    if not isinstance(out, Spec):
        raise TypeError("Output arguments type must be cupy.ndarray")
    if out.shape != shape:
        raise ValueError("Out shape is mismatched")
    check_cast(dtype, out.dtype, casting, "output operand")
    return out


def require_array(value: Any, name: str = "a") -> Spec:
    """`value`, which must be an array. Raises TypeError."""
    if not isinstance(value, Spec):
        raise TypeError(f"Argument '{name}' must be a cupy.ndarray, not {type(value).__name__}")
    return value
