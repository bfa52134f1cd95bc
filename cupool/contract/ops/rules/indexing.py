"""Rules for indexing: fancy reads and assignments, take and put and their kin, index generation.

A key travels as it was written: a tuple (or one item) of None, Ellipsis, slices, integers, host sequences and arrays (Spec).
Basic keys never come here for reading: they are views (`ndarray.__getitem__` on the shadow).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cupool.contract.ops._row import UNKNOWN
from cupool.contract.ops.rules._arrays import (
    as_spec,
    broadcast,
    check_out,
    is_scalar,
    is_sequence,
    packed,
    prod,
    rows_of,
    to_axis,
    to_shape,
)
from cupool.contract.ops.rules.common import check_cast, require_array
from cupool.contract.spec import Spec

BOOL = np.dtype(np.bool_)


@dataclass(frozen=True, slots=True)
class Plan:
    """A key, understood.

    Attributes:
        basic: the key with every array replaced by full slices, complete (one item per dimension, None besides, no Ellipsis).
        arrays: the index arrays as they were given, in order.
        axes: for each array, its first dimension in the view that `basic` makes.
        counts: for each array, how many of those dimensions it indexes (more than one: a boolean mask).
        front: whether the indexed dimensions go first in the result (the array-likes of the key are not next to each other).
        view_shape: shape of the view that `basic` makes.
    """

    basic: tuple[Any, ...]
    arrays: tuple[Any, ...]
    axes: tuple[int, ...]
    counts: tuple[int, ...]
    front: bool
    view_shape: tuple[int, ...]

    @property
    def has_mask(self) -> bool:
        """Whether a boolean array takes part: the result's shape depends on the data."""
        return any(array.dtype == BOOL for array in self.arrays)


def _index_array(item: Any) -> Any:
    """An array-like item of a key as Spec or host array."""
    if isinstance(item, (Spec, np.ndarray)):
        array: Any = item
    elif is_sequence(item) and any(isinstance(i, Spec) for i in item):
        array = as_spec(item)
    else:
        try:
            array = np.asarray(item)
        except ValueError as error:
            raise ValueError(str(error)) from None
        if array.size == 0 and is_sequence(item):
            array = array.astype(np.int32)
        if array.dtype.kind not in "biufc":
            raise IndexError(
                "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or "
                "boolean arrays are valid indices"
            )
    if array.dtype.kind not in "biu":
        raise IndexError(f"arrays used as indices must be of integer or boolean type. (actual: {array.dtype.type})")
    return array


def _is_integer(item: Any) -> bool:
    return isinstance(item, (int, np.integer)) and not isinstance(item, (bool, np.bool_))


def plan(shape: tuple[int, ...], key: Any) -> Plan:
    """Understand a key for an array of `shape`. Arrays in the key may be Spec or host arrays.

    Raises:
        IndexError: as CuPy: too many indices, a scalar out of bounds, a mask of another shape, an index of another type.
    """
    items = list(key) if isinstance(key, tuple) else [key]
    used, ellipses = 0, 0
    for i, item in enumerate(items):
        if item is None:
            continue
        if item is Ellipsis:
            ellipses += 1
        elif isinstance(item, slice):
            used += 1
        elif _is_integer(item) or (
            hasattr(item, "__index__") and not isinstance(item, (Spec, np.ndarray, np.bool_, bool))
        ):
            items[i] = operator.index(item)
            used += 1
        else:
            if isinstance(item, (float, complex, np.floating, np.complexfloating, str, bytes)):
                raise IndexError(
                    "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or "
                    "boolean arrays are valid indices"
                )
            items[i] = array = _index_array(item)
            used += array.ndim if array.dtype == BOOL else 1
    if ellipses > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    if used > len(shape):
        raise IndexError(f"too many indices for array: array is {len(shape)}-dimensional, but {used} were indexed")
    if not ellipses:
        items.append(Ellipsis)
    return _walk(shape, items, len(shape) - used)


