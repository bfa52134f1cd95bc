"""The working state of one decision: who is where, which devices may give and take, and what has been chosen so far.

Every policy chooses through a `Board`, so what must never happen is kept here once: nothing goes to a device that is closed, full or
unequal, and a device or a session takes part in one move at a time, those under way counted. Order of the input never matters: lists
are sorted by value and then by id, sums are exact.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from . import costs
from .snapshot import Device, Session, Snapshot
from .tuning import Tuning


@dataclass(frozen=True, slots=True)
class Move:
    """One that was chosen. `gain_s` and `cost_s`: predicted, 0 where the policy predicts none."""

    session: str
    source: str
    destination: str
    reason: str
    gain_s: float = 0.0
    cost_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What a policy remembers from decision to decision, beside what the snapshot says. A value: passed in and returned.

    Attributes:
        moved_at_s: when a decision last chose a move, on the snapshot's clock; None: never.
        failures: of sessions whose last move failed: when, and how many in a row. `noted` adds to it.
    """

    moved_at_s: float | None = None
    failures: dict[str, tuple[float, int]] = field(default_factory=dict)

    def noted(self, session: str, at_s: float, failed: bool) -> Memory:
        """With the end of one move of the session."""
        failures = {s: f for s, f in self.failures.items() if s != session}
        if failed:
            failures[session] = at_s, self.failures.get(session, (0.0, 0))[1] + 1
        return Memory(self.moved_at_s, failures)


