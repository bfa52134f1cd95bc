"""Reductions, scans and statistics on NumPy, with CuPy's dtypes: results are arrays (0-d ones included), float16 adds up in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops.rules import reductions as rules
from cupool.contract.ops.rules import statistics
from cupool.contract.ops.rules.common import normalize_axes
from cupool.contract.ops.rules.reductions import reduction_loop
from cupool.contract.spec import Spec, spec_like

from .casting import assign, cast
from .ops_ufuncs import OPS as UFUNCS

Array = np.ndarray[Any, Any]
#: NumPy, for calls whose arguments only the command knows: its overloads want them literal.
xp: Any = np

_HALF = np.dtype(np.float16)
_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)


def give(value: Any, dtype: Any, out: Array | None) -> Any:
    """`value` as an array of `dtype`, or written into `out`."""
    array = np.asarray(value)
    if out is None:
        return cast(array, dtype, copy=False)
    assign(out, array)
    return out


def _wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return _FLOAT32 if dtype == _HALF or dtype.name == "bfloat16" else dtype


def _axis(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list | np.ndarray) else axis


def _as_specs(value: Any) -> Any:
    return spec_like(value) if isinstance(value, np.ndarray) else value


# -- sums, extrema, truth -------------------------------------------------------------------------------------------


def _summed(name: str) -> Callable[..., Any]:
    function, neutral = (xp.add.reduce, 0) if name.endswith("sum") else (xp.multiply.reduce, 1)

    def run(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        if name.startswith("nan") and a.dtype.kind in "fc":
            a = _without_nan(a, neutral)
            kind = f"{name}_complex" if a.dtype.kind == "c" else name if dtype is None else f"{name}_dtype"
        else:
            kind = name if dtype is None else f"{name}_dtype"
        loop = reduction_loop(kind, a.dtype, None if dtype is None else np.dtype(dtype))
        result = loop.outputs[0]
        if dtype is not None:
            a = cast(a, loop.inputs[0], copy=False)
        if result.kind == "b":
            # In C++, adding booleans is "or", multiplying them is "and".
            value: Any = (xp.logical_or if neutral == 0 else xp.logical_and).reduce(
                a, axis=_axis(axis), keepdims=bool(keepdims)
            )
        else:
            value = function(a, axis=_axis(axis), dtype=_wide(result), keepdims=bool(keepdims))
        return give(value, result, out)

    return run


def _without_nan(a: Array, neutral: int) -> Any:
    if a.dtype.kind != "c":
        return np.where(np.isnan(a), a.dtype.type(neutral), a)
    # As CuPy: each part of a complex number by itself.
    result = a.copy()
    for part in (result.real, result.imag):
        part[np.isnan(part)] = neutral
    return result


def _nothing(a: Array, axis: Any, keepdims: Any) -> Array | None:
    """The result of a reduction without identity whose result has no elements, of `a`'s dtype: that is no error, as it is in NumPy."""
    if a.size:
        return None
    axes = range(a.ndim) if axis is None else normalize_axes(axis, a.ndim)
    shape = tuple(1 if i in axes else n for i, n in enumerate(a.shape) if keepdims or i not in axes)
    return np.empty(shape, a.dtype) if 0 in shape else None


