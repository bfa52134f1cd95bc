"""DIA: whole diagonals. Column j of a row of `data` is the element in column j of the matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _host, _ops, _sputils
from ._base import sparray, spmatrix
from ._data import _data_matrix
from ._ops import cp
from ._sputils import isdense


class _dia_base(_data_matrix):
    """DIA, matrix or array."""

    format = "dia"
    offsets: Any

    def __init__(
        self, arg1: Any, shape: Any = None, dtype: Any = None, copy: bool = False, *, maxprint: Any = None
    ) -> None:
        if maxprint is not None:
            self.maxprint = maxprint
        if _host.is_sparse(arg1):
            x = arg1.todia()
            data, offsets, shape, dtype = x.data, x.offsets, x.shape, x.dtype
        elif isinstance(arg1, tuple):
            data, offsets = arg1
            if shape is None:
                raise ValueError("expected a shape argument")
        else:
            raise ValueError("unrecognized form for dia_matrix constructor")
        data = cp.atleast_2d(cp.array(data, dtype=dtype, copy=True if copy else None))
        index = _sputils.index_type(max(shape))
        on_host = None if isdense(offsets) else np.atleast_1d(np.asarray(offsets))
        offsets = cp.atleast_1d(cp.array(offsets, dtype=index, copy=True if copy else None))
        if offsets.ndim != 1:
            raise ValueError("offsets array must have rank 1")
        if data.ndim != 2:
            raise ValueError("data array must have rank 2")
        if data.shape[0] != len(offsets):
            raise ValueError(
                f"number of diagonals ({data.shape[0]}) does not match the number of offsets ({len(offsets)})"
            )
        if on_host is not None:
            repeated = len(np.unique(on_host)) != len(on_host)
        else:
            in_order = cp.sort(offsets)
            repeated = len(offsets) > 1 and bool((in_order[:-1] == in_order[1:]).any())  # waits, as CuPy
        if repeated:
            raise ValueError("offset array contains duplicate values")
        self.data, self.offsets = data, offsets
        self._shape = _sputils.as_shape(shape)

    def _with_data(self, data: Any, copy: bool = True) -> Any:
        made = type(self).__new__(type(self))
        made.data, made.offsets, made._shape = data, self.offsets.copy() if copy else self.offsets, self._shape
        return made

    def _stored_text(self) -> str:
        return f"{self.nnz} stored elements ({len(self.offsets)} diagonals)"

    def get(self, stream: Any = None) -> Any:
        """A copy as an object of `scipy.sparse`. Waits.

        Raises:
            RuntimeError: SciPy is not installed here.
        """
        cls = _host.matching(self, "array" if isinstance(self, sparray) else "matrix")
        return cls((self.data.get(stream), self.offsets.get(stream)), shape=self._shape)

    def _getnnz(self, axis: Any = None) -> int:
        if axis is not None:
            raise NotImplementedError("getnnz over an axis is not implemented for DIA format")
        return int(_ops.on("dia_stored", self))

    def _data_mask(self) -> Any:
        """Which elements of `data` lie inside the matrix."""
        rows, cols = self._shape
        place = cp.arange(self.data.shape[1])
        row = place - self.offsets[:, None]
        return (row >= 0) & (row < rows) & (place < cols)

    def count_nonzero(self, axis: Any = None) -> Any:
        """Number of elements that are not zero. Waits."""
        if axis is not None:
            raise NotImplementedError("count_nonzero over an axis is not implemented for DIA format")
        return int(_ops.on("count", self, None))

    def toarray(self, order: Any = None, out: Any = None) -> Any:
        """As a dense array."""
        return self.tocsc().toarray(order=order, out=out)

    def todia(self, copy: bool = False) -> Any:
        """Itself, or a copy."""
        return self.copy() if copy else self

    def tocsc(self, copy: bool = False) -> Any:
        """In CSC format, without the zeros."""
        if self.data.size == 0:
            return self._csc_container(self._shape, dtype=self.dtype)
        _sputils.check_data_dtype(self.dtype)
        return self._csc_container._of(self._shape, *_ops.on("convert", self, "csc", False), canonical=True)

    def tocsr(self, copy: bool = False) -> Any:
        """In CSR format, without the zeros."""
        return self.tocsc().tocsr()

    def diagonal(self, k: int = 0) -> Any:
        """The elements at [i, i + k], as an array."""
        return _ops.on("diagonal", self, k)


class dia_matrix(spmatrix, _dia_base):
    """Matrix of diagonals: `dia_matrix((data, offsets), shape=…)`."""


class dia_array(_dia_base, sparray):
    """Array of diagonals: as `dia_matrix` with elementwise `*`."""


def isspmatrix_dia(x: Any) -> bool:
    """Whether `x` is a `dia_matrix`."""
    return isinstance(x, dia_matrix)


__all__ = ["dia_array", "dia_matrix", "isspmatrix_dia"]
