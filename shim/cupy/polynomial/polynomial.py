"""`cupy.polynomial.polynomial`: power series, lowest power first. Composed of other functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._generated import functions
from ...convert import array, asarray
from ...dispatch import ndarray
from . import polyutils


def polyvander(x: Any, deg: int) -> Any:
    """As `cupy.polynomial.polynomial.polyvander`: powers 0 to `deg` of `x` along a new last axis."""
    deg = polyutils.as_degree(deg)
    if deg < 0:
        raise ValueError("degree must be non-negative")
    if x.ndim == 0:
        x = x.ravel()
    dtype = np.dtype(np.float64) if x.dtype.kind in "biu" else x.dtype
    powers = functions.arange(deg + 1, dtype=dtype).reshape((-1,) + (1,) * x.ndim)
    return functions.moveaxis(x**powers, 0, -1)


def polycompanion(c: Any) -> Any:
    """As `cupy.polynomial.polynomial.polycompanion`. Trailing zeros are dropped first (a wait)."""
    [c] = polyutils.as_series([c])
    degree = c.size - 1
    if degree == 0:
        raise ValueError("Series must have maximum degree of at least 1.")
    matrix = functions.eye(degree, k=-1, dtype=c.dtype)
    matrix[:, -1] -= c[:-1] / c[-1]
    return matrix


def _as_coefficients(values: Any) -> Any:
    """At least one-dimensional and of a float dtype."""
    values = array(values, ndmin=1, copy=None)
    return values.astype(np.float64) if values.dtype.kind in "biu" else values


def polyval(x: Any, c: Any, tensor: bool = True) -> Any:
    """As `cupy.polynomial.polynomial.polyval`, by Horner's scheme."""
    c = _as_coefficients(c)
    if isinstance(x, (tuple, list)):
        x = asarray(x)
    if isinstance(x, ndarray) and tensor:
        c = c.reshape(c.shape + (1,) * x.ndim)
    value = c[-1] + x * 0
    for i in range(2, len(c) + 1):
        value = c[-i] + value * x
    return value


def polyvalfromroots(x: Any, r: Any, tensor: bool = True) -> Any:
    """As `cupy.polynomial.polynomial.polyvalfromroots`: the product of `x - r[n]`."""
    r = _as_coefficients(r)
    if isinstance(x, (tuple, list)):
        x = asarray(x)
    if isinstance(x, ndarray):
        if tensor:
            r = r.reshape(r.shape + (1,) * x.ndim)
        elif x.ndim >= r.ndim:
            raise ValueError("x.ndim must be < r.ndim when tensor == False")
    return functions.prod(x - r, axis=0)
