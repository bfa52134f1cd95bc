"""`cupy.cuda.MemoryPool`: pools of this process over raw memory of the server, and the session's own pool.

Note [Pools]. Arrays are allocated by the server, from the session's default pool, without asking anyone here. A pool that the program
makes lives in this process: it takes blocks of raw memory from its allocator, cuts and joins them as CuPy's does, and arrays made
while it is the allocator are put into its pieces (`_allocators.py`). What the program takes from the *default* pool by hand comes from
blocks that this process holds of it; its numbers are the server's, with the free pieces of those blocks counted as free.

A pool holds its blocks, those in use too. In a cycle of garbage every finalizer is called, in any order: a piece's, which gives it
back, and that of its block's memory, which would free it although a free piece is left.
"""

from __future__ import annotations

import bisect
import gc
import itertools
import os
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

from cupool.contract.errors import CUDARuntimeError, ForeignArray, OutOfMemoryError
from cupool.contract.memory import ATTR_RELEASE_THRESHOLD, ATTR_RESERVED, ATTR_USED, POOL

from ... import dispatch, session
from . import memory_hook, runtime
from ._memories import BaseMemory, Memory, MemoryAsync, PooledMemory, RawMemory, rounded
from ._pointer import MemoryPointer

Allocator = Callable[[int], MemoryPointer]
_MEMORY_ALLOCATION = 2
_UNLIMITED = 2**64 - 1
_numbers = itertools.count()


class Chunk:
    """A piece of a block: free in an arena, or in use by one PooledMemory. Pieces of one block are linked in order."""

    __slots__ = ("__weakref__", "arena", "mem", "next", "number", "offset", "prev", "size")

    def __init__(self, mem: BaseMemory, offset: int, size: int, arena: Any) -> None:
        self.mem = mem
        self.offset = offset
        self.size = size
        self.arena: Any = arena
        self.prev: Chunk | None = None
        self.next: Chunk | None = None
        self.number = next(_numbers)

    def ptr(self) -> int:
        """Its address."""
        return self.mem.ptr + self.offset

    def split(self, size: int) -> Chunk | None:
        """Keep the first `size` bytes; returns the rest, or None when there is none."""
        if self.size == size:
            return None
        rest = Chunk(self.mem, self.offset + size, self.size - size, self.arena)
        self.size = size
        rest.prev, rest.next = self, self.next
        if self.next is not None:
            self.next.prev = rest
        self.next = rest
        return rest

    def merge_next(self) -> None:
        """Take over the piece behind this one."""
        behind = self.next
        assert behind is not None
        self.size += behind.size
        self.next = behind.next
        if behind.next is not None:
            behind.next.prev = self
        behind.prev = behind.next = behind.arena = None


class Arena:
    """The free pieces of one stream. All but `later` are used under the pool's lock."""

    def __init__(self) -> None:
        #: (size, number, piece), ascending
        self._free: list[tuple[int, int, Chunk]] = []
        #: pieces freed by a finalizer while the pool was busy
        self.later: list[Chunk] = []
        #: memory of whole blocks, by `id`, until they are dropped
        self.blocks: dict[int, BaseMemory] = {}
        #: the session that its memory was of has ended
        self.is_gone = False

    def __len__(self) -> int:
        return len(self._free)

    def settle(self) -> None:
        """Take in what was freed meanwhile."""
        while self.later:
            self.insert(self.later.pop())

    def insert(self, chunk: Chunk) -> None:
        """A piece is free: joined with its free neighbours."""
        while chunk.next is not None and self._remove(chunk.next):
            chunk.merge_next()
        while chunk.prev is not None and self._remove(chunk.prev):
            chunk = chunk.prev
            chunk.merge_next()
        self._add(chunk)

    def _add(self, chunk: Chunk) -> None:
        bisect.insort(self._free, (chunk.size, chunk.number, chunk))

    def _remove(self, chunk: Chunk) -> bool:
        i = bisect.bisect_left(self._free, (chunk.size, chunk.number, chunk))
        if i < len(self._free) and self._free[i][2] is chunk:
            del self._free[i]
            return True
        return False

    def take(self, size: int) -> Chunk | None:
        """The smallest free piece of at least `size` bytes, cut to them."""
        self.settle()
        i = bisect.bisect_left(self._free, (size, -1))
        if i == len(self._free):
            return None
        chunk = self._free.pop(i)[2]
        rest = chunk.split(size)
        if rest is not None:
            self._add(rest)
        return chunk

    def drop_whole(self) -> int:
        """Forget free blocks that are in one piece; returns their bytes."""
        self.settle()
        whole = [c for _, _, c in self._free if c.prev is None and c.next is None]
        self._free = [entry for entry in self._free if entry[2].prev is not None or entry[2].next is not None]
        for chunk in whole:
            chunk.arena = None
            self.blocks.pop(id(chunk.mem), None)
        return sum(c.size for c in whole)


