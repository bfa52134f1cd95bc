"""`cupy.fft.config`: settings of CuPy's FFT. The server plans transforms itself; here they decide which plans a program sees."""

from __future__ import annotations

import sys
import warnings
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from ._cache import PlanCache as PlanCache
from ._cache import clear_plan_cache as clear_plan_cache
from ._cache import get_plan_cache as get_plan_cache
from ._cache import get_plan_cache_max_memsize as get_plan_cache_max_memsize
from ._cache import get_plan_cache_size as get_plan_cache_size
from ._cache import set_plan_cache_max_memsize as set_plan_cache_max_memsize
from ._cache import set_plan_cache_size as set_plan_cache_size
from ._cache import show_plan_cache_info as show_plan_cache_info

_enable_nd_planning: ContextVar[bool] = ContextVar("cupy.fft.config.enable_nd_planning", default=True)
_use_multi_gpus: ContextVar[bool] = ContextVar("cupy.fft.config.use_multi_gpus", default=False)
_devices: ContextVar[Any] = ContextVar("cupy.fft.config.devices", default=None)


class _Config(ModuleType):
    """The module, with the properties that CuPy has."""

    @property
    def enable_nd_planning(self) -> bool:
        """Whether n-dimensional plans may be used. Deprecated."""
        self._warn()
        return _enable_nd_planning.get()

    @enable_nd_planning.setter
    def enable_nd_planning(self, value: bool) -> None:
        self._warn()
        _enable_nd_planning.set(value)

    @property
    def use_multi_gpus(self) -> bool:
        """Whether transforms are spread over several devices: a session has one."""
        return _use_multi_gpus.get()

    @use_multi_gpus.setter
    def use_multi_gpus(self, value: bool) -> None:
        _use_multi_gpus.set(bool(value))

    @property
    def devices(self) -> Any:
        """The devices of a spread transform, or None."""
        return _devices.get() if _use_multi_gpus.get() else None

    @staticmethod
    def _warn() -> None:
        warnings.warn(
            "enable_nd_planning is deprecated as of CuPy 14 and will always be True in the future.",
            DeprecationWarning,
            stacklevel=3,
        )


def set_cufft_gpus(gpus: Any) -> None:
    """A session has one device: fewer than two are refused as CuPy does, more because there are no more."""
    if not isinstance(gpus, (int, list, tuple)):
        raise ValueError("gpus must be an int or a list or tuple of int.")
    if (gpus if isinstance(gpus, int) else len(gpus)) <= 1:
        raise ValueError("Must use at least 2 GPUs.")
    from cupool.contract.errors import Unsupported

    raise Unsupported("fft.config.set_cufft_gpus is not supported: a session has one device.", "Leave it out.")


def get_current_callback_manager() -> None:
    """There is none: callbacks are not carried."""
    return


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("fft.config", name)


sys.modules[__name__].__class__ = _Config
