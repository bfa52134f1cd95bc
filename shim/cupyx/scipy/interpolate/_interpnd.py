"""Interpolation of values at scattered points: linear, and smooth, on triangles."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._commands import cp
from ..spatial import Delaunay
from ._common import MODULE, interpolation, is_complex, joined_points

_linear = interpolation("linear_nd")
_gradients = interpolation("gradients")
_clough_tocher = interpolation("clough_tocher")


class Scattered:
    """Points, maybe scaled to a common size, and their values.

    Attributes:
        points: (n, dimensions).
        values: (n, columns).
        scale, offset: what the points were scaled with; `scale` None where they were not.
        tri: the triangulation.
    """

    __module__ = MODULE

    def __init__(self, points: Any, rescale: Any, is_contiguous: bool = True) -> None:
        self.tri: Any = None
        if isinstance(points, Delaunay):
            if rescale:
                raise ValueError("Rescaling is not supported when passing a Delaunay triangulation as ``points``.")
            self.tri = points
            points = points.points
        points = joined_points(points)
        if is_contiguous:
            points = cp.ascontiguousarray(points, dtype=np.float64)
        self.scale: Any = None
        self.offset: Any = None
        if rescale:
            self.offset = cp.mean(points, axis=0)
            points = points - self.offset
            extent = cp.ptp(points, axis=0)
            self.scale = cp.where(extent > 0, extent, 1.0)
            points = points / self.scale
        self.points = points

    def _check(self, values: Any, ndim: int | None = None) -> None:
        if values.shape[0] != self.points.shape[0]:
            raise ValueError("different number of values and points")
        if self.points.ndim != 2:
            raise ValueError("invalid shape for input data points")
        if self.points.shape[1] < 2:
            raise ValueError("input data must be at least 2-D")
        if ndim is not None and self.points.shape[1] != ndim:
            raise ValueError(f"this mode of interpolation available only for {ndim}-D data")

    def _set_values(self, values: Any, fill_value: Any, ndim: int | None = None) -> None:
        values = cp.asarray(values)
        self._check(values, ndim)
        self.values_shape = values.shape[1:]
        self.is_complex = is_complex(values.dtype)
        dtype: Any = np.complex128 if self.is_complex else np.float64
        self.values = cp.ascontiguousarray(values.reshape(values.shape[0], -1), dtype=dtype)
        self.fill_value = cp.asarray(complex(fill_value) if self.is_complex else float(fill_value), dtype=dtype)

    def _points_of(self, args: Any) -> tuple[Any, tuple[int, ...]]:
        """(points (n, dimensions) scaled, shape of what was given)."""
        xi = joined_points(args, self.points.shape[1])
        if xi.shape[-1] != self.points.shape[1]:
            raise ValueError("number of dimensions in xi does not match x")
        flat = cp.ascontiguousarray(xi.reshape(-1, xi.shape[-1]), dtype=np.float64)
        return flat if self.scale is None else (flat - self.offset) / self.scale, xi.shape

    def _triangulation(self) -> Any:
        return Delaunay(self.points) if self.tri is None else self.tri


def estimate_gradients_2d_global(tri: Any, y: Any, maxiter: Any = 400, tol: Any = 1e-6) -> Any:
    """Gradients (n, …, 2) of the smoothest surface through values `y` (n, …) at the points of a triangulation."""
    y = cp.asarray(y)
    dtype: Any = np.complex128 if is_complex(y.dtype) else np.float64
    columns = cp.ascontiguousarray(y.reshape(y.shape[0], -1), dtype=dtype)
    return _gradients(tri.points, columns, float(tol), int(maxiter)).reshape((*y.shape, 2))


class LinearNDInterpolator(Scattered):
    """As `cupyx.scipy.interpolate.LinearNDInterpolator`, of points in the plane."""

    __module__ = MODULE

    def __init__(self, points: Any, values: Any, fill_value: Any = np.nan, rescale: Any = False) -> None:
        super().__init__(points, rescale)
        self.tri = self._triangulation()
        self._set_values(values, fill_value)

    def __call__(self, *args: Any) -> Any:
        """Values; the fill value outside of the triangles."""
        flat, shape = self._points_of(args)
        found, corners = self.tri._find_simplex_coordinates(flat, 0.0, find_coords=True)
        values = _linear(found, self.tri.simplices, corners, self.values, self.fill_value)
        return values.reshape((*shape[:-1], *self.values_shape))


class CloughTocher2DInterpolator(Scattered):
    """As `cupyx.scipy.interpolate.CloughTocher2DInterpolator`. Attribute `grad`: gradients (n, columns, 2)."""

    __module__ = MODULE

    def __init__(
        self,
        points: Any,
        values: Any,
        fill_value: Any = np.nan,
        tol: Any = 1e-6,
        maxiter: Any = 400,
        rescale: Any = False,
    ) -> None:
        super().__init__(points, rescale)
        self._tol, self._maxiter = float(tol), int(maxiter)
        self.tri = self._triangulation()
        self._set_values(values, fill_value, 2)
        self.grad = _gradients(self.points, self.values, self._tol, self._maxiter)

    def __call__(self, *args: Any) -> Any:
        """Values; the fill value outside of the triangles."""
        flat, shape = self._points_of(args)
        values = _clough_tocher(
            self.points,
            self.tri.simplices,
            self.tri.neighbors,
            self.values,
            self.grad,
            flat,
            self.fill_value,
            self._tol,
            self._maxiter,
        )
        return values.reshape((*shape[:-1], *self.values_shape))