class PieceOfPool(PooledMemory):
    """A piece in use. Goes back to its pool at its end."""

    __module__ = "cupy.cuda.memory"

    def __init__(self, chunk: Chunk, pool: Any) -> None:
        self._chunk = chunk
        self.ptr = chunk.ptr()
        self.size = chunk.size
        self.device_id = chunk.mem.device_id
        self.pool = pool
        self.identity = type(chunk.mem).__name__
        for name in ("prefetch", "advise"):
            if hasattr(chunk.mem, name):
                setattr(self, name, getattr(chunk.mem, name))

    def view(self, spec: Any, offset: int) -> Any:
        return self._chunk.mem.view(spec, self._chunk.offset + offset)

    def root(self) -> tuple[Any, int]:
        key, offset = self._chunk.mem.root()
        return key, offset + self._chunk.offset

    def free(self) -> None:
        ptr, self.ptr = self.ptr, 0
        pool = self.pool() if ptr else None
        if pool is None:
            arena = self._chunk.arena
            if ptr and arena is not None:
                arena.blocks.pop(id(self._chunk.mem), None)
            return
        hooks = memory_hook.active()
        facts = {"device_id": self.device_id, "mem_size": self.size, "mem_ptr": ptr, "pmem_id": id(self)}
        for hook in hooks:
            hook.free_preprocess(**facts)
        try:
            pool.give(self._chunk)
        finally:
            for hook in hooks:
                hook.free_postprocess(**facts)

    def __del__(self) -> None:
        if getattr(self, "pool", None) is not None:
            self.free()


def parse_limit(limit: str | None = None) -> dict[str, Any]:
    """`CUPY_GPU_MEMORY_LIMIT` as arguments of `set_limit`: bytes, or a percentage."""
    limit = os.environ.get("CUPY_GPU_MEMORY_LIMIT") if limit is None else limit
    if limit is None:
        return {"size": None, "fraction": None}
    if limit.endswith("%"):
        return {"size": None, "fraction": float(limit[:-1]) / 100.0}
    return {"size": int(limit), "fraction": None}


def limit_bytes(size: int | None, fraction: float | None) -> int:
    """What `set_limit` sets. Raises ValueError: both, or out of range."""
    if size is not None and fraction is not None:
        raise ValueError("size and fraction cannot be specified at one time")
    if fraction is not None:
        if not 0 <= fraction <= 1:
            raise ValueError(f"memory limit fraction out of range: {fraction}")
        return int(fraction * runtime.memGetInfo()[1])
    if size is not None and size < 0:
        raise ValueError(f"memory limit size out of range: {size}")
    return int(size or 0)


def raw_malloc(size: int) -> MemoryPointer:
    """Memory beside every pool."""
    return MemoryPointer(Memory(size), 0)


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.token = object()


_threads = _PerThread()


def stream_ident(ptr: int) -> int:
    """What free pieces are kept by: a stream's `ptr`; for the per-thread default stream, the thread."""
    return -id(_threads.token) if ptr == runtime.streamPerThread else ptr


