"""`cupy.cuda.memory`: pointers, memory, pools and allocators, under CuPy's names. See the private modules beside this one."""

from __future__ import annotations

from cupool.contract.errors import CUDARuntimeError, OutOfMemoryError

from ._allocators import (
    CFunctionAllocator,
    PythonFunctionAllocator,
    alloc,
    get_allocator,
    malloc_async,
    malloc_managed,
    malloc_system,
    set_allocator,
    using_allocator,
)
from ._memories import (
    UNIT,
    BaseMemory,
    CFunctionAllocatorMemory,
    ManagedMemory,
    Memory,
    MemoryAsync,
    PooledMemory,
    PythonFunctionAllocatorMemory,
    SystemMemory,
    UnownedMemory,
    rounded,
)
from ._pointer import MemoryPointer
from ._pool import (
    Chunk,
    MemoryAsyncPool,
    MemoryPool,
    SingleDeviceMemoryPool,
    default_pool,
    parse_limit,
    raw_malloc,
)

# Names that programs and tests of CuPy reach for, although they are private.
_Chunk = Chunk
_allocation_unit_size = UNIT
_malloc = raw_malloc
_parse_limit_string = parse_limit
_round_size = rounded


def get_default_memory_pool() -> MemoryPool:
    """The session's pool."""
    return default_pool()


__all__ = [
    "BaseMemory", "CFunctionAllocator", "CFunctionAllocatorMemory", "CUDARuntimeError", "ManagedMemory", "Memory",
    "MemoryAsync", "MemoryAsyncPool", "MemoryPointer", "MemoryPool", "OutOfMemoryError", "PooledMemory",
    "PythonFunctionAllocator", "PythonFunctionAllocatorMemory", "SingleDeviceMemoryPool", "SystemMemory",
    "UnownedMemory", "alloc", "get_allocator", "get_default_memory_pool", "malloc_async", "malloc_managed",
    "malloc_system", "set_allocator", "using_allocator",
]  # fmt: skip
