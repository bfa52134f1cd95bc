"""Indexing on NumPy with CuPy's semantics: index arrays out of range wrap, index order as CuPy plans it, host values converted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops.rules.indexing import Plan, plan

from .casting import cast

Array = np.ndarray[Any, Any]


def _wrapped(index: Array, length: int) -> Array:
    """As CuPy: an index out of range wraps. The common case (all in range) costs two reductions and no copy."""
    if index.size == 0:
        return index.astype(np.intp)
    if length and index.dtype.kind == "i" and -length <= index.min() and index.max() < length:
        return index
    if length and index.dtype.kind == "u" and index.max() < length:
        return index.astype(np.intp)
    return index.astype(np.int64) % length if length else np.zeros(index.shape, np.intp)


def _located(a: Array, key: Any) -> tuple[Array, Any]:
    """A view of `a` and a key of it in which every array is in range and stands where CuPy puts its dimensions."""
    planned: Plan = plan(a.shape, key)
    # The Ellipsis makes a 0-d view where NumPy would give a scalar.
    view = a[(*planned.basic, Ellipsis)]
    if not planned.arrays:
        return view, Ellipsis
    axes: list[int] = []
    arrays: list[Array] = []
    added = 0
    for array, first, count in zip(planned.arrays, planned.axes, planned.counts, strict=True):
        axis = first + added
        if array.dtype == np.bool_ and array.ndim == 0:
            # A mask without dimensions is a new axis of length one, indexed once or not at all.
            view = np.expand_dims(view, axis)
            added, count = added + 1, 1
            arrays.append(np.zeros(int(array), np.intp))
        elif array.dtype == np.bool_:
            if array.size == 0 and array.shape != view.shape[axis : axis + array.ndim]:
                array = np.zeros(view.shape[axis : axis + array.ndim], np.bool_)
            if len(planned.arrays) == 1 and not planned.front and array.shape == view.shape[axis : axis + array.ndim]:
                # NumPy walks a mask that is alone several times as fast as the indices of what is true in it.
                return view, (*[slice(None)] * axis, array)
            arrays.extend(array.nonzero())
        else:
            arrays.append(_wrapped(array, view.shape[axis]))
        axes += range(axis, axis + count)
    if planned.front:
        view = np.moveaxis(view, axes, range(len(axes)))
        return view, tuple(arrays)
    return view, (*[slice(None)] * axes[0], *arrays)


def _result_ndim(view: Array, place: Any) -> int:
    """How many dimensions `view[place]` has."""
    if place is Ellipsis:
        return view.ndim
    arrays = [index for index in place if isinstance(index, np.ndarray)]
    masks = [index for index in arrays if index.dtype == np.bool_]
    indexed = sum(mask.ndim for mask in masks) + len(arrays) - len(masks)
    return view.ndim - indexed + max(1 if index.dtype == np.bool_ else index.ndim for index in arrays)


def getitem(a: Array, key: Any) -> Array:
    view, place = _located(a, key)
    result: Array = view[place]
    return result if place is not Ellipsis else result.copy()


def setitem(a: Array, key: Any, value: Any) -> None:
    if a.dtype.fields and (isinstance(key, str) or (isinstance(key, list) and all(isinstance(k, str) for k in key))):
        a[key] = value
        return
    view, place = _located(a, key)
    if isinstance(value, (list, tuple)):
        value = np.asarray(value, a.dtype)
    if isinstance(value, np.ndarray) and value.ndim:
        surplus = value.ndim - _result_ndim(view, place)
        if surplus > 0:
            value = value.reshape(value.shape[surplus:])
        if place is not Ellipsis and np.may_share_memory(value, view):
            # NumPy looks for an overlap where it assigns by indices or slices, but not where it assigns by a mask.
            value = value.copy()
    # CuPy casts as a GPU does, without NumPy's check of Python integers.
    view[place] = cast(np.asarray(value), a.dtype, copy=False)


def fill(a: Array, value: Any) -> None:
    a[...] = cast(np.asarray(value).reshape(()), a.dtype)


_AT = {
    "add": np.add, "subtract": np.subtract, "maximum": np.maximum, "minimum": np.minimum, "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor,
}  # fmt: skip


def ufunc_at(ufunc: str, a: Array, indices: Any, b: Any = None) -> None:
    view, place = _located(a, indices)
    _AT[ufunc].at(view, place, cast(np.asarray(b), a.dtype, copy=False))


def scatter_add(a: Array, slices: Any, value: Any) -> None:
    ufunc_at("add", a, slices, value)


def scatter_max(a: Array, slices: Any, value: Any) -> None:
    ufunc_at("maximum", a, slices, value)


def scatter_min(a: Array, slices: Any, value: Any) -> None:
    ufunc_at("minimum", a, slices, value)


def ufunc_reduceat(ufunc: str, array: Array, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Array:
    """As CuPy's: `add` alone. Indices must be in range, which CuPy does not check."""
    return np.add.reduceat(array, np.asarray(indices, np.intp), axis, dtype, out)


