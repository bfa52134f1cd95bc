"""`cupy.cuda`: devices, streams, events, memory. What the server told at hello is answered here; nothing is opened by importing."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from cupool.contract.errors import CUDARuntimeError, CupoolError, OutOfMemoryError

from . import compiler, device, driver, memory, memory_hook, nvtx, pinned_memory, profiler, runtime, stream
from .device import Device, get_cublas_handle, get_device_id
from .memory import (
    BaseMemory,
    CFunctionAllocator,
    ManagedMemory,
    Memory,
    MemoryAsync,
    MemoryAsyncPool,
    MemoryPointer,
    MemoryPool,
    PythonFunctionAllocator,
    UnownedMemory,
    alloc,
    get_allocator,
    malloc_async,
    malloc_managed,
    set_allocator,
    using_allocator,
)
from .memory_hook import MemoryHook
from .pinned_memory import (
    PinnedMemory,
    PinnedMemoryPointer,
    PinnedMemoryPool,
    alloc_pinned_memory,
    set_pinned_memory_allocator,
)
from .stream import Event, ExternalStream, Stream, get_current_stream, get_elapsed_time

_MODULES = frozenset(
    {
        "texture",
        "graph",
        "memory_hooks",
        "function",
        "common",
        "nvrtc",
        "nccl",
        "cub",
        "thrust",
        "cublas",
        "cufft",
        "curand",
        "cusolver",
        "cusparse",
        "cutensor",
    }
)


#: Public names -> the module that has them; loaded when first looked at.
_LAZY = {"Function": "function", "Graph": "graph", "Module": "function"}


def is_available() -> bool:
    """Whether there is a device to be had. Opens the session; never raises for want of one."""
    try:
        runtime.hello()
    except (CupoolError, CUDARuntimeError, ConnectionError):
        return False
    return True


def get_local_runtime_version() -> int:
    """The server's CUDA runtime version."""
    return runtime.runtimeGetVersion()


def get_cuda_path() -> None:
    """None: CUDA is on the server."""


get_nvcc_path = get_rocm_path = get_hipcc_path = get_cuda_path


@contextlib.contextmanager
def profile() -> Iterator[None]:
    """Starts and stops `profiler`, which does nothing: profilers attach to the server's process."""
    profiler.start()
    try:
        yield
    finally:
        profiler.stop()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        with contextlib.suppress(ModuleNotFoundError):
            return importlib.import_module(f"{__package__}.{name}")
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__package__}.{_LAZY[name]}"), name)
    from .._missing import refuse_attribute

    return refuse_attribute("cuda", name)


__all__ = [
    "BaseMemory", "CFunctionAllocator", "Device", "Event", "ExternalStream", "ManagedMemory", "Memory", "MemoryAsync",
    "MemoryAsyncPool", "MemoryHook", "MemoryPointer", "MemoryPool", "OutOfMemoryError", "PinnedMemory", "PinnedMemoryPointer",
    "PinnedMemoryPool", "PythonFunctionAllocator", "Stream", "UnownedMemory", "alloc", "alloc_pinned_memory", "compiler", "device",
    "driver", "get_allocator", "get_cublas_handle", "get_cuda_path", "get_current_stream", "get_device_id", "get_elapsed_time",
    "get_local_runtime_version", "is_available", "malloc_async", "malloc_managed", "memory", "memory_hook", "nvtx", "pinned_memory",
    "profile", "profiler", "runtime", "set_allocator", "set_pinned_memory_allocator", "stream", "using_allocator",
]  # fmt: skip
