"""Reductions, order statistics, scans and differences: what is left after axes are gone. Results are C-ordered; the smallest is a
0-d array."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np

from cupool.contract.ops._loops import REDUCTIONS
from cupool.contract.ops._row import Same
from cupool.contract.ops.rules.common import (
    FLOAT64,
    INT64,
    AxisError,
    checked_out,
    dtype_of,
    normalize_axes,
    normalize_axis,
    reduced_shape,
    require_array,
    rule,
)
from cupool.contract.ops.rules.elementwise import Loop, apply, has_bfloat16, parse
from cupool.contract.spec import Spec, spec_of

#: Reductions that CuPy does not expose to be recorded.
_UNRECORDED = {
    "argmax": " ".join(f"{d}->{r}" for r in "lihb" for d in "?BhHiIlL") + " e->l f->l d->l F->l D->l",
    "nanargmax": "?->l B->l h->l H->l i->l I->l l->l L->l e->l f->l d->l F->l D->l",
    "mean": "?->d B->d h->d H->d i->d I->d l->d L->d E->E e->e f->f d->d F->F D->D",
    "nanmean": "e->e E->E f->f d->d F->F D->D",
}
_UNRECORDED["argmin"], _UNRECORDED["nanargmin"] = _UNRECORDED["argmax"], _UNRECORDED["nanargmax"]


@cache
def _loops(name: str, with_bfloat16: bool) -> tuple[Loop, ...]:
    return parse(_UNRECORDED.get(name) or REDUCTIONS[name][2], "")


@lru_cache(maxsize=2048)
def reduction_loop(name: str, source: np.dtype[Any], dtype: np.dtype[Any] | None) -> Loop:
    """The loop of a reduction for an input dtype, or for `dtype=`. Raises TypeError with CuPy's text."""
    for loop in _loops(name, has_bfloat16()):
        if loop.outputs[0] == dtype if dtype is not None else np.can_cast(source, loop.inputs[0]):
            return loop
    label = f"({source!r},)" if dtype is None else dtype
    raise TypeError(f"Wrong type ({label}) of arguments for cupy_{name.partition('_')[0]}")


def reduce(
    name: str,
    a: Any,
    axis: Any,
    dtype: Any,
    out: Any,
    keepdims: Any,
    result: np.dtype[Any] | None = None,
    empty: bool = True,
) -> Spec:
    """The spec of a reduction by the loops of `name`.

    Args:
        name: of the loops.
        a, axis, dtype, out, keepdims: the call's.
        result: dtype of the result when it is not the loop's.
        empty: whether reducing nothing is defined (has an identity).
    """
    a = require_array(a)
    loop = reduction_loop(name, a.dtype, None if dtype is None else np.dtype(dtype))
    axes = normalize_axes(axis, a.ndim)
    shape = reduced_shape(a.shape, axes, bool(keepdims))
    spec = checked_out(out, shape, result if result is not None else loop.outputs[0])
    if not empty and 0 in a.shape and spec.size:
        raise ValueError(f"zero-size array to reduction operation cupy_{name} which has no identity")
    return spec


# -- sums, extrema, truth -------------------------------------------------------------------------------------------


