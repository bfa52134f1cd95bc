"""What the interpolators share: their ops, dtypes, and the place of the interpolated axis."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ....array import ndarray
from .._commands import command, cp

MODULE = "cupyx.scipy.interpolate"


def interpolation(name: str) -> Callable[..., Any]:
    """The op of this name."""
    return command(f"@{MODULE}.{name}")


def is_complex(dtype: Any) -> bool:
    """Whether a dtype is complex."""
    return bool(np.dtype(dtype).kind == "c")


def inexact(dtype: Any) -> Any:
    """complex128 for a complex dtype, float64 for others: all that coefficients are kept in."""
    return np.complex128 if is_complex(dtype) else np.float64


def float_array(x: Any, check_finite: bool = False) -> Any:
    """A contiguous array of float64 or complex128. Raises ValueError for what is not finite, when asked to look."""
    x = cp.asarray(x)
    x = cp.ascontiguousarray(x, dtype=inexact(x.dtype))
    if check_finite and not cp.isfinite(x).all():
        raise ValueError("Array must not contain infs or nans.")
    return x


def moved_back(values: Any, x_ndim: int, axis: int) -> Any:
    """Values whose first `x_ndim` axes are those of the points, with these in the place of the interpolated axis."""
    if axis == 0:
        return values
    dims = list(range(values.ndim))
    return values.transpose(dims[x_ndim : x_ndim + axis] + dims[:x_ndim] + dims[x_ndim + axis :])


def host(value: Any) -> Any:
    """A small argument that must be known here: a device array is fetched, which waits."""
    return value.get() if isinstance(value, ndarray) else value


def is_scalar(x: Any) -> bool:
    """A number, or an array without dimensions."""
    return np.isscalar(x) or getattr(x, "shape", None) == ()


def joined_points(points: Any, ndim: int | None = None) -> Any:
    """Points (…, dimensions) of an array, or of a tuple of arrays, one per dimension, which broadcast."""
    if isinstance(points, tuple) and len(points) == 1:
        points = points[0]
    if isinstance(points, tuple):
        parts = cp.broadcast_arrays(*(cp.asarray(p) for p in points))
        return cp.stack(parts, axis=-1)
    points = cp.asarray(points)
    return points.reshape(-1, 1 if ndim is None else ndim) if points.ndim == 1 else points


def sparse() -> Any:
    """The module `cupyx.scipy.sparse`, looked up when a matrix is made."""
    return importlib.import_module("..sparse", __package__)
