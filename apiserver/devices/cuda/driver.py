"""The calls of CUDA's driver that CuPy does not have, straight from `libcuda.so.1`: whoever has a GPU has that library.

Structures are laid out as `cuda.h` has them since CUDA 11.2, and will be for as long as programs built with it run; a test compares them
with those of `cuda.bindings`.

Boundary: arguments are numbers, failures are exceptions; nothing here knows what a call is for.
"""

from __future__ import annotations

import ctypes
from typing import Any

LIBRARY = "libcuda.so.1"
_OUT_OF_MEMORY = 2
_PINNED = 1  # CU_MEM_ALLOCATION_TYPE_PINNED
_ON_DEVICE = 1  # CU_MEM_LOCATION_TYPE_DEVICE
_READ_WRITE = 3  # CU_MEM_ACCESS_FLAGS_PROT_READWRITE
#: Kinds of nodes that only the GPU takes part in, and that touch device memory alone.
KERNEL, MEMSET = 0, 2


class Location(ctypes.Structure):
    """CUmemLocation."""

    _fields_ = (("type", ctypes.c_int), ("id", ctypes.c_int))


class AllocationProp(ctypes.Structure):
    """CUmemAllocationProp."""

    _fields_ = (
        ("type", ctypes.c_int), ("requested_handle_types", ctypes.c_int), ("location", Location),
        ("win32_handle_meta_data", ctypes.c_void_p), ("compression_type", ctypes.c_ubyte),
        ("gpu_direct_rdma_capable", ctypes.c_ubyte), ("usage", ctypes.c_ushort), ("reserved", ctypes.c_ubyte * 4),
    )  # fmt: skip


class AccessDesc(ctypes.Structure):
    """CUmemAccessDesc."""

    _fields_ = (("location", Location), ("flags", ctypes.c_int))


def _prop(device: int) -> AllocationProp:
    return AllocationProp(type=_PINNED, location=Location(_ON_DEVICE, device))


_u64, _size, _out64 = ctypes.c_uint64, ctypes.c_size_t, ctypes.POINTER(ctypes.c_uint64)
#: What is called here, and what it takes. All return a CUresult.
_CALLS: dict[str, tuple[Any, ...]] = {
    "cuMemGetAllocationGranularity": (ctypes.POINTER(_size), ctypes.POINTER(AllocationProp), ctypes.c_int),
    "cuMemAddressReserve": (_out64, _size, _size, _u64, ctypes.c_ulonglong),
    "cuMemAddressFree": (_u64, _size),
    "cuMemCreate": (_out64, _size, ctypes.POINTER(AllocationProp), ctypes.c_ulonglong),
    "cuMemRelease": (_u64,),
    "cuMemMap": (_u64, _size, _size, _u64, ctypes.c_ulonglong),
    "cuMemUnmap": (_u64, _size),
    "cuMemSetAccess": (_u64, _size, ctypes.POINTER(AccessDesc), _size),
    "cuMemsetD8_v2": (_u64, ctypes.c_ubyte, _size),
    "cuCtxSynchronize": (),
    "cuGraphGetNodes": (ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(_size)),
    "cuGraphNodeGetType": (ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)),
    "cuModuleGetGlobal_v2": (_out64, ctypes.POINTER(_size), ctypes.c_void_p, ctypes.c_char_p),
    "cuGetErrorName": (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)),
}


class Driver:
    """
    Raises:
        OSError: there is no such library.
        RuntimeError: it is too old for one of the calls.
    """

    def __init__(self, library: Any = None) -> None:
        """
        Args:
            library: what has the calls as attributes; None: the driver's own.
        """
        library = library or ctypes.CDLL(LIBRARY)
        self._functions: dict[str, Any] = {}
        for name, arguments in _CALLS.items():
            try:
                function = getattr(library, name)
            except AttributeError:
                raise RuntimeError(f"this driver has no {name}; it is older than CUDA 11.2") from None
            function.argtypes, function.restype = arguments, ctypes.c_int
            self._functions[name] = function

    def _call(self, name: str, *arguments: Any) -> None:
        """Out of memory is MemoryError, every other failure RuntimeError."""
        error = self._functions[name](*arguments)
        if error == _OUT_OF_MEMORY:
            raise MemoryError(f"{name}: out of device memory")
        if error:
            raise RuntimeError(f"{name} failed: {self._name_of(error)}")

    def _name_of(self, error: int) -> str:
        text = ctypes.c_char_p()
        self._functions["cuGetErrorName"](error, ctypes.byref(text))
        return (text.value or b"").decode() or f"error {error}"

    # -- memory -------------------------------------------------------------------------------------------------------

    def granularity(self, device: int) -> int:
        """Bytes of which every mapping is a multiple."""
        found = _size()
        self._call("cuMemGetAllocationGranularity", ctypes.byref(found), ctypes.byref(_prop(device)), 0)
        return int(found.value)

    def reserve(self, size: int, hint: int) -> int:
        """Addresses without memory; at `hint` only if that is possible."""
        found = _u64()
        self._call("cuMemAddressReserve", ctypes.byref(found), size, 0, hint, 0)
        return int(found.value)

    def release(self, base: int, size: int) -> None:
        """The reverse of `reserve`."""
        self._call("cuMemAddressFree", base, size)

    def map(self, device: int, address: int, size: int) -> None:
        """Put memory of the device behind reserved addresses. Raises MemoryError."""
        handle = _u64()
        self._call("cuMemCreate", ctypes.byref(handle), size, ctypes.byref(_prop(device)), 0)
        try:
            self._call("cuMemMap", address, size, 0, handle, 0)
            try:
                access = AccessDesc(Location(_ON_DEVICE, device), _READ_WRITE)
                self._call("cuMemSetAccess", address, size, ctypes.byref(access), 1)
            except BaseException:
                self._call("cuMemUnmap", address, size)
                raise
        finally:
            # The mapping keeps the memory; it goes with the last unmap.
            self._call("cuMemRelease", handle)

    def unmap(self, address: int, size: int) -> None:
        """Take away what one `map` put there."""
        self._call("cuMemUnmap", address, size)

    def clear(self, runs: list[tuple[int, int]]) -> None:
        """Zeros at these (address, size), when it returns."""
        for address, size in runs:
            self._call("cuMemsetD8_v2", address, 0, size)
        self._call("cuCtxSynchronize")

    def global_of(self, module: int, name: str) -> tuple[int, int]:
        """Address and bytes of a variable of a loaded module (a `CUmodule`). Raises RuntimeError where there is none of that name."""
        address, size = _u64(), _size()
        self._call("cuModuleGetGlobal_v2", ctypes.byref(address), ctypes.byref(size), module, name.encode())
        return int(address.value), int(size.value)

    # -- graphs -------------------------------------------------------------------------------------------------------

    def node_types(self, graph: int) -> list[int]:
        """CUgraphNodeType of each node of a graph (a `CUgraph`)."""
        count = _size()
        self._call("cuGraphGetNodes", graph, None, ctypes.byref(count))
        nodes = (ctypes.c_void_p * count.value)()
        self._call("cuGraphGetNodes", graph, nodes, ctypes.byref(count))
        kinds = []
        for node in nodes:
            kind = ctypes.c_int()
            self._call("cuGraphNodeGetType", node, ctypes.byref(kind))
            kinds.append(int(kind.value))
        return kinds


__all__ = ["KERNEL", "LIBRARY", "MEMSET", "AccessDesc", "AllocationProp", "Driver", "Location"]
