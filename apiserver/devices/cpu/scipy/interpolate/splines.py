"""Splines: evaluation, calculus, fits. Coefficients are (coefficients, …)."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import scipy.interpolate

_sp: Any = scipy.interpolate


def _made(t: Any, c: Any, k: int, extrapolate: Any = True) -> Any:
    return _sp.BSpline.construct_fast(np.ascontiguousarray(t), np.ascontiguousarray(c), k, extrapolate)


def spline(t: Any, c: Any, k: int, xp: Any, nu: int, extrapolate: Any) -> Any:
    return np.asarray(_made(t, c, k, extrapolate)(np.asarray(xp, np.float64), nu))


def checked_knots(t: Any, k: int) -> None:
    """Raises ValueError for what are no knots of a spline of degree `k`."""
    n = len(t) - k - 1
    if (np.diff(t) < 0).any():
        raise ValueError("Knots must be in a non-decreasing order.")
    if len(np.unique(t[k : n + 1])) < 2:
        raise ValueError("Need at least two internal knots.")
    if not np.isfinite(t).all():
        raise ValueError("Knots should not have nans or infs.")


def spline_derivative(t: Any, c: Any, k: int, n: int) -> Any:
    t = np.asarray(t, np.float64)
    if n == 0:
        return t, np.asarray(c, np.result_type(c, np.float64))
    made = (_sp.splder if n > 0 else _sp.splantider)((t, np.asarray(c), k), abs(n))
    return np.asarray(made[0], np.float64), np.asarray(made[1], np.result_type(c, np.float64))


def spline_integral(t: Any, c: Any, k: int, a: Any, b: Any, extrapolate: Any) -> Any:
    a, b = (float(np.reshape(v, ())) for v in (a, b))
    return np.asarray(_made(t, c, k, extrapolate).integrate(a, b)).reshape(c.shape[1:])


def basis_element(t: Any) -> Any:
    made = _sp.BSpline.basis_element(np.asarray(t, np.float64))
    return made.t, made.c


def design_matrix(x: Any, t: Any, k: int, extrapolate: Any) -> Any:
    """(data, indices, indptr)."""
    x, t = (np.ascontiguousarray(v, np.float64) for v in (x, t))
    if np.any(t[1:] < t[:-1]):
        raise ValueError(f"Expect t to be a 1-D sorted array_like, but got t={t}.")
    made = _sp.BSpline.design_matrix(x, t, k, extrapolate)
    index = np.int32 if len(x) * (k + 1) < np.iinfo(np.int32).max else np.int64
    return made.data, made.indices.astype(index), made.indptr.astype(index)


def interpolating_spline(x: Any, y: Any, k: int, t: Any, bc_type: Any, axis: int, check_finite: bool) -> Any:
    """(knots, coefficients)."""
    made = _sp.make_interp_spline(x, y, k, t, bc_type, axis, check_finite)
    return np.asarray(made.t), np.ascontiguousarray(made.c)


def least_squares_spline(x: Any, y: Any, t: Any, k: int, w: Any, axis: int, check_finite: bool) -> Any:
    """(knots, coefficients)."""
    made = _sp.make_lsq_spline(x, y, t, operator.index(k), w, axis, check_finite)
    return np.asarray(made.t), np.ascontiguousarray(made.c)


def univariate(x: Any, y: Any, k: int, s: Any, xb: Any, xe: Any, t: Any) -> Any:
    """(knots, coefficients, sum of squared residuals, how the fit ended: -1 interpolates, -2 one polynomial, 0 in between).

    The residuals are those of a fit on the knots `t` where they are given.
    """
    if t is not None:
        _check_fit(x, t, k)
    if s == 0:
        # FITPACK's knots are those of an interpolating spline.
        made = _sp.make_interp_spline(x, y, k)
        knots, c, residual, end = made.t, made.c, np.sum((y - made(x)) ** 2), -1
    else:
        (knots, c, _), residual, end, _ = _sp.splrep(x, y, xb=xb, xe=xe, k=k, s=s, full_output=True)
        c = c[: len(knots) - k - 1]
    if t is not None:
        residual = np.sum((y - _sp.make_lsq_spline(x, y, t, k)(x)) ** 2)
    return knots, c, np.asarray(float(residual)), np.asarray(int(end))


def _check_fit(x: Any, t: Any, k: int) -> None:
    """Raises ValueError for knots on which no spline of degree `k` through these points is determined."""
    m, n = len(x), len(t) - k - 1
    if not k + 1 <= n <= m:
        raise ValueError(f"Need k+1 <= n-k-1 <= m. Got m={m}, n={len(t)} and k={k}.")
    if np.any(np.diff(t) < 0):
        raise ValueError(f"Knots must be ordered; got t={t}.")
    if np.any(np.diff(t[k : n + 1]) <= 0):
        raise ValueError(f"Internal knots must be distinct. Got t={t}.")
    if x[0] < t[k] or x[-1] > t[n]:
        raise ValueError(f"Out of bounds: x={x} and t={t}.")
    # Schoenberg and Whitney: each B-spline needs a point of its own, in order.
    at = 0
    for j in range(n):
        while at < m and not (
            t[j] < x[at] < t[j + k + 1] or (j == 0 and x[at] == t[0]) or (j == n - 1 and x[at] == t[-1])
        ):
            at += 1
        if at == m:
            raise ValueError(f"Schoenberg-Whitney condition is violated with t={t} and x={x}.")
        at += 1


def cubic(kind: str, x: Any, y: Any, dydx: Any, axis: int, bc_type: Any) -> Any:
    """(breaks, coefficients) of a piecewise cubic; those of a spline have CuPy's repeated breaks."""
    x, y = np.asarray(x), np.asarray(y)
    if kind == "hermite":
        made = _sp.CubicHermiteSpline(x, y, np.asarray(dydx), axis)
    elif kind == "pchip" and np.iscomplexobj(y):
        made = _sp.CubicHermiteSpline(x, y, _monotone_slopes(np.asarray(x, np.float64), y, axis), axis)
    elif kind == "pchip":
        made = _sp.PchipInterpolator(x, y, axis)
    elif kind == "akima":
        made = _sp.Akima1DInterpolator(x, y, axis)
    elif y.size and len(x) > 3:
        if any(not isinstance(bc, str) and np.iscomplexobj(bc[1]) for bc in bc_type if not isinstance(bc_type, str)):
            y = y.astype(np.complex128)
        return _of_knots(_sp.make_interp_spline(x, y, 3, None, _ends(bc_type, x, y), axis))
    else:
        made = _sp.CubicSpline(x, y, axis, _conditions(bc_type))
    return np.asarray(made.x, np.float64), np.ascontiguousarray(made.c)


