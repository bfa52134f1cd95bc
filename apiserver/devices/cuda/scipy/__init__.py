"""Ops of `cupyx.scipy` that no public name of CuPy stands for ("@cupyx.scipy.…"): a module per family with a table `OPS`, over CuPy.

Boundary: public names need nothing here, `names.py` finds CuPy's own; a few are here because their arguments look otherwise on the wire.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

#: How names of ops begin -> module of this package. The longest prefix wins.
MODULES = {
    "@cupyx.cusolver.": "cusolver",
    "@cupyx.linalg.sparse.": "cusolver",
    "cupyx.scipy.ndimage.fourier_": "ndimage",
    "@cupyx.scipy.interpolate.": "interpolate",
    "@cupyx.scipy.signal.": "signal",
    "@cupyx.scipy.sparse.": "sparse",
    "@cupyx.scipy.spatial.": "spatial",
}
_PREFIXES = sorted(MODULES, key=len, reverse=True)


def resolve(impl: str) -> Callable[..., Any] | None:
    """The op; None for a name of none of these families. Raises KeyError when the family's module has none of this name."""
    for prefix in _PREFIXES:
        if impl.startswith(prefix):
            ops: dict[str, Callable[..., Any]] = importlib.import_module(f"{__name__}.{MODULES[prefix]}").OPS
            return ops[impl]
    return None
