"""Polynomials on intervals: in powers, in Bernstein's basis, and of several variables."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from .._commands import cp
from ._bspline import BSpline
from ._common import MODULE, host, inexact, interpolation, is_complex, joined_points, moved_back

_evaluate = interpolation("polynomials")
_derivative = interpolation("derivative")
_antiderivative = interpolation("antiderivative")
_integral = interpolation("integral")
_other_basis = interpolation("other_basis")
_raised = interpolation("raised")
_from_derivatives = interpolation("from_derivatives")
_order_of = interpolation("order_of")
_nd_evaluate = interpolation("nd_polynomials")
_nd_derivative = interpolation("nd_derivative")
_nd_integral_1d = interpolation("nd_integral_1d")
_nd_integral = interpolation("nd_integral")


class _PPolyBase:
    """A polynomial on each of several intervals.

    Attributes:
        c: coefficients (order + 1, intervals, …), float64 or complex128.
        x: breaks (intervals + 1,) float64.
        extrapolate: True, False or "periodic".
        axis: where the interpolated axis is in results.
    """

    __slots__ = ("axis", "c", "extrapolate", "x")
    __module__ = MODULE
    _bernstein = False

    def __init__(self, c: Any, x: Any, extrapolate: Any = None, axis: int = 0) -> None:
        self.c = cp.asarray(c)
        self.x = cp.ascontiguousarray(x, dtype=np.float64)
        if extrapolate is None:
            extrapolate = True
        elif extrapolate != "periodic":
            extrapolate = bool(extrapolate)
        self.extrapolate = extrapolate
        if self.c.ndim < 2:
            raise ValueError("Coefficients array must be at least 2-dimensional.")
        if not 0 <= axis < self.c.ndim - 1:
            raise ValueError(f"axis={axis} must be between 0 and {self.c.ndim - 1}")
        self.axis = axis
        if axis != 0:
            self.c = cp.moveaxis(cp.moveaxis(self.c, axis + 1, 0), axis + 1, 0)
        if self.x.ndim != 1:
            raise ValueError("x must be 1-dimensional")
        if self.x.size < 2:
            raise ValueError("at least 2 breakpoints are needed")
        if self.c.shape[0] == 0:
            raise ValueError("polynomial must be at least of order 0")
        if self.c.shape[1] != self.x.size - 1:
            raise ValueError("number of coefficients != len(x)-1")
        if not _order_of(self.x):
            raise ValueError("`x` must be strictly increasing or decreasing.")
        self.c = cp.ascontiguousarray(self.c, dtype=inexact(self.c.dtype))

    @classmethod
    def construct_fast(cls, c: Any, x: Any, extrapolate: Any = None, axis: int = 0) -> Self:
        """Without looking at anything. `c` and `x` must be what the attributes are."""
        self = object.__new__(cls)
        self.c, self.x, self.axis = c, x, axis
        self.extrapolate = True if extrapolate is None else extrapolate
        return self

    def _with(self, c: Any, extrapolate: Any = None) -> Self:
        """Other coefficients on the same intervals."""
        return self.construct_fast(c, self.x, self.extrapolate if extrapolate is None else extrapolate, self.axis)

    def extend(self, c: Any, x: Any) -> None:
        """Add intervals on the left or on the right: coefficients (order + 1, new intervals, …) and their breaks (new intervals,)."""
        c, x = cp.asarray(c), cp.asarray(x)
        if c.ndim < 2:
            raise ValueError("invalid dimensions for c")
        if x.ndim != 1:
            raise ValueError("invalid dimensions for x")
        if x.shape[0] != c.shape[1]:
            raise ValueError(f"Shapes of x {x.shape} and c {c.shape} are incompatible")
        if c.shape[2:] != self.c.shape[2:] or c.ndim != self.c.ndim:
            raise ValueError(f"Shapes of c {c.shape} and self.c {self.c.shape} are incompatible")
        if c.size == 0:
            return
        both = cp.concatenate([self.x, x.astype(np.float64)]).get()
        own, new = both[: self.x.size], both[self.x.size :]
        steps = np.diff(new)
        if not (np.all(steps >= 0) or np.all(steps <= 0)):
            raise ValueError("`x` is not sorted.")
        rises = own[-1] >= own[0]
        if not (new[-1] >= new[0] if rises else new[-1] <= new[0]):
            raise ValueError("`x` is in the different order than `self.x`.")
        if new[0] >= own[-1] if rises else new[0] <= own[-1]:
            parts, breaks = (self.c, c), (self.x, x)
        elif new[-1] <= own[0] if rises else new[-1] >= own[0]:
            parts, breaks = (c, self.c), (x, self.x)
        else:
            raise ValueError("`x` is neither on the left or on the right from `self.x`.")
        order = max(c.shape[0], self.c.shape[0])
        dtype = np.complex128 if is_complex(c.dtype) or is_complex(self.c.dtype) else np.float64
        padded = [cp.concatenate([cp.zeros((order - p.shape[0], *p.shape[1:]), dtype), p.astype(dtype)]) for p in parts]
        self.c = cp.concatenate(padded, axis=1)
        self.x = cp.concatenate([b.astype(np.float64) for b in breaks])

    def __call__(self, x: Any, nu: Any = 0, extrapolate: Any = None) -> Any:
        """Values, or those of the derivative `nu`, at `x`."""
        extrapolate = self.extrapolate if extrapolate is None else extrapolate
        x = cp.asarray(x)
        if extrapolate != "periodic":
            extrapolate = bool(extrapolate)
        values = _evaluate(self.c, self.x, x, int(nu), extrapolate, self._bernstein)
        return moved_back(values, x.ndim, self.axis)

    def derivative(self, nu: int = 1) -> Self:
        """The derivative, as another polynomial."""
        if nu < 0:
            return self.antiderivative(-nu)
        return self._with(_derivative(self.c, self.x, nu, self._bernstein))

    def antiderivative(self, nu: int = 1) -> Self:
        """The antiderivative, as another polynomial."""
        if nu <= 0:
            return self.derivative(-nu)
        extrapolate = False if self.extrapolate == "periodic" else self.extrapolate
        return self._with(_antiderivative(self.c, self.x, nu, self._bernstein), extrapolate)

    def integrate(self, a: Any, b: Any, extrapolate: Any = None) -> Any:
        """The integral from `a` to `b`."""
        extrapolate = self.extrapolate if extrapolate is None else extrapolate
        return _integral(self.c, self.x, a, b, extrapolate, self._bernstein)


class PPoly(_PPolyBase):
    """As `cupyx.scipy.interpolate.PPoly`: coefficients of powers of the distance from an interval's left end, highest first."""

    __slots__ = ()
    __module__ = MODULE

    def solve(self, y: Any = 0.0, discontinuity: Any = True, extrapolate: Any = None) -> Any:
        """Not implemented in CuPy."""
        raise NotImplementedError("At the moment there is not a GPU implementation for solve")

    def roots(self, discontinuity: Any = True, extrapolate: Any = None) -> Any:
        """Not implemented in CuPy."""
        return self.solve(0, discontinuity, extrapolate)

    @classmethod
    def from_spline(cls, tck: Any, extrapolate: Any = None) -> Self:
        """Of a `BSpline`, or of its knots, coefficients and degree."""
        if isinstance(tck, BSpline):
            t, c, k = tck.tck
            extrapolate = tck.extrapolate if extrapolate is None else extrapolate
        else:
            t, c, k = tck
        spline = BSpline(t, c, k, extrapolate=True if extrapolate is None else extrapolate)
        factor, rows = 1.0, []
        for m in range(k + 1):
            factor *= max(m, 1)
            rows.append(spline(t[:-1], nu=m) / factor)
        return cls.construct_fast(cp.stack(rows[::-1]).astype(c.dtype), t, extrapolate)

    @classmethod
    def from_bernstein_basis(cls, bp: Any, extrapolate: Any = None) -> Self:
        """Of a polynomial in Bernstein's basis."""
        if not isinstance(bp, BPoly):
            raise TypeError(f".from_bernstein_basis only accepts BPoly instances. Got {type(bp)} instead.")
        extrapolate = bp.extrapolate if extrapolate is None else extrapolate
        return cls.construct_fast(_other_basis(bp.c, bp.x, False), bp.x, extrapolate, bp.axis)


