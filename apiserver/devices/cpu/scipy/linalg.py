"""`cupyx.scipy.linalg`, `cupyx.linalg` and `cupyx.lapack` on SciPy's LAPACK. What is singular gives infinities or NaN, never an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from ..casting import cast

Array = np.ndarray[Any, Any]

#: Not typed: its stubs know literal flags only.
sl: Any = scipy.linalg
_FINITE = "array must not contain infs or NaNs"


def _check_finite(check: bool, *arrays: Array) -> None:
    """CuPy looks at real arrays only. Raises ValueError."""
    for a in arrays:
        if check and a.dtype.kind == "f" and not np.isfinite(a).all():
            raise ValueError(_FINITE)


# -- decompositions ---------------------------------------------------------------------------------------------------------------


def lu_factor(a: Array, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Array, Array]:
    _check_finite(check_finite, a)
    (getrf,) = sl.lapack.get_lapack_funcs(("getrf",), (a,))
    factors, pivots, _ = getrf(a)
    return np.asfortranarray(factors), pivots.astype(np.int32)


def lu(a: Array, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Array, ...]:
    _check_finite(check_finite, a)
    found = sl.lu(a, permute_l=permute_l, check_finite=False)
    if permute_l:
        return tuple(found)
    return np.asarray(found[0], a.real.dtype), found[1], found[2]


def lu_solve(lu_and_piv: Any, b: Array, trans: int = 0, overwrite_b: bool = False, check_finite: bool = True) -> Array:
    factors, pivots = lu_and_piv
    b = cast(b, factors.dtype)
    _check_finite(check_finite, factors, b)
    (getrs,) = sl.lapack.get_lapack_funcs(("getrs",), (factors,))
    x, _ = getrs(factors, pivots, b, trans=trans)
    return np.asfortranarray(x).reshape(b.shape, order="F")


def _triangular(a: Array, b: Array, trans: Any, lower: bool, unit_diagonal: bool) -> Array:
    columns = b.reshape(len(b), -1)
    trans = {"N": 0, "T": 1, "C": 2}.get(trans, trans)
    (trtrs,) = sl.lapack.get_lapack_funcs(("trtrs",), (a, columns))
    x, info = trtrs(a, columns, lower=lower, trans=trans, unitdiag=unit_diagonal)
    if info > 0:  # a zero on the diagonal: CuPy divides by it
        x = _substituted(a, columns, trans, lower)
    return np.asfortranarray(x).reshape(b.shape, order="F")


def _substituted(a: Array, b: Array, trans: int, lower: bool) -> Array:
    """Substitution with IEEE division, whatever is on the diagonal."""
    if trans:
        a, lower = (a.T.conj() if trans == 2 else a.T), not lower
    x = np.array(b, np.result_type(a, b))
    for i in range(len(a)) if lower else reversed(range(len(a))):
        known = slice(0, i) if lower else slice(i + 1, None)
        x[i] = (x[i] - a[i, known] @ x[known]) / a[i, i]
    return x


def solve_triangular(
    a: Array, b: Array, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False, overwrite_b: bool = False,
    check_finite: bool = False,
) -> Array:  # fmt: skip
    _check_finite(check_finite, a, b)
    dtype = a.dtype if a.dtype.char in "fd" else np.promote_types(a.dtype, "f")
    a, b = cast(a, dtype), cast(b, dtype)
    if b.size == 0:
        return b.copy()
    if a.ndim == 2:
        return _triangular(a, b, trans, lower, unit_diagonal)
    matrices, sides = a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[a.ndim - 2 :])
    found = [_triangular(m, s, trans, lower, unit_diagonal) for m, s in zip(matrices, sides, strict=True)]
    return np.stack(found).reshape(b.shape)


def expm(a: Array) -> Array:
    if a.size == 0:
        return np.zeros((0, 0), a.dtype)
    found: Array = sl.expm(a if a.dtype.kind in "fc" else a.astype(np.float64))
    return found


def bandwidth(a: Array) -> tuple[int, int]:
    if a.size == 0:
        return (0, 0)
    if a.ndim != 2:
        raise np.linalg.LinAlgError(f"{a.ndim}-dimensional array given. Array must be two-dimensional")
    rows, columns = np.nonzero(a)
    away = rows - columns
    return (int(max(away.max(initial=0), 0)), int(max((-away).max(initial=0), 0)))


def khatri_rao(a: Array, b: Array) -> Array:
    found: Array = a[:, None, :] * b[None, :, :]
    return found.reshape(-1, a.shape[1])


# -- matrices of a form -------------------------------------------------------------------------------------------------------------


def _diagonals(values: Array, shape: tuple[int, int], sign: int) -> Array:
    """values[offset + row * sign + column]: constant along diagonals."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    first = shape[0] - 1 if sign < 0 else 0
    found: Array = values[first + sign * rows + columns]
    return found


