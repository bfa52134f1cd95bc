"""Rules of `cupyx.scipy.ndimage`: what its functions check before they compute, and the array that comes out.

`output=` is an array (then it is the result, and is written), a dtype, or None. What only the data can tell (an all-zero footprint, the
rank within one) is left to the device. Filters here; interpolation, measurements and morphology in `_rules_ndimage_more.py`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from cupool.contract.ops._row import Same
from cupool.contract.ops.rules._arrays import as_spec, packed, to_axis
from cupool.contract.ops.rules.common import AxisError, as_dtype, layout, rule
from cupool.contract.spec import Spec

MODES = frozenset(("reflect", "constant", "nearest", "mirror", "wrap", "grid-mirror", "grid-wrap", "grid-reflect"))


# -- checks that several functions share --------------------------------------------------------------------------------------


def require(value: Any, what: str = "input") -> Spec:
    """The spec of an array argument. Raises TypeError for host data."""
    if not isinstance(value, Spec):
        raise TypeError(f"{what} must be a cupy.ndarray, not {type(value).__name__}")
    return value


def each(value: Any, n: int, name: str, convert: Callable[[Any], Any] = lambda x: x) -> list[Any]:
    """One value per axis, from one for all or a sequence. Raises RuntimeError for another length."""
    is_one = isinstance(value, np.ndarray) and not value.ndim
    if is_one or isinstance(value, str | Spec) or not isinstance(value, Iterable):
        return [convert(value)] * n
    found = [convert(item) for item in value]
    if len(found) != n:
        raise RuntimeError(f"{name} must have length equal to input rank")
    return found


def checked_mode(mode: Any) -> str:
    """A boundary mode of a filter. Raises RuntimeError."""
    if mode not in MODES:
        raise RuntimeError(f"boundary mode not supported (actual: {mode})")
    return str(mode)


def check_origin(origin: Any, width: int) -> int:
    """Raises ValueError when the footprint's centre leaves it."""
    found = int(origin)
    if not 0 <= width // 2 + found < width:
        raise ValueError("invalid origin")
    return found


def chosen_axes(axes: Any, ndim: int) -> tuple[int, ...]:
    """The axes that a filter runs along. Raises AxisError; ValueError for duplicates."""
    if axes is None:
        return tuple(range(ndim))
    if np.isscalar(axes):
        given: tuple[int, ...] = (operator.index(axes),)  # type: ignore[arg-type]
    elif isinstance(axes, Iterable):
        given = tuple(operator.index(axis) for axis in axes)
    else:
        raise ValueError("axes must be an integer, iterable of integers, or None")
    for axis in given:
        if not -ndim <= axis < ndim:
            raise AxisError(f"specified axis: {axis} is out of range")
    found = tuple(axis % ndim for axis in given)
    if len(set(found)) != len(found):
        raise ValueError("axes must be unique")
    return found


def is_dtype(value: Any) -> bool:
    """Whether an `output` names a dtype by a type or dtype (a string is another matter)."""
    return isinstance(value, (type, np.dtype))


