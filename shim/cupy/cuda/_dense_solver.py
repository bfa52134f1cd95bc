"""The dense routines of `cupy.cuda.cusolver`, on matrices that device addresses name. `_factors.py` has what they compute.

A routine takes (dtype, handle, …) as cuSOLVER's functions of that dtype take (handle, …). Workspaces are not used: sizes are 1, so that
what a program allocates by them is not empty. `info` is written as LAPACK has it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.spec import spec_of

from ... import streams
from . import _factors
from ._libraries import LibraryError, settings
from ._memories import array_at
from ._streams import stream_at

DTYPES: dict[str, np.dtype[Any]] = {"s": np.dtype("f4"), "d": np.dtype("f8"), "c": np.dtype("c8"), "z": np.dtype("c16")}
#: Set by `cusolver.py`, whose class it is.
error: type[LibraryError] = LibraryError
_INVALID_VALUE = 3


def _cp() -> Any:
    from ... import cupy

    return cupy


def matrix(address: int, rows: int, columns: int, ld: int, dtype: Any) -> Any:
    """A matrix in column order, its columns `ld` elements apart."""
    if rows < 0 or columns < 0 or ld < max(1, rows):
        raise error(_INVALID_VALUE)
    return array_at(int(address), spec_of((int(rows), int(columns)), dtype, (dtype.itemsize, int(ld) * dtype.itemsize)))


def vector(address: int, n: int, dtype: Any) -> Any:
    """`n` elements side by side."""
    return array_at(int(address), spec_of((int(n),), np.dtype(dtype)))


def _real(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(dtype.char.lower())


def _tell(address: int, info: Any) -> None:
    """Write `info`, where a program asks for it."""
    if address:
        array_at(int(address), spec_of((), np.dtype("i4")))[...] = info


def _addresses(array: int, count: int) -> list[int]:
    """The addresses in an array of the device. Waits."""
    return [int(a) for a in vector(array, count, "u8").get()]


def buffer_size(dtype: Any, handle: int, *args: Any) -> int:
    """How much workspace a routine needs: 1, whatever it is."""
    return 1


# -- Cholesky, LU --------------------------------------------------------------------------------------------------------------


def potrf(dtype: Any, handle: int, uplo: int, n: int, A: int, lda: int, work: int, lwork: int, devInfo: int) -> None:
    """Cholesky's factor in one triangle of A. Waits: LAPACK says where a matrix stops being positive."""
    _tell(devInfo, _factors.cholesky(matrix(A, n, n, lda, dtype), uplo))


def potrs(
    dtype: Any, handle: int, uplo: int, n: int, nrhs: int, A: int, lda: int, B: int, ldb: int, devInfo: int
) -> None:
    """The solution of A X = B from Cholesky's factor, in the place of B."""
    _factors.cholesky_solve(matrix(A, n, n, lda, dtype), matrix(B, n, nrhs, ldb, dtype), uplo)
    _tell(devInfo, _factors.fine())


def potrf_batched(
    dtype: Any, handle: int, uplo: int, n: int, Aarray: int, lda: int, infoArray: int, batchSize: int
) -> None:
    """`potrf` for each of the addresses in an array of the device. Waits."""
    for i, a in enumerate(_addresses(Aarray, batchSize)):
        potrf(dtype, handle, uplo, n, a, lda, 0, 0, infoArray + 4 * i)


def potrs_batched(
    dtype: Any, handle: int, uplo: int, n: int, nrhs: int, Aarray: int, lda: int, Barray: int, ldb: int, devInfo: int, batchSize: int
) -> None:  # fmt: skip
    """`potrs` for each of the addresses in two arrays of the device. Waits for the addresses."""
    for a, b in zip(_addresses(Aarray, batchSize), _addresses(Barray, batchSize), strict=True):
        potrs(dtype, handle, uplo, n, nrhs, a, lda, b, ldb, devInfo)


def getrf(dtype: Any, handle: int, m: int, n: int, A: int, lda: int, work: int, devIpiv: int, devInfo: int) -> None:
    """The factors of P A = L U in the place of A, and the rows exchanged, counted from 1."""
    pivots, info = _factors.lu(matrix(A, m, n, lda, dtype))
    if devIpiv:
        vector(devIpiv, min(m, n), "i4")[...] = pivots
    _tell(devInfo, info)


