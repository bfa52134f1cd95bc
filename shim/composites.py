"""Functions of `cupy` whose results are not just a row's arrays: Python floats, named tuples, lists; and names that warn.

They replace the generated functions of the same names in the namespace (`__all__` says which). Each has the row's signature.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from cupool.contract.records import NamedTuple

from . import dispatch
from ._generated import functions
from .convert import asarray


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    """As `cupy.linspace`. With `retstep` the step of scalar limits is a Python float."""
    start, stop = (x if np.isscalar(x) else asarray(x) for x in (start, stop))
    if not retstep:
        return functions.linspace(start, stop, num, endpoint, False, dtype, axis)
    if isinstance(start, dispatch.ndarray) or isinstance(stop, dispatch.ndarray):
        return functions.linspace(start, stop, num, endpoint, True, dtype, axis)
    result = functions.linspace(start, stop, num, endpoint, False, dtype, axis)
    div = num - 1 if endpoint else num
    return result, float(stop - start) / div if div > 0 else float("nan")


def meshgrid(*xi: Any, **kwargs: Any) -> Any:
    """As `cupy.meshgrid`. Without `copy` the results are views of the arguments."""
    if len(xi) > 1 and kwargs.get("copy", True):
        return functions.meshgrid(*xi, **kwargs)
    options = dict(kwargs)
    indexing, sparse = options.pop("indexing", "xy"), bool(options.pop("sparse", False))
    options.pop("copy", None)
    if options:
        raise TypeError(f"meshgrid() got an unexpected keyword argument '{next(iter(options))}'")
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    for x in xi:
        if x.ndim != 1:
            raise ValueError("input has to be 1d")
        if not isinstance(x, dispatch.ndarray):
            raise ValueError("input has to be cupy.ndarray")
    if len(xi) <= 1:
        return tuple(xi)
    places = list(range(len(xi)))
    if indexing == "xy":
        places[0], places[1] = 1, 0
    thin = [
        x[tuple(slice(None) if i == place else None for i in range(len(xi)))]
        for x, place in zip(xi, places, strict=True)
    ]
    return tuple(thin if sparse else functions.broadcast_arrays(*thin))


def matmul(
    x1: Any, x2: Any, /, out: Any = None, *, axes: Any = None, axis: Any = None, keepdims: bool = False,
    casting: str = "same_kind", dtype: Any = None, signature: Any = None, order: str = "K",
) -> Any:  # fmt: skip
    """As `cupy.matmul`. `axes` of operands with two or more dimensions are moved to the end and back: views."""
    options = {"keepdims": keepdims, "casting": casting, "dtype": dtype, "signature": signature, "order": order}
    if axes is None or min(getattr(x1, "ndim", 0), getattr(x2, "ndim", 0)) < 2:
        return functions.matmul(x1, x2, out, axes=axes, axis=axis, **options)
    if not isinstance(axes, (list, tuple)) or len(axes) not in (2, 3):
        raise ValueError("axes must be a list with one tuple of axes per operand and result")
    for i, pair in enumerate(axes):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise np.exceptions.AxisError(f"matmul: operand {i} has 2 core dimensions, but its axes are {pair!r}.")
    first, second, last = (*map(tuple, axes), (-2, -1))[:3]
    end = (-2, -1)
    turned = None if out is None else functions.moveaxis(out[0] if isinstance(out, tuple) else out, last, end)
    moved = functions.moveaxis(x1, first, end), functions.moveaxis(x2, second, end)
    result = functions.matmul(*moved, turned, axis=axis, **options)
    return functions.moveaxis(result, end, last) if out is None else out[0] if isinstance(out, tuple) else out


def histogramdd(sample: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: bool = False) -> Any:
    """As `cupy.histogramdd`: counts and a list of edges."""
    counts, *edges = functions.histogramdd(sample, bins, range, weights, density)
    return counts, edges


def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """As `cupy.pad`. A function as mode is called here, for each line of each axis, and fills the edges in place."""
    if not callable(mode):
        return functions.pad(array, pad_width, mode, **kwargs)
    padded = functions.pad(array, pad_width)
    widths = [(int(before), int(after)) for before, after in np.broadcast_to(pad_width, (padded.ndim, 2))]
    for axis, width in enumerate(widths):
        lines = functions.moveaxis(padded, axis, -1)
        for index in np.ndindex(lines.shape[:-1]):
            mode(lines[(*index, Ellipsis)], width, axis, kwargs)
    return padded


class UniqueAllResult(NamedTuple):
    """What `unique_all` returns."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCountsResult(NamedTuple):
    """What `unique_counts` returns."""

    values: Any
    counts: Any


class UniqueInverseResult(NamedTuple):
    """What `unique_inverse` returns."""

    values: Any
    inverse_indices: Any


def unique_all(x: Any) -> UniqueAllResult:
    """As `cupy.unique_all`."""
    return UniqueAllResult(*functions.unique_all(x))


def unique_counts(x: Any) -> UniqueCountsResult:
    """As `cupy.unique_counts`."""
    return UniqueCountsResult(*functions.unique_counts(x))


def unique_inverse(x: Any) -> UniqueInverseResult:
    """As `cupy.unique_inverse`."""
    return UniqueInverseResult(*functions.unique_inverse(x))


def iscomplex(x: Any) -> Any:
    """As `cupy.iscomplex`; a host value for a scalar."""
    return np.iscomplex(x) if np.isscalar(x) else functions.iscomplex(x)


def isreal(x: Any) -> Any:
    """As `cupy.isreal`; a host value for a scalar."""
    return np.isreal(x) if np.isscalar(x) else functions.isreal(x)


def _deprecated(instead: str) -> None:
    warnings.warn(f"Please use `{instead}` instead.", DeprecationWarning, stacklevel=3)


def product(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    """As `cupy.prod`, deprecated."""
    _deprecated("prod")
    return functions.prod(a, axis, dtype, out, keepdims)


def cumproduct(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """As `cupy.cumprod`, deprecated."""
    _deprecated("cumprod")
    return functions.cumprod(a, axis, dtype, out)


def round_(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """As `cupy.round`, deprecated."""
    _deprecated("round")
    return functions.around(a, decimals, out)


def row_stack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """As `cupy.vstack`, deprecated."""
    warnings.warn("`row_stack` alias is deprecated. Use `vstack` directly.", DeprecationWarning, stacklevel=2)
    return functions.vstack(tup, dtype=dtype, casting=casting)


def msort(a: Any) -> Any:
    """As `cupy.sort(a, axis=0)`, deprecated."""
    warnings.warn("msort is deprecated, use cupy.sort(a, axis=0) instead", DeprecationWarning, stacklevel=2)
    return functions.sort(a, 0)


__all__ = [
    "cumproduct", "histogramdd", "iscomplex", "isreal", "linspace", "matmul", "meshgrid", "msort", "pad", "product", "round_", "row_stack",
    "unique_all", "unique_counts", "unique_inverse",
]  # fmt: skip
