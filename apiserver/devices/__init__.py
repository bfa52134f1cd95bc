"""Devices: what an API server runs commands on. `cuda` is real CuPy on a GPU; `cpu` is a working device on NumPy and g++."""

from __future__ import annotations

from .base import Device, MemoryInfo


def make_device(
    kind: str, number: int, memory_bytes: int, arena_base: int = 0, cuda_moves: bool = False, cuda_graphs: bool = False,
    cuda_fusion: bool = False,
) -> Device:  # fmt: skip
    """The device of this process.

    Args:
        kind: "cpu" or "cuda".
        arena_base: where its arena begins; 0: its own choice.
        cuda_moves: whether sessions of a GPU may be moved and saved.
        cuda_graphs: whether loops run as captured CUDA graphs.
        cuda_fusion: whether chains of elementwise commands run as one kernel on a GPU.

    Raises:
        ValueError: no such kind. ImportError, RuntimeError: it cannot run here.
    """
    if kind == "cpu":
        from .cpu.device import CpuDevice

        return CpuDevice(number, memory_bytes, arena_base)
    if kind == "cuda":
        from .cuda.device import CudaDevice

        made: Device = CudaDevice(number, memory_bytes, arena_base, cuda_moves, cuda_graphs, cuda_fusion)
        return made
    raise ValueError(f"no device kind {kind!r}; there are cpu and cuda")


__all__ = ["Device", "MemoryInfo", "make_device"]
