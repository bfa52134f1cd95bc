"""Loading the shim, for whoever lets a program have it.

Boundary: how, not what; nothing else is imported here. CUPOOL_PREOPEN=1 asks the pool for a session as the import begins, so that it is
there when the import ends: not for processes that are copied after their imports, nor for programs that import and never compute.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from types import ModuleType


def load(name: str) -> ModuleType:
    """The module of this name, as `importlib.import_module`. While it is loaded nothing is collected: what modules make, they keep, and
    looking through it and all that numpy has made took a sixth of the time.

    Raises:
        ImportError: this Python's NumPy is older than 2, which is looked at where something is missing only.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        if os.environ.get("CUPOOL_PREOPEN", "") not in ("", "0"):
            import_module(f"{__package__}.session").begin()
        return import_module(name)
    except ImportError:
        found = str(getattr(sys.modules.get("numpy"), "__version__", ""))
        if found.startswith(("0.", "1.")):
            text = f"cupool needs NumPy 2 or newer, and this Python has {found}. Install it: pip install --upgrade 'numpy>=2'"
            raise ImportError(text) from None
        raise
    finally:
        if collects:
            if not gc.get_freeze_count():
                # Makes all that there is old, without a look at it: the first collection would else do that.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