def take(a: Array, indices: Any, axis: Any = None, out: Any = None) -> Array:
    indices = np.asarray(indices)
    if indices.dtype.kind not in "iu":
        indices = indices.astype(np.int64)
    if a.ndim == 0:
        a, axis = a.reshape(1), 0
    if indices.size and not (a.size if axis is None else a.shape[axis]):
        # NumPy 2.4 never comes back from this where another axis is empty too.
        raise IndexError("cannot do a non-empty take from an empty axes.")
    return np.asarray(np.take(a, indices, axis, out, "wrap"))


def take_along_axis(a: Array, indices: Array, axis: Any) -> Array:
    if axis is None:
        a, axis = a.ravel(), 0
    return np.take_along_axis(a, _wrapped(indices, a.shape[axis]), axis)


def put_along_axis(arr: Array, indices: Array, values: Any, axis: Any) -> None:
    length = arr.size if axis is None else arr.shape[axis]
    np.put_along_axis(arr, _wrapped(indices, length), cast(np.asarray(values), arr.dtype), axis)


def put(a: Array, ind: Any, v: Any, mode: str = "wrap") -> None:
    values = cast(np.asarray(v), a.dtype, copy=False)
    if values.size:
        np.put(a, np.asarray(ind).ravel(), values, mode)  # type: ignore[arg-type]


def place(arr: Array, mask: Any, vals: Any) -> None:
    mask = np.asarray(mask)
    vals = np.asarray(vals)
    if vals.size == 0:
        if mask.any():
            raise ValueError("Cannot insert from an empty array.")
        return
    put(arr, mask.ravel().nonzero()[0], vals)


def putmask(a: Array, mask: Any, values: Any) -> None:
    np.putmask(a, mask.astype(np.bool_), cast(np.asarray(values), a.dtype))


def choose(a: Array, choices: Array, out: Any = None, mode: str = "raise") -> Array:
    """`numpy.choose` stops at 64 choices: take along a new leading axis instead."""
    n = choices.shape[0]
    if mode == "raise" and a.size and not (a.min() >= 0 and a.max() < n):
        raise ValueError("invalid entry in choice array")
    index = a % n if mode == "wrap" else np.clip(a, 0, n - 1) if mode == "clip" else a
    shape = np.broadcast_shapes(a.shape, choices.shape[1:])
    spread = np.broadcast_to(
        choices.reshape(n, *(1,) * (len(shape) - choices.ndim + 1), *choices.shape[1:]), (n, *shape)
    )
    index = np.broadcast_to(index, shape)[None].astype(np.intp)
    result: Array = np.take_along_axis(spread, index, 0)[0]
    if out is None:
        return result
    out[...] = result
    return out  # type: ignore[no-any-return]


def compress(condition: Any, a: Array, axis: Any = None, out: Any = None) -> Array:
    return take(a, np.asarray(condition).nonzero()[0], axis, out)


def extract(condition: Any, a: Array) -> Array:
    return take(a.ravel(), np.asarray(condition).ravel().nonzero()[0])


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Array:
    dtype = np.result_type(*choicelist)
    result = np.empty(np.broadcast_shapes(*(np.shape(x) for x in (*condlist, *choicelist))), dtype)
    np.copyto(result, default)
    for cond, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        np.copyto(result, choice, where=cond)
    return result


