"""Rows: `cupyx.cusolver` and `cupyx.linalg.sparse`: solvers under the names of a library that the server has, or does as it would."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import arr, call, fails, pos, spd
from cupool.contract.ops.rules._arrays import packed
from cupool.contract.ops.rules.common import rule
from cupool.contract.ops.scipy._rules_linalg import check_pair, require
from cupool.contract.spec import Spec


def _library_dtype(a: Spec) -> str:
    if a.dtype.char not in "fdFD":
        raise TypeError(f"unsupported dtype (actual: {a.dtype})")
    return a.dtype.char.lower()


@rule("cusolver_gesvdj")
def _gesvdj(a: Any, full_matrices: Any = True, compute_uv: Any = True, overwrite_a: Any = False) -> Any:
    a = require(a)
    assert a.ndim in (2, 3)
    real = _library_dtype(a)
    *batch, m, n = a.shape
    k = min(m, n)
    s = packed((*batch, k), real)
    if not compute_uv:
        return s
    rows, columns = (m, n) if full_matrices else (k, k)
    return packed((*batch, m, rows), a.dtype), s, packed((*batch, n, columns), a.dtype)


@rule("cusolver_gesvda")
def _gesvda(a: Any, compute_uv: Any = True) -> Any:
    a = require(a)
    assert a.ndim >= 2 and a.shape[-2] >= a.shape[-1]
    real = _library_dtype(a)
    *batch, m, n = a.shape
    s = packed((*batch, n), real)
    return (packed((*batch, m, n), a.dtype), s, packed((*batch, n, n), a.dtype)) if compute_uv else s


@rule("cusolver_syevj")
def _syevj(a: Any, UPLO: Any = "L", with_eigen_vector: Any = True) -> Any:
    a = require(a)
    if UPLO not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    assert a.ndim >= 2 and a.shape[-1] == a.shape[-2]
    dtype = a.dtype if a.dtype.kind in "fc" else np.dtype(np.float64)
    w = packed(a.shape[:-1], dtype.char.lower())
    return (w, packed(a.shape, dtype)) if with_eigen_vector else w


@rule("cusolver_gesv")
def _gesv(a: Any, b: Any) -> Any:
    a, b = require(a), require(b)
    if a.ndim == 2 and a.shape[0] != a.shape[1]:
        raise ValueError("a must be a square matrix.")
    check_pair(a, b, ValueError)
    return packed(b.shape, b.dtype, "F")


@rule("cusolver_gels")
def _gels(a: Any, b: Any) -> Any:
    a, b = require(a), require(b)
    check_pair(a, b, ValueError)
    if a.shape[0] < a.shape[1]:
        raise ValueError("m must be equal to or greater than n.")
    return packed((a.shape[1], *b.shape[1:]), b.dtype, "F")


@rule("cusolver_csrlsvqr")
def _csrlsvqr(data: Any, indices: Any, indptr: Any, b: Any, tol: Any, reorder: Any) -> Any:
    return packed(b.shape, data.dtype)


@rule("linalg_sparse_lschol")
def _lschol(data: Any, indices: Any, indptr: Any, b: Any) -> Any:
    return packed(b.shape, np.float64)


def _wave(*shape: int, dtype: Any = "f8") -> Any:
    a = np.sin(np.arange(math.prod(shape)).reshape(shape) ** 1.3 + 1)
    return (a + 1j * np.cos(a * 3) if np.dtype(dtype).kind == "c" else a).astype(dtype)


op(
    "cupyx.cusolver.gesvdj", "(a, full_matrices=True, compute_uv=True, overwrite_a=False)", _gesvdj,
    samples=lambda: [
        call(_wave(4, 3)), call(_wave(2, 3, 4, dtype="c8"), full_matrices=False), call(_wave(3, 3, dtype="f4"), compute_uv=False),
    ],
    errors=lambda: [fails(TypeError, arr(3, 3, dtype="i4"))],
)  # fmt: skip
op(
    "cupyx.cusolver.gesvda", "(a, compute_uv=True)", _gesvda,
    samples=lambda: [call(_wave(4, 3)), call(_wave(2, 4, 3, dtype="c16")), call(_wave(3, 3, dtype="f4"), compute_uv=False)],
    errors=lambda: [fails(TypeError, arr(3, 3, dtype="i4")), fails(AssertionError, pos(2, 3))],
)  # fmt: skip
op(
    "cupyx.cusolver.syevj", "(a, UPLO='L', with_eigen_vector=True)", _syevj,
    samples=lambda: [
        call(spd(3)), call(spd(3, "c8", (2,)), UPLO="U"), call(arr(2, 2, dtype="i4")), call(spd(2, "f4"), with_eigen_vector=False),
    ],
    errors=lambda: [fails(ValueError, spd(3), UPLO="x")],
)  # fmt: skip
op(
    "cupyx.cusolver.gesv", "(a, b)", _gesv, arrays=("a", "b"),
    samples=lambda: [call(spd(3), pos(3)), call(spd(3, "c8"), pos(3, 2, dtype="c8"))],
    errors=lambda: [fails(ValueError, pos(3), pos(3)), fails(ValueError, pos(3, 3), pos(3, dtype="f4"))],
)  # fmt: skip
op(
    "cupyx.cusolver.gels", "(a, b)", _gels, arrays=("a", "b"),
    samples=lambda: [call(_wave(4, 3), pos(4)), call(_wave(3, 3, dtype="c8"), pos(3, 2, dtype="c8"))],
    errors=lambda: [fails(ValueError, pos(2, 3), pos(2)), fails(ValueError, pos(3, 3), pos(3, dtype="f4"))],
)  # fmt: skip
op("@cupyx.cusolver.csrlsvqr", "(data, indices, indptr, b, tol, reorder)", _csrlsvqr, arrays=("data", "indices", "indptr", "b"),
   note="cupyx.cusolver.csrlsvqr of a csr_matrix's arrays")  # fmt: skip
op("@cupyx.linalg.sparse.lschol", "(data, indices, indptr, b)", _lschol, arrays=("data", "indices", "indptr", "b"),
   note="cupyx.linalg.sparse.lschol of a csr_matrix's arrays")  # fmt: skip
