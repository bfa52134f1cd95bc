"""Spline interpolation. Integer results are rounded to the nearest even, as CuPy's are; "opencv" modes are made of the others."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.ndimage

from cupool.contract.ops.scipy._rules_ndimage_more import rotated_shape, rotation_axes, single

from ._common import Array, deliver, each, result_dtype, wide

#: Not typed: its stubs know literal modes and dtypes only.
nd: Any = scipy.ndimage


def _target(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What SciPy is to compute for a result of `dtype`."""
    return dtype if dtype.kind in "fc" and dtype != np.float16 else np.dtype(np.float64)


def _interpolated(run: Callable[..., Any], output: Any, dtype: np.dtype[Any]) -> Array:
    """`run(output=)` in a floating dtype, rounded where the result is integral."""
    found = run(output=_target(dtype))
    return deliver(np.rint(found) if dtype.kind in "iu" else found, output, dtype)


def _splined(function: Callable[..., Any]) -> Callable[..., Array]:
    def run(input: Array, order: int = 3, axis: Any = None, output: Any = np.float64, mode: str = "mirror") -> Array:
        dtype = result_dtype(output, input)
        a = wide(input)
        if a.dtype.kind == "c" and dtype.kind != "c":
            a = a.real
        args = (order,) if axis is None else (order, axis)
        if a.ndim and order > 1:
            a = function(a, *args, output=_target(dtype), mode=mode)
        return deliver(a, output, dtype)

    return run


def spline_filter1d(
    input: Array, order: int = 3, axis: int = -1, output: Any = np.float64, mode: str = "mirror"
) -> Array:
    return _splined(nd.spline_filter1d)(input, order, axis, output, mode)


def spline_filter(input: Array, order: int = 3, output: Any = np.float64, mode: str = "mirror") -> Array:
    return _splined(nd.spline_filter)(input, order, None, output, mode)


def map_coordinates(
    input: Array, coordinates: Any, output: Any = None, order: int = 3, mode: str = "constant", cval: Any = 0.0, prefilter: bool = True
) -> Array:  # fmt: skip
    a: Any = wide(input)
    dtype = result_dtype(output, input)
    if mode in ("opencv", "_opencv_edge"):
        a = np.pad(a, 1, "constant", constant_values=cval)
        coordinates, mode = coordinates + 1, "constant"
    points = wide(coordinates)
    return _interpolated(
        lambda output: nd.map_coordinates(a, points, output, order, mode, cval, prefilter), output, dtype
    )


def _opencv_matrix(matrix: Array, offset: Any, ndim: int) -> tuple[Array, Array]:
    """From OpenCV's forward map of (x, y) to the inverse one of (y, x)."""
    full: Any = np.eye(ndim + 1)
    full[:-1, :-1] = np.diag(matrix) if matrix.ndim == 1 else matrix
    full[:-1, -1] = offset
    full = np.linalg.inv(full)
    full[:2] = np.roll(full[:2], 1, axis=0)
    full[:2, :2] = np.roll(full[:2, :2], 1, axis=1)
    return full[:-1, :-1], full[:-1, -1]