def _walk(shape: tuple[int, ...], items: list[Any], ellipsis_ndim: int) -> Plan:
    """Walk a complete key along the array's axes."""
    basic: list[Any] = []
    arrays, axes, counts, view_shape, flags = [], [], [], [], []
    axis = 0
    for item in items:
        flags.append(not (item is None or item is Ellipsis or isinstance(item, slice)))
        if item is None:
            basic.append(None)
            view_shape.append(1)
        elif item is Ellipsis:
            basic += [slice(None)] * ellipsis_ndim
            view_shape += shape[axis : axis + ellipsis_ndim]
            axis += ellipsis_ndim
        elif isinstance(item, slice):
            basic.append(item)
            view_shape.append(len(range(shape[axis])[item]))
            axis += 1
        elif isinstance(item, int):
            if not -shape[axis] <= item < shape[axis]:
                raise IndexError(f"Index {item} is out of bounds for axis {axis} with size {shape[axis]}")
            basic.append(item)
            axis += 1
        else:
            count = item.ndim if item.dtype == BOOL else 1
            for i in range(item.ndim if item.dtype == BOOL else 0):
                if item.shape[i] not in (0, shape[axis + i]):
                    raise IndexError(
                        f"boolean index did not match indexed array along dimension {axis + i}; dimension is "
                        f"{shape[axis + i]} but corresponding boolean dimension is {item.shape[i]}"
                    )
            arrays.append(item)
            axes.append(len(view_shape))
            counts.append(count)
            basic += [slice(None)] * count
            view_shape += shape[axis : axis + count]
            axis += count
    runs = sum(1 for i, flag in enumerate(flags) if flag and (i == 0 or not flags[i - 1]))
    return Plan(tuple(basic), tuple(arrays), tuple(axes), tuple(counts), runs > 1, tuple(view_shape))


def indexed_shape(planned: Plan) -> tuple[int, ...]:
    """Shape of the result of a plan without masks."""
    if not planned.arrays:
        return planned.view_shape
    index_shape = broadcast(*(as_spec(a) for a in planned.arrays))
    gone = {axis + i for axis, count in zip(planned.axes, planned.counts, strict=True) for i in range(count)}
    rest = [n for axis, n in enumerate(planned.view_shape) if axis not in gone]
    at = 0 if planned.front else planned.axes[0]
    if 0 in planned.view_shape and prod(index_shape) * prod(rest):
        raise IndexError("cannot do a non-empty take from an empty axes.")
    return (*rest[:at], *index_shape, *rest[at:])


def getitem(a: Any, key: Any) -> Any:
    a = require_array(a)
    planned = plan(a.shape, key)
    return UNKNOWN if planned.has_mask else packed(indexed_shape(planned), a.dtype)


def setitem(a: Any, key: Any, value: Any) -> None:
    """`a[key] = value`. With a basic key CuPy fills or copies, with an index array it converts host values."""
    a = require_array(a)
    if a.dtype.fields and isinstance(key, str):
        return
    planned = plan(a.shape, key)
    if not planned.arrays:
        _check_fill(value)
    if isinstance(value, Spec) or (planned.arrays and not is_scalar(value)):
        value_shape = as_spec(value).shape
        if planned.has_mask:
            return
        target = indexed_shape(planned)
        extra = len(value_shape) - len(target)
        tail = value_shape[max(extra, 0) :]
        fits = all(n in (1, m) for n, m in zip(reversed(tail), reversed(target), strict=False))
        if not fits or any(n != 1 for n in value_shape[: max(extra, 0)]):
            raise ValueError(f"operands could not be broadcast together with shapes {target} {value_shape}")


def _check_fill(value: Any) -> None:
    if isinstance(value, Spec) or is_scalar(value):
        return
    if isinstance(value, np.ndarray):
        if value.size != 1:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        return
    raise TypeError(f"Unsupported type {type(value)}")


