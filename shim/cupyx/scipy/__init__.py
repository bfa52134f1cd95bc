"""`cupyx.scipy`. Its modules come with later releases; importing them works, using them says why not."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from ...cupy._functional import get_array_module as get_array_module

_SUBMODULES = frozenset(
    ("fft", "fftpack", "interpolate", "linalg", "ndimage", "signal", "sparse", "spatial", "special", "stats")
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "_scipy_available":
        return importlib.util.find_spec("scipy") is not None
    from ...cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy", name)
