"""Correlations and order statistics. Filters that run along one axis after the other keep the result's dtype in between, as CuPy's do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import scipy.ndimage

from ...casting import cast
from ._common import Array, axes_of, computed, deliver, each, result_dtype, spread, wide, with_modes

#: Not typed: its stubs know literal modes and dtypes only.
nd: Any = scipy.ndimage

#: One step along an axis: (array, dtype to compute) -> result.
Pass = Callable[[Array, np.dtype[Any]], Array]


def _expanded(array: Array, axes: tuple[int, ...], ndim: int) -> Array:
    if array.ndim == ndim:
        return array
    return np.expand_dims(array, tuple(axis for axis in range(ndim) if axis not in axes))


# -- correlation ----------------------------------------------------------------------------------------------------------------


def _correlating(function: Callable[..., Any]) -> Callable[..., Array]:
    def run(
        input: Array, weights: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, axes: Any = None
    ) -> Array:  # fmt: skip
        a, w = wide(input), wide(np.asarray(weights))
        if w.size == 0:
            return np.zeros_like(input)
        axes = axes_of(axes, a.ndim)
        origins = spread(each(origin, len(axes)), axes, a.ndim, 0)
        modes = spread(each(mode, len(axes)), axes, a.ndim, "reflect")
        w = _expanded(w, axes, a.ndim)
        dtype = result_dtype(output, input, a.dtype.kind == "c" or w.dtype.kind == "c")
        found = with_modes(
            lambda x, m: function(x, w, output=computed(dtype), mode=m, cval=cval, origin=origins),
            a, w.shape, modes, cval,
        )  # fmt: skip
        return deliver(found, output, dtype)

    return run


def _correlating1d(function: Callable[..., Any]) -> Callable[..., Array]:
    def run(
        input: Array, weights: Any, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
    ) -> Array:  # fmt: skip
        a, w = wide(input), wide(np.asarray(weights))
        dtype = result_dtype(output, input, a.dtype.kind == "c" or w.dtype.kind == "c")
        found = function(a, w, axis, computed(dtype), _named(mode), cval, origin)
        return deliver(found, output, dtype)

    return run


def _named(mode: str) -> str:
    return "reflect" if mode == "grid-reflect" else mode


def uniform_filter1d(
    input: Array, size: int, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
) -> Array:  # fmt: skip
    return _CORRELATE1D(input, np.full(size, 1 / size), axis, output, mode, cval, origin)


def _in_turn(input: Array, output: Any, passes: Iterable[Pass]) -> Array:
    """One pass after the other, each rounded to the result's dtype."""
    dtype = result_dtype(output, input)
    a = input
    for step in passes:
        a = cast(step(wide(a), computed(dtype)), dtype, copy=False)
    return deliver(a, output, dtype)


def uniform_filter(
    input: Array, size: Any = 3, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, axes: Any = None
) -> Array:  # fmt: skip
    axes = axes_of(axes, input.ndim)
    chosen = zip(axes, each(size, len(axes)), each(mode, len(axes)), each(origin, len(axes)), strict=True)
    return _in_turn(input, output, [_uniform(*one, cval) for one in chosen if one[1] > 1])


def _uniform(axis: int, size: int, mode: str, origin: int, cval: Any) -> Pass:
    weights = np.full(int(size), 1 / size)
    return lambda a, dtype: nd.correlate1d(a, weights, axis, dtype, _named(mode), cval, origin)


def gaussian_filter1d(
    input: Array, sigma: Any, axis: int = -1, order: int = 0, output: Any = None, mode: str = "reflect", cval: Any = 0.0,
    truncate: float = 4.0,
) -> Array:  # fmt: skip
    dtype = result_dtype(output, input, input.dtype.kind == "c")
    return deliver(
        _gaussian(axis, sigma, order, mode, None, cval, truncate)(wide(input), computed(dtype)), output, dtype
    )


def _gaussian(axis: int, sigma: Any, order: int, mode: str, radius: Any, cval: Any, truncate: float) -> Pass:
    return lambda a, dtype: nd.gaussian_filter1d(
        a, float(sigma), axis, int(order), dtype, _named(mode), cval, truncate, radius=radius
    )


