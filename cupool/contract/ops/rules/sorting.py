"""Sorting, searching, sets and logic of whole arrays."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from cupool.contract.ops._row import UNKNOWN
from cupool.contract.ops.rules.common import (
    BOOL,
    INT64,
    AxisError,
    broadcast,
    dtype_of,
    normalize_axis,
    promote,
    require_array,
    rule,
    scalar_dtype,
)
from cupool.contract.ops.rules.elementwise import apply, choose, result_specs
from cupool.contract.spec import Spec, spec_of


def _check_sortable(a: Spec) -> None:
    if a.dtype.kind not in "biufc":
        raise NotImplementedError(f"Sorting arrays with dtype '{a.dtype}' is not supported")


@rule("sorted")
def sort(a: Any, axis: Any = -1, kind: Any = None) -> Any:
    """A sorted copy."""
    a = require_array(a)
    _check_kind(kind)
    _check_sortable(a)
    if axis is None:
        return spec_of((a.size,), a.dtype)
    if a.ndim == 0:
        raise AxisError("Sorting arrays with the rank of zero is not supported")
    normalize_axis(axis, a.ndim)
    return spec_of(a.shape, a.dtype)


def _check_kind(kind: Any) -> None:
    if kind is not None and kind != "stable":
        raise ValueError("kind can only be None or 'stable'")


@rule("sort_in_place")
def sort_in_place(self: Any, axis: Any = -1, kind: Any = None) -> Any:
    """`ndarray.sort`. CuPy sorts C-contiguous arrays only."""
    _check_kind(kind)
    _check_in_place(self, axis)


def _check_in_place(a: Spec, axis: Any) -> int:
    _check_sortable(a)
    if a.ndim == 0:
        raise AxisError("Sorting arrays with the rank of zero is not supported")
    if not a.c_contiguous:
        raise NotImplementedError("Sorting non-contiguous array is not supported.")
    return normalize_axis(axis, a.ndim)


@rule("argsort")
def argsort(a: Any, axis: Any = -1, kind: Any = None) -> Any:
    """Indices that sort."""
    a = require_array(a)
    _check_kind(kind)
    _check_sortable(a)
    if axis is None:
        return spec_of((a.size,), INT64)
    shape = a.shape or (1,)
    normalize_axis(axis, len(shape))
    return spec_of(shape, INT64)


@rule("lexsort")
def lexsort(keys: Any) -> Any:
    """Indices that sort by the last key first."""
    keys = require_array(keys, "keys")
    if keys.ndim == 0:
        raise TypeError("need sequence of keys with len > 0 in lexsort")
    if keys.ndim > 2:
        raise NotImplementedError("Keys with the rank of three or more is not supported in lexsort")
    return spec_of(keys.shape[1:], INT64)


@rule("sort_complex")
def sort_complex(a: Any) -> Any:
    """Sorted along the last axis, as complex."""
    a = require_array(a)
    if a.ndim == 0:
        raise AxisError("Sorting arrays with the rank of zero is not supported")
    return spec_of(a.shape, np.complex64 if a.dtype.char in "bhBHF" else np.complex128)


def _check_kth(kth: Any, length: int) -> None:
    for k in (kth,) if isinstance(kth, int | np.integer) else kth:
        k = operator.index(k)
        k = k + length if k < 0 else k
        if not 0 <= k < length:
            raise ValueError(f"kth(={k}) out of bounds {length}")


@rule("partition")
def partition(a: Any, kth: Any, axis: Any = -1) -> Any:
    """A partitioned copy."""
    a = require_array(a)
    _check_sortable(a)
    if axis is None:
        a, axis = spec_of((a.size,), a.dtype), -1
    if a.ndim == 0:
        raise AxisError("Sorting arrays with the rank of zero is not supported")
    _check_kth(kth, a.shape[normalize_axis(axis, a.ndim)])
    return spec_of(a.shape, a.dtype)


@rule("partition_in_place")
def partition_in_place(self: Any, kth: Any, axis: Any = -1) -> Any:
    """`ndarray.partition`."""
    _check_kth(kth, self.shape[_check_in_place(self, axis)])


@rule("argpartition")
def argpartition(a: Any, kth: Any, axis: Any = -1) -> Any:
    """Indices that partition."""
    a = require_array(a)
    _check_sortable(a)
    shape = (a.size,) if axis is None else a.shape
    axis = normalize_axis(-1 if axis is None else axis, len(shape))
    if shape[axis] == 0:
        return spec_of((0,), INT64)
    _check_kth(kth, shape[axis])
    return spec_of(shape, INT64)


@rule("searchsorted")
def searchsorted(a: Any, v: Any, side: Any = "left", sorter: Any = None) -> Any:
    """Places where values would be inserted."""
    if not isinstance(a, Spec):
        raise NotImplementedError("Only int or ndarray are supported for a")
    if not isinstance(v, Spec) and not isinstance(v, int | float | complex):
        raise NotImplementedError("Only python scalars or ndarrays are supported for v")
    if a.ndim != 1:
        raise ValueError(
            "object too deep for desired array" if a.ndim > 1 else "object of too small depth for desired array"
        )
    if sorter is not None:
        sorter = require_array(sorter, "sorter")
        if sorter.dtype.kind not in "iu":
            raise TypeError("sorter must be of integer type")
        if sorter.size != a.size:
            raise ValueError("sorter.size must equal a.size")
    return spec_of(v.shape if isinstance(v, Spec) else (), INT64)


@rule("digitize")
def digitize(x: Any, bins: Any, right: Any = False) -> Any:
    """Index of the bin of each element."""
    x, bins = require_array(x, "x"), require_array(bins, "bins")
    if x.dtype.kind == "c":
        raise TypeError("x may not be complex")
    return searchsorted(bins, x)


@rule("where")
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """A choice by element; with a condition alone, the indices where it holds."""
    if (x is None) != (y is None):
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    if x is None:
        return nonzero(condition)
    condition = require_array(condition, "condition")
    return apply("@where", (spec_of(condition.shape, BOOL), x, y))


@rule("nonzero")
def nonzero(a: Any) -> Any:
    """Indices: as many as the data says."""
    if require_array(a).ndim == 0:
        raise ValueError("Calling nonzero on 0d arrays is not allowed. Use cupy.atleast_1d(scalar).nonzero() instead.")
    return UNKNOWN


@rule("argwhere")
def argwhere(a: Any) -> Any:
    """Indices, joined: as many as the data says, also of arrays without dimensions."""
    require_array(a)
    return UNKNOWN


@rule("unique")
def unique(
    ar: Any, return_index: Any = False, return_inverse: Any = False, return_counts: Any = False, axis: Any = None, *,
    equal_nan: Any = True,
) -> Any:  # fmt: skip
    """Distinct elements and what else was asked for. Only the inverse's shape is known before."""
    a = require_array(ar, "ar")
    inverse = a.shape if axis is None else (a.shape[normalize_axis(axis, a.ndim)],)
    parts: list[Any] = [UNKNOWN]
    if return_index:
        parts.append(UNKNOWN)
    if return_inverse:
        parts.append(spec_of(inverse, INT64))
    if return_counts:
        parts.append(UNKNOWN)
    return tuple(parts) if len(parts) > 1 else UNKNOWN


