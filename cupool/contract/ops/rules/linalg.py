"""Rules for products and `cupy.linalg`. CuPy does not raise for singular input; shapes and dtypes are checked as it checks them."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from cupool.contract.errors import Unsupported
from cupool.contract.ops._row import UNKNOWN
from cupool.contract.ops.rules._arrays import as_spec, broadcast, check_out, is_scalar, packed, prod, promote, to_axis
from cupool.contract.ops.rules.common import check_cast, require_array
from cupool.contract.spec import Spec, spec_like

LinAlgError = np.linalg.LinAlgError


# -- products -----------------------------------------------------------------------------------------------------------------
def dot(a: Any, b: Any, out: Any = None) -> Spec:
    a, b = as_spec(a), as_spec(b)
    dtype = promote(a, b)
    if out is not None:
        if dtype != out.dtype:
            raise ValueError("Not supported dtype combination.")
        if not out.c_contiguous:
            raise ValueError("Output array must be C-contiguous")
    if a.ndim == 0 or b.ndim == 0:
        shape = broadcast(a, b)
        return packed(shape, dtype) if out is None else check_out(out, shape)
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError("Axis dimension mismatch")
    shape = a.shape[:-1] + (b.shape[:-2] + b.shape[-1:] if b.ndim > 1 else ())
    if out is None:
        return packed(shape, dtype)
    if out.shape != shape:
        raise ValueError("Output array has an invalid size")
    return out  # type: ignore[no-any-return]


def matmul(
    x1: Any, x2: Any, /, out: Any = None, *, axes: Any = None, axis: Any = None, keepdims: bool = False,
    casting: str = "same_kind", dtype: Any = None, signature: Any = None, order: str = "K",
) -> Spec:  # fmt: skip
    if axes is not None or axis is not None or keepdims or signature is not None:
        raise Unsupported(
            "matmul with axes=, axis=, keepdims= or signature=: these of its generalised-ufunc options are not carried.",
            "Move the axes with cupy.moveaxis and call matmul without them.",
        )
    for x in (x1, x2):
        if not isinstance(x, Spec):
            raise TypeError(f"Unsupported type {type(x)}")
    if not x1.ndim or not x2.ndim:
        raise ValueError("Scalar operands are not allowed, use '*' instead")
    if x1.shape[-1] != x2.shape[-2 if x2.ndim > 1 else 0]:
        if max(x1.ndim, x2.ndim) <= 2:
            raise ValueError("Axis dimension mismatch")
        shapes = (",".join(map(str, x.shape)) for x in (x1, x2))
        raise ValueError("shapes ({}) and ({}) not aligned".format(*shapes))
    batch = broadcast(packed(x1.shape[:-2], bool), packed(x2.shape[:-2], bool))
    shape = batch + (x1.shape[-2:-1] if x1.ndim > 1 else ()) + (x2.shape[-1:] if x2.ndim > 1 else ())
    result = promote(x1, x2) if dtype is None else np.dtype(dtype)
    for x in (x1, x2):
        check_cast(x.dtype, result, casting, "operand")
    if out is None:
        return packed(shape, result)
    if isinstance(out, tuple):
        (out,) = out
    if out.shape != shape:
        raise ValueError("Output array has an invalid size")
    check_cast(result, out.dtype, casting, "output operand")
    return out  # type: ignore[no-any-return]


def vdot(a: Any, b: Any) -> Spec:
    a, b = as_spec(a), as_spec(b)
    if a.size != b.size:
        raise ValueError("Axis dimension mismatch")
    return packed((), promote(a, b))


def inner(a: Any, b: Any) -> Spec:
    a, b = as_spec(a), as_spec(b)
    if not a.ndim or not b.ndim:
        return packed(broadcast(a, b), promote(a, b))
    if a.shape[-1] != b.shape[-1]:
        raise ValueError("Axis dimension mismatch")
    return packed(a.shape[:-1] + b.shape[:-1], promote(a, b))


def outer(a: Any, b: Any, out: Any = None) -> Spec:
    a, b = require_array(a), require_array(b, "b")
    dtype = promote(a, b)
    return packed((a.size, b.size), dtype) if out is None else check_out(out, (a.size, b.size), dtype)


def _contracted(a: Spec, b: Spec, axes: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of each operand that a tensordot sums over."""
    if np.iterable(axes):
        pair = list(axes)
        if len(pair) != 2:
            raise ValueError("Axes must consist of two arrays.")
        first, second = ((x,) if is_scalar(x) else tuple(x) for x in pair)
    else:
        axes = operator.index(axes)
        first, second = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    if len(first) != len(second):
        raise ValueError("Axes length mismatch")
    if any(a.shape[i] != b.shape[j] for i, j in zip(first, second, strict=True)):
        raise ValueError("Axis dimension mismatch")
    return tuple(i % a.ndim for i in first), tuple(j % b.ndim for j in second)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Spec:
    for operand in (a, b):
        if isinstance(operand, (bool, int, float, complex)) and not isinstance(operand, np.generic):
            raise AttributeError(f"'{type(operand).__name__}' object has no attribute 'ndim'")
    a, b = as_spec(a), as_spec(b)
    if not a.ndim or not b.ndim:
        if axes != 0 and axes != ((), ()):
            raise ValueError("An input is zero-dim while axes has dimensions")
        return packed(broadcast(a, b), promote(a, b))
    first, second = _contracted(a, b, axes)
    shape = [n for i, n in enumerate(a.shape) if i not in first] + [n for i, n in enumerate(b.shape) if i not in second]
    return packed(shape, promote(a, b))


