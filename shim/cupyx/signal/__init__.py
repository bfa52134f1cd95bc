"""`cupyx.signal`."""

from __future__ import annotations

from typing import Any

from ..._generated.cupyx_signal import *  # noqa: F403
from ._radar import cfar_alpha as cfar_alpha
from ._radar import pulse_compression as pulse_compression
from ._radar import pulse_doppler as pulse_doppler


def __getattr__(name: str) -> Any:
    from ...cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.signal", name)
