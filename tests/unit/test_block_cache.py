"""Large blocks that are kept for the next transfer: used again, within a bound, the oldest going first."""

from __future__ import annotations

import numpy as np

from cupool.contract.blocks import SMALLEST_BYTES, BlockCache
from cupool.contract.limits import MIB


def address(block: np.ndarray) -> int:
    return int(block.__array_interface__["data"][0])


def test_a_block_is_used_again_once_the_last_view_is_gone() -> None:
    blocks = BlockCache(4 * SMALLEST_BYTES)
    first = blocks.take(SMALLEST_BYTES)
    view, place = first[3:7], address(first)
    del first
    other = blocks.take(SMALLEST_BYTES)
    assert address(other) != place
    del view
    assert address(blocks.take(SMALLEST_BYTES)) == place


def test_sizes_of_the_past_make_room_for_those_of_now() -> None:
    blocks = BlockCache(4 * SMALLEST_BYTES)
    past = [blocks.take(SMALLEST_BYTES) for _ in range(4)]
    del past
    now = blocks.take(2 * SMALLEST_BYTES)
    now[1] = 7
    del now
    # Kept, and not given back because blocks that nobody asks for fill the bound: fresh memory would be zero.
    assert blocks.take(2 * SMALLEST_BYTES)[1] == 7
    assert blocks._kept <= 4 * SMALLEST_BYTES


def test_what_exceeds_the_bound_is_not_kept_and_puts_nothing_out() -> None:
    blocks = BlockCache(2 * SMALLEST_BYTES)
    small = blocks.take(SMALLEST_BYTES)
    small[1] = 7
    del small
    large = blocks.take(2 * SMALLEST_BYTES + MIB)
    del large
    assert blocks._kept == SMALLEST_BYTES
    assert blocks.take(SMALLEST_BYTES)[1] == 7