def kron(a: Any, b: Any) -> Spec:
    dtype = promote(a, b)
    shapes = [() if is_scalar(x) else as_spec(x).shape for x in (a, b)]
    ndim = max(len(shape) for shape in shapes)
    first, second = ((1,) * (ndim - len(shape)) + shape for shape in shapes)
    return packed([n * m for n, m in zip(first, second, strict=True)], dtype)


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Spec:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = as_spec(a), as_spec(b)
    axisa, axisb = to_axis(axisa, a.ndim), to_axis(axisb, b.ndim)
    if a.shape[axisa] not in (2, 3) or b.shape[axisb] not in (2, 3):
        raise ValueError("incompatible dimensions for cross product\n(dimension must be 2 or 3)")
    shape = broadcast(
        packed(a.shape[:axisa] + a.shape[axisa + 1 :], bool), packed(b.shape[:axisb] + b.shape[axisb + 1 :], bool)
    )
    if 3 not in (a.shape[axisa], b.shape[axisb]):
        return packed(shape, promote(a, b))
    at = to_axis(axisc, len(shape) + 1)
    # Computed with the components last, and turned.
    return spec_like(np.moveaxis(packed((*shape, 3), promote(a, b)).shadow, -1, at))


def linalg_cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Spec:
    x1, x2 = as_spec(x1), as_spec(x2)
    if x1.shape != x2.shape:
        raise ValueError("x1 and x2 must have the same shape")
    if not x1.ndim:
        raise ValueError("cross() requires arrays of dimension at least 1")
    if x1.shape[axis] != 3:
        raise ValueError("cross() dimension must equal 3")
    return cross(x1, x2, axis=axis)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Spec:
    a = as_spec(a)
    diagonal = np.diagonal(a.shadow, offset, axis1, axis2)
    result = np.dtype(dtype) if dtype is not None else np.add.reduce(np.zeros(1, a.dtype)).dtype
    return packed(diagonal.shape[:-1], result) if out is None else check_out(out, diagonal.shape[:-1])


# -- checks of cupy.linalg -----------------------------------------------------------------------------------------------------
def _matrix(*arrays: Any) -> None:
    for a in arrays:
        if not isinstance(a, Spec):
            raise LinAlgError("cupy.linalg only supports cupy.ndarray")


def _stacked(a: Spec) -> None:
    if a.ndim < 2:
        raise LinAlgError(f"{a.ndim}-dimensional array given. Array must be at least two-dimensional")


def _square(a: Any) -> Spec:
    _matrix(a)
    _stacked(a)
    if a.shape[-1] != a.shape[-2]:
        raise LinAlgError("Last 2 dimensions of the array must be square")
    return a  # type: ignore[no-any-return]


