"""What devices this host has. Asks NVML only: nothing here creates a GPU context or imports CuPy."""

from __future__ import annotations

import importlib.machinery
import os
import sys
from pathlib import Path

from .config import DeviceConfig


def gpu_memories() -> list[int]:
    """The memory of each GPU that the driver shows, in bytes; none without a driver or without `nvidia-ml-py`."""
    try:
        import pynvml
    except ModuleNotFoundError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []  # no driver, or no GPU
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return [int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) for handle in handles]
    finally:
        pynvml.nvmlShutdown()


def default_memory_bytes(device: DeviceConfig) -> int:
    """What a device offers when nobody said: half of this machine's memory, or nine tenths of the GPU's."""
    if device.kind == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    memories = gpu_memories()
    if device.index >= len(memories):
        raise ValueError(
            f"There is no GPU {device.index} here: the driver shows {len(memories)}. "
            "Look at `nvidia-smi`, and install the extras `server` and `cuda12` or `cuda13`; or use --devices cpu:1."
        )
    return memories[device.index] * 9 // 10


def has_cupy() -> bool:
    """Whether the real CuPy is installed. The drop-in folder, which gives the shim, does not count."""
    path = [p for p in sys.path if Path(p).name != "dropin"]
    return importlib.machinery.PathFinder.find_spec("cupy", path) is not None


def find() -> DeviceConfig:
    """The device for an embedded pool: the first GPU where CuPy can use it, else the CPU device."""
    return DeviceConfig("cuda" if has_cupy() and gpu_memories() else "cpu", 0, 0)
