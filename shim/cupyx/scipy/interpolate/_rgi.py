"""Interpolation of values on a regular grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from .... import session
from .._commands import cp
from ._common import MODULE, interpolation, joined_points
from ._ndbspline import NdBSpline, make_ndbspl

_orders_of = interpolation("orders_of")
_on_grid = interpolation("on_grid")

_DEGREES = {
    "slinear": 1, "cubic": 3, "quintic": 5, "pchip": 3, "slinear_legacy": 1, "cubic_legacy": 3, "quintic_legacy": 5,
}  # fmt: skip
_PRODUCTS = frozenset(("slinear", "cubic", "quintic"))
_METHODS = ("linear", "nearest", *_DEGREES)


def _ascending(points: Any) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """(coordinates in ascending order, dimensions that were turned round). Waits: it looks at them."""
    grid = tuple(cp.asarray(p, dtype=np.float64) for p in points)
    flat = tuple(p if p.ndim else p.reshape(1) for p in grid)
    orders = _orders_of(flat)
    for d, order in enumerate(orders):
        if order == 0:
            raise ValueError(f"The points in dimension {d} must be strictly ascending or descending")
    turned = tuple(d for d, order in enumerate(orders) if order < 0)
    return tuple(cp.ascontiguousarray(p[::-1]) if d in turned else p for d, p in enumerate(grid)), turned


def _check_dimensions(points: Any, values: Any) -> None:
    if len(points) > values.ndim:
        raise ValueError(f"There are {len(points)} point arrays, but values has {values.ndim} dimensions")
    for d, p in enumerate(points):
        if p.ndim != 1:
            raise ValueError(f"The points in dimension {d} must be 1-dimensional")
        if values.shape[d] != len(p):
            raise ValueError(f"There are {len(p)} points and {values.shape[d]} values in dimension {d}")


class RegularGridInterpolator:
    """As `cupyx.scipy.interpolate.RegularGridInterpolator`.

    Attributes:
        grid: tuple of ascending coordinates.
        values: values on the grid.
        method, bounds_error, fill_value: as given.
    """

    __module__ = MODULE

    def __init__(
        self, points: Any, values: Any, method: str = "linear", bounds_error: Any = True, fill_value: Any = np.nan
    ) -> None:
        if method not in _METHODS:
            raise ValueError(f"Method '{method}' is not defined")
        if method in _DEGREES:
            self._check_grid(points, method)
        self.method = method
        self.bounds_error = bounds_error
        self.grid, turned = _ascending(points)
        self.values = values if values.dtype.kind in "fc" else values.astype(np.float64)
        _check_dimensions(self.grid, self.values)
        if fill_value is not None:
            dtype = fill_value.dtype if hasattr(fill_value, "dtype") else np.asarray(fill_value).dtype
            if not np.can_cast(dtype, self.values.dtype, "same_kind"):
                raise ValueError("fill_value must be either 'None' or of a type compatible with values")
        self.fill_value = fill_value
        if turned:
            self.values = cp.flip(self.values, axis=turned)
        self._splines: dict[str, NdBSpline] = {}
        if method in _PRODUCTS:
            self._spline(method)

    @staticmethod
    def _check_grid(points: Any, method: str) -> None:
        degree = _DEGREES[method]
        for d, p in enumerate(points):
            count = len(cp.atleast_1d(p))
            if count <= degree:
                raise ValueError(
                    f"There are {count} points in dimension {d}, but method {method} requires at least  {degree + 1} points "
                    "per dimension."
                )

    def _spline(self, method: str) -> NdBSpline:
        if method not in self._splines:
            self._splines[method] = make_ndbspl(self.grid, self.values, _DEGREES[method])
        return self._splines[method]

    def __call__(self, xi: Any, method: Any = None, *, nu: Any = None) -> Any:
        """Values at the points `xi` (…, dimensions). With `bounds_error` it looks at them and waits."""
        method = self.method if method is None else method
        if method not in _METHODS:
            raise ValueError(f"Method '{method}' is not defined")
        if method in _DEGREES and method != self.method:
            self._check_grid(self.grid, method)
        if nu is not None and method not in _PRODUCTS:
            raise ValueError(f"Can only compute derivatives for methods {set(_PRODUCTS)}, got method={method!r}.")
        ndim = len(self.grid)
        xi = joined_points(xi, ndim)
        if xi.shape[-1] != ndim:
            raise ValueError(
                f"The requested sample points xi have dimension {xi.shape[-1]} but this RegularGridInterpolator has dimension {ndim}"
            )
        if method in _PRODUCTS:
            return self._of_product(method, xi, nu)
        values = _on_grid(self.grid, self.values, xi, method, bool(self.bounds_error), self.fill_value)
        if self.bounds_error:
            session.wait_all()
        return values

    def _of_product(self, method: str, xi: Any, nu: Any) -> Any:
        points = xi.astype(np.float64)
        low = cp.stack([p[0] for p in self.grid])
        high = cp.stack([p[-1] for p in self.grid])
        if self.bounds_error:
            fine = cp.logical_and(low <= points, points <= high) | cp.isnan(points)
            inside = fine.reshape(-1, len(self.grid)).all(axis=0).tolist()
            if not all(inside):
                raise ValueError(f"One of the requested xi is out of bounds in dimension {inside.index(False)}")
        result = self._spline(method)(points, nu=nu)
        rest = (None,) * (result.ndim - points.ndim + 1)
        if not self.bounds_error and self.fill_value is not None:
            outside = cp.logical_or(points < low, points > high).any(axis=-1)[(..., *rest)]
            result = cp.where(outside, cp.asarray(self.fill_value).astype(result.dtype), result)
        return cp.where(cp.isnan(points).any(axis=-1)[(..., *rest)], np.nan, result)


def interpn(
    points: Any, values: Any, xi: Any, method: str = "linear", bounds_error: Any = True, fill_value: Any = np.nan
) -> Any:
    """As `cupyx.scipy.interpolate.interpn`."""
    if method not in _METHODS:
        raise ValueError(
            "interpn only understands the methods 'linear', 'nearest', 'slinear', 'cubic', 'quintic' and 'pchip'. "
            f"You provided {method}."
        )
    if len(points) > values.ndim:
        raise ValueError(f"There are {len(points)} point arrays, but values has {values.ndim} dimensions")
    made = RegularGridInterpolator(points, values, method=method, bounds_error=bounds_error, fill_value=fill_value)
    xi = joined_points(xi, len(points))
    if xi.shape[-1] != len(points):
        raise ValueError(
            f"The requested sample points xi have dimension {xi.shape[-1]}, but this RegularGridInterpolator has dimension {len(points)}"
        )
    return made(xi)
