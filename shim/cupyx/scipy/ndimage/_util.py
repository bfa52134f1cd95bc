"""`cupyx.scipy.ndimage._util`: how to tell what a call's `output=` means."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....array import ndarray


def _is_integer_output(output: Any, input: Any) -> bool:
    """Whether the result is of integers: `output` is an array, a dtype, or None for the input's dtype."""
    if output is None:
        output = input
    dtype = output.dtype if isinstance(output, ndarray) else np.dtype(output)
    return dtype.kind in "iu"
