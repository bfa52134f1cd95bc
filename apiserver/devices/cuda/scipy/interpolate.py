"""What `cupyx.scipy.interpolate` does on the device, on CuPy's own interpolators, put together from arrays and asked.

Boundary: what CuPy has no public way to ask in parts (triangles with given gradients, radial functions with given coefficients) is asked
of objects made without their constructors, with the attributes that those set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
from cupyx.scipy import interpolate

# -- polynomials on intervals ------------------------------------------------------------------------------------------


def _made(c: Any, x: Any, extrapolate: Any, bernstein: bool) -> Any:
    return (interpolate.BPoly if bernstein else interpolate.PPoly).construct_fast(c, x, extrapolate)


def polynomials(c: Any, x: Any, xp: Any, nu: int, extrapolate: Any, bernstein: bool) -> Any:
    return _made(c, x, extrapolate, bernstein)(xp, nu)


def derivative(c: Any, x: Any, nu: int, bernstein: bool) -> Any:
    return _made(c, x, True, bernstein).derivative(nu).c


def antiderivative(c: Any, x: Any, nu: int, bernstein: bool) -> Any:
    return _made(c, x, True, bernstein).antiderivative(nu).c


def integral(c: Any, x: Any, a: Any, b: Any, extrapolate: Any, bernstein: bool) -> Any:
    return _made(c, x, extrapolate, bernstein).integrate(a, b)


def other_basis(c: Any, x: Any, bernstein: bool) -> Any:
    """Coefficients in powers of a polynomial in Bernstein's basis, or the other way round. `bernstein` says which is wanted."""
    given = _made(c, x, True, not bernstein)
    if bernstein:
        return interpolate.BPoly.from_power_basis(given).c
    return interpolate.PPoly.from_bernstein_basis(given).c


def raised(c: Any, d: int) -> Any:
    return interpolate.BPoly._raise_degree(c, d)


def from_derivatives(xi: Any, yi: Any, orders: Any) -> Any:
    return interpolate.BPoly.from_derivatives(xi, yi, orders).c


def order_of(x: Any) -> int:
    """1 for breaks that do not decrease, -1 for those that do not increase, 0 for others."""
    steps = cupy.diff(x)
    return 1 if bool((steps >= 0).all()) else -1 if bool((steps <= 0).all()) else 0


def _nd(c: Any, x: Any, extrapolate: bool = True) -> Any:
    return interpolate.NdPPoly.construct_fast(c, tuple(x), extrapolate)


def nd_polynomials(c: Any, x: Any, xp: Any, nu: Any, extrapolate: bool) -> Any:
    return _nd(c, x, extrapolate)(xp, nu)


def nd_derivative(c: Any, x: Any, nu: Any) -> Any:
    return _nd(c, x).derivative(nu).c


def nd_integral_1d(c: Any, x: Any, a: Any, b: Any, axis: int, extrapolate: bool) -> Any:
    made = _nd(c, x, extrapolate).integrate_1d(a, b, axis)
    return made if isinstance(made, cupy.ndarray) else made.c


def nd_integral(c: Any, x: Any, ranges: Any, extrapolate: bool) -> Any:
    return _nd(c, x, extrapolate).integrate(ranges)


# -- splines -----------------------------------------------------------------------------------------------------------


def _spline(t: Any, c: Any, k: int, extrapolate: Any = True) -> Any:
    return interpolate.BSpline.construct_fast(t, c, k, extrapolate)


def spline(t: Any, c: Any, k: int, xp: Any, nu: int, extrapolate: Any) -> Any:
    return _spline(t, c, k, extrapolate)(xp, nu)


def checked_knots(t: Any, k: int) -> None:
    """Raises ValueError for what are no knots of a spline of degree `k`."""
    interpolate.BSpline(t, cupy.zeros(len(t) - k - 1), k)


def spline_derivative(t: Any, c: Any, k: int, n: int) -> Any:
    t = t.astype(np.float64, copy=False)
    if n == 0:
        return t, c.astype(np.result_type(c.dtype, np.float64), copy=False)
    made = (interpolate.splder if n > 0 else interpolate.splantider)((t, c, k), abs(n))
    return made[0], made[1]


def spline_integral(t: Any, c: Any, k: int, a: Any, b: Any, extrapolate: Any) -> Any:
    return _spline(t, c, k, extrapolate).integrate(a, b)


def basis_element(t: Any) -> Any:
    made = interpolate.BSpline.basis_element(t)
    return made.t, made.c


def design_matrix(x: Any, t: Any, k: int, extrapolate: Any) -> Any:
    """(data, indices, indptr)."""
    made = interpolate.BSpline.design_matrix(x, t, k, extrapolate)
    return made.data, made.indices, made.indptr


