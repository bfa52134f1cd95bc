"""Rules of `cupy.fft`. float16, float32 and complex64 keep single precision; integers become double."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops._row import Same
from cupool.contract.ops.rules._arrays import as_spec, packed, to_axis
from cupool.contract.ops.rules.common import layout
from cupool.contract.spec import Spec

_NORMS = (None, "backward", "ortho", "forward")


def complex_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The complex dtype of a transform of `dtype`."""
    return np.dtype(np.complex64 if dtype.char in "efF" else np.complex128)


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The real dtype of the same precision."""
    return np.dtype(np.float32 if dtype.char in "efF" else np.float64)


def _cast_back(a: Spec, result: Spec, single_axis: bool) -> Spec:
    """CuPy's inverse real transforms along one axis give float16 for float16."""
    return packed(result.shape, a.dtype) if single_axis and a.dtype == np.float16 else result


def _check(a: Any, norm: Any) -> Spec:
    if not isinstance(a, Spec):
        raise TypeError("The input array a must be a cupy.ndarray")
    if norm not in _NORMS:
        raise ValueError(f'Invalid norm value {norm}, should be "backward", "ortho", or "forward".')
    return a


def _with(shape: tuple[int, ...], axis: int, n: int) -> tuple[int, ...]:
    if n < 1:
        raise ValueError(f"Invalid number of FFT data points ({n}) specified.")
    return (*shape[:axis], n, *shape[axis + 1 :])


def one(kind: str) -> Callable[..., Spec]:
    """A transform along one axis. `kind`: c2c, r2c, c2r, and the Hermitian ones hfft (real result) and ihfft."""

    def rule(a: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Spec:
        a = _check(a, norm)
        axis = to_axis(operator.index(axis), a.ndim)
        points = a.shape[axis] if n is None else operator.index(n)
        if kind in ("r2c", "ihfft"):
            # CuPy drops the imaginary part of complex input.
            return packed(_with(_with(a.shape, axis, points), axis, points // 2 + 1), complex_dtype(a.dtype))
        if kind in ("c2r", "hfft"):
            points = 2 * (a.shape[axis] - 1) if n is None else points
            return _cast_back(a, packed(_with(a.shape, axis, points), real_dtype(a.dtype)), True)
        return packed(_with(a.shape, axis, points), complex_dtype(a.dtype))

    rule.rule_name = f"fft_{kind}"  # type: ignore[attr-defined]
    return rule


def _sizes(a: Spec, s: Any, axes: Any) -> tuple[list[int], list[Any]]:
    """(axes, sizes) of a transform along several axes; a size is None where `s` does not give it."""
    if s is not None:
        s = [None if n is None else operator.index(n) for n in s]
    if axes is None:
        axes = range(a.ndim) if s is None else range(a.ndim - len(s), a.ndim)
    axes = [to_axis(operator.index(axis), a.ndim) for axis in axes]
    if s is not None and len(s) != len(axes):
        raise ValueError("Shape and axes have different lengths.")
    return axes, [None] * len(axes) if s is None else s


def several(kind: str, default_axes: Any = None) -> Callable[..., Any]:
    """A transform along several axes; real ones halve the last of them."""

    def rule(a: Any, s: Any = None, axes: Any = default_axes, norm: Any = None) -> Any:
        a = _check(a, norm)
        single_axis = axes is not None and len(axes) == 1
        axes, sizes = _sizes(a, s, axes)
        if not axes:
            if kind != "c2c":
                raise IndexError("list index out of range")
            return Same("a")
        shape = a.shape
        for axis, n in zip(axes, sizes, strict=True):
            shape = _with(shape, axis, shape[axis] if n is None else n)
        last = axes[-1]
        if kind == "r2c":
            return packed(_with(shape, last, shape[last] // 2 + 1), complex_dtype(a.dtype))
        if kind == "c2r":
            points = 2 * (a.shape[last] - 1) if sizes[-1] is None else sizes[-1]
            return _cast_back(a, packed(_with(shape, last, points), real_dtype(a.dtype)), single_axis)
        return packed(shape, complex_dtype(a.dtype))

    rule.rule_name = f"fftn_{kind}_{default_axes}"  # type: ignore[attr-defined]
    return rule


def freq(half: bool) -> Callable[..., Spec]:
    """fftfreq and rfftfreq."""

    def rule(n: Any, d: Any = 1.0) -> Spec:
        n = operator.index(n)
        if n == 0:
            raise ZeroDivisionError("division by zero")
        return packed((n // 2 + 1 if half else n,), np.float64)

    rule.rule_name = f"fftfreq_{'r' if half else 'c'}"  # type: ignore[attr-defined]
    return rule


def shift(x: Any, axes: Any = None) -> Spec:
    x = as_spec(x)
    for axis in range(x.ndim) if axes is None else (axes,) if isinstance(axes, (int, np.integer)) else axes:
        to_axis(operator.index(axis), x.ndim)
    return layout(x, "K", x.dtype)
