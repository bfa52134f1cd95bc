"""The CUDA arena's bookkeeping, with a mapper that only remembers: no GPU needed."""

from __future__ import annotations

import random

import pytest
from cupool.apiserver.devices.cuda.arena import BLOCK_BYTES, Arena, ClearedMemory, Space

GRANULE = 1 << 21


class Memory:
    """A device with so many bytes, that checks what it is asked."""

    granule = GRANULE

    def __init__(self, total: int) -> None:
        self.total = total
        self.mapped: dict[int, int] = {}
        self.cleared: set[int] = set()
        self.reserved: tuple[int, int] | None = None

    def reserve(self, size: int, hint: int) -> int:
        self.reserved = (hint or 1 << 40, size)
        return self.reserved[0]

    def map(self, address: int, size: int) -> None:
        assert address % GRANULE == size % GRANULE == 0
        assert all(address + size <= a or a + n <= address for a, n in self.mapped.items()), "mapped twice"
        if sum(self.mapped.values()) + size > self.total:
            raise MemoryError("full")
        self.mapped[address] = size

    def clear(self, runs: list[tuple[int, int]]) -> None:
        assert all(self.mapped[address] == size for address, size in runs)
        self.cleared.update(address for address, _ in runs)

    def unmap(self, address: int, size: int) -> None:
        assert self.mapped.pop(address) == size
        assert address in self.cleared, "memory was given back as its session left it"
        self.cleared.discard(address)

    def release(self, base: int, size: int) -> None:
        assert self.reserved == (base, size)
        assert not self.mapped
        self.reserved = None


def test_blocks_never_overlap_and_gaps_join() -> None:
    space = Space(1 << 40, 1 << 24)
    rng = random.Random(1)
    live: dict[int, int] = {}
    for _ in range(3000):
        if live and rng.random() < 0.5:
            address = rng.choice(sorted(live))
            assert space.give(address) == live.pop(address)
        else:
            size = rng.randrange(1, 40_000)
            address = space.take(size)
            rounded = -(-size // BLOCK_BYTES) * BLOCK_BYTES
            assert address % BLOCK_BYTES == 0
            assert all(address + rounded <= a or a + n <= address for a, n in live.items())
            live[address] = rounded
    for address in live:
        space.give(address)
    assert space.gaps() == [(1 << 40, 1 << 24)]


def test_equal_programs_get_equal_addresses() -> None:
    def program() -> list[int]:
        arena = Arena(Memory(1 << 30), 1 << 32, hint=1 << 41)
        first = [arena.malloc(n) for n in (100, 5000, 3 << 21, 7)]
        arena.free(first[1])
        return [*first, arena.malloc(4000)]

    assert program() == program()


def test_memory_is_taken_only_where_blocks_are_and_given_back() -> None:
    memory = Memory(1 << 30)
    arena = Arena(memory, 1 << 32, hint=0)
    small = arena.malloc(10)
    assert arena.mapped_bytes == GRANULE
    large = arena.malloc(5 * GRANULE)
    assert arena.mapped_bytes == 6 * GRANULE
    arena.free(large)
    assert arena.trim() == 5 * GRANULE
    assert arena.mapped_bytes == GRANULE
    again = arena.malloc(5 * GRANULE)
    assert again == large
    arena.free(again)
    arena.free(small)
    assert arena.trim() == 6 * GRANULE
    arena.close()
    assert memory.reserved is None


def test_a_full_device_is_memory_error_and_leaves_nothing() -> None:
    arena = Arena(Memory(4 * GRANULE), 1 << 32)
    kept = arena.malloc(2 * GRANULE)
    with pytest.raises(MemoryError):
        arena.malloc(3 * GRANULE)
    assert arena.malloc(2 * GRANULE) == kept + 2 * GRANULE


def test_covers_knows_live_blocks() -> None:
    arena = Arena(Memory(1 << 30), 1 << 32)
    a = arena.malloc(1000)
    assert arena.covers(a, 1000)
    assert arena.covers(a + 24, 1000)  # the block is rounded up to 1024
    assert not arena.covers(a, 1025)
    assert not arena.covers(a - 1, 1)
    arena.free(a)
    assert not arena.covers(a, 1)
    with pytest.raises(KeyError):
        arena.free(a)


def test_all_memory_is_cleared_at_the_end_live_blocks_included() -> None:
    memory = Memory(1 << 30)
    arena = Arena(memory, 1 << 30)
    kept, freed = arena.malloc(3 * GRANULE), arena.malloc(GRANULE)
    arena.free(freed)
    arena.clear()
    assert memory.cleared == set(memory.mapped) and memory.mapped
    memory.cleared.clear()
    arena.trim()
    assert arena.covers(kept, 3 * GRANULE)
    arena.close()
    assert not memory.mapped


def test_memory_without_an_arena_is_cleared_before_it_is_given_back() -> None:
    class Runtime:
        def __init__(self) -> None:
            self.calls: list[tuple[str, int]] = []

        def malloc(self, size: int) -> int:
            return 1000 * len(self.calls) + 1000

        def memset(self, address: int, value: int, size: int) -> None:
            assert value == 0 and size == 512
            self.calls.append(("memset", address))

        def free(self, address: int) -> None:
            self.calls.append(("free", address))

        def deviceSynchronize(self) -> None:
            self.calls.append(("synchronize", 0))

    runtime = Runtime()
    cleared = ClearedMemory(runtime)
    a = cleared.malloc(512)
    cleared.free(a)
    b = cleared.malloc(512)
    cleared.clear()
    assert runtime.calls == [("memset", a), ("free", a), ("memset", b), ("synchronize", 0)]
