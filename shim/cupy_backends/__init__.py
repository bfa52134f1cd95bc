"""`cupy_backends`, as far as programs reach into it: the runtime and driver modules and their errors."""

from __future__ import annotations

import importlib
from typing import Any

_SUBMODULES = ("cuda",)


def __getattr__(name: str) -> Any:
    """A submodule: real CuPy has loaded them all after `import cupy`."""
    if name in _SUBMODULES:
        return importlib.import_module(f"{__package__}.{name}")
    raise AttributeError(f"module {__name__[__name__.index('cupy_') :]!r} has no attribute {name!r}")