def _legacy_sign(z: Any) -> Any:
    """CuPy's order of complex numbers: the real part's sign, or the imaginary one's where that is zero."""
    return np.where(z.real != 0, np.sign(z.real), np.sign(z.imag))


def _end_slope(h0: Any, h1: Any, m0: Any, m1: Any) -> Any:
    """At an end: of a parabola through three points, bent where it would overshoot."""
    slope = ((2 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
    turns = _legacy_sign(slope) != _legacy_sign(m0)
    overshoots = (_legacy_sign(m0) != _legacy_sign(m1)) & (np.abs(slope) > 3 * np.abs(m0))
    return np.where(turns, 0, np.where(overshoots, 3 * m0, slope))


def _monotone_slopes(x: Any, y: Any, axis: int) -> Any:
    """Derivatives at the points of complex values, as CuPy's PchipInterpolator takes them; SciPy's refuses complex values."""
    y = np.moveaxis(np.asarray(y), axis, 0)
    h = np.diff(x).reshape(-1, *(1,) * (y.ndim - 1))
    m = np.diff(y, axis=0) / h
    made = np.empty_like(y)
    if len(y) == 2:
        made[:] = m
        return np.moveaxis(made, 0, axis)
    sign = _legacy_sign(m)
    is_flat = (sign[1:] != sign[:-1]) | (m[1:] == 0) | (m[:-1] == 0)
    before, after = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        made[1:-1] = np.where(is_flat, 0, (before + after) / (before / m[:-1] + after / m[1:]))
    made[0] = _end_slope(h[0], h[1], m[0], m[1])
    made[-1] = _end_slope(h[-1], h[-2], m[-1], m[-2])
    return np.moveaxis(made, 0, axis)


def _of_knots(spline: Any) -> Any:
    """(knots, coefficients): CuPy makes a cubic spline out of one of B-splines, so its breaks are the knots, repeated at the ends."""
    flat = _made(spline.t, spline.c, spline.k, spline.extrapolate)
    rows = [flat(spline.t[:-1], m) / math.factorial(m) for m in range(spline.k, -1, -1)]
    return np.asarray(spline.t), np.ascontiguousarray(rows)


def _conditions(bc_type: Any) -> Any:
    if isinstance(bc_type, str):
        return bc_type
    return tuple(bc if isinstance(bc, str) else (bc[0], np.asarray(bc[1])) for bc in bc_type)


def _ends(bc_type: Any, x: Any, y: Any) -> Any:
    """The same conditions as those of a spline of B-splines."""
    if isinstance(bc_type, str):
        return None if bc_type == "not-a-knot" else bc_type
    if all(isinstance(bc, str) and bc == "not-a-knot" for bc in bc_type):
        return None
    ends = tuple(bc if isinstance(bc, str) else [(bc[0], np.asarray(bc[1]))] for bc in bc_type)
    if any(isinstance(bc, str) and bc == "not-a-knot" for bc in ends):
        raise ValueError("Unknown boundary condition : not-a-knot")  # CuPy's: it must be given for both ends
    return ends


FUNCTIONS = {
    function.__name__: function
    for function in (
        spline, checked_knots, spline_derivative, spline_integral, basis_element, design_matrix, interpolating_spline,
        least_squares_spline, univariate, cubic,
    )
}  # fmt: skip
