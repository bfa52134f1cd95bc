"""Specs: the shape, dtype and strides of an array, interned, with a *shadow* that NumPy's own view code can run on.

Rules (`cupool.contract.ops.rules`) take specs and return specs. The shim keeps one spec per array; identity of specs is
equality, so caches are dicts keyed by spec.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

#: Most dimensions of an array, in CuPy and NumPy.
MAX_NDIM = 64
#: Bytes that no array reaches over, whatever its strides.
MAX_EXTENT = 1 << 62

#: How many specs are kept interned before all caches are dropped. A program whose shapes never repeat stays bounded.
MAX_INTERNED = 65_536


class _Cache(dict[Any, Any]):
    """A spec's memo of one kind; filled by whoever owns the kind."""

    __slots__ = ()


class Spec:
    """What a client knows of an array without asking.

    Attributes:
        shape: tuple of ints.
        dtype: numpy.dtype.
        strides: tuple of ints, bytes.
        size, ndim, nbytes, itemsize: as NumPy's (nbytes counts elements, also of broadcast views).
        c_contiguous, f_contiguous: as NumPy's flags.
        caches: memo dicts for the shim, name -> dict; dropped with the interning table.
    """

    __slots__ = (
        "__weakref__", "_shadow", "c_contiguous", "caches", "dtype", "f_contiguous", "itemsize", "nbytes", "ndim", "shape",
        "size", "strides",
    )  # fmt: skip

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...]

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], strides: tuple[int, ...]) -> None:
        self.shape = shape
        self.dtype = dtype
        self.strides = strides
        self.ndim = len(shape)
        size = 1
        for n in shape:
            size *= n
        self.size = size
        self.itemsize = dtype.itemsize
        self.nbytes = size * dtype.itemsize
        self.c_contiguous = size == 0 or is_packed(zip(reversed(shape), reversed(strides), strict=True), dtype.itemsize)
        self.f_contiguous = size == 0 or is_packed(zip(shape, strides, strict=True), dtype.itemsize)
        self._shadow: Any = None
        self.caches: dict[str, _Cache] = {}

    @property
    def shadow(self) -> Any:
        """A real `numpy.ndarray` of this shape, dtype and strides over one element of memory. Never read or write it."""
        shadow = self._shadow
        if shadow is None:
            one = np.zeros(1, self.dtype)
            shadow = self._shadow = as_strided(one, self.shape, self.strides)
        return shadow

    def cache(self, kind: str) -> _Cache:
        """The memo dict of one kind."""
        try:
            return self.caches[kind]
        except KeyError:
            return self.caches.setdefault(kind, _Cache())

    def __repr__(self) -> str:
        return f"Spec({self.shape}, {self.dtype}, strides={self.strides})"

    def __reduce__(self) -> Any:
        return (spec_of, (self.shape, self.dtype, self.strides))


def is_packed(dims: Any, itemsize: int) -> bool:
    """Whether `dims`, pairs of a length and a stride in bytes, innermost first, have no gaps."""
    expected = itemsize
    for n, stride in dims:
        if n != 1:
            if stride != expected:
                return False
            expected *= n
    return True


_interned: dict[Any, Spec] = {}


def c_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Strides of a new C-ordered array, as NumPy has them: all 0 where there is no element."""
    if 0 in shape:
        return (0,) * len(shape)
    strides = []
    step = itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def f_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Strides of a new Fortran-ordered array."""
    if 0 in shape:
        return (0,) * len(shape)
    strides = []
    step = itemsize
    for n in shape:
        strides.append(step)
        step *= n
    return tuple(strides)


def check_extent(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> None:
    """Raise ValueError for what no memory can hold: both ends refuse it, so that no command promises such an array."""
    extent = itemsize or 1
    for n, stride in zip(shape, strides, strict=True):
        extent *= max(n, 1)
        if extent >= MAX_EXTENT or abs(stride) * max(n, 1) >= MAX_EXTENT:
            raise ValueError(f"array is too big: shape {shape} with strides {strides} is larger than any memory")


def spec_of(shape: tuple[int, ...], dtype: Any, strides: tuple[int, ...] | None = None, order: str = "C") -> Spec:
    """The interned spec. `strides` None means packed in `order` ('C' or 'F').

    Raises:
        ValueError: too many dimensions, or larger than any memory.
    """
    dtype = np.dtype(dtype)
    if strides is None:
        strides = (f_strides if order == "F" else c_strides)(shape, dtype.itemsize)
    # dtype == ignores metadata and equal aliases; byte order is part of it.
    key = (shape, dtype, strides)
    spec = _interned.get(key)
    if spec is None:
        if len(shape) > MAX_NDIM:
            raise ValueError(f"maximum supported dimension for an ndarray is {MAX_NDIM}, found {len(shape)}")
        check_extent(shape, strides, dtype.itemsize)
        if len(_interned) >= MAX_INTERNED:
            forget_all()
        if dtype.char in "qQ":  # equal to 'l' and 'L', but of another scalar type: one of them, whoever came first
            dtype = np.dtype("l" if dtype.char == "q" else "L")
        spec = _interned.setdefault(key, Spec(tuple(int(n) for n in shape), dtype, tuple(int(s) for s in strides)))
    return spec


def forget_all() -> None:
    """Drop the interning table and every spec's memo. Arrays that live keep their specs."""
    for spec in list(_interned.values()):
        spec.caches.clear()
    _interned.clear()


def spec_like(array: Any) -> Spec:
    """The spec of a numpy array."""
    return spec_of(array.shape, array.dtype, array.strides)