def getrs(
    dtype: Any, handle: int, trans: int, n: int, nrhs: int, A: int, lda: int, devIpiv: int, B: int, ldb: int, devInfo: int
) -> None:  # fmt: skip
    """The solution of op(A) X = B from A's factors, in the place of B."""
    if trans not in (0, 1, 2):
        raise error(_INVALID_VALUE)
    pivots = vector(devIpiv, n, "i4") if devIpiv else None
    _factors.lu_solve(matrix(A, n, n, lda, dtype), pivots, matrix(B, n, nrhs, ldb, dtype), trans)
    _tell(devInfo, _factors.fine())


# -- QR ------------------------------------------------------------------------------------------------------------------------


def geqrf(
    dtype: Any, handle: int, m: int, n: int, A: int, lda: int, tau: int, work: int, lwork: int, devInfo: int
) -> None:
    """R and the reflectors of Q in the place of A, their factors in `tau`."""
    _tell(devInfo, _factors.qr(matrix(A, m, n, lda, dtype), vector(tau, min(m, n), dtype)))


def orgqr(
    dtype: Any, handle: int, m: int, n: int, k: int, A: int, lda: int, tau: int, work: int, lwork: int, devInfo: int
) -> None:
    """The first n columns of the product of k reflectors, in the place of these."""
    if not 0 <= k <= n <= m:
        raise error(_INVALID_VALUE)
    _tell(devInfo, _factors.make_q(matrix(A, m, n, lda, dtype), vector(tau, k, dtype)))


def ormqr(
    dtype: Any, handle: int, side: int, trans: int, m: int, n: int, k: int, A: int, lda: int, tau: int, C: int, ldc: int, work: int,
    lwork: int, devInfo: int,
) -> None:  # fmt: skip
    """op(Q) C (side 0) or C op(Q), in the place of C."""
    order = n if side else m
    if not 0 <= k <= order:
        raise error(_INVALID_VALUE)
    vectors, target = matrix(A, order, k, lda, dtype), matrix(C, m, n, ldc, dtype)
    _tell(devInfo, _factors.apply_q(vectors, vector(tau, k, dtype), target, bool(side), trans))


# -- systems of equations at once ------------------------------------------------------------------------------------------------


def gesv(
    dtype: Any, handle: int, n: int, nrhs: int, dA: int, ldda: int, dipiv: int, dB: int, lddb: int, dX: int, lddx: int, dwork: int,
    lwork: int, dInfo: int,
) -> int:  # fmt: skip
    """The solution of A X = B; returns how often it was refined: never, it is computed in full precision."""
    factors = _cp().array(matrix(dA, n, n, ldda, dtype), order="F")
    pivots, info = _factors.lu(factors)
    if dipiv:
        vector(dipiv, n, "i4")[...] = pivots
    solution = matrix(dX, n, nrhs, lddx, dtype)
    solution[...] = matrix(dB, n, nrhs, lddb, dtype)
    _factors.lu_solve(factors, pivots, solution, 0)
    _tell(dInfo, info)
    return 0


def gels(
    dtype: Any, handle: int, m: int, n: int, nrhs: int, dA: int, ldda: int, dB: int, lddb: int, dX: int, lddx: int, dwork: int, lwork: int,
    dInfo: int,
) -> int:  # fmt: skip
    """The least-squares solution of A X = B, for m >= n; returns how often it was refined: never."""
    if m < n:
        raise error(_INVALID_VALUE)
    from ...cupyx import lapack

    cp = _cp()
    right = cp.array(matrix(dB, m, nrhs, lddb, dtype), order="F")
    matrix(dX, n, nrhs, lddx, dtype)[...] = lapack.gels(cp.array(matrix(dA, m, n, ldda, dtype)), right)
    _tell(dInfo, _factors.fine())
    return 0


# -- singular values, eigenvalues ------------------------------------------------------------------------------------------------


