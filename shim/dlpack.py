"""DLPack. Arrays live in a remote device's memory, which no other library of this process can reach.

Note [Capsules]. An array's `__dlpack_device__` is CUDA's, as CuPy's is. The capsule that `__dlpack__` makes names an *extension device*
instead: our own `from_dlpack` finds the array by it, without waiting, and every other library refuses it by its device type rather
than follow a pointer that means nothing here. Host memory is exported by a copy, as NumPy's.
"""

from __future__ import annotations

import ctypes
import warnings
from typing import Any

import numpy as np

from cupool.contract.errors import CupoolError

from . import dispatch

CPU, CUDA, CUDA_HOST, CUDA_MANAGED, EXTENSION = 1, 2, 3, 13, 12
#: What `__dlpack_device__` gives: CUDA device 0.
DEVICE = (CUDA, 0)
_VERSION = (1, 1)
_UNVERSIONED, _VERSIONED = b"dltensor", b"dltensor_versioned"
_USED = {_UNVERSIONED: b"used_dltensor", _VERSIONED: b"used_dltensor_versioned"}
_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}
_BFLOAT16 = 4


class DeviceMemoryElsewhere(CupoolError, BufferError):
    """Someone asked for the array's memory in this process."""


class _Device(ctypes.Structure):
    _fields_ = (("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32))


class _DataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter))


class _ManagedVersioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", _Deleter),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


#: id of a capsule's shell -> the array that it stands for.
_exported: dict[int, Any] = {}


class _Keeper:
    """What a capsule's shell lies over: keeps an array for as long as the shell lives. (A finalizer in Python, unlike a function that C
    calls, may run while an exception is on its way.)"""

    def __init__(self, a: Any, shell: np.ndarray[Any, Any]) -> None:
        self.__array_interface__ = {**shell.__array_interface__, "data": (shell.__array_interface__["data"][0], False)}
        self.number = 0
        self._shadow = shell
        self.array = a

    def __del__(self, pop: Any = _exported.pop) -> None:
        pop(self.number, None)


_api = ctypes.pythonapi
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_IsValid", _api))
_get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", _api))
_set_name = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_SetName", _api))


def _data_type(dtype: np.dtype[Any]) -> _DataType:
    if dtype.name == "bfloat16":
        return _DataType(_BFLOAT16, 16, 1)
    code = _CODES.get(dtype.kind)
    if code is None:
        raise TypeError(f"dtype {dtype} is not supported by DLPack")
    return _DataType(code, 8 * dtype.itemsize, 1)


def _capsule(a: Any, versioned: bool) -> Any:
    """Note [Capsules]. NumPy makes the capsule, of a shell: an array of the same layout, over nothing. Then it is told whose it is."""
    spec = a._resolve()
    kind = _data_type(spec.dtype)
    layout = np.dtype(f"u{spec.itemsize}") if kind.code == _BFLOAT16 else spec.dtype
    keeper = _Keeper(a, spec.shadow.view(layout))
    shell = np.asarray(keeper)
    keeper.number = id(shell)
    _exported[id(shell)] = a
    capsule = shell.__dlpack__(max_version=_VERSION) if versioned else shell.__dlpack__()
    held: Any = _held(capsule)
    held.tensor.data = None
    held.tensor.device = _Device(EXTENSION, 0)
    held.tensor.dtype = kind
    return capsule


def _held(capsule: Any) -> Any:
    """The struct of a capsule that nobody has used."""
    for name, kind in ((_UNVERSIONED, _Managed), (_VERSIONED, _ManagedVersioned)):
        if _is_valid(capsule, name):
            return kind.from_address(_get_pointer(capsule, name))
    raise ValueError("not a DLPack capsule")


def export(a: Any, stream: Any, max_version: Any, dl_device: Any, copy: Any) -> Any:
    """`ndarray.__dlpack__`.

    Raises:
        BufferError: a device that is neither the array's nor the host, or a copy on the device.
        ValueError: host memory without a copy, or a stream that DLPack does not know.
    """
    if dl_device is not None and tuple(dl_device) == (CPU, 0):
        if copy is False:
            raise ValueError("GPU memory cannot be exported to CPU without copy.")
        host = a.get()
        return host.__dlpack__() if max_version is None else host.__dlpack__(max_version=max_version)
    if dl_device is not None and tuple(dl_device) != DEVICE:
        raise BufferError("unsupported device requested.")
    if copy is True:
        raise BufferError("copy=True only supported for copy to CPU.")
    if isinstance(stream, int):
        if stream < -1:
            raise ValueError(
                f"On CUDA, the valid stream for the DLPack protocol is -1, 1, 2, or any larger value, but {stream} was provided"
            )
        if stream == 0:
            warnings.warn(
                "Stream 0 is passed from a library that you are converting to; CuPy assumes 0 as a legacy default stream. Please "
                "report this problem to the library as this violates the DLPack protocol.",
                stacklevel=3,
            )
    # Commands have one order for all streams, so there is none to establish.
    return _capsule(a, max_version is not None and max_version[0] >= 1)


def take(capsule: Any) -> Any:
    """An array over what a capsule of ours holds; the capsule is used up.

    Raises:
        ValueError: not a capsule, or one that was used.
        DeviceMemoryElsewhere: another library's.
    """
    if any(_is_valid(capsule, used) for used in _USED.values()):
        raise ValueError("A DLPack tensor object cannot be consumed multiple times")
    held = _held(capsule)
    source = _exported.get(held.context) if held.tensor.device.device_type == EXTENSION else None
    if source is None:
        raise DeviceMemoryElsewhere(
            "This DLPack capsule names memory of this machine; cupool's arrays are on a remote device.",
            "Bring the data to host memory, and use cupy.asarray.",
        )
    taken = source.data.as_array(source._resolve())
    _set_name(capsule, _USED[_VERSIONED if isinstance(held, _ManagedVersioned) else _UNVERSIONED])
    held.deleter(ctypes.addressof(held))
    return taken


def from_dlpack(array: Any, device: Any = None, copy: Any = None) -> Any:
    """As `cupy.from_dlpack`: the same memory where it is this device's; host memory is uploaded."""
    if not hasattr(array, "__dlpack_device__"):
        return take(array)
    if device is not None:
        raise NotImplementedError("from_dlpack() does not support device yet.")
    kind = int(array.__dlpack_device__()[0])
    if isinstance(array, dispatch.ndarray):
        return take(array.__dlpack__(copy=copy))
    if kind in (CPU, CUDA_HOST):
        from .convert import array as new

        return new(np.from_dlpack(array))
    if kind not in (CUDA, CUDA_MANAGED):
        raise ValueError(f"DLPack device type {kind} is not supported")
    try:
        capsule = array.__dlpack__(stream=1, max_version=_VERSION, copy=copy)
    except TypeError:  # an exporter that knows the older protocol only
        capsule = array.__dlpack__(stream=1)
    return take(capsule)


__all__ = ["DEVICE", "DeviceMemoryElsewhere", "export", "from_dlpack", "take"]
