"""Smoothing splines of one variable."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from .._commands import cp
from ._bspline import BSpline
from ._common import MODULE, interpolation

_fit = interpolation("univariate")

_MODES = {0: 0, "extrapolate": 0, 1: 1, "zeros": 1, 2: 2, "raise": 2, 3: 3, "const": 3}


class UnivariateSpline:
    """As `cupyx.scipy.interpolate.UnivariateSpline`. Fitting looks at the data and waits."""

    __module__ = MODULE

    _spl: BSpline

    def __init__(
        self, x: Any, y: Any, w: Any = None, bbox: Any = (None, None), k: int = 3, s: Any = None, ext: Any = 0
    ) -> None:
        self._take(x, y, w, bbox, k, ext)
        self.set_smoothing_factor(len(self._x) if s is None else s)

    def _take(self, x: Any, y: Any, w: Any, bbox: Any, k: int, ext: Any) -> None:
        if w is not None:
            raise NotImplementedError("weighted spline fitting is not implemented")
        self._x, self._y = cp.asarray(x, dtype=np.float64), cp.asarray(y, dtype=np.float64)
        begin, end = bbox
        self.ext = ext
        self._bbox = (begin or None, end or None)
        self._xb = begin or self._x[0]
        self._xe = end or self._x[-1]
        self._k = k

    @classmethod
    def _from_spl(cls, spl: BSpline, residual: Any, xb: Any, xe: Any, ext: Any = 0) -> Self:
        self = object.__new__(cls)
        self._spl, self.ext = spl, ext
        self._residual, self._xb, self._xe = residual, xb, xe
        return self

    def set_smoothing_factor(self, s: Any, t: Any = None) -> None:
        """Fit again, with another bound on the sum of squared residuals."""
        begin, end = self._bbox
        knots, c, self._residual, how = _fit(self._x, self._y, self._k, s, begin, end, t)
        self._spl = BSpline.construct_fast(knots, c, self._k)
        self._s = s
        if type(self) in (UnivariateSpline, InterpolatedUnivariateSpline, LSQUnivariateSpline):
            kinds = {-1: InterpolatedUnivariateSpline, -2: LSQUnivariateSpline, 1: LSQUnivariateSpline}
            self.__class__ = kinds.get(int(how), type(self))

    def __call__(self, x: Any, nu: int = 0, ext: Any = None) -> Any:
        """Values, or those of the derivative `nu`. `ext` says what is outside: 0 extrapolates, 1 zero, 2 raises, 3 the boundary's value."""
        x = cp.asarray(x)
        result = self._spl(x, nu)
        if ext is None:
            ext = self.ext
        mode = _MODES.get(ext)
        if mode is None:
            raise ValueError(f"Unknown extrapolation mode {ext}.")
        if mode == 0:
            return result
        below, above = x < self._xb, x > self._xe
        if mode == 1:
            return cp.where(below | above, 0.0, result)
        if mode == 2:
            if (below | above).any():
                raise ValueError(f"Out of bounds x={x!r} with ext='raise'.")
            return result
        return cp.where(below, self._spl(self._xb), cp.where(above, self._spl(self._xe), result))

    def get_knots(self) -> Any:
        """The knots, each end once."""
        return self._spl.t[self._spl.k : -self._spl.k]

    def get_coeffs(self) -> Any:
        """Coefficients of the B-splines."""
        return self._spl.c

    def get_residual(self) -> Any:
        """The sum of squared residuals."""
        return self._residual

    def integral(self, a: Any, b: Any) -> Any:
        """The integral from `a` to `b`; the spline is zero outside of its interval. Waits: it compares with the ends."""
        if (a <= self._xb and b <= self._xb) or (a >= self._xe and b >= self._xe):
            return cp.array(0.0)
        return self._spl.integrate(a, b)

    def derivatives(self, x: Any) -> Any:
        """All derivatives at the point `x`."""
        return cp.stack([self._spl(x, nu) for nu in range(self._spl.k + 1)])

    def derivative(self, n: int = 1) -> UnivariateSpline:
        """The derivative, as another spline."""
        ext = 1 if self.ext == 3 else self.ext
        return UnivariateSpline._from_spl(self._spl.derivative(n), self._residual, self._xb, self._xe, ext)

    def antiderivative(self, n: int = 1) -> UnivariateSpline:
        """The antiderivative, as another spline."""
        return UnivariateSpline._from_spl(self._spl.antiderivative(n), self._residual, self._xb, self._xe, self.ext)


class InterpolatedUnivariateSpline(UnivariateSpline):
    """As `cupyx.scipy.interpolate.InterpolatedUnivariateSpline`: through all points."""

    __module__ = MODULE

    def __init__(self, x: Any, y: Any, w: Any = None, bbox: Any = (None, None), k: int = 3, ext: Any = 0) -> None:
        super().__init__(x, y, w, bbox, k, 0, ext)


class LSQUnivariateSpline(UnivariateSpline):
    """As `cupyx.scipy.interpolate.LSQUnivariateSpline`, which fits a smoothing spline whatever the knots `t`, as CuPy does."""

    __module__ = MODULE

    def __init__(
        self, x: Any, y: Any, t: Any, w: Any = None, bbox: Any = (None, None), k: int = 3, ext: Any = 0
    ) -> None:
        self._take(x, y, w, bbox, k, ext)
        self.set_smoothing_factor(len(self._x), t)
