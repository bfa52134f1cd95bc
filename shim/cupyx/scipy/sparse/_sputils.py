"""What sparse matrices check about shapes, axes, dtypes and scalars, with CuPy's messages."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ....array import ndarray
from ....local import isscalar

#: dtype characters of the elements that a sparse matrix may have.
_DATA_KINDS = frozenset("?fdFD")
_INT32_MAX = int(np.iinfo(np.int32).max)
_FLOATS = tuple(np.dtype(c) for c in "fdFD")


def is_sparse_data_dtype(dtype: Any) -> bool:
    """Whether a sparse matrix may have elements of this dtype."""
    return np.dtype(dtype).char in _DATA_KINDS


def check_data_dtype(dtype: np.dtype[Any]) -> None:
    """Raises ValueError, as CuPy, for a dtype that no sparse matrix has."""
    if dtype.char not in _DATA_KINDS:
        raise ValueError("Only bool, float32, float64, complex64 and complex128 are supported")


def isdense(x: Any) -> bool:
    """Whether `x` is an array on the device."""
    return isinstance(x, ndarray)


def isscalarlike(x: Any) -> bool:
    """A scalar, or an array on the device without dimensions."""
    return isscalar(x) or (isinstance(x, ndarray) and x.ndim == 0)


def isintlike(x: Any) -> bool:
    """Whether `x` stands for an integer."""
    try:
        operator.index(x)
    except TypeError:
        pass
    else:
        return True
    if getattr(x, "ndim", 0) != 0:
        return False
    try:
        return bool(int(x) == x)
    except (TypeError, ValueError):
        return False


def isshape(x: Any, allow_nd: tuple[int, ...] = (2,)) -> bool:
    """Whether `x` is a tuple of as many integers as `allow_nd` says; they may be negative."""
    return (
        isinstance(x, tuple)
        and len(x) in allow_nd
        and all(type(v) is int or (not isinstance(v, tuple) and isintlike(v)) for v in x)
    )


def as_shape(shape: Any, allow_nd: tuple[int, ...] = (2,)) -> tuple[int, ...]:
    """A shape as a tuple of ints. Raises ValueError with CuPy's text."""
    what = "a 2-tuple of int" if allow_nd == (2,) else f"a tuple of int with length in {allow_nd}"
    try:
        given = tuple(shape)
    except TypeError:
        raise ValueError(f"invalid shape (must be {what})") from None
    if not isshape(given, allow_nd):
        raise ValueError(f"invalid shape (must be {what})")
    made = tuple(int(v) for v in given)
    if any(v < 0 for v in made):
        raise ValueError("'shape' elements cannot be negative")
    return made


def check_input_ndim(shape: Any, ndim: int) -> None:
    """Raises ValueError for a shape that disagrees with a whole array's number of dimensions."""
    if shape is not None and len(shape) != ndim:
        raise ValueError(f"cannot use a {len(shape)}-D shape {tuple(shape)} with a {ndim}-D input array")


def check_shape(args: Any, current_shape: Any = None, *, allow_nd: tuple[int, ...] = (2,)) -> tuple[int, ...]:
    """The new shape that `reshape(*args)` means.

    Raises:
        ValueError: it does not fit the current shape, is negative, or has too many dimensions.
        TypeError: no argument, or one that is no integer.
    """
    if len(args) == 0:
        raise TypeError("function missing 1 required positional argument: 'shape'")
    if len(args) == 1:
        shape = tuple(map(operator.index, args[0])) if np.iterable(args[0]) else (operator.index(args[0]),)
    else:
        shape = tuple(map(operator.index, args))
    if current_shape is None:
        if len(shape) in allow_nd and any(n < 0 for n in shape):
            raise ValueError("'shape' elements cannot be negative")
    else:
        shape = _completed(shape, current_shape)
    if len(shape) not in allow_nd:
        raise ValueError(f"shape must have length in {allow_nd}. Got new_shape={shape}")
    return shape


