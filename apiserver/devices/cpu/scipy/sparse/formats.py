"""Formats of sparse matrices: conversions, duplicates, order, triangles, joining."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from cupool.contract.ops.scipy._rules_sparse import index_dtype as smallest
from cupool.contract.ops.scipy.sparse import PREFIX

from ._matrix import Array, by_rows, canonical, compressed, matrix, parts, triplets


def convert(a: Any, to: str, canonical: bool = False) -> tuple[Array, ...]:
    """To another format. coo matrices have their duplicates summed, compressed ones keep them, dia matrices lose stored zeros."""
    m = matrix(a)
    if m.format == "dia":
        return parts(_from_dia(m).asformat(to), smallest(max(m.shape)))
    if m.format == "coo":
        if not canonical:
            return parts(m.asformat(to), a[3].dtype)
        row, col, data = triplets(m)
    else:
        row, col, data = triplets(m)
        if to == "coo":
            return data.copy(), row.astype(a[3].dtype, copy=False), col.astype(a[3].dtype)
    return _recompressed(row, col, data, m.shape, to, a[3].dtype)


def _recompressed(row: Array, col: Array, data: Array, shape: Any, to: str, index: Any) -> tuple[Array, ...]:
    """Sorted by the major axis and then as they were, duplicates and all."""
    major, minor = (row, col) if to == "csr" else (col, row)
    length = shape[0] if to == "csr" else shape[1]
    order = np.argsort(major, kind="stable")
    indptr = np.zeros(length + 1, index)
    np.cumsum(np.bincount(major, minlength=length), out=indptr[1:])
    return data[order], minor[order].astype(index, copy=False), indptr


def _from_dia(m: Any) -> Any:
    """csc, without the zeros."""
    rows, cols = m.shape
    place = np.arange(m.data.shape[1])
    row = place - m.offsets.astype(np.int64)[:, None]
    inside = (row >= 0) & (row < rows) & (place < cols) & (m.data != 0)
    counts = np.zeros(cols, np.int64)
    counts[: place.size] = inside.sum(axis=0)[:cols]
    # Transposed: by columns, and rising rows within one, for offsets that fall.
    order = np.argsort(-m.offsets)
    keep = inside[order].T
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return sp.csc_array((m.data[order].T[keep], row[order].T[keep], indptr), shape=m.shape)


def from_dense(x: Array, to: str) -> tuple[Array, ...]:
    largest = max(x.shape) if x.dtype != bool or to == "coo" else x.size
    row, col = np.nonzero(x)
    index = smallest(largest)
    if to == "coo":
        return x[row, col], row.astype(index), col.astype(index)
    return _recompressed(row, col, x[row, col], x.shape, to, index)


def to_dense(a: Any, order: str = "C") -> Array:
    m = matrix(a)
    made: Array = (_from_dia(m) if m.format == "dia" else m).toarray(order=order)
    return made


def expand(indptr: Array, indices: Array) -> Array:
    counts = np.diff(indptr)
    if (counts < 0).any() or counts.sum() != indices.size:
        raise ValueError("a sparse matrix has an index pointer that does not fit its indices")
    return np.repeat(np.arange(counts.size, dtype=indices.dtype), counts)


def coalesce(a: Any) -> tuple[Array, ...]:
    index = a[3].dtype
    if a[0] == "coo":
        row, col, data = by_rows(a)
        return data, row.astype(index, copy=False), col.astype(index, copy=False)
    return parts(canonical(a), index)


def sort(a: Any, by: str = "r") -> tuple[Array, ...]:
    m = matrix(a)
    if m.format == "coo":
        order = np.lexsort((m.col, m.row) if by == "r" else (m.row, m.col))
        return m.data[order], m.row[order], m.col[order]
    row, col, data = triplets(m)
    order = np.lexsort((col, row) if m.format == "csr" else (row, col))
    return data[order], m.indices[order].astype(a[3].dtype, copy=False)


def flags(a: Any) -> tuple[bool, bool]:
    m = matrix(a)
    return bool(m.has_sorted_indices), bool(m.has_canonical_format)


def bounds(arrays: Any, ends: Any = None) -> tuple[int, ...]:
    found: list[int] = []
    for array in arrays:
        found += (int(array.min()), int(array.max())) if array.size else (0, -1)
    if ends is not None:
        found += (int(ends[0]), int(ends[-1]))
    return tuple(found)


def nonzero(a: Any) -> tuple[Array, ...]:
    row, col, data = by_rows(a)
    keep = data != 0
    return row[keep].astype(a[3].dtype, copy=False), col[keep].astype(a[3].dtype, copy=False), data[keep]


def triangle(a: Any, k: int, lower: bool) -> tuple[Array, ...]:
    m = matrix(a)
    keep = m.row + k >= m.col if lower else m.row + k <= m.col
    return m.data[keep], m.row[keep], m.col[keep]


def reshape(a: Any, shape: Any, order: str) -> tuple[Array, ...]:
    m = matrix(a)
    rows, cols = m.shape
    largest = cols * max(0, rows - 1) + max(0, cols - 1) if order == "C" else rows * max(0, cols - 1) + max(0, rows - 1)
    index = np.promote_types(smallest(largest), a[3].dtype)
    if order == "C":
        row, col = np.divmod(m.row.astype(np.int64) * cols + m.col, max(shape[1], 1))
    else:
        col, row = np.divmod(m.col.astype(np.int64) * rows + m.row, max(shape[0], 1))
    return row.astype(index), col.astype(index)


def dia_stored(a: Any) -> int:
    _, (rows, cols), data, offsets = a
    width = min(data.shape[1], cols)
    return int(np.maximum(np.minimum(rows + offsets, width) - np.maximum(offsets, 0), 0).sum())


# -- joining ----------------------------------------------------------------------------------------------------------------


def kron(a: Any, b: Any, index: Any) -> tuple[Array, ...]:
    m, n = matrix(a), matrix(b)
    row = (m.row.astype(index)[:, None] * n.shape[0] + n.row.astype(index)).ravel()
    col = (m.col.astype(index)[:, None] * n.shape[1] + n.col.astype(index)).ravel()
    return (m.data[:, None] * n.data).ravel(), row, col


def block(blocks: Any, offsets: Any, dtype: Any, index: Any) -> tuple[Array, ...]:
    made = [matrix(b) for b in blocks]
    moved = zip(made, offsets, strict=True)
    rows, cols = zip(
        *((m.row.astype(index) + index.type(r), m.col.astype(index) + index.type(c)) for m, (r, c) in moved),
        strict=True,
    )
    return np.concatenate([m.data.astype(dtype) for m in made]), np.concatenate(rows), np.concatenate(cols)


def stack(blocks: Any, dtype: Any, index: Any) -> tuple[Array, ...]:
    made = [matrix(b) for b in blocks]
    starts = np.cumsum([0, *(m.data.size for m in made)])
    pieces = [m.indptr[:-1].astype(index) + index.type(s) for m, s in zip(made, starts[:-1], strict=True)]
    indptr = np.concatenate([*pieces, np.array([starts[-1]], index)])
    return (
        np.concatenate([m.data.astype(dtype) for m in made]),
        np.concatenate([m.indices.astype(index) for m in made]),
        indptr,
    )


# -- diagonals ---------------------------------------------------------------------------------------------------------------


def diagonal(a: Any, k: int) -> Array:
    m = matrix(a)
    rows, cols = m.shape
    if k <= -rows or k >= cols:
        return np.zeros(0, m.dtype)
    if m.format == "dia":
        (where,) = np.nonzero(m.offsets == k)
        first, last = max(0, k), min(rows + k, cols)
        found = m.data[where[0], first:last] if where.size else np.zeros(0, m.dtype)
        return np.concatenate([found, np.zeros(last - first - found.size, m.dtype)])
    row, col, data = triplets(m)
    made = np.zeros(min(rows + min(k, 0), cols - max(k, 0)), m.dtype)
    on = col - row == k
    np.add.at(made, row[on] + min(k, 0), data[on])
    return made


def set_diagonal(a: Any, values: Array, k: int) -> tuple[Array, ...]:
    """`values`: what is set, from the diagonal's beginning; what is beyond them stays."""
    m = matrix(a)
    row, col, data = triplets(m)
    place = np.arange(values.size)
    keep = (col - row != k) | (np.minimum(row, col) >= values.size)
    row = np.concatenate([row[keep], place + max(-k, 0)])
    col = np.concatenate([col[keep], place + max(k, 0)])
    data = np.concatenate([data[keep], values.astype(m.dtype)])
    if m.format == "coo":
        return data, row.astype(a[3].dtype), col.astype(a[3].dtype)
    return parts(compressed(row, col, data, m.shape, m.format), a[3].dtype)


def eliminate_zeros(a: Any) -> tuple[Array, ...]:
    m = matrix(a)
    keep = m.data != 0
    if m.format == "coo":
        return m.data[keep], m.row[keep], m.col[keep]
    counts = np.concatenate([[0], np.cumsum(keep)])
    return m.data[keep], m.indices[keep].astype(a[3].dtype, copy=False), counts[m.indptr].astype(a[3].dtype)


_FUNCTIONS = (
    convert, from_dense, to_dense, expand, coalesce, sort, flags, bounds, nonzero, triangle, reshape, dia_stored, kron, block, stack,
    diagonal, set_diagonal, eliminate_zeros,
)  # fmt: skip
OPS: dict[str, Callable[..., Any]] = {PREFIX + f.__name__: f for f in _FUNCTIONS}
__all__ = ["OPS", "sp"]
