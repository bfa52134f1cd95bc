"""Which servers to start: a pure decision over a snapshot of the pool. Ending follows from leases; starting is decided here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import states
from .config import DeviceConfig, PoolConfig

#: Servers that hold, or may still hold, a session's memory on their device.
OCCUPYING = frozenset({states.LEASED, states.ENDING})
#: Servers that will take a session.
READY_SOON = frozenset({states.STARTING, states.WARM})


@dataclass(frozen=True, slots=True)
class ServerView:
    """What the decision needs to know of a server."""

    device: str
    state: int
    had_session: bool


def occupied(device: str, servers: Sequence[ServerView]) -> int:
    """Sessions on `device`, those included whose server is still ending."""
    return sum(1 for s in servers if s.device == device and s.state in OCCUPYING and s.had_session)


def starts(
    devices: Sequence[DeviceConfig],
    servers: Sequence[ServerView],
    waiting: Sequence[str],
    *,
    spare: int,
    sessions_per_device: int,
    keep_spare_while_leased: bool,
    blocked: frozenset[str] = frozenset(),
) -> list[DeviceConfig]:
    """The devices to start one server each on, now.

    Args:
        devices: this host's.
        servers: those that are not dead.
        waiting: the device kind that each queued Acquire asks for; "" for any.
        spare: warm servers wanted beside the leased ones.
        sessions_per_device: how many sessions a device takes at once.
        keep_spare_while_leased: False: spares only while nothing is leased.
        blocked: devices on which starting just failed.

    Cases: somebody waits for a kind that no coming server has; fewer spares than wanted; nothing to do.
    """
    coming = [s.device for s in servers if s.state in READY_SOON]
    chosen: list[DeviceConfig] = []

    def candidate(kind: str) -> DeviceConfig | None:
        """The device with the fewest sessions and coming servers that has room for one more."""
        best: tuple[int, int] | None = None
        found = None
        for place, device in enumerate(devices):
            if (kind and device.kind != kind) or device.id in blocked:
                continue
            busy = occupied(device.id, servers) + coming.count(device.id)
            if busy < sessions_per_device + (spare if keep_spare_while_leased else 0) and (
                best is None or (busy, place) < best
            ):
                best, found = (busy, place), device
        return found

    unused = list(coming)
    for kind in waiting:
        match = next((d for d in unused if not kind or d.startswith(kind)), None)
        if match is not None:
            unused.remove(match)
            continue
        device = candidate(kind)
        if device is not None:
            chosen.append(device)
            coming.append(device.id)
    is_leased = any(s.state in OCCUPYING for s in servers)
    wanted = spare if keep_spare_while_leased or not (is_leased or waiting) else 0
    while len(unused) < wanted:
        device = candidate("")
        if device is None:
            break
        chosen.append(device)
        coming.append(device.id)
        unused.append(device.id)
    return chosen


def starts_of(
    config: PoolConfig, servers: Sequence[ServerView], waiting: Sequence[str], blocked: frozenset[str] = frozenset()
) -> list[DeviceConfig]:
    """`starts` with a pool's own configuration."""
    return starts(
        config.devices,
        servers,
        waiting,
        spare=config.warm,
        sessions_per_device=config.max_sessions,
        keep_spare_while_leased=not config.embedded,
        blocked=blocked,
    )