def summed(name: str) -> Any:
    """sum, prod: small integers grow to 64 bits unless `dtype=`. nan-forms keep complex as it is."""

    @rule(f"summed:{name}")
    def infer(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        loops = name if dtype is None else f"{name}_dtype"
        if name.startswith("nan") and isinstance(a, Spec) and a.dtype.kind == "c":
            loops = f"{name}_complex"
        return reduce(loops, a, axis, dtype, out, keepdims)

    return infer


def extremum(name: str) -> Any:
    """min, max and their nan-forms."""

    @rule(f"extremum:{name}")
    def infer(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        return reduce(name, a, axis, None, out, keepdims, empty=False)

    return infer


def arg_extremum(name: str) -> Any:
    """argmin, argmax and their nan-forms."""

    @rule(f"arg_extremum:{name}")
    def infer(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        plain = name.removeprefix("nan") if isinstance(a, Spec) and a.dtype.kind in "biu" else name
        if isinstance(axis, tuple | list) and len(axis) != 1:
            raise TypeError("'axis' of argmin and argmax must be an integer")
        return reduce(plain, a, axis, dtype, out, keepdims, empty=False)

    return infer


def truth(name: str) -> Any:
    """all, any."""

    @rule(f"truth:{name}")
    def infer(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        return reduce(name, a, axis, None, out, keepdims)

    return infer


@rule("counted")
def counted(a: Any, axis: Any = None) -> Any:
    """count_nonzero."""
    return reduce("count_nonzero", a, axis, None, None, False)


@rule("ptp")
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    """Largest minus smallest; booleans have no difference."""
    spec = reduce("max", a, axis, None, out, keepdims, empty=False)
    apply("subtract", (spec, reduce("min", a, axis, None, None, keepdims)), out=spec)
    return spec


# -- means ----------------------------------------------------------------------------------------------------------


@rule("mean")
def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    """Integers become float64 unless `dtype=`."""
    a = require_array(a)
    if dtype is not None and np.dtype(dtype).kind in "iub":
        return reduce("mean", a, axis, FLOAT64, out, keepdims, result=np.dtype(dtype) if out is None else None)
    if dtype is None and a.dtype.char == "e":
        return reduce("mean", a, axis, np.float32, out, keepdims, result=a.dtype)
    return reduce("mean", a, axis, dtype, out, keepdims)


@rule("nanmean")
def nanmean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    """As mean, nans aside."""
    a = require_array(a)
    if a.dtype.kind in "biu":
        return mean(a, axis, dtype, out, keepdims)
    return reduce("nanmean", a, axis, dtype, out, keepdims)


def variance_dtype(source: np.dtype[Any], dtype: Any) -> np.dtype[Any]:
    """What the variance of `source` comes out as."""
    if dtype is not None:
        wanted = np.dtype(dtype)
        # CuPy's kernel for any other dtype computes and returns float64.
        return wanted if wanted.char in "ef" else FLOAT64
    if source.kind in "biu":
        return FLOAT64
    return np.dtype(source.char.lower()) if source.kind == "c" else source


@rule("var")
def var(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    """Variance. With `out=` CuPy returns `out` converted to the wanted dtype; the rule refuses the cases where that is not `out`."""
    a = require_array(a)
    axes = normalize_axes(tuple(axis) if isinstance(axis, list) else axis, a.ndim)
    shape = reduced_shape(a.shape, axes, bool(keepdims))
    return checked_out(out, shape, variance_dtype(a.dtype, dtype))


@rule("std")
def std(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    """The root of the variance, as CuPy takes it: `sqrt(var, dtype=dtype, out=out)`."""
    variance = var(a, axis, dtype, None, ddof, keepdims)
    return apply("sqrt", (variance,), out=out, dtype=dtype)


@rule("nanvar")
def nanvar(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    """Variance, nans aside."""
    a = require_array(a)
    if a.dtype.kind in "biu":
        return var(a, axis, dtype, out, ddof, keepdims)
    shape = reduced_shape(a.shape, normalize_axes(axis, a.ndim), bool(keepdims))
    reduce("nansum_complex" if a.dtype.kind == "c" else "nansum", a, axis, None, None, True)
    if dtype is not None:
        reduction_loop("nansum_complex" if a.dtype.kind == "c" else "nansum_dtype", a.dtype, np.dtype(dtype))
    real = np.dtype(a.dtype.char.lower()) if a.dtype.kind == "c" else a.dtype
    return checked_out(out, shape, real)


@rule("nanstd")
def nanstd(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    """The root of nanvar."""
    a = require_array(a)
    if a.dtype.kind in "biu":
        return std(a, axis, dtype, out, ddof, keepdims)
    return apply("sqrt", (nanvar(a, axis, dtype, None, ddof, keepdims),), out=out, dtype=dtype)


@rule("average")
def average(a: Any, axis: Any = None, weights: Any = None, returned: Any = False, *, keepdims: Any = False) -> Any:
    """Weighted mean; `returned` gives the sum of the weights too."""
    a = require_array(a)
    if weights is None:
        avg = mean(a, axis, None, None, keepdims)
        return (avg, spec_of(avg.shape, avg.dtype)) if returned else avg
    weights = require_array(weights, "weights")
    parts = (a.dtype, weights.dtype, FLOAT64) if a.dtype.kind in "biu" else (a.dtype, weights.dtype)
    dtype = np.result_type(*parts)
    if a.shape != weights.shape:
        if axis is None:
            raise TypeError("Axis must be specified when shapes of a and weights differ.")
        if weights.ndim != 1:
            raise TypeError("1D weights expected when shapes of a and weights differ.")
        if weights.shape[0] != a.shape[normalize_axis(axis, a.ndim)]:
            raise ValueError("Length of weights not compatible with specified axis.")
    shape = reduced_shape(a.shape, normalize_axes(axis, a.ndim), bool(keepdims))
    # multiply(…, dtype=) takes no other dtype than its loops', then sum and a true division.
    total = reduction_loop("sum", dtype, None).outputs[0]
    result = apply("true_divide", (spec_of(shape, total), spec_of(shape, dtype)))
    return (result, spec_of(shape, dtype)) if returned else result


@rule("median")
def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False, keepdims: Any = False) -> Any:
    """The middle, or the mean of the two in the middle."""
    a = require_array(a)
    if axis is not None and not isinstance(axis, tuple | list) and not -a.ndim <= axis < a.ndim:
        raise AxisError("Axis overrun")
    shape = reduced_shape(a.shape, normalize_axes(axis, a.ndim), bool(keepdims))
    loop = reduction_loop("mean", a.dtype, None)
    return checked_out(out, shape, loop.outputs[0])


@rule("nanmedian")
def nanmedian(a: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False, keepdims: Any = False) -> Any:
    """As median, nans aside."""
    a = require_array(a)
    if a.dtype.kind not in "fc":
        return median(a, axis, out, overwrite_input, keepdims)
    shape = reduced_shape(a.shape, normalize_axes(axis, a.ndim), bool(keepdims))
    return checked_out(out, shape, a.dtype)


_METHODS = {
    "inverted_cdf",
    "hazen",
    "weibull",
    "median_unbiased",
    "normal_unbiased",
    "lower",
    "higher",
    "midpoint",
    "nearest",
    "linear",
}


def quantile(name: str) -> Any:
    """percentile (q of 100) and quantile (q of 1). An array `q` is checked on the server, where its values are."""
    top = 100 if name == "percentile" else 1

    @rule(f"quantile:{name}")
    def infer(
        a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False, method: str = "linear",
        keepdims: Any = False, *, interpolation: Any = None,
    ) -> Any:  # fmt: skip
        a = require_array(a)
        if interpolation is not None:
            method = interpolation
        if isinstance(q, Spec):
            q_shape, q_type = q.shape, q.dtype
        else:
            values = np.asarray(q)
            if not (np.count_nonzero(values >= 0) and np.count_nonzero(values <= top)):
                what = (
                    "Percentiles must be in the range [0, 100]"
                    if top == 100
                    else "Quantiles must be in the range [0, 1]"
                )
                raise ValueError(what)
            q_shape, q_type = values.shape, values.dtype
        if top == 100:
            q_type = np.result_type(q_type, FLOAT64) if q_type.kind in "biu" else q_type
        if len(q_shape) > 1:
            raise ValueError(f"Expected q to have a dimension of 1.\nActual: {len(q_shape)} != 1")
        if method in ("averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf"):
            raise ValueError(f"'{method}' method is not yet supported. Please use any other method.")
        if method not in _METHODS:
            raise ValueError(f"Unexpected interpolation method.\nActual: '{method}' not in {sorted(_METHODS)}")
        scalar = not isinstance(q, Spec) and isinstance(q, int | float) and not isinstance(q, np.generic)
        # A Python scalar is weak; that of percentile has been divided by 100.
        weak: Any = q_type if not scalar else 0.0 if top == 100 or isinstance(q, float) else 0
        dtype = a.dtype if method in ("lower", "higher", "nearest", "inverted_cdf") else np.result_type(a.dtype, weak)
        shape = q_shape + reduced_shape(a.shape, normalize_axes(axis, a.ndim), bool(keepdims))
        if a.dtype.kind == "c":
            raise TypeError("a must be an array of real numbers")
        return checked_out(out, shape, dtype)

    return infer


# -- scans ----------------------------------------------------------------------------------------------------------


def scan_dtype(source: np.dtype[Any], dtype: Any) -> np.dtype[Any]:
    if dtype is not None:
        wanted: np.dtype[Any] = np.dtype(dtype)
        return wanted
    if source.kind in "biu":
        return np.dtype(np.uint64) if source.kind == "u" else INT64
    return source


@rule("scanned")
def scanned(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """cumsum, cumprod and their nan-forms: without an axis the result is flat."""
    a = require_array(a)
    shape = (a.size,) if axis is None else a.shape
    wanted = scan_dtype(a.dtype, dtype)
    reduction_loop("sum_dtype", wanted, wanted)
    if axis is not None:
        normalize_axis(axis, a.ndim)
    if out is None:
        return spec_of(shape, wanted)
    if not isinstance(out, Spec):
        raise TypeError("Output arguments type must be cupy.ndarray")
    if out.size != a.size or (axis is not None and out.shape != a.shape):
        raise ValueError("Out shape is mismatched")
    return out


@rule("cumulative")
def cumulative(x: Any, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: Any = False) -> Any:
    """cumulative_sum, cumulative_prod: an axis is required beyond one dimension."""
    if not isinstance(x, Spec):
        raise TypeError("`x` should be of type cupy.ndarray")
    shape = list(x.shape or (1,))
    if axis is None:
        if x.ndim >= 2:
            raise ValueError("For arrays which have more than one dimension ``axis`` argument is required.")
        axis = 0
    axis = normalize_axis(axis, len(shape))
    if include_initial:
        shape[axis] += 1
    expected = tuple(shape)
    if out is not None and out.shape != expected:
        raise ValueError(f"out.shape {out.shape} does not match expected shape {expected}")
    return out if out is not None else spec_of(expected, scan_dtype(x.dtype, dtype))


@rule("diff")
def diff(a: Any, n: Any = 1, axis: Any = -1, prepend: Any = None, append: Any = None) -> Any:
    """n-th difference along an axis."""
    a = require_array(a)
    if n == 0:
        return Same("a")
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    axis = normalize_axis(axis, a.ndim)
    length, dtype = a.shape[axis], a.dtype
    for extra in (prepend, append):
        if extra is None:
            continue
        dtype = np.result_type(dtype, dtype_of(extra))
        if isinstance(extra, Spec) and extra.ndim:
            if extra.ndim != a.ndim:
                raise ValueError("all the input array dimensions except for the concatenation axis must match exactly")
            length += extra.shape[axis]
        else:
            length += 1
    if dtype.kind != "b":
        apply("subtract", (spec_of((), dtype), spec_of((), dtype)))
    shape = (*a.shape[:axis], max(length - n, 0), *a.shape[axis + 1 :])
    return spec_of(shape, dtype)


@rule("ediff1d")
def ediff1d(arr: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Differences of the flat array, with ends."""
    if not isinstance(arr, Spec):
        raise TypeError("`arr` should be of type cupy.ndarray")
    length = max(arr.size - 1, 0)
    for name, extra in (("to_begin", to_begin), ("to_end", to_end)):
        if extra is None:
            continue
        if not isinstance(extra, Spec):
            raise TypeError(f"`{name}` should be of type cupy.ndarray")
        if not np.can_cast(extra.dtype, arr.dtype, "same_kind"):
            raise TypeError(f"dtype of `{name}` must be compatible with input `arr` under the `same_kind` rule.")
        length += extra.size
    apply("subtract", (spec_of((), arr.dtype), spec_of((), arr.dtype)))
    return spec_of((length,), arr.dtype)


@rule("gradient")
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: Any = 1) -> Any:
    """One array per axis; a single one bare."""
    f = require_array(f, "f")
    if f.dtype.kind == "b":
        raise TypeError("the gradient of booleans is not defined: they have no difference")
    axes = (
        tuple(range(f.ndim)) if axis is None
        else tuple(normalize_axis(i, f.ndim) for i in (axis if isinstance(axis, tuple | list) else (axis,)))
    )  # fmt: skip
    n = len(varargs)
    if n not in (0, len(axes)) and not (n == 1 and (not isinstance(varargs[0], Spec) or varargs[0].ndim == 0)):
        raise TypeError("invalid number of arguments")
    for i, distances in enumerate(varargs):
        if isinstance(distances, Spec) and distances.ndim:
            if distances.ndim != 1:
                raise ValueError("distances must be either scalars or 1d")
            if distances.shape[0] != f.shape[axes[i]]:
                raise ValueError("when 1d, distances must match the length of the corresponding dimension")
    if edge_order > 2:
        raise ValueError("'edge_order' greater than 2 not supported")
    for i in axes:
        if f.shape[i] < edge_order + 1:
            raise ValueError(
                "Shape of array too small to calculate a numerical gradient, "
                "at least (edge_order + 1) elements are required."
            )
    from cupool.contract.ops.rules.common import layout

    one = layout(f, "K", f.dtype if f.dtype.kind in "fc" else FLOAT64)
    return one if len(axes) == 1 else (one,) * len(axes)


@rule("trapezoid")
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    """Integral along an axis."""
    if not isinstance(y, Spec):
        raise TypeError("`y` should be of type cupy.ndarray")
    axis = normalize_axis(axis, y.ndim)
    shape = list(y.shape)
    shape[axis] = max(shape[axis] - 1, 0)
    inner = spec_of(tuple(shape), y.dtype)
    d: Any = dx
    if x is not None:
        if not isinstance(x, Spec):
            raise TypeError("`x` should be of type cupy.ndarray")
        if x.ndim == 1:
            d_shape = [1] * y.ndim
            d_shape[axis] = max(x.shape[0] - 1, 0)
            d = spec_of(tuple(d_shape), diff(x).dtype)
        else:
            d = diff(x, axis=axis)
    product = apply("true_divide", (apply("multiply", (d, apply("add", (inner, inner)))), 2.0))
    return reduce("sum", product, axis, None, None, False)
