"""Products, sums, elementwise functions and reductions of sparse matrices."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops.scipy._rules_sparse import broadcast
from cupool.contract.ops.scipy._rules_sparse import index_dtype as smallest
from cupool.contract.ops.scipy.sparse import PREFIX

from ...casting import cast
from ._matrix import Array, by_rows, canonical, compressed, index_dtype, is_long, matrix, parts, triplets


def matmul(a: Any, b: Any) -> tuple[Array, ...]:
    dtype = np.promote_types(a[2].dtype, b[2].dtype)
    left, right = canonical(a, "csr").astype(dtype), canonical(b, "csr").astype(dtype)
    _check_room(left, right, dtype.itemsize + 8)
    kept = None
    if is_long(right.shape[1], right.data.size):
        kept, narrow = np.unique(right.indices, return_inverse=True)
        right = type(right)((right.data, narrow, right.indptr), shape=(right.shape[0], kept.size))
    made = left @ right
    made.sort_indices()
    data, indices, indptr = parts(made, index_dtype(a, b), dtype)
    return data, indices if kept is None else kept[indices].astype(indices.dtype), indptr


def _check_room(left: Any, right: Any, element_bytes: int) -> None:
    """Raises MemoryError for a product that no memory of this machine holds, before the hours it would take to find out.

    A row of the product stores at least as much as the fullest of the rows that it sums.
    """
    filled = np.diff(left.indptr) > 0
    if not filled.any():
        return
    lengths = np.diff(right.indptr)[left.indices]
    least = int(np.maximum.reduceat(lengths, left.indptr[:-1][filled]).astype(np.int64).sum()) * element_bytes
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if least > memory:
        raise MemoryError(
            f"the product of two sparse matrices stores at least {least:,} bytes; this machine has {memory:,}"
        )


def dot(a: Any, x: Array) -> Array:
    dtype = np.promote_types(a[2].dtype, x.dtype)
    made = matrix(a).astype(dtype, copy=False) @ x.astype(dtype, copy=False)
    return np.asfortranarray(made)


def add(a: Any, b: Any, alpha: int, beta: int) -> tuple[Array, ...]:
    """alpha * a + beta * b. An element is stored where one of them stores one."""
    m, n = matrix(a), matrix(b)
    dtype = np.promote_types(m.dtype, n.dtype)
    row, col, data = (
        np.concatenate(pair) for pair in zip(_scaled(m, alpha, dtype), _scaled(n, beta, dtype), strict=True)
    )
    return parts(compressed(row, col, data, m.shape, m.format), index_dtype(a, b), dtype)


def _scaled(m: Any, factor: int, dtype: Any) -> tuple[Array, Array, Array]:
    row, col, data = triplets(m)
    data = data.astype(dtype)
    return row, col, data if factor == 1 else data * dtype.type(factor)


def _wide(m: Any, shape: tuple[int, int]) -> Any:
    """A canonical csr matrix with its rows and columns of length one repeated."""
    if m.shape[0] != shape[0]:
        m = m[np.zeros(shape[0], np.intp)]
    return m if m.shape[1] == shape[1] else m[:, np.zeros(shape[1], np.intp)]


_COMPARE = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "gt": operator.gt,
    "le": operator.le,
    "ge": operator.ge,
}
#: Comparisons that hold between zeros, and their opposites.
_OPPOSITE = {"eq": "ne", "le": "gt", "ge": "lt"}


def binary(a: Any, b: Any, name: str) -> tuple[Array, ...]:
    """Elementwise; only results that are not zero are stored."""
    index = index_dtype(a, b)
    m, n = canonical(a, "csr"), canonical(b, "csr")
    shape = broadcast(m.shape, n.shape)
    dtype = np.promote_types(m.dtype, n.dtype)
    m, n = (_wide(x.astype(dtype), shape) for x in (m, n))
    if name in _OPPOSITE:
        return _stored(~_COMPARE[_OPPOSITE[name]](m, n).toarray(), index)
    made = _COMPARE[name](m, n) if name in _COMPARE else getattr(m, name)(n)
    made = made.tocsr()
    made.sort_indices()
    return parts(made, index, dtype if name not in _COMPARE else np.bool_)


def _stored(dense: Array, index: Any) -> tuple[Array, ...]:
    row, col = np.nonzero(dense)
    return parts(compressed(row, col, dense[row, col], dense.shape), index)


def compare(a: Any, value: Any, name: str) -> tuple[Array, ...]:
    """With a scalar, as the matrix's dtype. Where it does not hold for zeros only stored elements are looked at."""
    m = canonical(a, "csr")
    with np.errstate(all="ignore"):
        scalar = cast(np.asarray(value), m.dtype)[()]
    test = _COMPARE[name]
    if test(m.dtype.type(0), scalar):
        return _stored(np.asarray(test(m.toarray(), scalar)), a[3].dtype)
    row, col, data = triplets(m)
    keep = test(data, scalar)
    return parts(compressed(row[keep], col[keep], np.ones(int(keep.sum()), bool), m.shape), a[3].dtype)


def multiply(a: Any, b: Any) -> tuple[Array, ...]:
    """Elementwise; stored where both store one."""
    m, n = canonical(a, "csr"), canonical(b, "csr")
    shape = broadcast(m.shape, n.shape)
    m, n = _wide(m, shape), _wide(n, shape)
    places = [_ones(x) for x in (m, n)]
    both = places[0].multiply(places[1]).tocsr()
    both.sort_indices()
    row, col, _ = triplets(both)
    dtype = np.promote_types(m.dtype, n.dtype)
    both = type(m)((_values(m, row, col) * _values(n, row, col), both.indices, both.indptr), shape=shape)
    return parts(both, index_dtype(a, b), dtype)


