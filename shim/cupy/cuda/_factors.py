"""Factorisations of matrices in device memory, composed of array operations: what `cublas` and `cusolver` share.

A matrix is an array in column order over memory that a pointer names (`cublas._matrix`). Functions write where LAPACK writes, and give back
LAPACK's `info` as an int32 array: 0, or what went wrong. Nothing waits but `cholesky` of a matrix that is not positive definite.

Boundary: no pointers and no handles here.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def _cp() -> Any:
    from ... import cupy

    return cupy


def _linalg() -> Any:
    from ...cupyx.scipy import linalg

    return linalg


def fine() -> Any:
    """An `info` that says so."""
    return _cp().zeros((), np.int32)


def lu(matrix: Any) -> tuple[Any, Any]:
    """Factors in the place of the matrix; (rows exchanged, counted from 1, and info: the first zero on U's diagonal)."""
    factors, pivots = _linalg().lu_factor(matrix, check_finite=False)
    matrix[...] = factors
    return pivots + 1, first_zero(factors)


def first_zero(factors: Any) -> Any:
    """The first zero on the diagonal, counted from 1; 0 without one."""
    cp = _cp()
    zeros = cp.diagonal(factors) == 0
    if not zeros.size:
        return fine()
    return cp.where(zeros.any(), zeros.argmax() + 1, 0).astype(np.int32)


def lu_solve(factors: Any, pivots: Any, right: Any, trans: int) -> None:
    """The solution of op(A) X = B in the place of B. `pivots` None: no rows were exchanged."""
    cp = _cp()
    pivots = cp.arange(len(factors), dtype=np.int32) if pivots is None else pivots - 1
    right[...] = _linalg().lu_solve((factors, pivots), right, trans, check_finite=False)


def hermitian(matrix: Any, uplo: int) -> Any:
    """The whole matrix of one triangle: 0 the lower, else the upper."""
    cp = _cp()
    half = cp.tril(matrix, -1) if uplo == 0 else cp.triu(matrix, 1)
    diagonal = cp.diag(cp.diagonal(matrix).real.astype(matrix.dtype))
    return half + half.conj().T + diagonal


def _put_triangle(matrix: Any, values: Any, uplo: int) -> None:
    """Write one triangle and leave the other one."""
    cp = _cp()
    ones = cp.ones(matrix.shape, bool)
    matrix[...] = cp.where(cp.tril(ones) if uplo == 0 else cp.triu(ones), values, matrix)


def cholesky(matrix: Any, uplo: int) -> Any:
    """L (uplo 0) or its transpose in one triangle; info: the order of the first leading minor that is not positive. Waits."""
    cp = _cp()
    whole = hermitian(matrix, uplo)
    factor = cp.linalg.cholesky(whole)
    if bool(cp.isfinite(factor).all()):
        _put_triangle(matrix, factor if uplo == 0 else factor.conj().T, uplo)
        return fine()
    low, high = 0, len(whole)  # the minor of order `low` is positive, that of order `high` is not
    while high - low > 1:
        middle = (low + high) // 2
        if bool(cp.isfinite(cp.linalg.cholesky(whole[:middle, :middle])).all()):
            low = middle
        else:
            high = middle
    return cp.asarray(np.int32(high))


def cholesky_solve(factor: Any, right: Any, uplo: int) -> None:
    """The solution of A X = B from A's triangular factor, in the place of B."""
    solve = _linalg().solve_triangular
    lower = uplo == 0
    first = solve(factor, right, trans=0 if lower else 2, lower=lower)
    right[...] = solve(factor, first, trans=2 if lower else 0, lower=lower)


def qr(matrix: Any, tau: Any) -> Any:
    """R and the reflectors' vectors in the place of the matrix, their factors in `tau`."""
    h, factors = _cp().linalg.qr(matrix, mode="raw")
    matrix[...] = h.T
    tau[...] = factors
    return fine()


def reflections(vectors: Any, tau: Any) -> tuple[Any, Any]:
    """(V, T) of the product of reflectors, which is 1 - V T V^H.

    T is (1 + D U)^-1 D for D = diag(tau) and U what is above the diagonal of V^H V: no division by a tau of zero.
    """
    cp = _cp()
    k = tau.size
    v = cp.tril(vectors[:, :k], -1) + cp.eye(len(vectors), k, dtype=vectors.dtype)
    scale = cp.diag(tau)
    t = cp.linalg.solve(cp.eye(k, dtype=vectors.dtype) + scale @ cp.triu(v.conj().T @ v, 1), scale)
    return v, t


def make_q(matrix: Any, tau: Any) -> Any:
    """The first columns of Q in the place of the vectors."""
    cp = _cp()
    v, t = reflections(matrix, tau)
    matrix[...] = cp.eye(*matrix.shape, dtype=matrix.dtype) - v @ (t @ v[: matrix.shape[1]].conj().T)
    return fine()


def apply_q(vectors: Any, tau: Any, target: Any, on_right: bool, trans: int) -> Any:
    """op(Q) C, or C op(Q), in the place of C."""
    v, t = reflections(vectors, tau)
    t = t.conj().T if trans else t
    if on_right:
        target[...] = target - ((target @ v) @ t) @ v.conj().T
    else:
        target[...] = target - v @ (t @ (v.conj().T @ target))
    return fine()


def svd(matrix: Any, full: bool) -> tuple[Any, Any, Any]:
    """(U, S, V^H)."""
    made: tuple[Any, Any, Any] = _cp().linalg.svd(matrix, full_matrices=full)
    return made


def eigh(matrix: Any, values: Any, uplo: int, with_vectors: bool) -> Any:
    """Eigenvalues, ascending; the vectors in the place of the matrix."""
    linalg = _cp().linalg
    letter = "L" if uplo == 0 else "U"
    if with_vectors:
        values[...], matrix[...] = linalg.eigh(matrix, UPLO=letter)
    else:
        values[...] = linalg.eigvalsh(matrix, UPLO=letter)
    return fine()
