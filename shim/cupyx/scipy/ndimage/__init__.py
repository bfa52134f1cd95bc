"""`cupyx.scipy.ndimage`: generated from the table, but for what warns, takes the program's own functions, or returns more than arrays."""

from __future__ import annotations

from typing import Any

from ...._generated.cupyx_scipy_ndimage import *  # noqa: F403
from ._generic import *  # noqa: F403
from ._measurements import *  # noqa: F403
from ._warning import *  # noqa: F403


def __getattr__(name: str) -> Any:
    from ....cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy.ndimage", name)
