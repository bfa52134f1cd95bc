"""Which device a session goes to, and whom a device is kept free for. Pure decisions over a snapshot.

Best fit by memory, then by load, then by how many warm servers there are. A wish that no device can meet now is passed over for smaller
ones, but not for ever: after `HOLD_S` the device that can meet it soonest is kept for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

#: How long smaller wishes may overtake the one that is first in line.
HOLD_S = 2.0


@dataclass(frozen=True, slots=True)
class DeviceView:
    """What the decision needs to know of a device.

    Attributes:
        total_bytes: what its sessions may hold together; 0: unknown, and then it never is too small.
        promised_bytes: leased to sessions whose memory is not known to be free again.
        default_bytes: what a lease that wishes no memory gets.
        sessions, max_sessions: those that hold memory, or may still.
        warm: servers that are ready for a session.
        load: of the device, 0 to 1.
        is_open: connected, not cordoned.
    """

    id: str
    kind: str
    total_bytes: int
    promised_bytes: int
    default_bytes: int
    sessions: int
    max_sessions: int
    warm: int
    load: float = 0.0
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Wish:
    """What a lease asks for. `kind` "": any; `memory_bytes` 0: the device's default; `node` "": any, else that host's devices alone."""

    kind: str
    memory_bytes: int
    node: str = ""


def wanted_bytes(device: DeviceView, wish: Wish) -> int:
    return wish.memory_bytes or device.default_bytes


def is_able(device: DeviceView, wish: Wish) -> bool:
    """Whether the device, empty, could meet the wish."""
    if wish.kind and device.kind != wish.kind:
        return False
    if wish.node and device.id.rpartition("/")[0] != wish.node:
        return False
    return not device.total_bytes or wanted_bytes(device, wish) <= device.total_bytes


def has_room(device: DeviceView, wish: Wish) -> bool:
    """Whether the device could take the session now, if it had a warm server."""
    if not device.is_open or not is_able(device, wish) or device.sessions >= device.max_sessions:
        return False
    return not device.total_bytes or device.promised_bytes + wanted_bytes(device, wish) <= device.total_bytes


def choose(devices: Iterable[DeviceView], wish: Wish, kept: Collection[str] = ()) -> DeviceView | None:
    """The device for a wish; None where it must wait. `kept`: ids of devices that are kept for somebody else."""
    fitting = (d for d in devices if d.warm and d.id not in kept and has_room(d, wish))
    return min(
        fitting,
        key=lambda d: (d.total_bytes - d.promised_bytes, d.load, d.sessions / d.max_sessions, -d.warm, d.id),
        default=None,
    )


def keep_for(devices: Iterable[DeviceView], wish: Wish) -> str:
    """The device to keep free for a wish that has waited for too long: the one that lacks least; "" when none can ever meet it."""
    able = (d for d in devices if d.is_open and is_able(d, wish))
    best = min(
        able,
        key=lambda d: (
            max(0, d.promised_bytes + wanted_bytes(d, wish) - d.total_bytes) if d.total_bytes else 0,
            d.sessions / d.max_sessions,
            d.id,
        ),
        default=None,
    )
    return best.id if best is not None else ""
