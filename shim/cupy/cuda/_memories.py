"""Pieces of device memory: what an array lies in, what a program allocates, what it knows by address only.

Boundary: each kind says how arrays are made over it (`view`). Pools are in `_pool.py`, pointers in `_pointer.py`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from cupool.contract.errors import CUDARuntimeError, CupoolError, OutOfMemoryError
from cupool.contract.memory import RAW
from cupool.contract.spec import Spec

from ... import dispatch, session, views
from ...dispatch import HANDLE, INTEGER
from ...objects import RemoteObject
from ...pending import extend
from .device import Device

#: As CuPy's pools round.
UNIT = 512
_MEMORY_ALLOCATION = 2
_OUT_OF_RANGE = 700


def rounded(size: int) -> int:
    """`size` rounded up to whole units."""
    return -(-size // UNIT) * UNIT


class BaseMemory:
    """A piece of device memory.

    Attributes:
        ptr: its address, an opaque number in this process.
        size: bytes.
        device_id: always 0.
    """

    __module__ = "cupy.cuda.memory"
    ptr: int = 0
    size: int = 0
    device_id: int = 0

    @property
    def device(self) -> Device:
        """The device that holds it."""
        return Device(self.device_id)

    def __int__(self) -> int:
        return self.ptr

    def view(self, spec: Spec, offset: int) -> Any:
        """An array over a part of this memory: by address, where nothing better is known."""
        return array_at(self.ptr + offset, spec)

    def root(self) -> tuple[Any, int]:
        """What stands for the memory, the same object for all that lies in it, and the bytes from its start; None: only the address
        can tell."""
        return None, 0


# -- by address --------------------------------------------------------------------------------------------------------------


def in_arena(address: int) -> bool:
    """Whether an address is of this session's device."""
    device = session.device()
    return bool(device.arena_bytes) and device.arena_base <= address < device.arena_base + device.arena_bytes


def array_at(address: int, spec: Spec) -> Any:
    """An array over device memory in use, its first element at `address`. What is not the session's fails at the next wait.

    Raises:
        CupoolError: the address is of this machine, or of another device.
    """
    if not spec.size:
        # No memory to look at, and the address is often 0.
        (handle,) = dispatch.send("@array", (b"",), (), (spec,))
        return dispatch.new_array(handle, spec)
    if session.device().arena_bytes and not in_arena(address):
        raise CupoolError(
            f"Address {address:#x} is not in the memory of this session's device: it is another library's, on this machine.",
            "Bring the data through host memory (a NumPy array) instead.",
        )
    (handle,) = dispatch.send("@from_pointer", (INTEGER, spec.dtype, spec.shape, spec.strides), (address,), (spec,))
    return dispatch.new_array(handle, spec)


class UnownedMemory(BaseMemory):
    """Memory that someone else keeps alive, by address. The address must be of this session's device."""

    __module__ = "cupy.cuda.memory"

    def __init__(self, ptr: int, size: int, owner: Any, device_id: int = -1) -> None:
        self.ptr = int(ptr)
        self.size = int(size)
        self.device_id = 0 if device_id < 0 else int(device_id)
        self._owner = owner


# -- raw memory --------------------------------------------------------------------------------------------------------------


def allocate(nbytes: int, source: int = RAW) -> tuple[RemoteObject, int]:
    """Raw memory of `nbytes` > 0: what owns it, and its address. Waits, as cudaMalloc does.

    Raises:
        CUDARuntimeError: cudaErrorMemoryAllocation when it does not fit.
    """
    handle, reply = dispatch.send("@malloc", (INTEGER, INTEGER), (nbytes, source), ("object", "reply"))
    owner = RemoteObject(handle)
    try:
        return owner, int(session.wait_reply(reply))
    except OutOfMemoryError as error:
        raise CUDARuntimeError(_MEMORY_ALLOCATION) from error