class Board:
    """See the module.

    Attributes:
        devices, on: devices by id, and the sessions of each that has any.
        load: utilisation of each device as the policies count it, 0 to `tuning.full`.
        busy: devices with a move, under way or chosen.
        chosen: moves so far.
        refused: how often something was not done, by why.
    """

    def __init__(self, snapshot: Snapshot, memory: Memory, tuning: Tuning) -> None:
        self.snapshot = snapshot
        self.memory = memory
        self.tuning = tuning
        self.devices: dict[str, Device] = {d.id: d for d in snapshot.devices}
        self.on: dict[str, list[Session]] = {}
        self.busy: set[str] = set()
        self.chosen: list[Move] = []
        self.refused: Counter[str] = Counter()
        on, devices = self.on, self.devices
        for session in snapshot.sessions:
            if session.moving:
                self.busy.add(session.device)
                self.busy.add(session.destination)
            if (found := on.get(session.device)) is not None:
                found.append(session)
            elif session.device in devices:
                on[session.device] = [session]
        self.load = {d.id: self._load(d) for d in snapshot.devices}
        self._takers: dict[tuple[str, str, str], list[tuple[float, int, str]]] | None = None

    def _load(self, device: Device) -> float:
        own = math.fsum([s.utilisation for s in self.on.get(device.id, ())])
        foreign = device.utilisation - own
        if foreign > self.tuning.foreign:  # of others, outside the pool: they cannot be moved, but they are in the way
            own = 1.0 - (1.0 - min(1.0, own)) * (1.0 - min(1.0, foreign))
        return min(own, self.tuning.full)

    # ---- who may give

    def sources(self) -> Iterator[Device]:
        """Devices whose sessions can be copied away now. In no order."""
        for id in self.on:
            if id not in self.busy and self.devices[id].is_connected:
                yield self.devices[id]

    def why_fixed(self, session: Session, rest: bool = True) -> str:
        """Why the session itself stays; empty: it may go.

        Args:
            rest: whether its cooldown counts. An evacuation does not wait for it.
        """
        tuning = self.tuning
        if session.moving:
            return "a move of it is under way"
        if session.fixed:
            return f"it cannot be moved: {session.fixed}"
        if failed := self.memory.failures.get(session.id):
            at_s, count = failed
            pause_s = min(tuning.longest_retry_s, tuning.retry_s * 2.0 ** min(count - 1, 16))
            if self.snapshot.at_s - at_s < pause_s:
                return f"its last {'move' if count == 1 else f'{count} moves'} failed; tried again {pause_s:g} s after that"
        if rest and session.last_move_s >= 0.0:
            cooldown_s = tuning.cooldown_s * min(max(1, session.moves), tuning.longest_cooldowns)
            if session.last_move_s < cooldown_s:
                return f"it rests for {cooldown_s:g} s after its last move"
        return ""

    def movable(self, device: Device, rest: bool = True) -> list[Session]:
        """The device's sessions that may go, by id."""
        found = []
        for session in sorted(self.on.get(device.id, ()), key=_id):
            if why := self.why_fixed(session, rest):
                self.refused[_general(why)] += 1
            else:
                found.append(session)
        return found

    # ---- who may take

    def why_closed(self, device: Device) -> str:
        """Why nothing is moved to the device; empty: it may take one session. Memory is not looked at."""
        if not device.is_connected:
            return "its agent is away"
        if device.failed:
            return "it has failed"
        if device.draining:
            return "it is being drained"
        if device.cordoned:
            return "it is cordoned"
        if device.sessions >= device.max_sessions:
            return f"it has all its {device.max_sessions} sessions"
        if device.id in self.busy:
            return "another move goes to or from it"
        if costs.is_hot(device, self.tuning.power_warm):
            return f"it is above {self.tuning.power_warm:.0%} of its power limit"
        return ""

    def why_not_to(self, session: Session, source: Device, device: Device) -> str:
        """Why the session cannot go to this device; empty: it can."""
        if device.id == source.id:
            return "it is there"
        if (device.kind, device.fingerprint) != (source.kind, source.fingerprint):
            return "it is of another kind or its libraries differ"
        if device.memory_bytes and device.promised_bytes + session.memory_bytes > device.memory_bytes:
            left = max(0, device.memory_bytes - device.promised_bytes)
            return f"its memory is promised: {left} bytes are left, {session.memory_bytes} wanted"
        return self.why_closed(device)

    def takers(self, source: Device, node: str = "") -> Iterator[Device]:
        """Devices that a session of `source` could go to if its memory fits, the least loaded first; of one host, if `node` is given."""
        if self._takers is None:
            self._takers = self._sorted_takers()
        listed = self._takers.get((source.kind, source.fingerprint, node), [])
        while listed and listed[-1][2] in self.busy:  # for ever: devices only become busy
            listed.pop()
        for _, _, id in reversed(listed):
            if id != source.id and id not in self.busy:
                yield self.devices[id]

    def _sorted_takers(self) -> dict[tuple[str, str, str], list[tuple[float, int, str]]]:
        takers: dict[tuple[str, str, str], list[tuple[float, int, str]]] = {}
        for device in self.snapshot.devices:
            if self.why_closed(device):
                continue
            entry = self.load[device.id], device.promised_bytes, device.id
            takers.setdefault((device.kind, device.fingerprint, ""), []).append(entry)
            if device.node:
                takers.setdefault((device.kind, device.fingerprint, device.node), []).append(entry)
        for listed in takers.values():
            listed.sort(reverse=True)  # the best is last: it is popped when it becomes busy
        return takers

    def first_fit(self, session: Session, source: Device, node: str = "") -> Device | None:
        """The least loaded device that can take the session; None where none of the first few can."""
        for reached, device in enumerate(self.takers(source, node)):
            if reached == self.tuning.reach:
                return None
            if not device.memory_bytes or device.promised_bytes + session.memory_bytes <= device.memory_bytes:
                return device
        return None

    def fits(self, session: Session, source: Device) -> Iterable[Device]:
        """At most two destinations to compare: the least loaded of all, and the least loaded of the session's own host."""
        first = self.first_fit(session, source)
        if first is None:
            return ()
        near = self.first_fit(session, source, source.node) if source.node and first.node != source.node else None
        return (first,) if near is None else (first, near)

    # ---- what is chosen

    def choose(
        self, session: Session, destination: Device, reason: str, gain_s: float = 0.0, cost_s: float = 0.0
    ) -> None:
        source = self.devices[session.device]
        if why := self.why_fixed(session, rest=False) or self.why_not_to(session, source, destination):
            raise RuntimeError(f"the policy chose to move {session.id} to {destination.id}, but {why}")
        self.busy |= {source.id, destination.id}
        self.chosen.append(Move(session.id, source.id, destination.id, reason, gain_s, cost_s))


def _id(session: Session) -> str:
    return session.id


def _general(why: str) -> str:
    """A reason without what is of one session alone, to be counted."""
    return why.partition(":")[0]
