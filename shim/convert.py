"""Bytes in and out: host data to arrays, arrays to host memory.

Boundary: small arrays travel in the batch ("@array", "@fetch"), larger ones through `bulk.py`. What `cupy.array` accepts is here.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from cupool.contract.errors import OutOfMemoryError
from cupool.contract.limits import OUR_LIMITS
from cupool.contract.spec import Spec, spec_of

from . import births, captures, dispatch, session, streams
from .dispatch import HANDLE, VALUE
from .keys import INLINE_BYTES
from .wire import value_bytes

Host = np.ndarray[Any, Any]


# -- to the host -----------------------------------------------------------------------------------------------------------


def fetch(a: Any) -> Host:
    """A fresh host copy in C order, whatever the layout on the device. Waits."""
    session.check_handle(a._handle)
    captures.check_wait()
    spec = a._spec
    if spec is None:
        probe = a._probe
        if probe is None or probe.bound_bytes is None or not _rides_along(probe.bound_bytes):
            spec = a._resolve()
    if spec is not None and spec.nbytes and _rides_along(spec.nbytes):
        host: Host = dispatch.fetch(a._handle, spec)
        return host
    if spec is None:
        host = np.asarray(dispatch.ask("@fetch", (HANDLE,), (a._handle,)))
        if host.ndim <= 1 and a._spec is None:
            a._spec = spec_of(host.shape, host.dtype)
        return host
    if spec.size == 0:
        # Nothing to bring; but errors of the array itself surface here as for any other.
        dispatch.ask("@spec", (HANDLE,), (a._handle,))
        return np.empty(spec.shape, spec.dtype)
    return _download(a, spec)


#: What no server lets ride along; known without its hello.
MOST_INLINE_BYTES = OUR_LIMITS.inline_bytes // 2


def _rides_along(nbytes: int) -> bool:
    """Whether an array of so many bytes travels with the commands."""
    if nbytes <= INLINE_BYTES or nbytes > MOST_INLINE_BYTES:
        return nbytes <= INLINE_BYTES
    from . import transit

    wishes = transit.wishes()
    # What is to be packed or rounded on its way is, from the size on that is documented.
    return not (wishes.compression or wishes.float32_as) and nbytes <= session.inline_bytes()


def _download(a: Any, spec: Spec, out: Host | None = None) -> Host:
    """Bulk bytes, rounded on their way where that is wished."""
    from . import bulk, transit

    float32_as = transit.wishes().float32_as
    if float32_as and spec.dtype == np.float32:
        try:
            half = transit.fetched_rounded(a, float32_as, lambda made: bulk.download(made._handle, made._resolve()))
        except OutOfMemoryError:
            pass  # of the rounded copy; the array itself is read where it is
        else:
            found = transit.whole(half, out)
            if found is not None:
                return found
    return bulk.download(a._handle, spec, out)


def get(a: Any, stream: Any, order: str | None, out: Any) -> Host:
    """`ndarray.get`."""
    spec: Any = a._resolve() if out is not None or a._spec is not None else None
    if out is not None:
        _check_out(spec, out)
    order = "C" if order is None else order.upper()
    if order not in ("C", "F", "A"):
        raise ValueError(f"unsupported order: {order}")
    with streams.using(stream):
        host = _into(a, spec, out) if out is not None else fetch(a)
    if out is not None:
        return host
    if order == "F" or (order == "A" and a._resolve().f_contiguous and not a._resolve().c_contiguous):
        return np.asfortranarray(host) if host.ndim else host
    return host


def _check_out(spec: Any, out: Any) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError("Only numpy.ndarray can be obtained fromcupy.ndarray")
    if spec.dtype != out.dtype:
        raise TypeError(f"{out.dtype} array cannot be obtained from {spec.dtype} array")
    if spec.shape != out.shape:
        raise ValueError(f"Shape mismatch. Expected shape: {spec.shape}, actual shape: {out.shape}")
    if not (out.flags.c_contiguous or out.flags.f_contiguous):
        raise RuntimeError("`out` cannot be specified when copying to non-contiguous ndarray")


def _into(a: Any, spec: Spec, out: Host) -> Host:
    if not _rides_along(spec.nbytes) and out.flags.c_contiguous:
        session.check_handle(a._handle)
        captures.check_wait()
        _download(a, spec, out)
    else:
        out[...] = fetch(a)
    return out


def truth(a: Any) -> bool:
    """`bool(array)`."""
    if a._spec is not None or a._probe is None or a._probe.first.ndim:
        size = a.size
        if size == 0:
            warnings.warn(
                "The truth value of an empty array is ambiguous. Returning False, but in future this will result in an error. "
                "Use `array.size > 0` to check that an array is not empty.",
                DeprecationWarning,
                stacklevel=3,
            )
            return False
        if size > 1:
            raise ValueError(
                "The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()"
            )
    return bool(fetch(a))


# -- from the host ---------------------------------------------------------------------------------------------------------


def check_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A dtype that devices have, in native byte order. Raises ValueError with CuPy's text."""
    if dtype.kind == "V" and (
        dtype.type is not np.void or (dtype.subdtype is None and dtype.itemsize and not dtype.hasobject)
    ):
        return dtype
    if dtype.kind not in "biufc" or dtype.char in "gG":
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype.newbyteorder("=") if dtype.byteorder == ">" else dtype


