"""Rules of `cupyx.scipy.ndimage`: interpolation, measurements, morphology, distances. See `_rules_ndimage.py`."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops._row import Same
from cupool.contract.ops.rules._arrays import as_spec, broadcast, packed, to_axis
from cupool.contract.ops.rules.common import as_dtype, check_cast, layout, rule
from cupool.contract.ops.scipy._rules_ndimage import (
    check_cval,
    chosen_axes,
    dtype_for,
    each,
    extremum,
    output_of,
    require,
)
from cupool.contract.spec import Spec

INTP = np.dtype(np.int64)
FLOAT64 = np.dtype(np.float64)


# -- interpolation ------------------------------------------------------------------------------------------------------------

_BOUNDARIES = frozenset(
    ("constant", "grid-constant", "nearest", "mirror", "reflect", "grid-mirror", "wrap", "grid-wrap", "opencv", "_opencv_edge")
)  # fmt: skip


def _check(order: Any, mode: Any) -> None:
    if not 0 <= order <= 5:
        raise ValueError("spline order is not supported")
    if mode not in _BOUNDARIES:
        raise ValueError(f"boundary mode ({mode}) is not supported")


def single(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The floating dtype that coordinates for this image are computed in."""
    real = np.dtype(dtype.char.lower()) if dtype.kind == "c" else dtype
    return np.promote_types(real, np.float32)


@rule("ndimage_spline1d")
def spline_filter1d(input: Any, order: Any = 3, axis: Any = -1, output: Any = np.float64, mode: Any = "mirror") -> Any:
    a = require(input)
    if not 0 <= order <= 5:
        raise RuntimeError("spline order not supported")
    axis = to_axis(operator.index(axis), a.ndim)
    return _splined(a, output, order < 2 or a.shape[axis] == 1)


@rule("ndimage_spline")
def spline_filter(input: Any, order: Any = 3, output: Any = np.float64, mode: Any = "mirror") -> Any:
    a = require(input)
    if not 2 <= order <= 5:
        raise RuntimeError("spline order not supported")
    return _splined(a, output, False)


def _splined(a: Spec, output: Any, is_copy: bool) -> Any:
    if not is_copy and a.dtype.kind == "c":
        if isinstance(output, Spec) and output.dtype.kind != "c":
            raise ValueError("output must have complex dtype for complex inputs")
        if output is not None and not isinstance(output, Spec) and as_dtype(output).kind != "c":
            return packed(a.shape, as_dtype(output))
    return output_of(output, a)


@rule("ndimage_map_coordinates")
def map_coordinates(
    input: Any, coordinates: Any, output: Any = None, order: Any = 3, mode: Any = "constant", cval: Any = 0.0, prefilter: Any = True
) -> Any:  # fmt: skip
    _check(order, mode)
    a, points = require(input), require(coordinates, "coordinates")
    result = output_of(output, a, points.shape[1:])
    check_cval(mode, cval, output, a)
    if points.dtype.kind not in "fiu":
        raise ValueError("coordinates should have floating point dtype")
    return result


@rule("ndimage_affine")
def affine_transform(
    input: Any, matrix: Any, offset: Any = 0.0, output_shape: Any = None, output: Any = None, order: Any = 3, mode: Any = "constant",
    cval: Any = 0.0, prefilter: Any = True, *, texture_memory: Any = False, float64_coords: Any = False,
) -> Any:  # fmt: skip
    a = require(input)
    m = as_spec(matrix)
    shape = a.shape if output_shape is None else tuple(operator.index(n) for n in output_shape)
    if texture_memory:
        return _texture(a, m, shape, output, mode)
    _check(order, mode)
    if not isinstance(offset, Spec):
        each(offset, a.ndim, "offset", float)
    if m.ndim not in (1, 2) or m.shape[0] < 1:
        raise RuntimeError("no proper affine matrix provided")
    if m.ndim == 2:
        rows, columns = m.shape
        if rows == columns - 1:
            columns -= 1
        elif rows == a.ndim + 1:
            rows, columns = rows - 1, columns - 1
        if (rows, columns) != (a.ndim, a.ndim):
            raise RuntimeError("improper affine shape")
    result = output_of(output, a, shape)
    check_cval(mode, cval, output, a)
    return result


def _texture(a: Spec, m: Spec, shape: tuple[int, ...], output: Any, mode: Any) -> Any:
    """Interpolation by the texture units: float32 images of two or three dimensions."""
    if a.ndim not in (2, 3):
        raise ValueError(
            "Texture memory affine transformation is defined only for 2D and 3D arrays without channel dimension."
        )
    if a.dtype != np.float32:
        raise ValueError("Texture memory affine transformation is available only for float32 data type.")
    if mode not in ("nearest", "constant"):
        raise ValueError("Unsupported interpolation mode: texture memory knows constant and nearest.")
    if m.shape != (a.ndim + 1, a.ndim + 1):
        raise ValueError("Matrix must be have shape (ndim + 1, ndim + 1)")
    if isinstance(output, Spec):
        if output.dtype != np.float32:
            raise ValueError("Output array must have float32 data type.")
        if output.shape != shape:
            raise ValueError("Output shapes do not match")
        return Same("output")
    return packed(shape, np.float32)


