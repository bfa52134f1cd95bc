"""FFTs on NumPy's pocketfft, in the precision that CuPy computes in."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops.rules.fft import at_once

Array = np.ndarray[Any, Any]


def _input(a: Array, real: bool) -> Array:
    """`a` in a dtype that cuFFT takes: float16 becomes float32, integers float64; real transforms drop an imaginary part."""
    if real and a.dtype.kind == "c":
        a = a.real
    if a.dtype == np.float16:
        return a.astype(np.float32)
    return a if a.dtype.kind in "fc" else a.astype(np.float64)


def _fftfreq(n: int, d: Any = 1.0) -> Array:
    """As CuPy computes it: divided, where NumPy multiplies by the reciprocal, and whatever `n * d` is."""
    return _over(
        np.concatenate((np.arange(0, (n - 1) // 2 + 1, dtype=np.float64), np.arange(-(n // 2), 0, dtype=np.float64))),
        n * d,
    )


def _rfftfreq(n: int, d: Any = 1.0) -> Array:
    return _over(np.arange(0, n // 2 + 1, dtype=np.float64), n * d)


def _over(numbers: Array, by: Any) -> Array:
    with np.errstate(all="ignore"):
        quotients: Array = numbers / by
    return quotients


def _one(name: str, real: bool) -> Callable[..., Array]:
    function: Callable[..., Any] = getattr(np.fft, name)
    back = name in ("irfft", "hfft")  # whose results CuPy casts to float16 for float16

    def run(a: Array, n: Any = None, axis: int = -1, norm: Any = None) -> Array:
        result = np.asarray(function(_input(a, real), n, axis, norm))
        return result.astype(np.float16) if back and a.dtype == np.float16 else result

    return run


def _scaled(a: Array, points: int, norm: Any, inverse: bool) -> Array:
    """`a` over what `norm` wants of a transform of so many points: one division, written as CuPy writes it."""
    with np.errstate(all="ignore"):
        if norm == "ortho":
            a /= math.sqrt(points)
        elif (norm == "forward") is not inverse:
            a /= points
    return a


def _several(name: str, real: bool, default_axes: Any) -> Callable[..., Array]:
    one: Callable[..., Any] = getattr(np.fft, name)
    inverse = name.startswith("i")
    plain = np.fft.ifft if inverse else np.fft.fft
    kind = "r2c" if name == "rfft" else "c2r" if name == "irfft" else "c2c"
    unscaled = "forward" if inverse else "backward"

    def run(a: Array, s: Any = None, axes: Any = default_axes, norm: Any = None) -> Array:
        """Axis by axis; the last axis is the halved one of real transforms.

        As in CuPy, what one plan transforms is scaled once, the rest along each axis.
        """
        half = a.dtype == np.float16 and axes is not None and len(axes) == 1
        f_contiguous = a.flags.f_contiguous
        a = _input(a, real)
        if axes is None:
            axes = range(a.ndim) if s is None else range(a.ndim - len(s), a.ndim)
        axes = [axis % a.ndim for axis in axes]
        sizes = [None] * len(axes) if s is None else list(s)
        halved = a.shape[axes[-1]] if sizes[-1] is None else sizes[-1]
        once = at_once(a.ndim, f_contiguous, axes, kind)
        each: Any = unscaled if once else norm
        if kind == "c2r":
            for axis, n in zip(axes[:-1], sizes[:-1], strict=True):
                a = plain(a, n, axis, each)
            a = np.asarray(one(a, sizes[-1], axes[-1], each))
        else:
            a = one(a, sizes[-1], axes[-1], each)
            for axis, n in reversed(list(zip(axes[:-1], sizes[:-1], strict=True))):
                a = plain(a, n, axis, each)
        a = np.asarray(a)
        if once:
            last = halved if kind == "r2c" else a.shape[axes[-1]]
            return _scaled(a, math.prod(a.shape[axis] for axis in axes[:-1]) * last, norm, inverse)
        return a.astype(np.float16) if half and kind == "c2r" else a

    return run


#: Implementation name -> function.
OPS: dict[str, Callable[..., Any]] = {
    **{
        f"fft.{name}": _one(name, name in ("rfft", "ihfft"))
        for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
    },
    **{f"fft.{name}2": _several(name, name == "rfft", (-2, -1)) for name in ("fft", "ifft", "rfft", "irfft")},
    **{f"fft.{name}n": _several(name, name == "rfft", None) for name in ("fft", "ifft", "rfft", "irfft")},
    "fft.fftfreq": _fftfreq,
    "fft.rfftfreq": _rfftfreq,
    "fft.fftshift": lambda x, axes=None: np.fft.fftshift(x, axes),
    "fft.ifftshift": lambda x, axes=None: np.fft.ifftshift(x, axes),
}
