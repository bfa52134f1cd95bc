"""Interpolation of a table along one axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from .... import session
from .._commands import cp
from ._bspline import make_interp_spline
from ._common import MODULE, interpolation
from ._polyint import Interpolator1D

_interp1d = interpolation("interp1d")

_ORDERS = {"zero": 0, "slinear": 1, "quadratic": 2, "cubic": 3}
_KINDS = ("linear", "nearest", "nearest-up", "previous", "next")


def _is_extrapolate(fill_value: Any) -> bool:
    return isinstance(fill_value, str) and fill_value == "extrapolate"


def _filled(value: Any, shape: tuple[int, ...], name: str) -> Any:
    """A fill value for each column."""
    value = cp.asarray(value)
    if len(shape) >= value.ndim and all(f in (1, t) for t, f in zip(shape[::-1], value.shape[::-1], strict=False)):
        if value.size != 1 and value.shape != shape:
            value = cp.ones(shape, value.dtype) * value
        return value.ravel()
    raise ValueError(f"{name} argument must be able to broadcast up to shape {shape} but had shape {value.shape}")


class interp1d(Interpolator1D):
    """As `cupyx.scipy.interpolate.interp1d`.

    Attributes:
        x, y: the table, sorted by `x`.
        axis: along which it is interpolated.
        bounds_error: whether points outside raise ValueError, which looks at them and so waits.
        fill_value: what is given outside.
    """

    __module__ = MODULE

    def __init__(
        self, x: Any, y: Any, kind: Any = "linear", axis: int = -1, copy: Any = True, bounds_error: Any = None,
        fill_value: Any = np.nan, assume_sorted: Any = False,
    ) -> None:  # fmt: skip
        x, y = cp.array(x, copy=copy), cp.array(y, copy=copy)
        super().__init__(x, y, axis)
        self.bounds_error = bounds_error
        self.copy = copy
        order = _ORDERS.get(kind) if isinstance(kind, str) else kind if isinstance(kind, int) else None
        if order is None and kind not in _KINDS:
            raise NotImplementedError(f"{kind} is unsupported: Use fitpack routines for other types.")
        if not assume_sorted:
            places = cp.argsort(x, kind="stable")
            x, y = x[places], cp.take(y, places, axis=axis)
        if x.ndim != 1:
            raise ValueError("the x array must have exactly one dimension.")
        if y.ndim == 0:
            raise ValueError("the y array must have at least one dimension.")
        if y.dtype.kind not in "fc":
            y = y.astype(np.float64)
        self.axis = axis % y.ndim
        self.x, self.y = x, y
        self._y = self._reshape_yi(y)
        self._kind = kind if order is None else "spline"
        least = 1 if order is None else order + 1
        if self._kind in ("previous", "next") and _is_extrapolate(fill_value):
            self._allow_extrapolation()
            last = cp.take(y, -1 if kind == "previous" else 0, axis)
            fill_value = (np.nan, last) if kind == "previous" else (last, np.nan)
        if order is not None:
            self._make_spline(order)
        if len(x) < least:
            raise ValueError(f"x and y arrays must have at least {least} entries")
        self.fill_value = fill_value

    def _make_spline(self, order: int) -> None:
        self._is_nan = False
        x, y = self.x, self._y
        if order > 1:
            # One question for both: NaNs make every value of a spline NaN.
            missing = cp.isnan(x)
            in_x, everywhere, in_y = cp.stack([missing.any(), missing.all(), cp.isnan(y).any()]).tolist()
            if everywhere:
                raise ValueError("`x` array is all-nan")
            if in_x:
                x = cp.linspace(cp.nanmin(x), cp.nanmax(x), len(x))
            if in_y:
                y = cp.ones_like(y)
            self._is_nan = in_x or in_y
        self._spline = make_interp_spline(x, y, k=order, check_finite=False)

    @property
    def fill_value(self) -> Any:
        """What is given outside of the table: a value, one for either side, or "extrapolate"."""
        return self._fill_value_orig

    @fill_value.setter
    def fill_value(self, fill_value: Any) -> None:
        if _is_extrapolate(fill_value):
            self._allow_extrapolation()
            self._below: Any = None
            self._above: Any = None
        else:
            shape = self.y.shape[: self.axis] + self.y.shape[self.axis + 1 :] or (1,)
            if isinstance(fill_value, tuple) and len(fill_value) == 2:
                self._below = _filled(fill_value[0], shape, "fill_value (below)")
                self._above = _filled(fill_value[1], shape, "fill_value (above)")
            else:
                fill_value = cp.asarray(fill_value)
                self._below = self._above = _filled(fill_value, shape, "fill_value")
            if self.bounds_error is None:
                self.bounds_error = True
        self._fill_value_orig = fill_value

    def _allow_extrapolation(self) -> None:
        if self.bounds_error:
            raise ValueError("Cannot extrapolate and raise at the same time.")
        self.bounds_error = False

    def _evaluate(self, x: Any) -> Any:
        if self._kind == "spline":
            return self._of_spline(x)
        checks = bool(self.bounds_error) and self._below is not None
        values = _interp1d(self.x, self._y, x, self._kind, self._below, self._above, checks)
        if checks:
            session.wait_all()
        return values

    def _of_spline(self, x: Any) -> Any:
        values = self._spline(x)
        if self._is_nan:
            values = cp.full_like(values, np.nan)
        if self._below is None:
            return values
        below, above = x < self.x[0], x > self.x[-1]
        if self.bounds_error:
            for outside, bound, side in ((below, self.x[0], "below"), (above, self.x[-1], "above")):
                if outside.any():
                    kind = "minimum" if side == "below" else "maximum"
                    value = x[cp.argmax(outside)]
                    raise ValueError(
                        f"A value ({value}) in x_new is {side} the interpolation range's {kind} value ({bound})."
                    )
        values = cp.where(below[:, None], self._below.astype(values.dtype), values)
        return cp.where(above[:, None], self._above.astype(values.dtype), values)
