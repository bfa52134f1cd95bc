"""Splines in the basis of B-splines, and the fits that give them."""

from __future__ import annotations

import operator
from typing import Any, Self

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .._commands import cp
from ._common import MODULE, float_array, inexact, interpolation, moved_back, sparse

_evaluate = interpolation("spline")
_checked_knots = interpolation("checked_knots")
_derivative = interpolation("spline_derivative")
_integral = interpolation("spline_integral")
_basis_element = interpolation("basis_element")
_design_matrix = interpolation("design_matrix")
_interpolating = interpolation("interpolating_spline")
_least_squares = interpolation("least_squares_spline")


def splder(tck: Any, n: int = 1) -> tuple[Any, Any, int]:
    """(knots, coefficients, degree) of the derivative `n` of such a spline."""
    t, c, k = tck
    return (*_derivative(cp.asarray(t), cp.asarray(c), k, n), k - n)


def splantider(tck: Any, n: int = 1) -> tuple[Any, Any, int]:
    """(knots, coefficients, degree) of the antiderivative `n` of such a spline."""
    return splder(tck, -n)


class BSpline:
    """As `cupyx.scipy.interpolate.BSpline`.

    Attributes:
        t: knots (n + k + 1,) float64.
        c: coefficients (n or more, …), float64 or complex128.
        k: degree.
        extrapolate: True, False or "periodic".
        axis: where the interpolated axis is in results.
    """

    __module__ = MODULE

    def __init__(self, t: Any, c: Any, k: Any, extrapolate: Any = True, axis: int = 0) -> None:
        self.k = operator.index(k)
        self.c = cp.asarray(c)
        self.t = cp.ascontiguousarray(t, dtype=np.float64)
        self.extrapolate = (
            extrapolate if isinstance(extrapolate, str) and extrapolate == "periodic" else bool(extrapolate)
        )
        n = self.t.shape[0] - self.k - 1
        self.axis = normalize_axis_index(axis, self.c.ndim)
        if self.axis != 0:
            self.c = cp.moveaxis(self.c, self.axis, 0)
        if k < 0:
            raise ValueError("Spline order cannot be negative.")
        if self.t.ndim != 1:
            raise ValueError("Knot vector must be one-dimensional.")
        if n < self.k + 1:
            raise ValueError(f"Need at least {2 * k + 2} knots for degree {k}")
        if self.c.ndim < 1:
            raise ValueError("Coefficients must be at least 1-dimensional.")
        if self.c.shape[0] < n:
            raise ValueError("Knots, coefficients and degree are inconsistent.")
        _checked_knots(self.t, self.k)
        self.c = cp.ascontiguousarray(self.c, dtype=inexact(self.c.dtype))

    @classmethod
    def construct_fast(cls, t: Any, c: Any, k: int, extrapolate: Any = True, axis: int = 0) -> Self:
        """Without looking at anything. `t` and `c` must be what the attributes are."""
        self = object.__new__(cls)
        self.t, self.c, self.k = t, c, k
        self.extrapolate = extrapolate
        self.axis = axis
        return self

    @property
    def tck(self) -> tuple[Any, Any, int]:
        """Knots, coefficients and degree."""
        return self.t, self.c, self.k

    @classmethod
    def basis_element(cls, t: Any, extrapolate: Any = True) -> Self:
        """The one B-spline on the knots `t`."""
        k = len(t) - 2
        knots, c = _basis_element(cp.asarray(t))
        return cls.construct_fast(knots, c, k, extrapolate)

    @classmethod
    def design_matrix(cls, x: Any, t: Any, k: Any, extrapolate: Any = False) -> Any:
        """Values of all B-splines at the points `x`: a sparse matrix with a row per point. Waits: it looks at points and knots."""
        x, t = float_array(x, True), float_array(t, True)
        if extrapolate != "periodic":
            extrapolate = bool(extrapolate)
        parts = _design_matrix(x, t, k, extrapolate)
        return sparse().csr_matrix(parts, shape=(x.shape[0], t.shape[0] - k - 1))

    def __call__(self, x: Any, nu: Any = 0, extrapolate: Any = None) -> Any:
        """Values, or those of the derivative `nu`, at `x`."""
        extrapolate = self.extrapolate if extrapolate is None else extrapolate
        if extrapolate != "periodic":
            extrapolate = bool(extrapolate)
        x = cp.asarray(x)
        return moved_back(_evaluate(self.t, self.c, self.k, x, int(nu), extrapolate), x.ndim, self.axis)

    def _padded(self) -> Any:
        """Coefficients as many as knots."""
        missing = self.t.shape[0] - self.c.shape[0]
        if missing <= 0:
            return self.c
        return cp.concatenate([self.c, cp.zeros((missing, *self.c.shape[1:]), self.c.dtype)])

    def derivative(self, nu: int = 1) -> Self:
        """The derivative, as another spline."""
        tck = splder((self.t, self._padded(), self.k), nu)
        return self.construct_fast(*tck, extrapolate=self.extrapolate, axis=self.axis)

    def antiderivative(self, nu: int = 1) -> Self:
        """The antiderivative, as another spline."""
        tck = splantider((self.t, self._padded(), self.k), nu)
        extrapolate = False if self.extrapolate == "periodic" else self.extrapolate
        return self.construct_fast(*tck, extrapolate=extrapolate, axis=self.axis)

    def integrate(self, a: Any, b: Any, extrapolate: Any = None) -> Any:
        """The integral from `a` to `b`."""
        extrapolate = self.extrapolate if extrapolate is None else extrapolate
        return _integral(self.t, self.c, self.k, a, b, extrapolate)