def _ones(m: Any) -> Any:
    return type(m)((np.ones(m.data.size, np.int8), m.indices, m.indptr), shape=m.shape)


def _values(m: Any, row: Array, col: Array) -> Array:
    """Of a canonical csr matrix, the elements at pairs that it stores, given by rows."""
    n = m.shape[1]
    mine, _, data = triplets(m)
    if m.shape[0] * n < 1 << 62:
        keys = mine.astype(np.int64) * n + m.indices
        found: Array = data[np.searchsorted(keys, row.astype(np.int64) * n + col)]
        return found
    where = {pair: k for k, pair in enumerate(zip(mine.tolist(), m.indices.tolist(), strict=True))}
    return data[[where[pair] for pair in zip(row.tolist(), col.tolist(), strict=True)]]


def scale(a: Any, x: Array, canonical: bool = False) -> tuple[Array, ...]:
    m = matrix(a)
    if not (canonical or m.has_canonical_format):
        m = m.copy()
        m.sum_duplicates()
    shape = broadcast(m.shape, x.shape)
    wide = _wide(m, shape)
    row, col, data = triplets(wide)
    dense = np.broadcast_to(x, shape)
    made = type(m)((data * dense[row, col], wide.indices, wide.indptr), shape=shape)
    return parts(made, a[3].dtype, np.promote_types(m.dtype, x.dtype))


# -- reductions --------------------------------------------------------------------------------------------------------------
# Lines: the rows of a csr matrix (axis 1), the columns of a csc one (axis 0).


class _Lines:
    """A canonical matrix by lines along an axis."""

    def __init__(self, a: Any, axis: int) -> None:
        m = canonical(a, "csc" if axis == 0 else "csr")
        self.length = m.shape[axis]
        self.count = m.shape[1 - axis]
        self.counts = np.diff(m.indptr)
        self.indices = m.indices.astype(np.int64)
        self.data = m.data.real if m.dtype.kind == "c" else m.data
        self.filled = self.counts > 0
        self.starts = m.indptr[:-1][self.filled]
        #: Position of each element in its line.
        self.place = np.arange(m.indices.size) - np.repeat(m.indptr[:-1], self.counts)

    def reduce(self, function: Any, values: Array) -> Array:
        """`function` over the elements of each line that stores some."""
        made: Array = function.reduceat(values, self.starts) if self.starts.size else values[:0]
        return made

    def spread(self, of_filled: Array) -> Array:
        """A value per filled line, for each of its elements."""
        return np.repeat(of_filled, self.counts[self.filled])


_EXTREME = {"max": np.maximum, "min": np.minimum}


def extremes(a: Any, name: str, axis: int, explicit: bool) -> tuple[Array, Array]:
    lines = _Lines(a, axis)
    made = np.zeros(lines.count, np.float64)
    found = lines.reduce(_EXTREME[name], lines.data.astype(np.float64))
    if not explicit:
        partial = lines.counts[lines.filled] != lines.length
        found[partial] = _EXTREME[name](found[partial], 0.0)
    made[lines.filled] = found
    (where,) = np.nonzero(made)
    return where.astype(smallest(lines.count)), made[where].astype(a[2].dtype)


def extremum(a: Any, name: str, explicit: bool) -> Array:
    _, _, data = by_rows(a)
    if not data.size:
        return np.zeros((), a[2].dtype)
    found = _EXTREME[name].reduce(data)
    if not explicit and data.size != a[1][0] * a[1][1]:
        found = _EXTREME[name](found, a[2].dtype.type(0))
    return np.asarray(found)


def arg_extremes(a: Any, name: str, axis: int) -> Array:
    """The first place of the extreme value of each line; 0 where a NaN is in it."""
    lines = _Lines(a, axis)
    made = np.zeros(lines.count, np.int64)
    best = lines.reduce(_EXTREME[name], lines.data)
    counts = lines.counts[lines.filled]
    missing = np.minimum(
        lines.reduce(np.minimum, np.where(lines.indices != lines.place, lines.place, lines.length)), counts
    )
    place = lines.reduce(np.minimum, np.where(lines.data == lines.spread(best), lines.indices, lines.length))
    beats_zero = best > 0 if name == "max" else best < 0
    chosen = np.where(beats_zero | (counts == lines.length), place, missing)
    made[lines.filled] = np.where(np.isnan(best), 0, chosen)
    return made


def arg_extremum(a: Any, name: str) -> Array:
    row, col, data = by_rows(a)
    if not data.size:
        return np.zeros((), np.int64)
    rows, cols = a[1]
    place = int(data.argmax() if name == "max" else data.argmin())
    best = data[place]
    flat = row.astype(np.int64) * cols + col
    if best > 0 if name == "max" else best < 0:
        return np.asarray(int(flat[place]), np.int64)
    if data.size == rows * cols:
        return np.asarray(place, np.int64)
    (gaps,) = np.nonzero(flat != np.arange(flat.size))
    missing = int(gaps[0]) if gaps.size else flat.size
    return np.asarray(min(missing, place) if best == 0 else missing, np.int64)


def count(a: Any, axis: int | None) -> Array:
    if a[0] == "dia":
        m = matrix(a).tocsr()
        row, col, data = triplets(m)
    else:
        row, col, data = by_rows(a)
    keep = data != 0
    if axis is None:
        return np.asarray(np.count_nonzero(keep), np.int64)
    found: Array = np.bincount((col if axis == 0 else row)[keep], minlength=a[1][1 - axis])
    return found.astype(np.int64)


_FUNCTIONS = (matmul, dot, add, binary, compare, multiply, scale, extremes, extremum, arg_extremes, arg_extremum, count)
OPS: dict[str, Callable[..., Any]] = {PREFIX + f.__name__: f for f in _FUNCTIONS}
