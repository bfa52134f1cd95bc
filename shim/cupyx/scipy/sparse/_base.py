"""What all sparse matrices and arrays share: operators that go through CSR, shapes, reductions, and the kinds `sparray` and `spmatrix`.

A matrix is a class of the client over arrays of the device, which are its attributes (`data`, `indices`, …) and may be read and
written as in CuPy. Its methods are commands on those arrays; how many elements a result stores is asked only when looked at.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from types import GenericAlias
from typing import Any

import numpy as np

from . import _host, _ops, _sputils
from ._ops import cp
from ._sputils import isdense, isscalarlike

_NAMES = {
    "csr": "Compressed Sparse Row",
    "csc": "Compressed Sparse Column",
    "coo": "COOrdinate",
    "dia": "DIAgonal",
}


class _spbase:
    """Base of all formats."""

    __array_priority__ = 101
    #: Stored values that `str` shows.
    maxprint = 50
    #: Numbers of dimensions that the class may have.
    _allow_nd: tuple[int, ...] = (2,)
    format: str
    data: Any
    dtype: Any
    _shape: tuple[int, ...]

    def __class_getitem__(cls, args: Any) -> GenericAlias:
        return GenericAlias(cls, args)

    @property
    def device(self) -> Any:
        """The device that holds it."""
        return self.data.device

    def get(self, stream: Any = None) -> Any:
        """A copy as an object of `scipy.sparse`. Waits."""
        raise NotImplementedError

    # -- looks ----------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        raise TypeError("sparse array length is ambiguous; use shape[0] or .nnz")

    def __repr__(self) -> str:
        return f"<{self._title()}\n\twith {self._stored_text()} and shape {self.shape}>"

    def _title(self) -> str:
        kind = "array" if isinstance(self, sparray) else "matrix"
        return f"{_NAMES.get(self.format, self.format)} sparse {kind} of dtype '{self.dtype}'"

    def _stored_text(self) -> str:
        return f"{self.nnz} stored elements"

    def __str__(self) -> str:
        # SciPy says it, where the program has SciPy.
        try:
            return str(self.get())
        except (RuntimeError, NotImplementedError):
            return repr(self)

    def __iter__(self) -> Iterator[Any]:
        indexed: Any = self
        for i in range(self.shape[0]):
            yield indexed[i] if self.ndim == 1 else indexed[i, :]

    def __bool__(self) -> bool:
        if self.shape == (1, 1):
            return bool(self.nnz != 0)
        raise ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or a.all().")

    # -- operators: through CSR unless a format has its own ------------------------------------------------------------------

    def __eq__(self, other: object) -> Any:
        return self.tocsr().__eq__(other)

    def __ne__(self, other: object) -> Any:
        return self.tocsr().__ne__(other)

    def __lt__(self, other: Any) -> Any:
        return self.tocsr().__lt__(other)

    def __gt__(self, other: Any) -> Any:
        return self.tocsr().__gt__(other)

    def __le__(self, other: Any) -> Any:
        return self.tocsr().__le__(other)

    def __ge__(self, other: Any) -> Any:
        return self.tocsr().__ge__(other)

    __hash__ = None  # type: ignore[assignment]

    def __abs__(self) -> Any:
        return self.tocsr().__abs__()

    def __neg__(self) -> Any:
        return -self.tocsr()

    def __add__(self, other: Any) -> Any:
        return self.tocsr().__add__(other)

    def __radd__(self, other: Any) -> Any:
        return self.tocsr().__radd__(other)

    def __sub__(self, other: Any) -> Any:
        return self.tocsr().__sub__(other)

    def __rsub__(self, other: Any) -> Any:
        return self.tocsr().__rsub__(other)

    def __mul__(self, other: Any) -> Any:
        return self.multiply(other)

    def __rmul__(self, other: Any) -> Any:
        return self.multiply(other)

    def __div__(self, other: Any) -> Any:
        return self.tocsr().__div__(other)

    def __rdiv__(self, other: Any) -> Any:
        return self.tocsr().__rdiv__(other)

    def __truediv__(self, other: Any) -> Any:
        return self.tocsr().__truediv__(other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.tocsr().__rtruediv__(other)

    def __iadd__(self, other: Any) -> Any:
        return NotImplemented

    def __isub__(self, other: Any) -> Any:
        return NotImplemented

    def __imul__(self, other: Any) -> Any:
        return NotImplemented

    def __idiv__(self, other: Any) -> Any:
        return self.__itruediv__(other)

    def __itruediv__(self, other: Any) -> Any:
        return NotImplemented

    def __pow__(self, other: Any) -> Any:
        return self.power(other)

    def __matmul__(self, other: Any) -> Any:
        if isscalarlike(other):
            raise ValueError("Scalar operands are not allowed, use '*' instead")
        return self._matmul_dispatch(other)

    def __rmatmul__(self, other: Any) -> Any:
        if isscalarlike(other):
            raise ValueError("Scalar operands are not allowed, use '*' instead")
        return self._rmatmul_dispatch(other)

    def _matmul_dispatch(self, other: Any) -> Any:
        return self.tocsr()._matmul_dispatch(other)

    def _rmatmul_dispatch(self, other: Any) -> Any:
        if isscalarlike(other):
            return self._matmul_dispatch(other)
        try:
            turned = other.T
        except AttributeError:
            return NotImplemented
        made = self.T._matmul_dispatch(turned)
        return made if made is NotImplemented else made.T

    # -- shape ------------------------------------------------------------------------------------------------------------

    @property
    def T(self) -> Any:
        """The transpose."""
        return self.transpose()

    @property
    def mT(self) -> Any:
        """The matrix transpose."""
        if self.ndim < 2:
            raise ValueError(f"Array must be at least 2-dimensional, but it is {self.ndim}-D")
        return self.transpose()

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self._shape)

    @property
    def size(self) -> int:
        """Number of stored elements."""
        return self._getnnz()

    @property
    def nnz(self) -> int:
        """Number of stored elements, zeros included. Waits where only the data can tell."""
        return self._getnnz()

    @property
    def shape(self) -> Any:
        """Lengths of the axes."""
        return self._shape

    @property
    def _shape_as_2d(self) -> tuple[int, int]:
        shape = self._shape
        return (1, shape[0]) if len(shape) == 1 else shape  # type: ignore[return-value]

    def _require_2d(self, what: str) -> None:
        if self.ndim != 2:
            raise ValueError(f"{what} requires two dimensions")

    def _as_2d(self) -> Any:
        return self

    # -- arrays of one dimension: a row, presented without its first axis --------------------------------------------------

    def _squeeze_to_1d(self, result: Any) -> Any:
        """A result of one row as an array of one dimension."""
        if not issparse(result):
            return result.reshape(-1)
        rows, n = result.shape
        if rows != 1:
            raise ValueError(f"cannot squeeze a {result.shape} result to 1-D")
        if result.format == "csr":
            return self._csr_container._of((n,), result.data, result.indices, result.indptr, like=result)
        return result.reshape((n,))

    def _finalize_1d_op(self, result: Any, other: Any) -> Any:
        """Squeezed only when no operand has two dimensions."""
        if result is NotImplemented or self.ndim == 2 or ((issparse(other) or isdense(other)) and other.ndim == 2):
            return result
        return self._squeeze_to_1d(result)

    def _run_1d_backing_op(self, other: Any, run: Callable[[Any, Any], Any]) -> Any:
        """A broadcasting operation with an operand of one dimension."""
        operand = other._as_2d() if issparse(other) else other
        return self._finalize_1d_op(run(self._as_2d(), operand), other)

    # -- the classes of this kind ----------------------------------------------------------------------------------------

    @property
    def _csr_container(self) -> Any:
        from ._csr import csr_array

        return csr_array

    @property
    def _csc_container(self) -> Any:
        from ._csc import csc_array

        return csc_array

    @property
    def _coo_container(self) -> Any:
        from ._coo import coo_array

        return coo_array

    @property
    def _dia_container(self) -> Any:
        from ._dia import dia_array

        return dia_array

    def _get_index_dtype(self, arrays: Any = (), maxval: Any = None, check_contents: bool = False) -> Any:
        """Arrays keep the index dtype they are given; matrices narrow it where the numbers fit."""
        return _sputils.get_index_dtype(arrays, maxval, check_contents and not isinstance(self, sparray))

    # -- methods ------------------------------------------------------------------------------------------------------------

    def asformat(self, format: str | None) -> Any:
        """In another format; itself where it has it (or `format` is None)."""
        if format is None or format == self.format:
            return self
        return getattr(self, "to" + format)()

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """With elements of another dtype."""
        dtype = np.dtype(dtype)
        if self.dtype != dtype:
            return self.tocsr().astype(dtype, copy=copy).asformat(self.format)
        return self.copy() if copy else self

    def conj(self, copy: bool = True) -> Any:
        """Complex conjugate, elementwise."""
        if self.dtype.kind == "c":
            return self.tocsr(copy=copy).conj(copy=False)
        return self.copy() if copy else self

    def conjugate(self, copy: bool = True) -> Any:
        """As `conj`."""
        return self.conj(copy=copy)

    def copy(self) -> Any:
        """A copy that shares nothing."""
        cls: Any = type(self)
        return cls(self, copy=True)

    def count_nonzero(self, axis: Any = None) -> Any:
        """Number of elements that are not zero."""
        raise NotImplementedError

    def diagonal(self, k: int = 0) -> Any:
        """The elements at [i, i + k], as an array."""
        return self.tocsr().diagonal(k=k)

    def trace(self, offset: int = 0) -> Any:
        """Sum of a diagonal."""
        return self.diagonal(k=offset).sum()

    def dot(self, other: Any) -> Any:
        """Product with a matrix, an array or a scalar."""
        return self * other if np.isscalar(other) else self @ other

    def _getnnz(self, axis: Any = None) -> int:
        raise NotImplementedError

    def nonzero(self) -> Any:
        """Indices of the elements that are not zero: an array per dimension."""
        row, col, _ = _ops.on("nonzero", self if self.format != "dia" else self.tocsr())
        return (col,) if self.ndim == 1 else (row, col)

    def maximum(self, other: Any) -> Any:
        """Elementwise maximum."""
        return self.tocsr().maximum(other)

    def minimum(self, other: Any) -> Any:
        """Elementwise minimum."""
        return self.tocsr().minimum(other)

    def multiply(self, other: Any) -> Any:
        """Elementwise product."""
        return self.tocsr().multiply(other.tocsr() if issparse(other) else other)

    def power(self, n: Any, dtype: Any = None) -> Any:
        """Elementwise power."""
        return self.tocsr().power(n, dtype=dtype)

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Arithmetic mean of all elements or along an axis."""
        return self.tocsr().mean(axis=axis, dtype=dtype, out=out)

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """The same elements in another shape, as coo; itself where the shape is its own."""
        new = _sputils.check_shape(shape, self.shape, allow_nd=self._allow_nd)
        return self if new == self.shape else self.tocoo().reshape(new, order=order)

    def setdiag(self, values: Any, k: int = 0) -> None:
        """Set a diagonal."""
        raise NotImplementedError

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Sum of all elements or along an axis, as a dense array: of matrices with two dimensions, of arrays with one."""
        if self.dtype == bool:
            return self._bool_reduction_carrier().sum(axis=axis, dtype=np.int64 if dtype is None else dtype, out=out)
        if self.ndim == 1:
            _sputils.validate_axis_1d(axis)
            total = self.data.sum(dtype=dtype, out=out)
            return total if out is None else out
        rows, cols = self._shape
        axis = _sputils.collapse_2d_axis(axis)
        _sputils.validateaxis(axis)
        if axis is None:
            total = self.dot(cp.ones(cols, dtype=self.dtype)).sum(dtype=dtype, out=out)
            return total if out is None else out
        if axis % 2:
            made = self.dot(cp.ones(cols, dtype=self.dtype))
            made = made if isinstance(self, sparray) else made.reshape(rows, 1)
        else:
            made = self.T.dot(cp.ones(rows, dtype=self.dtype))
            made = made if isinstance(self, sparray) else made.reshape(1, cols)
        if out is not None:
            if out.shape != made.shape:
                raise ValueError("dimensions do not match")
            out[...] = made
            return out
        return made if dtype is None else _sputils.as_dtype(made, np.dtype(dtype))

    def _bool_reduction_carrier(self) -> Any:
        return self.tocsr()._bool_reduction_carrier()

    # -- formats ------------------------------------------------------------------------------------------------------------

    def toarray(self, order: Any = None, out: Any = None) -> Any:
        """As a dense array."""
        return self.tocsr().toarray(order=order, out=out)

    def todense(self, order: Any = None, out: Any = None) -> Any:
        """As a dense array."""
        return self.toarray(order=order, out=out)

    def tocsr(self, copy: bool = False) -> Any:
        """In CSR format."""
        raise NotImplementedError

    def tocoo(self, copy: bool = False) -> Any:
        """In COO format."""
        return self.tocsr(copy=copy).tocoo(copy=False)

    def tocsc(self, copy: bool = False) -> Any:
        """In CSC format."""
        return self.tocsr(copy=copy).tocsc(copy=False)

    def tobsr(self, blocksize: Any = None, copy: bool = False) -> Any:
        """BSR format: not there in CuPy either."""
        raise NotImplementedError

    def todia(self, copy: bool = False) -> Any:
        """DIA format: not there in CuPy either, except from itself."""
        raise NotImplementedError

    def todok(self, copy: bool = False) -> Any:
        """DOK format: not there in CuPy either."""
        raise NotImplementedError

    def tolil(self, copy: bool = False) -> Any:
        """LIL format: not there in CuPy either."""
        raise NotImplementedError

    def transpose(self, axes: Any = None, copy: bool = False) -> Any:
        """With the axes exchanged."""
        return self.tocsr(copy=copy).transpose(axes=axes, copy=False)


class sparray:
    """The kind whose `*` and `**` are elementwise: `isinstance(x, sparray)`."""


class spmatrix:
    """The kind whose `*` is the matrix product and `**` the matrix power, always of two dimensions."""

    format: str
    dtype: Any
    data: Any
    _shape: tuple[int, ...]

    def __init__(self, *args: Any, maxprint: int = 50, **kwargs: Any) -> None:
        self.maxprint = maxprint
        if type(self) is spmatrix:
            if args or kwargs:
                raise TypeError("cannot instantiate spmatrix directly; use a format subclass such as csr_matrix")
            return
        super().__init__(*args, **kwargs)

    def __mul__(self: Any, other: Any) -> Any:
        return self._matmul_dispatch(other)

    def __rmul__(self: Any, other: Any) -> Any:
        return self._rmatmul_dispatch(other)

    def __pow__(self: Any, other: Any) -> Any:
        from ._construct import identity
        from .linalg._matfuncs import by_squaring

        return by_squaring(self, other, lambda: identity(self.shape[0], dtype=self.dtype, format="csr"))

    @property
    def _csr_container(self) -> Any:
        from ._csr import csr_matrix

        return csr_matrix

    @property
    def _csc_container(self) -> Any:
        from ._csc import csc_matrix

        return csc_matrix

    @property
    def _coo_container(self) -> Any:
        from ._coo import coo_matrix

        return coo_matrix

    @property
    def _dia_container(self) -> Any:
        from ._dia import dia_matrix

        return dia_matrix

    @property
    def A(self: Any) -> Any:
        """As a dense array. Deprecated."""
        text = "`spmatrix.A` is deprecated; use `.toarray()` instead."
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return self.toarray()

    @property
    def H(self: Any) -> Any:
        """Conjugate transpose. Deprecated."""
        text = "`spmatrix.H` is deprecated; use `.T.conj()` instead."
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return self.transpose().conj()

    def get_shape(self) -> tuple[int, ...]:
        """The shape."""
        return self._shape

    def set_shape(self: Any, shape: Any) -> None:
        """Reshape this very object."""
        self.__dict__ = self.reshape(shape).asformat(self.format).__dict__

    shape = property(get_shape, set_shape, doc="Lengths of the axes. Assigning reshapes.")

    def asfptype(self: Any) -> Any:
        """With elements of a floating dtype; itself where it has them."""
        return self if self.dtype.kind == "f" else self.astype(np.promote_types(self.dtype, "f"))

    def getH(self: Any) -> Any:
        """Conjugate transpose."""
        return self.transpose().conj()

    def getrow(self: Any, i: int) -> Any:
        """A copy of a row, as a matrix of one row."""
        return self._getrow(i)

    def getcol(self: Any, j: int) -> Any:
        """A copy of a column, as a matrix of one column."""
        return self._getcol(j)

    def getformat(self) -> str:
        """Name of the format."""
        return self.format

    def getmaxprint(self) -> int:
        """Stored values that `str` shows."""
        return self.maxprint

    def getnnz(self: Any, axis: Any = None) -> Any:
        """Number of stored elements."""
        return self._getnnz(axis=axis)


def issparse(x: Any) -> bool:
    """Whether `x` is a sparse matrix or array of cupyx."""
    return isinstance(x, _spbase)


def isspmatrix(x: Any) -> bool:
    """Whether `x` is a sparse matrix, not an array, of cupyx."""
    return isinstance(x, spmatrix)


__all__ = ["_host", "_spbase", "issparse", "isspmatrix", "sparray", "spmatrix"]
