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
    from .convert import array, as_device

    device = as_device(a)
    if device is not None:
        return device.dtype  # type: ignore[no-any-return]
    if isinstance(a, (list, tuple)) and any(as_device(item) is not None for item in a):
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


def _location(a: Any) -> tuple[Any, int]:
    """What stands for the memory that an array lies in, and the bytes from its start to the array's first element."""
    root, offset = (a, 0) if a._base is None else (a._root, a._shift)
    place = getattr(root, "_place", None)
    if place is None:
        return root, offset
    memory, start = place
    key, inner = memory.root()
    return key, inner + start + offset


def _reach(a: Any) -> tuple[int, int]:
    """First and last byte + 1 of what an array reaches over, from its first element."""
    spec = a._resolve()
    low = high = 0
    if not spec.size:
        return low, high
    for n, stride in zip(spec.shape, spec.strides, strict=True):
        step = stride * (n - 1)
        if step < 0:
            low += step
        else:
            high += step
    return low, high + spec.itemsize


def _offsets(a: Any, b: Any) -> tuple[int, int] | None:
    """Where two arrays begin, counted from one point; None when their memory has none in common. Memory that is known by its address
    alone is compared by addresses, which waits for them."""
    (a_key, a_offset), (b_key, b_offset) = _location(a), _location(b)
    if a_key is b_key and a_key is not None:
        return a_offset, b_offset
    if a_key is not None and b_key is not None:
        return None
    return a.data.ptr, b.data.ptr


def may_share_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    """Whether the bytes that two arrays reach over meet."""
    if max_work is not None:
        raise NotImplementedError("Only supports for `max_work` is `None`")
    if not isinstance(a, dispatch.ndarray) or not isinstance(b, dispatch.ndarray):
        return False
    if not a.size or not b.size:
        return False
    starts = _offsets(a, b)
    if starts is None:
        return False
    (a_low, a_high), (b_low, b_high) = _reach(a), _reach(b)
    return starts[0] + a_low < starts[1] + b_high and starts[1] + b_low < starts[0] + a_high


def shares_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    """Whether two arrays have an element's byte in common; solved by NumPy on addresses alone."""
    if not may_share_memory(a, b, None):
        return False
    starts = _offsets(a, b)
    assert starts is not None
    least = min(starts)
    return bool(np.shares_memory(_addressed(a, starts[0] - least), _addressed(b, starts[1] - least)))


class _Addressed:
    """The layout of an array at an offset; NumPy never reads it."""

    def __init__(self, a: Any, offset: int) -> None:
        spec = a._resolve()
        # A made-up, well-aligned address: only differences count.
        self.__array_interface__ = {
            "shape": spec.shape, "typestr": f"|V{spec.itemsize}", "strides": spec.strides, "data": ((1 << 40) + offset, True),
            "version": 3,
        }  # fmt: skip


def _addressed(a: Any, offset: int) -> np.ndarray[Any, Any]:
    return np.asarray(_Addressed(a, offset))


def byte_bounds(a: Any) -> tuple[int, int]:
    """Addresses of the first byte and the one past the last. Waits for the address."""
    low, high = _reach(a)
    start = a.data.ptr
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
