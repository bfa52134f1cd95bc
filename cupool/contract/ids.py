"""Handles: 64-bit ids that the client mints for arrays, remote objects, replies and transfers.

A handle is a range (bits 40..62) and a counter (bits 0..39). A process counts in one range; a forked child goes on in a
range of its own, so that a handle is never reused in a process tree and a parent's array is recognised in the child.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

COUNTER_BITS = 40
RANGE_MASK = (1 << 23) - 1

#: The range that this process mints in. 0 in a process that did not come from a fork of a cupool client.
current_range = 0

_counter = itertools.count(1)


def minter() -> Callable[[], int]:
    """The function that mints the next handle. Atomic under the interpreter lock. Fetch it again after a fork."""
    return _counter.__next__


def counter() -> Iterator[int]:
    """What `minter()` counts with: `next()` of it mints too, and costs hot paths a fifth less. Fetch it again after a fork."""
    return _counter


def range_of(handle: int) -> int:
    """The range in which `handle` was minted."""
    return handle >> COUNTER_BITS


def enter_child_range() -> None:
    """Call in a forked child: mint in a fresh random range from here on."""
    global current_range, _counter
    old = current_range
    while True:
        current_range = int.from_bytes(os.urandom(3), "little") & RANGE_MASK
        if current_range not in (0, old):
            break
    _counter = itertools.count((current_range << COUNTER_BITS) + 1)
