"""`cupy.cuda.common`: numbers of dtypes, as CuPy's own C code has them."""

from __future__ import annotations

from typing import Any

import numpy as np

_IDS = {np.dtype(code): number for number, code in enumerate("bBhHiIlLefdFD?")}


def _get_dtype_id(dtype: Any) -> int:
    found = _IDS.get(np.dtype(dtype))
    if found is None:
        raise ValueError(f"Unsupported dtype ({dtype})")
    return found


def _is_fp16_supported() -> int:
    return 1
