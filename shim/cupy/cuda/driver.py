"""`cupy.cuda.driver`: constants, the exception, modules and functions by number. There is one context, the server's: it is current in
every thread that has a current device.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from cupool.contract.errors import CUDADriverError
from cupool.contract.ops import row as _row

from ... import dispatch, session
from . import _libraries, runtime
from ._streams import stream_at
from .runtime import driverGetVersion

_INVALID_CONTEXT, _INVALID_HANDLE = 201, 400
#: The context's number.
_CONTEXT = 0x4000

globals().update(
    _libraries.constants(
        "CUDA_ERROR_INVALID_VALUE=1 CU_AD_FORMAT_FLOAT=0x20 CU_AD_FORMAT_HALF=0x10 CU_AD_FORMAT_SIGNED_INT16=0x09 "
        "CU_AD_FORMAT_SIGNED_INT32=0x0a CU_AD_FORMAT_SIGNED_INT8=0x08 CU_AD_FORMAT_UNSIGNED_INT16=0x02 CU_AD_FORMAT_UNSIGNED_INT32=0x03 "
        "CU_AD_FORMAT_UNSIGNED_INT8=0x01 CU_FUNC_ATTRIBUTE_BINARY_VERSION=6 CU_FUNC_ATTRIBUTE_CACHE_MODE_CA=7 "
        "CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES=2 CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES=3 CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8 "
        "CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK=0 CU_FUNC_ATTRIBUTE_NUM_REGS=4 CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT=9 "
        "CU_FUNC_ATTRIBUTE_PTX_VERSION=5 CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES=1 CU_JIT_CACHE_MODE=14 CU_JIT_ERROR_LOG_BUFFER=5 "
        "CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES=6 CU_JIT_FALLBACK_STRATEGY=10 CU_JIT_FAST_COMPILE=16 CU_JIT_FMA=24 CU_JIT_FTZ=21 "
        "CU_JIT_GENERATE_DEBUG_INFO=11 CU_JIT_GENERATE_LINE_INFO=13 CU_JIT_GLOBAL_SYMBOL_ADDRESSES=18 CU_JIT_GLOBAL_SYMBOL_COUNT=19 "
        "CU_JIT_GLOBAL_SYMBOL_NAMES=17 CU_JIT_INFO_LOG_BUFFER=3 CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES=4 CU_JIT_INPUT_CUBIN=0 "
        "CU_JIT_INPUT_FATBINARY=2 CU_JIT_INPUT_LIBRARY=4 CU_JIT_INPUT_NVVM=5 CU_JIT_INPUT_OBJECT=3 CU_JIT_INPUT_PTX=1 "
        "CU_JIT_LOG_VERBOSE=12 "
        "CU_JIT_LTO=20 CU_JIT_MAX_REGISTERS=0 CU_JIT_NEW_SM3X_OPT=15 CU_JIT_NUM_OPTIONS=25 CU_JIT_OPTIMIZATION_LEVEL=7 CU_JIT_PREC_DIV=22 "
        "CU_JIT_PREC_SQRT=23 CU_JIT_TARGET=9 CU_JIT_TARGET_FROM_CUCONTEXT=8 CU_JIT_THREADS_PER_BLOCK=1 CU_JIT_WALL_TIME=2 "
        "CU_TRSA_OVERRIDE_FORMAT=0x01 CU_TRSF_NORMALIZED_COORDINATES=0x02 CU_TRSF_READ_AS_INTEGER=0x01 CU_TRSF_SRGB=0x10 "
        "CU_TR_ADDRESS_MODE_BORDER=3 CU_TR_ADDRESS_MODE_CLAMP=1 CU_TR_ADDRESS_MODE_MIRROR=2 CU_TR_ADDRESS_MODE_WRAP=0 "
        "CU_TR_FILTER_MODE_LINEAR=1 CU_TR_FILTER_MODE_POINT=0"
    )
)
#: CUfunction_attribute number -> its name in a kernel's attributes.
_ATTRIBUTES = (
    "max_threads_per_block", "shared_size_bytes", "const_size_bytes", "local_size_bytes", "num_regs", "ptx_version", "binary_version",
    "cache_mode_ca", "max_dynamic_shared_size_bytes", "preferred_shared_memory_carveout",
)  # fmt: skip


def get_build_version() -> int:
    """The server's driver version."""
    return driverGetVersion()


def _is_cuda_python() -> bool:
    return False


def check_status(status: int) -> None:
    """Raises CUDADriverError for a status that is not 0."""
    if status:
        raise CUDADriverError(status)


# -- the context -------------------------------------------------------------------------------------------------------------


def ctxGetCurrent() -> int:
    """The context's number; 0 in a thread that has used no device yet."""
    if threading.current_thread() is threading.main_thread():
        return _CONTEXT if session.is_open() else 0
    return _CONTEXT if runtime.has_device() else 0


def ctxSetCurrent(ctx: int) -> None:
    """Nothing: the one context is current. Raises CUDADriverError for another one."""
    if ctx not in (0, _CONTEXT):
        raise CUDADriverError(_INVALID_CONTEXT)
    if ctx:
        runtime.setDevice(0)


def ctxGetDevice() -> int:
    """The current device's number."""
    if not ctxGetCurrent():
        raise CUDADriverError(_INVALID_CONTEXT)
    return runtime.getDevice()


def streamGetCtx(stream: int) -> int:
    """The context of a stream."""
    stream_at(stream)
    runtime.hello()
    return _CONTEXT


# -- modules -----------------------------------------------------------------------------------------------------------------

_modules: dict[int, Any] = {}
_functions: dict[int, Any] = {}


def _module(number: int) -> Any:
    if number not in _modules:
        raise CUDADriverError(_INVALID_HANDLE)
    return _modules[number]


def _function(number: int) -> Any:
    if number not in _functions:
        raise CUDADriverError(_INVALID_HANDLE)
    return _functions[number]


def moduleLoad(filename: str) -> int:
    """Load an image from a file on this machine."""
    with open(os.fspath(filename), "rb") as file:
        return moduleLoadData(file.read())


def moduleLoadData(image: bytes) -> int:
    """Load an image: what `nvrtc` gives, or cubin or PTX where the device is a GPU."""
    from .function import Module

    module = Module()
    module.load(image)
    _modules[module.ptr] = module
    return module.ptr


def moduleUnload(module: int) -> None:
    """Free a module."""
    _module(module)
    del _modules[module]


def moduleGetFunction(module: int, funcname: str) -> int:
    """A kernel of a module. Waits; raises CUDADriverError when there is none of this name."""
    function = _module(module).get_function(funcname)
    _functions[function.ptr] = function
    return int(function.ptr)


def moduleGetGlobal(module: int, varname: str) -> int:
    """The address of a variable of a module. Waits."""
    return int(_module(module).get_global_var(varname))


def funcGetAttribute(attribute: int, f: int) -> int:
    """An attribute of a kernel; -1 where the device does not tell. Waits."""
    if not 0 <= attribute < len(_ATTRIBUTES):
        raise CUDADriverError(1)
    return int(dispatch.call(_row("@kernel_attributes"), (_function(f)._remote,))[_ATTRIBUTES[attribute]])


def funcSetAttribute(f: int, attribute: int, value: int) -> None:
    """Set an attribute of a kernel."""
    if not 0 <= attribute < len(_ATTRIBUTES):
        raise CUDADriverError(1)
    dispatch.call(_row("@kernel_set_attribute"), (_function(f)._remote, _ATTRIBUTES[attribute], int(value)))


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.driver", name)
