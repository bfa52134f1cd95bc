"""`cupyx.scipy.stats`: five functions, composed of `cupy`'s own, so that they are asynchronous and have CuPy's dtypes on any device."""

from __future__ import annotations

from typing import Any

from ._distributions import entropy as entropy
from ._stats import boxcox_llf as boxcox_llf
from ._stats import trim_mean as trim_mean
from ._stats import zmap as zmap
from ._stats import zscore as zscore


def __getattr__(name: str) -> Any:
    from ....cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy.stats", name)
