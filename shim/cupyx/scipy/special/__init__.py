"""`cupyx.scipy.special`."""

from __future__ import annotations

from typing import Any

from ...._generated.cupyx_scipy_special import *  # noqa: F403


def __getattr__(name: str) -> Any:
    from ....cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy.special", name)
