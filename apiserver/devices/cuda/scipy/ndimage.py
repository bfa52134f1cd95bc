"""`cupyx.scipy.ndimage`: what cannot take its arguments as they travel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupyx.scipy.ndimage
import numpy as np

_PREFIX = "cupyx.scipy.ndimage."


def _typed(name: str) -> Callable[..., Any]:
    """A Fourier filter: it takes the class of an output's dtype, which travels as a dtype."""
    function = getattr(cupyx.scipy.ndimage, name)

    def run(*args: Any, output: Any = None, **kwargs: Any) -> Any:
        return function(*args, output=output.type if isinstance(output, np.dtype) else output, **kwargs)

    return run


#: Row's name -> function.
OPS: dict[str, Callable[..., Any]] = {
    _PREFIX + name: _typed(name)
    for name in ("fourier_ellipsoid", "fourier_gaussian", "fourier_shift", "fourier_uniform")
}
