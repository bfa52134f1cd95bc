"""Rules of the ops behind `cupyx.scipy.interpolate`: evaluations have known shapes; fits look at their data and wait.

Polynomials on intervals have coefficients (order, intervals, …), splines (coefficients, …), with the interpolated axis first; the client
moves axes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cupool.contract.ops._row import UNKNOWN
from cupool.contract.ops.rules._arrays import as_spec, packed
from cupool.contract.ops.rules.common import rule
from cupool.contract.spec import Spec

F64, C128, I32, I64 = np.dtype("f8"), np.dtype("c16"), np.dtype("i4"), np.dtype("i8")


def inexact(*operands: Any) -> np.dtype[Any]:
    """complex128 where an operand is complex, else float64: all that these interpolators compute in."""
    return C128 if any(as_spec(operand).dtype.kind == "c" for operand in operands) else F64


# -- polynomials on intervals ------------------------------------------------------------------------------------------


@rule("interpolate.polynomials")
def polynomials(c: Any, x: Any, xp: Any, nu: Any, extrapolate: Any, bernstein: Any) -> Spec:
    """Values of the derivative `nu` at `xp`."""
    if bernstein and nu < 0:
        raise NotImplementedError("Cannot do antiderivatives in the B-basis yet.")
    return packed((*as_spec(xp).shape, *c.shape[2:]), c.dtype)


@rule("interpolate.derivative")
def derivative(c: Any, x: Any, nu: Any, bernstein: Any) -> Spec:
    """Coefficients of the derivative `nu`; at least one."""
    return packed((max(c.shape[0] - nu, 1), *c.shape[1:]), c.dtype)


@rule("interpolate.antiderivative")
def antiderivative(c: Any, x: Any, nu: Any, bernstein: Any) -> Spec:
    return packed((c.shape[0] + nu, *c.shape[1:]), c.dtype)


@rule("interpolate.integral")
def integral(c: Any, x: Any, a: Any, b: Any, extrapolate: Any, bernstein: Any) -> Spec:
    return packed(c.shape[2:], c.dtype)


@rule("interpolate.other_basis")
def other_basis(c: Any, x: Any, bernstein: Any) -> Spec:
    return packed(c.shape, c.dtype)


@rule("interpolate.raised")
def raised(c: Any, d: Any) -> Spec:
    return packed((c.shape[0] + d, *c.shape[1:]), c.dtype)


@rule("interpolate.nd_polynomials")
def nd_polynomials(c: Any, x: Any, xp: Any, nu: Any, extrapolate: Any) -> Spec:
    return packed((*as_spec(xp).shape[:-1], *c.shape[2 * len(x) :]), c.dtype)


@rule("interpolate.nd_derivative")
def nd_derivative(c: Any, x: Any, nu: Any) -> Spec:
    orders = [max(n - d, 1) if d > 0 else n - d for n, d in zip(c.shape, nu, strict=False)]
    return packed((*orders, *c.shape[len(orders) :]), c.dtype)


@rule("interpolate.nd_integral_1d")
def nd_integral_1d(c: Any, x: Any, a: Any, b: Any, axis: Any, extrapolate: Any) -> Spec:
    n = len(x)
    axis = int(axis) % n
    return packed([m for i, m in enumerate(c.shape) if i not in (axis, n + axis)], c.dtype)


@rule("interpolate.nd_integral")
def nd_integral(c: Any, x: Any, ranges: Any, extrapolate: Any) -> Spec:
    return packed(c.shape[2 * len(x) :], c.dtype)


# -- splines -----------------------------------------------------------------------------------------------------------


@rule("interpolate.spline")
def spline(t: Any, c: Any, k: Any, xp: Any, nu: Any, extrapolate: Any) -> Spec:
    """Values of the derivative `nu` of a spline at `xp`."""
    return packed((*as_spec(xp).shape, *c.shape[1:]), c.dtype)


@rule("interpolate.checked_knots")
def checked_knots(t: Any, k: Any) -> None:
    """No result: an error where the knots are no knots."""
    return


@rule("interpolate.spline_derivative")
def spline_derivative(t: Any, c: Any, k: Any, n: Any) -> Any:
    """(knots, coefficients), both padded to the knots' length; of the antiderivative for a negative `n`."""
    t, c = as_spec(t), as_spec(c)
    if n > k:
        raise ValueError(f"Order of derivative (n = {n!r}) must be <= order of spline (k = {k!r})")
    return packed((t.shape[0] - 2 * n,), F64), packed((c.shape[0] - 2 * n, *c.shape[1:]), inexact(c))


