"""`cupy.cuda.Device`. A session sees one device, number 0; what the server told at hello is answered here."""

from __future__ import annotations

import threading
from typing import Any, Self

from . import _libraries, runtime

__all__ = [
    "Device", "Handle", "get_compute_capability", "get_cublas_handle", "get_cusolver_handle", "get_cusolver_sp_handle",
    "get_cusparse_handle", "get_device_id",
]  # fmt: skip


class _Stack(threading.local):
    def __init__(self) -> None:
        self.ids: list[int] = []


_stack = _Stack()


class Device:
    """A device by number. As a context manager it restores whatever device was current on entry."""

    __module__ = "cupy.cuda.device"
    __slots__ = ("id",)

    def __init__(self, device: Any = None) -> None:
        self.id = runtime.getDevice() if device is None else int(device)

    @classmethod
    def from_pci_bus_id(cls, pci_bus_id: str) -> Self:
        """The device with this bus id."""
        return cls(runtime.deviceGetByPCIBusId(pci_bus_id))

    def __int__(self) -> int:
        return self.id

    def __enter__(self) -> Self:
        current = runtime.getDevice()
        _stack.ids.append(current)
        try:
            runtime.setDevice(self.id)
        except BaseException:
            _stack.ids.pop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        runtime.setDevice(_stack.ids.pop())

    def use(self) -> Self:
        """Make this device current."""
        runtime.setDevice(self.id)
        return self

    def synchronize(self) -> None:
        """Wait until everything issued has completed."""
        runtime.check_device(self.id)
        runtime.deviceSynchronize()

    @property
    def compute_capability(self) -> str:
        """Major and minor number, as "90"."""
        runtime.check_device(self.id)
        return str(runtime.hello().compute_capability)

    @property
    def mem_info(self) -> tuple[int, int]:
        """(free, total) bytes."""
        runtime.check_device(self.id)
        return runtime.memGetInfo()

    @property
    def attributes(self) -> dict[str, int]:
        """Device attributes by name, without `cudaDevAttr`."""
        runtime.check_device(self.id)
        return runtime.attributes()

    @property
    def pci_bus_id(self) -> str:
        """Bus id of the device, on the server's host."""
        return runtime.deviceGetPCIBusId(self.id)

    @property
    def cublas_handle(self) -> int:
        """This thread's handle of cuBLAS."""
        return get_cublas_handle()

    @property
    def cusolver_handle(self) -> int:
        """This thread's handle of cuSOLVER."""
        return get_cusolver_handle()

    @property
    def cusolver_sp_handle(self) -> int:
        """This thread's handle of cuSOLVER's sparse part."""
        return get_cusolver_sp_handle()

    @property
    def cusparse_handle(self) -> int:
        """This thread's handle of cuSPARSE."""
        return get_cusparse_handle()

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return hash((Device, self.id))

    def __lt__(self, other: Any) -> Any:
        return self.id < other.id if isinstance(other, Device) else NotImplemented

    def __le__(self, other: Any) -> Any:
        return self.id <= other.id if isinstance(other, Device) else NotImplemented

    def __gt__(self, other: Any) -> Any:
        return self.id > other.id if isinstance(other, Device) else NotImplemented

    def __ge__(self, other: Any) -> Any:
        return self.id >= other.id if isinstance(other, Device) else NotImplemented


class Handle:
    """A library's handle as an object.

    Attributes:
        handle: its number.
    """

    handle: int = 0

    def __init__(self, handle: int, destroy_func: Any = None) -> None:
        self.handle = handle
        self._destroy = destroy_func


def get_cublas_handle() -> int:
    """This thread's handle of cuBLAS: a number that `cupy.cuda.cublas` knows."""
    return _libraries.thread_handle("cublas")


def get_cusolver_handle() -> int:
    """This thread's handle of cuSOLVER."""
    return _libraries.thread_handle("cusolver")


def get_cusolver_sp_handle() -> int:
    """This thread's handle of cuSOLVER's sparse part."""
    return _libraries.thread_handle("cusolver_sp")


def get_cusparse_handle() -> int:
    """This thread's handle of cuSPARSE."""
    return _libraries.thread_handle("cusparse")


def get_device_id() -> int:
    """The current device's number."""
    return runtime.getDevice()


def get_compute_capability() -> str:
    """The current device's compute capability."""
    return Device().compute_capability


def from_pointer(ptr: int) -> Device:
    """The device that a pointer belongs to."""
    return Device(0)
