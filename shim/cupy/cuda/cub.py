"""`cupy.cuda.cub`: constants. Its reductions are routines inside of CuPy on the server; programs get them through `cupy.sum`."""

from __future__ import annotations

from typing import Any

import numpy as np

available = False
CUPY_CUB_SUM, CUPY_CUB_MIN, CUPY_CUB_MAX, CUPY_CUB_ARGMIN, CUPY_CUB_ARGMAX = range(5)
CUPY_CUB_CUMSUM, CUPY_CUB_CUMPROD, CUPY_CUB_PROD = 5, 6, 7

CUB_support_dtype_without_half = [
    np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64, np.complex64,
    np.complex128,
]  # fmt: skip
CUB_support_dtype_with_half = [*CUB_support_dtype_without_half, np.float16]
CUB_support_dtype: dict[int, Any] = {}
CUB_sum_support_dtype_without_half = [np.int64, np.uint64, np.float32, np.float64, np.complex64, np.complex128]
CUB_sum_support_dtype_with_half = [*CUB_sum_support_dtype_without_half, np.float16]
CUB_sum_support_dtype: dict[int, Any] = {}


def get_build_version() -> int:
    """0: there is none."""
    return 0


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.cub", name)
