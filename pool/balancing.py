"""The balancer's side of the controller: what it decides on, what it decided, and which policy it has.

The balancer is a process of its own (`python -m cupool.balancer`), a client of AdminService. Here is the snapshot of the books that it
asks for, four times a second, the last of its decisions, and the choice of its policy. Nothing is decided here. At most one balancer
acts: a second one is refused while the first has asked in the last seconds.

Utilisation: of a device what its agent measured (NVML; for CPU devices accounted); of a session the part of the last five samples in
which its server executed.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable

from cupool.contract import balance
from cupool.v1 import admin_pb2

from . import states, tenants
from .controller import Controller
from .leases import Device, Session
from .refusals import Code, Refused

#: Decisions that are kept.
KEPT = 100
SHOWN = 20
#: A balancer that has not asked for so long acts no more: another may.
ALIVE_S = 3.0
#: Samples of a session's time, and their least distance. Five of 250 ms: DGSF's window.
_SAMPLES, _SAMPLE_S = 5, 0.2
#: Under which name the directory has what was chosen.
_CHOICE = "balance"
#: So many moves of one decision are told one by one.
_TOLD = 20


class Share:
    """Which part of its time a session executed, over the last samples of a count that only grows. Pure."""

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES + 1)

    def take(self, executed_s: float, now: float) -> float:
        """With a new sample: the share, 0 to 1; 0 before the second one."""
        samples = self._samples
        if samples and executed_s < samples[-1][1]:
            samples.clear()  # counted from the beginning again, on another server
        if not samples or now - samples[-1][0] >= _SAMPLE_S:
            samples.append((now, executed_s))
        (first, then), (last, executed) = samples[0], samples[-1]
        return min(1.0, max(0.0, (executed - then) / (last - first))) if last > first else 0.0


class Balancing:
    """See the module. Any thread; takes the controller's lock."""

    def __init__(self, controller: Controller, audit: Callable[[str, str, str, str], None]) -> None:
        """
        Args:
            audit: (who, what was done, to what, why)
        """
        self._controller = controller
        self._audit = audit
        self._shares: dict[str, Share] = {}
        self._decisions: deque[admin_pb2.BalanceDecision] = deque(maxlen=KEPT)
        self._balancer = ""
        self._asked_at = float("-inf")
        self._counts: Counter[str] = Counter()
        config = controller.config
        self._configured = f"{config.balance} {config.balance_dry_run}"
        self.policy, self.dry_run = config.balance, config.balance_dry_run
        self._recall()

    def _recall(self) -> None:
        """What was chosen before this start of the controller, where it was started with the same settings."""
        kept = self._controller.directory.choice(_CHOICE)
        if not kept:
            return
        chosen = json.loads(kept)
        if chosen["configured"] == self._configured and chosen["policy"] in balance.POLICIES:
            self.policy, self.dry_run = chosen["policy"], chosen["dry_run"]

    # ---- the balancer asks and tells

    def snapshot(self, balancer: str) -> admin_pb2.Snapshot:
        """The pool of now.

        Args:
            balancer: who will act on it; "": somebody who only looks.

        Raises:
            Refused: FAILED_PRECONDITION: another balancer acts.
        """
        c = self._controller
        with c.lock:
            now = c.clock()
            if balancer:
                self._admit(balancer, now)
            devices = list(c.books.devices.values())
            snapshot = admin_pb2.Snapshot(at_s=now, policy=self.policy, dry_run=self.dry_run)
            snapshot.devices.extend(_device(d) for d in devices)
            shares: dict[str, Share] = {}
            for session in c.books.sessions.values():
                if session.state == states.SESSION_ENDING:
                    continue
                share = shares[session.id] = self._shares.get(session.id) or Share()
                part = share.take(session.usage.kernel_s, now)
                snapshot.sessions.append(self._session(session, part, now))
            self._shares = shares
            snapshot.waiting.extend(self._waiting(devices, now))
        return snapshot

    def _admit(self, balancer: str, now: float) -> None:
        seen_s = now - self._asked_at
        if balancer != self._balancer:
            if seen_s < ALIVE_S:
                raise Refused(
                    Code.FAILED_PRECONDITION,
                    f"Another balancer, {self._balancer}, acts for this pool; it asked {seen_s:.1f} s ago.",
                    "End one of them: `cupool up` starts its own, unless with --balance none.",
                )
            self._controller.events.emit("balancer-here", balancer, "It decides for this pool from now on.")
        self._balancer, self._asked_at = balancer, now
        self._counts["snapshots"] += 1

    def _session(self, session: Session, share: float, now: float) -> admin_pb2.SnapshotSession:
        fixed = session.fixed
        if session.state == states.SESSION_LEASED:
            fixed = "no client has come to it yet"
        move = self._controller.moves.get(session.id)
        return admin_pb2.SnapshotSession(
            session=session.id,
            device=session.device.key,
            tenant=session.tenant.name,
            priority=session.priority,
            memory_bytes=session.memory_bytes if session.device.counts_promises else 0,
            used_bytes=session.usage.used_bytes,
            utilisation=share,
            dirty_bytes_a_s=session.dirty_bytes_a_s,
            age_s=max(0.0, now - session.given_at),
            last_move_s=max(0.0, now - session.moved_at) if session.moves and session.moved_at > 0.0 else -1.0,
            moves=session.moves,
            moving=move is not None,
            attached=session.state == states.SESSION_ATTACHED,
            fixed=fixed,
            destination=(move.destination_device or move.wanted) if move is not None else "",
        )

    def _waiting(self, devices: Iterable[Device], now: float) -> Iterable[admin_pb2.SnapshotWaiting]:
        """Those who wait for room: not those who wait for their own tenant's sessions to end."""
        defaults: dict[str, int] = {}
        for device in devices:
            for kind in ("", device.kind):
                defaults[kind] = min(defaults.get(kind, device.default_bytes), device.default_bytes)
        for place in self._controller.queue:
            waiting = place.item
            memory = waiting.wish.memory_bytes or defaults.get(waiting.wish.kind, 0)
            if tenants.over_quota(waiting.tenant, memory) is None:
                yield admin_pb2.SnapshotWaiting(
                    tenant=waiting.tenant.name,
                    memory_bytes=memory,
                    kind=waiting.wish.kind,
                    waited_s=max(0.0, now - place.entered_s),
                    priority=place.priority,
                )

    def report(self, who: str, decision: admin_pb2.BalanceDecision) -> None:
        """Keep a decision, and tell of it. Of decisions that moved nothing only the last is kept: those that did are asked about."""
        with self._controller.lock:
            last = self._decisions[-1] if self._decisions else None
            if last is not None and not (last.moves or last.failed):
                self._decisions.pop()
            # A dry run comes to the same again and again.
            known = {(m.session, m.destination) for m in last.moves} if last is not None and last.dry_run else set()
            self._decisions.append(decision)
            self._counts["decided"] += 0 if decision.dry_run else len(decision.moves)
            self._counts["failed"] += len(decision.failed)
        for move in decision.moves[:_TOLD]:
            if (move.session, move.destination) in known and decision.dry_run:
                continue
            would = "would move" if decision.dry_run else "moves"
            text = f"{decision.policy} {would} it from {move.source} to {move.destination}: {move.reason}"
            text += f" Saves {move.gain_s:.2f} s, costs {move.cost_s:.2f} s." if move.gain_s else ""
            self._controller.events.emit("session-balanced", move.session, text)
            if not decision.dry_run:
                self._audit(who, "session-balanced", move.session, text)

    def _is_running(self) -> bool:
        """Whether a balancer acts. With the lock held."""
        return self._controller.clock() - self._asked_at < ALIVE_S

    # ---- operators look and choose

    def shown(self, last: int) -> admin_pb2.GetBalanceReply:
        """The policy, who decides, and the last decisions."""
        c = self._controller
        with c.lock:
            seen_s = c.clock() - self._asked_at
            count = last or SHOWN
            return admin_pb2.GetBalanceReply(
                policy=self.policy,
                dry_run=self.dry_run,
                is_running=self._is_running(),
                decisions=list(self._decisions)[-count:],
                balancer=self._balancer,
                seen_s=seen_s if self._balancer else 0.0,
                snapshots=self._counts["snapshots"],
                moves_decided=self._counts["decided"],
                moves_failed=self._counts["failed"],
            )

    def choose(self, who: str, request: admin_pb2.SetBalanceRequest) -> None:
        """Another policy, or dry run; kept until the pool is started with other settings.

        Raises:
            Refused: there is no such policy, nothing is chosen, or nobody would act on it.
        """
        if request.policy and request.policy not in balance.POLICIES:
            raise Refused(
                Code.INVALID_ARGUMENT,
                f"There is no policy {request.policy!r}.",
                f"Policies are: {', '.join(balance.POLICIES)}.",
            )
        if not request.policy and not request.HasField("dry_run"):
            raise Refused(Code.INVALID_ARGUMENT, "Nothing was chosen.", "Name a policy, or dry run.")
        c = self._controller
        with c.lock:
            if request.policy not in ("", "none") and c.config.balance == "none" and not self._is_running():
                # Kept, it would hold until the pool is started with another setting, which replaces it: it would never act.
                raise Refused(
                    Code.FAILED_PRECONDITION,
                    f"This pool was started with --balance none and has no balancer: {request.policy} would move nothing.",
                    f"Start it again with --balance {request.policy}; from then on it can be changed while the pool runs.",
                )
            self.policy = request.policy or self.policy
            if request.HasField("dry_run"):
                self.dry_run = request.dry_run
            chosen = {"configured": self._configured, "policy": self.policy, "dry_run": self.dry_run}
            c.directory.set_choice(_CHOICE, json.dumps(chosen))
            what = f"The policy is {self.policy}{', and nothing is moved: dry run' if self.dry_run else ''}."
        c.events.emit("balance-set", c.directory.pool, what)
        self._audit(who, "balance-set", c.directory.pool, what)


def _device(device: Device) -> admin_pb2.SnapshotDevice:
    view = device.view()
    # Those that a session would come to first; of one that has no warm server, what its others have.
    prints = {s.fingerprint for s in device.warm.values()} or {
        s.fingerprint for by in device.servers.values() for s in by.values() if s.fingerprint
    }
    return admin_pb2.SnapshotDevice(
        device=device.key,
        kind=device.kind,
        fingerprint=min(prints, default=""),
        memory_bytes=device.total_bytes if device.counts_promises else 0,
        promised_bytes=device.promised_bytes,
        utilisation=min(1.0, max(0.0, device.measured.utilization)),
        sessions=device.holding,
        max_sessions=device.max_sessions,
        warm=view.warm,
        # One on which servers do not start takes no session either.
        cordoned=device.cordoned is not None or bool(device.failure),
        draining=device.is_draining,
        failed=device.measured.cordoned,  # its own node found it broken
        is_connected=device.node.is_connected,
        power_w=device.measured.power_w,
        power_limit_w=device.measured.power_limit_w,
        link_bytes_a_s=device.link_bytes_a_s,
        node=device.node.id,
    )
