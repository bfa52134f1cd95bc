"""The window that warns."""

from __future__ import annotations

import warnings
from typing import Any

from ....._generated import cupyx_scipy_signal_windows as _generated


def chebwin(M: Any, at: Any, sym: Any = True) -> Any:
    """As `cupyx.scipy.signal.windows.chebwin`."""
    if abs(at) < 45:
        warnings.warn(
            "This window is not suitable for spectral analysis for attenuation values lower than about 45dB because the equivalent noise "
            "bandwidth of a Chebyshev window does not grow monotonically with increasing sidelobe attenuation when the attenuation is "
            "smaller than about 45 dB.",
            stacklevel=2,
        )
    return _generated.chebwin(M, at, sym)
