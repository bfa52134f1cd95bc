"""`cupy.cuda.cublas`: BLAS by device addresses. Each call is composed of array operations on the memory that its pointers name.

Matrices are in column order, as BLAS has them. Scalars are behind addresses of this process, or of the device in
CUBLAS_POINTER_MODE_DEVICE; results likewise: a result to the host waits.

Boundary: nothing here knows a device; what the operations compute is what `cupy`'s functions compute.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from cupool.contract.spec import spec_of

from ... import streams
from . import _batched_lu, _libraries
from ._libraries import drop_handle, new_handle, settings
from ._memories import array_at
from ._streams import stream_at

globals().update(
    _libraries.constants(
        "CUBLAS_COMPUTE_16F=64 CUBLAS_COMPUTE_16F_PEDANTIC=65 CUBLAS_COMPUTE_32F=68 CUBLAS_COMPUTE_32F_FAST_16BF=75 "
        "CUBLAS_COMPUTE_32F_FAST_16F=74 CUBLAS_COMPUTE_32F_FAST_TF32=77 CUBLAS_COMPUTE_32F_PEDANTIC=69 CUBLAS_COMPUTE_32I=72 "
        "CUBLAS_COMPUTE_32I_PEDANTIC=73 CUBLAS_COMPUTE_64F=70 CUBLAS_COMPUTE_64F_PEDANTIC=71 CUBLAS_DEFAULT_MATH=0 "
        "CUBLAS_DIAG_NON_UNIT=0 CUBLAS_DIAG_UNIT=1 CUBLAS_FILL_MODE_LOWER=0 CUBLAS_FILL_MODE_UPPER=1 CUBLAS_GEMM_DEFAULT=-1 "
        "CUBLAS_GEMM_DEFAULT_TENSOR_OP=99 CUBLAS_GEMM_DFALT=-1 CUBLAS_GEMM_DFALT_TENSOR_OP=99 CUBLAS_OP_C=2 CUBLAS_OP_N=0 CUBLAS_OP_T=1 "
        "CUBLAS_POINTER_MODE_DEVICE=1 CUBLAS_POINTER_MODE_HOST=0 CUBLAS_SIDE_LEFT=0 CUBLAS_SIDE_RIGHT=1 CUBLAS_TENSOR_OP_MATH=1"
    )
)
_INVALID_VALUE = 7
_DTYPES = {"s": np.dtype("f4"), "d": np.dtype("f8"), "c": np.dtype("c8"), "z": np.dtype("c16")}
#: cudaDataType -> dtype, for the calls that name types.
_DATA_TYPES = {0: "f4", 1: "f8", 2: "f2", 3: "i1", 4: "c8", 5: "c16", 8: "u1", 10: "i4"}
#: cublasComputeType -> the type of alpha and beta.
_SCALE_TYPES = {
    64: "f2",
    65: "f2",
    68: "f4",
    69: "f4",
    70: "f8",
    71: "f8",
    72: "i4",
    73: "i4",
    74: "f4",
    75: "f4",
    77: "f4",
}


class CUBLASError(_libraries.LibraryError):
    """An error of cuBLAS."""

    __module__ = "cupy_backends.cuda.libs.cublas"
    TEXTS: ClassVar[dict[int, str]] = _libraries.texts(
        "CUBLAS_STATUS_",
        "0=SUCCESS 1=NOT_INITIALIZED 3=ALLOC_FAILED 7=INVALID_VALUE 8=ARCH_MISMATCH 11=MAPPING_ERROR 13=EXECUTION_FAILED "
        "14=INTERNAL_ERROR 15=NOT_SUPPORTED 16=LICENSE_ERROR",
    )


def check_status(status: int) -> None:
    """Raises CUBLASError for a status that is not 0."""
    if status:
        raise CUBLASError(status)


# -- handles -----------------------------------------------------------------------------------------------------------------


def create() -> int:
    """A handle."""
    return new_handle()


def destroy(handle: int) -> None:
    """Drop a handle."""
    drop_handle(handle)


def getVersion(handle: int) -> int:
    """The version of the library that belongs to the server's runtime: 12.8 is 120800."""
    from . import runtime

    settings(handle, CUBLASError)
    version = runtime.runtimeGetVersion()
    return version // 1000 * 10000 + version % 1000 // 10 * 100


def getPointerMode(handle: int) -> int:
    """Where a handle's scalars are."""
    return settings(handle, CUBLASError).pointer_mode


