"""Arrays from host data. What NumPy reads or computes on the host is uploaded."""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any

import numpy as np

from .. import convert, dispatch
from .._generated import functions

array = convert.array


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: bool | None = None, blocking: bool = False) -> Any:
    """As `cupy.asarray`."""
    return convert.array(a, dtype, copy, order, blocking=blocking)


def asanyarray(
    a: Any, dtype: Any = None, order: Any = None, *, copy: bool | None = None, blocking: bool = False
) -> Any:
    """As `cupy.asanyarray`."""
    return convert.array(a, dtype, copy, order, blocking=blocking)


def _contiguous(name: str, order: str) -> Any:
    row_function = getattr(functions, name)

    def function(a: Any, dtype: Any = None) -> Any:
        device = convert.as_device(a)
        if device is None:
            return convert.array(a, dtype=dtype, copy=None, order=order, ndmin=1)
        return row_function(device, dtype)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"As `cupy.{name}`."
    return function


ascontiguousarray = _contiguous("ascontiguousarray", "C")
asfortranarray = _contiguous("asfortranarray", "F")


def copy(a: Any, order: Any = "K") -> Any:
    """As `cupy.copy`."""
    return a.copy(order=order) if isinstance(a, dispatch.ndarray) else convert.array(a, copy=True, order=order)


def asarray_chkfinite(a: Any, dtype: Any = None, order: Any = None) -> Any:
    """As `cupy.asarray_chkfinite`. Waits."""
    a = asarray(a, dtype=dtype, order=order)
    if a.dtype.kind in "fc" and not bool(functions.isfinite(a).all()):
        raise ValueError("array must not contain Infs or NaNs")
    return a


def asfarray(a: Any, dtype: Any = np.float64) -> Any:
    """As `cupy.asfarray`."""
    if not np.issubdtype(np.dtype(dtype), np.inexact):
        dtype = np.float64
    return asarray(a, dtype)


def _from_numpy(name: str) -> Any:
    numpy_function = getattr(np, name)

    def function(*args: Any, **kwargs: Any) -> Any:
        return asarray(numpy_function(*args, **kwargs))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"As `numpy.{name}`, and the result is uploaded."
    return function


frombuffer = _from_numpy("frombuffer")
fromfile = _from_numpy("fromfile")
fromfunction = _from_numpy("fromfunction")
fromiter = _from_numpy("fromiter")
fromstring = _from_numpy("fromstring")
loadtxt = _from_numpy("loadtxt")
genfromtxt = _from_numpy("genfromtxt")


def from_dlpack(array: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    """As `cupy.from_dlpack`: the same memory where it is this device's; host memory is uploaded.

    Raises:
        DeviceMemoryElsewhere: memory of another library's device.
    """
    from .. import dlpack

    return dlpack.from_dlpack(array, device, copy)


def fromDlpack(dltensor: Any) -> Any:
    """Deprecated: `from_dlpack`."""
    from .. import dlpack

    text = "`fromDlpack` is deprecated. Use `cupy.from_dlpack` instead."
    warnings.warn(text, np.exceptions.VisibleDeprecationWarning, stacklevel=2)
    return dlpack.take(dltensor)


class _Grid:
    """`mgrid` and `ogrid`."""

    def __init__(self, sparse: bool) -> None:
        self.sparse = sparse

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return self._axis(key)
        if any(isinstance(v, dispatch.ndarray) for k in key for v in (k.start, k.stop)):
            return self._between_arrays(key)
        axes = [self._axis(k) for k in key]
        whole = any(isinstance(v, (float, complex)) for k in key for v in (k.start, k.stop, k.step))
        dtype = np.float64 if whole else np.int64
        shaped = [
            a.astype(dtype, copy=False).reshape((1,) * i + (-1,) + (1,) * (len(axes) - i - 1))
            for i, a in enumerate(axes)
        ]
        if self.sparse:
            return shaped
        full = np.broadcast_shapes(*(a.shape for a in shaped))
        return functions.stack([functions.broadcast_to(a, full) for a in shaped])

    def _axis(self, key: slice) -> Any:
        start = 0 if key.start is None else key.start
        if isinstance(key.step, complex):
            points = int(abs(key.step))
            step = (key.stop - start) / float(points - 1) if points != 1 else 1
            return functions.arange(0, points, 1, float) * step + start
        return functions.arange(start, key.stop, 1 if key.step is None else key.step)

    def _between_arrays(self, key: tuple[slice, ...]) -> Any:
        """Limits that are arrays: each coordinate is broadcast against them. Steps that are not imaginary look at the limits (a wait)."""
        sizes: list[int] = []
        steps: list[Any] = []
        starts: list[Any] = []
        dtype: np.dtype[Any] = np.dtype(np.int64)
        for k in key:
            start, step = 0 if k.start is None else k.start, 1 if k.step is None else k.step
            if isinstance(step, complex):
                points = int(abs(step))
                step = (k.stop - start) / float(points - 1) if points != 1 else 1
                dtype = np.dtype(np.float64)
            else:
                points = math.ceil(float((k.stop - start) / step))
                if any(isinstance(v, float) for v in (start, k.stop, step)):
                    dtype = np.dtype(np.float64)
            sizes.append(points)
            steps.append(step)
            starts.append(start)
        if not self.sparse:
            grid = functions.indices(sizes, dtype)
            for i, (step, start) in enumerate(zip(steps, starts, strict=True)):
                grid[i] = grid[i] * step + start
            return grid
        places = [tuple(slice(None) if j == i else None for j in range(len(sizes))) for i in range(len(sizes))]
        return [
            (functions.arange(n, dtype=dtype) * step + start)[place]
            for n, step, start, place in zip(sizes, steps, starts, places, strict=True)
        ]

    def __len__(self) -> int:
        return 0


mgrid = _Grid(sparse=False)
ogrid = _Grid(sparse=True)


class _Joiner:
    """`r_` and `c_`: arrays and scalars written side by side."""

    def __init__(self, axis: int, ndmin: int, column: bool) -> None:
        self._axis, self._ndmin, self._column = axis, ndmin, column

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            raise NotImplementedError
        parts: list[Any] = []
        scalars: list[int] = []
        for i, item in enumerate(key if isinstance(key, tuple) else (key,)):
            if isinstance(item, (slice, str)):
                raise NotImplementedError
            if type(item) in np.ScalarType:
                scalars.append(i)
                parts.append(item)
                continue
            a = convert.array(item, copy=None)
            if a.ndim < self._ndmin:
                missing = (1,) * (self._ndmin - a.ndim)
                a = a.reshape(a.shape + missing if self._column else missing + a.shape)
            parts.append(a)
        dtype = np.result_type(*(p.dtype if isinstance(p, dispatch.ndarray) else p for p in parts))
        for i in scalars:
            parts[i] = convert.array(parts[i], dtype=dtype, ndmin=self._ndmin)
        return functions.concatenate(tuple(parts), axis=self._axis)

    def __len__(self) -> int:
        return 0


r_ = _Joiner(0, 1, False)
c_ = _Joiner(-1, 2, True)

#: CuPy has these functions in private modules of the package `cupy._creation`, which tests of CuPy import.
from_data = sys.modules[__name__]