def gesvd(
    dtype: Any, handle: int, jobu: int, jobvt: int, m: int, n: int, A: int, lda: int, S: int, U: int, ldu: int, VT: int, ldvt: int,
    Work: int, lwork: int, rwork: int, devInfo: int,
) -> None:  # fmt: skip
    """Singular values, descending; U and V^H as the letters say: A(ll), S(ome), O (in the place of A), N(one)."""
    jobs = [chr(job) if isinstance(job, int) else str(job) for job in (jobu, jobvt)]
    if m < n or any(job not in "ASON" for job in jobs) or jobs == ["O", "O"]:
        raise error(_INVALID_VALUE)
    k = min(m, n)
    given = matrix(A, m, n, lda, dtype)
    u, s, vt = _factors.svd(given, "A" in jobs)
    vector(S, k, _real(dtype))[...] = s
    if jobs[0] in "AS":
        columns = m if jobs[0] == "A" else k
        matrix(U, m, columns, ldu, dtype)[...] = u[:, :columns]
    if jobs[1] in "AS":
        rows = n if jobs[1] == "A" else k
        matrix(VT, rows, n, ldvt, dtype)[...] = vt[:rows]
    if jobs[0] == "O":
        given[...] = u[:, :k]
    if jobs[1] == "O":
        given[:k] = vt[:k]
    _tell(devInfo, _factors.fine())


def gesvdj(
    dtype: Any, handle: int, jobz: int, econ: int, m: int, n: int, A: int, lda: int, S: int, U: int, ldu: int, V: int, ldv: int, work: int,
    lwork: int, info: int, params: int,
) -> None:  # fmt: skip
    """Singular values, descending; with jobz also U and V (not V^H), of full size unless `econ`."""
    k = min(m, n)
    u, s, vt = _factors.svd(matrix(A, m, n, lda, dtype), bool(jobz) and not econ)
    vector(S, k, _real(dtype))[...] = s
    if jobz:
        matrix(U, m, k if econ else m, ldu, dtype)[...] = u
        matrix(V, n, k if econ else n, ldv, dtype)[...] = vt.conj().T
    _tell(info, _factors.fine())


def gesvdj_batched(
    dtype: Any, handle: int, jobz: int, m: int, n: int, A: int, lda: int, S: int, U: int, ldu: int, V: int, ldv: int, work: int, lwork: int,
    info: int, params: int, batchSize: int,
) -> None:  # fmt: skip
    """`gesvdj` for matrices one after the other."""
    size, real = dtype.itemsize, _real(dtype).itemsize
    for i in range(batchSize):
        a, s, u, v = A + i * lda * n * size, S + i * min(m, n) * real, U + i * ldu * m * size, V + i * ldv * n * size
        gesvdj(dtype, handle, jobz, 0, m, n, a, lda, s, u, ldu, v, ldv, 0, 0, info + 4 * i if info else 0, params)


def gesvda_strided_batched(
    dtype: Any, handle: int, jobz: int, rank: int, m: int, n: int, d_A: int, lda: int, strideA: int, d_S: int, strideS: int, d_U: int,
    ldu: int, strideU: int, d_V: int, ldv: int, strideV: int, d_work: int, lwork: int, d_info: int, h_R_nrmF: int, batchSize: int,
) -> None:  # fmt: skip
    """The largest `rank` singular values and their vectors, of matrices that lie a stride apart. Waits where residuals are asked for."""
    if m < n or not 0 <= rank <= n:
        raise error(_INVALID_VALUE)
    cp, size, real = _cp(), dtype.itemsize, _real(dtype)
    for i in range(batchSize):
        a = matrix(d_A + i * strideA * size, m, n, lda, dtype)
        u, s, vt = _factors.svd(a, False)
        vector(d_S + i * strideS * real.itemsize, rank, real)[...] = s[:rank]
        if jobz:
            matrix(d_U + i * strideU * size, m, rank, ldu, dtype)[...] = u[:, :rank]
            matrix(d_V + i * strideV * size, n, rank, ldv, dtype)[...] = vt[:rank].conj().T
        if h_R_nrmF:
            residual = cp.linalg.norm(a - (u[:, :rank] * s[:rank]) @ vt[:rank])
            ctypes.memmove(h_R_nrmF + 8 * i, np.float64(residual.get()).tobytes(), 8)
        _tell(d_info + 4 * i if d_info else 0, _factors.fine())


