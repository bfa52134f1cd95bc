"""What the CPU device tells a program about itself, under CUDA's names.

Limits of threads and blocks are CUDA's usual ones, so that a program's launch configurations are accepted or refused as on a GPU.
"""

from __future__ import annotations

import functools
import os
import platform
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from cupool.contract import hosts
from cupool.contract.values import named
from cupool.v1 import session_pb2

#: As a GPU of compute capability 9.0 with CUDA 12.8 would answer.
COMPUTE_CAPABILITY = (9, 0)
CUDA_VERSION = 12080

#: Each row: name in cudaDeviceProp, name in cupy.cuda.Device.attributes, value.
_LIMITS: tuple[tuple[str, str, int], ...] = (
    ("maxThreadsPerBlock", "MaxThreadsPerBlock", 1024),
    ("warpSize", "WarpSize", 32),
    ("sharedMemPerBlock", "MaxSharedMemoryPerBlock", 49152),
    ("sharedMemPerMultiprocessor", "MaxSharedMemoryPerMultiprocessor", 98304),
    ("sharedMemPerBlockOptin", "MaxSharedMemoryPerBlockOptin", 98304),
    ("reservedSharedMemPerBlock", "ReservedSharedMemoryPerBlock", 0),
    ("regsPerBlock", "MaxRegistersPerBlock", 65536),
    ("regsPerMultiprocessor", "MaxRegistersPerMultiprocessor", 65536),
    ("maxThreadsPerMultiProcessor", "MaxThreadsPerMultiProcessor", 2048),
    ("maxBlocksPerMultiProcessor", "MaxBlocksPerMultiprocessor", 32),
    ("totalConstMem", "TotalConstantMemory", 65536),
    ("clockRate", "ClockRate", 1_000_000),
    ("memoryClockRate", "MemoryClockRate", 1_000_000),
    ("memoryBusWidth", "GlobalMemoryBusWidth", 64),
    ("memPitch", "MaxPitch", 2147483647),
    ("textureAlignment", "TextureAlignment", 512),
    ("texturePitchAlignment", "TexturePitchAlignment", 32),
    ("surfaceAlignment", "SurfaceAlignment", 512),
    ("asyncEngineCount", "AsyncEngineCount", 1),
    ("concurrentKernels", "ConcurrentKernels", 0),
    ("canMapHostMemory", "CanMapHostMemory", 1),
    ("unifiedAddressing", "UnifiedAddressing", 1),
    ("managedMemory", "ManagedMemory", 0),
    ("concurrentManagedAccess", "ConcurrentManagedAccess", 0),
    ("pageableMemoryAccess", "PageableMemoryAccess", 0),
    ("cooperativeLaunch", "CooperativeLaunch", 0),
    ("computePreemptionSupported", "ComputePreemptionSupported", 1),
    ("kernelExecTimeoutEnabled", "KernelExecTimeout", 0),
    ("ECCEnabled", "EccEnabled", 0),
    ("integrated", "Integrated", 0),
    ("computeMode", "ComputeMode", 0),
    ("tccDriver", "TccDriver", 0),
    ("isMultiGpuBoard", "IsMultiGpuBoard", 0),
    ("multiGpuBoardGroupID", "MultiGpuBoardGroupID", 0),
    ("streamPrioritiesSupported", "StreamPrioritiesSupported", 1),
    ("globalL1CacheSupported", "GlobalL1CacheSupported", 1),
    ("localL1CacheSupported", "LocalL1CacheSupported", 1),
    ("hostNativeAtomicSupported", "HostNativeAtomicSupported", 1),
    ("singleToDoublePrecisionPerfRatio", "SingleToDoublePrecisionPerfRatio", 2),
    ("pciBusID", "PciBusId", 0),
    ("pciDomainID", "PciDomainId", 0),
)


def cores() -> int:
    """The cores that this process may use: its multiprocessors."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def total_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def device_uuid(number: int) -> str:
    """One id for each CPU device of this boot of this host."""
    host = hosts.boot_id() or platform.node()
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"cupool-cpu-{host}-{number}"))


def fingerprint() -> str:
    """What a bit-equal replay needs to agree on: kind, versions, instruction set, threads of the linear algebra library."""
    threads = os.environ.get("OPENBLAS_NUM_THREADS", cores())
    return f"cpu numpy-{np.__version__} {platform.machine()} {'+'.join(_features())} threads-{threads}"


@functools.cache
def _features() -> list[str]:
    wanted = ("avx512f", "avx2", "asimd")
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split())
    except (OSError, IndexError):
        return []
    return [name for name in wanted if name in flags]


def describe(number: int, limit_bytes: int, engine: Any) -> Any:
    """The device as a `cupool.v1.DeviceInfo`, the caller's own."""
    info = session_pb2.DeviceInfo()
    info.CopyFrom(_described(number, limit_bytes, engine))
    arena = getattr(engine, "arena", None)
    if arena is not None:
        info.arena_base, info.arena_bytes = arena.base, arena.nbytes
    return info


@functools.lru_cache(maxsize=4)
def _described(number: int, limit_bytes: int, engine: Any) -> Any:
    """What of it never changes, made once: every hello has it, and a client waits for that."""
    major, minor = COMPUTE_CAPABILITY
    processors = cores()
    properties: dict[str, Any] = {
        "name": f"cupool CPU device {number}".encode(),
        "uuid": uuid.UUID(device_uuid(number)).bytes,
        "totalGlobalMem": limit_bytes,
        "major": major,
        "minor": minor,
        "multiProcessorCount": processors,
        "maxThreadsDim": (1024, 1024, 64),
        "maxGridSize": (2147483647, 65535, 65535),
        "l2CacheSize": 1 << 20,
        "luid": b"",
        "luidDeviceNodeMask": 0,
        "pciDeviceID": number,
        **{name: value for name, _, value in _LIMITS},
    }
    attributes: dict[str, Any] = {
        "MemoryPoolsSupported": 1,  # counted by the server, see apiserver/rawmemory.py
        "ComputeCapabilityMajor": major,
        "ComputeCapabilityMinor": minor,
        "MultiProcessorCount": processors,
        "MaxBlockDimX": 1024, "MaxBlockDimY": 1024, "MaxBlockDimZ": 64,
        "MaxGridDimX": 2147483647, "MaxGridDimY": 65535, "MaxGridDimZ": 65535,
        "L2CacheSize": 1 << 20,
        "PciDeviceId": number,
        **{name: value for _, name, value in _LIMITS},
    }  # fmt: skip
    return session_pb2.DeviceInfo(
        kind="cpu", name=f"cupool CPU device {number}", uuid=device_uuid(number), total_bytes=limit_bytes, limit_bytes=limit_bytes,
        compute_capability=f"{major}{minor}", driver_version=CUDA_VERSION, runtime_version=CUDA_VERSION,
        properties=named(properties), attributes=named(attributes), fingerprint=fingerprint(),
        kernels="this build has no kernel engine" if engine is None else engine.why_not(),
    )  # fmt: skip
