"""Rows: sorting, searching, sets."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops._row import NDIM, op
from cupool.contract.ops._sample_arrays import arr, call, fails, idx, mask
from cupool.contract.ops.rules import sorting as rules

AxisError = np.exceptions.AxisError


def _sorts() -> Any:
    for dtype in "?bBhHiIlLefdFD":
        yield call(arr(2, 3, dtype=dtype)[:, ::-1].copy())
    yield call(arr(2, 3), axis=0)
    yield call(arr(2, 3), axis=None)
    yield call(arr(3, 2).T, axis=-1)
    yield call(arr(0))


def _bad() -> Any:
    return [fails(AxisError, arr(2), axis=1), fails(ValueError, arr(2), kind="quicksort")]


op("sort", "(a, axis=-1, kind=None)", rules.sort, samples=_sorts, errors=lambda: [*_bad(), fails(AxisError, arr())])
op("argsort", "(a, axis=-1, kind=None)", rules.argsort, samples=_sorts, errors=_bad)
op("ndarray.sort", "(self, axis=-1, kind=None)", rules.sort_in_place, writes=("self",),
   samples=lambda: [call(arr(2, 3)[:, ::-1].copy()), call(arr(2, 3), axis=0)],
   errors=lambda: [fails(AxisError, arr()), fails(NotImplementedError, arr(2, 3).T),
                   fails(AxisError, arr(2), axis=3)])  # fmt: skip
op("lexsort", "(keys)", rules.lexsort, samples=lambda: [call(arr(2, 4)), call(arr(4))],
   errors=lambda: [fails(NotImplementedError, arr(2, 2, 2))])  # fmt: skip
op(
    "msort",
    "(a)",
    lambda a: rules.sort(a, 0),
    server="msort",
    samples=lambda: [call(arr(3, 2))],
    note="deprecated in CuPy",
)
op(
    "sort_complex",
    "(a)",
    rules.sort_complex,
    samples=lambda: [call(arr(3)), call(arr(3, dtype="i2")), call(arr(3, dtype="F"))],
)
op("partition", "(a, kth, axis=-1)", rules.partition, samples=lambda: [call(arr(5)[::-1].copy(), 2),
                    call(arr(2, 3), (0, 1), axis=0), call(arr(2, 3), 4, axis=None)],
   errors=lambda: [fails(ValueError, arr(3), 3), fails(AxisError, arr(3), 0, axis=1)])  # fmt: skip
op("ndarray.partition", "(self, kth, axis=-1)", rules.partition_in_place, writes=("self",),
   samples=lambda: [call(arr(5)[::-1].copy(), 2)],
   errors=lambda: [fails(ValueError, arr(3), 3), fails(NotImplementedError, arr(2, 3).T, 0)])  # fmt: skip
op("argpartition", "(a, kth, axis=-1)", rules.argpartition, samples=lambda: [call(arr(5)[::-1].copy(), 2),
                    call(arr(2, 3), 1, axis=0), call(arr(2, 3), 2, axis=None)],
   errors=lambda: [fails(ValueError, arr(3), 3)])  # fmt: skip
op("searchsorted", "(a, v, side='left', sorter=None)", rules.searchsorted, arrays=("a", "v", "sorter"), varying=("v",),
   samples=lambda: [call(arr(4), arr(2, 3)), call(arr(4), 2.5, side="right"),
                    call(arr(4), arr(3), sorter=idx(0, 1, 2, 3)), call(arr(0), arr(2))],
   errors=lambda: [fails(ValueError, arr(2, 2), 1), fails(NotImplementedError, arr(2), [1, 2]),
                   fails(TypeError, arr(2), 1, sorter=arr(2))])  # fmt: skip
op("where", "(condition, x=None, y=None)", rules.where, outs=NDIM, arrays=("condition", "x", "y"), varying=("x", "y"),
   samples=lambda: [call(mask(2, 3), arr(2, 3), arr(3)), call(mask(3), 1, 2.0),
                    call(arr(3), arr(3, dtype="i4"), arr(3, dtype="f4")), call(mask(2, 3))],
   errors=lambda: [fails(ValueError, mask(3), arr(3)), fails(ValueError, mask(3), arr(2), 1)])  # fmt: skip
op(
    "nonzero",
    "(a)",
    rules.nonzero,
    outs=NDIM,
    samples=lambda: [call(arr(2, 3)), call(mask(3))],
    errors=lambda: [fails(TypeError, 3)],
)
op(
    "flatnonzero",
    "(a)",
    rules.argwhere,
    samples=lambda: [call(arr(2, 3)), call(arr())],
    errors=lambda: [fails(TypeError, 3)],
)
op(
    "argwhere",
    "(a)",
    rules.argwhere,
    samples=lambda: [call(arr(2, 3)), call(arr())],
    errors=lambda: [fails(TypeError, 3)],
)

# -- sets -----------------------------------------------------------------------------------------------------------
_UNIQUE = "(ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True)"
op("unique", _UNIQUE, rules.unique,
   samples=lambda: [call(idx(3, 1, 3)), call(idx(3, 1, 3), return_index=True, return_inverse=True, return_counts=True),
                    call(arr(2, 3), axis=0), call(np.array([1.0, np.nan, np.nan])),
                    call(np.array([1.0, np.nan, np.nan]), equal_nan=False)],
   errors=lambda: [fails(AxisError, arr(2), axis=1)])  # fmt: skip
op("unique_all", "(x)", rules.unique_all, samples=lambda: [call(idx(3, 1, 3))])
op("unique_counts", "(x)", rules.unique_counts, samples=lambda: [call(idx(3, 1, 3))])
op("unique_inverse", "(x)", rules.unique_inverse, samples=lambda: [call(idx(3, 1, 3))])
op("unique_values", "(x)", rules.nonzero, samples=lambda: [call(idx(3, 1, 3))])
_PAIR = [call(idx(3, 1, 3), idx(1, 2)), call(arr(2, 3), arr(3, dtype="i4"))]
op("union1d", "(arr1, arr2)", rules.pair_of_sets, arrays=("arr1", "arr2"), samples=lambda: _PAIR)
op("intersect1d", "(arr1, arr2, assume_unique=False, return_indices=False)", rules.intersect1d, arrays=("arr1", "arr2"),
   samples=lambda: [*_PAIR, call(idx(3, 1, 3), idx(1, 2), return_indices=True)])  # fmt: skip
op("setdiff1d", "(ar1, ar2, assume_unique=False)", rules.pair_of_sets, arrays=("ar1", "ar2"), samples=lambda: _PAIR)
op("setxor1d", "(ar1, ar2, assume_unique=False)", rules.pair_of_sets, arrays=("ar1", "ar2"), samples=lambda: _PAIR)
op("in1d", "(ar1, ar2, assume_unique=False, invert=False)", rules.in1d, arrays=("ar1", "ar2"), samples=lambda: _PAIR)
op("isin", "(element, test_elements, assume_unique=False, invert=False)", rules.isin,
   arrays=("element", "test_elements"),
   samples=lambda: [*_PAIR, call(arr(2, 3), arr(2), invert=True), call(arr(2), arr(0))],
   errors=lambda: [fails(TypeError, arr(2), [1])])  # fmt: skip
