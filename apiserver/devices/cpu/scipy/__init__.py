"""`cupyx.scipy` on SciPy: a module per family with a table `OPS` (row's name -> callable), imported at the first call of one of its ops.

SciPy's parts take up to half a second to import, and most sessions use none of them; so `resolve` gives a stand-in that knows where
its op is. A test resolves every row of the table for real, so a missing op is found there rather than by a user.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

#: How names of rows begin -> module of this package. The longest prefix wins.
MODULES = {
    "cupyx.scipy.fft.": "fft",
    "cupyx.scipy.interpolate.": "interpolate",
    "cupyx.scipy.signal.": "signal",
    "cupyx.cusolver.": "cusolver",
    "cupyx.lapack.": "linalg",
    "cupyx.linalg.": "linalg",
    "cupyx.linalg.sparse.": "cusolver",
    "cupyx.scipy.linalg.": "linalg",
    "cupyx.scipy.spatial.": "spatial",
    "cupyx.scipy.ndimage.": "ndimage",
    "cupyx.scipy.sparse.": "sparse",
    "cupyx.scipy.special.": "special",
    "cupyx.signal.": "signal",
}
_PREFIXES = sorted(MODULES, key=len, reverse=True)


class Deferred:
    """An op whose module is imported when it is first called."""

    __slots__ = ("_impl", "_module", "_run")

    def __init__(self, module: str, impl: str) -> None:
        self._module = module
        self._impl = impl
        self._run: Callable[..., Any] | None = None

    def resolve(self) -> Callable[..., Any]:
        """The op itself. Raises KeyError when its module has none of this name."""
        if self._run is None:
            self._run = importlib.import_module(f"{__name__}.{self._module}").OPS[self._impl]
        return self._run  # pyright: ignore

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return (self._run or self.resolve())(*args, **kwargs)


def resolve(impl: str) -> Deferred | None:
    """The stand-in for an op of these families; None for a name of none of them."""
    for prefix in _PREFIXES:
        if impl.startswith((prefix, f"@{prefix}")):
            return Deferred(MODULES[prefix], impl)
    return None