class BPoly(_PPolyBase):
    """As `cupyx.scipy.interpolate.BPoly`: coefficients in Bernstein's basis of each interval."""

    __slots__ = ()
    __module__ = MODULE
    _bernstein = True

    def extend(self, c: Any, x: Any) -> None:
        """Add intervals on the left or on the right. The lower order of the two is raised."""
        c = cp.asarray(c)
        order = max(self.c.shape[0], c.shape[0])
        self.c = self._raise_degree(self.c, order - self.c.shape[0])
        super().extend(self._raise_degree(c, order - c.shape[0]), x)

    @staticmethod
    def _raise_degree(c: Any, d: int) -> Any:
        return c if d == 0 else _raised(c, d)

    @classmethod
    def from_power_basis(cls, pp: Any, extrapolate: Any = None) -> Self:
        """Of a polynomial in powers."""
        if not isinstance(pp, PPoly):
            raise TypeError(f".from_power_basis only accepts PPoly instances. Got {type(pp)} instead.")
        extrapolate = pp.extrapolate if extrapolate is None else extrapolate
        return cls.construct_fast(_other_basis(pp.c, pp.x, True), pp.x, extrapolate, pp.axis)

    @classmethod
    def from_derivatives(cls, xi: Any, yi: Any, orders: Any = None, extrapolate: Any = None) -> Self:
        """With the given derivatives `yi[i]` (any number of them) at the points `xi[i]`. Waits: it looks at the points."""
        xi = cp.asarray(xi)
        return cls(_from_derivatives(xi, yi, orders), xi, extrapolate)

    @staticmethod
    def _construct_from_derivatives(xa: Any, xb: Any, ya: Any, yb: Any) -> Any:
        """Coefficients on one interval from the derivatives at its ends."""
        ya, yb = cp.asarray(ya), cp.asarray(yb)
        if ya.shape[1:] != yb.shape[1:]:
            raise ValueError(f"Shapes of ya {ya.shape} and yb {yb.shape} are incompatible")
        ends = cp.asarray([float(host(xa)), float(host(xb))])
        return _from_derivatives(ends, [ya, yb], None)[:, 0]


