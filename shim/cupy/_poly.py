"""Polynomials as arrays of coefficients, highest power first. Composed of other functions; `poly1d` is not carried yet."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .._generated import functions, linalg
from ..convert import array, asarray
from ..dispatch import ndarray


def _coefficients(p: Any) -> Any:
    """One-dimensional coefficients of a polynomial given as an array or a scalar."""
    if np.isscalar(p):
        return array([p])
    if not isinstance(p, ndarray):
        raise TypeError("Unsupported type")
    if p.ndim > 1:
        raise ValueError("Multidimensional inputs are not supported")
    return functions.atleast_1d(p)


def _sum(a1: Any, a2: Any, subtract: bool) -> Any:
    first, second = _coefficients(a1), _coefficients(a2)
    length = max(first.size, second.size)
    first, second = (functions.pad(p, (length - p.size, 0)) for p in (first, second))
    return first - second if subtract else first + second


def polyadd(a1: Any, a2: Any) -> Any:
    """As `cupy.polyadd` of arrays."""
    return _sum(a1, a2, subtract=False)


def polysub(a1: Any, a2: Any) -> Any:
    """As `cupy.polysub` of arrays."""
    return _sum(a1, a2, subtract=True)


def polymul(a1: Any, a2: Any) -> Any:
    """As `cupy.polymul` of arrays: leading zeros are dropped, which takes the numbers themselves (a wait)."""
    factors = []
    for p in (_coefficients(a1), _coefficients(a2)):
        trimmed = functions.trim_zeros(p, "f")
        factors.append(trimmed if trimmed.size else functions.zeros(1, p.dtype))
    return functions.convolve(*factors)


def polyval(p: Any, x: Any) -> Any:
    """As `cupy.polyval` of arrays, by Horner's scheme."""
    if not isinstance(p, ndarray) or p.ndim == 0:
        raise TypeError("p must be 1d ndarray or poly1d object")
    if p.ndim > 1:
        raise ValueError("p must be 1d array")
    x = asarray(x)
    dtype = np.result_type(p.dtype, x.dtype)
    value = functions.zeros(x.shape, dtype)
    for i in range(p.size):
        value = (value * x + p[i]).astype(dtype, copy=False)
    return value


def _double(a: Any) -> Any:
    return a.astype(np.complex128 if a.dtype.kind == "c" else np.float64, copy=False)


def _check_fit(x: Any, y: Any, deg: int, w: Any) -> None:
    if deg < 0:
        raise ValueError("expected deg >= 0")
    if x.ndim != 1:
        raise TypeError("expected 1D vector for x")
    if x.size == 0:
        raise TypeError("expected non-empty vector for x")
    if y.ndim not in (1, 2):
        raise TypeError("expected 1D or 2D array for y")
    if x.size != y.shape[0]:
        raise TypeError("expected x and y to have same length")
    if w is not None and w.ndim != 1:
        raise TypeError("expected a 1-d array for weights")
    if w is not None and w.size != x.size:
        raise TypeError("expected w and y to have the same length")


def polyfit(
    x: Any, y: Any, deg: int, rcond: float | None = None, full: bool = False, w: Any = None, cov: bool | str = False
) -> Any:
    """As `cupy.polyfit`: least squares over scaled powers of `x`. Waits for the rank, to warn when it is too small."""
    if y.dtype == np.float16:
        raise TypeError("float16 y are not supported")
    deg = int(deg)
    _check_fit(x, y, deg, w)
    x, y = _double(x), _double(y)
    powers = functions.vander(x, deg + 1)
    if w is not None:
        w = _double(w)
        powers = powers * w[:, None]
        y = y * (w[:, None] if y.ndim == 2 else w)
    if rcond is None:
        rcond = x.size * float(np.finfo(x.dtype).eps)
    scale = functions.sqrt((powers * functions.conjugate(powers)).real.sum(axis=0))
    powers = powers / scale
    c, residuals, rank, s = linalg.lstsq(powers, y, rcond)
    c = c / (scale[:, None] if y.ndim == 2 else scale)
    if full:
        return c, residuals, rank, s, rcond
    if int(rank) != deg + 1:
        warnings.warn("Polyfit may be poorly conditioned", np.exceptions.RankWarning, stacklevel=2)
    if not cov:
        return c
    base = linalg.inv(functions.dot(powers.T, powers)) / functions.outer(scale, scale)
    if cov == "unscaled":
        return c, base[..., None] if y.ndim == 2 else base
    if x.size <= deg + 1:
        raise ValueError("the number of data points must exceed order to scale the covariance matrix")
    factor = residuals / (x.size - deg - 1)
    return c, (base[..., None] if y.ndim == 2 else base) * factor
