"""`cupy.cublas`: BLAS on arrays. Each call is composed of `cupy`'s own operations, in the arrays' dtype.

Results of level 1 go into a 0-d `out` of the device, or of this process (which waits). Scalars are numbers, or 0-d arrays of either side.
"""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dispatch
from .._generated import functions as _f
from .._generated import linalg as _linalg

_batched_gesv_limit = 256
_TRANS = {"N": 0, "T": 1, "H": 2, 0: 0, 1: 1, 2: 2}


def _check_dtype(a: Any, kinds: str = "fdFD") -> None:
    if a.dtype.char not in kinds:
        raise TypeError("invalid dtype")


def _check_vector(x: Any, name: str = "x") -> None:
    if x.ndim != 1:
        raise ValueError(f"{name} must be a 1D array (actual: {x.ndim})")


def _check_two_vectors(x: Any, y: Any) -> None:
    _check_vector(x)
    _check_vector(y, "y")
    if x.size != y.size:
        raise ValueError(f"x and y must be the same size (actual: {x.size} and {y.size})")
    if x.dtype != y.dtype:
        raise TypeError(f"x and y must be the same dtype (actual: {x.dtype} and {y.dtype})")


def _check_outer(x: Any, y: Any, a: Any) -> None:
    _check_dtype(a)
    if a.ndim != 2 or x.ndim != 1 or y.ndim != 1 or a.shape != (x.size, y.size):
        raise ValueError(f"a must be a matrix of {x.size} by {y.size} (actual: {a.shape})")
    if not a.dtype == x.dtype == y.dtype:
        raise TypeError(f"a, x and y must be the same dtype (actual: {a.dtype}, {x.dtype} and {y.dtype})")


def _scalar(value: Any, dtype: Any) -> Any:
    """A scalar in the arrays' dtype, on the side that it is on."""
    if isinstance(value, dispatch.ndarray):
        return value.astype(dtype, copy=False)
    return np.asarray(value, dtype).reshape(())[()]


def _is_zero(scalar: Any) -> bool:
    """Whether a host scalar is 0: then what it would multiply does not matter, NaN included."""
    return isinstance(scalar, np.generic) and not scalar


def _give(result: Any, out: Any) -> Any:
    if out is None:
        return result
    if isinstance(out, dispatch.ndarray):
        out[...] = result.astype(out.dtype, copy=False)
    elif isinstance(out, np.ndarray):
        out[...] = result.get()
    else:
        raise TypeError("out must be either cupy or numpy ndarray")
    return out


def _op(matrix: Any, trans: Any) -> Any:
    """A matrix as an operation says: 'N' as it is, 'T' transposed, 'H' conjugated too."""
    number = _TRANS.get(trans)
    if number is None:
        raise TypeError(f"invalid trans (actual: {trans})")
    return (matrix, matrix.T, matrix.T.conj())[number]


def _check_out(out: Any, shape: tuple[int, ...], dtype: Any) -> None:
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape} (actual: {out.shape})")
    if out.dtype != dtype:
        raise TypeError(f"out must have dtype {dtype} (actual: {out.dtype})")


def _accumulate(target: Any, product: Any, alpha: Any, beta: Any) -> None:
    """target = alpha * product + beta * target."""
    result = alpha * product
    target[...] = result if _is_zero(beta) else result + beta * target


# -- level 1 -----------------------------------------------------------------------------------------------------------------


def _magnitudes(x: Any) -> Any:
    _check_vector(x)
    _check_dtype(x)
    return abs(x.real) + abs(x.imag) if x.dtype.kind == "c" else abs(x)


def iamax(x: Any, out: Any = None) -> Any:
    """The first index, counted from 1, of the element of the largest magnitude."""
    return _give((_magnitudes(x).argmax() + 1).astype("i"), out)


def iamin(x: Any, out: Any = None) -> Any:
    """The first index, counted from 1, of the element of the smallest magnitude."""
    return _give((_magnitudes(x).argmin() + 1).astype("i"), out)


def asum(x: Any, out: Any = None) -> Any:
    """The sum of magnitudes."""
    return _give(_magnitudes(x).sum(), out)


def axpy(a: Any, x: Any, y: Any) -> None:
    """y += a * x."""
    _check_two_vectors(x, y)
    _check_dtype(x)
    y += _scalar(a, x.dtype) * x


def dot(x: Any, y: Any, out: Any = None) -> Any:
    """The product of two real vectors."""
    if x.dtype.char in "FD":
        raise TypeError("Use dotu() or dotc() for complex dtype")
    return dotu(x, y, out)


def dotu(x: Any, y: Any, out: Any = None) -> Any:
    """The product of two vectors."""
    _check_dtype(x)
    _check_two_vectors(x, y)
    return _give(_f.dot(x, y), out)


