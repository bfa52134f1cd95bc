"""The memory calls of `cupy.cuda.runtime`: device memory by address, host memory of this process, device memory pools.

Which side an address is on is known without asking: the device's memory lies in the arena, which the server named at hello.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import numpy as np

from cupool.contract.errors import CUDARuntimeError
from cupool.contract.memory import DEFAULT_MEMPOOL, RAW
from cupool.contract.spec import spec_of

from ... import dispatch, session, streams
from ...dispatch import INTEGER
from . import _constants as c
from ._streams import stream_at

_INVALID_VALUE, _INVALID_DEVICE_POINTER, _INVALID_DIRECTION, _INVALID_DEVICE = 1, 17, 21, 101
_NOT_SUPPORTED, _ALREADY_REGISTERED, _NOT_REGISTERED = 801, 712, 713
_UINT64_MAX = 2**64 - 1


def _memories() -> Any:
    from . import _memories

    return _memories


# -- device memory by address ------------------------------------------------------------------------------------------------

#: Keeps what `malloc` and its kin gave, until `free`.
_owned: dict[int, Any] = {}


def _give(memory: Any) -> int:
    _owned[memory.ptr] = memory
    return int(memory.ptr)


def malloc(size: int) -> int:
    """Device memory by its address; free it with `free`. Waits. 0 for no bytes."""
    return _give(_memories().Memory(size)) if size else 0


def mallocManaged(size: int, flags: int = c.cudaMemAttachGlobal) -> int:
    """As `malloc`; the host cannot see it."""
    return _give(_memories().ManagedMemory(size)) if size else 0


def mallocAsync(size: int, stream: int) -> int:
    """Memory of the device's current pool."""
    return mallocFromPoolAsync(size, deviceGetMemPool(0), stream)


def mallocFromPoolAsync(size: int, pool: int, stream: int) -> int:
    """Memory of a device memory pool. Waits."""
    if not size:
        return 0
    with streams.using(stream_at(stream)):
        return _give(_memories().RawMemory(size, mempool_source(pool)))


def free(ptr: int) -> None:
    """Free what `malloc` or its kin gave; nothing for 0. Raises CUDARuntimeError for another address."""
    if ptr and _owned.pop(int(ptr), None) is None:
        raise CUDARuntimeError(_INVALID_VALUE)


def freeAsync(ptr: int, stream: int) -> None:
    """As `free`: what is issued later comes later."""
    free(ptr)


def memGetInfo() -> tuple[int, int]:
    """(free, total) bytes of the device. Waits."""
    memory = dispatch.ask("@memory", (), ())
    return int(memory["device_free"]), int(memory["device_total"])


def _at(address: int, shape: tuple[int, ...], strides: tuple[int, ...] | None = None) -> Any:
    """Bytes of the device as an array."""
    return _memories().array_at(int(address), spec_of(shape, np.uint8, strides))


def _host(address: int, shape: tuple[int, ...], strides: tuple[int, ...] | None = None) -> np.ndarray[Any, Any]:
    """Bytes of this process as an array."""
    if not address:
        raise CUDARuntimeError(_INVALID_VALUE)
    reach = sum((n - 1) * s for n, s in zip(shape, strides or (1,), strict=True)) + 1
    buffer: Any = (ctypes.c_uint8 * reach).from_address(int(address))
    return np.ndarray(shape, np.uint8, buffer, 0, strides)


def _kind(dst: int, src: int, kind: int) -> int:
    """The direction of a copy; memcpyDefault is decided by the addresses."""
    if kind == c.memcpyDefault:
        inside = _memories().in_arena
        to, from_ = inside(int(dst)), inside(int(src))
        return ((c.memcpyHostToHost, c.memcpyDeviceToHost), (c.memcpyHostToDevice, c.memcpyDeviceToDevice))[to][from_]
    if not c.memcpyHostToHost <= kind <= c.memcpyDeviceToDevice:
        raise CUDARuntimeError(_INVALID_DIRECTION)
    return kind


