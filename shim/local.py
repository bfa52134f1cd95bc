"""Questions about shapes, dtypes and memory ranges: answered here, nothing is sent.

Boundary: NumPy's own functions see shadows or dtypes in place of arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops._row import Row, call_arguments

from . import dispatch


def _dtypes(value: Any) -> Any:
    """Arrays (and objects that hold one) as their dtype, for promotion."""
    if isinstance(value, dispatch.ndarray):
        return value.dtype
    convert = getattr(value, "__cupy_get_ndarray__", None)
    return value if convert is None else convert().dtype


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """As `numpy.result_type`; arrays count by dtype, Python scalars are weak."""
    return np.result_type(*map(_dtypes, arrays_and_dtypes))


def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    """As `numpy.can_cast`."""
    return bool(np.can_cast(_dtypes(from_), to, casting))


def common_type(*arrays: Any) -> Any:
    """As `numpy.common_type`. float16 when there is nothing to compare."""
    if not arrays:
        return np.float16
    wanted = np.float16
    for a in arrays:
        kind = a.dtype if hasattr(a, "dtype") else np.asarray(a).dtype
        if kind.kind == "b":
            raise TypeError("can't get common type for non-numeric array")
        wanted = np.promote_types(wanted, np.float64 if kind.kind in "iu" else kind).type
    return wanted


def min_scalar_type(a: Any) -> np.dtype[Any]:
    """As `numpy.min_scalar_type`; an array's is its dtype."""
    if isinstance(a, dispatch.ndarray):
        return a.dtype  # type: ignore[no-any-return]
    if isinstance(a, (list, tuple)):
        from .convert import array

        if any(isinstance(item, dispatch.ndarray) for item in a):
            return array(a).dtype  # type: ignore[no-any-return]
    return np.min_scalar_type(a)


def ndim(a: Any) -> int:
    """As `numpy.ndim`."""
    return int(a.ndim) if isinstance(a, dispatch.ndarray) else int(np.ndim(a))


def shape(a: Any) -> tuple[int, ...]:
    """As `numpy.shape`."""
    return a.shape if isinstance(a, dispatch.ndarray) else np.shape(a)


def size(a: Any, axis: int | None = None) -> int:
    """As `numpy.size`."""
    if not isinstance(a, dispatch.ndarray):
        return int(np.size(a, axis))
    if axis is None:
        return int(a.size)
    if not -a.ndim <= axis < a.ndim:
        raise IndexError("index out of range")
    return int(a.shape[axis])


def as_numpys(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy's that knows nothing of arrays, under a docstring of ours and with its signature."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    call.__doc__ = f"As `numpy.{function.__name__}`."
    call.__module__ = "cupy"
    return call


isscalar = as_numpys(np.isscalar)


def iscomplexobj(x: Any) -> bool:
    """Whether the dtype is complex."""
    return x.dtype.kind == "c" if isinstance(x, dispatch.ndarray) else bool(np.iscomplexobj(x))


def isrealobj(x: Any) -> bool:
    """Whether the dtype is not complex."""
    return not iscomplexobj(x)


def isfortran(a: Any) -> bool:
    """Whether the array is Fortran-contiguous and not C-contiguous."""
    return bool(a.flags.fnc)


def broadcast_shapes(*args: Any) -> tuple[int, ...]:
    """As `numpy.broadcast_shapes`."""
    return np.broadcast_shapes(*args)


def _root(a: Any) -> Any:
    base = a._base
    return a if base is None else base


def _reach(a: Any) -> tuple[int, int]:
    """First and last byte + 1, from the root's first element."""
    spec = a._resolve()
    low = high = a._offset
    if not spec.size:
        return low, high
    for n, stride in zip(spec.shape, spec.strides, strict=True):
        step = stride * (n - 1)
        if step < 0:
            low += step
        else:
            high += step
    return low, high + spec.itemsize


def may_share_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    """Whether the bytes that two arrays reach over meet."""
    if max_work is not None:
        raise NotImplementedError("Only supports for `max_work` is `None`")
    if not isinstance(a, dispatch.ndarray) or not isinstance(b, dispatch.ndarray):
        return False
    if _root(a) is not _root(b) or not a.size or not b.size:
        return False
    (a_low, a_high), (b_low, b_high) = _reach(a), _reach(b)
    return a_low < b_high and b_low < a_high


def shares_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    """Whether two arrays have an element's byte in common; solved by NumPy on addresses alone."""
    if not may_share_memory(a, b, None):
        return False
    return bool(np.shares_memory(_addressed(a), _addressed(b)))


class _Addressed:
    """The layout of an array at its offset; NumPy never reads it."""

    def __init__(self, a: Any) -> None:
        spec = a._resolve()
        # A made-up, well-aligned address: only differences count.
        self.__array_interface__ = {
            "shape": spec.shape, "typestr": f"|V{spec.itemsize}", "strides": spec.strides, "data": ((1 << 40) + a._offset, True),
            "version": 3,
        }  # fmt: skip


def _addressed(a: Any) -> np.ndarray[Any, Any]:
    return np.asarray(_Addressed(a))


def byte_bounds(a: Any) -> tuple[int, int]:
    """Addresses of the first byte and the one past the last. Waits for the address."""
    low, high = _reach(a)
    start = a.data.ptr - a._offset
    return start + low, start + high


#: LOCAL rows by name.
ANSWERS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        result_type, can_cast, common_type, min_scalar_type, ndim, shape, size, isscalar, iscomplexobj, isrealobj, isfortran,
        broadcast_shapes, may_share_memory, shares_memory, byte_bounds,
    )
}  # fmt: skip


def answer(row: Row, args: tuple[Any, ...]) -> Any:
    """The answer of a LOCAL row: ours, else NumPy's on shadows."""
    positional, keywords = call_arguments(row, args)
    known = ANSWERS.get(row.name)
    if known is not None:
        return known(*positional, **keywords)
    function: Any = np
    for part in row.name.split("."):
        function = getattr(function, part)
    return function(*map(_shadow, positional), **{name: _shadow(value) for name, value in keywords.items()})


def _shadow(value: Any) -> Any:
    return value._resolve().shadow if isinstance(value, dispatch.ndarray) else value
