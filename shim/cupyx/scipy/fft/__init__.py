"""`cupyx.scipy.fft`, also a backend for `scipy.fft.set_backend`. `overwrite_x` counts for complex transforms."""

from __future__ import annotations

from typing import Any

from ....cupy.fft import fftfreq as fftfreq
from ....cupy.fft import fftshift as fftshift
from ....cupy.fft import ifftshift as ifftshift
from ....cupy.fft import rfftfreq as rfftfreq
from .. import _backend
from ..fftpack import get_fft_plan as get_fft_plan
from . import _fftlog, _real_transforms, _transforms
from ._fftlog import *  # noqa: F403
from ._helper import next_fast_len as next_fast_len
from ._real_transforms import *  # noqa: F403
from ._transforms import *  # noqa: F403

__ua_domain__ = "numpy.scipy.fft"
__ua_convert__ = _backend.convert
__ua_function__ = _backend.caller(
    "scipy.fft",
    {name: getattr(module, name) for module in (_transforms, _real_transforms, _fftlog) for name in module.__all__},
)


def __getattr__(name: str) -> Any:
    from ....cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy.fft", name)