class SingleDeviceMemoryPool:
    """A pool of one device, in this process. See Note [Pools]."""

    __module__ = "cupy.cuda.memory"

    def __init__(self, allocator: Allocator | None = None) -> None:
        self._allocator = raw_malloc if allocator is None else allocator
        self._arenas: dict[int, Arena] = {}
        # Not re-entrant: a finalizer that runs inside of a method finds it held and leaves its piece for later.
        self._lock = threading.Lock()
        self._total = 0
        self._used = 0
        self._limit = 0
        self.set_limit(**parse_limit())

    def _arena(self, ident: int) -> Arena:
        arena = self._arenas.get(ident)
        if arena is None:
            arena = self._arenas[ident] = Arena()
        return arena

    # -- taking -------------------------------------------------------------------------------------------------------

    def malloc(self, size: int) -> MemoryPointer:
        """Memory of `size` bytes, rounded up. Raises OutOfMemoryError."""
        size = int(size)
        hooks = memory_hook.active()
        if not hooks:
            return self._malloc(rounded(size))
        facts = {"device_id": 0, "size": size, "mem_size": rounded(size)}
        for hook in hooks:
            hook.malloc_preprocess(**facts)
        made = None
        try:
            made = self._malloc(rounded(size))
        finally:
            place = (0, 0) if made is None else (made.ptr, id(made.mem))
            for hook in hooks:
                hook.malloc_postprocess(**facts, mem_ptr=place[0], pmem_id=place[1])
        return made  # pyright: ignore

    def _malloc(self, size: int) -> MemoryPointer:
        if not size:
            return MemoryPointer(Memory(0), 0)
        from .stream import get_current_stream

        ident = stream_ident(get_current_stream().ptr)
        with self._lock:
            arena = self._arena(ident)
            chunk = arena.take(size)
            if chunk is not None and not _is_alive(chunk.mem):
                self._forget()
                chunk, arena = None, self._arena(ident)
        if chunk is None:
            mem = self._grow(size)
            arena.blocks[id(mem)] = mem
            chunk = Chunk(mem, 0, size, arena)
        self._used += chunk.size
        return MemoryPointer(PieceOfPool(chunk, weakref.ref(self)), 0)

    def _forget(self) -> None:
        """The session ended, and its memory with it."""
        for arena in self._arenas.values():
            arena.is_gone = True
        self._arenas.clear()
        self._total = self._used = 0

    def _grow(self, size: int) -> BaseMemory:
        """A new block, after giving back what is free where there is no room."""
        if self._limit and size > self._limit:
            raise OutOfMemoryError(size, self._total, self._limit)
        for attempt in range(3):
            if not self._limit or self._total + size <= self._limit:
                try:
                    self._total += size
                    return self._alloc(size).mem
                except BaseException as error:
                    self._total -= size
                    if not isinstance(error, CUDARuntimeError) or error.status != _MEMORY_ALLOCATION:
                        raise
            if attempt:
                gc.collect()
            self.free_all_blocks()
        raise OutOfMemoryError(size, self._total, self._limit)

    def _alloc(self, size: int) -> MemoryPointer:
        hooks = memory_hook.active()
        if not hooks:
            return self._allocator(size)
        for hook in hooks:
            hook.alloc_preprocess(device_id=0, mem_size=size)
        made = None
        try:
            made = self._allocator(size)
        finally:
            for hook in hooks:
                hook.alloc_postprocess(device_id=0, mem_size=size, mem_ptr=0 if made is None else made.ptr)
        return made  # pyright: ignore

    # -- giving back --------------------------------------------------------------------------------------------------

    def give(self, chunk: Chunk) -> None:
        """A piece is free again. May be called by a finalizer, at any point."""
        arena = chunk.arena
        if arena.is_gone:
            return
        self._used -= chunk.size
        if not self._lock.acquire(blocking=False):
            arena.later.append(chunk)
            return
        try:
            arena.insert(chunk)
        finally:
            self._lock.release()

    def free_all_blocks(self, stream: Any = None) -> None:
        """Give whole free blocks back to the device: of one stream, or of all."""
        with self._lock:
            arenas = list(self._arenas.values())
            if stream is not None:
                arenas = [a for a in (self._arenas.get(stream_ident(stream.ptr)),) if a is not None]
            dropped = sum(arena.drop_whole() for arena in arenas)
            self._total -= dropped

    def free_all_free(self) -> None:
        """Deprecated: `free_all_blocks`."""
        warnings.warn("free_all_free is deprecated. Use free_all_blocks instead.", DeprecationWarning, stacklevel=2)
        self.free_all_blocks()

    # -- numbers ------------------------------------------------------------------------------------------------------

    def n_free_blocks(self) -> int:
        """Pieces kept for reuse."""
        with self._lock:
            for arena in self._arenas.values():
                arena.settle()
            return sum(map(len, self._arenas.values()))

    def used_bytes(self) -> int:
        """Bytes in use."""
        return self._used

    def free_bytes(self) -> int:
        """Bytes kept for reuse."""
        return self._total - self._used

    def total_bytes(self) -> int:
        """Bytes taken from the device."""
        return self._total

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        """Limit the bytes taken from the device; 0: no limit. Raises ValueError: both, or out of range."""
        self._limit = limit_bytes(size, fraction)

    def get_limit(self) -> int:
        """The limit in bytes; 0: none."""
        return self._limit


