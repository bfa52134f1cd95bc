"""`cupyx.scipy`. Its modules are imported when they are looked at."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

_SUBMODULES = frozenset(
    ("fft", "fftpack", "interpolate", "linalg", "ndimage", "signal", "sparse", "spatial", "special", "stats")
)  # fmt: skip


def get_array_module(*args: Any) -> Any:
    """This module when an argument is an array or a sparse matrix of the device, else `scipy`.

    Raises:
        ImportError: `scipy` is asked for and not installed here.
    """
    from ...cupy._functional import get_array_module as of_arrays

    if of_arrays(*args).__name__ == "cupy":
        return sys.modules[_HERE]
    import scipy

    return scipy


def __getattr__(name: str) -> Any:
    if name == "_scipy_available":
        return importlib.util.find_spec("scipy") is not None
    if name in _SUBMODULES or (name[:1] == "_" != name[1:2] and importlib.util.find_spec(f"{_HERE}.{name}")):
        return importlib.import_module(f"{_HERE}.{name}")
    from ...cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy", name)


_HERE = __name__
# Programs tell `cupyx.scipy` from `scipy` by it. Imports go by `__package__` and `__spec__`, which keep the real name; or by this one,
# after `__getattr__`.
__name__ = "cupyx.scipy"
