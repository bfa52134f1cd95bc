"""The pool of one moment, as the balancer sees it: frozen values, ids as text. `messages` converts from and to the wire.

`policy.decide` reads nothing else; a simulation fills in the same records.
"""

from __future__ import annotations

from dataclasses import dataclass

#: A session that has never moved.
NEVER = -1.0


@dataclass(frozen=True, slots=True)
class Device:
    """A device and what its agent and the books say of it.

    Attributes:
        kind, fingerprint: a session goes only to a device that is equal in both.
        memory_bytes: what sessions may hold together; 0: unknown, and then it never is too small.
        promised_bytes: leased to sessions, those on their way to it included.
        utilisation: share of its time in which it works, 0 to 1, smoothed.
        sessions, max_sessions: those that it has or is about to get.
        warm: servers that are ready for a session.
        cordoned: takes no new sessions; those that are there stay.
        draining: takes none, and all leave.
        failed: no session can go on there for long (a hardware fault).
        is_connected: its agent is; a session cannot be copied from a device whose agent is away.
        power_w, power_limit_w: as measured; a limit of 0: unknown.
        link_bytes_a_s: what moves to and from it have reached; 0: none has been measured.
    """

    id: str
    kind: str = "cpu"
    fingerprint: str = ""
    memory_bytes: int = 0
    promised_bytes: int = 0
    utilisation: float = 0.0
    sessions: int = 0
    max_sessions: int = 8
    warm: int = 1
    cordoned: bool = False
    draining: bool = False
    failed: bool = False
    is_connected: bool = True
    power_w: float = 0.0
    power_limit_w: float = 0.0
    link_bytes_a_s: float = 0.0
    node: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A session that is somewhere.

    Attributes:
        memory_bytes: promised to it.
        used_bytes: what it holds, and a move would copy.
        utilisation: its share of the device's time, 0 to 1, smoothed.
        dirty_bytes_a_s: what it overwrites in a second; 0: unknown.
        last_move_s: seconds since its last move; negative: it has never moved.
        moves: how many times it has moved.
        moving: a move of it is under way, to `destination`.
        attached: its client is there.
        fixed: why it cannot be moved; empty: it can.
    """

    id: str
    device: str
    tenant: str = "default"
    priority: int = 0
    memory_bytes: int = 0
    used_bytes: int = 0
    utilisation: float = 0.0
    dirty_bytes_a_s: float = 0.0
    age_s: float = 0.0
    last_move_s: float = NEVER
    moves: int = 0
    moving: bool = False
    attached: bool = True
    fixed: str = ""
    destination: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One who waits for room. Who waits because of a quota is none: no move helps it.

    Attributes:
        memory_bytes: what it will be promised.
        kind: of device; empty: any.
    """

    tenant: str = "default"
    memory_bytes: int = 0
    kind: str = ""
    waited_s: float = 0.0
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of one moment. `at_s` is the controller's clock; nothing is said about its zero."""

    at_s: float = 0.0
    devices: tuple[Device, ...] = ()
    sessions: tuple[Session, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    policy: str = "cost-aware"
    dry_run: bool = False
