"""The length of what `upfirdn` gives, under the name that CuPy gives it."""

from __future__ import annotations


def _output_len(len_h: int, in_len: int, up: int, down: int) -> int:
    """Samples out of `in_len` samples through `len_h` taps."""
    return ((in_len - 1) * up + len_h - 1) // down + 1