def gaussian_filter(
    input: Array, sigma: Any, order: Any = 0, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, truncate: float = 4.0,
    radius: Any = None, axes: Any = None,
) -> Array:  # fmt: skip
    axes = axes_of(axes, input.ndim)
    n = len(axes)
    passes = []
    for axis, s, o, m, r in zip(axes, each(sigma, n), each(order, n), each(mode, n), each(radius, n), strict=True):
        if s > 1e-15 and (int(truncate * float(s) + 0.5) if r is None else r) > 0:
            passes.append(_gaussian(axis, s, o, m, r, cval, truncate))
    return _in_turn(input, output, passes)


def _differentiating(smooth: Any) -> Callable[..., Array]:
    """prewitt and sobel: a difference along one axis, `smooth` along the others."""

    def run(input: Array, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0) -> Array:
        axis %= input.ndim
        passes: list[Pass] = []
        for i, m in enumerate(each(mode, input.ndim)):
            passes.append(_weighted(i, [-1, 0, 1] if i == axis else smooth, m, cval))
        return _in_turn(input, output, passes)

    return run


def _weighted(axis: int, weights: Any, mode: str, cval: Any) -> Pass:
    return lambda a, dtype: nd.correlate1d(a, weights, axis, dtype, _named(mode), cval)


def _accumulated(input: Array, output: Any, terms: Iterable[Array], square: bool = False) -> Array:
    """The sum of terms (of their squares, and its root) in the result's dtype."""
    dtype = result_dtype(output, input)
    total = None
    for term in terms:
        term = cast(term, dtype, copy=False)
        if square:
            term = term * term
        total = term if total is None else total + term
    if total is None:
        total = input
    elif square:
        total = np.sqrt(wide(total))
    return deliver(total, output, dtype)


def laplace(input: Array, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, axes: Any = None) -> Array:
    axes = axes_of(axes, input.ndim)
    dtype = computed(result_dtype(output, input))
    a = wide(input)
    terms = (
        _weighted(axis, [1, -2, 1], m, cval)(a, dtype) for axis, m in zip(axes, each(mode, len(axes)), strict=True)
    )
    return _accumulated(input, output, terms)


def gaussian_laplace(
    input: Array, sigma: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, axes: Any = None, **kwargs: Any
) -> Array:  # fmt: skip
    axes = axes_of(axes, input.ndim)
    sigmas = spread(each(sigma, len(axes)), axes, input.ndim, 0)
    dtype = result_dtype(output, input)
    terms = (
        gaussian_filter(input, sigmas, spread([2], (axis,), input.ndim, 0), dtype, m, cval, **kwargs)
        for axis, m in zip(axes, each(mode, len(axes)), strict=True)
    )
    return _accumulated(input, output, terms)


def gaussian_gradient_magnitude(
    input: Array, sigma: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, axes: Any = None, **kwargs: Any
) -> Array:  # fmt: skip
    axes = axes_of(axes, input.ndim)
    dtype = result_dtype(output, input)
    terms = (
        gaussian_filter(input, sigma, spread([1], (axis,), input.ndim, 0), dtype, m, cval, **kwargs)
        for axis, m in zip(axes, each(mode, len(axes)), strict=True)
    )
    return _accumulated(input, output, terms, square=True)


# -- order statistics -----------------------------------------------------------------------------------------------------------


def extremum(
    function: Callable[..., Any], input: Array, size: Any, footprint: Any, structure: Any, output: Any, mode: Any, cval: Any,
    origin: Any, axes: Any,
) -> Array:  # fmt: skip
    """A minimum or maximum under a footprint. `function` is SciPy's grey_erosion or grey_dilation.

    Raises:
        ValueError: the footprint holds nothing.
    """
    if isinstance(footprint, tuple) and size is None:
        size, footprint = footprint, None
    axes = axes_of(axes, input.ndim)
    dtype, ndim = result_dtype(output, input), input.ndim
    shape = None
    if footprint is not None:
        footprint = np.asarray(footprint, np.bool_)
        if not footprint.any():
            raise ValueError("all-zero footprint is not supported")
        shape = footprint.shape
        footprint = _expanded(footprint, axes, ndim)
    if structure is not None:
        structure = _expanded(np.asarray(structure, np.float64), axes, ndim)
        if footprint is None:
            footprint = np.ones(structure.shape, np.bool_)
    sizes = footprint.shape if footprint is not None else spread(each(shape or size, len(axes)), axes, ndim, 1)
    widths = [int(n) for n in sizes]
    origins = spread(each(origin, len(axes)), axes, ndim, 0)
    modes = spread(each(mode, len(axes)), axes, ndim, "reflect")
    if footprint is None:
        options: dict[str, Any] = {"size": widths}
    else:
        options = {"footprint": footprint, "structure": structure}
    found = with_modes(
        lambda a, m: function(a, output=computed(dtype), mode=m, cval=cval, origin=origins, **options),
        wide(input), widths, modes, cval,
    )  # fmt: skip
    return deliver(found, output, dtype)


