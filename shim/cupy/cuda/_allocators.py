"""The current allocator, and how arrays get into its memory.

Arrays are made by the server in the session's default pool. While another allocator is current in a thread, or a memory hook watches,
each new array of that thread is put into memory of that allocator: the array's contents are copied there on the device, and its
handle changes to a view of it. So what the allocator counts is what the arrays use. An array whose size only the data tells is
waited for.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ... import births, indexing
from . import memory_hook
from ._memories import (
    CFunctionAllocatorMemory,
    ManagedMemory,
    Memory,
    MemoryAsync,
    PythonFunctionAllocatorMemory,
    SystemMemory,
)
from ._pointer import MemoryPointer
from ._pool import Allocator, default_pool, raw_malloc


class _Allocators(threading.local):
    def __init__(self) -> None:
        self.stack: list[Allocator] = []


_allocators = _Allocators()
#: What threads without one of their own use; None: the default pool's.
_allocator: Allocator | None = None


def get_allocator() -> Allocator:
    """The current allocator of this thread."""
    if _allocators.stack:
        return _allocators.stack[-1]
    return default_pool().malloc if _allocator is None else _allocator


def set_allocator(allocator: Allocator | None = None) -> None:
    """Set the allocator of all threads; None: memory beside every pool.

    Raises:
        ValueError: inside of `using_allocator`.
    """
    global _allocator
    if _allocators.stack:
        raise ValueError("Can't change the global allocator inside `using_allocator` context manager")
    before = _allocator
    _allocator = None if is_default(allocator) else allocator or raw_malloc
    if (before is None) != (_allocator is None):
        (births.unwatch if _allocator is None else _watch)("allocator")


@contextlib.contextmanager
def using_allocator(allocator: Allocator | None = None) -> Iterator[None]:
    """Set this thread's allocator for a while; None: memory beside every pool."""
    _allocators.stack.append(raw_malloc if allocator is None else allocator)
    _watch("allocator")
    try:
        yield
    finally:
        births.unwatch("allocator")
        _allocators.stack.pop()


def is_default(allocator: Any) -> bool:
    """Whether an allocator is the session's pool's."""
    return bool(allocator == default_pool().malloc)


def _watch(name: str) -> None:
    births.watch(name, place)


def alloc(size: int) -> MemoryPointer:
    """Memory of `size` bytes from the current allocator."""
    return get_allocator()(int(size))


def malloc_managed(size: int) -> MemoryPointer:
    """Memory as cudaMallocManaged gives it; the host cannot see it."""
    return MemoryPointer(ManagedMemory(size), 0)


def malloc_system(size: int) -> MemoryPointer:
    """As `malloc_managed`."""
    return MemoryPointer(SystemMemory(size), 0)


def malloc_async(size: int) -> MemoryPointer:
    """Memory of the device's current memory pool, on the current stream."""
    return MemoryPointer(MemoryAsync(size), 0)


def place(a: Any) -> None:
    """Put a new array into memory of the current allocator, where that is not the server's pool."""
    allocator = get_allocator()
    if is_default(allocator) and not memory_hook.active():
        return
    spec = a._resolve()
    if allocator is raw_malloc and not memory_hook.active():
        pointer = MemoryPointer(Memory.nowait(spec.nbytes), 0)
    else:
        pointer = allocator(spec.nbytes)
    if not isinstance(pointer, MemoryPointer):
        raise TypeError(f"the allocator gave a {type(pointer).__name__}, not a cupy.cuda.MemoryPointer")
    if not spec.size:
        return
    target = pointer.as_array(spec)
    indexing.setitem(target, ..., a)
    # The array takes over the view; its first memory goes with `target`.
    a._handle, target._handle = target._handle, a._handle
    a._place = target._place
    del target._place


# -- allocators of the program -----------------------------------------------------------------------------------------------


class PythonFunctionAllocator:
    """An allocator made of Python functions: `malloc_func(size, device_id) -> address`, `free_func(address, device_id)`.

    Addresses must be of the device: from `cupy.cuda.runtime.malloc`, or of memory that the program holds.
    """

    __module__ = "cupy.cuda.memory"

    def __init__(self, malloc_func: Callable[[int, int], int], free_func: Callable[[int, int], Any]) -> None:
        self._functions = malloc_func, free_func

    def malloc(self, size: int) -> MemoryPointer:
        """Memory from `malloc_func`, freed with the last array in it."""
        return MemoryPointer(PythonFunctionAllocatorMemory(size, *self._functions), 0)


class CFunctionAllocator:
    """An allocator made of C functions of this process: `void* malloc(void* param, size_t, int)`, `void free(void* param, void*, int)`.

    Addresses must be of the device, so the functions must have got them from this program.
    """

    __module__ = "cupy.cuda.memory"

    def __init__(self, param: int, malloc_func: int, free_func: int, owner: Any) -> None:
        import ctypes

        make = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)(malloc_func)
        give = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)(free_func)
        self._owner = owner
        self._functions = (
            lambda size, device: make(param, size, device) or 0,
            lambda ptr, device: give(param, ptr, device),
        )

    def malloc(self, size: int) -> MemoryPointer:
        """Memory from the malloc function, freed with the last array in it."""
        return MemoryPointer(CFunctionAllocatorMemory(size, *self._functions), 0)


memory_hook.on_change.append(lambda is_added: _watch("hook") if is_added else births.unwatch("hook"))
