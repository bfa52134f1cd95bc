"""The working state of one decision: who is where, which devices may give and take, and what has been chosen so far.

Every policy chooses through a `Board`, so what must never happen is kept here once: nothing goes to a device that is closed, full or
unequal, and a device or a session takes part in one move at a time, those under way counted. Order of the input never matters: lists
are sorted by value and then by id, sums are exact.
"""

from __future__ import annotations

import heapq
import itertools
import operator
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

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
        looked: how many contended devices the last decisions looked into, where it did not reach all.
    """

    moved_at_s: float | None = None
    failures: dict[str, tuple[float, int]] = field(default_factory=dict)
    looked: int = 0

    def noted(self, session: str, at_s: float, failed: bool) -> Memory:
        """With the end of one move of the session."""
        failures = {s: f for s, f in self.failures.items() if s != session}
        if failed:
            failures[session] = at_s, self.failures.get(session, (0.0, 0))[1] + 1
        return replace(self, failures=failures)


class Board:
    """See the module.

    Attributes:
        devices: by id.
        busy: devices with a move, under way or chosen.
        chosen: moves so far.
        refused: how often something was not done, by why.
        looked: for the next decision's memory.
    """

    def __init__(self, snapshot: Snapshot, memory: Memory, tuning: Tuning) -> None:
        self.snapshot = snapshot
        self.memory = memory
        self.tuning = tuning
        self.devices: dict[str, Device] = {d.id: d for d in snapshot.devices}
        self.busy: set[str] = set()
        self.chosen: list[Move] = []
        self.refused: Counter[str] = Counter()
        self.looked = 0
        sessions, devices = snapshot.sessions, snapshot.devices
        if any(map(_moving, sessions)):
            for session in sessions:
                if session.moving:
                    self.busy |= {session.device, session.destination}
        self._index = dict(zip(self.devices, range(len(devices)), strict=False))
        # Columns: ten thousand devices are decided on in milliseconds. Of a device that is not listed: behind the last.
        where = map(self._index.get, map(_device, sessions), itertools.repeat(len(devices)))
        at = np.fromiter(where, np.int64, len(sessions))
        order = np.argsort(at, kind="stable")
        self._order = order
        self._ends = np.searchsorted(at[order], np.arange(len(devices)), side="right")
        self._begins = np.searchsorted(at[order], np.arange(len(devices)), side="left")
        self._load = self._loads(at)
        self._there: dict[str, list[Session]] = {}
        self._takers: dict[tuple[str, str], list[_Entry]] | None = None
        self._hosts: dict[str, list[Device]] | None = None
        self._near: dict[tuple[str, str, str], list[_Entry]] = {}

    def _loads(self, at: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        count, full = len(self.snapshot.devices), self.tuning.full
        used = np.fromiter(map(_utilisation, self.snapshot.sessions), np.float64, len(at))
        # In whole parts of 2**-30: such sums are exact, whatever their order.
        own = np.bincount(at, np.rint(used * 2.0**30), count + 1)[:count] * 2.0**-30
        measured = np.fromiter(map(_utilisation, self.snapshot.devices), np.float64, count)
        # Of others, outside the pool: they cannot be moved, but they are in the way.
        foreign = measured - own
        foreign[foreign <= self.tuning.foreign] = 0.0
        for device in np.flatnonzero(foreign).tolist():
            if not costs.is_measured_apart(self.snapshot.devices[device]):
                foreign[device] = 0.0
        idle = (1.0 - np.minimum(own, 1.0)) * (1.0 - np.minimum(foreign, 1.0))
        load: npt.NDArray[np.float64] = np.minimum(1.0 - idle, full)
        return load

    def load(self, device: Device) -> float:
        """The device's utilisation as the policies count it, 0 to `tuning.full`."""
        return float(self._load[self._index[device.id]])

    def count(self, device: Device) -> int:
        """How many of the snapshot's sessions are on the device."""
        at = self._index[device.id]
        return int(self._ends[at] - self._begins[at])

    def there(self, device: Device) -> list[Session]:
        """The device's sessions, by id."""
        found = self._there.get(device.id)
        if found is None:
            at = self._index[device.id]
            rows = self._order[self._begins[at] : self._ends[at]].tolist()
            found = self._there[device.id] = sorted([self.snapshot.sessions[n] for n in rows], key=_id)
        return found

    # ---- who may give

    def sources(self, least_load: float = 0.0) -> Iterator[Device]:
        """Devices with sessions that can be copied away now, and at least so much load. In no order."""
        chosen = (self._ends > self._begins) & (self._load >= least_load)
        for at in np.flatnonzero(chosen).tolist():
            device = self.snapshot.devices[at]
            if device.is_connected and device.id not in self.busy:
                yield device

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
        if self.memory.failures and (failed := self.memory.failures.get(session.id)):
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
        for session in self.there(device):
            if why := self.why_fixed(session, rest):
                self.refused[general(why)] += 1
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
            self._find_takers()
            assert self._takers is not None
        listed = self._on_host(source, node) if node else self._takers.get((source.kind, source.fingerprint), [])
        while listed and listed[-1][2] in self.busy:  # for ever: devices only become busy
            listed.pop()
        for _, _, id in reversed(listed):
            if id != source.id and id not in self.busy:
                yield self.devices[id]

    def _find_takers(self) -> None:
        groups: dict[tuple[str, str], list[int]] = {}
        for at, device in enumerate(self.snapshot.devices):
            if device.sessions < device.max_sessions and not self.why_closed(device):
                groups.setdefault((device.kind, device.fingerprint), []).append(at)
        # As many as can be asked for: two become busy with each move.
        most = 2 * self.tuning.most_moves + self.tuning.reach + 1
        self._takers = {}
        for group, rows in groups.items():
            if len(rows) > most:
                loads = self._load[rows]
                rows = np.array(rows)[loads <= np.partition(loads, most)[most]].tolist()
            # The best is last: it is popped when it becomes busy.
            self._takers[group] = heapq.nsmallest(most, [self._entry(self.snapshot.devices[at]) for at in rows])[::-1]

    def _on_host(self, source: Device, node: str) -> list[_Entry]:
        if self._hosts is None:
            self._hosts = {}
            for device in self.snapshot.devices:
                self._hosts.setdefault(device.node, []).append(device)
        key = source.kind, source.fingerprint, node
        if key not in self._near:
            like = [
                d for d in self._hosts.get(node, ()) if (d.kind, d.fingerprint) == key[:2] and not self.why_closed(d)
            ]
            self._near[key] = sorted(map(self._entry, like), reverse=True)
        return self._near[key]

    def _entry(self, device: Device) -> _Entry:
        return self.load(device), device.promised_bytes, device.id

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

    def is_full(self) -> bool:
        """Whether this decision has all its moves."""
        return len(self.chosen) >= self.tuning.most_moves

    def choose(
        self, session: Session, destination: Device, reason: str, gain_s: float = 0.0, cost_s: float = 0.0
    ) -> None:
        source = self.devices[session.device]
        if why := self.why_fixed(session, rest=False) or self.why_not_to(session, source, destination):
            raise RuntimeError(f"the policy chose to move {session.id} to {destination.id}, but {why}")
        self.busy |= {source.id, destination.id}
        self.chosen.append(Move(session.id, source.id, destination.id, reason, gain_s, cost_s))


#: A device by what its session would find there: load, promised bytes, id.
_Entry = tuple[float, int, str]

_id = operator.attrgetter("id")
_device = operator.attrgetter("device")
_moving = operator.attrgetter("moving")
_utilisation = operator.attrgetter("utilisation")


def general(why: str) -> str:
    """A reason without what is of one session alone, to be counted."""
    return why.partition(":")[0]
