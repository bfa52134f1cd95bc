"""Shapes, joining, tiling, rearranging and padding on NumPy, with CuPy's semantics where they differ."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from .casting import assign

Array = np.ndarray[Any, Any]


def reshape(a: Array, newshape: Any, order: Any = "C", *, copy: bool | None = None) -> Array:
    result: Array = a.reshape(newshape, order=order)
    return result.copy(order="K") if copy else result


def ascontiguousarray(a: Any, dtype: Any = None) -> Array:
    return np.ascontiguousarray(a, dtype)


def asfortranarray(a: Any, dtype: Any = None) -> Array:
    return np.asfortranarray(np.atleast_1d(a), dtype)


def require(a: Any, dtype: Any = None, requirements: Any = None) -> Array:
    return np.require(a, dtype, list(requirements or ()))


def broadcast_arrays(*args: Array) -> tuple[Array, ...]:
    return tuple(np.broadcast_arrays(*args))


def array_split(ary: Array, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    sections = indices_or_sections
    if not np.isscalar(indices_or_sections):
        length = ary.shape[axis]
        sections = [i if i >= 0 else max(length + i, 0) for i in map(operator.index, indices_or_sections)]
    return list(np.array_split(ary, sections, axis))


def hsplit(ary: Array, indices_or_sections: Any) -> list[Array]:
    return array_split(ary, indices_or_sections, 0 if ary.ndim == 1 else 1)


def vsplit(ary: Array, indices_or_sections: Any) -> list[Array]:
    return array_split(ary, indices_or_sections, 0)


def dsplit(ary: Array, indices_or_sections: Any) -> list[Array]:
    return array_split(ary, indices_or_sections, 2)


def flatten(a: Array, order: str = "C") -> Array:
    return a.flatten(order)  # type: ignore[arg-type]


def copyto(dst: Array, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    if isinstance(src, np.ndarray) and src.ndim > dst.ndim:
        src = src.reshape(src.shape[src.ndim - dst.ndim :])
    assign(dst, np.asarray(src), True if where is None else np.asarray(where, np.bool_))


def concatenate(tup: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: Any = "same_kind") -> Array:
    # list(): a device array in the place of the sequence is joined along its first axis.
    return np.concatenate(list(tup), axis, out=out, dtype=dtype, casting=casting)


def stack(tup: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: Any = "same_kind") -> Array:
    return np.stack(list(tup), axis, out=out, dtype=dtype, casting=casting)


def vstack(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Array:
    return np.vstack(list(tup), dtype=dtype, casting=casting)


def hstack(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Array:
    return np.hstack(list(tup), dtype=dtype, casting=casting)


def tile(A: Any, reps: Any) -> Array:
    return np.array(np.tile(A, reps))


def repeat(a: Array, repeats: Any, axis: Any = None) -> Array:
    if np.ndim(repeats) and np.size(repeats) == 1:
        repeats = int(np.asarray(repeats).reshape(-1)[0])
    if np.any(np.asarray(repeats) < 0):
        raise ValueError("all elements of 'repeats' should not be negative")
    return np.repeat(a, repeats, axis)


def resize(a: Any, new_shape: Any) -> Array:
    a = np.asarray(a)
    return np.resize(a, new_shape) if a.size else np.zeros(new_shape, a.dtype)


def roll(a: Array, shift: Any, axis: Any = None) -> Array:
    if isinstance(shift, np.ndarray):
        shift = shift.ravel()
        shift = int(shift[0]) if shift.size == 1 else tuple(shift.tolist())
    return np.roll(a, shift, axis)


def delete(arr: Array, indices: Any, axis: Any = None) -> Array:
    """As CuPy: integer sequences out of range wrap, which NumPy refuses."""
    if axis is None:
        arr, axis = arr.ravel(), 0
    size = arr.shape[axis]
    keep = np.ones(size, np.bool_)
    if not isinstance(indices, (slice, int, np.integer)):
        indices = np.asarray(indices)
        if indices.dtype != np.bool_:
            indices = indices.astype(np.intp) % size if size else np.zeros(0, np.intp)
    keep[indices] = False
    return np.compress(keep, arr, axis=axis)


def trim_zeros(filt: Array, trim: Any = "fb") -> Array:
    return filt if filt.ndim == 0 else np.trim_zeros(filt, trim)


def pad(array: Array, pad_width: Any, mode: str = "constant", **kwargs: Any) -> Array:
    return np.pad(array, pad_width, mode, **kwargs)  # type: ignore[call-overload,no-any-return]


#: Implementation name -> function.
OPS: dict[str, Callable[..., Any]] = {
    "transpose": np.transpose,
    "matrix_transpose": np.matrix_transpose,
    "swapaxes": np.swapaxes,
    "moveaxis": np.moveaxis,
    "rollaxis": np.rollaxis,
    "squeeze": np.squeeze,
    "expand_dims": np.expand_dims,
    "atleast_1d": np.atleast_1d,
    "atleast_2d": np.atleast_2d,
    "atleast_3d": np.atleast_3d,
    "broadcast_to": np.broadcast_to,
    "broadcast_arrays": broadcast_arrays,
    "flip": np.flip,
    "fliplr": np.fliplr,
    "flipud": np.flipud,
    "rot90": np.rot90,
    "array_split": array_split,
    "split": array_split,
    "hsplit": hsplit,
    "vsplit": vsplit,
    "dsplit": dsplit,
    "reshape": reshape,
    "ravel": np.ravel,
    "ascontiguousarray": ascontiguousarray,
    "asfortranarray": asfortranarray,
    "require": require,
    "ndarray.flatten": flatten,
    "copyto": copyto,
    "concatenate": concatenate,
    "stack": stack,
    "vstack": vstack,
    "hstack": hstack,
    "dstack": lambda tup: np.dstack(list(tup)),
    "column_stack": lambda tup: np.column_stack(list(tup)),
    "append": lambda arr, values, axis=None: np.append(arr, values, axis),
    "tile": tile,
    "repeat": repeat,
    "resize": resize,
    "roll": roll,
    "delete": delete,
    "trim_zeros": trim_zeros,
    "pad": pad,
}