def common_type(*arrays: Spec, half: bool = False) -> np.dtype[Any]:
    """The dtype of a linalg result: integers count as float64, float16 is refused unless `half`."""
    if not half and any(a.dtype == np.float16 for a in arrays):
        raise TypeError("float16 is unsupported in linalg")
    return np.result_type(*(a.dtype if a.dtype.kind in "fc" else np.dtype(np.float64) for a in arrays))


def real_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of magnitudes."""
    return np.dtype(dtype.char.lower())


def complex_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The complex dtype of the same precision."""
    return np.dtype(dtype.char.upper())


# -- decompositions ---------------------------------------------------------------------------------------------------------------
def cholesky(a: Any) -> Spec:
    _square(a)
    return packed(a.shape, common_type(a))


def qr(a: Any, mode: str = "reduced") -> Any:
    _matrix(a)
    if mode not in ("reduced", "complete", "r", "raw"):
        if mode in ("f", "full", "e", "economic"):
            raise ValueError(f"The deprecated mode '{mode}' is not supported")
        raise ValueError(f"Unrecognized mode '{mode}'")
    if a.ndim < 2:
        raise ValueError("not enough values to unpack (expected 2, got 1)")
    dtype = common_type(a)
    *batch, m, n = a.shape
    k = min(m, n)
    if mode == "r":
        return packed((*batch, k, n), dtype)
    if mode == "raw":
        return packed((*batch, n, m), dtype), packed((*batch, k), dtype)
    q = m if mode == "complete" else k
    return packed((*batch, m, q), dtype), packed((*batch, q, n), dtype)


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    _matrix(a)
    if a.ndim < 2:
        raise ValueError("not enough values to unpack (expected 2, got 1)")
    dtype = common_type(a)
    *batch, n, m = a.shape
    k = min(n, m)
    s = packed((*batch, k), real_of(dtype))
    if not compute_uv:
        return s
    u = packed((*batch, n, n if full_matrices else k), dtype)
    return u, s, packed((*batch, m if full_matrices else k, m), dtype)


def _eigen_shape(a: Any, uplo: Any = "L") -> Spec:
    spec = require_array(a)
    _square(spec)
    if uplo not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return spec


def eigh(a: Any, UPLO: str = "L") -> tuple[Spec, Spec]:
    a = _eigen_shape(a, UPLO)
    dtype = common_type(a, half=a.size != 0)
    return packed(a.shape[:-1], real_of(dtype)), packed(a.shape, dtype)


def eigvalsh(a: Any, UPLO: str = "L") -> Spec:
    return eigh(a, UPLO)[0]


def eig(a: Any) -> tuple[Spec, Spec]:
    a = _eigen_shape(a)
    dtype = common_type(a)
    if a.size:
        dtype = complex_of(dtype)
    return packed(a.shape[:-1], dtype), packed(a.shape, dtype)


def eigvals(a: Any) -> Spec:
    return eig(a)[0]


# -- norms ---------------------------------------------------------------------------------------------------------------------------
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Spec:
    x = as_spec(x)
    dtype = x.dtype if x.dtype.kind in "fc" else np.dtype(np.float64)
    result = real_of(dtype)
    plain = ord is None or (x.ndim == 1 and ord == 2) or (x.ndim == 2 and ord in ("f", "fro"))
    if axis is None:
        if plain:
            return packed((1,) * x.ndim if keepdims else (), result)
        axis = tuple(range(x.ndim))
    elif not isinstance(axis, tuple):
        try:
            axis = (int(axis),)
        except Exception:
            raise TypeError("'axis' must be None, an integer or a tuple of integers") from None
    if len(axis) not in (1, 2):
        raise ValueError("Improper number of dimensions to norm.")
    if len(axis) == 2 and not all(-x.ndim <= i < x.ndim for i in axis):
        raise ValueError(f"Invalid axis {axis!r} for an array with shape {x.shape!r}")
    axes = tuple(to_axis(i, x.ndim) for i in axis)
    _check_order(ord, axes, dtype)
    shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes]
    return packed(shape, result)


