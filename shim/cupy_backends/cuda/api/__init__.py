"""See `cupy_backends`."""

from __future__ import annotations

import importlib
from typing import Any

_SUBMODULES = ("driver", "runtime")


def __getattr__(name: str) -> Any:
    """A submodule: real CuPy has loaded them all after `import cupy`."""
    if name in _SUBMODULES:
        return importlib.import_module(f"{__package__}.{name}")
    raise AttributeError(f"module {__name__[__name__.index('cupy_') :]!r} has no attribute {name!r}")
