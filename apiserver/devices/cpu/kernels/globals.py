"""Variables of a kernel module (`__device__`, `__constant__`) at addresses in the arena.

A program may ask where a variable is, store the address in device memory, or make an array over it. Such an address must lie in
the arena. The code of the module, however, finds its variables where the loader put them. So the module's data pages are mapped
twice, shared: in place and in the arena. (A kernel that takes the address of its own variable sees the place in the module.)
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator

from ..arena import Arena

_PAGE = mmap.PAGESIZE
_PT_LOAD, _PT_GNU_RELRO, _PF_W = 1, 0x6474E552, 2
_MAP_SHARED_FIXED = 0x1 | 0x10
_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)


class _DlInfo(ctypes.Structure):
    _fields_ = (
        ("fname", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("sname", ctypes.c_char_p),
        ("saddr", ctypes.c_void_p),
    )


class Globals:
    """Data pages of modules that are mapped into an arena."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        #: first address of a module's data -> (size, first address in the arena); with the arena's memory, kept for ever
        self._mapped: dict[int, tuple[int, int]] = {}
        self._kept: list[object] = []
        #: first address in the arena -> address and size of the block
        self._blocks: dict[int, tuple[int, int]] = {}

    def address_in_arena(self, address: int) -> int:
        """The arena's address of a variable that the loader put at `address`. Raises OSError when the pages cannot be mapped."""
        start, size = _data_pages(address)
        if not start <= address < start + size:
            raise OSError(0, "the variable does not lie in its module's data")
        if start not in self._mapped:
            self._mapped[start] = (size, self._map(start, size))
        return self._mapped[start][1] + address - start

    def mapped(self) -> dict[int, tuple[int, int, int]]:
        """First address of a module's data -> (first address in the arena, address and size of the block that this is in)."""
        return {start: (at, *self._blocks[at]) for start, (_, at) in self._mapped.items()}

    def restore(self, start: int, size: int, at: int, block: int, block_bytes: int) -> None:
        """Map a module's data to where it was in the arena of another process; the block there is kept by the caller."""
        self._blocks[at] = (block, block_bytes)
        self._mapped[start] = (size, self._map_at(start, size, at))

    def _map(self, start: int, size: int) -> int:
        memory = self._arena.empty((size + _PAGE,), "u1")
        block = int(memory.__array_interface__["data"][0])
        at = -(-block // _PAGE) * _PAGE
        self._kept.append(memory)
        self._blocks[at] = (block, size + _PAGE)
        return self._map_at(start, size, at)

    def _map_at(self, start: int, size: int, at: int) -> int:
        fd = os.memfd_create("cupool-module")
        try:
            os.write(fd, ctypes.string_at(start, size))
            for where in (at, start):
                found = _libc.mmap(where, size, mmap.PROT_READ | mmap.PROT_WRITE, _MAP_SHARED_FIXED, fd, 0)
                if found in (None, _FAILED):
                    raise OSError(ctypes.get_errno(), "a module's data cannot be mapped into the arena")
        finally:
            os.close(fd)
        return at


def _data_pages(address: int) -> tuple[int, int]:
    """(first address, size) of the writable pages of the shared object in which `address` lies."""
    info = _DlInfo()
    if not _libc.dladdr(ctypes.c_void_p(address), ctypes.byref(info)) or not info.base:
        raise OSError(0, "no module is loaded at this address")
    return data_pages_of(int(info.base))


def span_of(base: int) -> tuple[int, int]:
    """First address and end of a shared object that is loaded at `base`."""
    return base, max(high for kind, _, _, high in _segments(base) if kind == _PT_LOAD)


def _segments(base: int) -> Iterator[tuple[int, int, int, int]]:
    """(type, flags, first address, end) of each program header."""
    offset = ctypes.c_uint64.from_address(base + 32).value
    width = ctypes.c_uint16.from_address(base + 54).value
    count = ctypes.c_uint16.from_address(base + 56).value
    for header in range(base + offset, base + offset + width * count, width):
        kind = ctypes.c_uint32.from_address(header).value
        flags = ctypes.c_uint32.from_address(header + 4).value
        low = base + ctypes.c_uint64.from_address(header + 16).value
        yield kind, flags, low, low + ctypes.c_uint64.from_address(header + 40).value


def data_pages_of(base: int) -> tuple[int, int]:
    """(first address, size) of the writable pages of the shared object that is loaded at `base`."""
    start, end, protected = 0, 0, 0
    for kind, flags, low, high in _segments(base):
        if kind == _PT_LOAD and flags & _PF_W:
            start, end = low, high
        elif kind == _PT_GNU_RELRO:
            protected = high // _PAGE * _PAGE
    start = max(start // _PAGE * _PAGE, protected)
    return start, -(-end // _PAGE) * _PAGE - start
