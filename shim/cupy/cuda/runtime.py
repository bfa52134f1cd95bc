"""`cupy.cuda.runtime`: the calls and constants that programs use. What the server told at hello is answered without asking.

Boundary: pointers are opaque numbers of the session's arena. Functions that would need this process to share memory with the device
(IPC, registering host memory) are refused by name.
"""

from __future__ import annotations

import threading
from typing import Any

from cupool.contract.errors import CUDARuntimeError
from cupool.contract.values import from_named

from ... import captures, session, streams
from ._constants import *  # noqa: F403 - CUDA's constants under their own names
from ._constants import (
    cudaLimitDevRuntimePendingLaunchCount,
    cudaLimitDevRuntimeSyncDepth,
    cudaLimitMallocHeapSize,
    cudaLimitMaxL2FetchGranularity,
    cudaLimitPrintfFifoSize,
    cudaLimitStackSize,
)
from ._runtime_memory import *  # noqa: F403
from ._runtime_memory import mempool_source as mempool_source
from ._runtime_streams import *  # noqa: F403

is_hip = False


class _Current(threading.local):
    device = 0
    is_set = False


_current = _Current()
_INVALID_DEVICE = 101
_INVALID_VALUE = 1
_UNSUPPORTED_LIMIT = 215
errorInvalidValue, errorMemoryAllocation = 1, 2
errorPeerAccessAlreadyEnabled, errorContextIsDestroyed = 704, 709
errorInvalidResourceHandle = 400


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
    _current.is_set = True


def has_device() -> bool:
    """Whether this thread chose its device."""
    return _current.is_set


def deviceSynchronize() -> None:
    """Wait until everything issued has completed, callbacks included; deferred errors surface here."""
    from .stream import wait_all

    captures.forbid(streams.current())
    wait_all()


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


#: cudaLimit numbers: what a thread's stack, `printf`, the device heap and nested launches may use. Noted, and enforced by nobody.
_limits = {
    cudaLimitStackSize: 1024, cudaLimitPrintfFifoSize: 1 << 20, cudaLimitMallocHeapSize: 8 << 20, cudaLimitDevRuntimeSyncDepth: 2,
    cudaLimitDevRuntimePendingLaunchCount: 2048, cudaLimitMaxL2FetchGranularity: 128,
}  # fmt: skip


def deviceGetLimit(limit: int) -> int:
    """A limit of the device: CUDA's default, or what was set."""
    if limit not in _limits:
        raise CUDARuntimeError(_UNSUPPORTED_LIMIT)
    return _limits[limit]


def deviceSetLimit(limit: int, value: int) -> None:
    """Set a limit of the device: noted."""
    if limit not in _limits:
        raise CUDARuntimeError(_UNSUPPORTED_LIMIT)
    _limits[limit] = int(value)


def check_status(status: int) -> None:
    """Raises CUDARuntimeError for a status that is not 0."""
    if status:
        raise CUDARuntimeError(status)


def _getCUDAMajorVersion() -> int:
    return runtimeGetVersion() // 1000


def _getLocalRuntimeVersion() -> int:
    return runtimeGetVersion()


def profilerStart() -> None:
    """Nothing: profilers attach to the server's process."""


def profilerStop() -> None:
    """Nothing."""


def _ensure_context() -> None:
    """Nothing: the server's context is warm."""


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.runtime", name)