class NdPPoly:
    """As `cupyx.scipy.interpolate.NdPPoly`: a polynomial of several variables on each cell of a grid.

    Attributes:
        c: coefficients (order + 1 of each variable …, intervals of each variable …, …).
        x: tuple of breaks.
        extrapolate: whether values outside of the grid are extrapolated, or NaN.
    """

    __module__ = MODULE

    def __init__(self, c: Any, x: Any, extrapolate: Any = None) -> None:
        self.x = tuple(cp.ascontiguousarray(v, dtype=np.float64) for v in x)
        self.c = cp.asarray(c)
        self.extrapolate = True if extrapolate is None else bool(extrapolate)
        n = len(self.x)
        if any(v.ndim != 1 for v in self.x):
            raise ValueError("x arrays must all be 1-dimensional")
        if any(v.size < 2 for v in self.x):
            raise ValueError("x arrays must all contain at least 2 points")
        if self.c.ndim < 2 * n:
            raise ValueError("c must have at least 2*len(x) dimensions")
        if any(_order_of(v) != 1 for v in self.x):
            raise ValueError("x-coordinates are not in increasing order")
        if any(a != b.size - 1 for a, b in zip(self.c.shape[n : 2 * n], self.x, strict=True)):
            raise ValueError("x and c do not agree on the number of intervals")
        self.c = cp.ascontiguousarray(self.c, dtype=inexact(self.c.dtype))

    @classmethod
    def construct_fast(cls, c: Any, x: Any, extrapolate: Any = None) -> Self:
        """Without looking at anything. `c` and `x` must be what the attributes are."""
        self = object.__new__(cls)
        self.c, self.x = c, tuple(x)
        self.extrapolate = True if extrapolate is None else extrapolate
        return self

    def _chosen(self, extrapolate: Any) -> bool:
        return bool(self.extrapolate if extrapolate is None else extrapolate)

    def __call__(self, x: Any, nu: Any = None, extrapolate: Any = None) -> Any:
        """Values, or those of the derivative of orders `nu`, at the points `x` (…, variables)."""
        n = len(self.x)
        orders = (0,) * n if nu is None else tuple(int(d) for d in np.ravel(host(nu)))
        if nu is not None and (np.ndim(host(nu)) != 1 or len(orders) != n):
            raise ValueError("invalid number of derivative orders nu")
        return _nd_evaluate(self.c, self.x, joined_points(x), orders, self._chosen(extrapolate))

    def derivative(self, nu: Any) -> Self:
        """The derivative of orders `nu`; negative ones are antiderivatives."""
        return self.construct_fast(_nd_derivative(self.c, self.x, _orders(nu)), self.x, self.extrapolate)

    def antiderivative(self, nu: Any) -> Self:
        """The antiderivative of orders `nu`."""
        return self.derivative(tuple(-d for d in _orders(nu)))

    def integrate_1d(self, a: Any, b: Any, axis: Any, extrapolate: Any = None) -> Any:
        """The integral over one variable: another polynomial, or an array when there was one variable."""
        axis = int(axis) % len(self.x)
        extrapolate = self._chosen(extrapolate)
        c = _nd_integral_1d(self.c, self.x, a, b, axis, extrapolate)
        if len(self.x) == 1:
            return c
        return self.construct_fast(c, self.x[:axis] + self.x[axis + 1 :], extrapolate)

    def integrate(self, ranges: Any, extrapolate: Any = None) -> Any:
        """The integral over all variables, each in its range (from, to)."""
        if not hasattr(ranges, "__len__") or len(ranges) != len(self.x):
            raise ValueError("Range not a sequence of correct length")
        pairs = tuple((a, b) for a, b in ranges)
        return _nd_integral(self.c, self.x, pairs, self._chosen(extrapolate))


def _orders(nu: Any) -> tuple[int, ...]:
    return tuple(int(d) for d in host(nu))
