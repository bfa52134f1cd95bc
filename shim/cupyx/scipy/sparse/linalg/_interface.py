"""Linear operators: matrices, and functions that act like them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .....local import isscalar
from .. import _sputils
from .._base import issparse
from .._ops import cp


class LinearOperator:
    """What multiplies vectors: LinearOperator(shape, matvec, rmatvec=None, matmat=None, dtype=None, rmatmat=None), or a subclass with
    `_matvec` or `_matmat`."""

    ndim = 2
    dtype: Any
    shape: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is LinearOperator:
            return super().__new__(_CustomLinearOperator)  # pyright: ignore
        made = super().__new__(cls)
        if cls._matvec is LinearOperator._matvec and cls._matmat is LinearOperator._matmat:
            text = "LinearOperator subclass should implement at least one of _matvec and _matmat."
            warnings.warn(text, category=RuntimeWarning, stacklevel=2)
        return made

    def __init__(self, dtype: Any, shape: Any) -> None:
        shape = tuple(shape)
        if not _sputils.isshape(shape):
            raise ValueError(f"invalid shape {shape!r} (must be 2-d)")
        self.dtype = None if dtype is None else np.dtype(dtype)
        self.shape = shape

    def _init_dtype(self) -> None:
        """For subclasses at the end of their construction: the dtype that a product with zeros has."""
        if self.dtype is None:
            self.dtype = self.matvec(cp.zeros(self.shape[-1])).dtype

    # -- what subclasses give -----------------------------------------------------------------------------------------------

    def _matvec(self, x: Any) -> Any:
        return self.matmat(x.reshape(-1, 1))

    def _matmat(self, X: Any) -> Any:
        return cp.hstack([self.matvec(column.reshape(-1, 1)) for column in X.T])

    def _rmatvec(self, x: Any) -> Any:
        if type(self)._adjoint is LinearOperator._adjoint:
            raise NotImplementedError
        return self.H.matvec(x)

    def _rmatmat(self, X: Any) -> Any:
        if type(self)._adjoint is LinearOperator._adjoint:
            return cp.hstack([self.rmatvec(column.reshape(-1, 1)) for column in X.T])
        return self.H.matmat(X)

    def _adjoint(self) -> Any:
        return _AdjointLinearOperator(self)

    def _transpose(self) -> Any:
        return _TransposedLinearOperator(self)

    # -- products --------------------------------------------------------------------------------------------------------------

    def matvec(self, x: Any) -> Any:
        """The product with a vector."""
        return self._on_vector(x, self._matvec, self.shape[0], self.shape[1])

    def rmatvec(self, x: Any) -> Any:
        """The product of the adjoint with a vector."""
        return self._on_vector(x, self._rmatvec, self.shape[1], self.shape[0])

    @staticmethod
    def _on_vector(x: Any, apply: Any, rows: int, cols: int) -> Any:
        if x.shape not in ((cols,), (cols, 1)):
            raise ValueError("dimension mismatch")
        y = apply(x)
        return y.reshape(rows) if x.ndim == 1 else y.reshape(rows, 1)

    def matmat(self, X: Any) -> Any:
        """The product with a matrix."""
        return self._on_matrix(X, self._matmat, self.shape[1])

    def rmatmat(self, X: Any) -> Any:
        """The product of the adjoint with a matrix."""
        return self._on_matrix(X, self._rmatmat, self.shape[0])

    def _on_matrix(self, X: Any, apply: Any, cols: int) -> Any:
        if X.ndim != 2:
            raise ValueError(f"expected 2-d ndarray or matrix, not {X.ndim}-d")
        if X.shape[0] != cols:
            raise ValueError(f"dimension mismatch: {self.shape!r}, {X.shape!r}")
        return apply(X)

    def dot(self, x: Any) -> Any:
        """The product with an operator, a scalar, a vector or a matrix."""
        if isinstance(x, LinearOperator):
            return _ProductLinearOperator(self, x)
        if isscalar(x):
            return _ScaledLinearOperator(self, x)
        if x.ndim == 1 or (x.ndim == 2 and x.shape[1] == 1):
            return self.matvec(x)
        if x.ndim == 2:
            return self.matmat(x)
        raise ValueError(f"expected 1-d or 2-d array, got {x!r}")

    # -- operators ---------------------------------------------------------------------------------------------------------------

    def __call__(self, x: Any) -> Any:
        return self * x

    def __mul__(self, x: Any) -> Any:
        return self.dot(x)

    def __rmul__(self, x: Any) -> Any:
        return _ScaledLinearOperator(self, x) if isscalar(x) else NotImplemented

    def __matmul__(self, other: Any) -> Any:
        if isscalar(other):
            raise ValueError("Scalar operands are not allowed, use '*' instead")
        return self.__mul__(other)

    def __rmatmul__(self, other: Any) -> Any:
        if isscalar(other):
            raise ValueError("Scalar operands are not allowed, use '*' instead")
        return self.__rmul__(other)

    def __pow__(self, p: Any) -> Any:
        return _PowerLinearOperator(self, p) if isscalar(p) else NotImplemented

    def __add__(self, x: Any) -> Any:
        return _SumLinearOperator(self, x) if isinstance(x, LinearOperator) else NotImplemented

    def __neg__(self) -> Any:
        return _ScaledLinearOperator(self, -1)

    def __sub__(self, x: Any) -> Any:
        return self.__add__(-x)

    def __repr__(self) -> str:
        rows, cols = self.shape
        dtype = "unspecified dtype" if self.dtype is None else f"dtype={self.dtype}"
        return f"<{rows}x{cols} {type(self).__name__} with {dtype}>"

    def adjoint(self) -> Any:
        """The conjugate transpose."""
        return self._adjoint()

    H = property(adjoint)

    def transpose(self) -> Any:
        """The transpose."""
        return self._transpose()

    T = property(transpose)


class _CustomLinearOperator(LinearOperator):
    """Of functions of the program."""

    def __init__(
        self, shape: Any, matvec: Any, rmatvec: Any = None, matmat: Any = None, dtype: Any = None, rmatmat: Any = None
    ) -> None:
        super().__init__(dtype, shape)
        self.args = ()
        self._functions = (matvec, rmatvec, matmat, rmatmat)
        self._init_dtype()

    def _matvec(self, x: Any) -> Any:
        return self._functions[0](x)

    def _rmatvec(self, x: Any) -> Any:
        if self._functions[1] is None:
            raise NotImplementedError("rmatvec is not defined")
        return self._functions[1](x)

    def _matmat(self, X: Any) -> Any:
        return super()._matmat(X) if self._functions[2] is None else self._functions[2](X)

    def _rmatmat(self, X: Any) -> Any:
        return super()._rmatmat(X) if self._functions[3] is None else self._functions[3](X)

    def _adjoint(self) -> Any:
        matvec, rmatvec, matmat, rmatmat = self._functions
        return _CustomLinearOperator(self.shape[::-1], rmatvec, matvec, rmatmat, self.dtype, matmat)


class _AdjointLinearOperator(LinearOperator):
    """The adjoint of an operator that knows no better."""

    def __init__(self, A: Any) -> None:
        super().__init__(A.dtype, A.shape[::-1])
        self.A = A
        self.args = (A,)

    def _matvec(self, x: Any) -> Any:
        return self.A._rmatvec(x)

    def _rmatvec(self, x: Any) -> Any:
        return self.A._matvec(x)

    def _matmat(self, X: Any) -> Any:
        return self.A._rmatmat(X)

    def _rmatmat(self, X: Any) -> Any:
        return self.A._matmat(X)


class _TransposedLinearOperator(_AdjointLinearOperator):
    """The transpose: the adjoint, conjugated before and after."""

    def _matvec(self, x: Any) -> Any:
        return cp.conj(super()._matvec(cp.conj(x)))

    def _rmatvec(self, x: Any) -> Any:
        return cp.conj(super()._rmatvec(cp.conj(x)))

    def _matmat(self, X: Any) -> Any:
        return cp.conj(super()._matmat(cp.conj(X)))

    def _rmatmat(self, X: Any) -> Any:
        return cp.conj(super()._rmatmat(cp.conj(X)))


def _common_dtype(*operators: Any, others: Any = ()) -> Any:
    return np.result_type(*(A.dtype for A in operators if getattr(A, "dtype", None) is not None), *others)


class _SumLinearOperator(LinearOperator):
    """A + B"""

    def __init__(self, A: Any, B: Any) -> None:
        if A.shape != B.shape:
            raise ValueError(f"cannot add {A!r} and {B!r}: shape mismatch")
        self.args = (A, B)
        super().__init__(_common_dtype(A, B), A.shape)

    def _matvec(self, x: Any) -> Any:
        return self.args[0].matvec(x) + self.args[1].matvec(x)

    def _rmatvec(self, x: Any) -> Any:
        return self.args[0].rmatvec(x) + self.args[1].rmatvec(x)

    def _matmat(self, X: Any) -> Any:
        return self.args[0].matmat(X) + self.args[1].matmat(X)

    def _rmatmat(self, X: Any) -> Any:
        return self.args[0].rmatmat(X) + self.args[1].rmatmat(X)

    def _adjoint(self) -> Any:
        return self.args[0].H + self.args[1].H


class _ProductLinearOperator(LinearOperator):
    """A @ B"""

    def __init__(self, A: Any, B: Any) -> None:
        if A.shape[1] != B.shape[0]:
            raise ValueError(f"cannot multiply {A!r} and {B!r}: shape mismatch")
        super().__init__(_common_dtype(A, B), (A.shape[0], B.shape[1]))
        self.args = (A, B)

    def _matvec(self, x: Any) -> Any:
        return self.args[0].matvec(self.args[1].matvec(x))

    def _rmatvec(self, x: Any) -> Any:
        return self.args[1].rmatvec(self.args[0].rmatvec(x))

    def _matmat(self, X: Any) -> Any:
        return self.args[0].matmat(self.args[1].matmat(X))

    def _rmatmat(self, X: Any) -> Any:
        return self.args[1].rmatmat(self.args[0].rmatmat(X))

    def _adjoint(self) -> Any:
        return self.args[1].H * self.args[0].H


class _ScaledLinearOperator(LinearOperator):
    """A times a number"""

    def __init__(self, A: Any, alpha: Any) -> None:
        super().__init__(_common_dtype(A, others=(type(alpha),)), A.shape)
        self.args = (A, alpha)

    def _matvec(self, x: Any) -> Any:
        return self.args[1] * self.args[0].matvec(x)

    def _rmatvec(self, x: Any) -> Any:
        return np.conj(self.args[1]).item() * self.args[0].rmatvec(x)

    def _matmat(self, X: Any) -> Any:
        return self.args[1] * self.args[0].matmat(X)

    def _rmatmat(self, X: Any) -> Any:
        return np.conj(self.args[1]).item() * self.args[0].rmatmat(X)

    def _adjoint(self) -> Any:
        return self.args[0].H * np.conj(self.args[1]).item()


class _PowerLinearOperator(LinearOperator):
    """A to a power"""

    def __init__(self, A: Any, p: Any) -> None:
        if A.shape[0] != A.shape[1]:
            raise ValueError(f"square LinearOperator expected, got {A!r}")
        if not _sputils.isintlike(p) or p < 0:
            raise ValueError("non-negative integer expected as p")
        super().__init__(_common_dtype(A), A.shape)
        self.args = (A, p)

    def _repeat(self, apply: Any, x: Any) -> Any:
        x = cp.array(x, copy=True)
        for _ in range(self.args[1]):
            x = apply(x)
        return x

    def _matvec(self, x: Any) -> Any:
        return self._repeat(self.args[0].matvec, x)

    def _rmatvec(self, x: Any) -> Any:
        return self._repeat(self.args[0].rmatvec, x)

    def _matmat(self, X: Any) -> Any:
        return self._repeat(self.args[0].matmat, X)

    def _rmatmat(self, X: Any) -> Any:
        return self._repeat(self.args[0].rmatmat, X)

    def _adjoint(self) -> Any:
        return self.args[0].H ** self.args[1]


class MatrixLinearOperator(LinearOperator):
    """A matrix, dense or sparse"""

    def __init__(self, A: Any) -> None:
        super().__init__(A.dtype, A.shape)
        self.A = A
        self._turned: Any = None
        self.args = (A,)

    def _matmat(self, X: Any) -> Any:
        return self.A.dot(X)

    def _adjoint(self) -> Any:
        if self._turned is None:
            self._turned = MatrixLinearOperator(self.A.T.conj())
            self._turned._turned = self
        return self._turned


class IdentityOperator(LinearOperator):
    """What changes nothing"""

    def __init__(self, shape: Any, dtype: Any = None) -> None:
        super().__init__(dtype, shape)

    def _matvec(self, x: Any) -> Any:
        return x

    def _rmatvec(self, x: Any) -> Any:
        return x

    def _matmat(self, X: Any) -> Any:
        return X

    def _rmatmat(self, X: Any) -> Any:
        return X

    def _adjoint(self) -> Any:
        return self


def aslinearoperator(A: Any) -> Any:
    """An array, a sparse matrix, or an object with `shape` and `matvec`, as a LinearOperator.

    Raises:
        TypeError: for anything else.
        ValueError: an array of more than two dimensions.
    """
    if isinstance(A, LinearOperator):
        return A
    if isinstance(A, cp.ndarray):
        if A.ndim > 2:
            raise ValueError("array must have ndim <= 2")
        return MatrixLinearOperator(cp.atleast_2d(A))
    if issparse(A):
        return MatrixLinearOperator(A)
    if hasattr(A, "shape") and hasattr(A, "matvec"):
        given = {name: getattr(A, name, None) for name in ("rmatvec", "rmatmat", "dtype")}
        return LinearOperator(A.shape, A.matvec, **given)
    raise TypeError("type not understood")
