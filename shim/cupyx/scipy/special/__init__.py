"""`cupyx.scipy.special`."""

from __future__ import annotations

from typing import Any

from ...._generated import functions as _functions
from ...._generated.cupyx_scipy_special import *  # noqa: F403
from ...._generated.functions import sinc as sinc
from ._deprecated import btdtr as btdtr
from ._deprecated import btdtri as btdtri
from ._deprecated import sph_harm as sph_harm

round = _functions.around


def __getattr__(name: str) -> Any:
    from ....cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy.special", name)
