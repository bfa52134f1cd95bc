"""Lengths that are transformed fast."""

from __future__ import annotations

import functools
from typing import Any


@functools.lru_cache(maxsize=4096)
def _next(target: int) -> int:
    """The smallest product of 2, 3, 5 and 7 that is at least `target`."""
    best = 1 << (target - 1).bit_length()
    seven = 1
    while seven < best:
        five = seven
        while five < best:
            three = five
            while three < best:
                two = three << max(-(-target // three) - 1, 0).bit_length()
                best = min(best, two)
                three *= 3
            five *= 5
        seven *= 7
    return best


def next_fast_len(target: Any, real: bool = False) -> int:
    """As `cupyx.scipy.fft.next_fast_len`: the next length of small prime factors (2, 3, 5, 7), the same for real data."""
    return 0 if target == 0 else _next(int(target))
