"""`cupy.cuda.runtime`: the calls and constants that programs use. What the server told at hello is answered without asking.

Boundary: pointers are opaque numbers of the session's arena. Functions that would need this process to share memory with the device
(IPC, registering host memory) are refused by name.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from cupool.contract.errors import CUDARuntimeError
from cupool.contract.values import from_named

from ... import dispatch, session
from ._constants import *  # noqa: F403 - CUDA's constants under their own names
from ._constants import memcpyDeviceToDevice, memcpyDeviceToHost, memcpyHostToDevice, memcpyHostToHost

CUDARuntimeError.__module__ = "cupy_backends.cuda.api.runtime"
is_hip = False


class _Current(threading.local):
    device = 0


_current = _Current()
_INVALID_DEVICE = 101
_INVALID_VALUE = 1


def hello() -> Any:
    """The `cupool.v1.DeviceInfo` of the session's device."""
    return session.device()


def check_device(device: int) -> None:
    """Raises cudaErrorInvalidDevice for any number but 0."""
    if device != 0:
        raise CUDARuntimeError(_INVALID_DEVICE)


def getDeviceCount() -> int:  # CUDA's names from here on
    """1: a session sees one device. Raises when there is none to be had."""
    hello()
    return 1


def getDevice() -> int:
    """This thread's current device."""
    return _current.device


def setDevice(device: int) -> None:
    """Make a device current in this thread."""
    check_device(device)
    _current.device = device


def deviceSynchronize() -> None:
    """Wait until everything issued has completed; deferred errors surface here."""
    session.wait_all()


def driverGetVersion() -> int:
    """The server's CUDA driver version."""
    return int(hello().driver_version)


def runtimeGetVersion() -> int:
    """The server's CUDA runtime version."""
    return int(hello().runtime_version)


def getDeviceProperties(device: int) -> dict[str, Any]:
    """As `cudaGetDeviceProperties`, of the server's device."""
    check_device(device)
    return from_named(hello().properties)


def attributes() -> dict[str, int]:
    """Device attributes by name."""
    return from_named(hello().attributes)


def deviceGetAttribute(attrib: int, device: int) -> int:
    """One attribute by its number."""
    check_device(device)
    name = ATTRIBUTE_NAMES.get(attrib)  # noqa: F405
    known = attributes()
    if name is None or name not in known:
        raise CUDARuntimeError(_INVALID_VALUE)
    return int(known[name])


def deviceGetPCIBusId(device: int) -> str:
    """Bus id on the server's host, from its properties."""
    p = getDeviceProperties(device)
    return f"{int(p.get('pciDomainID', 0)):04X}:{int(p.get('pciBusID', 0)):02X}:{int(p.get('pciDeviceID', 0)):02X}.0"


def deviceGetByPCIBusId(pciBusId: str) -> int:
    """The device with this bus id."""
    if pciBusId.upper() != deviceGetPCIBusId(0):
        raise CUDARuntimeError(_INVALID_DEVICE if ":" in pciBusId else _INVALID_VALUE)
    return 0


def deviceCanAccessPeer(device: int, peerDevice: int) -> int:
    """0: there is no other device."""
    check_device(device)
    check_device(peerDevice)
    return 0


def deviceEnablePeerAccess(peerDevice: int) -> None:
    """There is no peer."""
    raise CUDARuntimeError(_INVALID_DEVICE)


def deviceDisablePeerAccess(peerDevice: int) -> None:
    """There is no peer."""
    raise CUDARuntimeError(_INVALID_DEVICE)


def memGetInfo() -> tuple[int, int]:
    """(free, total) bytes of the device. Waits."""
    memory = dispatch.ask("@memory", (), ())
    return int(memory["device_free"]), int(memory["device_total"])


# -- memory by pointer -------------------------------------------------------------------------------------------------------


def malloc(size: int) -> int:
    """Device memory as a number; free it with `free`."""
    from .memory import raw_malloc

    return raw_malloc(size)


def free(ptr: int) -> None:
    """Free what `malloc` gave."""
    from .memory import raw_free

    raw_free(ptr)


mallocManaged = malloc


def mallocAsync(size: int, stream: int) -> int:
    """As `malloc`: order is by stream."""
    return malloc(size)


def freeAsync(ptr: int, stream: int) -> None:
    """As `free`."""
    free(ptr)


def _host(ptr: int, size: int) -> Any:
    import ctypes

    buffer: Any = (ctypes.c_uint8 * size).from_address(ptr)
    return np.frombuffer(buffer, np.uint8)


def memcpy(dst: int, src: int, size: int, kind: int) -> None:
    """Copy between host addresses of this process and device pointers, as `kind` says."""
    from .memory import array_at

    if not size:
        return
    if kind == memcpyHostToDevice:
        array_at(dst, size).set(_host(src, size).copy())
    elif kind == memcpyDeviceToHost:
        _host(dst, size)[...] = array_at(src, size).get()
    elif kind == memcpyDeviceToDevice:
        array_at(dst, size)[...] = array_at(src, size)
    elif kind == memcpyHostToHost:
        _host(dst, size)[...] = _host(src, size)
    else:
        raise CUDARuntimeError(21, "cudaErrorInvalidMemcpyDirection: invalid copy direction for memcpy")


def memcpyAsync(dst: int, src: int, size: int, kind: int, stream: int) -> None:
    """As `memcpy`."""
    memcpy(dst, src, size, kind)


def memset(ptr: int, value: int, size: int) -> None:
    """Fill device memory with a byte."""
    from .memory import array_at

    if size:
        array_at(ptr, size)[...] = value & 0xFF


def memsetAsync(ptr: int, value: int, size: int, stream: int) -> None:
    """As `memset`."""
    memset(ptr, value, size)


# -- streams and events by number --------------------------------------------------------------------------------------------


def streamSynchronize(stream: int) -> None:
    """Wait for a stream."""
    session.wait_all()


def profilerStart() -> None:
    """Nothing: profilers attach to the server's process."""


def profilerStop() -> None:
    """Nothing."""


def _ensure_context() -> None:
    """Nothing: the server's context is warm."""


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.runtime", name)
