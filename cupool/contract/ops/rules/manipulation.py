"""Rules for joining, tiling, rearranging and reshaping. Views are made of `views.py`; the rest says what a new array looks like."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cupool.contract.errors import Unsupported
from cupool.contract.ops._row import UNKNOWN, Same
from cupool.contract.ops.rules import views
from cupool.contract.ops.rules._arrays import (
    as_spec,
    check_out,
    dtype_of,
    is_scalar,
    is_sequence,
    packed,
    prod,
    promote,
    rows_of,
    to_axis,
    to_shape,
)
from cupool.contract.ops.rules.common import layout
from cupool.contract.spec import Spec, spec_like, spec_of


def viewed(name: str) -> Callable[..., Any]:
    """The rule of a row whose result is always a view: NumPy on the shadows."""
    function = views.VIEW_FUNCTIONS[name]

    def rule(*args: Any, **kwargs: Any) -> Any:
        result = function(*(a.shadow if isinstance(a, Spec) else a for a in args), **kwargs)
        if isinstance(result, np.ndarray):
            return spec_like(result)
        return tuple(spec_like(view) for view in result)

    rule.rule_name = f"view_{name}"  # type: ignore[attr-defined]
    return rule


# -- reshape and its kin -------------------------------------------------------------------------------------------------
def reshape(a: Any, newshape: Any, order: str = "C", *, copy: bool | None = None) -> Spec:
    a = as_spec(a)
    view = views.reshape(a.shadow, newshape, order, copy=copy)
    if view is not None:
        return spec_like(view)
    return packed(views.resolve_shape(a, newshape), a.dtype, views.packed_order(a, order))


def ravel(a: Any, order: str = "C") -> Spec:
    a = as_spec(a)
    flatten_order(order)
    return packed((a.size,), a.dtype)


def flatten_order(order: Any) -> str:
    letter = str("C" if order is None else order).upper()
    if letter not in ("C", "F", "A", "K"):
        raise ValueError(f"order must be one of 'C', 'F', 'A', or 'K' (got {order!r})")
    return letter


def contiguous(order: str) -> Callable[..., Spec]:
    """ascontiguousarray ('C') and asfortranarray ('F')."""

    def rule(a: Any, dtype: Any = None) -> Spec:
        a = as_spec(a)
        wanted = a.dtype if dtype is None else np.dtype(dtype)
        if wanted == a.dtype and (a.c_contiguous if order == "C" else a.f_contiguous) and a.ndim:
            return spec_of(a.shape, a.dtype, a.strides)
        return packed(a.shape or (1,), wanted, order)

    rule.rule_name = f"contiguous_{order}"  # type: ignore[attr-defined]
    return rule


_FLAGS = {
    "C": "C", "C_CONTIGUOUS": "C", "CONTIGUOUS": "C", "F": "F", "F_CONTIGUOUS": "F", "FORTRAN": "F", "O": "O", "OWNDATA": "O",
}  # fmt: skip


def require(a: Any, dtype: Any = None, requirements: Any = None) -> Any:
    a = as_spec(a)
    try:
        wanted = a.dtype if dtype is None else np.dtype(dtype)
    except TypeError:
        raise ValueError(f'Incorrect dtype "{dtype}" provided') from None
    flags = set()
    for flag in requirements or ():
        if str(flag).upper() not in _FLAGS:
            raise ValueError(f'Incorrect flag "{flag}" in requirements')
        flags.add(_FLAGS[str(flag).upper()])
    if flags >= {"C", "F"}:
        raise ValueError('Cannot specify both "C" and "F" order')
    order = "F" if "F" in flags else "C" if "C" in flags else "A"
    if (
        "O" not in flags
        and wanted == a.dtype
        and (order == "A" or (a.c_contiguous if order == "C" else a.f_contiguous))
    ):
        return Same("a")
    return layout(a, order, wanted)


def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    if not isinstance(dst, Spec):
        raise TypeError(f"copyto() argument 'dst' must be cupy.ndarray, not {type(dst).__name__}")
    if isinstance(where, (Spec, np.ndarray, np.generic)) and not np.can_cast(dtype_of(where), np.bool_, "safe"):
        raise TypeError(f"Cannot cast the mask of {dtype_of(where)} to bool in safe casting mode")
    if isinstance(src, (bool, int, float, complex)):
        np.copyto(np.empty((), dst.dtype), src, casting=casting)  # type: ignore[arg-type] # raises what a cast of the value does
        return
    if isinstance(src, np.ndarray) and src.size != 1:
        raise ValueError("non-scalar numpy.ndarray cannot be used for copyto")
    dtype = src.dtype if isinstance(src, (Spec, np.ndarray, np.generic)) else np.dtype(type(src))
    if not np.can_cast(dtype, dst.dtype, casting):  # type: ignore[arg-type]
        raise TypeError(f"Cannot cast {dtype} to {dst.dtype} in {casting} casting mode")
    if isinstance(src, Spec):
        leading = src.shape[: max(src.ndim - dst.ndim, 0)]
        tail = src.shape[len(leading) :]
        fits = all(n in (m, 1) for n, m in zip(reversed(tail), reversed(dst.shape), strict=False))
        if not fits or any(n != 1 for n in leading):
            raise ValueError(f"could not broadcast input array from shape {src.shape} into shape {dst.shape}")


# -- joining ----------------------------------------------------------------------------------------------------------------
def _join(shapes: list[tuple[int, ...]], tup: Sequence[Any], axis: int, out: Any, dtype: Any, casting: str) -> Spec:
    """Check and join `shapes` (one per array of `tup`, already raised to a common number of dimensions)."""
    if not shapes:
        raise ValueError("Cannot concatenate from empty tuple")
    first = shapes[0]
    if any(not shape for shape in shapes):
        raise TypeError("zero-dimensional arrays cannot be concatenated")
    if any(len(shape) != len(first) for shape in shapes):
        raise ValueError("All arrays to concatenate must have the same ndim")
    axis = to_axis(axis, len(first))
    if any(n != m for shape in shapes for i, (n, m) in enumerate(zip(shape, first, strict=True)) if i != axis):
        raise ValueError("All arrays must have same shape except the axis to concatenate")
    shape = (*first[:axis], sum(s[axis] for s in shapes), *first[axis + 1 :])
    if out is not None and dtype is not None:
        raise TypeError("concatenate() only takes `out` or `dtype` as an argument, but both were provided.")
    specs = [as_spec(a) for a in tup]
    result = out.dtype if out is not None else np.dtype(dtype) if dtype is not None else promote(*specs)
    for a in specs:
        if not np.can_cast(a.dtype, result, casting):  # type: ignore[arg-type]
            raise TypeError(f"Cannot cast array data from {a.dtype!r} to {result!r} according to the rule '{casting}'")
    if out is not None:
        if out.ndim != len(shape):
            raise ValueError("Output array has wrong dimensionality")
        if out.shape != shape:
            raise ValueError("Output array is the wrong shape")
        return check_out(out, shape)
    return packed(shape, result)


def _arrays_of(tup: Any) -> list[Spec]:
    """The specs of a sequence argument; CuPy joins device arrays only."""
    if isinstance(tup, Spec):
        return rows_of(tup)
    arrays = list(tup)
    if any(not isinstance(a, Spec) for a in arrays):
        raise TypeError("Only cupy arrays can be concatenated")
    return arrays


def concatenate(tup: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Spec:
    arrays = _arrays_of(tup)
    if axis is None:
        return _join([(a.size,) for a in arrays], arrays, 0, out, dtype, casting)
    return _join([a.shape for a in arrays], arrays, operator.index(axis), out, dtype, casting)


def stack(tup: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Spec:
    arrays = _arrays_of(tup)
    if not arrays:
        raise ValueError("Cannot concatenate from empty tuple")
    shapes = []
    for a in arrays:
        at = to_axis(axis, a.ndim + 1)
        shapes.append((*a.shape[:at], 1, *a.shape[at:]))
    return _join(shapes, arrays, axis, out, dtype, casting)


def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Spec:
    arrays = _arrays_of(tup)
    return _join([(1,) * (2 - a.ndim) + a.shape for a in arrays], arrays, 0, None, dtype, casting)


def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Spec:
    arrays = _arrays_of(tup)
    shapes = [a.shape or (1,) for a in arrays]
    return _join(shapes, arrays, 0 if shapes and len(shapes[0]) == 1 else 1, None, dtype, casting)


_DEEP: dict[int, Callable[[tuple[int, ...]], tuple[int, ...]]] = {
    0: lambda shape: (1, 1, 1),
    1: lambda shape: (1, *shape, 1),
    2: lambda shape: (*shape, 1),
}


def dstack(tup: Any) -> Spec:
    arrays = _arrays_of(tup)
    shapes = [_DEEP[a.ndim](a.shape) if a.ndim < 3 else a.shape for a in arrays]
    return _join(shapes, arrays, 2, None, None, "same_kind")


def column_stack(tup: Any) -> Spec:
    arrays = list(tup) if is_sequence(tup) else _arrays_of(tup)
    if any(not isinstance(a, Spec) for a in arrays):
        raise TypeError("Only cupy arrays can be column stacked")
    if any(a.ndim not in (1, 2) for a in arrays):
        raise ValueError("Only 1 or 2 dimensional arrays can be column stacked")
    return _join([(*a.shape, 1) if a.ndim == 1 else a.shape for a in arrays], arrays, 1, None, None, "same_kind")


def append(arr: Any, values: Any, axis: Any = None) -> Spec:
    arrays = [as_spec(arr), as_spec(values)]
    return concatenate(arrays, axis)


# -- repeating ------------------------------------------------------------------------------------------------------------------
def tile(A: Any, reps: Any) -> Spec:
    a = as_spec(A)
    if isinstance(reps, Spec):
        raise TypeError("'reps' must be Python integers, not a device array")
    times = tuple(reps) if np.iterable(reps) else (reps,)
    ndim = max(len(times), a.ndim)
    shape = (1,) * (ndim - a.ndim) + a.shape
    times = (1,) * (ndim - len(times)) + times
    result = tuple(n * operator.index(t) for n, t in zip(shape, times, strict=True))
    if any(n < 0 for n in result):
        raise ValueError("negative dimensions are not allowed")
    return packed(result, a.dtype)


def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    a = as_spec(a)
    if isinstance(repeats, Spec):
        if not np.can_cast(repeats.dtype, np.intp, "safe"):
            raise TypeError(
                f"Cannot cast array data from dtype('{repeats.dtype}') to dtype('int64') according to the rule 'safe'"
            )
        if repeats.ndim > 1:
            raise ValueError("object too deep for desired array")
    elif isinstance(repeats, np.ndarray):
        raise TypeError("'repeats' does not accept numpy.ndarray; convert with cupy.array() first")
    length = a.size
    if axis is not None:
        axis = to_axis(axis, a.ndim)
        length = a.shape[axis]
    if isinstance(repeats, Spec):
        if repeats.size not in (1, length):
            raise ValueError(f"'repeats' and 'axis' of 'a' should be same length: {length} != {repeats.size}")
        return UNKNOWN
    total = _repeated_length(repeats, length)
    shape = (total,) if axis is None else (*a.shape[:axis], total, *a.shape[axis + 1 :])
    return packed(shape, a.dtype)


def _repeated_length(repeats: Any, length: int) -> int:
    if is_sequence(repeats):
        if any(is_sequence(n) for n in repeats):
            raise ValueError("object too deep for desired array")
        counts = [operator.index(n) for n in repeats]
        if len(counts) not in (1, length):
            raise ValueError(f"'repeats' and 'axis' of 'a' should be same length: {length} != {len(counts)}")
    else:
        try:
            counts = [operator.index(repeats)]
        except TypeError:
            raise ValueError(f"'repeats' should be int or sequence: {repeats}") from None
    if any(n < 0 for n in counts):
        raise ValueError("'repeats' should not be negative: " + str(min(counts)))
    return counts[0] * length if len(counts) == 1 else sum(counts)


def resize(a: Any, new_shape: Any) -> Spec:
    dtype = np.asarray(a).dtype if is_scalar(a) else as_spec(a).dtype
    return packed(to_shape(new_shape), dtype)


# -- rearranging -------------------------------------------------------------------------------------------------------------
def roll(a: Any, shift: Any, axis: Any = None) -> Spec:
    a = as_spec(a)
    if axis is None:
        if isinstance(shift, Spec) or np.iterable(shift):
            roll(packed((a.size,), a.dtype), shift, 0)
        else:
            operator.index(shift) if not isinstance(shift, (float, np.floating)) else int(shift)
        return packed(a.shape, a.dtype)
    axes = (axis,) if is_scalar(axis) else tuple(axis)
    axes = tuple(to_axis(ax, a.ndim) for ax in axes)
    if isinstance(shift, str):
        shift = int(shift)  # raises ValueError; "0" is a number to NumPy and CuPy
    if isinstance(shift, Spec):
        n = max(len(axes), shift.size)
        if len(axes) not in (1, n) or shift.size not in (1, n):
            raise ValueError("shape mismatch: 'shift' and 'axis' cannot be broadcast to a single shape")
        return packed(a.shape, a.dtype)
    if np.broadcast(shift, axes).ndim > 1:
        raise ValueError("'shift' and 'axis' should be scalars or 1D sequences")
    return layout(a, "K", a.dtype)


def delete(arr: Any, indices: Any, axis: Any = None) -> Any:
    if not isinstance(arr, Spec):
        raise ValueError("delete(): arr must be a cupy.ndarray")
    size, at = arr.size, 0
    if axis is not None:
        at = to_axis(axis, arr.ndim)
        size = arr.shape[at]
    if isinstance(indices, slice) or (isinstance(indices, (int, np.integer)) and not isinstance(indices, bool)):
        return packed(_without(arr, size, at, axis, indices), arr.dtype)
    given = indices if isinstance(indices, Spec) else np.asarray(indices)
    if given.dtype == np.bool_:
        if given.shape != (size,):
            raise ValueError(
                f"boolean array argument indices to delete must be one dimensional and match the axis length of {size}"
            )
        given = given if isinstance(given, Spec) else given.nonzero()[0]
    elif given.size and given.dtype.kind not in "iu":
        raise IndexError("arrays used as indices must be of integer (or boolean) type")
    if isinstance(given, Spec):
        return UNKNOWN
    return packed(_without(arr, size, at, axis, given.reshape(-1).tolist()), arr.dtype)


def _without(arr: Spec, size: int, at: int, axis: Any, indices: Any) -> tuple[int, ...]:
    """Shape after deleting host indices; CuPy wraps those out of range in sequences and refuses a scalar one."""
    if isinstance(indices, slice):
        gone = len(range(size)[indices])
    elif isinstance(indices, (int, np.integer)):
        if not -size <= indices < size:
            raise IndexError(f"Index {indices} is out of bounds for axis 0 with size {size}")
        gone = 1
    else:
        gone = len({int(i) % size for i in indices}) if size else 0
    if axis is None:
        return (size - gone,)
    return (*arr.shape[:at], size - gone, *arr.shape[at + 1 :])


def trim_zeros(filt: Any, trim: str = "fb") -> Any:
    filt = as_spec(filt)
    if filt.ndim > 1:
        raise NotImplementedError("Multi-dimensional trim is not supported")
    return filt if filt.ndim == 0 else UNKNOWN


def flatten(a: Any, order: str = "C") -> Spec:
    a = as_spec(a)
    flatten_order(order)
    return packed((a.size,), a.dtype)


# -- padding ---------------------------------------------------------------------------------------------------------------------
_PAD_MODES: dict[str, tuple[str, ...]] = {
    "empty": (), "edge": (), "wrap": (), "constant": ("constant_values",), "linear_ramp": ("end_values",),
    "maximum": ("stat_length",), "mean": ("stat_length",), "minimum": ("stat_length",), "reflect": ("reflect_type",),
    "symmetric": ("reflect_type",),
}  # fmt: skip


def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Spec:
    array = as_spec(array)
    if isinstance(pad_width, Spec):
        raise TypeError("`pad_width` must be given as Python integers, not as a device array.")
    given = np.asarray(pad_width)
    if given.dtype.kind != "i":
        raise TypeError("`pad_width` must be of integral type.")
    width = np.broadcast_to(given, (array.ndim, 2))
    if (width < 0).any():
        raise ValueError("index can't contain negative values")
    if callable(mode):
        raise Unsupported(
            "cupy.pad with a Python function as mode: the function would have to run on the server.",
            "Pad with mode='empty' and fill the edges through slices.",
        )
    if mode not in _PAD_MODES:
        raise ValueError(f"mode '{mode}' is not supported")
    bad = set(kwargs) - set(_PAD_MODES[mode])
    if bad:
        raise ValueError(f"unsupported keyword arguments for mode '{mode}': {bad}")
    shape = tuple(n + int(before) + int(after) for n, (before, after) in zip(array.shape, width.tolist(), strict=True))
    if mode not in ("constant", "empty") and prod(shape) and 0 in array.shape:
        empty = [i for i, n in enumerate(array.shape) if n == 0 and width[i].any()]
        if empty:
            raise ValueError(f"can't extend empty axis {empty[0]} using modes other than 'constant' or 'empty'")
    return packed(shape, array.dtype, "F" if array.f_contiguous and not array.c_contiguous else "C")
