"""What programs take from CuPy's private `cupy._util`: the class of its performance warnings, to filter them."""

from __future__ import annotations

import os

from ._functional import clear_memo as clear_memo
from ._functional import memoize as memoize

#: Version of `__cuda_array_interface__` that arrays show: 3, or 2 without the stream.
CUDA_ARRAY_INTERFACE_EXPORT_VERSION = int(os.environ.get("CUPY_CUDA_ARRAY_INTERFACE_EXPORT_VERSION", "3"))

#: CUPY_EXPERIMENTAL_SLICE_COPY=1: `a[:] = host_array` copies.
ENABLE_SLICE_COPY = os.environ.get("CUPY_EXPERIMENTAL_SLICE_COPY", "0") not in ("", "0")


class PerformanceWarning(RuntimeWarning):
    """Given where something works, slowly."""

    __module__ = "cupy._util"
