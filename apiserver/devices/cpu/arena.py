"""The arena of the CPU device: one address range, reserved for the session, in which every address lies that a program or a kernel
can have seen. Pointers, also those stored inside device memory, stay valid when the session moves to a process that reserves the
same range.

Memory in it comes in blocks of whole 512 bytes, as CuPy's pool gives them. The range is reserved without access; granules of
2 MiB are opened as the blocks reach into them, so that a kernel that writes far out of bounds faults instead of writing into
nothing. A write *near* out of bounds lands in a neighbouring block or in padding: it cannot be noticed.

Boundary: addresses, blocks and numpy arrays. Who sees which array is the handle table's business.
"""

from __future__ import annotations

import bisect
import ctypes
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np

from cupool.contract.errors import CUDARuntimeError, OutOfMemoryError
from cupool.contract.spec import Spec, spec_like

from .memory import address_of, extent

ALIGNMENT = 512
GRANULE = 2 << 20
#: Freed blocks of this size are given back to the system.
DISCARD_BYTES = 32 << 20
#: Where a range is asked for: far from where Linux puts programs, heaps, libraries and stacks, so that another process, on this
#: or another host, can nearly always have the same one.
BASES = tuple((0x2000 + 0x400 * i) << 32 for i in range(8))
#: Address space asked for; less where the system refuses.
SIZES = (1 << 40, 1 << 38, 1 << 36, 1 << 34)

_PROT_NONE, _PROT_RW = 0, 3
_MAP_PRIVATE, _MAP_ANONYMOUS, _MAP_NORESERVE, _MAP_FIXED_NOREPLACE = 0x2, 0x20, 0x4000, 0x100000
_MADV_DONTNEED = 4
_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

Array = np.ndarray[Any, Any]


class Block:
    """A piece of the arena. Arrays over it keep it alive; with the last of them it is free again."""

    __slots__ = ("__weakref__", "_arena", "address", "nbytes")

    def __init__(self, arena: Arena, address: int, nbytes: int) -> None:
        self._arena = arena
        self.address = address
        self.nbytes = nbytes

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"version": 3, "shape": (self.nbytes,), "typestr": "|u1", "data": (self.address, False)}

    def __del__(self) -> None:
        self._arena._release(self.address)


