"""COO: a row index, a column index and a value per stored element."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from . import _host, _ops, _sputils
from ._base import issparse, sparray, spmatrix
from ._data import _data_matrix, _diagonal_mixin
from ._index import INTS, normalize_index
from ._ops import cp
from ._sputils import as_dtype, isdense, isscalarlike


class _coo_base(_diagonal_mixin, _data_matrix):
    """COO, matrix or array. An array of one dimension has rows of zeros, and its indices in `col`."""

    format = "coo"
    #: Whether elements are known to be sorted by rows and without duplicates. Never asked of the device.
    has_canonical_format: bool
    row: Any
    col: Any

    def __init__(
        self, arg1: Any, shape: Any = None, dtype: Any = None, copy: bool = False, *, maxprint: Any = None
    ) -> None:
        if maxprint is not None:
            self.maxprint = maxprint
        if shape is not None:
            if len(shape) not in self._allow_nd:
                raise self._unsupported_ndim_error()
            shape = _sputils.as_shape(shape, self._allow_nd)
        (data, row, col), shape, copy, trusted = self._parts_of(arg1, shape, dtype, copy)
        dtype = data.dtype if dtype is None else np.dtype(dtype)
        _sputils.check_data_dtype(dtype)
        self.data = data.astype(dtype) if copy else as_dtype(data, dtype)
        index, shape = self._index_and_shape(row, col, shape, trusted)
        self.row = row.astype(index) if copy else as_dtype(row, index)
        self.col = col.astype(index) if copy else as_dtype(col, index)
        self._shape = _sputils.as_shape(shape, self._allow_nd)

    def _parts_of(self, arg1: Any, shape: Any, dtype: Any, copy: bool) -> tuple[tuple[Any, Any, Any], Any, bool, bool]:
        """((data, row, col), shape, whether they must still be copied, whether the indices are right).

        Cases: a matrix of ours, a shape, a matrix of SciPy, (data, coordinates), a dense array.
        """
        if issparse(arg1):
            _sputils.check_input_ndim(shape, arg1.ndim)
            x = arg1.asformat("coo")
            self.has_canonical_format = x.has_canonical_format
            trusted = shape is None or tuple(shape) == tuple(arg1.shape)
            return (x.data, x.row, x.col), shape or arg1.shape, copy and x is arg1, trusted
        if _sputils.isshape(arg1, self._allow_nd):
            size = _sputils.as_shape(arg1, self._allow_nd)
            self.has_canonical_format = True
            empty = cp.zeros(0, _sputils.index_type(max(size)))
            return (cp.zeros(0, dtype if dtype else "d"), empty, empty.copy()), size, False, True
        if _host.is_sparse(arg1):
            return self._of_scipy(arg1, shape)
        if isinstance(arg1, tuple) and len(arg1) == 2:
            self.has_canonical_format = False
            return self._given_coordinates(*arg1, shape), shape, copy, False
        if isdense(arg1):
            self.has_canonical_format = True
            return self._of_dense(arg1, shape)
        if isinstance(self, sparray) and isinstance(arg1, tuple) and arg1 and _sputils.isshape(arg1, (len(arg1),)):
            raise self._unsupported_ndim_error()
        raise TypeError("invalid input format")

    def _of_scipy(self, x: Any, shape: Any) -> tuple[tuple[Any, Any, Any], Any, bool, bool]:
        _sputils.check_input_ndim(shape, x.ndim)
        x = x.tocoo()
        self.has_canonical_format = bool(x.has_canonical_format)
        if x.ndim == 1:
            (coordinate,) = x.coords
            return (
                (cp.array(x.data), cp.zeros(coordinate.shape, coordinate.dtype), cp.array(coordinate)),
                shape or x.shape,
                False,
                False,
            )
        return (cp.array(x.data), cp.array(x.row), cp.array(x.col)), shape or x.shape, False, False

    def _of_dense(self, x: Any, shape: Any) -> tuple[tuple[Any, Any, Any], Any, bool, bool]:
        if x.ndim > 2:
            raise TypeError("expected dimension <= 2 array or matrix")
        if x.ndim == 0 and isinstance(self, sparray):
            raise TypeError(f"{type(self).__name__} does not support scalar (0-D) input; provide a 1-D or 2-D array")
        if x.ndim:
            _sputils.check_input_ndim(shape, x.ndim)
        is_1d = x.ndim == 1 and 1 in self._allow_nd
        made = _ops.run("from_dense", cp.atleast_2d(x), "coo")
        if isinstance(self, sparray):
            made = (made[0], made[1].astype(np.int64), made[2].astype(np.int64))
        given = x.shape if is_1d else cp.atleast_2d(x).shape
        return made, shape or given, False, shape is None or tuple(shape) == given

    def _given_coordinates(self, data: Any, coords: Any, shape: Any) -> tuple[Any, Any, Any]:
        if isdense(coords) and coords.ndim != 2:
            raise TypeError("invalid input format")
        try:
            coords = tuple(coords)
        except TypeError:
            raise TypeError("invalid input format") from None
        one = len(coords) == 1 and 1 in self._allow_nd
        if not one and len(coords) != 2:
            raise ValueError("invalid number of coordinate arrays")
        names = "coordinate and data" if one else "row, column, and data"
        if not all(isdense(x) and x.ndim == 1 for x in (data, *coords)):
            raise ValueError(f"{names} arrays must be 1-D")
        if any(len(x) != len(data) for x in coords):
            raise ValueError(f"{names} array must all be the same length")
        if shape is not None and len(shape) != len(coords):
            raise ValueError(f"mismatching number of index arrays for shape; got {len(coords)}, expected {len(shape)}")
        if one:
            self._shape = (0,)
            return data, cp.zeros_like(coords[0]), coords[0]
        self._shape = (0, 0)
        return data, *coords

    def _index_and_shape(self, row: Any, col: Any, shape: Any, trusted: bool) -> tuple[Any, Any]:
        """The index dtype, and the shape, which the indices tell where it was not given.

        Indices of the program are looked at, which waits: CuPy does so too.
        """
        largest = None if shape is None else max(shape)
        if trusted:
            narrow = not isinstance(self, sparray) and largest is not None and largest <= np.iinfo(np.int32).max
            wide = [x for x in (row, col) if not np.can_cast(x.dtype, np.int32)]
            index = np.int32 if narrow else np.int64 if wide else _sputils.index_type(largest or 0)
            return index, shape
        if shape is None and (len(row) == 0 or len(col) == 0):
            raise ValueError("cannot infer dimensions from zero sized index arrays")
        one = len(shape if shape is not None else self._shape) == 1
        row_low, row_high, col_low, col_high = _ops.bounds((row, col)) if len(row) else (0, -1, 0, -1)
        if shape is None:
            shape = (col_high + 1,) if one else (row_high + 1, col_high + 1)
        for name, low, high, bound in (("row", row_low, row_high, shape[0]), ("column", col_low, col_high, shape[-1])):
            if one and name == "row":
                continue
            if high >= bound:
                raise ValueError(f"{name} index exceeds matrix dimensions")
            if low < 0:
                raise ValueError(f"negative {name} index found")
        wide = [x for x in (row, col) if not np.can_cast(x.dtype, np.int32)]
        if wide and (isinstance(self, sparray) or max(row_high, col_high) > np.iinfo(np.int32).max):
            return np.int64, shape
        return _sputils.index_type(largest or 0), shape

    def _unsupported_ndim_error(self) -> ValueError:
        which = "1-D and 2-D" if 1 in self._allow_nd else "two-dimensional"
        return ValueError(f"Only {which} sparse arrays are supported.")

    @classmethod
    def _of(cls, shape: Any, data: Any, row: Any, col: Any, *, canonical: bool = False) -> Self:
        """An instance around arrays that are right."""
        made = cls.__new__(cls)
        made.data, made.row, made.col, made._shape, made.has_canonical_format = data, row, col, shape, canonical
        return made

    @classmethod
    def _from_parts(cls, data: Any, row: Any, col: Any, shape: Any, has_canonical_format: bool = False) -> Self:
        """An instance around arrays whose contents are right, after looking at their shapes and dtypes. Never looks at data.

        Raises:
            ValueError: they do not fit each other or the shape.
        """
        shape = _sputils.as_shape(shape, cls._allow_nd)
        if data.ndim != 1 or row.ndim != 1 or col.ndim != 1:
            raise ValueError(f"data, row, and col must be 1-D, got ndim {data.ndim}, {row.ndim}, {col.ndim}")
        if row.dtype != col.dtype:
            raise ValueError(f"row and col must have the same dtype, got {row.dtype} and {col.dtype}")
        known = all(x._spec is not None for x in (data, row, col))
        if known and not data.size == row.size == col.size:
            raise ValueError(
                f"data, row, and col must have the same length, got {data.size}, {row.size}, and {col.size}"
            )
        if max(shape) > np.iinfo(row.dtype).max:
            raise ValueError(f"shape {shape} too large for index dtype {row.dtype}")
        return cls._of(shape, data, row, col, canonical=has_canonical_format)

    # -- copies -----------------------------------------------------------------------------------------------------------

    def _with_data(self, data: Any, copy: bool = True) -> Any:
        row, col = (self.row.copy(), self.col.copy()) if copy else (self.row, self.col)
        return self._of(self._shape, data, row, col, canonical=self.has_canonical_format)

    @property
    def coords(self) -> tuple[Any, ...]:
        """The index arrays, one per dimension."""
        return (self.col,) if self.ndim == 1 else (self.row, self.col)

    @coords.setter
    def coords(self, value: Any) -> None:
        if not isinstance(value, tuple) or len(value) != self.ndim:
            raise ValueError(f"coords must be a {self.ndim}-tuple of arrays")
        if self.ndim == 1:
            (self.col,) = value
            self.row = cp.zeros_like(self.col)
        else:
            self.row, self.col = value

    def _as_2d(self) -> Any:
        if self.ndim == 2:
            return self
        return self._of(self._shape_as_2d, self.data, self.row, self.col, canonical=self.has_canonical_format)

    def _summed(self) -> Any:
        if self.has_canonical_format:
            return self
        return self._of(self._shape, *_ops.on("coalesce", self), canonical=True)

    def get(self, stream: Any = None) -> Any:
        """A copy as an object of `scipy.sparse`. Waits.

        Raises:
            RuntimeError: SciPy is not installed here.
        """
        cls = _host.matching(self, "array" if isinstance(self, sparray) else "matrix")
        data, col = self.data.get(stream), self.col.get(stream)
        coords = (col,) if self.ndim == 1 else (self.row.get(stream), col)
        return cls((data, coords), shape=self._shape)

    # -- elements ----------------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(self, sparray):
            raise TypeError(f"'{type(self).__name__}' object is not subscriptable")
        place = self._scalar_place(key)
        if place is not None:
            mask = self.col == place[-1] if self.ndim == 1 else (self.row == place[0]) & (self.col == place[1])
            total = self.data[mask].sum()
            return total.astype(self.dtype) if self.dtype.kind == "b" else total
        made = self.tocsr()[key]
        if issparse(made):
            return made.tocoo()
        return type(self)(made) if isdense(made) and made.ndim else made

    def _scalar_place(self, key: Any) -> tuple[int, ...] | None:
        """The indices of one element; None for a key of another kind."""
        if self.ndim == 1:
            return (normalize_index(key, self._shape[0], "index"),) if isinstance(key, INTS) else None
        if not (isinstance(key, tuple) and len(key) == 2 and all(isinstance(k, INTS) for k in key)):
            return None
        return tuple(normalize_index(k, n, w) for k, n, w in zip(key, self._shape, ("row", "column"), strict=True))

    def _put_diagonal(self, values: Any, k: int) -> None:
        self.data, self.row, self.col = _ops.on("set_diagonal", self, values, k)
        self.has_canonical_format = False

    def eliminate_zeros(self) -> None:
        """Remove stored zeros, in place."""
        self.data, self.row, self.col = _ops.on("eliminate_zeros", self)

    def sum_duplicates(self) -> None:
        """Sum elements of equal places, in place; sorts by rows, then columns."""
        if not self.has_canonical_format:
            self.data, self.row, self.col = _ops.on("coalesce", self)
            self.has_canonical_format = True

    def _getnnz(self, axis: Any = None) -> int:
        if axis is None:
            return int(self.data.size)
        raise NotImplementedError("getnnz over an axis is not implemented for COO format")

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """The same elements in another shape; itself where the shape is its own."""
        new = _sputils.check_shape(shape, self._shape, allow_nd=self._allow_nd)
        if new == self._shape:
            return self
        if order not in ("C", "F"):
            raise ValueError("'order' must be 'C' or 'F'")
        row, col = _ops.on("reshape", self, (1, new[0]) if len(new) == 1 else new, order)
        return self._of(new, self.data, row, col)

    def dot(self, other: Any) -> Any:
        """Product with a matrix, an array or a scalar."""
        return self._with_data(self.data * other) if isscalarlike(other) else self @ other

    # -- formats -----------------------------------------------------------------------------------------------------------

    def toarray(self, order: Any = None, out: Any = None) -> Any:
        """As a dense array."""
        order = "C" if order is None else order.upper()
        if order not in ("C", "F"):
            raise ValueError("order not understood")
        made = _ops.on("to_dense", self, order)
        return made if self.ndim == 2 else made.reshape(self._shape)

    def tocoo(self, copy: bool = False) -> Any:
        """Itself, or a copy."""
        return self.copy() if copy else self

    def tocsc(self, copy: bool = False) -> Any:
        """In CSC format, duplicates summed."""
        if self.ndim == 1:
            raise ValueError("Cannot convert a 1-D sparse array to csc format")
        made = _ops.on("convert", self, "csc", self.has_canonical_format)
        return self._csc_container._of(self._shape, *made, canonical=True)

    def tocsr(self, copy: bool = False) -> Any:
        """In CSR format, duplicates summed."""
        made = _ops.on("convert", self, "csr", self.has_canonical_format)
        return self._csr_container._of(self._shape, *made, canonical=True)

    def transpose(self, axes: Any = None, copy: bool = False) -> Any:
        """With the axes exchanged; the arrays are shared unless `copy`."""
        if axes is not None:
            raise ValueError(
                "Sparse matrices do not support an 'axes' parameter because swapping dimensions is the only logical permutation."
            )
        if self.ndim == 1:
            return self.copy() if copy else self
        arrays = (self.data, self.col, self.row)
        if copy:
            arrays = tuple(x.copy() for x in arrays)
        return self._of(self._shape[::-1], *arrays)


class coo_matrix(spmatrix, _coo_base):
    """Coordinate matrix: `coo_matrix((data, (row, col)), shape=…)`; or of what `csr_matrix` is made of."""


class coo_array(_coo_base, sparray):
    """Coordinate array: as `coo_matrix` with elementwise `*`; of one or two dimensions."""

    _allow_nd = (1, 2)


def isspmatrix_coo(x: Any) -> bool:
    """Whether `x` is a `coo_matrix`."""
    return isinstance(x, coo_matrix)