def _check_order(ord: Any, axes: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if len(axes) == 1:
        if ord is not None:
            try:
                float(ord)
            except (TypeError, ValueError):
                raise ValueError("Invalid norm order for vectors.") from None
        return
    if axes[0] == axes[1]:
        raise ValueError("Duplicate axes given.")
    if ord is not None and ord not in (2, -2, 1, -1, np.inf, -np.inf, "fro", "f", "nuc"):
        raise ValueError("Invalid norm order for matrices.")
    if ord in (2, -2, "nuc") and dtype == np.float16:
        raise TypeError("float16 is unsupported in linalg")


def cond(x: Any, p: Any = None) -> Spec:
    x = as_spec(x)
    if x.size == 0:
        raise LinAlgError("cond is not defined on empty arrays")
    if p is None or p in (2, -2):
        svd(x)
        return packed(x.shape[:-2], real_of(common_type(x)))
    _square(x)
    return packed(x.shape[:-2], common_type(x))


def det(a: Any) -> Spec:
    return slogdet(a)[0]


def slogdet(a: Any) -> tuple[Spec, Spec]:
    a = require_array(a)
    _square(a)
    dtype = common_type(a)
    return packed(a.shape[:-2], dtype), packed(a.shape[:-2], real_of(dtype))


def matrix_rank(M: Any, tol: Any = None) -> Spec:
    M = as_spec(M)
    if M.ndim >= 2:
        common_type(M)
    return packed(M.shape[:-2] if M.ndim >= 2 else (), np.int64)


def matrix_power(M: Any, n: Any) -> Spec:
    _square(M)
    if not isinstance(n, int):
        raise TypeError("exponent must be an integer")
    return packed(M.shape, common_type(M) if n < 0 else M.dtype)


# -- solving ----------------------------------------------------------------------------------------------------------------------------
def solve(a: Any, b: Any) -> Spec:
    _matrix(a, b)
    _square(a)
    if b.ndim == 0:
        raise ValueError("b must have at least one dimension")
    shape = b.shape
    if b.ndim == 1:
        if a.shape[-1] != b.size:
            raise ValueError("a must have (..., M, M) shape and b must have (M,) for one-dimensional b")
        shape = a.shape[:-1]
    elif a.shape[:-1] != b.shape[:-1]:
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b")
    return packed(shape, common_type(a, b))


def tensorsolve(a: Any, b: Any, axes: Any = None) -> Spec:
    a, b = as_spec(a), as_spec(b)
    shape = list(a.shape)
    if axes is not None:
        order = list(range(a.ndim))
        for k in axes:
            order.remove(k)
            order.insert(a.ndim, k)
        shape = [a.shape[i] for i in order]
    result = tuple(shape[-(a.ndim - b.ndim) :])
    n = prod(result)
    solve(packed((a.size // n if n else 0, n), a.dtype), packed((b.size,), b.dtype))
    return packed(result, common_type(a, b))


def inv(a: Any) -> Spec:
    _square(a)
    return packed(a.shape, common_type(a))


def tensorinv(a: Any, ind: int = 2) -> Spec:
    _matrix(a)
    if ind <= 0:
        raise ValueError("Invalid ind argument")
    n = prod(a.shape[ind:])
    inv(packed((n, a.size // n if n else 0), a.dtype))
    return packed(a.shape[ind:] + a.shape[:ind], common_type(a))


def pinv(a: Any, rcond: Any = 1e-15) -> Spec:
    _matrix(a)
    if a.ndim < 2:
        raise ValueError("not enough values to unpack (expected 2, got 1)")
    dtype = common_type(a)
    *batch, m, n = a.shape
    return packed((*batch, n, m), a.dtype if not m or not n else dtype)


def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    _matrix(a, b)
    if a.ndim != 2:
        raise LinAlgError(f"{a.ndim}-dimensional array given. Array must be two-dimensional")
    if b.ndim > 2:
        raise LinAlgError(f"{b.ndim}-dimensional array given. Array must be at most two-dimensional")
    m, n = a.shape
    if b.ndim == 0 or b.shape[0] != m:
        raise LinAlgError("Incompatible dimensions")
    dtype = common_type(a)
    x = packed((n, *b.shape[1:]), np.promote_types(b.dtype, dtype))
    s = packed((min(m, n),), real_of(dtype))
    # With more rows than unknowns the residuals depend on the rank, which only the data can tell.
    residuals: Any = packed((0,), s.dtype) if m <= n else UNKNOWN
    return x, residuals, packed((), np.int32), s
