"""`cupy.fft`."""

from __future__ import annotations

from typing import Any

from ..._generated.fft import *  # noqa: F403
from . import config as config


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("fft", name)