class Arena:
    """One reserved range.

    Attributes:
        base: its first address.
        nbytes: its size.
    """

    def __init__(self, base: int | None = None, nbytes: int | None = None) -> None:
        """Reserve a range.

        Args:
            base: this address and no other (a session that moves here); None: the first of `BASES` that is free.
            nbytes: this size and no other; None: the largest of `SIZES` that the system gives.

        Raises:
            OSError: the range cannot be reserved.
        """
        self.base = 0
        self.nbytes = 0
        #: address -> size of the blocks in use
        self._used: dict[int, int] = {}
        #: free pieces below `_top`: addresses, ascending, and their sizes
        self._free: list[int] = []
        self._free_bytes: dict[int, int] = {}
        #: block's address -> its root array
        self._roots: dict[int, weakref.ref[Array]] = {}
        #: blocks of `place`, ascending, until `settle`
        self._placed: list[int] = []
        self._reserve(base, nbytes)
        self._top = self.base
        self._open_end = self.base
        self.used_bytes = 0

    def __del__(self, munmap: Any = _libc.munmap) -> None:
        # No block is left: each keeps its arena. Where many sessions were in one process, addresses would run out.
        if self.nbytes:
            munmap(self.base, self.nbytes)

    def _reserve(self, base: int | None, nbytes: int | None) -> None:
        flags = _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE
        bases = (base,) if base is not None else BASES if sys.maxsize > 2**32 else ()
        error = 0
        for size in (nbytes,) if nbytes is not None else SIZES:
            for at in bases:
                found = _libc.mmap(at, size, _PROT_NONE, flags | _MAP_FIXED_NOREPLACE, -1, 0)
                if found == at:
                    self.base, self.nbytes = at, size
                    return
                if found not in (None, _FAILED):  # a kernel that takes the address as a hint only
                    _libc.munmap(found, size)
                error = ctypes.get_errno()
            if base is None:
                found = _libc.mmap(None, size, _PROT_NONE, flags, -1, 0)
                if found not in (None, _FAILED):
                    self.base, self.nbytes = int(found), size
                    return
                error = ctypes.get_errno()
        where = "anywhere" if base is None else f"at {base:#x}"
        raise OSError(error, f"no address range for the arena can be reserved {where}: {os.strerror(error)}")

    # -- blocks -------------------------------------------------------------------------------------------------------

    def allocate(self, nbytes: int) -> Block:
        """A block of at least `nbytes`; its contents are anything. Raises OutOfMemoryError when the range is full."""
        size = max(-(-nbytes // ALIGNMENT), 1) * ALIGNMENT
        address = self._take_free(size)
        if address is None:
            address = self._top
            if address + size > self.base + self.nbytes:
                raise OutOfMemoryError(size, self.used_bytes, self.nbytes)
            self._open(address + size, size)
            self._top = address + size
        self._used[address] = size
        self.used_bytes += size
        return Block(self, address, nbytes)

    def _open(self, end: int, size: int) -> None:
        if end <= self._open_end:
            return
        new_end = min(-(-end // GRANULE) * GRANULE, self.base + self.nbytes)
        if _libc.mprotect(self._open_end, new_end - self._open_end, _PROT_RW):
            raise OutOfMemoryError(size, self.used_bytes, 0)
        self._open_end = new_end

    def _take_free(self, size: int) -> int | None:
        """The smallest free piece that is large enough; the rest of it stays free."""
        best = min(((n, a) for a, n in self._free_bytes.items() if n >= size), default=None)
        if best is None:
            return None
        nbytes, address = best
        self._remove_free(address)
        if nbytes > size:
            self._add_free(address + size, nbytes - size)
        return address

    def _add_free(self, address: int, nbytes: int) -> None:
        bisect.insort(self._free, address)
        self._free_bytes[address] = nbytes

    def _remove_free(self, address: int) -> int:
        del self._free[bisect.bisect_left(self._free, address)]
        return self._free_bytes.pop(address)

    def _release(self, address: int) -> None:
        size = self._used.pop(address, None)
        if size is None:
            return  # the arena is closed
        self.used_bytes -= size
        self._roots.pop(address, None)
        self._discard_pages(address, size)
        if self._placed:
            self._placed.remove(address)
            return
        i = bisect.bisect_left(self._free, address)
        if i < len(self._free) and self._free[i] == address + size:
            size += self._remove_free(address + size)
        if i > 0:
            before = self._free[i - 1]
            if before + self._free_bytes[before] == address:
                size += self._remove_free(before)
                address = before
        if address + size == self._top:
            self._top = address
        else:
            self._add_free(address, size)

    def _discard_pages(self, address: int, size: int) -> None:
        """Give whole pages of a large block back to the system; what is smaller is soon used again, without a page fault."""
        if size >= DISCARD_BYTES:
            low, high = -(-address // 4096) * 4096, (address + size) // 4096 * 4096
            _libc.madvise(low, high - low, _MADV_DONTNEED)

    # -- as it was in another process -----------------------------------------------------------------------------------

    def map(self) -> tuple[dict[int, int], dict[int, int], int, int]:
        """(blocks in use, free pieces, top, end of what is open), all counted from the base."""
        base = self.base
        return (
            {address - base: size for address, size in self._used.items()},
            {address - base: self._free_bytes[address] for address in self._free},
            self._top - base,
            self._open_end - base,
        )

    def root_at(self, address: int) -> Array | None:
        """The root of the block that begins there; None where none does."""
        reference = self._roots.get(address)
        return None if reference is None else reference()

    def blocks_in_use(self) -> list[tuple[int, int]]:
        """(address, size) of each."""
        return list(self._used.items())

    def place(self, address: int, nbytes: int) -> Array:
        """A block at an address, as its root array: of an arena in which nothing was allocated yet, until `settle`.

        Raises:
            ValueError: it does not fit there.
            OutOfMemoryError: the system gives no memory.
        """
        size = max(-(-nbytes // ALIGNMENT), 1) * ALIGNMENT
        if self._top != self.base:
            raise ValueError("the arena is in use already")
        if nbytes < 0 or address % ALIGNMENT or not self.base <= address <= address + size <= self.base + self.nbytes:
            raise ValueError(f"a block of {nbytes} bytes at {address:#x} does not lie in the arena")
        at = bisect.bisect_right(self._placed, address)
        before = self._placed[at - 1] if at else None
        after = self._placed[at] if at < len(self._placed) else None
        if (before is not None and before + self._used[before] > address) or (
            after is not None and address + size > after
        ):
            raise ValueError(f"a block of {nbytes} bytes at {address:#x} overlaps another one")
        self._open(address + size, size)
        self._placed.insert(at, address)
        self._used[address] = size
        self.used_bytes += size
        block = Block(self, address, nbytes)
        root: Array = np.asarray(block)
        self._roots[address] = weakref.ref(root)
        return root

    def settle(self, free: dict[int, int], top: int, open_end: int) -> None:
        """All blocks are placed; from now on the arena goes on as that one whose `map` this is.

        Raises:
            ValueError: blocks and free pieces do not cover everything below the top exactly.
        """
        if self._top != self.base:
            raise ValueError("the arena is in use already")
        if not 0 <= top <= open_end <= self.nbytes or open_end % GRANULE:
            raise ValueError("the arena's top is outside of it")
        at = 0
        for address, size in sorted([*((a - self.base, n) for a, n in self._used.items()), *free.items()]):
            if address != at or size <= 0 or size % ALIGNMENT:
                raise ValueError("the arena's blocks have gaps or overlap")
            at += size
        if at != top:
            raise ValueError("the arena's blocks do not end at its top")
        self._open(self.base + open_end, open_end)
        for address, size in free.items():
            self._add_free(self.base + address, size)
        self._top = self.base + top
        self._placed.clear()

    # -- arrays -------------------------------------------------------------------------------------------------------
    # The root of every array in the arena is the uint8 array of its whole block.

    def block(self, nbytes: int) -> Array:
        """A new block as its root array."""
        block = self.allocate(nbytes)
        root: Array = np.asarray(block)
        self._roots[block.address] = weakref.ref(root)
        return root

    def empty(self, shape: tuple[int, ...], dtype: Any, order: Literal["C", "F"] = "C") -> Array:
        """A new packed array in a block of its own. A zero-sized one has an address too."""
        dtype = np.dtype(dtype)
        nbytes = dtype.itemsize
        for n in shape:
            nbytes *= n
        return np.ndarray(shape, dtype, self.block(nbytes).data, order=order)

    def holds(self, array: Array) -> bool:
        """Whether the array's memory lies in the arena."""
        return self.contains(address_of(array))

    @property
    def open_end(self) -> int:
        """The end of what can be accessed."""
        return self._open_end

    def memory_at(self, address: int, nbytes: int) -> Array:
        """Memory of the arena as bytes, whether in use or not, below `open_end`. It keeps no block in use."""
        if not self.base <= address <= address + nbytes <= self._open_end:
            raise ValueError(f"{nbytes} bytes at {address:#x} are not open memory of the arena")
        if not nbytes:
            return np.empty(0, np.uint8)
        memory: Any = (ctypes.c_ubyte * nbytes).from_address(address)
        shown: Array = np.frombuffer(memory, np.uint8)
        return shown

    def contains(self, address: int) -> bool:
        """Whether the address lies in the range."""
        return self.base <= address < self.base + self.nbytes

    def array_at(self, address: int, spec: Spec) -> Array:
        """A view of memory in use, its first element at `address`.

        Raises:
            CUDARuntimeError: the memory is not, or not all, in one block in use.
        """
        low, high = extent(spec)
        for start, root in self._in_use():
            if start <= address + low and address + high <= start + root.nbytes:
                return np.ndarray(spec.shape, spec.dtype, root.data, address - start, spec.strides)
        raise CUDARuntimeError(
            700, f"cudaErrorIllegalAddress: an illegal memory access was encountered: {high - low} bytes at {address + low:#x} "
            "are not device memory of this session"
        )  # fmt: skip

    def _in_use(self) -> Iterator[tuple[int, Array]]:
        for address, reference in self._roots.items():
            root = reference()
            if root is not None:
                yield address, root

    def move_in(self, root: Array) -> tuple[Array, Callable[[Array], Array]]:
        """Copy a whole buffer into a block of its own.

        Args:
            root: the array that stands for the buffer; every other array in it lies within its memory.

        Returns:
            the block's root, and a function: array over the old buffer -> the same array over the new one.
        """
        low, high = extent(spec_like(root))
        old = address_of(root) + low
        moved = self.block(high - low)
        if high > low:
            ctypes.memmove(address_of(moved), old, high - low)

        def rebuild(array: Array) -> Array:
            offset = address_of(array) - old if array.size else 0
            return np.ndarray(array.shape, array.dtype, moved.data, offset, array.strides)

        return moved, rebuild

    def clear(self) -> None:
        """All memory of the arena becomes zeros, live blocks included: the session is over."""
        if self._open_end > self.base:
            _libc.madvise(self.base, self._open_end - self.base, _MADV_DONTNEED)

    def close(self) -> None:
        """Clear it and give the range back. With arrays still over it, it stays mapped until the process ends."""
        if self.nbytes:
            self.clear()
        if self._used:
            return
        if self.nbytes:
            _libc.munmap(self.base, self.nbytes)
            self.nbytes = 0