def toeplitz(c: Array, r: Any = None) -> Array:
    c = c.ravel()
    r = c.conj() if r is None else r.ravel()
    return _diagonals(np.concatenate([c[::-1], r[1:]]), (c.size, r.size), -1)


def hankel(c: Array, r: Any = None) -> Array:
    c = c.ravel()
    r = np.zeros_like(c) if r is None else r.ravel()
    return _diagonals(np.concatenate([c, r[1:]]), (c.size, r.size), 1)


def circulant(c: Array) -> Array:
    c = c.ravel()
    return _diagonals(np.concatenate([c[::-1], c[:0:-1]]), (c.size, c.size), -1)


def leslie(f: Array, s: Array) -> Array:
    found = np.zeros((f.size, f.size), np.result_type(f, s))
    found[0] = f
    np.fill_diagonal(found[1:], s)
    return found


def block_diag(*arrs: Any) -> Array:
    if not arrs:
        return np.empty((1, 0))
    blocks = [np.atleast_2d(a) for a in arrs]
    shape = np.sum([b.shape for b in blocks], axis=0)
    found = np.zeros(tuple(shape), np.result_type(*blocks))
    row = column = 0
    for block in blocks:
        m, n = block.shape
        found[row : row + m, column : column + n] = block
        row, column = row + m, column + n
    return found


def companion(a: Array) -> Array:
    first = -a[1:] / a[0]
    found = np.zeros((a.size - 1, a.size - 1), first.dtype)
    found[0] = first
    np.fill_diagonal(found[1:], 1)
    return found


def helmert(n: int, full: bool = False) -> Array:
    found: Array = sl.helmert(n, True)
    return found if full else found[1:]


def fiedler(a: Array) -> Array:
    if a.size < 2:
        return np.zeros((a.size,) * (a.size + 1))
    return cast(np.abs(a[:, None] - a), a.dtype)


def fiedler_companion(a: Array) -> Array:
    if a.size < 2:
        return np.zeros((0,), a.dtype)
    if a.size == 2:
        return np.asarray(-a[1] / a[0])[None, None]
    a = a / a[0]
    found = np.zeros((a.size - 1, a.size - 1), a.dtype)
    np.fill_diagonal(found[3::2, 1::2], 1)
    np.fill_diagonal(found[2::2, 1::2], -a[3::2])
    np.fill_diagonal(found[::2, 2::2], 1)
    np.fill_diagonal(found[::2, 1::2], -a[2::2])
    found[0, 0], found[1, 0] = -a[1], 1
    return found


