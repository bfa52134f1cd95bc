"""Correlation, histograms, counts and interpolation: results whose size comes from bins, modes or other arrays, not from axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops._row import UNKNOWN
from cupool.contract.ops.rules.common import (
    COMPLEX128,
    FLOAT64,
    INT64,
    promote,
    require_array,
    rule,
)
from cupool.contract.spec import Spec, spec_of


@rule("cov")
def cov(
    a: Any, y: Any = None, rowvar: Any = True, bias: Any = False, ddof: Any = None, fweights: Any = None, aweights: Any = None, *,
    dtype: Any = None,
) -> Any:  # fmt: skip
    """Covariance of rows (or columns)."""
    if ddof is not None and ddof != int(ddof):
        raise ValueError("ddof must be integer")
    a = require_array(a)
    if a.ndim > 2:
        raise ValueError("Input must be <= 2-d")
    wanted = [a.dtype, FLOAT64]
    if y is not None:
        y = require_array(y, "y")
        if y.ndim > 2:
            raise ValueError("y must be <= 2-d")
        wanted.append(y.dtype)
    dtype = np.result_type(*wanted) if dtype is None else np.dtype(dtype)
    rows, columns = _observations(a, rowvar, a.ndim != 1)
    if rows == 0:
        return spec_of((0, 0), FLOAT64)
    if y is not None:
        more, again = _observations(y, rowvar, (y.shape[0] if y.ndim == 2 else 1) != 1)
        if again != columns:
            raise ValueError("all the input array dimensions except for the concatenation axis must match exactly")
        rows += more
    if dtype.kind not in "fc":
        raise TypeError(f"Cannot cast the means, which are {FLOAT64}, to {dtype} with casting rule 'same_kind'")
    for name, weights in (("fweights", fweights), ("aweights", aweights)):
        if weights is None:
            continue
        if not isinstance(weights, Spec):
            raise TypeError(f"{name} must be a cupy.ndarray")
        if name == "fweights" and weights.dtype.kind not in "iu":
            raise TypeError("fweights must be integer")
        if weights.ndim > 1:
            raise RuntimeError(f"cannot handle multidimensional {name}")
        if weights.shape[0] != columns:
            raise RuntimeError(f"incompatible numbers of samples and {name}")
        dtype = np.result_type(dtype, FLOAT64)
    return spec_of(() if rows == 1 else (rows, rows), dtype)


def _observations(a: Spec, rowvar: Any, transpose: bool) -> tuple[int, int]:
    rows, columns = a.shape if a.ndim == 2 else (1, a.size)
    return (columns, rows) if not rowvar and transpose else (rows, columns)


@rule("corrcoef")
def corrcoef(
    a: Any, y: Any = None, rowvar: Any = True, bias: Any = None, ddof: Any = None, *, dtype: Any = None
) -> Any:
    """As cov, normalised."""
    return cov(a, y, rowvar, dtype=dtype)


def convolved(name: str) -> Any:
    """convolve, correlate."""

    @rule(f"convolved:{name}")
    def infer(a: Any, v: Any, mode: str = "full" if name == "convolve" else "valid") -> Any:
        a, v = require_array(a), require_array(v, "v")
        if name == "convolve":
            for each, label in ((a, "a"), (v, "v")):
                if each.size == 0:
                    raise ValueError(f"{label} cannot be empty")
            if v.ndim > 1:
                raise ValueError("v cannot be multidimensional array")
        else:
            if a.size == 0 or v.size == 0:
                raise ValueError("Array arguments cannot be empty")
            if a.ndim != 1 or v.ndim != 1:
                raise ValueError("object too deep for desired array")
        long, short = max(a.size, v.size), min(a.size, v.size)
        sizes = {"full": long + short - 1, "same": long, "valid": long - short + 1}
        if mode not in sizes:
            raise ValueError("acceptable mode flags are `valid`, `same`, or `full`.")
        return spec_of((sizes[mode],), promote(a, v))

    return infer


@rule("histogram")
def histogram(x: Any, bins: Any = 10, range: Any = None, density: Any = False, weights: Any = None) -> Any:
    """Counts and edges. With a number of bins and no range the edges' dtype follows the data's."""
    x = require_array(x, "x")
    if x.dtype.kind == "c":
        raise NotImplementedError("complex number is not supported")
    if weights is not None:
        if not isinstance(weights, Spec):
            raise ValueError("weights must be a cupy.ndarray")
        if weights.shape != x.shape:
            raise ValueError("weights should have the same shape as a.")
    if isinstance(bins, str):
        raise NotImplementedError("only integer and array bins are implemented")
    edges = _edges(x, bins, range)
    kind = "i" if weights is None else weights.dtype.kind
    counts: np.dtype[Any] = {"c": COMPLEX128, "f": FLOAT64}.get(kind, INT64)
    if density:
        counts = np.result_type(counts, FLOAT64)
    return spec_of((edges.size - 1,), counts), edges


def _edges(x: Spec, bins: Any, limits: Any) -> Spec:
    if isinstance(bins, Spec):
        if bins.ndim != 1:
            raise ValueError("`bins` must be 1d, when an array")
        return spec_of(bins.shape, bins.dtype)
    if np.ndim(bins) == 1:
        edges = np.asarray(bins)
        if (edges[:-1] > edges[1:]).any():
            raise ValueError("`bins` must increase monotonically, when an array")
        return spec_of(edges.shape, edges.dtype)
    if np.ndim(bins):
        raise ValueError("`bins` must be 1d, when an array")
    try:
        n = bins.__index__()
    except AttributeError:
        raise TypeError("`bins` must be an integer, a string, or an array") from None
    if n < 1:
        raise ValueError("`bins` must be positive, when an integer")
    dtype = np.dtype(np.uint8) if x.dtype.kind == "b" else x.dtype
    if limits is not None:
        first, last = limits
        if first > last:
            raise ValueError("max must be larger than min in range parameter.")
        if not (np.isfinite(first) and np.isfinite(last)):
            raise ValueError(f"supplied range of [{first}, {last}] is not finite")
        dtype = np.result_type(first, last, dtype)
    if dtype.kind in "iu":
        dtype = np.result_type(dtype, FLOAT64)
    return spec_of((n + 1,), dtype)


@rule("histogramdd")
def histogramdd(sample: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: Any = False) -> Any:
    """Counts as float64, then the edges of each dimension, flat."""
    if isinstance(sample, Spec):
        shape = sample.shape if sample.ndim != 1 else (sample.size, 1)
        if len(shape) != 2:
            raise ValueError("sample must be of one or two dimensions")
        columns = [sample.dtype] * shape[1]
        n = shape[0]
    else:
        columns = [require_array(column, "sample").dtype for column in sample]
        columns = [np.result_type(*columns)] * len(columns)
        n = sample[0].size
    if weights is not None and require_array(weights, "weights").size != n:
        raise ValueError("The weights and list don't have the same length.")
    each = list(bins) if isinstance(bins, list | tuple) else [bins] * len(columns)
    if isinstance(bins, Spec) and (bins.ndim == 0 or bins.shape[0] != len(columns)):
        raise ValueError("The dimension of bins must be equal to the dimension of the  sample x.")
    if len(each) != len(columns):
        raise ValueError("The dimension of bins must be equal to the dimension of the  sample x.")
    limits = [None] * len(columns) if range is None else list(range)
    if len(limits) != len(columns):
        raise ValueError("range argument must have one entry per dimension")
    edges = [
        _dd_edges(i, b, limit, dtype) for i, (b, limit, dtype) in enumerate(zip(each, limits, columns, strict=True))
    ]
    return (spec_of(tuple(e.size - 1 for e in edges), FLOAT64), *edges)


def _dd_edges(i: int, bins: Any, limit: Any, dtype: np.dtype[Any]) -> Spec:
    if isinstance(bins, Spec):
        if bins.ndim != 1:
            raise ValueError(f"`bins[{i}]` must be a scalar or 1d array")
        return bins
    if np.ndim(bins):
        raise ValueError("array-like bins not supported")
    if bins < 1:
        raise ValueError(f"`bins[{i}]` must be positive, when an integer")
    # linspace of the outer edges: floating point as the data, or float64.
    wanted = dtype if dtype.kind == "f" and limit is None else FLOAT64
    return spec_of((int(bins) + 1,), wanted)


@rule("histogram2d")
def histogram2d(x: Any, y: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: Any = None) -> Any:
    """Counts and the edges of both dimensions."""
    if isinstance(bins, Spec):
        if bins.ndim == 1 and bins.shape[0] not in (1, 2):
            bins = [bins, bins]
    elif isinstance(bins, list | tuple) and len(bins) not in (1, 2):
        raise ValueError("array-like bins not supported in CuPy")
    return histogramdd([x, y], bins, range, weights, density)


@rule("bincount")
def bincount(x: Any, weights: Any = None, minlength: Any = None) -> Any:
    """Counts of non-negative integers: as long as the largest says."""
    x = require_array(x, "x")
    if x.ndim != 1:
        raise ValueError(
            "object too deep for desired array" if x.ndim > 1 else "object of too small depth for desired array"
        )
    if x.dtype.kind == "f":
        raise TypeError("x must be int array")
    if weights is not None and x.shape != require_array(weights, "weights").shape:
        raise ValueError("The weights and list don't have the same length.")
    if minlength is not None and int(minlength) < 0:
        raise ValueError("minlength must be non-negative")
    if x.size == 0:
        return spec_of((int(minlength or 0),), INT64)
    return UNKNOWN


@rule("interp")
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Piecewise linear: complex128 for complex values, float64 otherwise."""
    x, xp, fp = require_array(x, "x"), require_array(xp, "xp"), require_array(fp, "fp")
    if xp.ndim != 1 or fp.ndim != 1:
        raise ValueError("xp and fp must be 1D arrays")
    if xp.size != fp.size:
        raise ValueError("fp and xp are not of the same length")
    if xp.size == 0:
        raise ValueError("array of sample points is empty")
    if x.dtype.kind == "c" or xp.dtype.kind == "c":
        raise TypeError("Cannot cast complex sample points to real")
    return spec_of(x.shape, np.complex128 if fp.dtype.kind == "c" else FLOAT64)
