"""LU factorisations of many matrices, by an array of addresses: LAPACK's routines that cuBLAS has."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from cupool.contract.spec import spec_of

from . import _factors
from ._memories import array_at, in_arena


def _cublas() -> Any:
    from . import cublas

    return cublas


def _pivots(array: int, n: int, i: int) -> Any:
    """The i-th matrix's rows exchanged; None where none were."""
    return array_at(int(array) + 4 * n * i, spec_of((int(n),), np.dtype("i4"))) if array else None


def _tell(array: int, i: int, info: Any) -> None:
    array_at(int(array) + 4 * i, spec_of((), np.dtype("i4")))[...] = info


def getrf(
    dtype: Any, handle: int, n: int, Aarray: int, lda: int, PivotArray: int, infoArray: int, batchSize: int
) -> None:
    """P A = L U in the place of each of the addresses in an array of the device. Waits for the addresses.

    Raises:
        CUBLASError: no array for the rows exchanged: a factorisation without exchanges is not carried.
    """
    if not PivotArray:
        raise _cublas().CUBLASError(15)
    for i, a in enumerate(_cublas()._addresses(Aarray, batchSize)):
        pivots, info = _factors.lu(_cublas()._matrix(a, n, n, lda, dtype))
        _pivots(PivotArray, n, i)[...] = pivots
        _tell(infoArray, i, info)


def getri(
    dtype: Any, handle: int, n: int, Aarray: int, lda: int, PivotArray: int, Carray: int, ldc: int, infoArray: int, batchSize: int
) -> None:  # fmt: skip
    """The inverses, by the factors that `getrfBatched` made. Waits for the addresses."""
    from ... import cupy as cp

    arrays = _cublas()._addresses(Aarray, batchSize), _cublas()._addresses(Carray, batchSize)
    for i, (a, c) in enumerate(zip(*arrays, strict=True)):
        target = _cublas()._matrix(c, n, n, ldc, dtype)
        target[...] = cp.eye(n, dtype=dtype)
        factors = _cublas()._matrix(a, n, n, lda, dtype)
        _factors.lu_solve(factors, _pivots(PivotArray, n, i), target, 0)
        _tell(infoArray, i, _factors.first_zero(factors))


def getrs(
    dtype: Any, handle: int, trans: int, n: int, nrhs: int, Aarray: int, lda: int, devIpiv: int, Barray: int, ldb: int, info: int,
    batchSize: int,
) -> None:  # fmt: skip
    """The solutions of op(A) X = B, by the factors that `getrfBatched` made. `info` is of this process: 0. Waits for the addresses."""
    if trans not in (0, 1, 2):
        raise _cublas().CUBLASError(7)
    arrays = _cublas()._addresses(Aarray, batchSize), _cublas()._addresses(Barray, batchSize)
    for i, (a, b) in enumerate(zip(*arrays, strict=True)):
        right = _cublas()._matrix(b, n, nrhs, ldb, dtype)
        _factors.lu_solve(_cublas()._matrix(a, n, n, lda, dtype), _pivots(devIpiv, n, i), right, trans)
    if info and in_arena(info):
        _tell(info, 0, _factors.fine())
    elif info:
        ctypes.memmove(int(info), bytes(4), 4)