def setPointerMode(handle: int, mode: int) -> None:
    """Say where a handle's scalars are."""
    if mode not in (0, 1):
        raise CUBLASError(_INVALID_VALUE)
    settings(handle, CUBLASError).pointer_mode = mode


def getMathMode(handle: int) -> int:
    """What was set."""
    return settings(handle, CUBLASError).math_mode


def setMathMode(handle: int, mode: int) -> None:
    """Noted: precision is the device's."""
    settings(handle, CUBLASError).math_mode = mode


def setStream(handle: int, stream: int) -> None:
    """A handle's calls go to this stream."""
    stream_at(stream)
    settings(handle, CUBLASError).stream = stream


def getStream(handle: int) -> int:
    """A handle's stream."""
    return settings(handle, CUBLASError).stream


# -- what pointers name ------------------------------------------------------------------------------------------------------


def _cp() -> Any:
    from ... import cupy

    return cupy


def _vector(address: int, n: int, inc: int, dtype: Any) -> Any:
    """`n` elements that lie `inc` apart; with a negative `inc` the first is the last in memory."""
    dtype = np.dtype(dtype)
    start = int(address) + (0 if inc > 0 else (1 - n) * inc * dtype.itemsize)
    return array_at(start, spec_of((int(n),), dtype, (int(inc) * dtype.itemsize,)))


def _matrix(address: int, rows: int, columns: int, ld: int, dtype: Any) -> Any:
    """A matrix in column order, its columns `ld` elements apart."""
    dtype = np.dtype(dtype)
    if ld < max(1, rows):
        raise CUBLASError(_INVALID_VALUE)
    return array_at(int(address), spec_of((int(rows), int(columns)), dtype, (dtype.itemsize, int(ld) * dtype.itemsize)))


def _applied(matrix: Any, trans: int) -> Any:
    """A matrix, transposed or conjugated as an operation says."""
    if trans == 0:
        return matrix
    if trans == 1:
        return matrix.T
    if trans == 2:
        return matrix.T.conj()
    raise CUBLASError(_INVALID_VALUE)


def _operand(address: int, rows: int, columns: int, ld: int, trans: int, dtype: Any) -> Any:
    """op(X) of `rows` by `columns`."""
    shape = (rows, columns) if trans == 0 else (columns, rows)
    return _applied(_matrix(address, *shape, ld, dtype), trans)


def _scalar(handle: int, address: int, dtype: Any) -> Any:
    """A scalar argument: a NumPy scalar, or a 0-d array of the device."""
    dtype = np.dtype(dtype)
    if settings(handle, CUBLASError).pointer_mode:
        return array_at(int(address), spec_of((), dtype))
    return np.frombuffer(ctypes.string_at(int(address), dtype.itemsize), dtype)[0]


def _give(handle: int, address: int, value: Any, dtype: Any) -> None:
    """A scalar result, to the device or to this process (which waits)."""
    dtype = np.dtype(dtype)
    if settings(handle, CUBLASError).pointer_mode:
        array_at(int(address), spec_of((), dtype))[...] = value.astype(dtype)
    else:
        data = np.asarray(value.get(), dtype).tobytes()
        ctypes.memmove(int(address), data, len(data))


def _is_zero(scalar: Any) -> bool:
    return isinstance(scalar, np.generic) and not scalar


def _accumulate(target: Any, product: Any, alpha: Any, beta: Any) -> None:
    """target = alpha * product + beta * target. With beta 0 what target held does not matter, NaN included."""
    result = alpha * product
    if not _is_zero(beta):
        result = result + beta * target
    target[...] = result.astype(target.dtype, copy=False)


def _on_stream(function: Callable[..., Any]) -> Callable[..., Any]:
    """A call goes to its handle's stream; 0 is the current one, as CuPy sets it."""

    def call(handle: int, *args: Any) -> Any:
        stream = settings(handle, CUBLASError).stream
        if not stream:
            return function(handle, *args)
        with streams.using(stream_at(stream)):
            return function(handle, *args)

    call.__doc__ = function.__doc__
    return call


# -- level 1 -----------------------------------------------------------------------------------------------------------------


def _absolute(x: Any) -> Any:
    return abs(x.real) + abs(x.imag) if x.dtype.kind == "c" else abs(x)