def upload(host: Host, order: str = "C") -> Any:
    """A device array with the contents of a host array, packed in `order`."""
    dtype = check_dtype(host.dtype)
    if dtype != host.dtype or host.dtype.byteorder == ">":
        host = host.astype(dtype)
    spec = spec_of(host.shape, dtype, order=order)
    if _rides_along(spec.nbytes):
        word = value_bytes(host.tobytes())
        (handle,) = dispatch.send("@array", (VALUE,), (word,), (spec,))
        if spec.nbytes > INLINE_BYTES:
            session.flush()  # what is pending is bounded by its words, not by their bytes
        made = dispatch.new_array(handle, spec)
    elif (sent := _rounded(host, spec, order)) is not None:
        made = sent
    elif order == "C" or spec.c_contiguous:
        from . import bulk

        made = dispatch.new_array(bulk.upload(host, spec), spec)
    else:
        made = _upload_fortran(host, spec)
    if dispatch.is_sync():
        session.after_call()
    if births.watched:
        births.born(made)
    return made


def _rounded(host: Host, spec: Spec, order: str) -> Any:
    """A device array whose elements travelled as 16 bits, where that is wished; else None."""
    if spec.dtype != np.float32 or captures.current() is not None:
        return None
    from . import transit, views

    float32_as = transit.wishes().float32_as
    if not float32_as:
        return None
    sent = transit.sent_rounded(host, float32_as, lambda half: upload(half, order))
    return None if sent is None else sent if sent._resolve() is spec else views.heir(sent, spec)


def _upload_fortran(host: Host, spec: Spec) -> Any:
    """Bulk bytes arrive in C order, so the transposed array is sent; a view of it takes its place as the owner."""
    from . import bulk, views

    turned = spec_of(spec.shape[::-1], spec.dtype)
    root = dispatch.new_array(bulk.upload(host.T, turned), turned)
    return views.heir(root, spec)


def set_array(a: Any, arr: Any, stream: Any) -> None:
    """`ndarray.set`."""
    if not isinstance(arr, np.ndarray):
        raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
    spec = a._resolve()
    if spec.dtype != arr.dtype:
        raise TypeError(f"{arr.dtype} array cannot be set to {spec.dtype} array")
    if spec.shape != arr.shape:
        raise ValueError(f"Shape mismatch. Old shape: {spec.shape}, new shape: {arr.shape}")
    if not (spec.c_contiguous or spec.f_contiguous):
        raise RuntimeError("Cannot set to non-contiguous array")
    if spec.size:
        with streams.using(stream):
            a[...] = upload(arr, "C" if spec.c_contiguous else "F")


# -- cupy.array ------------------------------------------------------------------------------------------------------------