def dotc(x: Any, y: Any, out: Any = None) -> Any:
    """The product of two vectors, the first conjugated."""
    _check_dtype(x)
    _check_two_vectors(x, y)
    return _give(_f.dot(x.conj(), y), out)


def nrm2(x: Any, out: Any = None) -> Any:
    """The Euclidean norm of a vector."""
    _check_vector(x)
    _check_dtype(x)
    return _give(_linalg.norm(x), out)


def scal(a: Any, x: Any) -> None:
    """x *= a."""
    _check_vector(x)
    _check_dtype(x)
    x *= _scalar(a, x.dtype)


# -- level 2 -----------------------------------------------------------------------------------------------------------------


def gemv(transa: Any, alpha: Any, a: Any, x: Any, beta: Any, y: Any) -> None:
    """y = alpha * op(a) @ x + beta * y."""
    _check_dtype(a)
    matrix = _op(a, transa)
    if a.ndim != 2 or (y.shape, x.shape) != ((matrix.shape[0],), (matrix.shape[1],)):
        raise ValueError(f"op(a), x and y do not fit: {matrix.shape}, {x.shape} and {y.shape}")
    if not a.dtype == x.dtype == y.dtype:
        raise TypeError(f"a, x and y must be the same dtype (actual: {a.dtype}, {x.dtype} and {y.dtype})")
    _accumulate(y, _f.dot(matrix, x), _scalar(alpha, a.dtype), _scalar(beta, a.dtype))


def ger(alpha: Any, x: Any, y: Any, a: Any) -> None:
    """a += alpha * x @ y.T, real."""
    if a.dtype.char in "FD":
        raise TypeError("Use geru or gerc for complex dtypes")
    geru(alpha, x, y, a)


def geru(alpha: Any, x: Any, y: Any, a: Any) -> None:
    """a += alpha * x @ y.T."""
    _check_outer(x, y, a)
    a += _scalar(alpha, a.dtype) * _f.outer(x, y)


def gerc(alpha: Any, x: Any, y: Any, a: Any) -> None:
    """a += alpha * x @ y.T.conj()."""
    _check_outer(x, y, a)
    a += _scalar(alpha, a.dtype) * _f.outer(x, y.conj())


def sbmv(k: int, alpha: Any, a: Any, x: Any, beta: Any, y: Any, lower: bool = False) -> Any:
    """y = alpha * A @ x + beta * y, A symmetric with `k` diagonals beside its own, given by rows of diagonals: of the lower triangle from
    the main one on, of the upper one up to it."""
    if a.dtype.char not in "fd":
        raise TypeError("Complex dtypes not supported")
    n = x.size
    if a.ndim != 2 or a.shape[0] < k + 1 or a.shape[1] != n or x.ndim != 1 or y.shape != x.shape:
        raise ValueError(f"a, x and y do not fit: {a.shape}, {x.shape} and {y.shape}")
    if not a.dtype == x.dtype == y.dtype:
        raise TypeError(f"a, x and y must be the same dtype (actual: {a.dtype}, {x.dtype} and {y.dtype})")
    product = (a[0] if lower else a[k]) * x
    for d in range(1, min(k + 1, n)):
        diagonal = a[d, : n - d] if lower else a[k - d, d:]
        product[d:] += diagonal * x[: n - d]
        product[: n - d] += diagonal * x[d:]
    _accumulate(y, product, _scalar(alpha, a.dtype), _scalar(beta, a.dtype))
    return y


# -- level 3 -----------------------------------------------------------------------------------------------------------------


def _check_matrices(a: Any, b: Any) -> None:
    _check_dtype(a)
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(f"a and b must be matrices (actual: {a.ndim} and {b.ndim} dimensions)")
    if a.dtype != b.dtype:
        raise TypeError(f"a and b must be the same dtype (actual: {a.dtype} and {b.dtype})")


def gemm(transa: Any, transb: Any, a: Any, b: Any, out: Any = None, alpha: Any = 1.0, beta: Any = 0.0) -> Any:
    """out = alpha * op(a) @ op(b) + beta * out."""
    _check_matrices(a, b)
    first, second = _op(a, transa), _op(b, transb)
    if first.shape[1] != second.shape[0]:
        raise ValueError(f"op(a) and op(b) do not fit: {first.shape} and {second.shape}")
    shape = first.shape[0], second.shape[1]
    if out is None:
        out, beta = _f.empty(shape, a.dtype, "F"), 0.0
    _check_out(out, shape, a.dtype)
    _accumulate(out, _f.matmul(first, second), _scalar(alpha, a.dtype), _scalar(beta, a.dtype))
    return out


