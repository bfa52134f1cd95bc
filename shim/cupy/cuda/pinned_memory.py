"""`cupy.cuda.pinned_memory`: ordinary buffers of this process. Pinning means nothing where bytes travel over a network."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any


class PinnedMemoryPointer(bytearray):
    """A host buffer, with CuPy's attributes; supports the buffer protocol."""

    __module__ = "cupy.cuda.pinned_memory"

    @property
    def mem(self) -> PinnedMemoryPointer:
        """The buffer itself."""
        return self

    @property
    def ptr(self) -> int:
        """Its address in this process."""
        return ctypes.addressof((ctypes.c_char * len(self)).from_buffer(self)) if self else 0

    def size(self) -> int:
        """Bytes."""
        return len(self)

    def __int__(self) -> int:
        return self.ptr


PinnedMemory = PinnedMemoryPointer


class PinnedMemoryPool:
    """A pool of host buffers that keeps none."""

    __module__ = "cupy.cuda.pinned_memory"

    def __init__(self, allocator: Any = None) -> None:
        pass

    def malloc(self, size: int) -> PinnedMemoryPointer:
        """A buffer of `size` bytes."""
        return PinnedMemoryPointer(int(size))

    def free(self, mem: Any, size: int) -> None:
        """Nothing: the buffer goes with its last user."""

    def free_all_blocks(self) -> None:
        """Nothing is kept."""

    def n_free_blocks(self) -> int:
        """0: nothing is kept."""
        return 0


_default_pool = PinnedMemoryPool()
_allocator: Callable[[int], PinnedMemoryPointer] = _default_pool.malloc


def get_default_pinned_memory_pool() -> PinnedMemoryPool:
    """The pool of host buffers."""
    return _default_pool


def set_pinned_memory_allocator(allocator: Any = None) -> None:
    """Set what `alloc_pinned_memory` calls."""
    global _allocator
    _allocator = PinnedMemoryPointer if allocator is None else allocator


def alloc_pinned_memory(size: int) -> PinnedMemoryPointer:
    """A host buffer of `size` bytes, for `numpy.frombuffer`."""
    return _allocator(int(size))


def is_memory_pinned(data: int) -> bool:
    """False."""
    return False