def _iamax(dtype: Any, handle: int, n: int, x: int, incx: int, result: int) -> None:
    """The 1-based index of the largest magnitude."""
    _give(handle, result, _absolute(_vector(x, n, incx, dtype)).argmax() + 1, np.int32)


def _iamin(dtype: Any, handle: int, n: int, x: int, incx: int, result: int) -> None:
    """The 1-based index of the smallest magnitude."""
    _give(handle, result, _absolute(_vector(x, n, incx, dtype)).argmin() + 1, np.int32)


def _asum(dtype: Any, handle: int, n: int, x: int, incx: int, result: int) -> None:
    """The sum of magnitudes."""
    _give(handle, result, _absolute(_vector(x, n, incx, dtype)).sum(), dtype.char.lower())


def _nrm2(dtype: Any, handle: int, n: int, x: int, incx: int, result: int) -> None:
    """The Euclidean norm."""
    _give(handle, result, _cp().linalg.norm(_vector(x, n, incx, dtype)), dtype.char.lower())


def _axpy(dtype: Any, handle: int, n: int, alpha: int, x: int, incx: int, y: int, incy: int) -> None:
    """y += alpha * x."""
    target = _vector(y, n, incy, dtype)
    target += _scalar(handle, alpha, dtype) * _vector(x, n, incx, dtype)


def _dot(dtype: Any, handle: int, n: int, x: int, incx: int, y: int, incy: int, result: int) -> None:
    """x . y."""
    _give(handle, result, _cp().dot(_vector(x, n, incx, dtype), _vector(y, n, incy, dtype)), dtype)


def _dotc(dtype: Any, handle: int, n: int, x: int, incx: int, y: int, incy: int, result: int) -> None:
    """conj(x) . y."""
    _give(handle, result, _cp().dot(_vector(x, n, incx, dtype).conj(), _vector(y, n, incy, dtype)), dtype)


def _scal(dtype: Any, handle: int, n: int, alpha: int, x: int, incx: int) -> None:
    """x *= alpha."""
    target = _vector(x, n, incx, dtype)
    target *= _scalar(handle, alpha, dtype)


def _real_scal(dtype: Any, handle: int, n: int, alpha: int, x: int, incx: int) -> None:
    """x *= alpha, alpha real."""
    target = _vector(x, n, incx, dtype)
    target *= _scalar(handle, alpha, dtype.char.lower())


# -- level 2 -----------------------------------------------------------------------------------------------------------------


def _gemv(
    dtype: Any, handle: int, trans: int, m: int, n: int, alpha: int, A: int, lda: int, x: int, incx: int, beta: int, y: int, incy: int
) -> None:  # fmt: skip
    """y = alpha * op(A) x + beta * y."""
    matrix = _applied(_matrix(A, m, n, lda, dtype), trans)
    rows, columns = matrix.shape
    product = _cp().dot(matrix, _vector(x, columns, incx, dtype))
    _accumulate(_vector(y, rows, incy, dtype), product, _scalar(handle, alpha, dtype), _scalar(handle, beta, dtype))


def _rank_one(conjugate: bool) -> Callable[..., None]:
    def ger(
        dtype: Any, handle: int, m: int, n: int, alpha: int, x: int, incx: int, y: int, incy: int, A: int, lda: int
    ) -> None:
        """A += alpha * x y^T, or with the conjugate of y."""
        second = _vector(y, n, incy, dtype)
        target = _matrix(A, m, n, lda, dtype)
        product = _cp().outer(_vector(x, m, incx, dtype), second.conj() if conjugate else second)
        target += _scalar(handle, alpha, dtype) * product

    return ger


def _band(address: int, n: int, k: int, ld: int, uplo: int, dtype: Any) -> Any:
    """A symmetric matrix from its band storage: row k of the lower (0 of the upper) triangle's columns is the diagonal."""
    cp = _cp()
    stored = _matrix(address, k + 1, n, ld, dtype)
    full = cp.zeros((n, n), dtype)
    for d in range(min(k + 1, n)):
        diagonal = stored[d, : n - d] if uplo == 0 else stored[k - d, d:]
        full += cp.diag(diagonal, -d) if uplo == 0 else cp.diag(diagonal, d)
        if d:
            full += cp.diag(diagonal, d) if uplo == 0 else cp.diag(diagonal, -d)
    return full


