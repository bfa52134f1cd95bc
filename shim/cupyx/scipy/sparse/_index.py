"""Indexing of CSR and CSC: keys to (rows, columns), reads and assignments.

A row or column of a key is an int, a slice, or an array of ints on the device of one or two dimensions. Cases of reads:
  - two ints: an element, 0-d.
  - an int, a slice or a one-dimensional array each way: whole rows and columns, `take`; an int is a slice of one. Two arrays are
    pairs instead:
  - pairs of indices of the same shape: `sample`, dense for one dimension, sparse for two.
  - (n, 1) and (m,) or (1, m): the outer product, `take`.
Indices of arrays beyond the shape wrap, as in CuPy.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from . import _host, _ops
from ._base import issparse, sparray
from ._ops import cp
from ._sputils import isdense

INTS = (int, np.integer)
_BOOLS = (bool, np.bool_)
_ALL = slice(None)
_TOO_MANY = "Indexing that leads to more than 2 dimensions is not supported"


class IndexMixin:
    """`__getitem__` and `__setitem__`."""

    # -- reads ------------------------------------------------------------------------------------------------------------

    def __getitem__(self: Any, key: Any) -> Any:
        if self.ndim == 1:
            return self._getitem_1d(key)
        row, col = self._parse_indices(key)
        made = self._getitem_2d(row, col)
        if isinstance(self, sparray) and issparse(made) and isinstance(row, INTS) != isinstance(col, INTS):
            # An int takes an axis away.
            return made.tocoo().reshape((made._shape[1 if isinstance(row, INTS) else 0],))
        return made

    def _getitem_2d(self: Any, row: Any, col: Any) -> Any:
        kinds = (_kind(row), _kind(col))
        if kinds == ("int", "int"):
            return _ops.on("item", self, int(row), int(col))
        if kinds == ("slice", "slice") and row == _ALL == col:
            return self.copy()
        if "array" not in kinds:
            return self._take(row, col)
        if kinds != ("array", "array"):
            lines, other = (row, col) if kinds[0] == "array" else (col, row)
            if lines.ndim == 2 and (kinds[0] == "slice" or kinds[1] == "slice" or kinds[0] == "int"):
                raise IndexError("index results in >2 dimensions")
            lines = lines.ravel()
            return self._take(lines, other) if kinds[0] == "array" else self._take(other, lines)
        if row.ndim == 2 and row.shape[1] == 1 and (col.ndim == 1 or col.shape[0] == 1):
            return self._take(row[:, 0], col.ravel())
        row, col = _broadcast(row, col)
        if row.size == 0:
            return type(self)(cp.atleast_2d(row).shape, dtype=self.dtype)
        values = _ops.on("sample", self, row.ravel(), col.ravel())
        if row.ndim == 1:
            return values if isinstance(self, sparray) else values[None, :]
        return type(self)(values.reshape(row.shape))

    def _take(self: Any, rows: Any, cols: Any) -> Any:
        """Whole rows and columns."""
        if not self.__dict__.get("_has_sorted_indices", True):
            known = None
        else:
            # Lines in rising order keep what is known of them; columns in another order do not.
            known = self if not isdense(cols if self.format == "csr" else rows) else None
        sizes = []
        keys: list[Any] = []
        for key, length in ((rows, self._shape[0]), (cols, self._shape[1])):
            size, start, step = _lines(key, length)
            sizes.append(key.size if isdense(key) else size)
            keys += [key if isdense(key) else size, start, step]
            if known is not None and step < 0 and key is (cols if self.format == "csr" else rows):
                known = None
        return self._of(tuple(sizes), *_ops.on("take", self, *keys), like=known)

    def _line(self: Any, i: Any, axis: int) -> slice:
        """A slice of one row or column. Raises IndexError."""
        i = normalize_index(i, self._shape[axis], ("row", "column")[axis])
        return slice(i, i + 1)

    # -- one dimension -----------------------------------------------------------------------------------------------------

    def _getitem_1d(self: Any, key: Any) -> Any:
        key, before, after = _normalize_1d_key(key)
        made = self._getitem_1d_axis(key)
        if not before and not after:
            return made
        if not issparse(made):
            if before + after > 2:
                raise IndexError(_TOO_MANY)
            return type(self)((cp.atleast_1d if before + after == 1 else cp.atleast_2d)(made))
        if made.ndim != 1 or before + after > 1:
            raise IndexError(_TOO_MANY)
        (n,) = made.shape
        return made.reshape((1, n) if before else (n, 1))

    def _getitem_1d_axis(self: Any, key: Any) -> Any:
        backing = self._as_2d()
        row, col = backing._parse_indices((0, key))
        if isdense(col) and col.ndim == 2:
            return self._squeeze_to_1d(backing._getitem_2d(0, col.ravel())).reshape(col.shape)
        made = backing._getitem_2d(row, col)
        return self._squeeze_to_1d(made) if issparse(made) else made

    # -- assignments --------------------------------------------------------------------------------------------------------

    def __setitem__(self: Any, key: Any, x: Any) -> None:
        if self.ndim == 1:
            key, _, _ = _normalize_1d_key(key)
            x = x._as_2d() if issparse(x) else x
            self._on_backing("__setitem__", (0, key), x)
            return
        row, col = self._parse_indices(key)
        if isinstance(row, INTS) and isinstance(col, INTS):
            x = cp.asarray(x.toarray() if issparse(x) else x, dtype=self.dtype)
            if x.size != 1:
                raise ValueError("Trying to assign a sequence to an item")
            self._set_many(cp.asarray([row]), cp.asarray([col]), x.reshape(1))
            return
        i, j = _broadcast(*_grids(row, col, self._shape))
        if issparse(x):
            self._set_sparse(i, j, x)
            return
        x = cp.broadcast_arrays(cp.asarray(x, dtype=self.dtype), i)[0]
        if x.size:
            self._set_many(i, j, x.reshape(i.shape))

    def _set_sparse(self: Any, i: Any, j: Any, x: Any) -> None:
        """Elements that `x` does not store become zero where they are stored here."""
        if i.ndim == 1:
            i, j = i[None], j[None]
        rows, cols = i.shape
        repeat_rows, repeat_cols = x.shape[0] == 1 != rows, x.shape[1] == 1 != cols
        if not ((repeat_rows or x.shape[0] == rows) and (repeat_cols or x.shape[1] == cols)):
            raise ValueError("shape mismatch in assignment")
        places = _ops.on("locate", self, i.ravel(), j.ravel())
        self.data[places[places > -1]] = 0
        x = x.tocoo(copy=True)
        x.sum_duplicates()
        r, c, values = x.row, x.col, _as_dtype(x.data, self.dtype)
        if repeat_rows:
            r, c, values = cp.repeat(cp.arange(rows), r.size), cp.tile(c, rows), cp.tile(values, rows)
        if repeat_cols:
            r, c, values = cp.repeat(r, cols), cp.tile(cp.arange(cols), c.size), cp.repeat(values, cols)
        if values.size:
            self._set_many(i[r, c], j[r, c], values)

    def _set_many(self: Any, i: Any, j: Any, x: Any) -> None:
        """Set elements at pairs of indices. Waits: whether all are stored already decides what happens, as in CuPy."""
        i, j, x = i.ravel(), j.ravel(), x.ravel()
        places = _ops.on("locate", self, i, j)
        stored = places > -1
        self.data[places[stored]] = x[stored]
        if bool(stored.all()):
            return
        text = f"Changing the sparsity structure of a {self.format}_matrix is expensive."
        warnings.warn(text, _host.efficiency_warning(), stacklevel=4)
        new = ~stored
        canonical = self._known_canonical()
        self._adopt(*_ops.on("insert", self, i[new], j[new], x[new]), canonical=canonical, is_sorted=True)

    # -- keys -----------------------------------------------------------------------------------------------------------------

    def _parse_indices(self: Any, key: Any) -> tuple[Any, Any]:
        return tuple(
            self._parse_index(index, length, name)
            for index, length, name in zip(_unpack_index(key), self._shape, ("row", "column"), strict=True)
        )

    def _parse_index(self: Any, index: Any, length: int, name: str) -> Any:
        if isinstance(index, (cp.ndarray, np.ndarray)) and index.ndim == 0:
            index = index.item()
        if isinstance(index, INTS):
            return normalize_index(index, length, name)
        if isinstance(index, slice):
            return index
        try:
            made = cp.asarray(index, dtype=self.indices.dtype)
        except (ValueError, TypeError, MemoryError):
            raise IndexError("invalid index") from None
        if made.ndim not in (1, 2):
            raise IndexError("Index dimension must be <= 2")
        return made


def _as_dtype(array: Any, dtype: Any) -> Any:
    return array if array.dtype == dtype else array.astype(dtype)


def _kind(index: Any) -> str:
    return "int" if isinstance(index, INTS) else "slice" if isinstance(index, slice) else "array"


def _lines(key: Any, length: int) -> tuple[int, int, int]:
    """(number of lines, first, step) of an int or a slice; zeros for an array."""
    if isinstance(key, INTS):
        return 1, int(key), 1
    if isinstance(key, slice):
        start, stop, step = key.indices(length)
        return len(range(start, stop, step)), start, step
    return 0, 0, 1


def _broadcast(row: Any, col: Any) -> tuple[Any, Any]:
    try:
        row, col = cp.broadcast_arrays(row, col)
    except ValueError:
        raise IndexError(
            f"shape mismatch: indexing arrays could not be broadcast together with shapes {row.shape} {col.shape}"
        ) from None
    return row, col


def _grids(row: Any, col: Any, shape: Any) -> tuple[Any, Any]:
    """Rows and columns of an assignment as arrays that broadcast to the assigned elements."""
    lines = isinstance(row, slice)
    row = (
        cp.arange(*row.indices(shape[0]))[:, None] if lines else cp.atleast_1d(row if isdense(row) else cp.asarray(row))
    )
    if isinstance(col, slice):
        col = cp.arange(*col.indices(shape[1]))[None, :]
        return (row[:, None] if row.ndim == 1 else row), col
    return row, cp.atleast_1d(col if isdense(col) else cp.asarray(col))


def _normalize_1d_key(key: Any) -> tuple[Any, int, int]:
    """(index of the axis, new axes before it, new axes after it). Raises IndexError."""
    keys = key if isinstance(key, tuple) else (key,)
    if sum(k is Ellipsis for k in keys) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    real = [n for n, k in enumerate(keys) if k is not None and k is not Ellipsis]
    if len(real) > 1:
        raise IndexError(f"too many indices for array: array is 1-dimensional, but {len(real)} were indexed")
    if real:
        place, index = real[0], keys[real[0]]
    else:
        place = next((n for n, k in enumerate(keys) if k is Ellipsis), len(keys))
        index = _ALL
    before = sum(k is None for k in keys[:place])
    return index, before, sum(k is None for k in keys[place:])


def _unpack_index(index: Any) -> tuple[Any, Any]:
    """A key as (row, column). Raises IndexError."""
    is_matrix = issparse(index) or isinstance(index, (cp.ndarray, np.ndarray)) or _host.is_sparse(index)
    if is_matrix and index.ndim == 2 and index.dtype.kind == "b":
        return index.nonzero()  # type: ignore[no-any-return]
    index = _eliminate_ellipsis(index)
    if isinstance(index, tuple):
        if len(index) > 2:
            raise IndexError("invalid number of indices")
        row, col = (*index, _ALL, _ALL)[:2]
    else:
        mask = _boolean(index)
        if mask is not None and mask.ndim == 2:
            return mask.nonzero()  # type: ignore[no-any-return]
        row, col = index, _ALL
    if issparse(row) or issparse(col):
        raise IndexError(
            "Indexing with sparse matrices is not supported except boolean indexing where matrix and index are equal shapes."
        )
    return _without_mask(row), _without_mask(col)


def _eliminate_ellipsis(index: Any) -> Any:
    if index is Ellipsis:
        return (_ALL, _ALL)
    if not isinstance(index, tuple) or not any(k is Ellipsis for k in index):
        return index
    first = next(n for n, k in enumerate(index) if k is Ellipsis)
    tail = tuple(k for k in index[first + 1 :] if k is not Ellipsis)
    return (*index[:first], *(_ALL,) * max(0, 2 - first - len(tail)), *tail)


def normalize_index(i: Any, length: int, name: str) -> int:
    if not -length <= i < length:
        raise IndexError(f"{name} ({i}) out of range")
    return int(i) + length if i < 0 else int(i)


def _starts_with_bool(index: Any, depth: int = 2) -> bool:
    if depth < 1:
        return False
    try:
        first = index[0] if len(index) > 0 else None
    except TypeError:
        return False
    return isinstance(first, _BOOLS) or _starts_with_bool(first, depth - 1)


def _boolean(index: Any) -> Any:
    """A mask as an array; None for what is none."""
    if hasattr(index, "ndim"):
        return index if index.dtype.kind == "b" else None
    return cp.asarray(index, dtype=bool) if _starts_with_bool(index) else None


def _without_mask(index: Any) -> Any:
    """A mask of one dimension as indices."""
    mask = _boolean(index)
    if mask is None:
        return index
    if mask.ndim > 1:
        raise IndexError("invalid index shape")
    return cp.nonzero(cp.asarray(mask))[0]