@rule("interpolate.spline_integral")
def spline_integral(t: Any, c: Any, k: Any, a: Any, b: Any, extrapolate: Any) -> Spec:
    return packed(c.shape[1:], c.dtype)


@rule("interpolate.basis_element")
def basis_element(t: Any) -> Any:
    t = as_spec(t)
    length = 3 * t.shape[0] - 4
    return packed((length,), F64), packed((length,), F64)


@rule("interpolate.design_matrix")
def design_matrix(x: Any, t: Any, k: Any, extrapolate: Any) -> Any:
    """(data, indices, indptr) of a sparse matrix with a row per point."""
    x, t = as_spec(x), as_spec(t)
    if k < 0:
        raise ValueError("Spline order cannot be negative.")
    if t.ndim != 1:
        raise ValueError("Expect t to be a 1-D sorted array_like.")
    if t.shape[0] < 2 * k + 2:
        raise ValueError(f"Length t is not enough for k={k}.")
    n = x.shape[0]
    index = I32 if n * (k + 1) < np.iinfo(I32).max else I64
    return packed((n * (k + 1),), F64), packed((n * (k + 1),), index), packed((n + 1,), index)


@rule("interpolate.fitted")
def fitted(*parameters: Any) -> Any:
    """(knots, coefficients) of a spline."""
    return UNKNOWN, UNKNOWN


@rule("interpolate.univariate")
def univariate(x: Any, y: Any, k: Any, s: Any, xb: Any, xe: Any, t: Any) -> Any:
    """(knots, coefficients, residual, how the fit ended)."""
    return UNKNOWN, UNKNOWN, packed((), F64), packed((), I64)


@rule("interpolate.cubic")
def cubic(kind: Any, x: Any, y: Any, dydx: Any, axis: Any, bc_type: Any) -> Any:
    """(breaks, coefficients) of a piecewise cubic."""
    x, y = as_spec(x), as_spec(y)
    if x.dtype.kind == "c":
        raise ValueError("`x` must contain real values.")
    if dydx is not None and as_spec(dydx).shape != y.shape:
        raise ValueError("The shapes of `y` and `dydx` must be identical.")
    axis = axis % y.ndim
    if x.ndim != 1:
        raise ValueError("`x` must be 1-dimensional.")
    if x.shape[0] < 2:
        raise ValueError("`x` must contain at least 2 elements.")
    if x.shape[0] != y.shape[axis]:
        raise ValueError(f"The length of `y` along `axis`={axis} doesn't match the length of `x`")
    return UNKNOWN, UNKNOWN


# -- polynomials through points ------------------------------------------------------------------------------------------


@rule("interpolate.weights")
def weights(xi: Any) -> Spec:
    return packed(xi.shape, F64)


@rule("interpolate.barycentric")
def barycentric(xi: Any, yi: Any, wi: Any, x: Any) -> Spec:
    """Values (points, columns)."""
    return packed((x.shape[0], yi.shape[1]), inexact(yi))


@rule("interpolate.newton")
def newton(xi: Any, yi: Any) -> Spec:
    """Divided differences (points + 1, columns)."""
    return packed((yi.shape[0] + 1, yi.shape[1]), inexact(yi))


