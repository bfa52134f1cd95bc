"""Compute types: how precise products of a dtype may be. Noted, as a permission that devices need not use: results are at least as
precise as what is asked for.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

(
    COMPUTE_TYPE_TBD, COMPUTE_TYPE_DEFAULT, COMPUTE_TYPE_PEDANTIC, COMPUTE_TYPE_FP16, COMPUTE_TYPE_FP32, COMPUTE_TYPE_FP64,
    COMPUTE_TYPE_BF16, COMPUTE_TYPE_TF32,
) = range(8)  # fmt: skip
_NAMES = ("TBD", "DEFAULT", "PEDANTIC", "FP16", "FP32", "FP64", "BF16", "TF32")
_KINDS = {"e": "e", "f": "f", "F": "f", "d": "d", "D": "d"}
#: dtype's kind -> what was set.
_chosen: dict[str, int] = {}


def _kind(dtype: Any) -> str:
    dtype = np.dtype(dtype)
    found = "bfloat16" if dtype.name == "bfloat16" else _KINDS.get(dtype.char)
    if found is None:
        raise TypeError(f"dtype is not supported: {dtype}")
    return found


def get_compute_type(dtype: Any) -> int:
    """What was set for a dtype."""
    return _chosen.get(_kind(dtype), COMPUTE_TYPE_DEFAULT)


def set_compute_type(dtype: Any, compute_type: int) -> None:
    """Note how precise products of a dtype may be.

    Raises:
        TypeError: a dtype without products in a library.
        ValueError: no such compute type.
    """
    kind = _kind(dtype)
    if compute_type not in range(8):
        raise ValueError(f"Unknown compute type: {compute_type}")
    if compute_type in (COMPUTE_TYPE_BF16, COMPUTE_TYPE_TF32):
        from ..cuda.device import get_compute_capability

        if int(get_compute_capability()) < 80:
            warnings.warn(
                "COMPUTE_TYPE_BF16 and COMPUTE_TYPE_TF32 are only available on GPUs with compute capability 8.0 or higher. "
                "COMPUTE_TYPE_DEFAULT will be used instead.",
                stacklevel=2,
            )
            compute_type = COMPUTE_TYPE_DEFAULT
    _chosen[kind] = compute_type


def compute_type_to_str(compute_type: int) -> str:
    """Its name."""
    return f"COMPUTE_TYPE_{_NAMES[compute_type]}"
