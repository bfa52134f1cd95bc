"""`cupy.cuda.memory`: pointers and pools.

Memory is an array's; its address is asked for only when `.ptr` is read (one wait, remembered). A session has one pool, on the
server: every `MemoryPool` object speaks of it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cupool.contract.errors import CupoolError, OutOfMemoryError
from cupool.contract.spec import Spec, spec_of

from ... import dispatch, session, streams, views
from .device import Device

OutOfMemoryError.__module__ = "cupy.cuda.memory"

_BLOCK = 512


class BaseMemory:
    """A piece of device memory.

    Attributes:
        size: bytes.
        device_id: always 0.
    """

    device_id = 0
    size = 0

    @property
    def ptr(self) -> int:
        """The address. Waits when it was never asked for."""
        return 0

    @property
    def device(self) -> Device:
        """The device that holds it."""
        return Device(0)

    def __int__(self) -> int:
        return self.ptr

    def view(self, spec: Spec, offset: int) -> Any:
        """An array over a part of this memory."""
        raise NotImplementedError


class _ArrayMemory(BaseMemory):
    """The memory of an array."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._ptr: int | None = None
        self.size = root.nbytes

    @property
    def ptr(self) -> int:
        if not self.size:
            return 0
        if self._ptr is None:
            session.check_handle(self._root._handle)
            self._ptr = int(dispatch.ask("@pointer", (dispatch.HANDLE,), (self._root._handle,)))
        return self._ptr

    def view(self, spec: Spec, offset: int) -> Any:
        return views.view(self._root, spec, offset, dispatch.ndarray)


class Memory(_ArrayMemory):
    """Newly allocated memory of `size` bytes."""

    __module__ = "cupy.cuda.memory"

    def __init__(self, size: int) -> None:
        from ..._generated import functions

        super().__init__(functions.empty((int(size),), np.uint8))


class ManagedMemory(Memory):
    """As `Memory`: the host cannot see it."""


class MemoryAsync(Memory):
    """As `Memory`."""

    def __init__(self, size: int, stream: Any = None) -> None:
        super().__init__(size)


class UnownedMemory(BaseMemory):
    """Memory that someone else keeps alive, by address. The address must be of this session's device."""

    __module__ = "cupy.cuda.memory"

    def __init__(self, ptr: int, size: int, owner: Any, device_id: int = -1) -> None:
        self._ptr = int(ptr)
        self.size = int(size)
        self._owner = owner

    @property
    def ptr(self) -> int:
        return self._ptr

    def view(self, spec: Spec, offset: int) -> Any:
        if not spec.size:
            # No memory to look at, and the address is often 0.
            (handle,) = dispatch.send("@array", (b"",), (), (spec,))
            return dispatch.new_array(handle, spec)
        address = self._ptr + offset
        device = session.device()
        base, size = device.arena_base, device.arena_bytes
        if size and not base <= address < base + size:
            raise CupoolError(
                f"Address {address:#x} is not in the memory of this session's device: it is another library's, on this machine.",
                "Bring the data through host memory (a NumPy array) instead.",
            )
        (handle,) = dispatch.send(
            "@from_pointer", (dispatch.INTEGER, spec.dtype, spec.shape, spec.strides), (address,), (spec,)
        )
        made = dispatch.new_array(handle, spec)
        made._view = (_Keeper(self._owner), offset)
        return made


