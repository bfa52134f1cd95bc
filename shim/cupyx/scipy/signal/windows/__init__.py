"""`cupyx.scipy.signal.windows`."""

from __future__ import annotations

from typing import Any

from ....._generated.cupyx_scipy_signal_windows import *  # noqa: F403
from ._chebwin import chebwin as chebwin


def __getattr__(name: str) -> Any:
    from .....cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy.signal.windows", name)