def _sbmv(
    dtype: Any, handle: int, uplo: int, n: int, k: int, alpha: int, A: int, lda: int, x: int, incx: int, beta: int, y: int, incy: int
) -> None:  # fmt: skip
    """y = alpha * A x + beta * y, A symmetric and banded."""
    product = _cp().dot(_band(A, n, k, lda, uplo, dtype), _vector(x, n, incx, dtype))
    _accumulate(_vector(y, n, incy, dtype), product, _scalar(handle, alpha, dtype), _scalar(handle, beta, dtype))


# -- level 3 -----------------------------------------------------------------------------------------------------------------


def _gemm(
    dtype: Any, handle: int, transa: int, transb: int, m: int, n: int, k: int, alpha: int, A: int, lda: int, B: int, ldb: int, beta: int,
    C: int, ldc: int,
) -> None:  # fmt: skip
    """C = alpha * op(A) op(B) + beta * C."""
    product = _cp().matmul(_operand(A, m, k, lda, transa, dtype), _operand(B, k, n, ldb, transb, dtype))
    _accumulate(_matrix(C, m, n, ldc, dtype), product, _scalar(handle, alpha, dtype), _scalar(handle, beta, dtype))


def _addresses(array: int, count: int) -> list[int]:
    """The addresses in an array of the device. Waits."""
    return [int(a) for a in array_at(int(array), spec_of((int(count),), np.dtype("u8"))).get()]


def _gemm_batched(
    dtype: Any, handle: int, transa: int, transb: int, m: int, n: int, k: int, alpha: int, Aarray: int, lda: int, Barray: int, ldb: int,
    beta: int, Carray: int, ldc: int, batchCount: int,
) -> None:  # fmt: skip
    """`gemm` for each of the addresses in three arrays of the device. Waits for the addresses."""
    arrays = [_addresses(a, batchCount) for a in (Aarray, Barray, Carray)]
    for a, b, c in zip(*arrays, strict=True):
        _gemm(dtype, handle, transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)


def _gemm_strided(
    dtype: Any, handle: int, transa: int, transb: int, m: int, n: int, k: int, alpha: int, A: int, lda: int, strideA: int, B: int, ldb: int,
    strideB: int, beta: int, C: int, ldc: int, strideC: int, batchCount: int,
) -> None:  # fmt: skip
    """`gemm` for matrices that lie a stride apart."""
    size = dtype.itemsize
    for i in range(batchCount):
        a, b, c = (p + i * s * size for p, s in ((A, strideA), (B, strideB), (C, strideC)))
        _gemm(dtype, handle, transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)


def _triangle(matrix: Any, uplo: int, diag: int) -> Any:
    cp = _cp()
    kept = cp.tril(matrix, -1 if diag else 0) if uplo == 0 else cp.triu(matrix, 1 if diag else 0)
    return kept + cp.eye(matrix.shape[0], dtype=matrix.dtype) if diag else kept


def _trsm(
    dtype: Any, handle: int, side: int, uplo: int, trans: int, diag: int, m: int, n: int, alpha: int, A: int, lda: int, B: int, ldb: int
) -> None:  # fmt: skip
    """Solve op(A) X = alpha * B (or X op(A) = alpha * B) for a triangular A; X replaces B."""
    cp = _cp()
    order = m if side == 0 else n
    triangle = _applied(_triangle(_matrix(A, order, order, lda, dtype), uplo, diag), trans)
    target = _matrix(B, m, n, ldb, dtype)
    right = _scalar(handle, alpha, dtype) * target
    target[...] = cp.linalg.solve(triangle, right) if side == 0 else cp.linalg.solve(triangle.T, right.T).T


def _trsm_batched(
    dtype: Any, handle: int, side: int, uplo: int, trans: int, diag: int, m: int, n: int, alpha: int, Aarray: int, lda: int, Barray: int,
    ldb: int, batchCount: int,
) -> None:  # fmt: skip
    """`trsm` for each of the addresses in two arrays of the device. Waits for the addresses."""
    for a, b in zip(_addresses(Aarray, batchCount), _addresses(Barray, batchCount), strict=True):
        _trsm(dtype, handle, side, uplo, trans, diag, m, n, alpha, a, lda, b, ldb)