def fill_diagonal(a: Array, val: Any, wrap: bool = False) -> None:
    np.fill_diagonal(a, cast(np.asarray(val), a.dtype), wrap)


def ix_(*args: Any) -> tuple[Array, ...]:
    result = []
    for k, new in enumerate(args):
        new = np.asarray(new)
        if new.size == 0:
            new = new.astype(np.intp)
        if new.dtype == np.bool_:
            (new,) = new.nonzero()
        result.append(new.reshape((1,) * k + (new.size,) + (1,) * (len(args) - k - 1)))
    return tuple(result)


def diag_indices(n: int, ndim: int = 2) -> tuple[Array, ...]:
    # One array each: results of a call never share memory with each other.
    return tuple(np.arange(n) for _ in range(ndim))


def _strided_dims(dims: Any, order: Any) -> list[int]:
    """Elements between neighbours along each dimension."""
    dims = [int(d) for d in dims]
    strides = [1] * len(dims)
    if (order or "C").upper() == "C":
        for i in range(len(dims) - 2, -1, -1):
            strides[i] = strides[i + 1] * dims[i + 1]
    else:
        for i in range(1, len(dims)):
            strides[i] = strides[i - 1] * dims[i - 1]
    return strides


def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "wrap", order: Any = "C") -> Array:
    """As CuPy's: `raise` raises ValueError, negative entries wrap, also in arrays of any integer dtype."""
    modes = (mode,) * len(dims) if isinstance(mode, str) else mode
    arrays = np.broadcast_arrays(*multi_index)
    total = np.zeros(arrays[0].shape, np.int64)
    for d, stride, index, one in zip(dims, _strided_dims(dims, order), arrays, modes, strict=True):
        index = index.astype(np.int64)
        if one == "raise" and ((index >= d) | (index < 0)).any():
            raise ValueError("invalid entry in coordinates array")
        total += stride * (np.clip(index, 0, d - 1) if one == "clip" else index % d)
    return total


def unravel_index(indices: Array, dims: Any, order: Any = "C") -> tuple[Array, ...]:
    dims = (dims,) if np.isscalar(dims) else tuple(dims)
    if (indices < 0).any():
        raise ValueError("invalid entry in index array")
    result = []
    for dim in reversed(dims) if (order or "C").upper() == "C" else dims:
        result.append(indices % dim)
        indices = indices // dim
    if (indices > 0).any():
        raise ValueError("invalid entry in index array")
    return tuple(reversed(result)) if (order or "C").upper() == "C" else tuple(result)


#: Implementation name -> function.
OPS: dict[str, Callable[..., Any]] = {
    "ndarray.__getitem__": getitem,
    "ndarray.__setitem__": setitem,
    "ndarray.fill": fill,
    "cupyx.scatter_add": scatter_add,
    "cupyx.scatter_max": scatter_max,
    "cupyx.scatter_min": scatter_min,
    "ufunc.at": ufunc_at,
    "ufunc.reduceat": ufunc_reduceat,
    "take": take,
    "take_along_axis": take_along_axis,
    "put_along_axis": put_along_axis,
    "put": put,
    "place": place,
    "putmask": putmask,
    "choose": choose,
    "compress": compress,
    "extract": extract,
    "select": select,
    "diagonal": np.diagonal,
    "fill_diagonal": fill_diagonal,
    "indices": lambda dimensions, dtype=int: np.indices(dimensions, dtype),
    "ix_": ix_,
    "diag_indices": diag_indices,
    "diag_indices_from": lambda arr: diag_indices(arr.shape[0], arr.ndim),
    "tril_indices": lambda n, k=0, m=None: np.tril_indices(n, k, m),
    "triu_indices": lambda n, k=0, m=None: np.triu_indices(n, k, m),
    "tril_indices_from": lambda arr, k=0: np.tril_indices_from(arr, k),
    "triu_indices_from": lambda arr, k=0: np.triu_indices_from(arr, k),
    "ravel_multi_index": ravel_multi_index,
    "unravel_index": unravel_index,
}
