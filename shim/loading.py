"""Loading the shim, for whoever lets a program have it.

Boundary: how, not what. Nothing else is imported here.
"""

from __future__ import annotations

import gc
from importlib import import_module
from types import ModuleType


def load(name: str) -> ModuleType:
    """The module of this name, as `importlib.import_module`. While it is loaded nothing is collected: what modules make, they keep, and
    looking through it and all that numpy has made took a sixth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return import_module(name)
    finally:
        if collects:
            gc.enable()
