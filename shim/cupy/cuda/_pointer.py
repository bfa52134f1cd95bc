"""`cupy.cuda.MemoryPointer`: a place in device memory, and the copies to and from it.

Copies are array assignments of bytes: commands like any other, so that what they write is known. Bytes to this process wait.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from cupool.contract.spec import Spec, spec_of

from ... import streams
from ._memories import BaseMemory, memory_of
from .device import Device


class MemoryPointer:
    """A place in device memory.

    Attributes:
        mem: the memory.
        device_id: the device that holds it.
    """

    __module__ = "cupy.cuda.memory"
    __slots__ = ("__weakref__", "_offset", "mem")

    def __init__(self, mem: BaseMemory, offset: int) -> None:
        self.mem = mem
        self._offset = int(offset)

    @classmethod
    def of_array(cls, a: Any) -> MemoryPointer:
        """Where an array starts."""
        return cls(*memory_of(a))

    @property
    def ptr(self) -> int:
        """The address, an opaque number in this process. Waits when it was never asked for."""
        return int(self.mem.ptr) + self._offset

    @property
    def device_id(self) -> int:
        """The device's number."""
        return self.mem.device_id

    @property
    def device(self) -> Device:
        """The device."""
        return self.mem.device

    def as_array(self, spec: Spec) -> Any:
        """An array of `spec` that starts here and keeps the memory alive."""
        made = self.mem.view(spec, self._offset)
        made._place = (self.mem, self._offset)
        return made

    def bytes_(self, size: int) -> Any:
        """The next `size` bytes as an array."""
        return self.as_array(spec_of((int(size),), np.uint8))

    def __int__(self) -> int:
        return self.ptr

    def __repr__(self) -> str:
        return f"<MemoryPointer 0x{self.ptr:x} device={self.device_id} mem={self.mem!r}>"

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

    # -- on the device ------------------------------------------------------------------------------------------------

    def copy_from_device(self, src: MemoryPointer, size: int) -> None:
        """Copy from another place of the device."""
        if size:
            self.bytes_(size)[...] = src.bytes_(size)

    def copy_from_device_async(self, src: MemoryPointer, size: int, stream: Any = None) -> None:
        """As `copy_from_device`, on a stream."""
        with streams.using(stream):
            self.copy_from_device(src, size)

    def memset(self, value: int, size: int) -> None:
        """Fill with a byte."""
        if size:
            self.bytes_(size)[...] = int(value) & 0xFF

    def memset_async(self, value: int, size: int, stream: Any = None) -> None:
        """As `memset`, on a stream."""
        with streams.using(stream):
            self.memset(value, size)

    # -- from and to this process -------------------------------------------------------------------------------------

    def copy_from_host(self, mem: Any, size: int) -> None:
        """Copy from an address of this process (an int or a ctypes pointer) or a buffer."""
        if size:
            self.bytes_(size).set(host_bytes(mem, size))

    def copy_from_host_async(self, mem: Any, size: int, stream: Any = None) -> None:
        """As `copy_from_host`; the bytes are taken before it returns."""
        with streams.using(stream):
            self.copy_from_host(mem, size)

    def copy_to_host(self, mem: Any, size: int) -> None:
        """Copy to an address of this process or into a buffer. Waits."""
        if size:
            host_bytes(mem, size)[...] = self.bytes_(size).get()

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


def host_bytes(mem: Any, size: int) -> np.ndarray[Any, Any]:
    """`size` bytes of this process's memory: at an address, or of a buffer."""
    if isinstance(mem, (int, np.integer, ctypes._SimpleCData)):
        address = mem.value if isinstance(mem, ctypes._SimpleCData) else int(mem)
        if not address:
            raise ValueError("the host pointer is null")
        mem = (ctypes.c_uint8 * int(size)).from_address(address)
    return np.frombuffer(mem, np.uint8, int(size))
