"""What devices this host has. Asks NVML only: nothing here creates a GPU context or imports CuPy."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from .config import DeviceConfig, default_memory_bytes


def gpu_count() -> int:
    """GPUs that the driver shows; 0 without a driver or without `nvidia-ml-py`."""
    try:
        import pynvml
    except ModuleNotFoundError:
        return 0
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0  # no driver, or no GPU
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()


def has_cupy() -> bool:
    """Whether the real CuPy is installed. The drop-in folder, which gives the shim, does not count."""
    path = [p for p in sys.path if Path(p).name != "dropin"]
    finder = importlib.machinery.PathFinder
    return finder.find_spec("cupy", path) is not None


def find() -> DeviceConfig:
    """The device for an embedded pool: the first GPU where CuPy can use it, else the CPU device."""
    if gpu_count() and has_cupy():
        return DeviceConfig("cuda", 0, 0)
    return DeviceConfig("cpu", 0, default_memory_bytes("cpu"))
