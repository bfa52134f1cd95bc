"""Blocks with a mapping of their own: used again, bounded, given back."""

from __future__ import annotations

import gc

import numpy as np

from cupool.contract.blocks import SMALLEST_MAPPED_BYTES, MappedBlocks
from cupool.contract.limits import KIB, MIB


def address(block: np.ndarray) -> int:
    return int(block.__array_interface__["data"][0])


def test_a_block_is_used_again_once_the_last_view_is_gone() -> None:
    blocks = MappedBlocks(8 * MIB)
    first = blocks.take(MIB)
    first[:] = 7
    view, place = first[5:9], address(first)
    del first
    other = blocks.take(MIB)
    assert address(other) != place and view.tolist() == [7] * 4
    del view
    assert blocks.kept_bytes == MIB
    assert address(blocks.take(MIB - 4 * KIB)) == place  # a little smaller fits, too


def test_what_is_unused_and_what_is_lent_stay_within_the_bound() -> None:
    rng = np.random.default_rng(3)
    blocks, lent = MappedBlocks(MIB), []
    for step in range(3000):
        size = int(rng.integers(1, 256 * KIB))
        block = blocks.take(size)
        assert block.shape == (size,) and block.flags.writeable
        block[[0, -1]] = step % 251
        lent.append((block, step % 251))
        del block
        while sum(b.nbytes for b, _ in lent) > 700 * KIB:
            del lent[int(rng.integers(len(lent)))]
        mapped = sum(b.nbytes for b, _ in lent if b.nbytes >= SMALLEST_MAPPED_BYTES)
        assert mapped + blocks.kept_bytes <= MIB
        assert all(b[0] == b[-1] == mark for b, mark in lent)
    assert blocks.kept_bytes
    lent.clear()
    blocks.clear()
    assert blocks.kept_bytes == 0


def test_nothing_is_kept_after_the_end() -> None:
    blocks = MappedBlocks(8 * MIB)
    block = blocks.take(MIB)
    blocks.clear()
    del block
    gc.collect()
    assert blocks.kept_bytes == 0
