"""Wavelets, which CuPy announces to remove."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ...._generated import cupyx_scipy_signal as _generated
from .._commands import cp

_MESSAGE = "Following the change in SciPy 1.12, all wavelet functions have been deprecated in CuPy v14 and are planned to be removed."


def _warn() -> None:
    warnings.warn(_MESSAGE, np.exceptions.VisibleDeprecationWarning, stacklevel=3)


def qmf(hk: Any) -> Any:
    """As `cupyx.scipy.signal.qmf`."""
    _warn()
    return _generated.qmf(hk)


def morlet(M: Any, w: Any = 5.0, s: Any = 1.0, complete: Any = True) -> Any:
    """As `cupyx.scipy.signal.morlet`."""
    _warn()
    return _generated.morlet(M, w, s, complete)


def ricker(points: Any, a: Any) -> Any:
    """As `cupyx.scipy.signal.ricker`."""
    _warn()
    return _generated.ricker(points, a)


def morlet2(M: Any, s: Any, w: Any = 5) -> Any:
    """As `cupyx.scipy.signal.morlet2`."""
    _warn()
    return _generated.morlet2(M, s, w)


def cwt(data: Any, wavelet: Any, widths: Any) -> Any:
    """As `cupyx.scipy.signal.cwt`: a row per width, the data convolved with the wavelet of that width."""
    _warn()
    is_complex = cp.asarray(wavelet(1, 1)).dtype.char in "FDG"
    output = cp.empty((len(widths), len(data)), np.complex128 if is_complex else np.float64)
    for i, width in enumerate(widths):
        taps = cp.conj(wavelet(min(10 * int(width), len(data)), int(width)))[::-1]
        output[i, :] = _generated.convolve(data, taps, mode="same")
    return output