def _maximum(a: Array, size: Any = None, footprint: Any = None, structure: Any = None, **options: Any) -> Array:
    """The maximum filter, which does not mirror its footprint as the dilation does."""
    found: Array = nd.maximum_filter(a, size=size, footprint=footprint, **options)
    return found


def minimum_filter(
    input: Array, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0,
    axes: Any = None,
) -> Array:  # fmt: skip
    return extremum(nd.grey_erosion, input, size, footprint, None, output, mode, cval, origin, axes)


def maximum_filter(
    input: Array, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0,
    axes: Any = None,
) -> Array:  # fmt: skip
    return extremum(_maximum, input, size, footprint, None, output, mode, cval, origin, axes)


def _extremum1d(function: Callable[..., Any]) -> Callable[..., Array]:
    def run(
        input: Array, size: int, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
    ) -> Array:  # fmt: skip
        dtype = result_dtype(output, input)
        return deliver(function(wide(input), size, axis, computed(dtype), _named(mode), cval, origin), output, dtype)

    return run


def _ranked(
    rank_of: Callable[[int], int], input: Array, size: Any, footprint: Any, output: Any, mode: Any, cval: Any, origin: Any, axes: Any
) -> Array:  # fmt: skip
    axes = axes_of(axes, input.ndim)
    if footprint is None:
        footprint = np.ones([int(n) for n in each(size, len(axes))], np.bool_)
    footprint = np.asarray(footprint, np.bool_)
    if footprint.size == 0:
        return np.zeros_like(input)
    if not footprint.any():
        raise ValueError("all-zero footprint is not supported")
    count = int(footprint.sum())
    rank = rank_of(count)
    if not 0 <= rank < count:
        raise RuntimeError("rank not within filter footprint size")
    footprint = _expanded(footprint, axes, input.ndim)
    origins = spread(each(origin, len(axes)), axes, input.ndim, 0)
    modes = spread(each(mode, len(axes)), axes, input.ndim, "reflect")
    dtype = result_dtype(output, input)
    options: dict[str, Any] = {"footprint": footprint, "output": computed(dtype), "cval": cval, "origin": origins}
    found = with_modes(
        lambda a, m: nd.rank_filter(a, rank, mode=m, **options), wide(input), footprint.shape, modes, cval
    )
    return deliver(found, output, dtype)


def rank_filter(
    input: Array, rank: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, axes: Any = None,
) -> Array:  # fmt: skip
    rank = int(rank)
    return _ranked(lambda n: rank + n if rank < 0 else rank, input, size, footprint, output, mode, cval, origin, axes)


def median_filter(
    input: Array, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0,
    axes: Any = None,
) -> Array:  # fmt: skip
    return _ranked(lambda n: n // 2, input, size, footprint, output, mode, cval, origin, axes)


def percentile_filter(
    input: Array, percentile: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, axes: Any = None,
) -> Array:  # fmt: skip
    part = float(percentile) + (100.0 if percentile < 0 else 0.0)
    return _ranked(
        lambda n: n - 1 if part == 100.0 else int(n * part / 100.0), input, size, footprint, output, mode, cval, origin, axes
    )  # fmt: skip


_CORRELATE1D = _correlating1d(nd.correlate1d)

#: Name -> function.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "correlate": _correlating(nd.correlate),
    "convolve": _correlating(nd.convolve),
    "correlate1d": _CORRELATE1D,
    "convolve1d": _correlating1d(nd.convolve1d),
    "uniform_filter1d": uniform_filter1d,
    "uniform_filter": uniform_filter,
    "gaussian_filter1d": gaussian_filter1d,
    "gaussian_filter": gaussian_filter,
    "prewitt": _differentiating([1, 1, 1]),
    "sobel": _differentiating([1, 2, 1]),
    "laplace": laplace,
    "gaussian_laplace": gaussian_laplace,
    "gaussian_gradient_magnitude": gaussian_gradient_magnitude,
    "minimum_filter": minimum_filter,
    "maximum_filter": maximum_filter,
    "minimum_filter1d": _extremum1d(nd.minimum_filter1d),
    "maximum_filter1d": _extremum1d(nd.maximum_filter1d),
    "rank_filter": rank_filter,
    "median_filter": median_filter,
    "percentile_filter": percentile_filter,
}
