"""CSR: compressed by rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _ops, _sputils
from ._base import issparse, sparray, spmatrix
from ._compressed import _compressed_sparse_matrix
from ._ops import cp
from ._sputils import isdense, isscalarlike


class _csr_base(_compressed_sparse_matrix):
    """CSR, matrix or array."""

    format = "csr"
    _major_axis = 0

    @staticmethod
    def _swap(x: Any, y: Any) -> tuple[Any, Any]:
        return x, y

    # -- elementwise ------------------------------------------------------------------------------------------------------------

    def __div__(self, other: Any) -> Any:
        raise NotImplementedError

    def __rdiv__(self, other: Any) -> Any:
        raise NotImplementedError

    def __truediv__(self, other: Any) -> Any:
        if isscalarlike(other):
            return self._scaled(cp.reciprocal(other, dtype=self._quotient_dtype(other)))
        if self.ndim != 2:
            return self._run_1d_backing_op(other, lambda a, o: a.__truediv__(o))
        if isdense(other):
            other = cp.broadcast_to(cp.atleast_2d(other), self._shape)
            made = self.tocoo()
            made.data = made.data / other[made.row, made.col]
            return made
        if not issparse(other):
            return NotImplemented
        if self._shape != other._shape:
            raise ValueError("inconsistent shape")
        dtype = np.promote_types(self.dtype, other.dtype)
        if dtype.char not in "FD":
            dtype = np.promote_types(np.float64, dtype)
        return _sputils.as_dtype(self.todense(), dtype) / other.todense()

    def _quotient_dtype(self, other: Any) -> Any:
        dtype = np.dtype(np.float64) if self.dtype == np.float32 else self.dtype
        return self._scalar_op_dtype(dtype, other)

    def __rtruediv__(self, other: Any) -> Any:
        return NotImplemented

    def _scaled(self, factor: Any) -> Any:
        return self._with_data(self.data * factor)

    def multiply(self, other: Any) -> Any:
        """Elementwise product with a scalar, a dense array or a sparse matrix, with broadcasting."""
        if isscalarlike(other):
            return self._scaled(other)
        if self.ndim != 2 or (issparse(other) and other.ndim != 2):
            return self._run_1d_backing_op(other, lambda a, o: a.multiply(o))
        if isdense(other):
            other = cp.atleast_2d(other)
            canonical = self._known_canonical()
            made = _ops.on("scale", self, other, canonical)
            return self._of(_broadcast(self._shape, other.shape), *made, canonical=True)
        if issparse(other):
            other = other.tocsr()
            made = _ops.run("multiply", _ops.operand(self), _ops.operand(other))
            return self._of(_broadcast(self._shape, other._shape), *made, canonical=True)
        raise TypeError("expected scalar, dense matrix/vector or csr matrix")

    def maximum(self, other: Any) -> Any:
        """Elementwise maximum with a scalar, a dense array or a sparse matrix."""
        return self._maximum_minimum(other, "maximum")

    def minimum(self, other: Any) -> Any:
        """Elementwise minimum."""
        return self._maximum_minimum(other, "minimum")

    def _maximum_minimum(self, other: Any, name: str) -> Any:
        function = getattr(cp, name)
        if isscalarlike(other):
            dtype = cp.result_type(self.dtype, other)
            fills = bool(other > 0) if name == "maximum" else bool(other < 0)  # waits for an array
            value = cp.asarray(other)
            if fills:
                return type(self)(function(self.todense(), _sputils.as_dtype(value, dtype)))
            summed = self._summed()
            return summed._with_data(_sputils.as_dtype(function(summed.data, value), dtype), copy=summed is self)
        if self.ndim != 2:
            return self._run_1d_backing_op(other, lambda a, o: a._maximum_minimum(o, name))
        if isdense(other):
            return function(self.todense(), cp.atleast_2d(other))
        if issparse(other):
            return self._binary(other.tocsr(), name)
        raise NotImplementedError

    # -- formats ------------------------------------------------------------------------------------------------------------

    def tocsr(self, copy: bool = False) -> Any:
        """Itself, or a copy."""
        return self.copy() if copy else self

    def tocsc(self, copy: bool = False) -> Any:
        """In CSC format."""
        if self.ndim == 1:
            raise ValueError("Cannot convert a 1-D sparse array to csc format")
        return self._converted("csc", self._csc_container)

    def transpose(self, axes: Any = None, copy: bool = False) -> Any:
        """With the axes exchanged, as CSC; the arrays are shared unless `copy`."""
        return self._turned(self._csc_container, axes, copy)

    def _getrow(self, i: Any) -> Any:
        return self[self._line(i, 0), :]

    def _getcol(self, j: Any) -> Any:
        return self[:, self._line(j, 1)]


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n if m == 1 else m for m, n in zip(a, b, strict=True))


class csr_matrix(spmatrix, _csr_base):
    """Compressed sparse row matrix.

    csr_matrix(D): of a dense array; csr_matrix(S): of another sparse matrix, of cupyx or SciPy; csr_matrix((M, N), dtype=…): empty;
    csr_matrix((data, (row, col))) and csr_matrix((data, indices, indptr)): of arrays on the device.
    """


class csr_array(_csr_base, sparray):
    """Compressed sparse row array: as `csr_matrix` with elementwise `*`; of one or two dimensions."""

    _allow_nd = (1, 2)


def isspmatrix_csr(x: Any) -> bool:
    """Whether `x` is a `csr_matrix`."""
    return isinstance(x, csr_matrix)


def _is_csr(x: Any) -> bool:
    return isinstance(x, _csr_base)


__all__ = ["csr_array", "csr_matrix", "isspmatrix_csr"]
