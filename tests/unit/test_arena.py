"""The CPU device's arena: addresses, blocks, aliases."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import random
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from cupool.apiserver.devices.cpu.arena import ALIGNMENT, BASES, DISCARD_BYTES, GRANULE, Arena
from cupool.apiserver.devices.cpu.memory import address_of, root_of

from cupool.contract.errors import CUDARuntimeError, OutOfMemoryError
from cupool.contract.spec import spec_of


@pytest.fixture
def arena() -> Iterator[Arena]:
    made = Arena()
    yield made
    made.close()


def test_a_block_lives_as_long_as_any_view(arena: Arena) -> None:
    a = arena.empty((30, 40), np.float32)
    a[...] = 7
    view = a[3:, ::2].T
    address = address_of(a)
    assert address % ALIGNMENT == 0 and arena.contains(address) and arena.holds(view)
    assert root_of(view) is root_of(a)
    assert arena.used_bytes == 5120
    del a
    other = arena.empty((10,), np.int64)
    assert address_of(other) != address and view[0, 0] == 7
    del view
    assert arena.used_bytes == ALIGNMENT
    again = arena.empty((1,), np.int8)
    assert address_of(again) == address


def test_blocks_never_overlap_and_all_comes_back(arena: Arena) -> None:
    chance = random.Random(5)
    live: list[np.ndarray] = []
    for step in range(1500):
        if live and chance.random() < 0.5:
            array = live.pop(chance.randrange(len(live)))
            assert (array == array[0]).all()
        else:
            array = arena.empty((chance.choice([1, 500, 512, 513, 5000, 70_000]),), np.uint8)
            array[...] = step % 251
            live.append(array)
    del array
    spans = sorted((address_of(a), address_of(a) + a.nbytes) for a in live)
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(spans))
    live.clear()
    assert arena.used_bytes == 0 and not arena._free and arena._top == arena.base


def test_the_range_can_be_reserved_again_at_the_same_place() -> None:
    first = Arena()
    with pytest.raises(OSError, match="can be reserved at"):
        Arena(first.base, first.nbytes)
    second = Arena()
    assert second.base + second.nbytes <= first.base or second.base >= first.base + first.nbytes
    first.close()
    again = Arena(first.base)
    assert again.base == first.base
    again.close()
    second.close()


def test_a_fresh_process_takes_one_of_the_usual_places() -> None:
    """In a process of its own: devices of other tests may hold them all here."""
    program = "from cupool.apiserver.devices.cpu.arena import Arena; print(Arena().base)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert int(run.stdout) in BASES


def test_memory_beyond_the_blocks_is_closed(arena: Arena) -> None:
    arena.empty((1,), np.int8)
    kept = arena.empty((3 * GRANULE,), np.uint8)
    assert arena._open_end - arena.base <= 4 * GRANULE + mmap.PAGESIZE
    kept[-1] = 1
    del kept
    # Of a large freed block nothing stays: its pages come back as zeros.
    kept = arena.empty((DISCARD_BYTES,), np.uint8)
    kept[-1] = 1
    del kept
    assert arena.empty((DISCARD_BYTES,), np.uint8)[-1] == 0


def test_a_full_range_is_out_of_memory() -> None:
    arena = Arena(None, 1 << 22)
    kept = arena.empty((1 << 21,), np.uint8)
    with pytest.raises(OutOfMemoryError):
        arena.empty(((1 << 21) + 1,), np.uint8)
    arena.empty((1 << 21,), np.uint8)[...] = 1
    del kept
    arena.close()


@pytest.mark.parametrize("order", ["C", "F"])
def test_moving_a_buffer_keeps_every_alias(arena: Arena, order: str) -> None:
    base = np.array(np.arange(24.0).reshape(4, 6), order=order)
    views = [base, base[1:, ::2], base[::-1], base.T[2], base[2:2], base.view(np.int64)[1]]
    root, rebuild = arena.move_in(root_of(base))
    moved = [rebuild(v) for v in views]
    for old, new in zip(views, moved, strict=True):
        assert (old == new).all() and old.strides == new.strides and old.dtype == new.dtype
        assert root_of(new) is root
    moved[0][1, 2] = -1
    assert moved[1][0, 1] == moved[2][2, 2] == moved[3][1] == -1
    assert base[1, 2] != -1
    assert address_of(moved[1]) - address_of(moved[0]) == address_of(views[1]) - address_of(views[0])


def test_structured_and_empty_arrays(arena: Arena) -> None:
    padded = np.dtype({"names": ["a", "b"], "formats": ["<i4", "<f8"], "offsets": [0, 8], "itemsize": 24})
    a = arena.empty((3,), padded)
    assert a.dtype == padded and a.strides == (24,)
    empty = arena.empty((0, 3), np.complex64)
    assert empty.shape == (0, 3) and arena.contains(address_of(root_of(empty)))
    _, rebuild = arena.move_in(np.zeros((2, 0)))
    assert rebuild(np.zeros((2, 0))).shape == (2, 0)
    assert arena.empty((2, 3), np.float64, "F").strides == (8, 16)


def test_arrays_by_address(arena: Arena) -> None:
    a = arena.empty((10,), np.int32)
    a[...] = range(10)
    at = address_of(a)
    again = arena.array_at(at + 8, spec_of((2, 2), np.int32))
    assert again.tolist() == [[2, 3], [4, 5]] and root_of(again) is root_of(a)
    assert arena.array_at(at + 36, spec_of((10,), np.int32, (-4,))).tolist() == list(range(9, -1, -1))
    for bad in (at - 4, at + 4, at + GRANULE, 0, 1 << 46):
        with pytest.raises(CUDARuntimeError, match="cudaErrorIllegalAddress"):
            arena.array_at(bad, spec_of((10,), np.int32))
    del a, again
    with pytest.raises(CUDARuntimeError):
        arena.array_at(at, spec_of((1,), np.int32))


def test_nothing_of_a_session_is_left_in_memory_at_its_end() -> None:
    arena = Arena()
    kept, freed = arena.block(5 << 20), arena.block(1 << 20)
    kept[:], freed[:] = 7, 7
    address = address_of(freed)
    del freed
    arena.close()
    assert not kept.any()
    assert not np.ctypeslib.as_array((ctypes.c_uint8 * (1 << 20)).from_address(address)).any()
    del kept
    arena.close()
