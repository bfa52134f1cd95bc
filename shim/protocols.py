"""What other libraries ask of an array: NumPy's protocols and CUDA's array interface. DLPack is in `dlpack.py`.

A device pointer means nothing in this process. It is an opaque number that finds its way back through our own functions; whoever
would follow it here must be told so, not crash.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

from cupool.contract.spec import spec_of

from . import dispatch
from .ufunc import is_scalar

#: The legacy default stream, by the number that CUDA gives it.
_DEFAULT_STREAM = 1
_METHODS = frozenset({"__call__", "outer", "at", "reduce", "accumulate", "reduceat"})
_COMPARISONS = frozenset({"greater", "greater_equal", "less", "less_equal", "equal", "not_equal"})


def array_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`__array_ufunc__`: NumPy's ufunc on our arrays is ours of the same name."""
    involved = inputs
    if "out" in kwargs:
        out = kwargs["out"]
        if len(out) != 1:
            raise ValueError("The 'out' parameter must have exactly one array value")
        involved += out
        kwargs["out"] = out[0]
    if method not in _METHODS:
        return NotImplemented
    from . import cupy

    name = ufunc.__name__
    function = getattr(cupy, name, None)
    if function is None or function is ufunc:
        from .cupyx.scipy import special

        function = getattr(special, name, None)
    if method != "__call__":
        function = getattr(function, method, None)
    if function is None:
        return NotImplemented
    for x in involved:
        # Host arrays pass here and are refused by our ufunc, which says why.
        known = is_scalar(x) or isinstance(x, (dispatch.ndarray, np.ndarray))
        if not (known or hasattr(x, "__cuda_array_interface__") or hasattr(x, "__cupy_get_ndarray__")):
            return NotImplemented
    if name in _COMPARISONS:
        inputs = tuple(x.item() if isinstance(x, np.ndarray) and x.ndim == 0 else x for x in inputs)
    return function(*inputs, **kwargs)


def array_function(func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """`__array_function__`: NumPy's function on our arrays is ours of the same name."""
    from . import cupy

    try:
        module = functools.reduce(getattr, func.__module__.split(".")[1:], cupy)
        function = getattr(module, func.__name__)
    except AttributeError:
        return NotImplemented
    if function is func or not all(issubclass(t, (dispatch.ndarray, np.ndarray)) for t in types):
        return NotImplemented
    return function(*args, **kwargs)


def array_namespace(api_version: str | None) -> Any:
    """`__array_namespace__` of the array API standard."""
    from . import cupy

    return cupy


def cuda_array_interface(a: Any) -> dict[str, Any]:
    """Waits once for the address, which is meaningful on the server alone."""
    from .cupy.cuda.stream import get_current_stream

    # `from .cupy import _util` would import "cupy._util".
    version = importlib.import_module(".cupy._util", __package__).CUDA_ARRAY_INTERFACE_EXPORT_VERSION
    if version not in (2, 3):
        raise ValueError("CUPY_CUDA_ARRAY_INTERFACE_EXPORT_VERSION can only be set to 3 (default) or 2")
    spec = a._resolve()
    # The protocol knows no stream 0: the default one is 1.
    stream = {"stream": get_current_stream().ptr or _DEFAULT_STREAM} if version == 3 else {}
    return stream | {
        "shape": spec.shape,
        "typestr": spec.dtype.str,
        "descr": spec.dtype.descr if spec.dtype.type is np.void or spec.dtype.isbuiltin else [("", spec.dtype.str)],
        "version": version,
        "strides": None if spec.c_contiguous else spec.strides,
        "data": (a.data.ptr if spec.size else 0, False),
    }


def from_cuda_interface(obj: Any, interface: dict[str, Any]) -> Any:
    """An array over memory that an interface names. The address must be of this session's device memory.

    Raises:
        ValueError: masked or big-endian.
        CupoolError: the memory is another library's: it is not on our device.
    """
    dtype = np.dtype(interface["typestr"])
    if dtype.type is np.void and isinstance(interface.get("descr"), list):
        # Fields without a name are padding.
        dtype = np.lib.format.descr_to_dtype(interface["descr"])
    if dtype.hasobject:
        raise ValueError(f"Unsupported dtype {dtype}")
    if dtype.byteorder == ">":
        raise ValueError("CuPy does not support the big-endian byte-order")
    if interface.get("mask") is not None:
        raise ValueError("CuPy currently does not support masked arrays.")
    shape = tuple(interface["shape"])
    strides = interface.get("strides")
    spec = spec_of(shape, dtype, tuple(strides) if strides is not None else None)
    from .cupy.cuda.memory import MemoryPointer, UnownedMemory

    reach = spec.nbytes
    if strides is not None:
        reach = max((abs(n * s) for n, s in zip(shape, strides, strict=True)), default=spec.itemsize)
    pointer = MemoryPointer(UnownedMemory(int(interface["data"][0]), reach, obj), 0)
    return pointer.as_array(spec)