def rotated_shape(
    shape: tuple[int, ...], dtype: np.dtype[Any], angle: float, axes: list[int], reshape: bool
) -> tuple[int, ...]:
    """The shape of a rotated image: that of its corners' bounding box, computed in the image's precision."""
    if not reshape:
        return shape
    turn = np.deg2rad(angle)
    s, c = math.sin(turn), math.cos(turn)
    iy, ix = (shape[axis] for axis in axes)
    corners = np.array([[c, s], [-s, c]], dtype=single(dtype)) @ [[0, 0, iy, iy], [0, ix, 0, ix]]
    plane = (np.ptp(corners, axis=1) + 0.5).astype(np.int64)
    result = list(shape)
    result[axes[0]], result[axes[1]] = int(plane[0]), int(plane[1])
    return tuple(result)


def rotation_axes(axes: Any, ndim: int) -> list[int]:
    """The plane of a rotation, ascending. Raises ValueError."""
    found = [axis + ndim if axis < 0 else axis for axis in (operator.index(a) for a in axes)]
    found.sort()
    if len(found) != 2 or found[0] < 0 or found[1] >= ndim:
        raise ValueError("invalid rotation plane specified")
    return found


@rule("ndimage_rotate")
def rotate(
    input: Any, angle: Any, axes: Any = (1, 0), reshape: Any = True, output: Any = None, order: Any = 3, mode: Any = "constant",
    cval: Any = 0.0, prefilter: Any = True,
) -> Any:  # fmt: skip
    _check(order, mode)
    a = require(input)
    result = output_of(output, a, rotated_shape(a.shape, a.dtype, angle, rotation_axes(axes, a.ndim), reshape))
    check_cval(mode, cval, output, a)
    return result


@rule("ndimage_shift")
def shift(
    input: Any, shift: Any, output: Any = None, order: Any = 3, mode: Any = "constant", cval: Any = 0.0, prefilter: Any = True
) -> Any:  # fmt: skip
    _check(order, mode)
    a = require(input)
    if not isinstance(shift, Spec):
        each(shift, a.ndim, "shift", float)
    result = output_of(output, a)
    check_cval(mode, cval, output, a)
    return result


@rule("ndimage_zoom")
def zoom(
    input: Any, zoom: Any, output: Any = None, order: Any = 3, mode: Any = "constant", cval: Any = 0.0, prefilter: Any = True, *,
    grid_mode: Any = False,
) -> Any:  # fmt: skip
    _check(order, mode)
    a = require(input)
    shape = tuple(round(n * z) for n, z in zip(a.shape, each(zoom, a.ndim, "zoom", float), strict=True))
    result = output_of(output, a, shape)
    check_cval(mode, cval, output, a)
    return result


# -- measurements ---------------------------------------------------------------------------------------------------------------


def _sum_dtype(a: Spec) -> np.dtype[Any]:
    return np.dtype({"b": np.int64, "i": np.int64, "u": np.uint64}.get(a.dtype.kind, a.dtype))


def summed(name: str, always_float: bool) -> Callable[..., Any]:
    """sum, mean, variance and standard_deviation, over everything, one label, or the labels of an array."""

    @rule(f"ndimage_summed_{always_float}")
    def infer(input: Any, labels: Any = None, index: Any = None) -> Any:
        a = require(input)
        if a.dtype.kind == "c":
            raise TypeError(f"cupyx.scipy.ndimage.{name} does not support {a.dtype.type}")
        single_dtype = FLOAT64 if always_float else _sum_dtype(a)
        if labels is None:
            return packed((), single_dtype)
        if not isinstance(labels, Spec):
            raise TypeError("label must be cupy.ndarray")
        broadcast(a, labels)
        if index is None or isinstance(index, int) or (always_float and np.isscalar(index)):
            return packed((), single_dtype)
        if not isinstance(index, Spec):
            raise TypeError("index must be cupy.ndarray or a scalar int")
        if index.size == 0 and not always_float:
            return packed((0,), INTP)
        return layout(index, "K", FLOAT64)

    return infer


