"""Devices: what an API server runs commands on. `cuda` is real CuPy on a GPU; `cpu` is a working device on NumPy and g++."""

from __future__ import annotations

from .base import Device, MemoryInfo

__all__ = ["Device", "MemoryInfo"]