class _Keeper:
    """Stands as the base of an array over foreign memory and keeps its owner alive."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner


class MemoryPointer:
    """A place in device memory.

    Attributes:
        mem: the memory.
        device_id: always 0.
    """

    __module__ = "cupy.cuda.memory"
    __slots__ = ("_offset", "mem")
    device_id = 0

    def __init__(self, mem: Any, offset: int) -> None:
        self.mem = mem
        self._offset = int(offset)

    @classmethod
    def of_array(cls, a: Any) -> MemoryPointer:
        """Where an array starts."""
        base = a._base
        root = a if not isinstance(base, dispatch.ndarray) else base
        return cls(_ArrayMemory(root), a._offset if root is not a else 0)

    @property
    def ptr(self) -> int:
        """The address, an opaque number in this process. Waits when it was never asked for."""
        return int(self.mem.ptr) + self._offset

    @property
    def device(self) -> Device:
        """The device."""
        return Device(0)

    def as_array(self, spec: Spec) -> Any:
        """An array of `spec` that starts here."""
        return self.mem.view(spec, self._offset)

    def _bytes(self, size: int) -> Any:
        return self.as_array(spec_of((int(size),), np.uint8))

    def __int__(self) -> int:
        return self.ptr

    def __add__(self, offset: int) -> MemoryPointer:
        return MemoryPointer(self.mem, self._offset + int(offset))

    __radd__ = __add__

    def __iadd__(self, offset: int) -> MemoryPointer:
        self._offset += int(offset)
        return self

    def __sub__(self, offset: int) -> MemoryPointer:
        return self + -int(offset)

    def __isub__(self, offset: int) -> MemoryPointer:
        self._offset -= int(offset)
        return self

    def copy_from_device(self, src: MemoryPointer, size: int) -> None:
        """Copy from another place of the device."""
        if size:
            self._bytes(size)[...] = src._bytes(size)

    def copy_from_device_async(self, src: MemoryPointer, size: int, stream: Any = None) -> None:
        """As `copy_from_device`, on a stream."""
        with streams.using(stream):
            self.copy_from_device(src, size)

    def copy_from_host(self, mem: Any, size: int) -> None:
        """Copy from an address of this process (an int or ctypes pointer) or a buffer."""
        if size:
            self._bytes(size).set(_host_bytes(mem, size))

    def copy_from_host_async(self, mem: Any, size: int, stream: Any = None) -> None:
        """As `copy_from_host`; the bytes are taken before it returns."""
        with streams.using(stream):
            self.copy_from_host(mem, size)

    def copy_to_host(self, mem: Any, size: int) -> None:
        """Copy to an address of this process or into a buffer. Waits."""
        if size:
            _host_bytes(mem, size)[...] = self._bytes(size).get()

    def copy_to_host_async(self, mem: Any, size: int, stream: Any = None) -> None:
        """As `copy_to_host`. Waits too: the bytes come over a network."""
        with streams.using(stream):
            self.copy_to_host(mem, size)

    def copy_from(self, mem: Any, size: int) -> None:
        """From the device when `mem` is a MemoryPointer, else from the host."""
        (self.copy_from_device if isinstance(mem, MemoryPointer) else self.copy_from_host)(mem, size)

    def copy_from_async(self, mem: Any, size: int, stream: Any = None) -> None:
        """As `copy_from`, on a stream."""
        with streams.using(stream):
            self.copy_from(mem, size)

    def memset(self, value: int, size: int) -> None:
        """Fill with a byte."""
        if size:
            self._bytes(size)[...] = int(value) & 0xFF

    def memset_async(self, value: int, size: int, stream: Any = None) -> None:
        """As `memset`, on a stream."""
        with streams.using(stream):
            self.memset(value, size)


def _host_bytes(mem: Any, size: int) -> Any:
    import ctypes

    if isinstance(mem, (int, np.integer, ctypes._SimpleCData)):
        address = mem.value if isinstance(mem, ctypes._SimpleCData) else int(mem)
        mem = (ctypes.c_uint8 * int(size)).from_address(address)
    return np.frombuffer(mem, np.uint8, int(size))


# -- memory by number, for `runtime` -----------------------------------------------------------------------------------------

_raw: dict[int, Memory] = {}


def raw_malloc(size: int) -> int:
    """`runtime.malloc`."""
    memory = Memory(size)
    ptr = memory.ptr
    _raw[ptr] = memory
    return ptr


def raw_free(ptr: int) -> None:
    """`runtime.free`."""
    if ptr:
        from cupool.contract.errors import CUDARuntimeError

        if _raw.pop(int(ptr), None) is None:
            raise CUDARuntimeError(1)


def array_at(ptr: int, size: int) -> Any:
    """The `size` bytes at an address as an array."""
    return MemoryPointer(UnownedMemory(ptr, size, None), 0)._bytes(size)


# -- pools -------------------------------------------------------------------------------------------------------------------


def _ask() -> dict[str, int]:
    memory: dict[str, int] = dispatch.ask("@memory", (), ())
    return memory


class MemoryPool:
    """The session's pool. Each query waits; sizes are as on a GPU: blocks are rounded up to 512 bytes."""

    __module__ = "cupy.cuda.memory"

    def __init__(self, allocator: Any = None) -> None:
        self._allocator = allocator

    def malloc(self, size: int) -> MemoryPointer:
        """Memory of `size` bytes."""
        return alloc_from_pool(size)

    def used_bytes(self) -> int:
        """Bytes in use."""
        return int(_ask()["used"])

    def free_bytes(self) -> int:
        """Bytes kept for reuse."""
        return int(_ask()["free"])

    def total_bytes(self) -> int:
        """Bytes taken from the device."""
        return int(_ask()["total"])

    def n_free_blocks(self) -> int:
        """Blocks kept for reuse; where the server does not count them, 1 stands for any."""
        memory = _ask()
        return int(memory.get("free_blocks", memory["free"] > 0))

    def free_all_blocks(self, stream: Any = None) -> None:
        """Give what is kept for reuse back to the device."""
        dispatch.send("@free_blocks", (), ())

    def free_all_free(self) -> None:
        """As `free_all_blocks`."""
        self.free_all_blocks()

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        """Limit the bytes in use. 0: no limit.

        Raises:
            ValueError: both or out of range.
        """
        if size is None:
            if fraction is None:
                size = 0
            elif not 0 <= fraction <= 1:
                raise ValueError(f"memory limit fraction out of range: {fraction}")
        elif fraction is not None:
            raise ValueError("size and fraction cannot be specified at one time")
        elif size < 0:
            raise ValueError(f"memory limit size out of range: {size}")
        dispatch.send("@set_limit", (size, fraction), ())

    def get_limit(self) -> int:
        """The limit in bytes; 0: none."""
        return int(_ask()["limit"])


