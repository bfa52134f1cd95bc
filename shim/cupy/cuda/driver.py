"""`cupy.cuda.driver`: the exception, and the version. The rest is the server's."""

from __future__ import annotations

from typing import Any

from cupool.contract.errors import CUDADriverError

from .runtime import driverGetVersion

CUDADriverError.__module__ = "cupy_backends.cuda.api.driver"


def get_build_version() -> int:
    """The server's driver version."""
    return driverGetVersion()


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.driver", name)


__all__ = ["CUDADriverError", "driverGetVersion", "get_build_version"]
