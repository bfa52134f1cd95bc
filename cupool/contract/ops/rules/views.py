"""Functions whose result is a view: NumPy's own code, run on a shadow.

The client computes these without sending the function's name (only "@view"); the rules of the same rows are made of the same
functions, and serve operands whose spec is pending.

    VIEW_FUNCTIONS   name -> function(shadow(s), ...): the result is always a view, or a list or tuple of views
    MAYBE_VIEW       name -> function(shadow(s), ...): a view, or None where CuPy makes a copy (then the row is called)

Both raise what CuPy raises. Containers (list, tuple) are the ones that CuPy returns.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from cupool.contract.ops.rules._arrays import prod, reshaped_view

Shadow = np.ndarray[Any, Any]


def transpose(a: Shadow, axes: Any = None) -> Shadow:
    return a.transpose(axes)


def matrix_transpose(x: Shadow) -> Shadow:
    if x.ndim < 2:
        raise ValueError(f"Input array must be at least 2-dimensional, but it is {x.ndim}")
    return x.swapaxes(-1, -2)


def rollaxis(a: Shadow, axis: int, start: int = 0) -> Shadow:
    return np.rollaxis(a, axis, start)


def atleast(ndim: int) -> Callable[..., Any]:
    function = {1: np.atleast_1d, 2: np.atleast_2d, 3: np.atleast_3d}[ndim]

    def atleast_nd(*arys: Shadow) -> Any:
        views: list[Any] = [function(a) for a in arys]
        return views[0] if len(views) == 1 else views

    return atleast_nd


def broadcast_arrays(*args: Shadow) -> tuple[Shadow, ...]:
    return tuple(np.broadcast_arrays(*args))


def expand_dims(a: Shadow, axis: Any) -> Shadow:
    return np.expand_dims(a, axis if isinstance(axis, (int, np.integer)) else tuple(axis))


def broadcast_to(array: Shadow, shape: Any) -> Shadow:
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        wanted = tuple(shape) if np.iterable(shape) else (shape,)
        if array.ndim > len(wanted):
            text = "input operand has more dimensions than allowed by the axis remapping"
        else:
            text = f"operands could not be broadcast together with shape {array.shape} and requested shape {wanted}"
        raise ValueError(text) from None


def rot90(a: Shadow, k: int = 1, axes: Any = (0, 1)) -> Shadow:
    axes = tuple(axes)
    if a.ndim < 2:
        raise ValueError("Input must be >= 2-d")
    if len(axes) != 2:
        raise ValueError("len(axes) must be 2")
    if axes[0] == axes[1] or abs(axes[0] - axes[1]) == a.ndim:
        raise ValueError("axes must be different")
    if not all(-a.ndim <= axis < a.ndim for axis in axes):
        raise ValueError(f"axes must be >= {-a.ndim} and < {a.ndim}")
    return np.rot90(a, k, axes)


def _sections(ary: Shadow, indices_or_sections: Any, axis: int) -> Any:
    """What to split at, as NumPy wants it; negative indices count from the end, once."""
    count: Any = indices_or_sections
    if np.isscalar(count) or getattr(count, "ndim", 1) == 0:
        sections = operator.index(indices_or_sections)
        if sections <= 0:
            raise ValueError("number sections must be larger than 0.")
        return sections
    length = ary.shape[axis]
    return [i if i >= 0 else max(length + i, 0) for i in (operator.index(i) for i in indices_or_sections)]


def array_split(ary: Shadow, indices_or_sections: Any, axis: int = 0) -> list[Shadow]:
    if not -ary.ndim <= axis < ary.ndim:
        raise IndexError("Axis exceeds ndim")
    axis = normalize_axis_index(axis, ary.ndim)
    return list(np.array_split(ary, _sections(ary, indices_or_sections, axis), axis))


def split(ary: Shadow, indices_or_sections: Any, axis: int = 0) -> list[Shadow]:
    if not -ary.ndim <= axis < ary.ndim:
        raise IndexError("Axis exceeds ndim")
    if np.isscalar(indices_or_sections) and ary.shape[axis] % indices_or_sections:
        raise ValueError(
            "indices_or_sections must divide the size along the axes.\n"
            "If you want to split the array into non-equally-sized arrays, use array_split instead."
        )
    return array_split(ary, indices_or_sections, axis)


def hsplit(ary: Shadow, indices_or_sections: Any) -> list[Shadow]:
    if ary.ndim == 0:
        raise ValueError("Cannot hsplit a zero-dimensional array")
    return split(ary, indices_or_sections, 0 if ary.ndim == 1 else 1)


def vsplit(ary: Shadow, indices_or_sections: Any) -> list[Shadow]:
    if ary.ndim <= 1:
        raise ValueError("Cannot vsplit an array with less than 2 dimensions")
    return split(ary, indices_or_sections, 0)


def dsplit(ary: Shadow, indices_or_sections: Any) -> list[Shadow]:
    if ary.ndim <= 2:
        raise ValueError("Cannot dsplit an array with less than 3 dimensions")
    return split(ary, indices_or_sections, 2)


def real(val: Shadow) -> Shadow:
    return val.real


def flip(m: Shadow, axis: Any = None) -> Shadow:
    # NumPy's own gives a scalar for an array of no dimension.
    return np.flip(m, axis) if m.ndim or axis is not None else m[...]


#: Always a view. `ndarray` methods and properties of the same name (T, swapaxes, squeeze, diagonal, real) are these.
VIEW_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "transpose": transpose,
    "permute_dims": transpose,
    "matrix_transpose": matrix_transpose,
    "linalg.matrix_transpose": matrix_transpose,
    "swapaxes": np.swapaxes,
    "moveaxis": np.moveaxis,
    "rollaxis": rollaxis,
    "squeeze": np.squeeze,
    "expand_dims": expand_dims,
    "broadcast_to": broadcast_to,
    "broadcast_arrays": broadcast_arrays,
    "atleast_1d": atleast(1),
    "atleast_2d": atleast(2),
    "atleast_3d": atleast(3),
    "flip": flip,
    "fliplr": np.fliplr,
    "flipud": np.flipud,
    "rot90": rot90,
    "array_split": array_split,
    "split": split,
    "hsplit": hsplit,
    "vsplit": vsplit,
    "dsplit": dsplit,
    "diagonal": np.diagonal,
    "real": real,
}


def resolve_shape(a: Any, newshape: Any) -> tuple[int, ...]:
    """A reshape's target with its -1 filled in. `a` is a shadow or a Spec.

    Raises:
        ValueError: sizes do not match, or more than one -1.
    """
    if isinstance(newshape, (int, np.integer)):
        newshape = (newshape,)
    shape = tuple(operator.index(n) for n in newshape)
    unknown = [i for i, n in enumerate(shape) if n < 0]
    if len(unknown) > 1:
        raise ValueError("can only specify one unknown dimension")
    known = prod(n for n in shape if n >= 0)
    if unknown and known and a.size % known == 0:
        i = unknown[0]
        return (*shape[:i], a.size // known, *shape[i + 1 :])
    if unknown or known != a.size:
        raise ValueError(f"cannot reshape array of size {a.size} into shape {shape}")
    return shape


def packed_order(a: Any, order: str | None) -> str:
    """'C' or 'F' for an order argument; `a` is a shadow or a Spec."""
    order = "C" if order is None else str(order)
    letter = {"C": "C", "c": "C", "F": "F", "f": "F", "A": "A", "a": "A"}.get(order)
    if letter is None:
        raise ValueError(f"order must be one of 'C', 'F', or 'A' (got {order!r})")
    if letter != "A":
        return letter
    flags = getattr(a, "flags", a)
    return "F" if flags.f_contiguous and not flags.c_contiguous else "C"


def reshape(a: Shadow, newshape: Any, order: str = "C", *, copy: bool | None = None) -> Shadow | None:
    if isinstance(copy, str):
        raise ValueError("strings are not allowed for 'copy' keyword. Use True/False/None instead.")
    if order in ("K", "k"):
        raise ValueError("order 'K' is not permitted for reshaping")
    view = reshaped_view(a, resolve_shape(a, newshape), packed_order(a, order))
    if view is None and copy is not None and not copy:
        raise ValueError("Unable to avoid creating a copy while reshaping.")
    return None if copy else view


def k_order_axes(strides: tuple[int, ...]) -> list[int]:
    """Axes from the slowest to the fastest, as order 'K' walks an array: stable, axes of stride 0 where they stand."""
    axes: list[int] = []
    for axis in reversed(range(len(strides))):
        position, stride = 0, abs(strides[axis])
        for k, other in enumerate(axes):
            other_stride = abs(strides[other])
            if stride == 0:
                break
            if other_stride == 0:
                continue
            if other_stride <= stride:
                break
            position = k + 1
        axes.insert(position, axis)
    return axes


def ravel(a: Shadow, order: str = "C") -> Shadow | None:
    if order in ("K", "k"):
        view = reshaped_view(a.transpose(k_order_axes(a.strides)), (a.size,))
    else:
        view = reshaped_view(a, (a.size,), packed_order(a, order))
    return view if view is not None and view.flags.c_contiguous else None


def ascontiguousarray(a: Shadow, dtype: Any = None) -> Shadow | None:
    same = dtype is None or np.dtype(dtype) == a.dtype
    if not same or not a.flags.c_contiguous:
        return None
    return a.reshape(1) if a.ndim == 0 else a


def asfortranarray(a: Shadow, dtype: Any = None) -> Shadow | None:
    same = dtype is None or np.dtype(dtype) == a.dtype
    if not same or not a.flags.f_contiguous:
        return None
    return a.reshape(1) if a.ndim == 0 else a


def imag(val: Shadow) -> Shadow | None:
    return val.imag if val.dtype.kind == "c" else None


def einsum(*operands: Any, **kwargs: Any) -> Shadow | None:
    from cupool.contract.ops.rules.einsum import einsum_view

    return einsum_view(*operands, **kwargs)


#: A view where the memory allows it; else None, and the row of the same name makes the copy.
MAYBE_VIEW: dict[str, Callable[..., Any]] = {
    "reshape": reshape,
    "ravel": ravel,
    "ascontiguousarray": ascontiguousarray,
    "asfortranarray": asfortranarray,
    "imag": imag,
    "einsum": einsum,
}