def _syrk(
    dtype: Any, handle: int, uplo: int, trans: int, n: int, k: int, alpha: int, A: int, lda: int, beta: int, C: int, ldc: int
) -> None:  # fmt: skip
    """C = alpha * op(A) op(A)^T + beta * C, in one triangle."""
    cp = _cp()
    matrix = _operand(A, n, k, lda, 1 if trans else 0, dtype)
    target = _matrix(C, n, n, ldc, dtype)
    updated = cp.empty((n, n), dtype)
    updated[...] = target
    _accumulate(updated, cp.matmul(matrix, matrix.T), _scalar(handle, alpha, dtype), _scalar(handle, beta, dtype))
    inside = cp.tril(cp.ones((n, n), bool)) if uplo == 0 else cp.triu(cp.ones((n, n), bool))
    target[...] = cp.where(inside, updated, target)


# -- beyond BLAS -------------------------------------------------------------------------------------------------------------


def _geam(
    dtype: Any, handle: int, transa: int, transb: int, m: int, n: int, alpha: int, A: int, lda: int, beta: int, B: int, ldb: int, C: int,
    ldc: int,
) -> None:  # fmt: skip
    """C = alpha * op(A) + beta * op(B)."""
    first, second = _scalar(handle, alpha, dtype), _scalar(handle, beta, dtype)
    result = first * _operand(A, m, n, lda, transa, dtype)
    if not _is_zero(second):
        result = result + second * _operand(B, m, n, ldb, transb, dtype)
    _matrix(C, m, n, ldc, dtype)[...] = result


def _dgmm(
    dtype: Any, handle: int, mode: int, m: int, n: int, A: int, lda: int, x: int, incx: int, C: int, ldc: int
) -> None:
    """C = diag(x) A, or A diag(x)."""
    diagonal = _vector(x, m if mode == 0 else n, incx, dtype)
    matrix = _matrix(A, m, n, lda, dtype)
    _matrix(C, m, n, ldc, dtype)[...] = diagonal[:, None] * matrix if mode == 0 else matrix * diagonal


def _tpttr(dtype: Any, handle: int, uplo: int, n: int, AP: int, A: int, lda: int) -> None:
    """A packed triangle to a triangle of a matrix; the rest of the matrix stays."""
    rows, columns = _packed_places(n, uplo)
    _matrix(A, n, n, lda, dtype)[rows, columns] = _vector(AP, len(rows), 1, dtype)


def _trttp(dtype: Any, handle: int, uplo: int, n: int, A: int, lda: int, AP: int) -> None:
    """A triangle of a matrix to a packed triangle."""
    rows, columns = _packed_places(n, uplo)
    _vector(AP, len(rows), 1, dtype)[...] = _matrix(A, n, n, lda, dtype)[rows, columns]


def _packed_places(n: int, uplo: int) -> tuple[Any, Any]:
    """Rows and columns of a triangle's elements, column by column."""
    columns, rows = np.triu_indices(n) if uplo == 0 else np.tril_indices(n)
    return rows, columns


def _typed_product(
    handle: int, transa: int, transb: int, m: int, n: int, k: int, alpha: Any, A: Any, a_type: int, lda: int, B: Any, b_type: int,
    ldb: int, beta: Any, C: Any, c_type: int, ldc: int, scale: str,
) -> None:  # fmt: skip
    types = [_DATA_TYPES.get(t) for t in (a_type, b_type, c_type)]
    if None in types:
        raise CUBLASError(15)
    a = _operand(A, m, k, lda, transa, types[0]).astype(_wide(types[0], scale))
    b = _operand(B, k, n, ldb, transb, types[1]).astype(_wide(types[1], scale))
    _accumulate(_matrix(C, m, n, ldc, types[2]), _cp().matmul(a, b), alpha, beta)


def _wide(dtype: Any, scale: str) -> Any:
    """What a product is computed in: the scale type, complex where the operand is."""
    return np.result_type(np.dtype(dtype), np.dtype(scale)) if np.dtype(dtype).kind == "c" else np.dtype(scale)


@_on_stream
def sgemmEx(
    handle: int, transa: int, transb: int, m: int, n: int, k: int, alpha: int, A: int, Atype: int, lda: int, B: int, Btype: int, ldb: int,
    beta: int, C: int, Ctype: int, ldc: int,
) -> None:  # fmt: skip
    """`gemm` in float32 for matrices of named types."""
    scalars = _scalar(handle, alpha, "f4"), _scalar(handle, beta, "f4")
    _typed_product(
        handle, transa, transb, m, n, k, scalars[0], A, Atype, lda, B, Btype, ldb, scalars[1], C, Ctype, ldc, "f4"
    )


