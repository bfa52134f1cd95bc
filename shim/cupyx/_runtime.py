"""`cupyx.get_runtime_info`: what this is, and what the server at the other end has."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.errors import CUDARuntimeError

from .. import cupy as _cupy


def _or_error(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except CUDARuntimeError as error:
        return repr(error)


def _version_of(distribution: str) -> str | None:
    import importlib.metadata  # of which importing costs more than all of `cupyx`

    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


class _RuntimeInfo:
    """CuPy's attributes. Those of CUDA libraries are None: no library is in this process.

    Attributes:
        cupy_version: the CuPy that is presented.
        cuda_driver_version: the server's, or the error that asking for it gave.
        cuda_runtime_version: likewise.
        numpy_version: of this process.
        scipy_version: of this process, or None.
    """

    cuda_path = nvcc_path = cuda_build_version = cuda_local_runtime_version = cuda_local_runtime_path = None
    cublas_version = cublas_path = cufft_version = cufft_path = curand_version = curand_path = None
    cusolver_version = cusolver_path = cusparse_version = cusparse_path = nvrtc_version = nvrtc_path = None
    thrust_version = cuda_extra_include_dirs = nccl_build_version = nccl_runtime_version = nccl_path = None
    cub_build_version = jitify_build_version = cutensor_version = cutensor_path = None
    cusparselt_version = cusparselt_path = cython_build_version = cython_version = None

    def __init__(self, *, full: bool = True) -> None:
        self._full = full
        self.cupy_version = _cupy.__version__
        self.cuda_driver_version = _or_error(lambda: _cupy.cuda.runtime.driverGetVersion())
        self.cuda_runtime_version = _or_error(lambda: _cupy.cuda.runtime.runtimeGetVersion())
        self.numpy_version = np.__version__
        self.scipy_version = _version_of("scipy")

    def _devices(self) -> list[tuple[str, Any]]:
        records: list[tuple[str, Any]] = []
        for number in range(_cupy.cuda.runtime.getDeviceCount()):
            device = _cupy.cuda.Device(number)
            name = _cupy.cuda.runtime.getDeviceProperties(number)["name"].decode()
            records += [
                (f"Device {number} Name", name),
                (f"Device {number} Compute Capability", device.compute_capability),
                (f"Device {number} PCI Bus ID", device.pci_bus_id),
            ]
        return records

    def __str__(self) -> str:
        records: list[tuple[str, Any]] = [
            ("OS", platform.platform()),
            ("Python Version", platform.python_version()),
            ("CuPy Version", self.cupy_version),
            ("CuPy Platform", f"cupool {_version_of('cupool') or ''}".strip()),
            ("NumPy Version", self.numpy_version),
            ("SciPy Version", self.scipy_version),
            ("CUDA Driver Version", self.cuda_driver_version),
            ("CUDA Runtime Version", self.cuda_runtime_version),
            *self._devices(),
        ]
        width = max(len(name) for name, _ in records) + 2
        return "".join(f"{name:{width}}: {value}\n" for name, value in records)


def get_runtime_info(*, full: bool = True) -> _RuntimeInfo:
    """Versions of this process and of the server's CUDA; `str` of it is a table for people. Opens the session."""
    return _RuntimeInfo(full=full)