def interpolating_spline(x: Any, y: Any, k: int, t: Any, bc_type: Any, axis: int, check_finite: bool) -> Any:
    """(knots, coefficients)."""
    made = interpolate.make_interp_spline(x, y, k, t, bc_type, axis, check_finite)
    return made.t, made.c


def least_squares_spline(x: Any, y: Any, t: Any, k: int, w: Any, axis: int, check_finite: bool) -> Any:
    """(knots, coefficients)."""
    made = interpolate.make_lsq_spline(x, y, t, k, w, axis, check_finite)
    return made.t, made.c


#: How a fit ended -> the class that CuPy gives its object.
_ENDS = {interpolate.InterpolatedUnivariateSpline: -1, interpolate.LSQUnivariateSpline: -2}


def univariate(x: Any, y: Any, k: int, s: Any, xb: Any, xe: Any, t: Any) -> Any:
    """(knots, coefficients, sum of squared residuals, how the fit ended)."""
    bbox = [xb, xe]
    if t is not None:
        made = interpolate.LSQUnivariateSpline(x, y, t, bbox=bbox, k=k)
    else:
        made = interpolate.UnivariateSpline(x, y, bbox=bbox, k=k, s=s)
    knots, c, _ = made._spl.tck
    return knots, c, cupy.asarray(made.get_residual(), np.float64), cupy.asarray(_ENDS.get(type(made), 0))


def cubic(kind: str, x: Any, y: Any, dydx: Any, axis: int, bc_type: Any) -> Any:
    """(breaks, coefficients) of a piecewise cubic."""
    if kind == "hermite":
        made = interpolate.CubicHermiteSpline(x, y, dydx, axis)
    elif kind == "spline":
        made = interpolate.CubicSpline(x, y, axis, bc_type)
    else:
        made = {"pchip": interpolate.PchipInterpolator, "akima": interpolate.Akima1DInterpolator}[kind](x, y, axis)
    return made.x, made.c


# -- polynomials through points ------------------------------------------------------------------------------------------


def weights(xi: Any) -> Any:
    return interpolate.BarycentricInterpolator(xi).wi


def barycentric(xi: Any, yi: Any, wi: Any, x: Any) -> Any:
    made = object.__new__(interpolate.BarycentricInterpolator)
    made.xi, made.yi, made.wi, made.r = xi, yi, wi, yi.shape[1]
    made.dtype = np.complex128 if yi.dtype.kind == "c" else np.float64
    return made._evaluate(x).astype(made.dtype, copy=False).reshape(x.shape[0], yi.shape[1])


def newton(xi: Any, yi: Any) -> Any:
    return interpolate.KroghInterpolator(xi, yi).c


def _krogh(xi: Any, c: Any) -> Any:
    made = object.__new__(interpolate.KroghInterpolator)
    made.xi, made.c, made.n, made.r, made.dtype = xi, c, len(xi), c.shape[1], c.dtype
    return made


def newton_values(xi: Any, c: Any, x: Any) -> Any:
    return _krogh(xi, c)._evaluate(x)


def newton_derivatives(xi: Any, c: Any, x: Any, der: int) -> Any:
    return _krogh(xi, c)._evaluate_derivatives(x, der)


def interp1d(x: Any, y: Any, x_new: Any, kind: str, below: Any, above: Any, bounds_error: bool) -> Any:
    """Values at `x_new`; outside of the table `below` and `above` (columns), or extrapolated where they are None."""
    fill: Any = "extrapolate" if below is None else (below, above)
    if y.shape[1] == 1:
        made = interpolate.interp1d(x, y[:, 0], kind, 0, False, bounds_error, fill, True)
        return made(x_new)[:, None]
    return interpolate.interp1d(x, y, kind, 0, False, bounds_error, fill, True)(x_new)


# -- in several dimensions -----------------------------------------------------------------------------------------------


def nd_spline(t: Any, c: Any, k: Any, xi: Any, nu: Any, extrapolate: bool) -> Any:
    return interpolate.NdBSpline(t, c, k)(xi, nu=nu, extrapolate=extrapolate)


def nd_design_matrix(xvals: Any, t: Any, k: Any, extrapolate: bool) -> Any:
    """(data, indices, indptr)."""
    made = interpolate.NdBSpline.design_matrix(xvals, t, k, extrapolate)
    return made.data, made.indices.astype(np.int64), made.indptr.astype(np.int64)