def _copy(dst: int, src: int, shape: tuple[int, ...], to: Any, from_: Any, kind: int) -> None:
    """Copy bytes of `shape`, with strides `to` and `from_` (None: packed). Those to the host wait."""
    kind = _kind(dst, src, kind)
    if kind == c.memcpyHostToHost:
        _host(dst, shape, to)[...] = _host(src, shape, from_)
    elif kind == c.memcpyDeviceToHost:
        _host(dst, shape, to)[...] = _at(src, shape, from_).get()
    elif kind == c.memcpyDeviceToDevice:
        _at(dst, shape, to)[...] = _at(src, shape, from_)
    else:
        from ...convert import upload

        _at(dst, shape, to)[...] = upload(np.ascontiguousarray(_host(src, shape, from_)))


def memcpy(dst: int, src: int, size: int, kind: int) -> None:
    """Copy between host addresses of this process and device addresses."""
    if size:
        _copy(dst, src, (int(size),), None, None, kind)


def memcpyAsync(dst: int, src: int, size: int, kind: int, stream: int) -> None:
    """As `memcpy`, on a stream. Bytes from the host are taken, and bytes to it are there, when it returns."""
    with streams.using(stream_at(stream)):
        memcpy(dst, src, size, kind)


def memcpyPeer(dst: int, dstDevice: int, src: int, srcDevice: int, size: int) -> None:
    """As `memcpy` on the device: it is its own peer."""
    _check_devices(dstDevice, srcDevice)
    memcpy(dst, src, size, c.memcpyDeviceToDevice)


def memcpyPeerAsync(dst: int, dstDevice: int, src: int, srcDevice: int, size: int, stream: int) -> None:
    """As `memcpyPeer`, on a stream."""
    with streams.using(stream_at(stream)):
        memcpyPeer(dst, dstDevice, src, srcDevice, size)


def memcpy2D(dst: int, dpitch: int, src: int, spitch: int, width: int, height: int, kind: int) -> None:
    """Copy `height` rows of `width` bytes that lie `dpitch` and `spitch` bytes apart."""
    if width > min(dpitch, spitch):
        raise CUDARuntimeError(12)
    if width and height:
        _copy(dst, src, (int(height), int(width)), (int(dpitch), 1), (int(spitch), 1), kind)


def memcpy2DAsync(
    dst: int, dpitch: int, src: int, spitch: int, width: int, height: int, kind: int, stream: int
) -> None:
    """As `memcpy2D`, on a stream."""
    with streams.using(stream_at(stream)):
        memcpy2D(dst, dpitch, src, spitch, width, height, kind)


def memset(ptr: int, value: int, size: int) -> None:
    """Fill device memory with a byte."""
    if size:
        _at(ptr, (int(size),))[...] = value & 0xFF


def memsetAsync(ptr: int, value: int, size: int, stream: int) -> None:
    """As `memset`, on a stream."""
    with streams.using(stream_at(stream)):
        memset(ptr, value, size)


def _check_devices(*devices: int) -> None:
    if any(d != 0 for d in devices):
        raise CUDARuntimeError(_INVALID_DEVICE)


def _check_managed(address: int, size: int) -> None:
    memory = _memories().raw_around(int(address))
    if memory is None or memory.kind != c.memoryTypeManaged or address + size > memory.ptr + memory.size:
        raise CUDARuntimeError(_INVALID_VALUE)


def memPrefetchAsync(devPtr: int, count: int, dstDevice: int, stream: int) -> None:
    """Nothing to do: managed memory is on the device. Raises CUDARuntimeError for other memory, or no such device."""
    if dstDevice != c.cudaCpuDeviceId:
        _check_devices(dstDevice)
    _check_managed(devPtr, count)


