"""Interpolation of values on a grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.interpolate

from .piecewise import order_of

_sp: Any = scipy.interpolate


def nd_spline(t: Any, c: Any, k: Any, xi: Any, nu: Any, extrapolate: bool) -> Any:
    """Values of a tensor product of splines. Outside of the knots NaN, unless extrapolated."""
    ndim = len(t)
    flat = np.asarray(xi, np.float64).reshape(-1, ndim)
    # One matrix of basis functions per dimension, (points, coefficients).
    bases = [_basis(np.asarray(t[d]), int(k[d]), flat[:, d], int(nu[d]), extrapolate) for d in range(ndim)]
    rest = c.shape[ndim:]
    made = np.broadcast_to(c.reshape(1, *c.shape[:ndim], -1), (1, *c.shape[:ndim], int(np.prod(rest))))
    for basis in bases:
        made = np.einsum("pi,pi...->p...", basis, np.broadcast_to(made, (len(flat), *made.shape[1:])))
    outside = np.zeros(len(flat), bool)
    if not extrapolate:
        for d in range(ndim):
            outside |= (flat[:, d] < t[d][k[d]]) | (flat[:, d] > t[d][len(t[d]) - k[d] - 1])
    for d in range(ndim):
        outside |= np.isnan(flat[:, d])
    made = np.where(outside[:, None], np.nan, made)
    return np.asarray(made.reshape((*np.shape(xi)[:-1], *rest)), order="C").astype(c.dtype, copy=False)


def _basis(t: Any, k: int, x: Any, nu: int, extrapolate: bool) -> Any:
    """Values of every basis function (points, functions) of one dimension."""
    n = len(t) - k - 1
    x = np.where(np.isnan(x), t[k], x) if extrapolate else np.clip(np.where(np.isnan(x), t[k], x), t[k], t[n])
    return np.asarray(_sp.BSpline.construct_fast(t, np.eye(n), k, True)(x, nu))


def nd_design_matrix(xvals: Any, t: Any, k: Any, extrapolate: bool) -> Any:
    """(data, indices, indptr) of a sparse matrix with a row per point."""
    points = np.asarray(xvals, np.float64)
    columns, data = np.zeros((len(points), 1), np.int64), np.ones((len(points), 1))
    for d, knots in enumerate(t):
        knots, degree = np.asarray(knots), int(k[d])
        n = len(knots) - degree - 1
        x = points[:, d]
        first = np.clip(np.searchsorted(knots, x, "right") - 1, degree, n - 1) - degree
        local = first[:, None] + np.arange(degree + 1)
        values = np.take_along_axis(_basis(knots, degree, x, 0, True), local, 1)
        columns = (columns[:, :, None] * n + local[:, None, :]).reshape(len(points), -1)
        data = (data[:, :, None] * values[:, None, :]).reshape(len(points), -1)
    indptr = np.arange(0, data.size + 1, data.shape[1] or 1, dtype=np.int64)
    return data.ravel(), columns.ravel(), indptr


def nd_interpolating_spline(points: Any, values: Any, k: Any) -> Any:
    """(knots of each dimension …, coefficients) with the knots of "not-a-knot"."""
    knots, c = [], np.asarray(values)
    for d, grid in enumerate(points):
        made = _sp.make_interp_spline(np.asarray(grid, np.float64), c, int(k[d]), axis=d)
        knots.append(np.asarray(made.t))
        c = np.moveaxis(made.c, 0, d)
    return (*knots, np.ascontiguousarray(c))


def orders_of(points: Any) -> list[int]:
    """Per dimension 1 for strictly ascending coordinates, -1 for strictly descending ones, 0 for others."""
    return [order_of(p) if np.all(np.diff(p)) else 0 for p in (np.asarray(p) for p in points)]


def on_grid(points: Any, values: Any, xi: Any, method: str, bounds_error: bool, fill_value: Any) -> Any:
    values = np.asarray(values)
    if method == "pchip" and np.iscomplexobj(values):
        parts = [on_grid(points, part, xi, method, bounds_error, np.nan) for part in (values.real, values.imag)]
        made = parts[0] + 1j * parts[1]
        return made if fill_value is None or bounds_error else np.where(np.isnan(made), fill_value, made)
    made = _sp.RegularGridInterpolator(tuple(np.asarray(p) for p in points), values, method, bounds_error, fill_value)(
        np.asarray(xi, np.float64)
    )
    return np.asarray(made, order="C")


FUNCTIONS = {
    function.__name__: function
    for function in (nd_spline, nd_design_matrix, nd_interpolating_spline, orders_of, on_grid)
}