def allocate_nowait(nbytes: int, source: int) -> RemoteObject:
    """As `allocate`, without asking: where it does not fit, what uses it fails."""
    (handle,) = dispatch.send("@malloc", (INTEGER, INTEGER), (nbytes, source), ("object",))
    return RemoteObject(handle)


#: Address -> live raw memory, for what is asked by number.
_by_address: weakref.WeakValueDictionary[int, RawMemory] = weakref.WeakValueDictionary()


def raw_at(address: int) -> RawMemory | None:
    """The raw memory that begins at an address."""
    return _by_address.get(address)


def raw_around(address: int) -> RawMemory | None:
    """The raw memory that an address lies in."""
    for start, memory in _by_address.copy().items():
        if start <= address < start + memory.size:
            return memory
    return None


class RawMemory(BaseMemory):
    """Memory of its own on the device, beside the session's pool; goes with this object.

    Args:
        size: bytes.
        source: see `cupool.contract.memory`.
        waits: ask for the address now, and so learn whether it fits.
    """

    __module__ = "cupy.cuda.memory"
    #: CUDA's memory type, for `runtime.pointerGetAttributes`: device memory.
    kind = 2

    def __init__(self, size: int, source: int = RAW, waits: bool = True) -> None:
        if size < 0:
            raise OverflowError("can't convert negative value to size_t")
        self.size = int(size)
        self._owner: RemoteObject | None = None
        self._ptr: int | None = 0
        if self.size and waits:
            self._owner, self.ptr = allocate(self.size, source)
        elif self.size:
            self._owner, self._ptr = allocate_nowait(self.size, source), None

    @property
    def ptr(self) -> int:
        """The address. Waits when it was never asked for."""
        if self._ptr is None:
            assert self._owner is not None
            session.check_handle(self._owner.handle)
            self.ptr = int(dispatch.ask("@pointer", (HANDLE,), (self._owner.handle,)))
        return self._ptr or 0

    @ptr.setter
    def ptr(self, address: int) -> None:
        self._ptr = address
        if address:
            _by_address[address] = self

    def view(self, spec: Spec, offset: int) -> Any:
        if self._owner is None:
            return array_at(offset, spec)
        session.check_handle(self._owner.handle)
        head = views.head_of(spec)
        handle = dispatch.mint()
        extend((head | dispatch.header_bits(), handle, self._owner.handle, offset))
        made = dispatch.new_array(handle, spec)
        session.flush_if_full()
        return made

    def root(self) -> tuple[Any, int]:
        return self, 0


class Memory(RawMemory):
    """Newly allocated memory of `size` bytes, as cudaMalloc gives it. Waits."""

    __module__ = "cupy.cuda.memory"

    def __init__(self, size: int) -> None:
        super().__init__(size)

    @classmethod
    def nowait(cls, size: int) -> Memory:
        """As `Memory(size)`, without waiting: where it does not fit, what uses it fails."""
        made = cls.__new__(cls)
        RawMemory.__init__(made, size, waits=False)
        return made


class _Managed(RawMemory):
    kind = 3

    def prefetch(self, stream: Any, *, device_id: int = -2) -> None:
        """As cudaMemPrefetchAsync: the memory is on the device already. Raises CUDARuntimeError for another device."""
        from . import runtime

        runtime.memPrefetchAsync(self.ptr, self.size, self.device_id if device_id == -2 else device_id, stream.ptr)

    def advise(self, advise: int, dev: Device) -> None:
        """As cudaMemAdvise. Raises CUDARuntimeError for an advice that CUDA does not know."""
        from . import runtime

        runtime.memAdvise(self.ptr, self.size, advise, dev.id)


class ManagedMemory(_Managed):
    """Memory of `size` bytes, as cudaMallocManaged gives it; it stays on the device: the host cannot see it."""

    __module__ = "cupy.cuda.memory"


class SystemMemory(_Managed):
    """As `ManagedMemory`: the device does not see this process's memory."""

    __module__ = "cupy.cuda.memory"


