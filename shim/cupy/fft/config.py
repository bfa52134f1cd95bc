"""`cupy.fft.config`: settings that CuPy's FFT has. The server plans transforms itself, so they are kept and have no effect."""

from __future__ import annotations

import sys
import warnings
from types import ModuleType
from typing import Any


class _Config(ModuleType):
    """The module, with the deprecated property that CuPy has."""

    _enable_nd_planning = True
    use_multi_gpus = False

    @property
    def enable_nd_planning(self) -> bool:
        """Whether n-dimensional plans may be used. Deprecated."""
        self._warn()
        return self._enable_nd_planning

    @enable_nd_planning.setter
    def enable_nd_planning(self, value: bool) -> None:
        self._warn()
        self._enable_nd_planning = value

    @staticmethod
    def _warn() -> None:
        warnings.warn("`cupy.fft.config.enable_nd_planning` is deprecated", DeprecationWarning, stacklevel=3)


def set_cufft_gpus(gpus: Any) -> None:
    """A session has one device."""
    from cupool.contract.errors import Unsupported

    raise Unsupported("fft.config.set_cufft_gpus is not supported: a session has one device.", "Leave it out.")


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("fft.config", name)


sys.modules[__name__].__class__ = _Config
