"""`cupy.cuda.pinned_memory`: ordinary buffers of this process, with CuPy's pointers and pools. Nothing is pinned: only the network
reads them.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from collections.abc import Callable
from typing import Any, cast

from . import runtime

_SMALLEST = 512


class PinnedMemory:
    """Host memory of `size` bytes.

    Attributes:
        ptr: its address in this process.
        size: bytes.
    """

    __module__ = "cupy.cuda.pinned_memory"
    ptr: int = 0
    size: int = 0

    def __init__(self, size: int, flags: int = 0) -> None:
        self.size = int(size)
        if self.size:
            self.ptr = runtime.hostAlloc(self.size, flags)

    def __del__(self, free: Any = runtime.freeHost) -> None:
        ptr, self.ptr = self.ptr, 0
        if ptr:
            free(ptr)

    def __int__(self) -> int:
        return self.ptr


class PinnedMemoryPointer:
    """A place in host memory. Supports the buffer protocol, from there to the memory's end.

    Attributes:
        mem: the memory.
        ptr: the address in this process.
    """

    __module__ = "cupy.cuda.pinned_memory"
    mem: Any = None
    ptr: int = 0

    def __new__(cls, mem: Any, offset: int) -> PinnedMemoryPointer:
        # The buffer protocol is for types made in C, and a ctypes array of the right length is one.
        address = int(mem.ptr) + int(offset)
        made: Any = _sized(cast(Any, cls), max(int(mem.size) - int(offset), 0)).from_address(address)
        made.mem, made.ptr, made._offset = mem, address, int(offset)
        return made  # type: ignore[no-any-return]

    def __init__(self, mem: Any, offset: int) -> None:
        """Everything is done in `__new__`."""

    def size(self) -> int:
        """Bytes to the end of the memory."""
        return int(self.mem.size) - self._offset  # type: ignore[attr-defined,no-any-return]

    def __int__(self) -> int:
        return self.ptr

    def __add__(self, offset: int) -> PinnedMemoryPointer:
        return PinnedMemoryPointer(self.mem, self._offset + int(offset))  # type: ignore[attr-defined]

    __radd__ = __iadd__ = __add__

    def __sub__(self, offset: int) -> PinnedMemoryPointer:
        return self + -int(offset)

    __isub__ = __sub__

    def __repr__(self) -> str:
        return f"<PinnedMemoryPointer {self.ptr:#x} of {self.size()} bytes>"


@functools.lru_cache(maxsize=256)
def _sized(cls: Any, nbytes: int) -> Any:
    return type(cls.__name__, (cls, ctypes.c_char * nbytes), {"__module__": cls.__module__, "__new__": object.__new__})


class PooledPinnedMemory(PinnedMemory):
    """Memory of a pool; goes back to it at its end."""

    __module__ = "cupy.cuda.pinned_memory"

    def __init__(self, mem: Any, pool: Any) -> None:
        self._mem, self._pool = mem, pool
        self.ptr, self.size = mem.ptr, mem.size

    def free(self) -> None:
        """Give it back before its end. Twice is no error."""
        ptr, self.ptr = self.ptr, 0
        pool = self._pool() if ptr else None
        if pool is not None:
            pool.free(self._mem, self.size)

    def __del__(self, free: Any = None) -> None:
        self.free()


def _bin(size: int) -> int:
    """What a pool allocates for `size` bytes: a power of two."""
    return max(1 << (size - 1).bit_length(), _SMALLEST)


class PinnedMemoryPool:
    """Keeps freed host memory for reuse, by size."""

    __module__ = "cupy.cuda.pinned_memory"

    def __init__(self, allocator: Callable[[int], Any] | None = None) -> None:
        self._allocator = _malloc if allocator is None else allocator
        # A finalizer may run inside of a method, so no lock is held: single operations on dicts and lists are atomic.
        self._free: dict[int, list[Any]] = {}
        #: memory in use, by `id`: see Note [Pools]
        self._used: dict[int, Any] = {}

    def malloc(self, size: int) -> PinnedMemoryPointer:
        """Host memory of at least `size` bytes, a pointer to it that is as long as the memory."""
        if not size:
            return PinnedMemoryPointer(PinnedMemory(0), 0)
        wanted = _bin(int(size))
        try:
            mem = self._free[wanted].pop()
        except (KeyError, IndexError):
            mem = self._allocator(wanted).mem
        self._used[id(mem)] = mem
        return PinnedMemoryPointer(PooledPinnedMemory(mem, weakref.ref(self)), 0)

    def free(self, mem: Any, size: int) -> None:
        """Memory is free again."""
        self._used.pop(id(mem), None)
        self._free.setdefault(_bin(int(size)), []).append(mem)

    def free_all_blocks(self) -> None:
        """Give what is kept back to the system."""
        self._free = {}

    def n_free_blocks(self) -> int:
        """How many pieces are kept."""
        return sum(map(len, self._free.values()))


def _malloc(size: int) -> PinnedMemoryPointer:
    return PinnedMemoryPointer(PinnedMemory(size), 0)


_default_pool = PinnedMemoryPool()
_allocator: Callable[[int], PinnedMemoryPointer] = _default_pool.malloc


def get_default_pinned_memory_pool() -> PinnedMemoryPool:
    """The pool of host buffers."""
    return _default_pool


def set_pinned_memory_allocator(allocator: Callable[[int], PinnedMemoryPointer] | None = None) -> None:
    """Set what `alloc_pinned_memory` calls; None: no pool."""
    global _allocator
    _allocator = _malloc if allocator is None else allocator


def alloc_pinned_memory(size: int) -> PinnedMemoryPointer:
    """A host buffer of `size` bytes, for `numpy.frombuffer`."""
    return _allocator(int(size))


def is_memory_pinned(data: int) -> bool:
    """Whether an address lies in memory that counts as pinned: of a pinned buffer, or registered."""
    return bool(runtime.pointerGetMemoryType(data) == runtime.memoryTypeHost)