def _extremum(name: str) -> Callable[..., Any]:
    function = {"max": xp.maximum, "min": xp.minimum, "nanmax": xp.fmax, "nanmin": xp.fmin}[name]

    def run(a: Array, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        nothing = _nothing(a, _axis(axis), keepdims)
        if nothing is not None:
            return give(nothing, a.dtype, out)
        return give(function.reduce(a, axis=_axis(axis), keepdims=bool(keepdims)), a.dtype, out)

    return run


def _arg_extremum(name: str) -> Callable[..., Any]:
    function = np.argmax if name.endswith("max") else np.argmin
    method: Any = np.ndarray.argmax if name.endswith("max") else np.ndarray.argmin

    def run(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        if isinstance(axis, tuple | list):
            axis = axis[0]
        nothing = _nothing(a, axis, keepdims)
        if nothing is not None:
            return give(nothing, np.int64 if dtype is None else dtype, out)
        if dtype is None and out is None and not name.startswith("nan"):
            value = method(a, axis=axis, keepdims=bool(keepdims))
            return value if isinstance(value, np.ndarray) else np.asarray(value)
        absent = None
        if name.startswith("nan") and a.dtype.kind in "fc":
            nan = np.isnan(a)
            absent = nan.all(axis=axis, keepdims=bool(keepdims))
            a = np.where(nan, a.dtype.type(-np.inf if name == "nanargmax" else np.inf), a)
        value = np.asarray(function(a, axis=axis, keepdims=bool(keepdims)))
        if absent is not None and np.any(absent):
            value = np.where(absent, -1, value)
        return give(value, np.int64 if dtype is None else dtype, out)

    return run


def _truth(function: Any) -> Callable[..., Any]:
    def run(a: Array, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        return give(function.reduce(a, axis=_axis(axis), keepdims=bool(keepdims)), np.bool_, out)

    return run


def ptp(a: Array, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    axis = _axis(axis)
    nothing = _nothing(a, axis, keepdims)
    if nothing is not None:
        return give(nothing, a.dtype, out)
    high, low = (f.reduce(a, axis=axis, keepdims=bool(keepdims)) for f in (xp.maximum, xp.minimum))
    return give(np.subtract(high, low), a.dtype, out)


# -- means ----------------------------------------------------------------------------------------------------------


def mean(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    if dtype is None:
        result = _FLOAT64 if a.dtype.kind in "biu" else a.dtype
    else:
        result = rules.mean(spec_like(a), axis, dtype, None, keepdims).dtype
    compute = _FLOAT64 if result.kind in "biu" else result
    if a.dtype.kind == "c" and compute.kind == "f":
        a = a.real
    total = xp.add.reduce(a, axis=_axis(axis), dtype=_wide(compute), keepdims=bool(keepdims))
    return give(_over_count(total, a.size // max(np.size(total), 1)), result, out)


def _over_count(total: Any, count: int) -> Any:
    """`total / count` in total's dtype."""
    return np.true_divide(total, np.asarray(count, _real(np.asarray(total).dtype)))


def nanmean(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    if a.dtype.kind in "biu":
        return mean(a, axis, dtype, out, keepdims)
    spec = rules.nanmean(spec_like(a), axis, dtype, None, keepdims)
    if a.dtype.kind == "c" and spec.dtype.kind == "f":
        a = a.real
    nan = np.isnan(a)
    axis = _axis(axis)
    total = xp.add.reduce(
        np.where(nan, a.dtype.type(0), a), axis=axis, dtype=_wide(spec.dtype), keepdims=bool(keepdims)
    )
    return give(
        total / xp.add.reduce(~nan, axis=axis, dtype=_real(_wide(spec.dtype)), keepdims=bool(keepdims)), spec.dtype, out
    )


def _real(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(dtype.char.lower()) if dtype.kind == "c" else dtype


def var(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    result = rules.variance_dtype(a.dtype, dtype)
    axis = _axis(axis)
    compute = _FLOAT64 if a.dtype.kind in "biu" else np.result_type(_wide(a.dtype), _wide(result))
    total = xp.add.reduce(a, axis=axis, dtype=compute, keepdims=True)
    items = a.size // max(total.size, 1)
    center = _over_count(total, items)
    if a.dtype.char == "e" and result.char == "e":
        center = np.asarray(center).astype(
            a.dtype
        )  # as a GPU's steps: mean, difference and square are half precision, the sum is not
    x: Any = np.subtract(a, center)
    square = x.real * x.real + x.imag * x.imag if x.dtype.kind == "c" else x * x
    value = xp.add.reduce(
        square, axis=axis, dtype=np.result_type(square.dtype, _wide(square.dtype)), keepdims=bool(keepdims)
    )
    # As CuPy: no degrees of freedom give NaN, never infinity.
    value = np.true_divide(value, np.asarray(max(items - ddof, 0), square.dtype)) if items > ddof else value * np.nan
    return give(value, result, out)


def std(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    return UFUNCS["sqrt"](var(a, axis, dtype, None, ddof, keepdims), out=out, dtype=dtype)


def nanvar(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    if a.dtype.kind in "biu":
        return var(a, axis, dtype, out, ddof, keepdims)
    axis = _axis(axis)
    result = _real(a.dtype)
    work = a.astype(_wide(a.dtype), copy=False)
    valid = ~np.isnan(work)
    count = valid.sum(axis=axis, keepdims=True)
    center = np.where(valid, work, 0).sum(axis=axis, keepdims=True) / count.astype(_real(work.dtype))
    square = np.where(valid, np.abs(work - center) ** 2, 0) / xp.maximum(count - ddof, 0).astype(_real(work.dtype))
    return give(square.sum(axis=axis, keepdims=bool(keepdims)), result, out)


def nanstd(a: Array, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    return UFUNCS["sqrt"](nanvar(a, axis, dtype, None, ddof, keepdims), out=out, dtype=dtype)


def average(a: Array, axis: Any = None, weights: Any = None, returned: Any = False, *, keepdims: Any = False) -> Any:
    specs = rules.average(spec_like(a), axis, _as_specs(weights), True, keepdims=keepdims)
    if weights is None:
        avg = mean(a, axis, None, None, keepdims)
        return (avg, np.full(avg.shape, a.size / max(avg.size, 1)).astype(avg.dtype)) if returned else avg
    value, total = xp.average(a, axis=axis, weights=weights, returned=True, keepdims=bool(keepdims))
    made = tuple(cast(np.asarray(x), s.dtype, copy=False) for x, s in zip((value, total), specs, strict=True))
    return (made[0], np.broadcast_to(made[1], specs[1].shape).copy()) if returned else made[0]


def median(a: Array, axis: Any = None, out: Any = None, overwrite_input: Any = False, keepdims: Any = False) -> Any:
    dtype = reduction_loop("mean", a.dtype, None).outputs[0]
    return give(np.median(a, axis=_axis(axis), keepdims=bool(keepdims)), dtype, out)


def nanmedian(a: Array, axis: Any = None, out: Any = None, overwrite_input: Any = False, keepdims: Any = False) -> Any:
    if a.dtype.kind not in "fc":
        return median(a, axis, out, overwrite_input, keepdims)
    return give(np.nanmedian(a, axis=_axis(axis), keepdims=bool(keepdims)), a.dtype, out)


_ALPHA_BETA = {
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}


def _quantile(name: str) -> Callable[..., Any]:
    rule = rules.quantile(name)

    def run(
        a: Array, q: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False, method: str = "linear",
        keepdims: Any = False, *, interpolation: Any = None,
    ) -> Any:  # fmt: skip
        method = interpolation or method
        axis = _axis(axis)
        spec: Spec = rule(spec_like(a), _as_specs(q), axis, None, False, method, keepdims)
        # In the dtype of `q`, as CuPy and NumPy have it: 0.29 of 101 numbers is the 29th in float32 and just below it in float64.
        points = np.asarray(q) / (100 if name == "percentile" else 1)
        if not (np.count_nonzero(points >= 0) and np.count_nonzero(points <= 1)):
            raise ValueError(
                "Percentiles must be in the range [0, 100]"
                if name == "percentile"
                else "Quantiles must be in the range [0, 1]"
            )
        axes = normalize_axes(axis, a.ndim)
        kept = [i for i in range(a.ndim) if i not in axes]
        # NaN sorts last and is a value like others, as CuPy has it; NumPy would give NaN.
        values = np.sort(a.transpose(*kept, *axes).reshape(*(a.shape[i] for i in kept), -1), axis=-1)
        result = _interpolate(values, points.reshape(-1), method, spec.dtype)
        return give(np.moveaxis(result, -1, 0).reshape(spec.shape), spec.dtype, out)

    return run


def _interpolate(values: Array, q: Array, method: str, dtype: np.dtype[Any]) -> Any:
    n = values.shape[-1]
    if q.dtype == np.float16 and n > np.finfo(np.float16).max:
        q = q.astype(np.float32)
    index = q * (n - 1.0)
    whole: Any = {"lower": np.floor, "higher": np.ceil, "nearest": np.round}.get(method)
    if whole is not None:
        return values[..., whole(index).astype(np.intp)]
    if method == "inverted_cdf":
        return values[..., np.clip(np.ceil(q * n).astype(np.intp) - 1, 0, n - 1)]
    if method == "midpoint":
        index = 0.5 * (np.floor(index) + np.ceil(index))
    elif method in _ALPHA_BETA:
        alpha, beta = _ALPHA_BETA[method]
        index = np.clip(q * (n - alpha - beta + 1) + alpha - 1, 0, n - 1)
    below = np.floor(index).astype(np.intp)
    weight = (index - below).astype(dtype)
    low, high = values[..., below], values[..., xp.minimum(below + 1, n - 1)]
    if values.dtype.kind in "biu":
        low, high = low.astype(dtype), high.astype(dtype)
    # The difference is rounded as the values are, as CuPy's kernel does it.
    step = (high - low).astype(dtype)
    low, high = low.astype(dtype), high.astype(dtype)
    return np.where(weight < 0.5, low + step * weight, high - step * (1 - weight))


# -- scans, differences ---------------------------------------------------------------------------------------------


def _scanned(name: str) -> Callable[..., Any]:
    function = xp.add.accumulate if name.endswith("sum") else xp.multiply.accumulate
    neutral = 0 if name.endswith("sum") else 1

    def run(a: Array, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        if name.startswith("nan"):
            a = np.where(np.isnan(a), a.dtype.type(neutral), a) if a.dtype.kind in "fc" else a
        wanted = out.dtype if out is not None else rules.scan_dtype(a.dtype, dtype)
        values = cast(a, wanted, copy=False)
        result = function(
            values.reshape(-1) if axis is None else values, axis=0 if axis is None else axis, dtype=wanted
        )
        if out is None:
            return result
        assign(out, result.reshape(out.shape))
        return out

    return run


def _cumulative(name: str, neutral: int) -> Callable[..., Any]:
    scan = _scanned(name)

    def run(x: Array, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: Any = False) -> Any:
        x = np.atleast_1d(x)
        axis = 0 if axis is None else axis
        result = scan(x, axis, dtype if out is None else out.dtype)
        if include_initial:
            start = np.full((*x.shape[:axis], 1, *x.shape[axis:][1:]), neutral, result.dtype)
            result = np.concatenate([start, result], axis=axis)
        return result if out is None else give(result, out.dtype, out)

    return run


def diff(a: Array, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    extra = {k: v for k, v in (("prepend", prepend), ("append", append)) if v is not None}
    return np.diff(a, n, axis, **extra)


def gradient(f: Array, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    # The rule wants K-ordered results of float dtype.
    result = xp.gradient(f, *varargs, axis=_axis(axis), edge_order=edge_order)
    dtype = f.dtype if f.dtype.kind in "fc" else np.dtype(np.float64)
    if isinstance(result, tuple | list):
        return tuple(r.astype(dtype, copy=False) for r in result)
    return result.astype(dtype, copy=False)


def trapezoid(y: Array, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    spec = rules.trapezoid(spec_like(y), _as_specs(x), _as_specs(dx), axis)
    return give(np.trapezoid(y, x, dx, axis), spec.dtype, None)


# -- correlation, histograms ----------------------------------------------------------------------------------------


def cov(
    a: Array, y: Any = None, rowvar: Any = True, bias: Any = False, ddof: Any = None, fweights: Any = None, aweights: Any = None, *,
    dtype: Any = None,
) -> Any:  # fmt: skip
    spec = statistics.cov(*map(_as_specs, (a, y, rowvar, bias, ddof, fweights, aweights)), dtype=dtype)
    if spec.size == 0:
        return np.zeros(spec.shape, spec.dtype)
    return give(np.cov(a, y, bool(rowvar), bool(bias), ddof, fweights, aweights, dtype=dtype), spec.dtype, None)


def corrcoef(
    a: Array, y: Any = None, rowvar: Any = True, bias: Any = None, ddof: Any = None, *, dtype: Any = None
) -> Any:
    spec = statistics.corrcoef(_as_specs(a), _as_specs(y), rowvar, dtype=dtype)
    return give(np.corrcoef(a, y, bool(rowvar), dtype=dtype), spec.dtype, None)


def correlate(a: Array, v: Array, mode: str = "valid") -> Any:
    return xp.correlate(a, v, mode)


def convolve(a: Array, v: Array, mode: str = "full") -> Any:
    return xp.convolve(a.ravel(), v.ravel(), mode)


def histogram(
    x: Array, bins: Any = 10, range: Any = None, density: Any = False, weights: Any = None
) -> tuple[Array, Array]:
    specs = statistics.histogram(spec_like(x), _as_specs(bins), range, density, _as_specs(weights))
    if x.dtype.kind == "b":
        x = x.astype(np.uint8)
    if weights is not None and weights.dtype.kind == "f":
        weights = weights.astype(np.float64, copy=False)
    made = np.histogram(x, bins, range, bool(density), weights)
    counts, edges = (cast(v, s.dtype, copy=False) for v, s in zip(made, specs, strict=True))
    return counts, edges.copy() if edges is bins else edges


def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: Any = False
) -> tuple[Array, ...]:
    specs = statistics.histogramdd(_deep_specs(sample), _deep_specs(bins), range, _as_specs(weights), density)
    data = sample if isinstance(sample, np.ndarray) else np.stack(list(sample), axis=-1)
    counts, edges = np.histogramdd(data, bins, range, bool(density), weights)
    return tuple(cast(np.asarray(v), s.dtype) for v, s in zip((counts, *edges), specs, strict=True))


def _deep_specs(value: Any) -> Any:
    return type(value)(_as_specs(v) for v in value) if isinstance(value, list | tuple) else _as_specs(value)


def histogram2d(
    x: Array,
    y: Array,
    bins: Any = 10,
    range: Any = None,
    weights: Any = None,
    density: Any = None,
) -> tuple[Array, ...]:
    if isinstance(bins, np.ndarray) and bins.ndim == 1 and bins.size not in (1, 2):
        bins = [bins, bins]
    return histogramdd([x, y], bins, range, weights, density)


def bincount(x: Array, weights: Any = None, minlength: Any = None) -> Any:
    if x.size == 0:
        return np.zeros(int(minlength or 0), np.int64)
    return np.bincount(x.astype(np.int64, copy=False), weights, int(minlength or 0))


def digitize(x: Array, bins: Array, right: Any = False) -> Any:
    return np.asarray(np.digitize(x, bins, bool(right)))


def interp(x: Array, xp: Array, fp: Array, left: Any = None, right: Any = None, period: Any = None) -> Any:
    return np.asarray(np.interp(x, xp, fp, left, right, period))


OPS: dict[str, Callable[..., Any]] = {
    **{name: _summed(name) for name in ("sum", "prod", "nansum", "nanprod")},
    **{name: _extremum(name) for name in ("max", "min", "nanmax", "nanmin")},
    **{name: _arg_extremum(name) for name in ("argmax", "argmin", "nanargmax", "nanargmin")},
    **{name: _scanned(name) for name in ("cumsum", "cumprod", "nancumsum", "nancumprod")},
    **{name: _quantile(name) for name in ("percentile", "quantile")},
    "all": _truth(xp.logical_and),
    "any": _truth(xp.logical_or),
    "average": average,
    "bincount": bincount,
    "convolve": convolve,
    "corrcoef": corrcoef,
    "correlate": correlate,
    "count_nonzero": lambda a, axis=None: np.asarray(np.count_nonzero(a, axis=_axis(axis))),
    "cov": cov,
    "cumulative_prod": _cumulative("cumprod", 1),
    "cumulative_sum": _cumulative("cumsum", 0),
    "diff": diff,
    "digitize": digitize,
    "ediff1d": lambda arr, to_end=None, to_begin=None: np.ediff1d(arr, to_end, to_begin),
    "gradient": gradient,
    "histogram": histogram,
    "histogram2d": histogram2d,
    "histogramdd": histogramdd,
    "interp": interp,
    "mean": mean,
    "median": median,
    "nanmean": nanmean,
    "nanmedian": nanmedian,
    "nanstd": nanstd,
    "nanvar": nanvar,
    "ptp": ptp,
    "std": std,
    "trapezoid": trapezoid,
    "var": var,
}
