"""What a GPU tells about itself, as a `cupool.v1.DeviceInfo`."""

from __future__ import annotations

import uuid
from typing import Any

import cupy
import numpy as np

from cupool.contract.values import named
from cupool.v1 import session_pb2


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def describe(device: int, limit_bytes: int, arena: Any) -> Any:
    """The device, complete but for the session's own limits."""
    runtime = cupy.cuda.runtime
    properties = {name: _plain(value) for name, value in runtime.getDeviceProperties(device).items()}
    driver, version = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    raw = properties.get("uuid", b"")
    info = session_pb2.DeviceInfo(
        kind="cuda",
        name=properties["name"].decode(),
        uuid=str(uuid.UUID(bytes=raw)) if len(raw) == 16 else f"device-{device}",
        total_bytes=int(properties["totalGlobalMem"]),
        limit_bytes=limit_bytes,
        compute_capability=f"{properties['major']}{properties['minor']}",
        driver_version=driver,
        runtime_version=version,
        properties=named(properties),
        attributes=named({name: int(value) for name, value in cupy.cuda.Device(device).attributes.items()}),
        fingerprint=(
            f"cuda cupy-{cupy.__version__} numpy-{np.__version__} driver-{driver} runtime-{version} "
            f"cc-{properties['major']}.{properties['minor']} sm-{properties['multiProcessorCount']}"
        ),
        kernels="",
    )
    if arena is not None:
        info.arena_base, info.arena_bytes = arena.base, arena.nbytes
    return info
