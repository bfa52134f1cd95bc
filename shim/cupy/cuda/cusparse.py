"""`cupy.cuda.cusparse`: constants and the error. Its routines work on raw device pointers and descriptors of the calling process;
`cupyx.scipy.sparse` and `cupyx.cusparse` offer them on arrays.
"""

from __future__ import annotations

from typing import Any, ClassVar

from . import _libraries
from ._libraries import drop_handle, new_handle, settings

globals().update(
    _libraries.constants(
        "CUSPARSE_ACTION_NUMERIC=1 CUSPARSE_ACTION_SYMBOLIC=0 CUSPARSE_COOMM_ALG1=1 CUSPARSE_COOMM_ALG2=2 CUSPARSE_COOMM_ALG3=3 "
        "CUSPARSE_COOMV_ALG=1 CUSPARSE_CSR2CSC_ALG1=1 CUSPARSE_CSR2CSC_ALG2=2 CUSPARSE_CSRMM_ALG1=4 CUSPARSE_CSRMV_ALG1=2 "
        "CUSPARSE_CSRMV_ALG2=3 CUSPARSE_DENSETOSPARSE_ALG_DEFAULT=0 CUSPARSE_DIAG_TYPE_NON_UNIT=0 CUSPARSE_DIAG_TYPE_UNIT=1 "
        "CUSPARSE_DIRECTION_COLUMN=1 CUSPARSE_DIRECTION_ROW=0 CUSPARSE_FILL_MODE_LOWER=0 CUSPARSE_FILL_MODE_UPPER=1 "
        "CUSPARSE_FORMAT_COO=3 CUSPARSE_FORMAT_COO_AOS=4 CUSPARSE_FORMAT_CSC=2 CUSPARSE_FORMAT_CSR=1 CUSPARSE_INDEX_16U=1 "
        "CUSPARSE_INDEX_32I=2 CUSPARSE_INDEX_64I=3 CUSPARSE_INDEX_BASE_ONE=1 CUSPARSE_INDEX_BASE_ZERO=0 "
        "CUSPARSE_MATRIX_TYPE_GENERAL=0 CUSPARSE_MATRIX_TYPE_HERMITIAN=2 CUSPARSE_MATRIX_TYPE_SYMMETRIC=1 "
        "CUSPARSE_MATRIX_TYPE_TRIANGULAR=3 CUSPARSE_MM_ALG_DEFAULT=0 CUSPARSE_MV_ALG_DEFAULT=0 "
        "CUSPARSE_OPERATION_CONJUGATE_TRANSPOSE=2 CUSPARSE_OPERATION_NON_TRANSPOSE=0 CUSPARSE_OPERATION_TRANSPOSE=1 "
        "CUSPARSE_ORDER_COL=1 CUSPARSE_ORDER_ROW=2 CUSPARSE_POINTER_MODE_DEVICE=1 CUSPARSE_POINTER_MODE_HOST=0 "
        "CUSPARSE_SOLVE_POLICY_NO_LEVEL=0 CUSPARSE_SOLVE_POLICY_USE_LEVEL=1 CUSPARSE_SPARSETODENSE_ALG_DEFAULT=0 "
        "CUSPARSE_SPGEAM_ALG1=1 CUSPARSE_SPGEAM_ALG_DEFAULT=0 CUSPARSE_SPGEMM_ALG1=3 CUSPARSE_SPGEMM_ALG2=4 CUSPARSE_SPGEMM_ALG3=5 "
        "CUSPARSE_SPGEMM_CSR_ALG_DETERMINITIC=1 CUSPARSE_SPGEMM_CSR_ALG_NONDETERMINITIC=2 CUSPARSE_SPGEMM_DEFAULT=0 "
        "CUSPARSE_SPMAT_DIAG_TYPE=1 CUSPARSE_SPMAT_FILL_MODE=0 CUSPARSE_SPSM_ALG_DEFAULT=0"
    )
)
loaded_dl = None

_SENTENCES = {
    0: "success", 1: "initialization error", 2: "out of memory", 3: "invalid value", 4: "architecture mismatch",
    5: "mapping error", 6: "kernel launch failure", 7: "internal error", 8: "matrix type not supported", 9: "zero pivot",
    10: "operation not supported", 11: "insufficient resources",
}  # fmt: skip
_NAMES = _libraries.texts(
    "CUSPARSE_STATUS_",
    "0=SUCCESS 1=NOT_INITIALIZED 2=ALLOC_FAILED 3=INVALID_VALUE 4=ARCH_MISMATCH 5=MAPPING_ERROR 6=EXECUTION_FAILED 7=INTERNAL_ERROR "
    "8=MATRIX_TYPE_NOT_SUPPORTED 9=ZERO_PIVOT 10=NOT_SUPPORTED 11=INSUFFICIENT_RESOURCES",
)


class CuSparseError(_libraries.LibraryError):
    """An error of cuSPARSE."""

    __module__ = "cupy_backends.cuda.libs.cusparse"
    TEXTS: ClassVar[dict[int, str]] = {status: f"{name}: {_SENTENCES[status]}" for status, name in _NAMES.items()}


def check_status(status: int) -> None:
    """Raises CuSparseError for a status that is not 0."""
    if status:
        raise CuSparseError(status)


def get_build_version() -> int:
    """The version of the library that belongs to the server's runtime."""
    from . import runtime

    return runtime.runtimeGetVersion()


def is_cuda_python_build() -> bool:
    """False."""
    return False


def create() -> int:
    """A handle."""
    return new_handle()


def destroy(handle: int) -> None:
    """Drop a handle."""
    drop_handle(handle)


def getVersion(handle: int) -> int:
    """As `get_build_version`."""
    settings(handle, CuSparseError)
    return get_build_version()


def setStream(handle: int, stream: int) -> None:
    """Note a handle's stream."""
    settings(handle, CuSparseError).stream = stream


def getStream(handle: int) -> int:
    """A handle's stream."""
    return settings(handle, CuSparseError).stream


def setPointerMode(handle: int, mode: int) -> None:
    """Note where a handle's scalars are."""
    settings(handle, CuSparseError).pointer_mode = mode


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.cusparse", name)