def memAdvise(devPtr: int, count: int, advice: int, device: int) -> None:
    """Nothing to do: managed memory is on the device. Raises CUDARuntimeError for other memory, device or advice."""
    if not c.cudaMemAdviseSetReadMostly <= advice <= c.cudaMemAdviseUnsetAccessedBy:
        raise CUDARuntimeError(_INVALID_VALUE)
    if device != c.cudaCpuDeviceId:
        _check_devices(device)
    _check_managed(devPtr, count)


# -- host memory -------------------------------------------------------------------------------------------------------------

#: address -> (bytes, buffer, whether the program's own) of host memory that counts as pinned.
_pinned: dict[int, tuple[int, Any, bool]] = {}
_lock = threading.Lock()


def hostAlloc(size: int, flags: int = 0) -> int:
    """Memory of this process, by its address; free it with `freeHost`. It is not pinned: only the network reads it."""
    buffer = ctypes.create_string_buffer(max(int(size), 1))
    address = ctypes.addressof(buffer)
    with _lock:
        _pinned[address] = (int(size), buffer, False)
    return address


def freeHost(ptr: int) -> None:
    """Free what `hostAlloc` gave; nothing for 0. Raises CUDARuntimeError for another address."""
    if not ptr:
        return
    with _lock:
        if int(ptr) not in _pinned or _pinned[int(ptr)][2]:
            raise CUDARuntimeError(_INVALID_VALUE)
        del _pinned[int(ptr)]


def hostRegister(ptr: int, size: int, flags: int) -> None:
    """Note memory of this process as pinned, which changes nothing: only the network reads it."""
    with _lock:
        if int(ptr) in _pinned:
            raise CUDARuntimeError(_ALREADY_REGISTERED)
        _pinned[int(ptr)] = (int(size), None, True)


def hostUnregister(ptr: int) -> None:
    """Take `hostRegister` back."""
    with _lock:
        if int(ptr) not in _pinned or not _pinned[int(ptr)][2]:
            raise CUDARuntimeError(_NOT_REGISTERED)
        del _pinned[int(ptr)]


class PointerAttributes:
    """What is known of an address.

    Attributes:
        type: memoryTypeUnregistered, -Host, -Device or -Managed.
        device: the device's number; -2 where there is none.
        devicePointer, hostPointer: the address on each side; 0: none.
    """

    type: int = -1
    device: int = 0
    devicePointer: int = 0
    hostPointer: int = 0

    def __init__(self, device: int, devicePointer: int, hostPointer: int, type: int = -1) -> None:
        self.type = type
        self.device = device
        self.devicePointer = devicePointer
        self.hostPointer = hostPointer


def pointerGetMemoryType(ptr: int) -> int:
    """memoryTypeDevice or -Managed for addresses of the arena, -Host for pinned memory, else -Unregistered."""
    if _memories().in_arena(int(ptr)):
        memory = _memories().raw_around(int(ptr))
        return c.memoryTypeDevice if memory is None else int(memory.kind)
    with _lock:
        inside = any(start <= ptr < start + max(size, 1) for start, (size, _, _) in _pinned.items())
    return c.memoryTypeHost if inside else c.memoryTypeUnregistered


def pointerGetAttributes(ptr: int) -> PointerAttributes:
    """As cudaPointerGetAttributes. The host sees no device memory, nor the device the host's."""
    kind = pointerGetMemoryType(ptr)
    if kind in (c.memoryTypeDevice, c.memoryTypeManaged):
        return PointerAttributes(0, int(ptr), 0, kind)
    if kind == c.memoryTypeHost:
        return PointerAttributes(0, 0, int(ptr), kind)
    return PointerAttributes(c.cudaInvalidDeviceId, 0, 0, kind)


# -- device memory pools -----------------------------------------------------------------------------------------------------
# A pool's handle is its number at the server, made to look unlike a small integer.

_POOL_BASE = 0x2000
_current_pool = [_POOL_BASE + DEFAULT_MEMPOOL]


