"""Products and linear algebra on NumPy's LAPACK, with CuPy's dtypes. Singular input gives NaN where CuPy gives no error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops.rules.einsum import analyse, parse

Array = np.ndarray[Any, Any]


def _common(*arrays: Array) -> np.dtype[Any]:
    """CuPy's result dtype: integers count as float64."""
    return np.result_type(*(a.dtype if a.dtype.kind in "fc" else np.dtype(np.float64) for a in arrays))


def _compute(a: Array, dtype: np.dtype[Any]) -> Array:
    """`a` in the dtype that LAPACK works in: float16 is computed in float32."""
    return a.astype(np.float32 if dtype == np.float16 else dtype, copy=False)


def _real(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(dtype.char.lower())


def _nan_where_singular(function: Callable[[Array], Array], a: Array) -> Array:
    """Run on a matrix or a stack of them; those that LAPACK refuses become NaN, the others keep their result."""
    try:
        return function(a)
    except np.linalg.LinAlgError:
        if a.ndim == 2:
            return np.full(a.shape, np.nan, a.dtype)
        return np.stack([_nan_where_singular(function, item) for item in a]) if len(a) else a.copy()


# -- products -----------------------------------------------------------------------------------------------------------------
def matmul(
    x1: Array, x2: Array, /, out: Any = None, *, dtype: Any = None, casting: str = "same_kind", order: str = "K"
) -> Array:
    if isinstance(out, tuple):
        (out,) = out
    result = np.matmul(x1, x2, dtype=dtype, casting=casting)  # type: ignore[call-overload]
    if out is None:
        # NumPy multiplies bfloat16 as float32.
        return np.asarray(result).astype(np.result_type(x1, x2) if dtype is None else dtype, copy=False)
    out[...] = result
    return out  # type: ignore[no-any-return]


def dot(a: Array, b: Array, out: Any = None) -> Array:
    result = np.asarray(np.dot(a, b))
    if out is None:
        return result
    out[...] = result
    return out  # type: ignore[no-any-return]


def outer(a: Array, b: Array, out: Any = None) -> Array:
    return np.multiply(a.ravel()[:, None], b.ravel()[None, :], out=out)  # type: ignore[no-any-return]


def vdot(a: Array, b: Array) -> Array:
    return np.asarray(np.dot(a.conj().ravel(), b.ravel()))


def kron(a: Any, b: Any) -> Array:
    # A Python scalar adapts to the array, which NumPy's own function forgets.
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.asarray(np.kron(a, b))
    return np.asarray(np.multiply(a, b))


def tensordot(a: Array, b: Array, axes: Any = 2) -> Array:
    return np.asarray(np.multiply(a, b) if not a.ndim or not b.ndim else np.tensordot(a, b, axes))


def einsum(*operands: Any, dtype: Any = None, optimize: Any = False) -> Array:
    if optimize is None:
        optimize = False
    # Either subscripts as text and the operands, or operand, subscripts, operand, subscripts, …, where subscripts may be arrays too.
    arrays = operands[1:] if isinstance(operands[0], str) else operands[: len(operands) // 2 * 2 : 2]
    if len(arrays) == 1:
        # A view where it can be one, of the operand's dtype; what is summed is summed as `dtype`.
        view = np.asarray(np.einsum(*operands))
        if dtype is None or np.may_share_memory(view, arrays[0]):
            return view
        return np.asarray(np.einsum(*operands, dtype=dtype, casting="unsafe"))
    dtype = np.result_type(*map(np.asarray, arrays)) if dtype is None else dtype
    if optimize is not False and _stretches(operands):
        optimize = False
    if optimize is not False:
        # NumPy's pairwise products forget `dtype`, so that each pair would be multiplied in its own.
        cast = [np.asarray(a).astype(dtype, copy=False) for a in arrays]
        operands = (
            (operands[0], *cast)
            if isinstance(operands[0], str)
            else tuple(cast[i // 2] if i % 2 == 0 and i // 2 < len(cast) else part for i, part in enumerate(operands))
        )
    return np.asarray(np.einsum(*operands, dtype=dtype, casting="unsafe", optimize=optimize))


def _stretches(operands: tuple[Any, ...]) -> bool:
    """Whether a label has length 1 in one operand and more in another. NumPy's pairwise contractions sum such a label wrongly."""
    inputs, output, arrays = parse(operands)
    labels, _, lengths = analyse(inputs, output, [np.shape(a) for a in arrays])
    return any(
        n != lengths[label]
        for sub, a in zip(labels, arrays, strict=True)
        for label, n in zip(sub, np.shape(a), strict=True)
    )


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Array:
    """By components: NumPy no longer takes vectors of length 2."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(np.asarray(a), axisa, -1), np.moveaxis(np.asarray(b), axisb, -1)
    flat = a.shape[-1] == 2 and b.shape[-1] == 2
    a, b = ((x, np.zeros_like(x[..., :1])) if x.shape[-1] == 2 else (x,) for x in (a, b))
    a, b = np.concatenate(a, -1), np.concatenate(b, -1)
    dtype = np.promote_types(a.dtype, b.dtype)
    x = a[..., [1, 2, 0]] * b[..., [2, 0, 1]] - a[..., [2, 0, 1]] * b[..., [1, 2, 0]]
    return np.asarray(x[..., 2] if flat else np.moveaxis(x, -1, axisc)).astype(dtype, copy=False)


def trace(a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Array:
    return np.asarray(np.diagonal(a, offset, axis1, axis2).sum(-1, dtype=dtype, out=out))


# -- decompositions ---------------------------------------------------------------------------------------------------------------
def cholesky(a: Array) -> Array:
    return _nan_where_singular(np.linalg.cholesky, _compute(a, _common(a)))


def qr(a: Array, mode: str = "reduced") -> Any:
    result = np.linalg.qr(_compute(a, _common(a)), mode)  # type: ignore[call-overload]
    return tuple(result) if isinstance(result, tuple) else result


def svd(a: Array, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    result = np.linalg.svd(_compute(a, _common(a)), full_matrices, compute_uv)  # type: ignore[call-overload]
    return tuple(result) if compute_uv else result


def eigh(a: Array, UPLO: Any = "L") -> tuple[Array, Array]:
    dtype = _common(a)
    w, v = np.linalg.eigh(_compute(a, dtype), UPLO)
    return w.astype(_real(dtype), copy=False), v.astype(dtype, copy=False)


def eig(a: Array) -> tuple[Array, Array]:
    dtype = _common(a)
    w, v = np.linalg.eig(_compute(a, dtype))
    if a.size:
        dtype = np.dtype(dtype.char.upper())
    return w.astype(dtype, copy=False), v.astype(dtype, copy=False)


# -- norms ---------------------------------------------------------------------------------------------------------------------------
def norm(x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    if x.dtype.kind not in "fc":
        x = x.astype(np.float64)
    real = _real(x.dtype)
    return np.asarray(np.linalg.norm(x, ord, axis, keepdims)).astype(real, copy=False)


def cond(x: Array, p: Any = None) -> Array:
    dtype = _common(x)
    x = _compute(x, dtype)
    if p is None or p in (2, -2):
        s = np.linalg.svd(x, compute_uv=False)
        with np.errstate(all="ignore"):
            r = s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
        dtype = _real(dtype)
    else:
        with np.errstate(all="ignore"):
            r = np.linalg.norm(x, p, axis=(-2, -1)) * np.linalg.norm(inv(x), p, axis=(-2, -1))
    r = np.asarray(r).astype(dtype)
    bad = np.isnan(r) & ~np.isnan(x).any(axis=(-2, -1))
    return np.where(bad, dtype.type(np.inf), r).astype(dtype, copy=False)


def slogdet(a: Array) -> tuple[Array, Array]:
    dtype = _common(a)
    sign, logdet = np.linalg.slogdet(_compute(a, dtype))
    return np.asarray(sign).astype(dtype, copy=False), np.asarray(logdet).astype(_real(dtype), copy=False)


def det(a: Array) -> Array:
    dtype = _common(a)
    return np.asarray(np.linalg.det(_compute(a, dtype))).astype(dtype, copy=False)


def matrix_rank(M: Array, tol: Any = None) -> Array:
    if M.ndim < 2:
        return np.asarray((M != 0).any()).astype(np.int64)
    s = svd(M, compute_uv=False)
    if tol is None:
        tol = s.max(axis=-1, keepdims=True) * max(M.shape[-2:]) * np.finfo(s.dtype).eps
    return np.asarray((s > tol).sum(axis=-1, dtype=np.intp))


def matrix_power(M: Array, n: int) -> Array:
    if n < 0:
        M, n = inv(M), -n
    return np.array(np.linalg.matrix_power(M, n))


# -- solving ----------------------------------------------------------------------------------------------------------------------------
def solve(a: Array, b: Array) -> Array:
    """A one-dimensional `b` goes with every matrix of a stack."""
    dtype = _common(a, b)
    a, b = _compute(a, dtype), _compute(b, dtype)
    vectors = b.ndim == 1
    if vectors:
        b = np.broadcast_to(b, a.shape[:-1])[..., None]
    try:
        x = np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        x = np.matmul(_nan_where_singular(np.linalg.inv, a), b)
    return x[..., 0] if vectors else x


def tensorsolve(a: Array, b: Array, axes: Any = None) -> Array:
    if axes is not None:
        order = list(range(a.ndim))
        for k in axes:
            order.remove(k)
            order.insert(a.ndim, k)
        a = a.transpose(order)
    shape = a.shape[-(a.ndim - b.ndim) :]
    return solve(a.reshape(-1, int(np.prod(shape))), b.ravel()).reshape(shape)


def inv(a: Array) -> Array:
    return _nan_where_singular(np.linalg.inv, _compute(a, _common(a)))


def tensorinv(a: Array, ind: int = 2) -> Array:
    n = int(np.prod(a.shape[ind:]))
    return inv(a.reshape(n, -1)).reshape(*a.shape[ind:], *a.shape[:ind])


def pinv(a: Array, rcond: Any = 1e-15) -> Array:
    if 0 in a.shape[-2:]:
        return np.empty((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    u, s, vt = svd(a.conj(), full_matrices=False)
    if s.size == 0:
        return np.asarray(np.matmul(vt.swapaxes(-2, -1), s[..., None] * u.swapaxes(-2, -1)))
    small = s <= np.asarray(rcond)[..., None] * np.max(s, axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        s = np.where(small, 0, 1 / s).astype(s.dtype)
    return np.asarray(np.matmul(vt.swapaxes(-2, -1), s[..., None] * u.swapaxes(-2, -1)))


def lstsq(a: Array, b: Array, rcond: Any = None) -> tuple[Array, Array, Array, Array]:
    """By the singular value decomposition, as CuPy, so that rank and residuals agree with it."""
    m, n = a.shape
    u, s, vh = svd(a, full_matrices=False)
    eps = np.finfo(s.dtype).eps
    if rcond is None:
        rcond = eps * max(m, n)
    elif rcond <= 0 or rcond >= 1:
        rcond = eps
    small = s <= rcond * s.max() if s.size else np.zeros(0, np.bool_)
    with np.errstate(divide="ignore"):
        inverse = np.where(small, 0, 1 / s).astype(s.dtype)
    rank = int(s.size - small.sum())
    x = np.dot(vh.T.conj(), (np.dot(b.T, u.conj()) * inverse).T)
    if m <= n or rank != n:
        residuals = np.empty((0,), s.dtype)
    else:
        e: Any = np.asarray(b - a.dot(x)).T
        residuals = np.atleast_1d((e.real**2 + e.imag**2).sum(axis=-1))
    return x, residuals, np.array(rank, np.int32), s


#: Implementation name -> function.
OPS: dict[str, Callable[..., Any]] = {
    "matmul": matmul,
    "dot": dot,
    "vdot": vdot,
    "inner": lambda a, b: np.asarray(np.inner(a, b)),
    "outer": outer,
    "tensordot": tensordot,
    "einsum": einsum,
    "kron": kron,
    "cross": cross,
    "linalg.cross": lambda x1, x2, /, *, axis=-1: cross(x1, x2, axis=axis),
    "trace": trace,
    "linalg.cholesky": cholesky,
    "linalg.qr": qr,
    "linalg.svd": svd,
    "linalg.eigh": eigh,
    "linalg.eigvalsh": lambda a, UPLO="L": eigh(a, UPLO)[0],
    "linalg.eig": eig,
    "linalg.eigvals": lambda a: eig(a)[0],
    "linalg.norm": norm,
    "linalg.cond": cond,
    "linalg.det": det,
    "linalg.slogdet": slogdet,
    "linalg.matrix_rank": matrix_rank,
    "linalg.matrix_power": matrix_power,
    "linalg.solve": solve,
    "linalg.tensorsolve": tensorsolve,
    "linalg.inv": inv,
    "linalg.tensorinv": tensorinv,
    "linalg.pinv": pinv,
    "linalg.lstsq": lstsq,
}