def affine_transform(
    input: Array, matrix: Any, offset: Any = 0.0, output_shape: Any = None, output: Any = None, order: int = 3, mode: str = "constant",
    cval: Any = 0.0, prefilter: bool = True, texture_memory: bool = False, float64_coords: bool = False,
) -> Array:  # fmt: skip
    ndim, matrix = input.ndim, np.asarray(matrix)
    if texture_memory:
        order = min(order, 1)
    if matrix.ndim == 2:
        if matrix.shape[0] == matrix.shape[1] - 1:
            matrix, offset = matrix[:, :-1], matrix[:, -1]
        elif matrix.shape[0] == ndim + 1:
            matrix, offset = matrix[:-1, :-1], matrix[:-1, -1]
    shape = input.shape if output_shape is None else tuple(output_shape)
    dtype, a = result_dtype(output, input), wide(input)
    if mode == "opencv":
        matrix, offset = _opencv_matrix(matrix, offset, ndim)
    if mode in ("opencv", "_opencv_edge"):
        full = np.diag(matrix) if matrix.ndim == 1 else matrix
        points = full @ np.indices(shape, np.float64).reshape(ndim, -1)
        points += np.asarray(each(offset, ndim), np.float64)[:, None]
        return deliver(
            map_coordinates(input, points, dtype, order, mode, cval, prefilter).reshape(shape), output, dtype
        )
    offset = [float(o) for o in each(offset, ndim)]

    def run(output: Any) -> Any:
        with warnings.catch_warnings():  # about a diagonal's meaning in SciPy before 0.18
            warnings.simplefilter("ignore", UserWarning)
            return nd.affine_transform(
                a, wide(matrix), offset, shape, output, order=order, mode=mode, cval=cval, prefilter=prefilter
            )

    return _interpolated(run, output, dtype)


def rotate(
    input: Array, angle: float, axes: Any = (1, 0), reshape: bool = True, output: Any = None, order: int = 3, mode: str = "constant",
    cval: Any = 0.0, prefilter: bool = True,
) -> Array:  # fmt: skip
    if mode == "opencv":
        mode = "_opencv_edge"
    plane = rotation_axes(axes, input.ndim)
    shape = rotated_shape(input.shape, input.dtype, angle, plane, reshape)
    turn = np.deg2rad(angle)
    sine, cosine = math.sin(turn), math.cos(turn)
    dtype = single(input.dtype)
    small = np.array([[cosine, sine], [-sine, cosine]], dtype)
    matrix, offset = np.eye(input.ndim, dtype=dtype), np.zeros(input.ndim, dtype)
    matrix[np.ix_(plane, plane)] = small
    outer, inner = (np.array([s[axis] for axis in plane]) for s in (shape, input.shape))
    offset[plane] = (inner - 1) / 2 - small @ ((outer - 1) / 2)
    return affine_transform(input, matrix, offset, shape, output, order, mode, cval, prefilter)


def shift(
    input: Array, shift: Any, output: Any = None, order: int = 3, mode: str = "constant", cval: Any = 0.0, prefilter: bool = True
) -> Array:  # fmt: skip
    by = [float(s) for s in each(shift, input.ndim)]
    if mode == "opencv":
        ones = np.ones(input.ndim)
        return affine_transform(input, ones, [-s for s in by], None, output, order, "_opencv_edge", cval, prefilter)
    a = wide(input)
    return _interpolated(
        lambda output: nd.shift(a, by, output, order, mode, cval, prefilter), output, result_dtype(output, input)
    )


def zoom(
    input: Array, zoom: Any, output: Any = None, order: int = 3, mode: str = "constant", cval: Any = 0.0, prefilter: bool = True,
    grid_mode: bool = False,
) -> Array:  # fmt: skip
    by = [float(z) for z in each(zoom, input.ndim)]
    if mode == "opencv":
        shape = tuple(round(n * z) for n, z in zip(input.shape, by, strict=True))
        steps = [n / m if m else 0.0 for n, m in zip(input.shape, shape, strict=True)]
        offsets = [(s - 1) / 2 if m else 0.0 for s, m in zip(steps, shape, strict=True)]
        return affine_transform(input, np.array(steps), offsets, shape, output, order, "nearest", cval, prefilter)
    a = wide(input)

    def run(output: Any) -> Any:
        with warnings.catch_warnings():  # about modes, which the client warns of
            warnings.simplefilter("ignore", UserWarning)
            return nd.zoom(a, by, output, order, mode, cval, prefilter, grid_mode=grid_mode)

    return _interpolated(run, output, result_dtype(output, input))


#: Name -> function.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "spline_filter1d": spline_filter1d,
    "spline_filter": spline_filter,
    "map_coordinates": map_coordinates,
    "affine_transform": affine_transform,
    "rotate": rotate,
    "shift": shift,
    "zoom": zoom,
}
