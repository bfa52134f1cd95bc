"""`cupyx.scipy.ndimage` on `scipy.ndimage`, with CuPy's dtypes: float16 too, booleans by "is it zero", per-axis modes everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import filters, fourier, interpolation, measurements, morphology

_PREFIX = "cupyx.scipy.ndimage."

#: Row's name -> function.
OPS: dict[str, Callable[..., Any]] = {
    _PREFIX + name: function
    for module in (filters, fourier, interpolation, measurements, morphology)
    for name, function in module.FUNCTIONS.items()
}
