"""Sparse matrices whose elements are in one array `data`: what can be said of them by saying it of `data`; maxima and minima."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _ops, _sputils
from ._base import _spbase, sparray
from ._ops import cp
from ._sputils import isscalarlike

#: Functions of zero that are zero: methods of every matrix.
_UFUNCS = (
    "arcsin", "arcsinh", "arctan", "arctanh", "ceil", "deg2rad", "expm1", "floor", "log1p", "rad2deg", "rint", "sign", "sin", "sinh",
    "sqrt", "tan", "tanh", "trunc",
)  # fmt: skip


class _data_matrix(_spbase):
    """Base of the formats with `data`."""

    @property
    def dtype(self) -> Any:
        """Type of the elements."""
        return self.data.dtype

    def _with_data(self, data: Any, copy: bool = True) -> Any:
        """The same places with other elements."""
        raise NotImplementedError

    def _summed(self) -> Any:
        """Itself, or a copy without duplicates where it may have some. Never waits."""
        return self

    def _bool_reduction_carrier(self) -> Any:
        """A boolean matrix in float64, duplicates joined by or."""
        summed = self._summed()
        return summed._with_data(summed.data.astype(np.float64), copy=False)

    def __abs__(self) -> Any:
        return self._with_data(abs(self.data))

    def __round__(self, ndigits: int = 0) -> Any:
        return self._with_data(cp.around(self.data, decimals=ndigits))

    def __neg__(self) -> Any:
        if self.dtype.kind == "b":
            raise NotImplementedError("negating a boolean sparse array is not supported")
        return self._with_data(-self.data)

    @staticmethod
    def _scalar_op_dtype(dtype: Any, other: Any) -> Any:
        """The dtype of a product with a scalar."""
        made = np.result_type(dtype, other if not isinstance(other, cp.ndarray) else other.dtype)
        return made if _sputils.is_sparse_data_dtype(made) else np.dtype(np.float64)

    def _scale_in_place(self, factor: Any) -> Any:
        dtype = self._scalar_op_dtype(self.dtype, factor)
        if dtype == self.dtype:
            self.data *= factor
        else:
            self.data = self.data.astype(dtype) * factor
        return self

    def __imul__(self, other: Any) -> Any:
        return self._scale_in_place(other) if isscalarlike(other) else NotImplemented

    def __itruediv__(self, other: Any) -> Any:
        return self._scale_in_place(1.0 / other) if isscalarlike(other) else NotImplemented

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """With elements of another dtype."""
        dtype = np.dtype(dtype)
        if self.dtype != dtype:
            return self._with_data(self.data.astype(dtype))
        return self.copy() if copy else self

    def conj(self, copy: bool = True) -> Any:
        """Complex conjugate, elementwise."""
        if self.dtype.kind == "c":
            return self._with_data(self.data.conj(), copy=copy)
        return self.copy() if copy else self

    @property
    def real(self) -> Any:
        """Real part."""
        return self._with_data(self.data.real)

    @property
    def imag(self) -> Any:
        """Imaginary part."""
        return self._with_data(self.data.imag)

    def copy(self) -> Any:
        """A copy that shares nothing."""
        return self._with_data(self.data.copy(), copy=True)

    def count_nonzero(self, axis: Any = None) -> Any:
        """Number of elements that are not zero, duplicates summed. Waits when it is one number."""
        if self.ndim == 1:
            _sputils.validate_axis_1d(axis)
            axis = None
        if axis is None:
            return int(_ops.on("count", self, None))
        if not -2 <= axis <= 1:
            raise ValueError("axis out of bounds")
        return _ops.on("count", self, axis % 2)

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Arithmetic mean of all elements or along an axis."""
        if self.dtype == bool:
            return self._bool_reduction_carrier().mean(axis=axis, dtype=dtype, out=out)
        if self.ndim == 1:
            _sputils.validate_axis_1d(axis)
            total = self.data.sum() * (1.0 / self._shape[0])
            return total.sum(dtype=dtype, out=out)
        axis = _sputils.collapse_2d_axis(axis)
        _sputils.validateaxis(axis)
        rows, cols = self._shape
        n = rows * cols if axis is None else self._shape[axis % 2]
        return self._with_data(self.data * (1.0 / n)).sum(axis, dtype, out)

    def power(self, n: Any, dtype: Any = None) -> Any:
        """Elementwise power."""
        if not isscalarlike(n):
            raise NotImplementedError("input is not scalar")
        if n == 0:
            raise NotImplementedError(
                "zero power is not supported as it would densify the matrix.\n"
                "Use cupy.ones(A.shape, dtype=A.dtype) for this case."
            )
        data = self.data.copy() if dtype is None else self.data.astype(dtype)
        data **= n
        return self._with_data(data)