class MemoryAsync(RawMemory):
    """Memory of `size` bytes from the device's current memory pool, as cudaMallocAsync gives it. Its address is asked for when it is
    looked at; where the memory does not fit, what uses it fails.

    Attributes:
        stream_ref: a weak reference to the stream that it was allocated on.
    """

    __module__ = "cupy.cuda.memory"
    stream_ref: Any = None

    def __init__(self, size: int, stream: Any = None) -> None:
        from . import runtime
        from .stream import get_current_stream

        stream = get_current_stream() if stream is None else stream
        super().__init__(size, runtime.mempool_source(runtime.deviceGetMemPool(0)), waits=False)
        self.stream_ref = weakref.ref(stream)


# -- what an array lies in ---------------------------------------------------------------------------------------------------


class PooledMemory(BaseMemory):
    """A piece of a memory pool.

    Attributes:
        pool: a weak reference to the pool.
        identity: class name of the memory that it is a piece of.
    """

    __module__ = "cupy.cuda.memory"
    pool: Any = None
    identity = "Memory"

    def free(self) -> None:
        """Give it back to its pool before its end. Twice is no error."""
        raise NotImplementedError


class ArrayMemory(PooledMemory):
    """The memory that the server allocated for an array, of the default pool. Its address is asked for when it is looked at."""

    __module__ = "cupy.cuda.memory"

    def __init__(self, root: Any) -> None:
        self._root = root
        self._ptr: int | None = None
        self.size = rounded(root.nbytes)

    @property
    def ptr(self) -> int:  # type: ignore[override]
        """The address. Waits when it was never asked for."""
        if not self.size:
            return 0
        if self._ptr is None:
            session.check_handle(self._root._handle)
            self._ptr = int(dispatch.ask("@pointer", (HANDLE,), (self._root._handle,)))
        return self._ptr

    @property
    def pool(self) -> Any:
        """A weak reference to the default pool."""
        from ._pool import default_pool

        return weakref.ref(default_pool())

    def view(self, spec: Spec, offset: int) -> Any:
        made = views.view(self._root, spec, offset, dispatch.ndarray)
        made._root = None
        return made

    def root(self) -> tuple[Any, int]:
        return self._root, 0

    def free(self) -> None:
        """Nothing: the memory goes with its arrays."""


#: An array's handle -> its memory, as long as somebody holds that.
_of_arrays: weakref.WeakValueDictionary[int, ArrayMemory] = weakref.WeakValueDictionary()


def memory_of(a: Any) -> tuple[BaseMemory, int]:
    """The memory that an array lies in, and the offset of its first element there."""
    root, offset = (a, 0) if a._base is None else (a._root, a._shift)
    try:
        memory, start = root._place
        return memory, start + offset
    except AttributeError:
        pass
    memory = _of_arrays.get(root._handle)
    if memory is None:
        root._resolve()
        memory = _of_arrays[root._handle] = ArrayMemory(root)
    return memory, offset


class FunctionMemory(BaseMemory):
    """Memory that an allocator of the program gave, by address; its free function is called at the end."""

    __module__ = "cupy.cuda.memory"

    def __init__(self, size: int, malloc: Callable[[int, int], int], free: Callable[[int, int], Any]) -> None:
        self._free = free
        self.size = int(size)
        self.ptr = int(malloc(self.size, 0)) if self.size else 0

    def __del__(self) -> None:
        ptr, free = self.ptr, getattr(self, "_free", None)
        if ptr and free is not None:
            free(ptr, 0)


class PythonFunctionAllocatorMemory(FunctionMemory):
    """See `PythonFunctionAllocator`."""

    __module__ = "cupy.cuda.memory"


class CFunctionAllocatorMemory(FunctionMemory):
    """See `CFunctionAllocator`."""

    __module__ = "cupy.cuda.memory"
