"""Operands of sparse ops as SciPy's objects, and SciPy's objects as the arrays of results.

Nothing is copied on the way in. Indices are looked at first: SciPy's loops trust them, and a program may have written anything into
its arrays. Results get the dtypes that the rule of the op promises (`cupool.contract.ops.scipy._rules_sparse`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

Array = np.ndarray[Any, Any]


def _check_indices(indices: Array, bound: int, what: str) -> None:
    if indices.size and (int(indices.min()) < 0 or int(indices.max()) >= bound):
        raise ValueError(f"a sparse matrix has {what} indices outside 0 .. {bound - 1}")


def _compressed(make: Any, major_axis: int) -> Callable[..., Any]:
    what = ("column", "row")[major_axis]

    def build(shape: tuple[int, int], data: Array, indices: Array, indptr: Array) -> Any:
        major, minor = shape[major_axis], shape[1 - major_axis]
        if indptr.shape != (major + 1,):
            raise ValueError(f"index pointer size ({indptr.size}) should be ({major + 1})")
        stored = int(indptr[-1])
        if indptr[0] != 0 or stored > min(data.size, indices.size) or (np.diff(indptr) < 0).any():
            raise ValueError(f"a sparse matrix has an index pointer that does not rise from 0 to at most {data.size}")
        data, indices = data[:stored], indices[:stored]
        _check_indices(indices, minor, what)
        return make((data, indices, indptr), shape=shape)

    return build


def _coo(shape: tuple[int, int], data: Array, row: Array, col: Array) -> Any:
    if not data.shape == row.shape == col.shape:
        raise ValueError("row, column, and data array must all be the same length")
    _check_indices(row, shape[0], "row")
    _check_indices(col, shape[1], "column")
    return sp.coo_array((data, (row, col)), shape=shape)


def _dia(shape: tuple[int, int], data: Array, offsets: Array) -> Any:
    return sp.dia_array((data, offsets), shape=shape)


_BUILD: dict[str, Callable[..., Any]] = {
    "csr": _compressed(sp.csr_array, 0),
    "csc": _compressed(sp.csc_array, 1),
    "coo": _coo,
    "dia": _dia,
}


def matrix(operand: Any) -> Any:
    """The SciPy array of an operand. Raises ValueError where its arrays make no matrix."""
    format, shape, *arrays = operand
    return _BUILD[format](tuple(shape), *arrays)


def canonical(operand: Any, format: str | None = None) -> Any:
    """As `matrix`, with sorted indices and without duplicates, as csr or csc (None: csc stays, all else is csr).

    Never the operand's own arrays changed.
    """
    m = matrix(operand)
    if format is None:
        format = "csc" if m.format == "csc" else "csr"
    if m.format == format:
        if not m.has_canonical_format:
            m = m.copy()
            m.sum_duplicates()
        return m
    m = m.asformat(format)
    m.sum_duplicates()
    return m


def triplets(m: Any) -> tuple[Array, Array, Array]:
    """row, col, data of a compressed or coo matrix, in the order in which it stores its elements."""
    if m.format == "coo":
        return m.row, m.col, m.data
    counts = np.diff(m.indptr)
    major = np.repeat(np.arange(counts.size, dtype=m.indices.dtype), counts)
    return (major, m.indices, m.data) if m.format == "csr" else (m.indices, major, m.data)


def by_rows(operand: Any) -> tuple[Array, Array, Array]:
    """row, col, data without duplicates, in the order of rows, then columns."""
    if operand[0] == "csr":
        return triplets(canonical(operand, "csr"))
    row, col, data = triplets(matrix(operand))  # not through csr: the rows may be more than memory has room for
    order = np.lexsort((col, row))
    row, col, data = row[order], col[order], data[order]
    if not row.size:
        return row, col, data
    first = np.concatenate([[True], (np.diff(row) != 0) | (np.diff(col) != 0)])
    if first.all():
        return row, col, data
    starts = np.flatnonzero(first)
    return row[starts], col[starts], (np.logical_or if data.dtype == bool else np.add).reduceat(data, starts)


#: An axis that is longer than the stored elements by so much is not given to SciPy's loops: they keep an array of its length.
LONG_AXIS = 1 << 22


def is_long(length: int, stored: int) -> bool:
    """Whether SciPy must not see an axis of this length."""
    return length > LONG_AXIS and length > 8 * stored


def compressed(row: Array, col: Array, data: Array, shape: tuple[int, int], format: str = "csr") -> Any:
    """A canonical matrix of triplets, duplicates summed, stored zeros kept."""
    made: Any = sp.coo_array((data, (row, col)), shape=shape)
    return made.asformat(format)


def index_dtype(*operands: Any) -> Any:
    """The dtype of the indices of a result of these operands."""
    return np.result_type(*(o[3].dtype for o in operands))


def parts(m: Any, index: Any, dtype: Any = None) -> tuple[Array, ...]:
    """The arrays of a result, as a rule's `parts` promises them."""
    data = m.data if dtype is None or m.data.dtype == dtype else m.data.astype(dtype)
    if m.format == "coo":
        return data, m.row.astype(index, copy=False), m.col.astype(index, copy=False)
    return data, m.indices.astype(index, copy=False), m.indptr.astype(index, copy=False)