def _is_alive(mem: BaseMemory) -> bool:
    """Whether a block belongs to this process's session as it is now."""
    owner = getattr(mem, "_owner", None)
    if not isinstance(mem, RawMemory) or owner is None:
        return True
    try:
        session.check_handle(owner.handle)
    except ForeignArray:
        return False
    return True


class MemoryPool:
    """A pool of memory for one device after the other, as `cupy.cuda.MemoryPool`; a session has one device."""

    __module__ = "cupy.cuda.memory"

    def __init__(self, allocator: Allocator | None = None) -> None:
        self._pool = SingleDeviceMemoryPool(allocator)

    def malloc(self, size: int) -> MemoryPointer:
        """Memory of `size` bytes, rounded up. Raises OutOfMemoryError."""
        return self._pool.malloc(size)

    def used_bytes(self) -> int:
        """Bytes in use."""
        return self._pool.used_bytes()

    def free_bytes(self) -> int:
        """Bytes kept for reuse."""
        return self._pool.free_bytes()

    def total_bytes(self) -> int:
        """Bytes taken from the device."""
        return self._pool.total_bytes()

    def n_free_blocks(self) -> int:
        """Pieces kept for reuse."""
        return self._pool.n_free_blocks()

    def free_all_blocks(self, stream: Any = None) -> None:
        """Give whole free blocks back to the device: of one stream, or of all."""
        self._pool.free_all_blocks(stream)

    def free_all_free(self) -> None:
        """Deprecated: `free_all_blocks`."""
        warnings.warn("free_all_free is deprecated. Use free_all_blocks instead.", DeprecationWarning, stacklevel=2)
        self.free_all_blocks()

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        """Limit the bytes taken from the device; 0: no limit. Raises ValueError: both, or out of range."""
        self._pool.set_limit(size, fraction)

    def get_limit(self) -> int:
        """The limit in bytes; 0: none."""
        return self._pool.get_limit()


# -- the session's pool ------------------------------------------------------------------------------------------------------


class DefaultMemoryPool(MemoryPool):
    """The pool that arrays come from: the server's. Each number is asked for, and waits. See Note [Pools]."""

    __module__ = "cupy.cuda.memory"

    def __init__(self) -> None:
        # The limit of the environment is the server's pool's, set when the session opens.
        self._pool = SingleDeviceMemoryPool(lambda size: MemoryPointer(RawMemory(size, POOL), 0))
        self._pool.set_limit(size=0)

    def used_bytes(self) -> int:
        return int(_ask()["used"]) - self._pool.free_bytes()

    def free_bytes(self) -> int:
        return int(_ask()["free"]) + self._pool.free_bytes()

    def total_bytes(self) -> int:
        return int(_ask()["total"])

    def n_free_blocks(self) -> int:
        """Blocks kept for reuse; where the server does not count them, 1 stands for any."""
        memory = _ask()
        return int(memory.get("free_blocks", memory["free"] > 0)) + self._pool.n_free_blocks()

    def free_all_blocks(self, stream: Any = None) -> None:
        self._pool.free_all_blocks(stream)
        dispatch.send("@free_blocks", (), ())

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        limit_bytes(size, None if size is None and fraction is not None and 0 <= fraction <= 1 else fraction)
        dispatch.send("@set_limit", (size, fraction), ())

    def get_limit(self) -> int:
        return int(_ask()["limit"])


