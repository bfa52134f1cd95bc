"""Filters in the Fourier domain, in the precision of the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import j1

from ...casting import assign, cast
from ._common import Array, each


def _target(input: Array, output: Any, is_complex: bool = False) -> Array:
    """The result's array, holding the input."""
    if not isinstance(output, np.ndarray):
        allowed = "FD" if is_complex else "fdFD"
        dtype = output if output is not None else input.dtype if input.dtype.char in allowed else allowed[1]
        return cast(input, dtype, order="C")
    assign(output, input)
    return output


def _frequencies(size: int, n: Any, along: bool) -> Array:
    """Cycles per sample; `n` is the length before a real transform, along its axis."""
    if size == 0:
        return np.zeros(0)
    return np.arange(size) / n if along and n > 0 else np.fft.fftfreq(size)


def _along(values: Array, ndim: int, axis: int) -> Array:
    return values.reshape((1,) * axis + (values.size,) + (1,) * (ndim - axis - 1))


def _scaling(factor: Callable[[Any, Array], Array], is_complex: bool = False) -> Callable[..., Array]:
    """A filter that multiplies each axis by a factor of its own. `factor`: (amount, frequencies) -> the axis's factors."""

    def run(input: Array, amount: Any, n: Any = -1, axis: int = -1, output: Any = None) -> Array:
        result = _target(input, output, is_complex)
        axis %= input.ndim
        for i, value in enumerate(each(amount, input.ndim)):
            if is_complex and value == 0:
                continue
            factors = factor(value, _frequencies(input.shape[i], n, i == axis))
            dtype = result.dtype if is_complex else result.real.dtype
            result *= _along(factors.astype(dtype), input.ndim, i)
        return result

    return run


def _ellipse(r: Array) -> Array:
    found: Array = 2 * j1(r) / r
    return found


def _ellipsoid(r: Array) -> Array:
    found: Array = 3 * (np.sin(r) - r * np.cos(r)) / r**3
    return found


def fourier_ellipsoid(input: Array, size: Any, n: Any = -1, axis: int = -1, output: Any = None) -> Array:
    ndim = input.ndim
    if ndim == 1:
        return FUNCTIONS["fourier_uniform"](input, size, n, axis, output)  # type: ignore[no-any-return]
    source = input.copy() if isinstance(output, np.ndarray) and np.may_share_memory(input, output) else input
    result = _target(input, output)
    axis %= ndim
    squares: Any = 0.0
    for i, value in enumerate(each(size, ndim)):
        radius = np.pi * value * _frequencies(input.shape[i], n, i == axis)
        squares = squares + _along(radius**2, ndim, i)
    distance = np.sqrt(squares)
    factors = _ellipse(distance) if ndim == 2 else _ellipsoid(distance)
    if factors.size:
        factors[(0,) * ndim] = 1.0
    assign(result, factors * source)
    return result


#: Name -> function.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "fourier_gaussian": _scaling(lambda sigma, f: np.exp(-2 * np.pi**2 * sigma * sigma * f * f)),
    "fourier_uniform": _scaling(lambda size, f: np.sinc(f * size)),
    "fourier_shift": _scaling(lambda shift, f: np.exp(-2j * np.pi * shift * f), True),
    "fourier_ellipsoid": fourier_ellipsoid,
}
