"""Rules of `cupy.fft`. float16, float32 and complex64 keep single precision; integers become double.

Results lie in memory as CuPy's do: one axis after the other, each brought to the end, transformed, and brought back; or several
neighbouring axes at once, in the order of the input.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops._row import Same
from cupool.contract.ops.rules._arrays import as_spec, packed, to_axis
from cupool.contract.ops.rules.common import layout
from cupool.contract.spec import Spec, spec_of

_NORMS = (None, "backward", "ortho", "forward")


def complex_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The complex dtype of a transform of `dtype`."""
    return np.dtype(np.complex64 if dtype.char in "efF" else np.complex128)


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The real dtype of the same precision."""
    return np.dtype(np.float32 if dtype.char in "efF" else np.float64)


def _along(shape: tuple[int, ...], dtype: np.dtype[Any], axis: int) -> Spec:
    """A new array that is packed when `axis` is brought to the end."""
    order = list(range(len(shape)))
    order[axis], order[-1] = order[-1], order[axis]
    found = packed([shape[i] for i in order], dtype)
    return spec_of(shape, dtype, tuple(found.strides[i] for i in order))


def _cast_back(a: Spec, result: Spec, single_axis: bool) -> Spec:
    """CuPy's inverse real transforms along one axis give float16 for float16."""
    if not single_axis or a.dtype != np.float16:
        return result
    return spec_of(result.shape, a.dtype, tuple(s * 2 // result.itemsize for s in result.strides))


def at_once(ndim: int, f_contiguous: bool, axes: list[int], kind: str) -> bool:
    """Whether CuPy transforms these axes by one plan: up to three neighbours at one end.

    Args:
        ndim: dimensions of the operand.
        f_contiguous: whether the operand is.
        axes: as the caller ordered them, none negative.
        kind: c2c, r2c or c2r.
    """
    if ndim == 1 or len(axes) not in (2, 3) or (f_contiguous and kind != "c2c"):
        return False
    found = sorted(axes) if kind == "c2c" else [*sorted(axes[:-1]), axes[-1]]
    neighbours = all(found[i + 1] - found[i] == 1 for i in range(len(found) - 1))
    return neighbours and (0 in found or ndim - 1 in found)


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
            return _along(_with(_with(a.shape, axis, points), axis, points // 2 + 1), complex_dtype(a.dtype), axis)
        if kind in ("c2r", "hfft"):
            points = 2 * (a.shape[axis] - 1) if n is None else points
            return _cast_back(a, _along(_with(a.shape, axis, points), real_dtype(a.dtype), axis), True)
        return _along(_with(a.shape, axis, points), complex_dtype(a.dtype), axis)

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
        by_one_plan = at_once(a.ndim, a.f_contiguous, axes, kind)
        if kind == "r2c":
            shape = _with(shape, last, shape[last] // 2 + 1)
            dtype = complex_dtype(a.dtype)
        elif kind == "c2r":
            points = 2 * (a.shape[last] - 1) if sizes[-1] is None else sizes[-1]
            shape, dtype = _with(shape, last, points), real_dtype(a.dtype)
        else:
            dtype = complex_dtype(a.dtype)
        if by_one_plan:
            return packed(shape, dtype, "F" if a.f_contiguous and not a.c_contiguous else "C")
        # The halved axis of a real transform comes first, that of an inverse one last.
        result = _along(shape, dtype, axes[-2] if kind == "r2c" and len(axes) > 1 else last)
        return _cast_back(a, result, single_axis) if kind == "c2r" else result

    rule.rule_name = f"fftn_{kind}_{default_axes}"  # type: ignore[attr-defined]
    return rule


def freq(half: bool) -> Callable[..., Spec]:
    """fftfreq and rfftfreq."""

    def rule(n: Any, d: Any = 1.0) -> Spec:
        n = operator.index(n)
        return packed((max(n // 2 + 1 if half else n, 0),), np.float64)

    rule.rule_name = f"fftfreq_{'r' if half else 'c'}"  # type: ignore[attr-defined]
    return rule


def shift(x: Any, axes: Any = None) -> Spec:
    x = as_spec(x)
    for axis in range(x.ndim) if axes is None else (axes,) if isinstance(axes, (int, np.integer)) else axes:
        to_axis(operator.index(axis), x.ndim)
    return layout(x, "K", x.dtype)
