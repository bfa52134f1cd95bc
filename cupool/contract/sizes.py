"""Sizes as people write them: on command lines, in the environment and in a pool's configuration, all alike."""

from __future__ import annotations

import re

#: A letter alone and a letter with "iB" count in 1024s; a letter with "B" in 1000s.
_UNITS = {"": 1, "B": 1} | {
    letter + suffix: base**power
    for power, letter in enumerate("KMGT", 1)
    for suffix, base in (("", 1024), ("IB", 1024), ("B", 1000))
}
_SIZE = r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*([A-Z]*)"


def parse_size(text: str) -> int:
    """Bytes from "1GiB", "512 MiB", "1.5G", "2GB" or "1000000"; capitals do not matter.

    Raises:
        ValueError: not a size, for example a negative one.
    """
    found = re.fullmatch(_SIZE, text.strip().upper(), re.ASCII)
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"{text!r} is no size. Write 1GiB, 512MiB or a number of bytes.")
    number, unit = found[1], _UNITS[found[2]]
    # Whole numbers exactly: a float has 53 bits.
    return int(number) * unit if number.isdigit() else int(float(number) * unit)