@rule("unique_all")
def unique_all(x: Any) -> Any:
    """values, indices, inverse, counts."""
    return unique(x, True, True, True)


@rule("unique_counts")
def unique_counts(x: Any) -> Any:
    """values, counts."""
    return unique(x, return_counts=True)


@rule("unique_inverse")
def unique_inverse(x: Any) -> Any:
    """values, inverse."""
    return unique(x, return_inverse=True)


@rule("pair_of_sets")
def pair_of_sets(a: Any, b: Any, assume_unique: Any = False) -> Any:
    """union1d, setdiff1d, setxor1d."""
    promote(require_array(a, "ar1"), require_array(b, "ar2"))
    return UNKNOWN


@rule("intersect1d")
def intersect1d(arr1: Any, arr2: Any, assume_unique: Any = False, return_indices: Any = False) -> Any:
    """The common elements; with `return_indices` where they were."""
    promote(require_array(arr1, "arr1"), require_array(arr2, "arr2"))
    return (UNKNOWN, UNKNOWN, UNKNOWN) if return_indices else UNKNOWN


# -- logic ----------------------------------------------------------------------------------------------------------


@rule("isclose")
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: Any = False) -> Any:
    """Near by element."""
    shape = broadcast(a, b, rtol, atol)
    arrays = [x if isinstance(x, Spec) else spec_of((), scalar_dtype(x)) for x in (a, b)]
    name = "@isclose_complex" if any(x.dtype.kind == "c" for x in arrays) else "@isclose"
    operands = (*arrays, rtol, atol, bool(equal_nan))
    return result_specs(choose(name, operands), operands, shape, (), "same_kind")


