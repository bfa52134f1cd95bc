"""Rows: `cupyx.scipy.ndimage`. `output=` arrays are written: the row says so, and its rule answers with that very argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops._row import CLIENT, op
from cupool.contract.ops._sample_arrays import arr, call, fails, mask, pos
from cupool.contract.ops.scipy import _rules_ndimage as filters
from cupool.contract.ops.scipy import _rules_ndimage_more as more

_PREFIX = "cupyx.scipy.ndimage."
_TAIL = "output=None, mode='reflect', cval=0.0"
AxisError = np.exceptions.AxisError


def _row(
    name: str, sig: str, infer: Any, samples: Callable[[], Any], errors: Callable[[], Any] | None = None, **fields: Any
) -> None:
    writes = ("output",) if "output=" in sig else ()
    op(_PREFIX + name, sig, infer, writes=writes, samples=samples, errors=errors, **fields)


def _image(dtype: Any = "f8") -> Any:
    """An image without symmetry or flat parts."""
    return ((np.arange(48).reshape(6, 8) * 37) % 23).astype(dtype)


def _zeros(dtype: Any = "f8") -> Any:
    return np.zeros((6, 8), dtype)


# -- correlation ----------------------------------------------------------------------------------------------------------------
for _name in ("correlate", "convolve"):
    _row(
        _name, f"(input, weights, {_TAIL}, origin=0, *, axes=None)", filters.correlate, arrays=("input", "weights", "output"),
        samples=lambda: [
            call(_image(), pos(3, 3)), call(_image("i4"), arr(2, 3, dtype="i4")), call(_image("f2"), pos(3, 3)),
            call(_image("c8"), pos(3, 3)), call(_image("f4"), pos(3, 3, dtype="c8")), call(_image(), pos(3, 3), output=_zeros("f4")),
            call(_image("u1"), pos(3, 3), output="f8", mode="constant", cval=2.0), call(_image(), pos(3), axes=(1,), mode="wrap"),
            call(_image(), pos(3, 3), mode=("nearest", "mirror"), origin=(1, -1)), call(_image("?"), pos(3, 3)),
        ],
        errors=lambda: [
            fails(RuntimeError, _image(), pos(3)), fails(RuntimeError, _image(), pos(3, 3), mode="nope"),
            fails(ValueError, _image(), pos(3, 3), origin=2), fails(RuntimeError, _image("c8"), pos(3, 3), output=_zeros("f4")),
            fails(NotImplementedError, _image("i4"), pos(3, 3), mode="constant", cval=float("nan")),
        ],
    )  # fmt: skip
for _name in ("correlate1d", "convolve1d"):
    _row(
        _name, f"(input, weights, axis=-1, {_TAIL}, origin=0)", filters.correlate1d, arrays=("input", "weights", "output"),
        samples=lambda: [
            call(_image(), pos(3)), call(_image("i4"), pos(4), axis=0, mode="nearest"), call(_image("c16"), pos(3), output=_zeros("c8")),
        ],
        errors=lambda: [fails(RuntimeError, _image(), pos(3, 3)), fails(AxisError, _image(), pos(3), axis=2)],
    )  # fmt: skip
_row(
    "uniform_filter1d", f"(input, size, axis=-1, {_TAIL}, origin=0)", filters.uniform_filter1d, arrays=("input", "output"),
    samples=lambda: [call(_image(), 3), call(_image("u1"), 4, axis=0, mode="mirror", origin=1)],
    errors=lambda: [fails(RuntimeError, _image(), 0)],
)  # fmt: skip
_row(
    "uniform_filter", f"(input, size=3, {_TAIL}, origin=0, axes=None)", filters.uniform_filter, arrays=("input", "output"),
    samples=lambda: [
        call(_image()), call(_image("f4"), (3, 1)), call(_image(), 2, output="f4", mode=["wrap", "constant"]), call(_image(), axes=(0,)),
        call(_image(), 1, output=_zeros("f4")), call(_image("f2")),
    ],
    errors=lambda: [fails(RuntimeError, _image(), (1, 2, 3)), fails(RuntimeError, _image(), output=np.zeros(3))],
)  # fmt: skip
_row(
    "gaussian_filter1d", f"(input, sigma, axis=-1, order=0, {_TAIL}, truncate=4.0)", filters.gaussian_filter1d, varying=("sigma",),
    arrays=("input", "output"),
    samples=lambda: [call(_image(), 1.5), call(_image("f4"), 2, axis=0, order=1, truncate=3.0)],
    errors=lambda: [fails(ValueError, _image(), 1.0, order=-1)],
)  # fmt: skip
_row(
    "gaussian_filter", f"(input, sigma, order=0, {_TAIL}, truncate=4.0, radius=None, axes=None)", filters.gaussian_filter,
    arrays=("input", "output"),
    samples=lambda: [
        call(_image(), 1.5), call(_image("f4"), (1.0, 0)), call(_image("u1"), 1, output="f8"), call(_image(), 1.0, radius=2, axes=(1,)),
        call(_image(), 2.0, order=(1, 0), mode=("constant", "wrap"), cval=1.5), call(_image("c8"), 1.0), call(_image(), 0.0),
        call(_image("?"), 1.0),
    ],
    errors=lambda: [
        fails(RuntimeError, _image(), (1.0, 2.0, 3.0)), fails(ValueError, _image(), 1.0, axes=(0, 0)),
        fails(RuntimeError, _image("c8"), 1.0, output="f4"),
    ],
)  # fmt: skip
for _name in ("prewitt", "sobel"):
    _row(
        _name, f"(input, axis=-1, {_TAIL})", filters.difference, arrays=("input", "output"),
        samples=lambda: [call(_image()), call(_image("i4"), 0, output="f8", mode="nearest"), call(_image("f4"), output=_zeros("f4"))],
        errors=lambda: [fails(AxisError, _image(), 3)],
    )  # fmt: skip
_row(
    "laplace", f"(input, {_TAIL}, *, axes=None)", filters.laplace, arrays=("input", "output"),
    samples=lambda: [call(_image()), call(_image("i4"), mode="wrap"), call(_image(), output=_zeros("f4"), axes=(0,))],
    errors=lambda: [fails(RuntimeError, _image(), mode="no")],
)  # fmt: skip
for _name in ("gaussian_laplace", "gaussian_gradient_magnitude"):
    _row(
        _name, f"(input, sigma, {_TAIL}, *, axes=None, **kwargs)", filters.gaussian_derivative, arrays=("input", "output"),
        samples=lambda: [
            call(_image(), 1.0), call(_image("f4"), (1.0, 2.0), output="f8"), call(_image(), 1.0, truncate=2.0, axes=(1,)),
        ],
        errors=lambda: [fails(RuntimeError, _image(), (1.0,)), fails(TypeError, _image(), 1.0, nope=1)],
    )  # fmt: skip
for _name, _parameters in {
    "generic_laplace": "derivative2", "generic_gradient_magnitude": "derivative",
}.items():  # fmt: skip
    op(
        _PREFIX + _name,
        f"(input, {_parameters}, {_TAIL}, extra_arguments=(), extra_keywords=None, *, axes=None)",
        CLIENT,
    )

# -- order statistics -------------------------------------------------------------------------------------------------------------
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.bool_)
for _name in ("minimum_filter", "maximum_filter"):
    _row(
        _name, f"(input, size=None, footprint=None, {_TAIL}, origin=0, axes=None)", filters.extremum_filter,
        arrays=("input", "footprint", "output"),
        samples=lambda: [
            call(_image(), 3), call(_image("u1"), footprint=_CROSS), call(_image(), (2, 3), output="f4", mode=("wrap", "mirror")),
            call(_image("f2"), 3), call(_image(), footprint=_CROSS, mode=("nearest", "constant"), cval=-1.0),
            call(_image("i4"), 3, axes=(0,), output=_zeros("i8")),
        ],
        errors=lambda: [
            fails(ValueError, _image()), fails(RuntimeError, _image(), footprint=mask(3)), fails(TypeError, _image("c8"), 3),
            fails(ValueError, _image(), 3, origin=2),
        ],
    )  # fmt: skip
for _name in ("minimum_filter1d", "maximum_filter1d"):
    _row(
        _name, f"(input, size, axis=-1, {_TAIL}, origin=0)", filters.extremum_filter1d, arrays=("input", "output"),
        samples=lambda: [call(_image(), 3), call(_image("i4"), 4, axis=0, mode="wrap", origin=-1)],
        errors=lambda: [fails(RuntimeError, _image(), 0), fails(AxisError, _image(), 3, axis=5)],
    )  # fmt: skip
_WINDOW = f"size=None, footprint=None, {_TAIL}, origin=0, axes=None)"
_row(
    "rank_filter", f"(input, rank, {_WINDOW}", filters.rank_filter, arrays=("input", "footprint", "output"),
    samples=lambda: [
        call(_image(), 1, 3), call(_image("i4"), -1, footprint=_CROSS), call(_image(), 0, 3),
        call(_image("f2"), 2, (2, 3), mode="constant"),
        call(_image(), 2, 3, axes=(1,), output=_zeros("f4")[:, ::-1]), call(_image(), 3, 3, mode=("wrap", "nearest")),
    ],
    errors=lambda: [fails(RuntimeError, _image(), 9, 3), fails(RuntimeError, _image(), 1)],
)  # fmt: skip
_row(
    "median_filter", f"(input, {_WINDOW}", filters.median_filter, arrays=("input", "footprint", "output"),
    samples=lambda: [call(_image(), 3), call(_image("u1"), footprint=_CROSS, mode="mirror"), call(pos(9), 3)],
    errors=lambda: [fails(RuntimeError, _image()), fails(TypeError, _image("c8"), 3)],
)  # fmt: skip
_row(
    "percentile_filter", f"(input, percentile, {_WINDOW}", filters.percentile_filter, arrays=("input", "footprint", "output"),
    samples=lambda: [call(_image(), 25, 3), call(_image("i4"), -20.0, (3, 2)), call(_image(), 100, 3)],
    errors=lambda: [fails(RuntimeError, _image(), 101, 3)],
)  # fmt: skip
op(_PREFIX + "generic_filter", f"(input, function, size=None, footprint=None, {_TAIL}, origin=0, *, axes=None)", CLIENT)
op(_PREFIX + "generic_filter1d", f"(input, function, filter_size, axis=-1, {_TAIL}, origin=0)", CLIENT)

# -- Fourier domain -----------------------------------------------------------------------------------------------------------------
for _name, _amount in {
    "fourier_gaussian": "sigma", "fourier_uniform": "size", "fourier_shift": "shift", "fourier_ellipsoid": "size",
}.items():  # fmt: skip
    _row(
        _name, f"(input, {_amount}, n=-1, axis=-1, output=None)", filters.fourier(_name, _name == "fourier_shift"), varying=(_amount,),
        arrays=("input", "output"),
        samples=lambda: [
            call(pos(4, 5, dtype="c16"), 1.5), call(pos(4, 5, dtype="f4"), (2.0, 3), n=8, axis=0), call(pos(4, 5, dtype="i4"), 2),
            call(pos(4, 5), 2, output=np.zeros((4, 5), "c16")), call(pos(6, dtype="c8"), 2.0), call(pos(3, 4, 5), (1, 2, 3)),
        ],
        errors=lambda: [fails(RuntimeError, pos(4, 5), (1.0,)), fails(AxisError, pos(4), 1.0, axis=1)],
    )  # fmt: skip

# -- interpolation --------------------------------------------------------------------------------------------------------------------
_SPLINE = "output=None, order=3, mode='constant', cval=0.0, prefilter=True"
_row(
    "spline_filter1d", "(input, order=3, axis=-1, output=float64, mode='mirror')", more.spline_filter1d, arrays=("input", "output"),
    samples=lambda: [
        call(_image()), call(_image("f4"), 2, 0, output=np.float32), call(_image(), 3, -1, np.zeros((6, 8))),
        call(_image("i4"), 1), call(_image("c8"), output=np.complex64),
    ],
    errors=lambda: [fails(RuntimeError, _image(), 6), fails(AxisError, _image(), axis=2)],
)  # fmt: skip
_row(
    "spline_filter", "(input, order=3, output=float64, mode='mirror')", more.spline_filter, arrays=("input", "output"),
    samples=lambda: [call(_image()), call(_image("f4"), 5, output=_zeros("f4"), mode="reflect"), call(_image("f2"), output=None)],
    errors=lambda: [fails(RuntimeError, _image(), 1)],
)  # fmt: skip
_row(
    "map_coordinates", f"(input, coordinates, {_SPLINE})", more.map_coordinates, arrays=("input", "coordinates", "output"),
    samples=lambda: [
        call(_image(), 3 * pos(2, 5)), call(_image("i4"), 3 * pos(2, 4, 2), order=1), call(_image("c8"), pos(2, 3), order=0),
        call(_image("f2"), 2 * pos(2, 3), mode="wrap"), call(_image(), pos(2, 3), mode="opencv", order=1),
    ],
    errors=lambda: [
        fails(ValueError, _image(), pos(2, 3), order=7), fails(ValueError, _image(), pos(2, 3), mode="no"),
        fails(ValueError, _image(), mask(2, 3)),
    ],
)  # fmt: skip
_row(
    "affine_transform",
    "(input, matrix, offset=0.0, output_shape=None, output=None, order=3, mode='constant', cval=0.0, prefilter=True, *, "
    "texture_memory=False, float64_coords=False)",
    more.affine_transform, arrays=("input", "matrix", "offset", "output"),
    samples=lambda: [
        call(_image(), np.array([[0.9, 0.1], [-0.2, 1.1]])), call(_image("f4"), np.array([0.5, 2.0]), (1.0, -1.0), output_shape=(4, 5)),
        call(_image("i4"), np.array([[0.9, 0.1, 1.0], [-0.2, 1.1, 0.5], [0, 0, 1]]), order=1, mode="nearest", output=_zeros("f8")),
        call(_image(), np.array([[0.9, 0.1, 1.0], [-0.2, 1.1, 0.5]]), mode="opencv", order=1),
    ],
    errors=lambda: [fails(RuntimeError, _image(), np.zeros((3, 5))), fails(RuntimeError, _image(), np.eye(2), (1.0,))],
)  # fmt: skip
_row(
    "rotate", f"(input, angle, axes=(1, 0), reshape=True, {_SPLINE})", more.rotate, arrays=("input", "output"),
    samples=lambda: [
        call(_image(), 30.0), call(_image("f4"), 45, reshape=False, order=1), call(_image("u1"), 90, (-1, -2), mode="nearest"),
        call(_image(), 20.0, order=1, mode="opencv"),
    ],
    errors=lambda: [fails(ValueError, _image(), 30.0, (0, 2)), fails(ValueError, _image(), 30.0, order=-1)],
)  # fmt: skip
_row(
    "shift", f"(input, shift, {_SPLINE})", more.shift, arrays=("input", "output", "shift"), varying=("shift",),
    samples=lambda: [
        call(_image(), 1.5), call(_image("f4"), (1, -2.5), order=1, mode="wrap"), call(_image("i4"), 2, output=_zeros()),
        call(_image("?"), 1, order=0), call(_image(), (0.5, 1.5), mode="opencv", order=1),
    ],
    errors=lambda: [fails(RuntimeError, _image(), (1, 2, 3)), fails(NotImplementedError, _image("i4"), 1, cval=np.inf)],
)  # fmt: skip
_row(
    "zoom", f"(input, zoom, {_SPLINE}, *, grid_mode=False)", more.zoom, arrays=("input", "output"),
    samples=lambda: [
        call(_image(), 2), call(_image("f4"), (0.5, 1.5), order=1), call(_image("u1"), 1.3, mode="grid-constant", grid_mode=True),
        call(_image(), 1.5, mode="opencv", order=1),
    ],
    errors=lambda: [fails(RuntimeError, _image(), (1, 2, 3)), fails(RuntimeError, _image(), 2, output=np.zeros((3, 3)))],
)  # fmt: skip

# -- measurements ---------------------------------------------------------------------------------------------------------------------
_GROUPS = np.array([1, 2], "i8")


def _labels() -> Any:
    return (np.arange(48).reshape(6, 8) % 3).astype("i4")


_OVER = "(input, labels=None, index=None)"


def _measured() -> list[Any]:
    return [
        call(_image()), call(_image("i4"), _labels()), call(_image("f4"), _labels(), 1), call(_image("u1"), _labels(), _GROUPS),
        call(_image(), np.arange(8) % 2, _GROUPS),
    ]  # fmt: skip


for _name in ("sum", "sum_labels", "mean", "variance", "standard_deviation"):
    _row(
        _name, _OVER, more.summed(_name, not _name.startswith("sum")), _measured, arrays=("input", "labels", "index"),
        errors=lambda: [fails(TypeError, _image("c8")), fails(TypeError, _image(), _labels(), [1, 2])],
    )  # fmt: skip
for _name in ("minimum", "maximum", "median"):
    _row(
        _name, _OVER, more.selected("median" if _name == "median" else "value"), _measured, arrays=("input", "labels", "index"),
        errors=lambda: [fails(ValueError, _image(), arr(5))],
    )  # fmt: skip
for _name in ("minimum_position", "maximum_position"):
    _row(_name, _OVER, None, _measured, arrays=("input", "labels", "index"), host=True)
_row("find_objects", "(input, max_label=0)", None, lambda: [call(_labels()), call(_labels(), 5)], host=True)
_row(
    "label", "(input, structure=None, output=None)", more.label, arrays=("input", "structure", "output"),
    samples=lambda: [call(_image() > 11), call(_image("i4"), np.ones((3, 3), "i4")), call(_image(), output="i8"), call(np.zeros(5))],
    errors=lambda: [
        fails(TypeError, _image("c8")), fails(RuntimeError, _image(), mask(3)), fails(ValueError, _image(), mask(2, 3)),
    ],
)  # fmt: skip
for _name, _sig in {
    "extrema": _OVER, "center_of_mass": _OVER, "histogram": "(input, min, max, bins, labels=None, index=None)",
    "labeled_comprehension": "(input, labels, index, func, out_dtype, default, pass_positions=False)",
    "value_indices": "(arr, *, ignore_value=None, adaptive_index_dtype=False)",
}.items():  # fmt: skip
    op(_PREFIX + _name, _sig, CLIENT)

# -- morphology -----------------------------------------------------------------------------------------------------------------------
_BINARY = ("input", "structure", "mask", "output")
for _name, _middle in {
    "binary_erosion": "mask=None, output=None, border_value=0, origin=0",
    "binary_dilation": "mask=None, output=None, border_value=0, origin=0",
    "binary_opening": "output=None, origin=0, mask=None, border_value=0",
    "binary_closing": "output=None, origin=0, mask=None, border_value=0",
}.items():
    _row(
        _name, f"(input, structure=None, iterations=1, {_middle}, brute_force=False, *, axes=None)", more.binary_morphology, arrays=_BINARY,
        samples=lambda: [
            call(_image() > 8), call(_image("i4") % 4, _CROSS), call(_image() > 5, 2, brute_force=True, iterations=2),
            call(_image() > 8, (3, 1), border_value=1), call(_image() > 8, mask=mask(6, 8), output=_zeros("u1")),
            call(_image() > 8, np.ones(3, "?"), axes=(1,)), call(_image() > 4, _CROSS, iterations=-1, brute_force=True),
        ],
        errors=lambda: [
            fails(TypeError, _image("c8")), fails(TypeError, _image(), iterations=1.5), fails(RuntimeError, _image(), mask(3)),
            fails(NotImplementedError, _image(), iterations=3),
        ],
    )  # fmt: skip
_row(
    "binary_propagation", "(input, structure=None, mask=None, output=None, border_value=0, origin=0, *, axes=None)",
    more.binary_propagation,
    arrays=_BINARY, samples=lambda: [call(_image() > 20, mask=_image() > 6)],
    errors=lambda: [fails(RuntimeError, _image(), mask=mask(3))],
)  # fmt: skip
_row(
    "binary_hit_or_miss", "(input, structure1=None, structure2=None, output=None, origin1=0, origin2=None, *, axes=None)",
    more.binary_hit_or_miss, arrays=("input", "structure1", "structure2", "output"),
    samples=lambda: [call(_image() > 8), call(_image() > 8, _CROSS, ~_CROSS, origin2=(0, 1))],
    errors=lambda: [fails(TypeError, _image("c8"))],
)  # fmt: skip
_row(
    "binary_fill_holes", "(input, structure=None, output=None, origin=0, *, axes=None)", more.binary_fill_holes,
    arrays=("input", "structure", "output"),
    samples=lambda: [call(_image() > 3), call(_image("i4") % 3, np.ones((3, 3), "?")), call(_image() > 3, origin=(0, 1))],
    errors=lambda: [fails(TypeError, _image("c8"))],
)  # fmt: skip
_GREY = {
    **dict.fromkeys(("grey_erosion", "grey_dilation", "grey_opening", "grey_closing"), more.grey_morphology),
    **dict.fromkeys(("morphological_gradient", "morphological_laplace"), more.grey_difference),
    **dict.fromkeys(("white_tophat", "black_tophat"), more.tophat),
}
for _name, _rule in _GREY.items():
    _row(
        _name, f"(input, size=None, footprint=None, structure=None, {_TAIL}, origin=0, *, axes=None)", _rule,
        arrays=("input", "footprint", "structure", "output"),
        samples=lambda: [
            call(_image(), 3), call(_image("u1"), footprint=_CROSS), call(_image(), (2, 3), mode="wrap", output=np.float32),
            call(_image(), structure=arr(3, 3)), call(_image(), footprint=_CROSS, structure=arr(3, 3), mode="nearest"),
            call(_image("i4"), 3, output=_zeros("i4")),
        ],
        errors=lambda: [fails(ValueError, _image()), fails(RuntimeError, _image(), footprint=mask(3))],
    )  # fmt: skip
_row(
    "generate_binary_structure", "(rank, connectivity)", more.generate_binary_structure,
    lambda: [call(2, 1), call(3, 2), call(0, 1), call(1, 5)],
)  # fmt: skip
_row(
    "iterate_structure", "(structure, iterations, origin=None)", more.iterate_structure,
    samples=lambda: [call(_CROSS, 1), call(_CROSS, 3), call(mask(2, 3), 2)],
    errors=lambda: [fails(TypeError, [[1, 1]], 2)],
)  # fmt: skip
_row(
    "distance_transform_edt",
    "(image, sampling=None, return_distances=True, return_indices=False, distances=None, indices=None, *, block_params=None, "
    "float64_distances=True)",
    more.distance_transform_edt,
    samples=lambda: [
        call(_image() > 3), call(_image("i4") % 5, 2.0, float64_distances=False), call(_image() > 3, (1.0, 2.0)),
    ],
    errors=lambda: [fails(NotImplementedError, pos(5)), fails(RuntimeError, _image(), return_distances=False)],
)  # fmt: skip
