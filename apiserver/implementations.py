"""Which function of a device runs which op of the table: looked up when a server starts, not when a client calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cupool.contract.ops import TABLE

from . import captures
from .devices.base import Device
from .internal import INTERNAL


def resolve_table(device: Device) -> dict[str, Callable[..., Any]]:
    """Every remote op's implementation on this device, by `row.impl`.

    Raises:
        LookupError: ops that the device neither has nor declares missing; all of them are named.
    """
    impls: dict[str, Callable[..., Any]] = {}
    missing, absent = device.missing(), []
    for row in TABLE.values():
        own = row.impl in INTERNAL or row.impl in captures.OPS
        if not row.is_remote or own or row.impl in missing or row.impl in impls:
            continue
        try:
            impls[row.impl] = device.resolve(row.impl)
        except KeyError:
            absent.append(f"{row.name} ({row.impl})" if row.impl != row.name else row.name)
    if absent:
        raise LookupError(
            f"the {device.kind} device has no implementation of {len(absent)} ops of the table: {', '.join(absent)}"
        )
    return impls
