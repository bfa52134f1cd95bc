"""`cupy.cuda.cusolver`: LAPACK by device addresses, the dense routines but `gebrd`, `sytrf` and `geev`. What the routines are made of is in
`_dense_solver.py`; on arrays `cupy.linalg`, `cupyx.lapack` and `cupyx.cusolver` offer the same without addresses.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from . import _dense_solver, _libraries
from ._libraries import drop_handle, new_handle, settings

globals().update(
    _libraries.constants(
        "CUSOLVER_EIG_MODE_NOVECTOR=0 CUSOLVER_EIG_MODE_VECTOR=1 CUSOLVER_EIG_TYPE_1=1 CUSOLVER_EIG_TYPE_2=2 CUSOLVER_EIG_TYPE_3=3"
    )
)
loaded_dl = None


class CUSOLVERError(_libraries.LibraryError):
    """An error of cuSOLVER."""

    __module__ = "cupy_backends.cuda.libs.cusolver"
    TEXTS: ClassVar[dict[int, str]] = _libraries.texts(
        "CUSOLVER_STATUS_",
        "0=SUCCESS 1=NOT_INITIALIZED 2=ALLOC_FAILED 3=INVALID_VALUE 4=ARCH_MISMATCH 5=MAPPING_ERROR 6=EXECUTION_FAILED 7=INTERNAL_ERROR "
        "8=MATRIX_TYPE_NOT_SUPPORTED 9=NOT_SUPPORTED 10=ZERO_PIVOT 11=INVALID_LICENSE 12=IRS_PARAMS_NOT_INITIALIZED "
        "13=IRS_PARAMS_INVALID 14=IRS_PARAMS_INVALID_PREC 15=IRS_PARAMS_INVALID_REFINE 16=IRS_PARAMS_INVALID_MAXITER "
        "20=IRS_INTERNAL_ERROR 21=IRS_NOT_SUPPORTED 22=IRS_OUT_OF_RANGE 23=IRS_NRHS_NOT_SUPPORTED_FOR_REFINE_GMRES "
        "25=IRS_INFOS_NOT_INITIALIZED 26=IRS_INFOS_NOT_DESTROYED 30=IRS_MATRIX_SINGULAR 31=INVALID_WORKSPACE",
    )


def check_status(status: int) -> None:
    """Raises CUSOLVERError for a status that is not 0."""
    if status:
        raise CUSOLVERError(status)


def getProperty(type: int) -> int:
    """Major, minor and patch number (type 0, 1, 2) of the library that belongs to the server's runtime."""
    from . import runtime

    version = runtime.runtimeGetVersion()
    found = {0: version // 1000 - 1, 1: version % 1000 // 10, 2: 0}.get(type)
    if found is None:
        raise CUSOLVERError(3)
    return found


def _getVersion() -> tuple[int, int, int]:
    return getProperty(0), getProperty(1), getProperty(2)


def create() -> int:
    """A handle."""
    return new_handle()


def destroy(handle: int) -> None:
    """Drop a handle."""
    drop_handle(handle)


def setStream(handle: int, stream: int) -> None:
    """Note a handle's stream."""
    settings(handle, CUSOLVERError).stream = stream


def getStream(handle: int) -> int:
    """A handle's stream."""
    return settings(handle, CUSOLVERError).stream


class _Settings:
    """What a program has set of an iterative routine: noted. The device's routine is not iterative, or not by these numbers."""

    def __init__(self) -> None:
        self.tolerance = 0.0
        self.max_sweeps = 100
        self.sort = 1


_infos: dict[int, _Settings] = {}


def _create_info() -> int:
    """Settings of an iterative routine."""
    number = new_handle()
    _infos[number] = _Settings()
    return number


def _destroy_info(info: int) -> None:
    """Drop settings."""
    _infos.pop(info, None)
    drop_handle(info)


def _info(number: int) -> _Settings:
    if number not in _infos:
        raise CUSOLVERError(3)
    return _infos[number]


def _set_tolerance(info: int, tolerance: float) -> None:
    """Noted."""
    _info(info).tolerance = float(tolerance)


def _set_max_sweeps(info: int, max_sweeps: int) -> None:
    """Noted."""
    _info(info).max_sweeps = int(max_sweeps)


def _set_sort(info: int, sort: int) -> None:
    """Noted: values are always in order."""
    _info(info).sort = int(sort)


def _residual(handle: int, info: int) -> float:
    """0.0: what has been computed is as good as the dtype lets it be."""
    _info(info)
    return 0.0


def _sweeps(handle: int, info: int) -> int:
    """0."""
    _info(info)
    return 0


createGesvdjInfo = createSyevjInfo = createParams = _create_info
destroyGesvdjInfo = destroySyevjInfo = destroyParams = _destroy_info
xgesvdjSetTolerance = xsyevjSetTolerance = _set_tolerance
xgesvdjSetMaxSweeps = xsyevjSetMaxSweeps = _set_max_sweeps
xgesvdjSetSortEig = xsyevjSetSortEig = _set_sort
xgesvdjGetResidual = xsyevjGetResidual = _residual
xgesvdjGetSweeps = xsyevjGetSweeps = _sweeps

_dense_solver.error = CUSOLVERError
globals().update(_dense_solver.routines())
cormqr, zormqr = globals()["cunmqr"], globals()["zunmqr"]

#: cudaDataType -> letter.
_LETTERS = {0: "s", 1: "d", 4: "c", 5: "z"}


def xsyevd_bufferSize(
    handle: int, params: int, jobz: int, uplo: int, n: int, dataTypeA: int, A: int, lda: int, dataTypeW: int, W: int, computeType: int
) -> tuple[int, int]:  # fmt: skip
    """Bytes of workspace on the device and on the host: 1 and 0, it is not used."""
    return 1, 0


def xsyevd(
    handle: int, params: int, jobz: int, uplo: int, n: int, dataTypeA: int, A: int, lda: int, dataTypeW: int, W: int, computeType: int,
    bufferOnDevice: int, workspaceInBytesOnDevice: int, bufferOnHost: int, workspaceInBytesOnHost: int, info: int,
) -> None:  # fmt: skip
    """Eigenvalues (and, with jobz, vectors in the place of A) of a Hermitian matrix of a named type."""
    letter = _LETTERS.get(dataTypeA, "")
    dtype, of_values = _dense_solver.DTYPES.get(letter), _dense_solver.DTYPES.get(_LETTERS.get(dataTypeW, ""))
    if dtype is None or np.dtype(dtype.char.lower()) != of_values:
        raise CUSOLVERError(9)
    globals()["dsyevd" if letter == "d" else letter + ("syevd" if letter == "s" else "heevd")](
        handle, jobz, uplo, n, A, lda, W, bufferOnDevice, 0, info
    )


spCreate, spDestroy, spSetStream, spGetStream = create, destroy, setStream, getStream


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.cusolver", name)
