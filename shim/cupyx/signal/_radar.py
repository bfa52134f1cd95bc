"""Radar functions that take a window function of the program, or only numbers."""

from __future__ import annotations

from typing import Any

from ..._generated import cupyx_signal as _generated
from ..._generated.fft import fftfreq


def _weights(window: Any, n: int, dtype: Any) -> Any:
    """What a window function of the program gives for these frequencies; another kind of window as it is."""
    return window(fftfreq(n).astype(dtype)) if callable(window) else window


def pulse_compression(x: Any, template: Any, normalize: Any = False, window: Any = None, nfft: Any = None) -> Any:
    """As `cupyx.signal.pulse_compression`."""
    if callable(window):
        window = _weights(window, template.shape[-1], template.dtype)
    return _generated.pulse_compression(x, template, normalize, window, nfft)


def pulse_doppler(x: Any, window: Any = None, nfft: Any = None) -> Any:
    """As `cupyx.signal.pulse_doppler`."""
    if callable(window):
        window = _weights(window, x.shape[0], x.dtype)
    return _generated.pulse_doppler(x, window, nfft)


def cfar_alpha(pfa: Any, N: Any) -> Any:
    """The factor by which a cell must exceed the mean of `N` reference cells for a probability `pfa` of false alarms."""
    return N * (pfa ** (-1.0 / N) - 1)