def _completed(shape: tuple[int, ...], current: tuple[int, ...]) -> tuple[int, ...]:
    """With its one negative length, if any, computed."""
    size = _prod(current)
    unknown = [i for i, n in enumerate(shape) if n < 0]
    if not unknown:
        if _prod(shape) != size:
            raise ValueError(f"cannot reshape array of size {size} into shape {shape}")
        return shape
    if len(unknown) > 1:
        raise ValueError("can only specify one unknown dimension")
    (where,) = unknown
    rest = shape[:where] + shape[where + 1 :]
    known = _prod(rest)
    if not known or size % known:
        shown = tuple("newshape" if n < 0 else n for n in shape)
        raise ValueError(f"cannot reshape array of size {size} into shape {shown}")
    return (*shape[:where], size // known, *shape[where + 1 :])


def _prod(shape: tuple[int, ...]) -> int:
    made = 1
    for n in shape:
        made *= n
    return made


def index_type(largest: int) -> Any:
    """int32, or int64 where numbers up to `largest` need it."""
    return np.int64 if largest > _INT32_MAX else np.int32


def get_index_dtype(arrays: Any = (), maxval: Any = None, check_contents: bool = False) -> Any:
    """The dtype that holds the indices in `arrays` and numbers up to `maxval`: int32 or int64.

    With `check_contents` an array of a wider dtype is looked at: that waits.
    """
    if maxval is not None and maxval > _INT32_MAX:
        return np.int64
    if isinstance(arrays, ndarray):
        arrays = (arrays,)
    for array in arrays:
        if not isinstance(array, ndarray):
            from ....convert import asarray

            array = asarray(array)
        if np.can_cast(array.dtype, np.int32):
            continue
        if not check_contents or not _fits_int32(array):
            return np.int64
    return np.int32


def _fits_int32(array: Any) -> bool:
    if array.dtype.kind not in "iu":
        return bool(array.size == 0)
    from . import _ops

    low, high = _ops.bounds((array,))
    return low >= -_INT32_MAX - 1 and high <= _INT32_MAX


def safely_cast_index_arrays(A: Any, idx_dtype: Any = np.int32, msg: str = "") -> Any:
    """The index arrays of `A` as `idx_dtype`: (indices, indptr), (row, col), or offsets. Waits where it must look.

    Raises:
        ValueError: an index does not fit.
    """
    from . import _ops

    idx_dtype = np.dtype(idx_dtype)
    msg = msg or f"dtype {idx_dtype}"
    largest = int(np.iinfo(idx_dtype).max)
    names = {
        "csr": ("indices", "indptr"),
        "csc": ("indices", "indptr"),
        "coo": ("row", "col"),
        "dia": ("offsets",),
    }.get(A.format)
    if names is None:
        raise TypeError(f"Format {A.format} is not associated with index arrays.")
    arrays = tuple(getattr(A, name) for name in names)
    found = _ops.bounds(arrays)[1::2] if max(A.shape) > largest or "indptr" in names else ()
    for name, high in zip(names, found, strict=False):
        if high > largest:
            what = {"row": "coords", "col": "coords"}.get(name, name)
            raise ValueError(f"{what} values too large for {msg}")
    cast = tuple(as_dtype(array, idx_dtype) for array in arrays)
    return cast if len(cast) > 1 else cast[0]  # pyright: ignore


def as_dtype(array: Any, dtype: Any) -> Any:
    """`array`, or a copy of it as another dtype. Never waits."""
    return array if array.dtype == dtype else array.astype(dtype)


def validateaxis(axis: Any) -> None:
    """Raises TypeError and ValueError for an axis that a matrix does not have."""
    if axis is None:
        return
    if isinstance(axis, tuple):
        raise TypeError(
            "Tuples are not accepted for the 'axis' parameter. Please pass in one of the following: {-2, -1, 0, 1, None}."
        )
    if not isinstance(axis, (int, np.integer)):
        raise TypeError(f"axis must be an integer, not {type(axis).__name__}")
    if not -2 <= axis <= 1:
        raise ValueError("axis out of range")


def validate_axis_1d(axis: Any) -> None:
    """Raises for an axis that an array of one dimension does not have."""
    if isinstance(axis, tuple):
        if len(axis) != 1:
            raise ValueError("axis out of range for 1-D array")
        axis = operator.index(axis[0])
    if axis not in (None, 0, -1):
        raise ValueError(f"axis {axis} is out of bounds for 1-D array")


def collapse_2d_axis(axis: Any) -> Any:
    """A tuple of axes as one axis or None (both). Raises ValueError, TypeError."""
    if not isinstance(axis, tuple):
        return axis
    axes = [operator.index(a) for a in axis]
    if len(axes) == 1:
        return axes[0]
    if len(axes) == 2 and {a % 2 if -2 <= a <= 1 else a for a in axes} == {0, 1}:
        return None
    raise ValueError("axis out of range for 2-D reduction")


def upcast(*dtypes: Any) -> np.dtype[Any]:
    """The nearest floating dtype of a sparse matrix that holds all of `dtypes`. Raises TypeError."""
    common = np.result_type(*dtypes)
    for dtype in _FLOATS:
        if np.can_cast(common, dtype):
            return dtype
    raise TypeError(f"no supported conversion for types: {dtypes!r}")