def selected(kind: str) -> Callable[..., Any]:
    """minimum, maximum and median; `kind` is "value" or "median"."""

    @rule(f"ndimage_selected_{kind}")
    def infer(input: Any, labels: Any = None, index: Any = None) -> Any:
        a = require(input)
        dtype = FLOAT64 if kind == "median" and a.dtype.kind in "iub" else a.dtype
        if labels is None:
            if a.size == 0:
                raise ValueError("zero-size array to reduction operation which has no identity")
            return packed((), dtype)
        broadcast(a, require(labels, "labels"))
        if index is None or np.isscalar(index):
            return packed((), dtype)
        return packed(as_spec(index).shape, dtype)

    return infer


@rule("ndimage_label")
def label(input: Any, structure: Any = None, output: Any = None) -> Any:
    """The number of objects, with the labels before it when no array is given for them."""
    a = require(input)
    if a.dtype.kind == "c":
        raise TypeError("Complex type not supported")
    if structure is not None:
        s = as_spec(structure)
        if s.ndim != a.ndim:
            raise RuntimeError("structure and input must have equal rank")
        if any(n != 3 for n in s.shape):
            raise ValueError("structure dimensions must be equal to 3")
    count = packed((), INTP)
    if isinstance(output, Spec):
        if output.shape != a.shape:
            raise ValueError("output shape not correct")
        return count
    needs_long = a.size >= (1 << 31) - 2
    return packed(a.shape, (np.int64 if needs_long else np.int32) if output is None else as_dtype(output)), count


# -- morphology -----------------------------------------------------------------------------------------------------------------


def structure_shape(structure: Any, n: int) -> tuple[int, ...] | None:
    """The shape of a structuring element; None for the default one."""
    if structure is None:
        return None
    if isinstance(structure, Spec):
        return structure.shape
    if isinstance(structure, int):
        return (structure,) * n
    if isinstance(structure, (tuple, list)):
        return tuple(structure)
    return as_spec(structure).shape


def binary_result(
    input: Any, structure: Any, iterations: Any, mask: Any, output: Any, origin: Any, brute_force: Any, axes: Any
) -> Any:
    """What all binary morphology checks; the result is boolean unless it goes to an array."""
    a = require(input)
    axes = chosen_axes(axes, a.ndim)
    try:
        iterations = operator.index(iterations)
    except TypeError:
        raise TypeError("iterations parameter should be an integer") from None
    if a.dtype.kind == "c":
        raise TypeError("Complex type not supported")
    shape = structure_shape(structure, len(axes))
    if shape is not None:
        if len(shape) != len(axes):
            raise RuntimeError("structure and input must have same dimensionality")
        if 0 in shape or (not shape and not isinstance(structure, Spec)):
            raise RuntimeError("structure must not be empty")
    if mask is not None and require(mask, "mask").shape != a.shape:
        raise RuntimeError("mask and input must have equal sizes")
    each(origin, len(axes), "origin", int)
    if isinstance(output, Spec):
        if output.dtype.kind == "c":
            raise TypeError("Complex output type not supported")
        if output.shape != a.shape:
            raise RuntimeError("output shape not correct")
        result: Any = Same("output")
    else:
        result = packed(a.shape, np.bool_)
    centred = structure is None or isinstance(structure, (tuple, list, int))
    if iterations != 1 and centred and not brute_force and a.ndim:
        raise NotImplementedError("only brute_force iteration has been implemented")
    return result


@rule("ndimage_binary")
def binary_morphology(
    input: Any, structure: Any = None, iterations: Any = 1, mask: Any = None, output: Any = None, border_value: Any = 0, origin: Any = 0,
    brute_force: Any = False, *, axes: Any = None,
) -> Any:  # fmt: skip
    """All binary functions but the two below; their order of parameters differs, which keywords do not mind."""
    return binary_result(input, structure, iterations, mask, output, origin, brute_force, axes)


@rule("ndimage_propagation")
def binary_propagation(
    input: Any, structure: Any = None, mask: Any = None, output: Any = None, border_value: Any = 0, origin: Any = 0, *, axes: Any = None
) -> Any:  # fmt: skip
    return binary_result(input, structure, -1, mask, output, origin, True, axes)


@rule("ndimage_hit_or_miss")
def binary_hit_or_miss(
    input: Any, structure1: Any = None, structure2: Any = None, output: Any = None, origin1: Any = 0, origin2: Any = None, *,
    axes: Any = None,
) -> Any:  # fmt: skip
    binary_result(input, structure2, 1, None, output, origin1 if origin2 is None else origin2, False, axes)
    return binary_result(input, structure1, 1, None, output, origin1, False, axes)


@rule("ndimage_fill_holes")
def binary_fill_holes(
    input: Any, structure: Any = None, output: Any = None, origin: Any = 0, *, axes: Any = None
) -> Any:
    return binary_result(input, structure, -1, None, output, origin, True, axes)