def syevd(
    dtype: Any, handle: int, jobz: int, uplo: int, n: int, A: int, lda: int, W: int, work: int, lwork: int, info: int, params: int = 0
) -> None:  # fmt: skip
    """Eigenvalues, ascending, of a Hermitian matrix of which one triangle is read; with jobz the vectors in its place."""
    _tell(info, _factors.eigh(matrix(A, n, n, lda, dtype), vector(W, n, _real(dtype)), uplo, bool(jobz)))


def syevj_batched(
    dtype: Any, handle: int, jobz: int, uplo: int, n: int, A: int, lda: int, W: int, work: int, lwork: int, info: int, params: int,
    batchSize: int,
) -> None:  # fmt: skip
    """`syevd` for matrices one after the other."""
    size, real = dtype.itemsize, _real(dtype).itemsize
    for i in range(batchSize):
        a, w = A + i * lda * n * size, W + i * n * real
        syevd(dtype, handle, jobz, uplo, n, a, lda, w, 0, 0, info + 4 * i if info else 0)


def _on_stream(function: Callable[..., Any]) -> Callable[..., Any]:
    """A call goes to its handle's stream; 0 is the current one, as CuPy sets it."""

    def call(handle: int, *args: Any) -> Any:
        stream = settings(handle, error).stream
        if not stream:
            return function(handle, *args)
        with streams.using(stream_at(stream)):
            return function(handle, *args)

    return call


def _typed(function: Callable[..., Any], dtype: Any, name: str) -> Callable[..., Any]:
    call = _on_stream(lambda handle, *args: function(dtype, handle, *args))
    call.__name__ = call.__qualname__ = name
    call.__module__ = "cupy.cuda.cusolver"
    call.__doc__ = function.__doc__
    return call


_ALL = "sdcz"
#: Pattern of the names ("?" is the type's letter) -> (routine, letters). Each has a `_bufferSize` unless it is in `_WITHOUT_BUFFER`.
_ROUTINES: dict[str, tuple[Callable[..., Any], str]] = {
    "?potrf": (potrf, _ALL), "?potrs": (potrs, _ALL), "?potrfBatched": (potrf_batched, _ALL), "?potrsBatched": (potrs_batched, _ALL),
    "?getrf": (getrf, _ALL), "?getrs": (getrs, _ALL), "?geqrf": (geqrf, _ALL), "?orgqr": (orgqr, "sd"), "?ungqr": (orgqr, "cz"),
    "?ormqr": (ormqr, "sd"), "?unmqr": (ormqr, "cz"), "?gesvd": (gesvd, _ALL), "?gesvdj": (gesvdj, _ALL),
    "?gesvdjBatched": (gesvdj_batched, _ALL), "?gesvdaStridedBatched": (gesvda_strided_batched, _ALL), "?syevd": (syevd, "sd"),
    "?heevd": (syevd, "cz"), "?syevj": (syevd, "sd"), "?heevj": (syevd, "cz"), "?syevjBatched": (syevj_batched, "sd"),
    "?heevjBatched": (syevj_batched, "cz"),
}  # fmt: skip
_WITHOUT_BUFFER = frozenset(("?potrs", "?potrfBatched", "?potrsBatched", "?getrs"))
#: First letters (of the matrix, of what it is factored in) of `gesv` and `gels` that refine: the first is the dtype.
_REFINING = ["zz", "zc", "zy", "zk", "cc", "cy", "ck", "dd", "ds", "dx", "dh", "ss", "sx", "sh"]


def routines() -> dict[str, Callable[..., Any]]:
    """Name -> function, of all of them."""
    made = {}
    for pattern, (function, letters) in _ROUTINES.items():
        for letter in letters:
            name, dtype = pattern.replace("?", letter), DTYPES[letter]
            made[name] = _typed(function, dtype, name)
            if pattern not in _WITHOUT_BUFFER:
                made[f"{name}_bufferSize"] = _typed(buffer_size, dtype, f"{name}_bufferSize")
    for letters in _REFINING:
        for base, function in (("gesv", gesv), ("gels", gels)):
            name, dtype = letters + base, DTYPES[letters[0]]
            made[name] = _typed(function, dtype, name)
            made[f"{name}_bufferSize"] = _typed(buffer_size, dtype, f"{name}_bufferSize")
    return made