def geam(transa: Any, transb: Any, alpha: Any, a: Any, beta: Any, b: Any, out: Any = None) -> Any:
    """alpha * op(a) + beta * op(b)."""
    _check_matrices(a, b)
    first, second = _op(a, transa), _op(b, transb)
    if first.shape != second.shape:
        raise ValueError(f"op(a) and op(b) do not fit: {first.shape} and {second.shape}")
    if out is None:
        out = _f.empty(first.shape, a.dtype, "F")
    _check_out(out, first.shape, a.dtype)
    out[...] = _scalar(alpha, a.dtype) * first + _scalar(beta, a.dtype) * second
    return out


def dgmm(side: Any, a: Any, x: Any, out: Any = None, incx: int = 1) -> Any:
    """diag(x) @ a for side 'L', a @ diag(x) for 'R'; x is read with a step of `incx`, from its end when that is negative."""
    _check_dtype(a)
    if side not in ("L", "R", 0, 1):
        raise ValueError(f"invalid side (actual: {side})")
    is_left = side in ("L", 0)
    if a.ndim != 2 or x.ndim > 2 or a.dtype != x.dtype:
        raise ValueError(f"a must be a matrix, x of its dtype (actual: {a.ndim} dimensions, {a.dtype} and {x.dtype})")
    n = a.shape[0 if is_left else 1]
    if x.size < (n - 1) * abs(incx) + 1:
        raise ValueError(f"x must have {(n - 1) * abs(incx) + 1} elements (actual: {x.size})")
    memory = x.ravel("A")[: (n - 1) * abs(incx) + 1]
    diagonal = _f.broadcast_to(memory[:1], (n,)) if incx == 0 else memory[:: abs(incx)][:: 1 if incx > 0 else -1]
    if out is None:
        out = _f.empty(a.shape, a.dtype, "C" if a.flags.c_contiguous else "F")
    _check_out(out, a.shape, a.dtype)
    out[...] = diagonal[:, None] * a if is_left else a * diagonal
    return out


def syrk(trans: Any, a: Any, out: Any = None, alpha: Any = 1.0, beta: Any = 0.0, lower: bool = False) -> Any:
    """out = alpha * op(a) @ op(a).T + beta * out, in one triangle of out."""
    _check_dtype(a)
    if a.ndim != 2:
        raise ValueError(f"a must be a matrix (actual: {a.ndim} dimensions)")
    matrix = _op(a, trans)
    n = matrix.shape[0]
    if out is None:
        out, beta = _f.zeros((n, n), a.dtype, "F"), 0.0
    _check_out(out, (n, n), a.dtype)
    updated = _f.empty((n, n), a.dtype)
    updated[...] = out
    _accumulate(updated, _f.matmul(matrix, matrix.T), _scalar(alpha, a.dtype), _scalar(beta, a.dtype))
    inside = _f.tri(n, dtype=bool) if lower else _f.tri(n, dtype=bool).T
    out[...] = _f.where(inside, updated, out)
    return out


# -- solving -----------------------------------------------------------------------------------------------------------------


def get_batched_gesv_limit() -> int:
    """The size of matrices above which `batched_gesv` warns."""
    return _batched_gesv_limit


def set_batched_gesv_limit(limit: int) -> None:
    """Set the size of matrices above which `batched_gesv` warns."""
    global _batched_gesv_limit
    _batched_gesv_limit = limit


def batched_gesv(a: Any, b: Any) -> Any:
    """Solve a @ x = b for matrices (..., M, M) and right sides (..., M) or (..., M, K) of the same batch.

    Raises:
        ValueError: other shapes.
        TypeError: not arrays of the device, or a dtype that cannot be solved in.
    """
    for array in (a, b):
        if not isinstance(array, dispatch.ndarray):
            raise TypeError(f"cupy.linalg only supports cupy.ndarray, found {type(array)}")
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"a must be square matrices (actual: {a.shape})")
    if a.ndim not in (b.ndim, b.ndim + 1) or a.shape[:-1] != b.shape[: a.ndim - 1]:
        raise ValueError("a must have (..., M, M) shape and b must have (..., M) or (..., M, K)")
    n = a.shape[-1]
    if n > _batched_gesv_limit:
        warnings.warn(f"The matrix size ({n}) exceeds the set limit ({_batched_gesv_limit})", stacklevel=2)
    count = functools.reduce(operator.mul, a.shape[:-2], 1)
    right = b.reshape(count, n, b.shape[-1] if a.ndim == b.ndim else 1)
    solve: Callable[..., Any] = _linalg.solve
    return solve(a.reshape(count, n, n), right).reshape(b.shape)