def make_interp_spline(
    x: Any, y: Any, k: Any = 3, t: Any = None, bc_type: Any = None, axis: Any = 0, check_finite: Any = True
) -> BSpline:
    """As `cupyx.scipy.interpolate.make_interp_spline`. Waits: it looks at the data."""
    y = cp.asarray(y)
    axis = normalize_axis_index(axis, y.ndim)
    if isinstance(bc_type, str):
        if bc_type == "not-a-knot":
            bc_type = None
        elif bc_type not in ("clamped", "natural", "periodic"):
            raise ValueError(f"Unknown boundary condition : {bc_type}")
    elif bc_type is not None:
        bc_type = _conditions(bc_type)
    if t is not None:
        if isinstance(bc_type, str) and bc_type == "periodic":
            ends = cp.moveaxis(y, axis, 0)
            if not cp.allclose(ends[0], ends[-1], atol=1e-15):
                raise ValueError("First and last points does not match while periodic case expected")
            raise NotImplementedError("For periodic case t is constructed automatically and can not be passed manually")
        t = cp.asarray(t)
    k = operator.index(k)
    if k > 1 and k % 2 == 0 and k != 2 and t is None and bc_type is None:
        raise ValueError(f"Odd degree for now only. Got {k}.")
    knots, c = _interpolating(cp.asarray(x), y, k, t, bc_type, axis, bool(check_finite))
    extrapolate = "periodic" if isinstance(bc_type, str) and bc_type == "periodic" and k > 1 else True
    return BSpline.construct_fast(knots, c, k, extrapolate, axis)


def _conditions(bc_type: Any) -> tuple[Any, Any]:
    """Conditions at both ends, each None, a name, or pairs of an order and a value."""
    try:
        left, right = bc_type
    except TypeError:
        raise ValueError(f"Unknown boundary condition: {bc_type}") from None
    return _condition(left), _condition(right)


def _condition(given: Any) -> Any:
    if given is None or isinstance(given, str):
        return given
    try:
        return [(int(order), value) for order, value in given]
    except TypeError:
        raise ValueError(
            "Derivatives, `bc_type`, should be specified as a pair of iterables of pairs of (order, value)."
        ) from None


def make_lsq_spline(
    x: Any, y: Any, t: Any, k: Any = 3, w: Any = None, axis: Any = 0, check_finite: Any = True, *, method: Any = "qr"
) -> BSpline:
    """As `cupyx.scipy.interpolate.make_lsq_spline`. Waits: it looks at the data."""
    x, y, t = cp.asarray(x), cp.asarray(y), cp.asarray(t)
    if method != "qr":
        raise ValueError(f"method={method!r} is not supported.")
    k = operator.index(k)
    axis = normalize_axis_index(axis, y.ndim)
    w = None if w is None else cp.asarray(w)
    knots, c = _least_squares(x, y, t, k, w, axis, bool(check_finite))
    return BSpline.construct_fast(knots, c, k, axis=axis)