@rule("interpolate.newton_values")
def newton_values(xi: Any, c: Any, x: Any) -> Spec:
    return packed((x.shape[0], c.shape[1]), c.dtype)


@rule("interpolate.newton_derivatives")
def newton_derivatives(xi: Any, c: Any, x: Any, der: Any) -> Spec:
    count = max(int(der), xi.shape[0] + 1)
    return packed((min(int(der), count), x.shape[0], c.shape[1]), c.dtype)


@rule("interpolate.interp1d")
def interp1d(x: Any, y: Any, x_new: Any, kind: Any, below: Any, above: Any, bounds_error: Any) -> Any:
    """Values (points, columns)."""
    return UNKNOWN


# -- in several dimensions -----------------------------------------------------------------------------------------------


@rule("interpolate.nd_spline")
def nd_spline(t: Any, c: Any, k: Any, xi: Any, nu: Any, extrapolate: Any) -> Spec:
    return packed((*xi.shape[:-1], *c.shape[len(t) :]), c.dtype)


@rule("interpolate.nd_design_matrix")
def nd_design_matrix(xvals: Any, t: Any, k: Any, extrapolate: Any) -> Any:
    """(data, indices, indptr)."""
    n = as_spec(xvals).shape[0]
    volume = int(np.prod([d + 1 for d in k]))
    return packed((n * volume,), F64), packed((n * volume,), I64), packed((n + 1,), I64)


@rule("interpolate.nd_fitted")
def nd_fitted(points: Any, values: Any, k: Any) -> Any:
    """Knots per dimension, then coefficients."""
    return (UNKNOWN,) * (len(points) + 1)


@rule("interpolate.on_grid")
def on_grid(points: Any, values: Any, xi: Any, method: Any, bounds_error: Any, fill_value: Any) -> Any:
    """Values of a regular grid's interpolation."""
    values = as_spec(values)
    if values.dtype.char not in "dD":
        return UNKNOWN
    return packed((*as_spec(xi).shape[:-1], *values.shape[len(points) :]), values.dtype)


def monomials(ndim: int, degree: int) -> int:
    """How many monomials of up to `degree` there are."""
    return math.comb(degree + ndim, ndim) if degree >= 0 else 0


@rule("interpolate.radial_fit")
def radial_fit(y: Any, d: Any, smoothing: Any, kernel: Any, epsilon: Any, degree: Any) -> Any:
    """(shift, scale, coefficients)."""
    n, ndim = y.shape
    rows = n + monomials(ndim, degree)
    return packed((ndim,), F64), packed((ndim,), F64), packed((rows, d.shape[1]), F64)


@rule("interpolate.radial")
def radial(x: Any, y: Any, shift: Any, scale: Any, coefficients: Any, kernel: Any, epsilon: Any, degree: Any) -> Spec:
    return packed((x.shape[0], coefficients.shape[1]), F64)


@rule("interpolate.radial_near")
def radial_near(x: Any, y: Any, d: Any, smoothing: Any, kernel: Any, epsilon: Any, degree: Any, neighbors: Any) -> Spec:
    return packed((x.shape[0], d.shape[1]), F64)


@rule("interpolate.linear_nd")
def linear_nd(found: Any, simplices: Any, corners: Any, values: Any, fill_value: Any) -> Spec:
    return packed((found.shape[0], values.shape[1]), values.dtype)


@rule("interpolate.gradients")
def gradients(points: Any, values: Any, tol: Any, maxiter: Any) -> Spec:
    return packed((*values.shape, 2), values.dtype)


@rule("interpolate.clough_tocher")
def clough_tocher(
    points: Any,
    simplices: Any,
    neighbors: Any,
    values: Any,
    grad: Any,
    xi: Any,
    fill_value: Any,
    tol: Any,
    maxiter: Any,
) -> Spec:
    return packed((xi.shape[0], values.shape[1]), values.dtype)