def nd_interpolating_spline(points: Any, values: Any, k: Any) -> Any:
    """(knots of each dimension …, coefficients): one dimension after the other, with the knots of "not-a-knot"."""
    knots, c = [], values
    for d, grid in enumerate(points):
        made = interpolate.make_interp_spline(grid, cupy.moveaxis(c, d, 0), int(k[d]))
        knots.append(made.t)
        c = cupy.moveaxis(made.c, 0, d)
    return (*knots, cupy.ascontiguousarray(c))


def orders_of(points: Any) -> list[int]:
    """Per dimension 1 for strictly ascending coordinates, -1 for strictly descending ones, 0 for others."""
    return [order_of(p) if bool((cupy.diff(p) != 0).all()) else 0 for p in points]


def on_grid(points: Any, values: Any, xi: Any, method: str, bounds_error: bool, fill_value: Any) -> Any:
    made = interpolate.RegularGridInterpolator(points, values, method, bounds_error, fill_value)
    return made(xi)


# -- scattered points ----------------------------------------------------------------------------------------------------


def _fitted(y: Any, d: Any, smoothing: Any, kernel: str, epsilon: float, degree: int, neighbors: Any = None) -> Any:
    return interpolate.RBFInterpolator(y, d, neighbors, smoothing, kernel, epsilon, degree)


def radial_fit(y: Any, d: Any, smoothing: Any, kernel: str, epsilon: float, degree: int) -> Any:
    """(shift, scale, coefficients)."""
    made = _fitted(y, d, smoothing, kernel, epsilon, degree)
    return made._shift, made._scale, made._coeffs


def radial(x: Any, y: Any, shift: Any, scale: Any, coefficients: Any, kernel: str, epsilon: float, degree: int) -> Any:
    from cupyx.scipy.interpolate import _rbfinterp

    made = object.__new__(interpolate.RBFInterpolator)
    made.y, made.d = y, cupy.empty((len(y), coefficients.shape[1]))
    made.kernel, made.epsilon = kernel, epsilon
    made.powers = _rbfinterp._monomial_powers(y.shape[1], degree)
    return made._chunk_evaluator(x, y, shift, scale, coefficients)


def radial_near(
    x: Any, y: Any, d: Any, smoothing: Any, kernel: str, epsilon: float, degree: int, neighbors: int
) -> Any:
    return _fitted(y, d, smoothing, kernel, epsilon, degree, neighbors)(x)


def linear_nd(found: Any, simplices: Any, corners: Any, values: Any, fill_value: Any) -> Any:
    """The corners' values by their weights; the fill value where no triangle was found (-1)."""
    made = cupy.einsum("nk,nkv->nv", corners, values[simplices[cupy.maximum(found, 0)]])
    return cupy.where((found < 0)[:, None], fill_value, made).astype(values.dtype, copy=False)


def gradients(points: Any, values: Any, tol: float, maxiter: int) -> Any:
    """Gradients (points, columns, 2) that make the surface least curved."""
    return interpolate.CloughTocher2DInterpolator(points, values, tol=tol, maxiter=maxiter).grad


class _Triangles:
    """What a surface over triangles asks of its triangulation."""

    def __init__(self, points: Any, simplices: Any, neighbors: Any) -> None:
        self.points, self.simplices, self.neighbors = points, simplices, neighbors


def clough_tocher(
    points: Any,
    simplices: Any,
    neighbors: Any,
    values: Any,
    grad: Any,
    xi: Any,
    fill_value: Any,
    tol: float,
    maxiter: int,
) -> Any:
    from . import spatial

    made = object.__new__(interpolate.CloughTocher2DInterpolator)
    made.tri = _Triangles(points, simplices, neighbors)
    made.values, made.grad, made.fill_value = values, grad, fill_value
    found = spatial.OPS["@cupyx.scipy.spatial.delaunay_find"](points, simplices, neighbors, xi, 0.0, True)
    made._find_simplicies = lambda _: found
    return made._do_evaluate(xi)


OPS: dict[str, Callable[..., Any]] = {
    f"@cupyx.scipy.interpolate.{function.__name__}": function
    for function in (
        polynomials, derivative, antiderivative, integral, other_basis, raised, from_derivatives, order_of, nd_polynomials,
        nd_derivative, nd_integral_1d, nd_integral, spline, checked_knots, spline_derivative, spline_integral, basis_element,
        design_matrix, interpolating_spline, least_squares_spline, univariate, cubic, weights, barycentric, newton, newton_values,
        newton_derivatives, interp1d, nd_spline, nd_design_matrix, nd_interpolating_spline, orders_of, on_grid, radial_fit, radial,
        radial_near, linear_nd, gradients, clough_tocher,
    )
}  # fmt: skip
