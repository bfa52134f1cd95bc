"""`cupyx.scipy.signal` and `cupyx.signal` on `scipy.signal`, with CuPy's dtypes and CuPy's layout of filter states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import (
    convolution,
    cupyx_signal,
    design,
    filters,
    peaks,
    resampling,
    spectral,
    splines,
    systems,
    waveforms,
    windows,
)
from ._common import quiet

#: Row's name -> function.
OPS: dict[str, Callable[..., Any]] = {}
for _module in (
    convolution,
    cupyx_signal,
    design,
    filters,
    peaks,
    resampling,
    spectral,
    splines,
    systems,
    waveforms,
    windows,
):
    OPS.update({name: quiet(function) for name, function in _module.OPS.items()})