@_on_stream
def gemmEx(
    handle: int, transa: int, transb: int, m: int, n: int, k: int, alpha: int, A: int, Atype: int, lda: int, B: int, Btype: int, ldb: int,
    beta: int, C: int, Ctype: int, ldc: int, computeType: int, algo: int,
) -> None:  # fmt: skip
    """`gemm` for matrices of named types."""
    gemmStridedBatchedEx(
        handle, transa, transb, m, n, k, alpha, A, Atype, lda, 0, B, Btype, ldb, 0, beta, C, Ctype, ldc, 0, 1, computeType, algo
    )  # fmt: skip


@_on_stream
def gemmStridedBatchedEx(
    handle: int, transa: int, transb: int, m: int, n: int, k: int, alpha: int, A: int, Atype: int, lda: int, strideA: int, B: int,
    Btype: int, ldb: int, strideB: int, beta: int, C: int, Ctype: int, ldc: int, strideC: int, batchCount: int, computeType: int, algo: int,
) -> None:  # fmt: skip
    """`gemmEx` for matrices that lie a stride apart."""
    scale = _SCALE_TYPES.get(computeType)
    if scale is None or any(t not in _DATA_TYPES for t in (Atype, Btype, Ctype)):
        raise CUBLASError(15)
    kind = _wide(_DATA_TYPES[Ctype], scale)
    scalars = _scalar(handle, alpha, kind), _scalar(handle, beta, kind)
    steps = [s * np.dtype(_DATA_TYPES[t]).itemsize for s, t in ((strideA, Atype), (strideB, Btype), (strideC, Ctype))]
    for i in range(batchCount):
        a, b, c = (p + i * s for p, s in zip((A, B, C), steps, strict=True))
        _typed_product(
            handle, transa, transb, m, n, k, scalars[0], a, Atype, lda, b, Btype, ldb, scalars[1], c, Ctype, ldc, scale
        )


def _typed(function: Callable[..., Any], letter: str, name: str) -> Callable[..., Any]:
    """A routine for one dtype, under its BLAS name."""
    dtype = _DTYPES[letter]
    call = _on_stream(lambda handle, *args: function(dtype, handle, *args))
    call.__name__ = call.__qualname__ = name
    call.__doc__ = function.__doc__
    return call


#: Pattern of the names ("?" is the type's letter) -> (routine, letters).
_ROUTINES: dict[str, tuple[Callable[..., Any], str]] = {
    "i?amax": (_iamax, "sdcz"), "i?amin": (_iamin, "sdcz"), "?axpy": (_axpy, "sdcz"), "?dot": (_dot, "sd"), "?dotu": (_dot, "cz"),
    "?dotc": (_dotc, "cz"), "?scal": (_scal, "sdcz"), "?gemv": (_gemv, "sdcz"), "?ger": (_rank_one(False), "sd"),
    "?geru": (_rank_one(False), "cz"), "?gerc": (_rank_one(True), "cz"), "?sbmv": (_sbmv, "sd"), "?gemm": (_gemm, "sdcz"),
    "?gemmBatched": (_gemm_batched, "sdcz"), "?gemmStridedBatched": (_gemm_strided, "sdcz"), "?trsm": (_trsm, "sdcz"),
    "?trsmBatched": (_trsm_batched, "sdcz"), "?syrk": (_syrk, "sdcz"), "?geam": (_geam, "sdcz"), "?dgmm": (_dgmm, "sdcz"),
    "?getrfBatched": (_batched_lu.getrf, "sdcz"), "?getriBatched": (_batched_lu.getri, "sdcz"),
    "?getrsBatched": (_batched_lu.getrs, "sdcz"),
    "?tpttr": (_tpttr, "sd"), "?trttp": (_trttp, "sd"), "?asum": (_asum, "sd"), "?nrm2": (_nrm2, "sd"),
}  # fmt: skip
for _pattern, (_routine, _letters) in _ROUTINES.items():
    for _letter in _letters:
        _name = _pattern.replace("?", _letter)
        globals()[_name] = _typed(_routine, _letter, _name)
for _name, _routine, _letter in (
    ("scasum", _asum, "c"), ("dzasum", _asum, "z"), ("scnrm2", _nrm2, "c"), ("dznrm2", _nrm2, "z"), ("csscal", _real_scal, "c"),
    ("zdscal", _real_scal, "z"),
):  # fmt: skip
    globals()[_name] = _typed(_routine, _letter, _name)


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.cublas", name)