class _minmax_mixin:
    """Maxima and minima, of CSR and CSC."""

    def max(self, axis: Any = None, out: Any = None, *, explicit: bool = False) -> Any:
        """Maximum of all elements, as a 0-d array, or along an axis, as a sparse matrix. `explicit`: of the stored elements alone."""
        return self._extreme("max", axis, out, explicit)

    def min(self, axis: Any = None, out: Any = None, *, explicit: bool = False) -> Any:
        """Minimum, as `max`."""
        return self._extreme("min", axis, out, explicit)

    def argmax(self, axis: Any = None, out: Any = None) -> Any:
        """Where the first maximum is: in the flat matrix, or along an axis."""
        return self._arg_extreme("max", axis, out)

    def argmin(self, axis: Any = None, out: Any = None) -> Any:
        """Where the first minimum is."""
        return self._arg_extreme("min", axis, out)

    def _axis_of_extreme(self: Any, axis: Any, out: Any) -> int | None:
        """The axis, not negative, or None. Raises what both kinds raise."""
        if out is not None:
            raise ValueError("Sparse matrices do not support an 'out' parameter.")
        if self.ndim == 1:
            _sputils.validate_axis_1d(axis)
            return None
        _sputils.validateaxis(axis)
        return None if axis is None else int(axis) % 2

    def _extreme(self: Any, name: str, axis: Any, out: Any, explicit: bool) -> Any:
        axis = self._axis_of_extreme(axis, out)
        if 0 in self.shape if axis is None else self._shape[axis] == 0:
            raise ValueError("zero-size array to reduction operation")
        if axis is None:
            return _ops.on("extremum", self, name, explicit)
        where, values = _ops.on("extremes", self, name, axis, explicit)
        n, zeros, cls = self._shape[1 - axis], cp.zeros_like(where), self._coo_container
        if isinstance(self, sparray):
            return cls._of((n,), values, zeros, where)
        if axis == 0:
            return cls._of((1, n), values, zeros, where)
        return cls._of((n, 1), values, where, zeros)

    def _arg_extreme(self: Any, name: str, axis: Any, out: Any) -> Any:
        axis = self._axis_of_extreme(axis, out)
        if axis is None:
            if 0 in self.shape:
                raise ValueError("Can't apply the operation to an empty matrix.")
            return _ops.on("arg_extremum", self, name)
        if self._shape[axis] == 0:
            raise ValueError("Can't apply the operation along a zero-sized dimension.")
        found = _ops.on("arg_extremes", self, name, axis)
        if isinstance(self, sparray):
            return found
        return found[None, :] if axis == 0 else found[:, None]


def _method(name: str) -> Any:
    def method(self: Any) -> Any:
        return self._with_data(getattr(cp, name)(self.data))

    method.__name__ = name
    method.__qualname__ = f"_data_matrix.{name}"
    method.__doc__ = f"`cupy.{name}`, elementwise."
    return method


for _name in _UFUNCS:
    setattr(_data_matrix, _name, _method(_name))


class _diagonal_mixin(_spbase):
    """Diagonals of a format that has them set by the server."""

    def _put_diagonal(self, values: Any, k: int) -> None:
        raise NotImplementedError

    def diagonal(self, k: int = 0) -> Any:
        """The elements at [i, i + k], as an array."""
        self._require_2d("diagonal")
        return _ops.on("diagonal", self, k)

    def setdiag(self, values: Any, k: int = 0) -> None:
        """Set the elements at [i, i + k]; values beyond the diagonal are ignored, a scalar is repeated."""
        self._require_2d("setdiag")
        new = _diagonal_values(self, values, k)
        if new is not None:
            self._put_diagonal(new, k)


def _diagonal_values(m: Any, values: Any, k: int) -> Any:
    """What `setdiag` sets, as an array of the matrix's dtype; None for nothing. Raises ValueError."""
    rows, cols = m._shape
    length = min(rows - max(0, -k), cols - max(0, k))
    if length <= 0:
        raise ValueError("k exceeds matrix dimensions")
    values = cp.asarray(values, dtype=m.dtype)
    if values.ndim > 1:
        raise ValueError("values must be 0-d or 1-d")
    if values.ndim == 0:
        return cp.broadcast_to(values, (length,)).copy()
    return values[:length] if values.size else None
