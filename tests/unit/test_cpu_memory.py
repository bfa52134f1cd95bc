"""Memory of the CPU device that a session's buffers come into."""

from __future__ import annotations

import mmap
import weakref
from pathlib import Path

import numpy as np
import pytest
from cupool.apiserver.devices.cpu import memory

MIB = 1 << 20


def _mapping(address: int) -> dict[str, str] | None:
    """What the system says of the mapping that an address is in; None: there is none."""
    found: dict[str, str] | None = None
    for line in Path("/proc/self/smaps").read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(" ")
        if not key.endswith(":"):
            if found is not None:
                return found
            low, high = (int(part, 16) for part in key.split("-"))
            found = {} if low <= address < high else None
        elif found is not None:
            found[key[:-1]] = value
    return found


@pytest.mark.parametrize("nbytes", [0, 1, 4 * MIB - 1, 4 * MIB, 5 * MIB + 7, 64 * MIB])
def test_fresh_memory_has_its_size_can_be_written_and_takes_a_shape(nbytes: int) -> None:
    made = memory.fresh(nbytes)
    assert (made.shape, made.dtype, made.flags.writeable, made.flags.c_contiguous) == ((nbytes,), np.uint8, True, True)
    made[:] = 3
    assert (made == 3).all()
    assert memory.root_of(made) is made
    if nbytes == 64 * MIB:
        made.dtype, made.shape = np.dtype(np.float64), (1024, 8192)
        assert memory.raw_bytes(made).shape == (nbytes,)


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="this system has no huge pages")
def test_large_fresh_memory_asks_for_huge_pages_and_goes_back() -> None:
    made = memory.fresh(33 * MIB)
    view = made[MIB:]
    address = memory.address_of(made)
    found = _mapping(address)
    assert found is not None
    if Path("/sys/kernel/mm/transparent_hugepage").exists():
        assert "hg" in found["VmFlags"].split()
    gone = weakref.ref(made)
    del made
    view[-1] = 1  # a view keeps it
    assert _mapping(address) is not None
    del view
    assert gone() is None
    after = _mapping(address)
    assert after is None or int(after["Size"].split()[0]) != 34 * 1024
