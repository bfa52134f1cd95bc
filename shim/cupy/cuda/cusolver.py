"""`cupy.cuda.cusolver`: constants and the error. Its routines work on raw device pointers; `cupy.linalg`, `cupyx.lapack` and
`cupyx.cusolver` offer them on arrays.
"""

from __future__ import annotations

from typing import Any, ClassVar

from . import _libraries
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


spCreate, spDestroy, spSetStream, spGetStream = create, destroy, setStream, getStream


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.cusolver", name)