@rule("allclose")
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: Any = False) -> Any:
    """Near altogether: a 0-d array."""
    isclose(a, b, rtol, atol, equal_nan)
    return spec_of((), BOOL)


@rule("array_equal")
def array_equal(a1: Any, a2: Any, equal_nan: Any = False) -> Any:
    """Same shape and elements: a 0-d array."""
    a1, a2 = require_array(a1, "a1"), require_array(a2, "a2")
    if a1.shape == a2.shape:
        apply("equal", (a1, a2))
        if equal_nan:
            apply("isnan", (a1,))
            apply("isnan", (a2,))
    return spec_of((), BOOL)


@rule("array_equiv")
def array_equiv(a1: Any, a2: Any) -> Any:
    """Equal after broadcasting: a 0-d array."""
    a1, a2 = require_array(a1, "a1"), require_array(a2, "a2")
    try:
        broadcast(a1, a2)
    except ValueError:
        return spec_of((), BOOL)
    apply("equal", (a1, a2))
    return spec_of((), BOOL)


@rule("signed_infinity")
def signed_infinity(x: Any, out: Any = None) -> Any:
    """isneginf, isposinf."""
    apply("isinf", (x,))
    try:
        apply("signbit", (x,))
    except TypeError:
        raise TypeError(
            f"This operation is not supported for {dtype_of(x)} values because it would be ambiguous."
        ) from None
    truth = spec_of(x.shape if isinstance(x, Spec) else (), BOOL)
    return apply("logical_and", (truth, truth), out=out)


@rule("isin")
def isin(element: Any, test_elements: Any, assume_unique: Any = False, invert: Any = False) -> Any:
    """Membership by element."""
    a, b = require_array(element, "element"), require_array(test_elements, "test_elements")
    promote(a, b)
    return spec_of(a.shape, BOOL)


@rule("in1d")
def in1d(ar1: Any, ar2: Any, assume_unique: Any = False, invert: Any = False) -> Any:
    """Membership, flat."""
    a, b = require_array(ar1, "ar1"), require_array(ar2, "ar2")
    promote(a, b)
    return spec_of((a.size,), BOOL)


# -- bits -----------------------------------------------------------------------------------------------------------


def _check_bits(axis: Any, bitorder: Any) -> None:
    if axis is not None:
        raise NotImplementedError("axis option is not supported yet")
    if bitorder not in ("big", "little"):
        raise ValueError("bitorder must be either 'big' or 'little'")


@rule("packbits")
def packbits(a: Any, axis: Any = None, bitorder: Any = "big") -> Any:
    """Eight elements to a byte."""
    a = require_array(a)
    if a.dtype.kind not in "biu":
        raise TypeError("Expected an input array of integer or boolean data type")
    _check_bits(axis, bitorder)
    return spec_of(((a.size + 7) // 8,), np.uint8)


@rule("unpackbits")
def unpackbits(a: Any, axis: Any = None, bitorder: Any = "big") -> Any:
    """A byte to eight elements."""
    a = require_array(a)
    if a.dtype != np.uint8:
        raise TypeError("Expected an input array of unsigned byte data type")
    _check_bits(axis, bitorder)
    return spec_of((a.size * 8,), np.uint8)