def _ask() -> dict[str, int]:
    memory: dict[str, int] = dispatch.ask("@memory", (), ())
    return memory


_default: list[DefaultMemoryPool] = []


def default_pool() -> DefaultMemoryPool:
    """The session's pool."""
    if not _default:
        _default.append(DefaultMemoryPool())
    return _default[0]


# -- the device's own pools --------------------------------------------------------------------------------------------------


class MemoryAsyncPool:
    """A pool of the device itself (cudaMemPool_t), as `cupy.cuda.MemoryAsyncPool`. Each number is asked for, and waits.

    Args:
        pool_handles: "default", "current", a pool's number (`runtime.memPoolCreate`), or a list of one of them.

    Attributes:
        memoryAsyncHasStat: True: its numbers can be asked for.
    """

    __module__ = "cupy.cuda.memory"
    memoryAsyncHasStat = True

    def __init__(self, pool_handles: Any = "current") -> None:
        if isinstance(pool_handles, (list, tuple)):
            if len(pool_handles) != 1:
                raise ValueError(f"one handle per device: this session has 1 device, {len(pool_handles)} were given")
            pool_handles = pool_handles[0]
        self._pools = [self._choose(pool_handles)]
        limit = parse_limit()
        self.set_limit(**limit)

    @staticmethod
    def _choose(handle: Any) -> int:
        if handle == "default":
            pool = runtime.deviceGetDefaultMemPool(0)
        elif handle == "current":
            pool = runtime.deviceGetMemPool(0)
        elif handle == "create":
            raise NotImplementedError("cudaMemPoolCreate is not yet supported")
        elif isinstance(handle, int):
            pool = handle
        else:
            raise ValueError(
                "handle must be 'default' (for the device's default pool), 'current' (for the device's current pool), or int "
                "(a pointer to cudaMemPool_t)"
            )
        runtime.deviceSetMemPool(0, pool)
        return pool

    def malloc(self, size: int) -> MemoryPointer:
        """Memory of `size` bytes from the device's current pool. Waits only where a limit is set.

        Raises:
            OutOfMemoryError: the limit does not allow it. What the device itself has not fails where it is used.
        """
        wanted = rounded(int(size))
        if self._limit != _UNLIMITED:
            total = self.total_bytes()
            if total - self.used_bytes() < wanted and max(self._limit, total) < total + wanted:
                raise OutOfMemoryError(size, total, self._limit)
        return MemoryPointer(MemoryAsync(wanted), 0)

    def free_all_blocks(self, stream: Any = None) -> None:
        """Give what is not used back to the device."""
        runtime.memPoolTrimTo(self._pools[0], 0)

    def n_free_blocks(self) -> int:
        """Not known of a device's pool."""
        raise NotImplementedError("This function is not supported in MemoryAsyncPool")

    def used_bytes(self) -> int:
        """Bytes in use."""
        return runtime.memPoolGetAttribute(self._pools[0], ATTR_USED)

    def free_bytes(self) -> int:
        """Bytes taken from the device and not in use."""
        return self.total_bytes() - self.used_bytes()

    def total_bytes(self) -> int:
        """Bytes taken from the device."""
        return runtime.memPoolGetAttribute(self._pools[0], ATTR_RESERVED)

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        """A soft limit; 0: none. Raises ValueError: both, or out of range."""
        self._limit = limit_bytes(size, fraction) or _UNLIMITED
        runtime.memPoolSetAttribute(self._pools[0], ATTR_RELEASE_THRESHOLD, self._limit)

    def get_limit(self) -> int:
        """The limit in bytes; 2**64 - 1: none."""
        return runtime.memPoolGetAttribute(self._pools[0], ATTR_RELEASE_THRESHOLD)