def fill(a: Any, value: Any) -> None:
    require_array(a)
    if isinstance(value, Spec):
        if value.size != 1:
            raise ValueError("non-scalar cupy.ndarray cannot be used for fill")
        return
    _check_fill(value)


def scatter(a: Any, slices: Any, value: Any) -> None:
    setitem(a, slices, value)


#: ufunc -> dtype kinds for which `ufunc.at` exists.
AT = {
    "add": "iufc", "subtract": "iuf", "maximum": "iuf", "minimum": "iuf", "bitwise_and": "iu", "bitwise_or": "iu", "bitwise_xor": "iu",
}  # fmt: skip


def ufunc_at(ufunc: str, a: Any, indices: Any, b: Any = None) -> None:
    if ufunc not in AT:
        raise NotImplementedError(f"`cupy_{ufunc}.at` is not supported yet")
    scatter(a, indices, b)


def ufunc_reduceat(ufunc: str, array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Spec:
    if ufunc != "add":
        raise NotImplementedError(f"`cupy_{ufunc}.reduceat` is not supported yet")
    array, indices = as_spec(array), as_spec(indices)
    axis = to_axis(axis, array.ndim)
    shape = (*array.shape[:axis], *indices.shape, *array.shape[axis + 1 :])
    result = np.dtype(dtype) if dtype is not None else np.add.reduce(np.zeros(1, array.dtype)).dtype
    return packed(shape, result) if out is None else check_out(out, shape)


# -- take, put --------------------------------------------------------------------------------------------------------------
def take(a: Any, indices: Any, axis: Any = None, out: Any = None) -> Spec:
    a = as_spec(a)
    index_shape = () if is_scalar(indices) else as_spec(indices).shape
    if axis is None:
        shape = index_shape
    elif a.ndim == 0:
        to_axis(axis, 1)
        shape = index_shape
    else:
        axis = to_axis(axis, a.ndim)
        shape = (*a.shape[:axis], *index_shape, *a.shape[axis + 1 :])
    if out is not None:
        if not isinstance(out, Spec):
            raise TypeError(f"Argument 'out' has incorrect type (expected cupy.ndarray, got {type(out).__name__})")
        if out.dtype != a.dtype:
            raise TypeError("Output dtype mismatch")
        if out.shape != shape:
            raise ValueError("Output shape mismatch")
    if a.size == 0 and prod(shape):
        raise IndexError("cannot do a non-empty take from an empty axes.")
    return packed(shape, a.dtype) if out is None else out


def take_along_axis(a: Any, indices: Any, axis: Any) -> Spec:
    a, indices = require_array(a), require_array(indices, "indices")
    if indices.dtype.kind not in "iu":
        raise IndexError("`indices` must be an integer array")
    shape = a.shape
    if axis is None:
        shape, axis = (a.size,), 0
    axis = to_axis(axis, len(shape))
    if len(shape) != indices.ndim:
        raise ValueError("`indices` and `a` must have the same number of dimensions")
    others = [n if i != axis else 1 for i, n in enumerate(shape)]
    return packed(broadcast(tuple_spec(others), indices), a.dtype)


def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    take_along_axis(arr, indices, axis)


def tuple_spec(shape: Any) -> Spec:
    """A spec that only stands for a shape."""
    return packed(shape, BOOL)


def put(a: Any, ind: Any, v: Any, mode: str = "wrap") -> None:
    require_array(a)
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError("clipmode not understood")


def place(arr: Any, mask: Any, vals: Any) -> None:
    if require_array(arr, "arr").size != as_spec(mask).size:
        raise ValueError("Mask and data must be the same size.")


def putmask(a: Any, mask: Any, values: Any) -> None:
    if not isinstance(a, Spec):
        raise TypeError("`a` should be of type cupy.ndarray")
    if not isinstance(mask, Spec):
        raise TypeError("`mask` should be of type cupy.ndarray")
    if not (is_scalar(values) or isinstance(values, Spec)):
        raise TypeError("`values` should be of type cupy.ndarray")
    if a.shape != mask.shape:
        raise ValueError("mask and data must be the same size")
    if isinstance(values, Spec) and not np.can_cast(values.dtype, a.dtype):
        raise TypeError(f"Cannot cast array data from {values.dtype} to {a.dtype} according to the rule 'safe'")


def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Spec:
    a, choices = as_spec(a), as_spec(choices)
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError("clipmode not understood")
    shape = broadcast(a, tuple_spec(choices.shape[1:]))
    return packed(shape, choices.dtype) if out is None else check_out(out, shape)


def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    if is_scalar(condition):
        raise ValueError("condition must be a 1-d array")
    if not isinstance(condition, Spec) and as_spec(condition).ndim != 1:
        raise ValueError("condition must be a 1-d array")
    a = as_spec(a)
    if axis is not None:
        to_axis(axis, max(a.ndim, 1))
    return UNKNOWN if out is None else out


def extract(condition: Any, a: Any) -> Any:
    if not isinstance(a, Spec):
        raise TypeError("extract requires input array to be cupy.ndarray")
    return UNKNOWN


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Spec:
    condlist, choicelist = (rows_of(x) if isinstance(x, Spec) else x for x in (condlist, choicelist))
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    if not condlist:
        raise ValueError("select with an empty condition list is not possible")
    if not is_scalar(default):
        raise TypeError("default only accepts scalar values")
    for i, (cond, choice) in enumerate(zip(condlist, choicelist, strict=True)):
        if not isinstance(choice, Spec):
            raise TypeError("choicelist only accepts lists of cupy ndarrays")
        if not hasattr(cond, "dtype"):
            raise AttributeError(
                f"{type(cond).__name__!r} object has no attribute 'dtype': condlist takes boolean arrays"
            )
        if as_spec(cond).dtype != BOOL:
            raise ValueError(f"invalid entry {i} in condlist: should be boolean ndarray")
    # CuPy broadcasts conditions and choices apart, then together.
    shape = broadcast(tuple_spec(broadcast(*condlist)), tuple_spec(broadcast(*choicelist)))
    return packed(shape, np.result_type(*(choice.dtype for choice in choicelist)))


def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    a = require_array(a)
    if a.ndim < 2:
        raise ValueError("array must be at least 2-d")
    if a.ndim > 2 and len(set(a.shape)) != 1:
        raise ValueError("All dimensions of input must be of equal length")


# -- index generation ---------------------------------------------------------------------------------------------------------
def indices(dimensions: Any, dtype: Any = int) -> Spec:
    shape = to_shape(tuple(dimensions))
    if np.dtype(dtype) == BOOL and any(n > 2 for n in shape):
        raise TypeError("arange() is only supported for booleans when the result has at most length 2.")
    return packed((len(shape), *shape), dtype)


def ix_(*args: Any) -> Any:
    specs = [as_spec(a) for a in args]
    if any(spec.ndim != 1 for spec in specs):
        raise ValueError("Cross index must be 1 dimensional")
    n = len(specs)
    dtypes = [spec.dtype if spec.size else np.dtype(np.intp) for spec in specs]
    return tuple(
        UNKNOWN if spec.dtype == BOOL else packed((1,) * k + spec.shape + (1,) * (n - k - 1), dtypes[k])
        for k, spec in enumerate(specs)
    )


def diag_indices(n: Any, ndim: int = 2) -> tuple[Spec, ...]:
    return (packed((max(operator.index(n), 0),), np.intp),) * ndim


def diag_indices_from(arr: Any) -> tuple[Spec, ...]:
    if not isinstance(arr, Spec):
        raise TypeError("Argument must be cupy.ndarray")
    if arr.ndim < 2:
        raise ValueError("input array must be at least 2-d")
    if len(set(arr.shape)) != 1:
        raise ValueError("All dimensions of input must be of equal length")
    return diag_indices(arr.shape[0], arr.ndim)


def _triangle_size(rows: int, cols: int, k: int) -> int:
    """Elements at or below the k-th diagonal."""
    return sum(min(max(i + k + 1, 0), cols) for i in range(rows))


def tri_indices(lower: bool) -> Callable[..., Any]:
    """tril_indices and triu_indices: sizes are known from the integers."""

    def rule(n: Any, k: Any = 0, m: Any = None) -> tuple[Spec, ...]:
        rows, k = operator.index(n), operator.index(k)
        cols = rows if m is None else operator.index(m)
        rows, cols = max(rows, 0), max(cols, 0)
        size = _triangle_size(rows, cols, k) if lower else rows * cols - _triangle_size(rows, cols, k - 1)
        return (packed((size,), np.int64),) * 2

    rule.rule_name = f"tri_indices_{'l' if lower else 'u'}"  # type: ignore[attr-defined]
    return rule


def tri_indices_from(lower: bool) -> Callable[..., Any]:
    """tril_indices_from and triu_indices_from."""
    base = tri_indices(lower)

    def rule(arr: Any, k: Any = 0) -> Any:
        if not isinstance(arr, Spec):
            raise AttributeError(f"{type(arr).__name__!r} object has no attribute 'ndim'")
        if arr.ndim != 2:
            raise ValueError("input array must be 2-d")
        return base(arr.shape[-2], k=k, m=arr.shape[-1])

    rule.rule_name = f"tri_indices_from_{'l' if lower else 'u'}"  # type: ignore[attr-defined]
    return rule


def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "wrap", order: Any = "C") -> Spec:
    items = list(multi_index) if is_sequence(multi_index) else [None] * as_spec(multi_index).shape[0]
    if len(items) != len(dims):
        raise ValueError(f"parameter multi_index must be a sequence of length {len(dims)}")
    for d in dims:
        if not isinstance(d, (int, np.integer)):
            raise TypeError(f"{type(d)} object cannot be interpreted as an integer")
    if prod(dims) > np.iinfo(np.int64).max:
        raise ValueError("invalid dims: array size defined by dims is larger than the maximum possible size")
    if ("C" if order is None else str(order).upper()) not in ("C", "F"):
        raise ValueError("order not understood")
    for one in (mode,) if isinstance(mode, str) else mode:
        if one not in ("raise", "wrap", "clip"):
            raise ValueError(f"Unrecognized mode: {one}")
    if not is_sequence(multi_index):
        whole = as_spec(multi_index)
        check_cast(whole.dtype, np.dtype(np.int64), "same_kind", "multi_index entries")
        return packed(whole.shape[1:], np.int64)
    for item in items:
        if not isinstance(item, Spec):
            raise TypeError("elements of multi_index must be cupy arrays")
        if not np.can_cast(item.dtype, np.int64, "same_kind"):
            raise TypeError(
                f"multi_index entries could not be cast from dtype('{item.dtype}') to dtype('int64') according to the "
                "rule 'same_kind'"
            )
    return packed(broadcast(*items), np.int64)


def unravel_index(indices: Any, dims: Any, order: Any = "C") -> tuple[Spec, ...]:
    if ("C" if order is None else str(order).upper()) not in ("C", "F"):
        raise ValueError("order not understood")
    spec = require_array(indices, "indices")
    if not np.can_cast(spec.dtype, np.int64, "same_kind"):
        raise TypeError(
            f"Iterator operand 0 dtype could not be cast from dtype('{spec.dtype}') to dtype('int64') according to the rule "
            "'same_kind'"
        )
    dims = (dims,) if isinstance(dims, (int, np.integer)) else tuple(dims)
    dtype = np.remainder(np.ones(1, spec.dtype), 1).dtype
    return tuple(packed(spec.shape, dtype) for _ in dims)
