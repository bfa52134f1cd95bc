"""`cupy._core._scalar`: what dtypes are called in kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...kernels import cpp


def get_typename(dtype: Any, type_headers: Any = None) -> str:
    """The C++ type of a dtype; it needs no headers. Raises ValueError where kernels have none."""
    return cpp.c_type(np.dtype(dtype))