class MemPoolProps:
    """What a new pool is to be like."""

    def __init__(self, allocType: int, handleType: int, locationType: int, devId: int) -> None:
        self.allocType = allocType
        self.handleType = handleType
        self.locationType = locationType
        self.devId = devId


def mempool_source(pool: int) -> int:
    """The source of `@malloc` for a pool's handle."""
    source = int(pool) - _POOL_BASE
    if source <= RAW:
        raise CUDARuntimeError(_INVALID_VALUE)
    return source


def _ask_pool(what: str, pool: int, attribute: int = 0, value: int = 0) -> int:
    return int(dispatch.ask("@mempool", (what, INTEGER, INTEGER, INTEGER), (pool, attribute, value)))


def _forget() -> None:
    """The session ended, and its memory and pools with it."""
    _owned.clear()
    _current_pool[0] = _POOL_BASE + DEFAULT_MEMPOOL


def memPoolCreate(props: MemPoolProps) -> int:
    """A new pool on the device. Waits."""
    if props.allocType != c.cudaMemAllocationTypePinned or props.locationType != c.cudaMemLocationTypeDevice:
        raise CUDARuntimeError(_INVALID_VALUE)
    if props.handleType != c.cudaMemHandleTypeNone:
        raise CUDARuntimeError(_NOT_SUPPORTED)
    _check_devices(props.devId)
    return _POOL_BASE + _ask_pool("create", 0)


def memPoolDestroy(pool: int) -> None:
    """Destroy a pool; memory in use stays until it is freed. Waits."""
    if pool == _current_pool[0]:
        _current_pool[0] = _POOL_BASE + DEFAULT_MEMPOOL
    _ask_pool("destroy", mempool_source(pool))


def memPoolTrimTo(pool: int, size: int) -> None:
    """Give memory that is not in use back to the device, but for `size` bytes. Waits."""
    _ask_pool("trim", mempool_source(pool), 0, size)


def memPoolGetAttribute(pool: int, attr: int) -> int:
    """An attribute of a pool. Waits."""
    value = _ask_pool("get", mempool_source(pool), attr)
    return _UINT64_MAX if value == -1 else value


def memPoolSetAttribute(pool: int, attr: int, value: Any) -> None:
    """Set an attribute of a pool. Waits."""
    value = int(value)
    _ask_pool("set", mempool_source(pool), attr, -1 if value > 2**63 - 1 else value)


def deviceGetDefaultMemPool(device: int) -> int:
    """The device's own pool."""
    _check_devices(device)
    return _POOL_BASE + DEFAULT_MEMPOOL


def deviceGetMemPool(device: int) -> int:
    """The pool that `mallocAsync` takes from."""
    _check_devices(device)
    return _current_pool[0]


def deviceSetMemPool(device: int, pool: int) -> None:
    """Choose the pool that `mallocAsync` takes from."""
    _check_devices(device)
    mempool_source(pool)
    _current_pool[0] = int(pool)


session.on_change.append(_forget)
__all__ = [
    "MemPoolProps",
    "PointerAttributes",
    "deviceGetDefaultMemPool",
    "deviceGetMemPool",
    "deviceSetMemPool",
    "free",
    "freeAsync",
    "freeHost",
    "hostAlloc",
    "hostRegister",
    "hostUnregister",
    "malloc",
    "mallocAsync",
    "mallocFromPoolAsync",
    "mallocManaged",
    "memAdvise",
    "memGetInfo",
    "memPoolCreate",
    "memPoolDestroy",
    "memPoolGetAttribute",
    "memPoolSetAttribute",
    "memPoolTrimTo",
    "memPrefetchAsync",
    "memcpy",
    "memcpy2D",
    "memcpy2DAsync",
    "memcpyAsync",
    "memcpyPeer",
    "memcpyPeerAsync",
    "mempool_source",
    "memset",
    "memsetAsync",
    "pointerGetAttributes",
    "pointerGetMemoryType",
]