def array(
    obj: Any, dtype: Any = None, copy: bool | None = True, order: str | None = "K", subok: bool = False, ndmin: int = 0,
    *, blocking: bool = False,
) -> Any:  # fmt: skip
    """As `cupy.array`.

    Cases: device arrays (and what gives one); nested sequences of device arrays of one shape, joined on the device; everything
    else goes through NumPy, which refuses device arrays inside.
    """
    if subok:
        raise NotImplementedError
    order = "K" if order is None else str(order).upper()
    if order not in ("C", "F", "A", "K"):
        raise ValueError(f"order must be one of 'C', 'F', 'A', or 'K' (got {order!r})")
    device = as_device(obj)
    if device is not None:
        return _from_device(device, obj, dtype, copy, order, ndmin)
    if isinstance(obj, (list, tuple)):
        shape = _nested_shape(obj)
        if shape is not None:
            joined = _join(obj).reshape((1,) * (ndmin - len(shape)) + shape)
            return joined.astype(
                joined.dtype if dtype is None else dtype, order="F" if order == "F" else "C", copy=False
            )
    return _from_host(obj, dtype, order, ndmin)


def as_device(obj: Any) -> Any:
    """A device array for an array of ours or an object that holds or exposes one; else None."""
    if isinstance(obj, dispatch.ndarray):
        return obj
    if isinstance(obj, (np.ndarray, np.generic, list, tuple, int, float, complex, str, bytes)) or obj is None:
        return None
    convert = getattr(obj, "__cupy_get_ndarray__", None)
    if convert is not None and not isinstance(obj, type):
        return convert()
    interface = getattr(obj, "__cuda_array_interface__", None)
    if interface is not None:
        from .protocols import from_cuda_interface

        return from_cuda_interface(obj, interface)
    return None


def _from_device(a: Any, obj: Any, dtype: Any, copy: Any, order: str, ndmin: int) -> Any:
    from . import create

    made = create.astype(a, a.dtype if dtype is None else dtype, order, copy if copy else None)
    if copy is False and made is not a:
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    if ndmin > made.ndim:
        made = made.reshape((1,) * (ndmin - made.ndim) + made.shape)
    return made


def _nested_shape(obj: Any) -> Any:
    """Shape of a nested sequence whose leaves are device arrays of one shape; None when it is something else."""
    if isinstance(obj, (list, tuple)):
        if not obj:
            return None
        first = _nested_shape(obj[0])
        if first is None or any(_nested_shape(item) != first for item in obj[1:]):
            return None
        return (len(obj), *first)
    device = as_device(obj)
    return None if device is None else device.shape


def _join(obj: Any) -> Any:
    """All leaves, joined along a first axis."""
    from ._generated import functions

    leaves: list[Any] = []

    def walk(item: Any) -> None:
        if isinstance(item, (list, tuple)):
            for each in item:
                walk(each)
        else:
            leaf = as_device(item)
            leaves.append(leaf.reshape(1) if leaf.ndim == 0 else leaf)

    walk(obj)
    return functions.concatenate(leaves)


def _from_host(obj: Any, dtype: Any, order: str, ndmin: int) -> Any:
    host: Host = np.array(obj, dtype=dtype, copy=None, ndmin=ndmin)
    if order in ("K", "A"):
        order = "F" if isinstance(obj, np.ndarray) and obj.flags.fnc else "C"
    return upload(host, order)


def asarray(a: Any, dtype: Any = None, order: str | None = None, *, blocking: bool = False) -> Any:
    """As `cupy.asarray`: no copy of a device array that fits."""
    return array(a, dtype=dtype, copy=None, order=order)


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
    """As `cupy.asnumpy`: a device array's `get`, anything else through `numpy.asarray`."""
    if isinstance(a, dispatch.ndarray):
        return a.get(stream=stream, order=order, out=out, blocking=blocking)
    convert = getattr(a, "__cupy_get_ndarray__", None)
    if convert is not None:
        return convert().get(stream=stream, order=order, out=out, blocking=blocking)
    if hasattr(a, "__cuda_array_interface__"):
        return array(a).get(stream=stream, order=order, out=out, blocking=blocking)
    host = np.asarray(a, order=order)  # type: ignore[call-overload]
    if out is not None:
        out[...] = host
        return out
    return host