@rule("ndimage_grey")
def grey_morphology(
    input: Any, size: Any = None, footprint: Any = None, structure: Any = None, output: Any = None, mode: Any = "reflect",
    cval: Any = 0.0, origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    if size is None and footprint is None and structure is None:
        raise ValueError("size, footprint or structure must be specified")
    if isinstance(footprint, list):
        footprint = np.asarray(footprint, np.bool_)
    return extremum(require(input), size, footprint, structure, output, mode, cval, origin, axes)


@rule("ndimage_grey_difference")
def grey_difference(
    input: Any, size: Any = None, footprint: Any = None, structure: Any = None, output: Any = None, mode: Any = "reflect",
    cval: Any = 0.0, origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """morphological_gradient and -_laplace: a dtype for the output is not listened to. Raises TypeError for booleans, as subtract."""
    result = grey_morphology(
        input, size, footprint, structure, output if isinstance(output, Spec) else None, mode, cval, origin, axes=axes
    )
    if input.dtype == np.bool_ and not isinstance(result, Same):
        raise TypeError(
            "numpy boolean subtract, the `-` operator, is not supported: use bitwise_xor or logical_xor instead."
        )
    return result


@rule("ndimage_tophat")
def tophat(
    input: Any, size: Any = None, footprint: Any = None, structure: Any = None, output: Any = None, mode: Any = "reflect",
    cval: Any = 0.0, origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """The difference goes to the output's dtype by the rule "same_kind"."""
    result = grey_morphology(input, size, footprint, structure, output, mode, cval, origin, axes=axes)
    dtype = dtype_for(output, input)
    check_cast(np.promote_types(input.dtype, dtype), dtype, "same_kind", "output operand")
    return result


@rule("ndimage_iterate")
def iterate_structure(structure: Any, iterations: Any, origin: Any = None) -> Any:
    s = require(structure, "structure")
    if iterations < 2:
        return layout(s, "K", s.dtype)
    return packed([n + (iterations - 1) * (n - 1) for n in s.shape], np.bool_)


@rule("ndimage_generate_structure")
def generate_binary_structure(rank: Any, connectivity: Any) -> Any:
    return packed((3,) * max(operator.index(rank), 0), np.bool_)


# -- distances ------------------------------------------------------------------------------------------------------------------


def spacing(sampling: Any, ndim: int) -> tuple[float, ...] | None:
    """The distance of neighbours along each axis; None for one everywhere."""
    if sampling is None:
        return None
    given = (sampling,) if isinstance(sampling, numbers.Number) else tuple(sampling)
    if len(set(given)) == 1:
        return (float(given[0]),) * ndim  # pyright: ignore
    if len(given) != ndim:
        raise ValueError(f"sampling must have one value per axis of an image with {ndim}")
    return tuple(map(float, given))  # pyright: ignore


@rule("ndimage_distance")
def distance_transform_edt(
    image: Any, sampling: Any = None, return_distances: Any = True, return_indices: Any = False, distances: Any = None, indices: Any = None,
    *, block_params: Any = None, float64_distances: Any = True,
) -> Any:  # fmt: skip
    a = require(image, "image")
    if a.ndim not in (2, 3):
        raise NotImplementedError("Only 2D and 3D distance transforms are supported.")
    spacing(sampling, a.ndim)
    if not (return_distances or return_indices):
        raise RuntimeError("at least one of return_distances/return_indices must be True")
    if max(a.shape) > 1 << 24:
        raise ValueError(f"maximum axis size of {1 << 24} exceeded, for image with shape {a.shape}")
    if block_params is not None and a.ndim == 2:
        check_blocks(a, block_params)
    found = []
    if return_distances:
        found.append(packed(a.shape, np.float64 if float64_distances else np.float32))
    if return_indices:
        found.append(packed((a.ndim, *a.shape), index_dtype(a)))
    return found[0] if len(found) == 1 else tuple(found)


def check_blocks(a: Spec, block_params: Any) -> None:
    """Into how many bands the phases of CuPy's algorithm may cut an image. Raises ValueError."""
    if any(m < 1 for m in block_params):
        raise ValueError("(m1, m2, m3) in blockparams must be >= 1")
    if block_params[1] & (block_params[1] - 1):
        raise ValueError("m2 must be a power of 2")
    multiple = math.lcm(32, *block_params)
    most = math.ceil(max(a.shape) / multiple) * multiple // 32
    for name, m in zip(("m1", "m2", "m3"), block_params, strict=True):
        if m > most:
            raise ValueError(f"{name} too large: an image of shape {a.shape} has at most {most} bands")


def index_dtype(a: Spec) -> np.dtype[Any]:
    """What CuPy's algorithm keeps coordinates in."""
    if a.ndim == 2:
        return np.dtype(np.int16 if max(a.shape) <= 32768 else np.int32)
    return np.dtype(np.int32)
