"""`cupyx.cusolver` and `cupyx.linalg.sparse` on LAPACK and SciPy's sparse LU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from . import linalg

Array = np.ndarray[Any, Any]
_sparse: Any = scipy.sparse


def gesvdj(a: Array, full_matrices: bool = True, compute_uv: bool = True, overwrite_a: bool = False) -> Any:
    if not compute_uv:
        return np.linalg.svd(a, compute_uv=False)
    u, s, vh = np.linalg.svd(a, full_matrices)
    return u, s, np.swapaxes(vh, -2, -1).conj()


def gesvda(a: Array, compute_uv: bool = True) -> Any:
    return gesvdj(a, False, compute_uv)


def syevj(a: Array, UPLO: Any = "L", with_eigen_vector: bool = True) -> Any:
    dtype = a.dtype if a.dtype.kind in "fc" else np.dtype(np.float64)
    wide = a.astype(np.float32 if dtype == np.float16 else dtype)
    w, v = np.linalg.eigh(wide, UPLO)
    w = w.astype(dtype.char.lower())
    return (w, v.astype(dtype)) if with_eigen_vector else w


def gesv(a: Array, b: Array) -> Array:
    a, b = np.array(a, order="F"), np.array(b, order="F")
    linalg.gesv(a, b)
    return b


def _solved(data: Array, indices: Array, indptr: Array, b: Array) -> Array:
    matrix = _sparse.csr_matrix((data, indices, indptr), shape=(b.size, b.size))
    return np.asarray(_sparse.linalg.spsolve(matrix.tocsc(), b.astype(data.dtype)))


def csrlsvqr(data: Array, indices: Array, indptr: Array, b: Array, tol: float, reorder: int) -> Array:
    return _solved(data, indices, indptr, b).astype(data.dtype, copy=False)


def lschol(data: Array, indices: Array, indptr: Array, b: Array) -> Array:
    return _solved(data, indices, indptr, b).astype(np.float64)


#: Row's name -> function.
OPS: dict[str, Callable[..., Any]] = {
    "cupyx.cusolver.gesvdj": gesvdj,
    "cupyx.cusolver.gesvda": gesvda,
    "cupyx.cusolver.syevj": syevj,
    "cupyx.cusolver.gesv": gesv,
    "cupyx.cusolver.gels": linalg.gels,
    "@cupyx.cusolver.csrlsvqr": csrlsvqr,
    "@cupyx.linalg.sparse.lschol": lschol,
}
