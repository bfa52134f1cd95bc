"""The fast Hankel transform. CuPy looks at its coefficients to warn of a singular transform; here the parameters say so."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ...._generated import cupyx_scipy_fft as _plain


def _is_pole(x: float) -> bool:
    """Whether the gamma function is infinite at `x`."""
    return x <= 0 and x == math.floor(x)


def fht(a: Any, dln: Any, mu: Any, offset: Any = 0.0, bias: Any = 0.0) -> Any:
    """As `cupyx.scipy.fft.fht`."""
    if _is_pole((mu + 1 + bias) / 2) and not _is_pole((mu + 1 - bias) / 2):
        warnings.warn("singular transform; consider changing the bias", stacklevel=2)
    return _plain.fht(a, dln, mu, offset, bias)


def ifht(A: Any, dln: Any, mu: Any, offset: Any = 0.0, bias: Any = 0.0) -> Any:
    """As `cupyx.scipy.fft.ifht`."""
    if _is_pole((mu + 1 - bias) / 2) and not _is_pole((mu + 1 + bias) / 2):
        warnings.warn("singular inverse transform; consider changing the bias", stacklevel=2)
    return _plain.ifht(A, dln, mu, offset, bias)


__all__ = ["fht", "ifht"]
