"""Tensor products of splines."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .._commands import cp
from ._common import MODULE, host, inexact, interpolation, sparse

_evaluate = interpolation("nd_spline")
_checked_knots = interpolation("checked_knots")
_design_matrix = interpolation("nd_design_matrix")
_interpolating = interpolation("nd_interpolating_spline")


class NdBSpline:
    """As `cupyx.scipy.interpolate.NdBSpline`.

    Attributes:
        t: tuple of knots.
        c: coefficients (one axis per dimension …, …).
        k: tuple of degrees.
        extrapolate: whether values outside are extrapolated, or NaN.
    """

    __module__ = MODULE

    def __init__(self, t: Any, c: Any, k: Any, *, extrapolate: Any = None) -> None:
        ndim = len(t)
        degrees = k if hasattr(k, "__len__") else (k,) * ndim
        if len(degrees) != ndim:
            raise ValueError(f"len(t)={len(t)!r} != len(k)={len(degrees)!r}.")
        self.k = tuple(operator.index(d) for d in degrees)
        self.t = tuple(cp.ascontiguousarray(knots, dtype=np.float64) for knots in t)
        self.c = cp.asarray(c)
        self.extrapolate = True if extrapolate is None else bool(extrapolate)
        for d, (knots, degree) in enumerate(zip(self.t, self.k, strict=True)):
            n = knots.shape[0] - degree - 1
            if degree < 0:
                raise ValueError(f"Spline degree in dimension {d} cannot be negative.")
            if knots.ndim != 1:
                raise ValueError(f"Knot vector in dimension {d} must be one-dimensional.")
            if n < degree + 1:
                raise ValueError(f"Need at least {2 * degree + 2} knots for degree {degree} in dimension {d}.")
            if self.c.ndim < ndim:
                raise ValueError(f"Coefficients must be at least {d}-dimensional.")
            if self.c.shape[d] != n:
                raise ValueError(
                    f"Knots, coefficients and degree in dimension {d} are inconsistent: got {self.c.shape[d]} coefficients "
                    f"for {len(knots)} knots, need at least {n} for k={k}."
                )
            _checked_knots(knots, degree)
        self.c = cp.ascontiguousarray(self.c, dtype=inexact(self.c.dtype))

    def __call__(self, xi: Any, *, nu: Any = None, extrapolate: Any = None) -> Any:
        """Values, or those of the derivative of orders `nu`, at the points `xi` (…, dimensions)."""
        ndim = len(self.t)
        orders = (0,) * ndim
        if nu is not None:
            given = np.asarray(host(nu))
            if given.ndim != 1 or given.shape[0] != ndim:
                raise ValueError(f"invalid number of derivative orders nu={nu!r} for ndim = {ndim}.")
            if (given < 0).any():
                raise ValueError(f"derivatives must be positive, got nu={nu!r}")
            orders = tuple(int(d) for d in given)
        xi = cp.asarray(xi, dtype=np.float64)
        if xi.shape[-1] != ndim:
            raise ValueError(f"Shapes: xi.shape={xi.shape} and ndim={ndim}")
        chosen = bool(self.extrapolate if extrapolate is None else extrapolate)
        return _evaluate(self.t, self.c, self.k, xi, orders, chosen)

    @classmethod
    def design_matrix(cls, xvals: Any, t: Any, k: Any, extrapolate: Any = True) -> Any:
        """Values of all products of B-splines at the points `xvals`: a sparse matrix with a row per point."""
        xvals = cp.asarray(xvals, dtype=np.float64)
        ndim = xvals.shape[-1]
        if len(t) != ndim:
            raise ValueError(f"Data and knots are inconsistent: len(t) = {len(t)} for  ndim={ndim!r}.")
        degrees = tuple(k) if hasattr(k, "__len__") else (k,) * ndim
        knots = tuple(cp.asarray(each, dtype=np.float64) for each in t)
        return sparse().csr_matrix(_design_matrix(xvals, knots, degrees, bool(extrapolate)))


def make_ndbspl(points: Any, values: Any, k: Any = 3) -> NdBSpline:
    """The product of splines through values on a grid. Waits: it looks at the data."""
    degrees = tuple(k) if hasattr(k, "__len__") else (k,) * len(points)
    for d, (grid, degree) in enumerate(zip(points, degrees, strict=True)):
        count = len(cp.atleast_1d(grid))
        if count <= degree:
            raise ValueError(
                f"There are {count} points in dimension {d}, but order {degree} requires at least  {degree + 1} points per dimension."
            )
    *knots, c = _interpolating(tuple(cp.asarray(p, dtype=np.float64) for p in points), values, degrees)
    made = object.__new__(NdBSpline)
    made.t, made.c, made.k, made.extrapolate = tuple(knots), c, degrees, True
    return made
