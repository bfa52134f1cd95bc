"""Elements of sparse matrices: read, found, set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from cupool.contract.ops.scipy.sparse import PREFIX

from ._matrix import Array, is_long, matrix, parts, triplets


def item(a: Any, i: int, j: int) -> Array:
    m = matrix(a)
    major, minor = (i, j) if m.format == "csr" else (j, i)
    line = slice(m.indptr[major], m.indptr[major + 1])
    found = m.data[line][m.indices[line] == minor]
    return np.asarray(found.sum() if found.dtype != bool else found.any(), m.dtype)


def _key(key: Array, n: int) -> Array:
    """Indices beyond the axis wrap."""
    return np.mod(key, n) if n else key


def _lines(key: Any, start: int, step: int, n: int) -> Any:
    """Indices of an axis as SciPy takes them; the slice of a rising range, which it is quick at."""
    if not isinstance(key, int):
        return _key(key, n)
    return slice(start, start + key, 1) if step == 1 else start + step * np.arange(key)


def take(
    a: Any, rows: Any, row_start: int, row_step: int, cols: Any, col_start: int, col_step: int
) -> tuple[Array, ...]:
    m = matrix(a)
    row, col = (rows, row_start, row_step), (cols, col_start, col_step)
    if is_long(m.shape[1 if m.format == "csr" else 0], m.data.size):
        return _narrowed(m, row, col, a[3].dtype) if m.format == "csr" else _narrowed(m, col, row, a[3].dtype)
    i, j = _lines(*row, m.shape[0]), _lines(*col, m.shape[1])
    made = m[i, :][:, j] if m.format == "csr" else m[:, j][i, :]
    return parts(made.asformat(m.format), a[3].dtype)


def _narrowed(m: Any, majors: tuple[Any, int, int], minors: tuple[Any, int, int], index: Any) -> tuple[Array, ...]:
    """As `take` in memory that does not depend on the minor axis."""
    lines: Any = _lines(*majors, m.indptr.size - 1)
    lines = np.arange(lines.start, lines.stop) if isinstance(lines, slice) else lines
    counts = np.diff(m.indptr)[lines]
    starts = m.indptr[:-1][lines]
    place = np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    major, minor = np.repeat(np.arange(lines.size), counts), m.indices[place].astype(np.int64)
    key, start, step = minors
    if isinstance(key, int):
        nth, rest = np.divmod(minor - start, step)
        keep = np.flatnonzero((rest == 0) & (nth >= 0) & (nth < key))
        minor = nth[keep]
    else:
        order = np.argsort(key, kind="stable")
        low = np.searchsorted(key[order], minor, "left")
        times = np.searchsorted(key[order], minor, "right") - low
        keep = np.repeat(np.arange(minor.size), times)
        again = np.arange(keep.size) - np.repeat(np.cumsum(times) - times, times)
        minor = order[low[keep] + again]
    major, data = major[keep], m.data[place][keep]
    by = np.lexsort((minor, major))
    indptr = np.zeros(lines.size + 1, index)
    np.cumsum(np.bincount(major, minlength=lines.size), out=indptr[1:])
    return data[by], minor[by].astype(index), indptr


def sample(a: Any, rows: Array, cols: Array) -> Array:
    m = matrix(a)
    if not rows.size:
        return np.zeros(rows.shape, m.dtype)
    plain = sp.csr_matrix(m.tocsr()) if m.format == "csr" else sp.csc_matrix(m)
    found = plain[_key(rows.ravel(), m.shape[0]), _key(cols.ravel(), m.shape[1])]
    return np.asarray(found).reshape(rows.shape)


def _pairs(m: Any, rows: Array, cols: Array) -> tuple[Array, Array]:
    """One number per stored element and per asked pair; equal where the places are."""
    row, col, _ = triplets(m)
    asked = _key(rows.ravel().astype(np.int64), m.shape[0]), _key(cols.ravel().astype(np.int64), m.shape[1])
    row, col = (np.concatenate([mine.astype(np.int64), theirs]) for mine, theirs in zip((row, col), asked, strict=True))
    if m.shape[0] * m.shape[1] >= 1 << 62:
        _, col = np.unique(col, return_inverse=True)
        _, row = np.unique(row, return_inverse=True)
        keys = row * (int(col.max(initial=0)) + 1) + col
    else:
        keys = row * m.shape[1] + col
    return keys[: m.data.size], keys[m.data.size :]


def locate(a: Any, rows: Array, cols: Array) -> Array:
    m = matrix(a)
    stored, asked = _pairs(m, rows, cols)
    if not stored.size:
        return np.full(rows.shape, -1, np.int64)
    order = np.argsort(stored, kind="stable")
    place = np.minimum(np.searchsorted(stored[order], asked), stored.size - 1)
    found = np.where(stored[order][place] == asked, order[place], -1)
    return found.reshape(rows.shape).astype(np.int64)


def insert(a: Any, rows: Array, cols: Array, values: Array) -> tuple[Array, ...]:
    m = matrix(a)
    _, asked = _pairs(m, rows, cols)
    _, last = np.unique(asked[::-1], return_index=True)
    last = asked.size - 1 - last
    row, col, data = triplets(m)
    row = np.concatenate([row, _key(rows.ravel()[last], m.shape[0])])
    col = np.concatenate([col, _key(cols.ravel()[last], m.shape[1])])
    data = np.concatenate([data, values.ravel()[last].astype(m.dtype)])
    major, minor = (row, col) if m.format == "csr" else (col, row)
    order = np.lexsort((minor, major))
    length = m.indptr.size - 1
    indptr = np.zeros(length + 1, a[3].dtype)
    np.cumsum(np.bincount(major, minlength=length), out=indptr[1:])
    return data[order], minor[order].astype(a[3].dtype), indptr


_FUNCTIONS = (item, take, sample, locate, insert)
OPS: dict[str, Callable[..., Any]] = {PREFIX + f.__name__: f for f in _FUNCTIONS}