def as_complex(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The complex dtype that holds `dtype`, single precision at least."""
    return np.promote_types(dtype, np.complex64)


def output_of(output: Any, a: Spec, shape: tuple[int, ...] | None = None, is_complex: bool = False) -> Any:
    """The result for an `output=` argument: Same("output") for an array, else the spec of a new one.

    Args:
        output: array, dtype, name of a dtype, or None.
        a: the input.
        shape: of the result, when it is not the input's.
        is_complex: the result has complex values: a real dtype is promoted, a real array refused.

    Raises:
        RuntimeError: an array of another shape, or a real one for complex values.
    """
    shape = a.shape if shape is None else shape
    if output is None:
        return packed(shape, as_complex(a.dtype) if is_complex else a.dtype)
    if is_dtype(output):
        dtype = as_dtype(output)
        return packed(shape, as_complex(dtype) if is_complex and dtype.kind != "c" else dtype)
    if isinstance(output, str):
        dtype = as_dtype(output)
        if is_complex and dtype.kind != "c":
            raise RuntimeError("output must have complex dtype")
        return packed(shape, dtype)
    if not isinstance(output, Spec):
        raise TypeError(f"output must be a cupy.ndarray or a dtype, not {type(output).__name__}")
    if output.shape != shape:
        raise RuntimeError("output shape not correct")
    if is_complex and output.dtype.kind != "c":
        raise RuntimeError("output must have complex dtype")
    return Same("output")


def dtype_for(output: Any, a: Spec) -> np.dtype[Any]:
    """The dtype that an `output=` argument asks for."""
    return a.dtype if output is None else output.dtype if isinstance(output, Spec) else as_dtype(output)


def check_cval(mode: Any, cval: Any, output: Any, a: Spec) -> None:
    """Raises NotImplementedError for infinities and NaN around integers."""
    if mode == "constant" and dtype_for(output, a).kind in "iu" and not np.isfinite(cval):
        raise NotImplementedError("Non-finite cval is not supported for outputs with integer dtype.")


def _real(a: Spec, cval: Any = 0.0) -> None:
    if a.dtype.kind == "c":
        raise TypeError("Complex type not supported")
    if cval is np.nan:
        raise NotImplementedError("NaN cval is unsupported")


def window(
    a: Spec, weights: Spec | None, mode: Any, origin: Any, name: str, axes: tuple[int, ...], sizes: Any = None,
    refuse_empty: bool = False,
) -> Sequence[str]:  # fmt: skip
    """Check weights (or a footprint) or sizes against the input and the axes; returns the modes.

    Raises:
        RuntimeError: a wrong number of dimensions, modes or origins; weights of 2 GiB.
        ValueError: an origin outside, nothing to go by, an empty footprint.
    """
    modes = [checked_mode(m) for m in each(mode, len(axes), "origin", str)]
    origins = each(origin, len(axes), "origin", int)
    if weights is not None:
        shape = weights.shape
        if len(axes) < a.ndim:
            if weights.ndim != len(axes):
                raise RuntimeError(f"weights.ndim ({weights.ndim}) must match len(axes) ({len(axes)})")
            spread = [1] * a.ndim
            moved = [0] * a.ndim
            for n, axis in zip(weights.shape, sorted(axes), strict=True):
                spread[axis] = n
            for o, axis in zip(origins, axes, strict=True):
                moved[axis] = o
            shape, origins = tuple(spread), moved
        if weights.nbytes >= 1 << 31:
            raise RuntimeError("weights must be 2 GiB or less, use FFTs instead")
        if refuse_empty and 0 in shape:
            raise ValueError("All-zero footprint is not supported")
        widths: Sequence[Any] = [n for n in shape if n]
        if len(widths) != a.ndim:
            raise RuntimeError(f"{name} array has incorrect shape")
    elif sizes is None:
        raise ValueError("must specify either weights array or sizes")
    else:
        widths = (sizes,) * len(axes) if np.isscalar(sizes) else tuple(sizes)
        if len(widths) != len(axes):
            raise ValueError("sizes must match len(axes)")
    for o, width in zip(origins, widths, strict=False):
        check_origin(o, width)
    return modes


def _line(a: Spec, size: int, origin: Any, axis: Any, mode: Any) -> str:
    """Check a filter along one axis."""
    if size < 1:
        raise RuntimeError("incorrect filter size")
    to_axis(operator.index(axis), a.ndim)
    check_origin(origin, size)
    return checked_mode(mode)


# -- correlation --------------------------------------------------------------------------------------------------------------


@rule("ndimage_correlate")
def correlate(
    input: Any, weights: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None
) -> Any:  # fmt: skip
    a = require(input)
    if not isinstance(weights, Spec | np.ndarray):
        raise AttributeError(f"{type(weights).__name__!r} object has no attribute 'nbytes'")
    w = as_spec(weights)
    modes = window(a, w, mode, origin, "filter weights", chosen_axes(axes, a.ndim))
    if w.size == 0:
        return layout(a, "K", a.dtype)
    for each_mode in modes:
        check_cval(each_mode, cval, output, a)
    return output_of(output, a, None, a.dtype.kind == "c" or w.dtype.kind == "c")


@rule("ndimage_correlate1d")
def correlate1d(
    input: Any, weights: Any, axis: Any = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0
) -> Any:  # fmt: skip
    a = require(input)
    if not isinstance(weights, Spec | np.ndarray):
        raise AttributeError(f"{type(weights).__name__!r} object has no attribute 'ndim'")
    w = as_spec(weights)
    if w.ndim != 1:
        raise RuntimeError("incorrect filter size")
    check_cval(_line(a, w.size, origin, axis, mode), cval, output, a)
    return output_of(output, a, None, a.dtype.kind == "c" or w.dtype.kind == "c")


@rule("ndimage_uniform1d")
def uniform_filter1d(
    input: Any, size: Any, axis: Any = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0
) -> Any:  # fmt: skip
    a = require(input)
    check_cval(_line(a, operator.index(size), origin, axis, mode), cval, output, a)
    return output_of(output, a, None, a.dtype.kind == "c")


def _separable(
    a: Spec, output: Any, axes: tuple[int, ...], mode: Any, cval: Any, works: Any = True, origin: Any = 0
) -> Any:
    """The result of a filter that runs along one axis after the other, in the output's dtype."""
    result = output_of(output, a)
    modes = each(mode, len(axes), "mode", checked_mode)
    each(origin, len(axes), "origin", int)
    if works and axes:
        for each_mode in modes:
            check_cval(each_mode, cval, output, a)
        if a.dtype.kind == "c" and dtype_for(output, a).kind != "c":
            raise RuntimeError("output must have complex dtype")
    return result


@rule("ndimage_uniform")
def uniform_filter(
    input: Any, size: Any = 3, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, axes: Any = None
) -> Any:  # fmt: skip
    a = require(input)
    axes = chosen_axes(axes, a.ndim)
    sizes = each(size, len(axes), "size", int)
    for o, n in zip(each(origin, len(axes), "origin", int), sizes, strict=True):
        if n > 1:
            check_origin(o, n)
    return _separable(a, output, axes, mode, cval, any(n > 1 for n in sizes), origin)


@rule("ndimage_gaussian1d")
def gaussian_filter1d(
    input: Any, sigma: Any, axis: Any = -1, order: Any = 0, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, truncate: Any = 4.0
) -> Any:  # fmt: skip
    a = require(input)
    if int(order) < 0:
        raise ValueError("order must be non-negative")
    check_cval(_line(a, 1, 0, axis, mode), cval, output, a)
    return output_of(output, a, None, a.dtype.kind == "c")


@rule("ndimage_gaussian")
def gaussian_filter(
    input: Any, sigma: Any, order: Any = 0, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, truncate: Any = 4.0,
    radius: Any = None, axes: Any = None,
) -> Any:  # fmt: skip
    a = require(input)
    axes = chosen_axes(axes, a.ndim)
    works = any(s > 1e-15 for s in each(sigma, len(axes), "sigma", float))
    if not works and output is None:
        return layout(a, "K", a.dtype)
    if any(o < 0 for o in each(order, len(axes), "order", int)):
        raise ValueError("order must be non-negative")
    each(radius, len(axes), "radius")
    return _separable(a, output, axes, mode, cval, works)


@rule("ndimage_difference")
def difference(input: Any, axis: Any = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0) -> Any:
    """prewitt and sobel."""
    a = require(input)
    to_axis(operator.index(axis), a.ndim)
    return _separable(a, output, tuple(range(a.ndim)), mode, cval)


@rule("ndimage_laplace")
def laplace(input: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None) -> Any:
    a = require(input)
    return _separable(a, output, chosen_axes(axes, a.ndim), mode, cval)


_GAUSSIAN = frozenset(("truncate", "radius", "axes"))


@rule("ndimage_gaussian_derivative")
def gaussian_derivative(
    input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None, **kwargs: Any
) -> Any:  # fmt: skip
    """gaussian_laplace and gaussian_gradient_magnitude; `kwargs` are gaussian_filter's."""
    a = require(input)
    for name in kwargs:
        if name not in _GAUSSIAN:
            raise TypeError(f"gaussian_filter() got an unexpected keyword argument {name!r}")
    axes = chosen_axes(axes, a.ndim)
    each(sigma, len(axes), "sigma", float)
    return _separable(a, output, axes, mode, cval)


# -- order statistics -----------------------------------------------------------------------------------------------------------


def _footprint(footprint: Any) -> Spec | None:
    if footprint is None or isinstance(footprint, Spec):
        return footprint
    if isinstance(footprint, np.ndarray):
        if footprint.size and not footprint.any():
            raise ValueError("all-zero footprint is not supported")
        return as_spec(footprint)
    raise AttributeError(f"{type(footprint).__name__!r} object has no attribute 'nbytes'")


def extremum(
    a: Spec, size: Any, footprint: Any, structure: Any, output: Any, mode: Any, cval: Any, origin: Any, axes: Any
) -> Any:
    """minimum_filter, maximum_filter, and the grey morphology on them."""
    if isinstance(footprint, tuple) and size is None:
        size, footprint = footprint, None
    axes = chosen_axes(axes, a.ndim)
    shape = _footprint(footprint)
    if structure is not None and shape is None and size is None:
        size = as_spec(structure).shape
    window(a, shape, mode, origin, "footprint", axes, size, True)
    if shape is None and structure is None:
        each(size, len(axes), "size", int)
    _real(a, cval)
    return output_of(output, a)


@rule("ndimage_extremum")
def extremum_filter(
    input: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0,
    axes: Any = None,
) -> Any:  # fmt: skip
    return extremum(require(input), size, footprint, None, output, mode, cval, origin, axes)


@rule("ndimage_extremum1d")
def extremum_filter1d(
    input: Any, size: Any, axis: Any = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0
) -> Any:  # fmt: skip
    a = require(input)
    size = operator.index(size)
    if size < 0:
        raise ValueError("Negative dimensions are not allowed")
    _line(a, size, origin, axis, mode)
    _real(a)
    return output_of(output, a)


def _ranked(
    rank_of: Callable[[int], int], input: Any, size: Any, footprint: Any, output: Any, mode: Any, cval: Any, origin: Any, axes: Any
) -> Any:  # fmt: skip
    a = require(input)
    _real(a, cval)
    axes = chosen_axes(axes, a.ndim)
    count = None
    if footprint is None:
        if size is None:
            raise RuntimeError("no footprint or filter size provided")
        shape = packed(each(size, len(axes), "size", int), np.bool_)
        count = shape.size
    else:
        known = None if isinstance(footprint, Spec) else np.asarray(footprint, np.bool_)
        if known is not None and known.size and not known.any():
            raise ValueError("all-zero footprint is not supported")
        shape = as_spec(footprint)
        count = None if known is None else int(known.sum())
    if shape.size == 0:
        return layout(a, "K", a.dtype)
    window(a, shape, mode, origin, "footprint", axes)
    if count is not None and not 0 <= rank_of(count) < count:
        raise RuntimeError("rank not within filter footprint size")
    return output_of(output, a)


@rule("ndimage_rank")
def rank_filter(
    input: Any, rank: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, axes: Any = None,
) -> Any:  # fmt: skip
    rank = int(rank)
    return _ranked(lambda n: rank + n if rank < 0 else rank, input, size, footprint, output, mode, cval, origin, axes)


@rule("ndimage_median")
def median_filter(
    input: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0,
    axes: Any = None,
) -> Any:  # fmt: skip
    return _ranked(lambda n: n // 2, input, size, footprint, output, mode, cval, origin, axes)


@rule("ndimage_percentile")
def percentile_filter(
    input: Any, percentile: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, axes: Any = None,
) -> Any:  # fmt: skip
    percentile = float(percentile)
    if not -100.0 <= percentile <= 100.0:
        raise RuntimeError("invalid percentile")
    return _ranked(lambda n: n // 2, input, size, footprint, output, mode, cval, origin, axes)


# -- Fourier domain -----------------------------------------------------------------------------------------------------------


def fourier(name: str, is_complex: bool = False) -> Callable[..., Any]:
    """A filter of a transform; the result is float64 (or complex) unless the input is of a floating dtype itself."""
    allowed = [np.dtype(c) for c in ("FD" if is_complex else "FDfd")]

    @rule(f"ndimage_fourier_{is_complex}")
    def infer(input: Any, amount: Any, n: Any = -1, axis: Any = -1, output: Any = None) -> Any:
        a = require(input)
        if name == "fourier_ellipsoid" and a.ndim > 3:
            raise NotImplementedError("Only 1d, 2d and 3d inputs are supported")
        to_axis(operator.index(axis), a.ndim)
        each(amount, a.ndim, name.removeprefix("fourier_"))
        if output is None:
            return packed(a.shape, a.dtype if a.dtype in allowed else allowed[-1])
        if isinstance(output, type):
            if output not in [dtype.type for dtype in allowed]:
                raise RuntimeError("output type not supported")
            return packed(a.shape, output)
        if not isinstance(output, Spec) or output.shape != a.shape:
            raise RuntimeError("output shape not correct")
        return Same("output")

    return infer
