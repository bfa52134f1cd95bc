"""Eigenvalues and singular values."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract import solvers

from .. import _ops
from .._ops import cp
from ._interface import aslinearoperator
from ._iterative import as_operand


def eigsh(a: Any, k: int = 6, *, which: str = "LM", v0: Any = None, ncv: Any = None, maxiter: Any = None, tol: float = 0,
          return_eigenvectors: bool = True) -> Any:  # fmt: skip
    """`k` eigenvalues, ascending, and eigenvectors of a symmetric matrix or operator.

    Args:
        which: "LM" the largest in magnitude, "LA" the largest, "SA" the smallest.

    Raises:
        ValueError: not square, or no such `k` or `which`.
        TypeError: a dtype other than single and double precision.
    """
    n = a.shape[0]
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise ValueError(f"expected square matrix (shape: {a.shape})")
    if a.dtype.char not in "fdFD":
        raise TypeError(f"unsupprted dtype (actual: {a.dtype})")
    if k <= 0:
        raise ValueError(f"k must be greater than 0 (actual: {k})")
    if k >= n:
        raise ValueError(f"k must be smaller than n (actual: {k})")
    if which not in ("LM", "LA", "SA"):
        raise ValueError(f"which must be 'LM','LA'or'SA' (actual: {which})")
    ncv = min(max(2 * k, k + 32) if ncv is None else max(ncv, k + 2), n - 1)
    ncv = max(ncv, min(k + 2, n))  # a restart needs one more than CuPy leaves of a tiny matrix
    options = {
        "k": int(k), "which": which, "ncv": int(ncv), "maxiter": 10 * n if maxiter is None else int(maxiter),
        "tol": float(np.finfo(a.dtype).eps) if tol == 0 else float(tol),
    }  # fmt: skip
    start = cp.random.random((n,)).astype(a.dtype) if v0 is None else v0.astype(a.dtype)
    matrix = as_operand(a)
    if matrix is None:
        w, x = solvers.eigsh(cp, lambda v: a @ v, start, **options)  # type: ignore[arg-type]
    else:
        w, x = _ops.run("eigsh", matrix, start, options)
    return (w, x) if return_eigenvectors else w


def svds(a: Any, k: int = 6, *, ncv: Any = None, tol: float = 0, which: str = "LM", maxiter: Any = None,
         return_singular_vectors: bool = True) -> Any:  # fmt: skip
    """The `k` largest singular values, and the vectors: (u, s, vt). By eigenvalues of the product with the adjoint.

    Raises:
        ValueError: no such `k`, or not of two dimensions.
        TypeError: a dtype other than single and double precision.
    """
    if a.ndim != 2:
        raise ValueError(f"expected 2D (shape: {a.shape})")
    if a.dtype.char not in "fdFD":
        raise TypeError(f"unsupprted dtype (actual: {a.dtype})")
    m, n = a.shape
    if k <= 0:
        raise ValueError(f"k must be greater than 0 (actual: {k})")
    if k >= min(m, n):
        raise ValueError(f"k must be smaller than min(m, n) (actual: {k})")
    a = aslinearoperator(a)
    if m < n:
        a = a.H
    w, x = eigsh(a.H @ a, k=k, which=which, ncv=ncv, maxiter=maxiter, tol=tol)
    w = cp.maximum(w, 0)
    char = w.dtype.char
    large = w > {"f": 1e3, "d": 1e6}[char] * np.finfo(char).eps * cp.max(w)
    count = int(large.sum())  # waits: what is not large is taken as zero
    s = cp.zeros_like(w)
    s[:count] = cp.sqrt(w[large])
    if not return_singular_vectors:
        return s
    right = x[:, large]
    left = a @ right / s[:count]
    left, right = (_completed(v, k - count) for v in (left, right))
    u, v = (left, right) if m >= n else (right, left)
    return u, s, v.conj().T


def _completed(x: Any, missing: int) -> Any:
    """With orthonormal columns added."""
    if missing <= 0:
        return x
    m, n = x.shape
    made = cp.empty((m, n + missing), dtype=x.dtype)
    made[:, :n] = x
    for i in range(n, n + missing):
        v = cp.random.random((m,)).astype(x.dtype)
        known = made[:, :i]
        v = v - known @ (known.conj().T @ v)
        made[:, i] = v / cp.linalg.norm(v)
    return made