def convolution_matrix(a: Array, n: int, mode: str = "full") -> Array:
    before = {"full": 0, "same": (min(n, a.size) - 1) // 2, "valid": min(n, a.size) - 1}[mode]
    rows = {"full": a.size + n - 1, "same": max(a.size, n), "valid": abs(a.size - n) + 1}[mode]
    place = np.arange(rows)[:, None] + before - np.arange(n)
    inside = (place >= 0) & (place < a.size)
    return np.where(inside, a[np.where(inside, place, 0)], a.dtype.type(0))


# -- cupyx.lapack, cupyx.linalg -----------------------------------------------------------------------------------------------------


def gesv(a: Array, b: Array) -> None:
    """In place: `a` becomes its factors, `b` the solution."""
    factors, pivots = lu_factor(a.T if a.flags.c_contiguous and not a.flags.f_contiguous else a, check_finite=False)
    transposed = a.flags.c_contiguous and not a.flags.f_contiguous
    (getrs,) = sl.lapack.get_lapack_funcs(("getrs",), (factors,))
    b[...], _ = getrs(factors, pivots, b, trans=int(transposed))
    a[...] = factors.T if transposed else factors


def gels(a: Array, b: Array) -> Array:
    m, n = a.shape
    columns = b.reshape(m, -1)
    if m >= n:
        q, r = np.linalg.qr(a)
        x = _triangular(r, q.conj().T @ columns, 0, False, False)
    else:
        q, r = np.linalg.qr(a.conj().T)
        x = q @ _triangular(r, columns, 2, False, False)
    return x.reshape((n, *b.shape[1:])).astype(b.dtype, copy=False)


def _factored(factor: Array, b: Array, lower: bool, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Solve by Cholesky factors, a matrix or a batch of them."""
    n = factor.shape[-1]
    factor = factor.astype(dtype)
    matrices = factor.reshape(-1, n, n)
    sides = b.reshape(len(matrices), n, -1).astype(dtype)
    found = []
    for matrix, side in zip(matrices, sides, strict=True):
        first, second = (0, 2) if lower else (2, 0)
        half = _triangular(matrix, side, first, lower, False)
        found.append(_triangular(matrix, half, second, lower, False))
    return np.stack(found).reshape(shape) if found else np.empty(shape, dtype)


def _lower(a: Array) -> Array:
    """Cholesky's lower factor of the lower triangle; NaN where there is none."""
    try:
        found: Array = np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        found = np.full(a.shape, np.nan, a.dtype)
    return found


def posv(a: Array, b: Array) -> Array:
    dtype = np.promote_types(np.promote_types(a.dtype, b.dtype), np.float32)
    n = a.shape[-1]
    factors = np.stack([_lower(m) for m in a.astype(dtype).reshape(-1, n, n)]).reshape(a.shape)
    return _factored(factors, b, True, b.shape, dtype)


def potrs(L: Array, b: Array, lower: bool) -> Array:
    dtype = np.promote_types(np.promote_types(L.dtype, b.dtype), np.float32)
    return _factored(L, b, bool(lower), b.shape, dtype)


def cho_solve(c_and_lower: Any, b: Array, overwrite_b: bool = False, check_finite: bool = True) -> Array:
    c, lower = c_and_lower
    if check_finite:
        rows, columns = np.tril_indices(c.shape[-1], -1) if lower else np.triu_indices(c.shape[-1], 1)
        if not (np.isfinite(c[..., rows, columns]).all() and np.isfinite(b).all()):
            raise ValueError("Input array contains NaN or infinity.")
    return potrs(c, b, lower)


def invh(a: Array) -> Array:
    return posv(a, np.eye(len(a), dtype=a.dtype))


_HERE = (
    bandwidth, block_diag, circulant, companion, convolution_matrix, expm, fiedler, fiedler_companion, hankel, helmert, khatri_rao, leslie,
    lu, lu_factor, lu_solve, solve_triangular, toeplitz,
)  # fmt: skip

#: Row's name -> function.
OPS: dict[str, Callable[..., Any]] = {
    **{f"cupyx.scipy.linalg.{f.__name__}": f for f in _HERE},
    "cupyx.scipy.linalg.hadamard": lambda n, dtype=int: cast(sl.hadamard(int(n)), np.dtype(dtype)),
    "cupyx.scipy.linalg.hilbert": lambda n: np.asarray(sl.hilbert(n)),
    "cupyx.scipy.linalg.dft": lambda n, scale=None: np.asarray(sl.dft(n, scale)),
    "cupyx.linalg.invh": invh,
    "cupyx.linalg.cho_solve": cho_solve,
    "cupyx.lapack.gesv": gesv,
    "cupyx.lapack.gels": gels,
    "cupyx.lapack.posv": posv,
    "cupyx.lapack.potrs": potrs,
}