class MemoryAsyncPool(MemoryPool):
    """As `MemoryPool`."""

    def __init__(self, pool_handles: Any = "current") -> None:
        super().__init__()


class CFunctionAllocator:
    """Allocators in C cannot run here: memory is allocated on the server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from cupool.contract.errors import Unsupported

        raise Unsupported(
            f"cuda.{type(self).__name__} is not supported: memory is allocated on the server.", "Use a MemoryPool."
        )


class PythonFunctionAllocator(CFunctionAllocator):
    """Allocators of the program cannot run here: memory is allocated on the server."""


def alloc_from_pool(size: int) -> MemoryPointer:
    """Memory of `size` bytes from the session's pool."""
    return MemoryPointer(Memory(size), 0)


_default_pool = MemoryPool()


def get_default_memory_pool() -> MemoryPool:
    """The session's pool."""
    return _default_pool


class _Allocators(threading.local):
    def __init__(self) -> None:
        self.stack: list[Any] = []


_allocators = _Allocators()
_allocator: Callable[[int], MemoryPointer] = _default_pool.malloc


def alloc(size: int) -> MemoryPointer:
    """Memory of `size` bytes from the current allocator."""
    return get_allocator()(int(size))


def get_allocator() -> Callable[[int], MemoryPointer]:
    """The current allocator of this thread."""
    return _allocators.stack[-1] if _allocators.stack else _allocator


def set_allocator(allocator: Any = None) -> None:
    """Set what `alloc` calls. Arrays are always allocated by the server from the session's pool."""
    global _allocator
    if _allocators.stack:
        raise ValueError("Can't change the global allocator inside `using_allocator` context manager")
    _allocator = _raw_allocator if allocator is None else allocator


def _raw_allocator(size: int) -> MemoryPointer:
    return MemoryPointer(Memory(size), 0)


@contextlib.contextmanager
def using_allocator(allocator: Any = None) -> Iterator[None]:
    """Set this thread's allocator for a while."""
    _allocators.stack.append(_raw_allocator if allocator is None else allocator)
    try:
        yield
    finally:
        _allocators.stack.pop()


def malloc_managed(size: int) -> MemoryPointer:
    """Memory of `size` bytes; the host cannot see it."""
    return MemoryPointer(ManagedMemory(size), 0)


def malloc_async(size: int) -> MemoryPointer:
    """Memory of `size` bytes."""
    return MemoryPointer(MemoryAsync(size), 0)
