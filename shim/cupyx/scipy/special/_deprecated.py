"""Functions that warn, as CuPy's do."""

from __future__ import annotations

import warnings
from typing import Any

from ...._generated import cupyx_scipy_special as _functions


def _warn(text: str) -> None:
    warnings.warn(text, DeprecationWarning, stacklevel=3)


def btdtr(a: Any, b: Any, x: Any, out: Any = None) -> Any:
    """As `cupyx.scipy.special.betainc`, deprecated."""
    _warn("Use cupyx.scipy.special.betainc instead.")
    return _functions.btdtr(a, b, x, out)


def btdtri(a: Any, b: Any, p: Any, out: Any = None) -> Any:
    """As `cupyx.scipy.special.betaincinv`, deprecated."""
    _warn("Use cupyx.scipy.special.betaincinv instead.")
    return _functions.btdtri(a, b, p, out)


def sph_harm(m: Any, n: Any, theta: Any, phi: Any, out: Any = None) -> Any:
    """Spherical harmonics, deprecated: `theta` is the azimuth. See `sph_harm_y`."""
    _warn("`cupyx.scipy.special.sph_harm` is deprecated in CuPy v14 and are planned to be removed in the future.")
    return _functions.sph_harm(m, n, theta, phi, out)
