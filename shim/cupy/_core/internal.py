"""`cupy._core.internal`: what upstream's own testing package takes from it."""

from __future__ import annotations

import math
from collections.abc import Iterable


def prod(args: Iterable[int]) -> int:
    """Product of integers."""
    return math.prod(args)
