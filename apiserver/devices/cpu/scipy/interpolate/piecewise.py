"""Polynomials on intervals, in powers or in Bernstein's basis. Coefficients are (order, intervals, …)."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.interpolate

_sp: Any = scipy.interpolate


def _made(c: Any, x: Any, extrapolate: Any, bernstein: bool) -> Any:
    return (_sp.BPoly if bernstein else _sp.PPoly).construct_fast(
        np.ascontiguousarray(c), np.ascontiguousarray(x), extrapolate
    )


def polynomials(c: Any, x: Any, xp: Any, nu: int, extrapolate: Any, bernstein: bool) -> Any:
    return np.asarray(_made(c, x, extrapolate, bernstein)(np.asarray(xp, np.float64), nu))


def derivative(c: Any, x: Any, nu: int, bernstein: bool) -> Any:
    return np.ascontiguousarray(_made(c, x, True, bernstein).derivative(nu).c)


def antiderivative(c: Any, x: Any, nu: int, bernstein: bool) -> Any:
    return np.ascontiguousarray(_made(c, x, True, bernstein).antiderivative(nu).c)


def integral(c: Any, x: Any, a: Any, b: Any, extrapolate: Any, bernstein: bool) -> Any:
    a, b = (float(np.reshape(v, ())) for v in (a, b))
    return np.asarray(_made(c, x, extrapolate, bernstein).integrate(a, b)).astype(c.dtype, copy=False)


def other_basis(c: Any, x: Any, bernstein: bool) -> Any:
    """Coefficients in powers of a polynomial in Bernstein's basis, or the other way round. `bernstein` says which is wanted."""
    given = _made(c, x, True, not bernstein)
    return (_sp.BPoly.from_power_basis(given) if bernstein else _sp.PPoly.from_bernstein_basis(given)).c


def raised(c: Any, d: int) -> Any:
    """The same polynomial in Bernstein's basis of an order higher by `d`."""
    return np.array(_sp.BPoly._raise_degree(c, d))


def from_derivatives(xi: Any, yi: Any, orders: Any) -> Any:
    """Coefficients in Bernstein's basis of the polynomial with these derivatives at these points."""
    made = _sp.BPoly.from_derivatives(np.asarray(xi), yi, orders)
    return np.ascontiguousarray(made.c)


def order_of(x: Any) -> int:
    """1 for breaks that do not decrease, -1 for those that do not increase, 0 for others."""
    steps = np.diff(x)
    return 1 if np.all(steps >= 0) else -1 if np.all(steps <= 0) else 0


# -- in several dimensions -----------------------------------------------------------------------------------------------


def _nd(c: Any, x: Any, extrapolate: bool = True) -> Any:
    return _sp.NdPPoly.construct_fast(np.ascontiguousarray(c), tuple(np.ascontiguousarray(v) for v in x), extrapolate)


def nd_polynomials(c: Any, x: Any, xp: Any, nu: Any, extrapolate: bool) -> Any:
    return np.asarray(_nd(c, x, extrapolate)(np.asarray(xp, np.float64), tuple(nu)))


def nd_derivative(c: Any, x: Any, nu: Any) -> Any:
    return np.ascontiguousarray(_nd(c, x).derivative(tuple(nu)).c)


def nd_integral_1d(c: Any, x: Any, a: Any, b: Any, axis: int, extrapolate: bool) -> Any:
    made = _nd(c, x, extrapolate).integrate_1d(float(a), float(b), axis)
    return np.asarray(getattr(made, "c", made), order="C")


def nd_integral(c: Any, x: Any, ranges: Any, extrapolate: bool) -> Any:
    return np.asarray(_nd(c, x, extrapolate).integrate(tuple((float(a), float(b)) for a, b in ranges)))


FUNCTIONS = {
    function.__name__: function
    for function in (
        polynomials, derivative, antiderivative, integral, other_basis, raised, from_derivatives, order_of, nd_polynomials,
        nd_derivative, nd_integral_1d, nd_integral,
    )
}  # fmt: skip
