"""Which sessions may move, and where to: what is asked of the controller, its refusals, the choice of a device and of a warm server on it.

See `moving.py` for what happens to a move then, and `core.py` for the lock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from cupool.contract.moves import Event, Happening, Move, Step
from cupool.v1 import admin_pb2, agent_pb2, server_pb2

from . import placement, states
from .leases import Device, Server, Session
from .leasing import Leasing
from .placement import Wish
from .refusals import Code, Refused

_log = logging.getLogger(__name__)

#: How bytes go. `copy`: the best way there is, which on one host is the ring of shared memory. `peer`: within one host or not at all.
ENGINES = ("copy", "peer")
#: The longest stop of a session, and how long a move may be without progress, where nobody says.
PAUSE_MS, TIMEOUT_MS = 2_000, 10_000
#: How much longer than its servers the controller waits for progress.
SLACK_S = 5.0
#: A drain does not try again with a session whose move was given up, for so long; doubled each time.
AGAIN_S, LONGEST_AGAIN_S = 2.0, 60.0


@dataclass(slots=True, eq=False)
class Ongoing:
    """One move, from when it was asked for until it is over, and a while longer for people.

    Attributes:
        wanted: the device that it is to go to; "": any that can take it.
        source_id, destination_id: servers; the objects are None where no host has told of them, after a start of the controller.
        missing: servers whose host came back without them, and when.
        gone: those of its servers whose end is proven.
        last_end: of the source, told before it was known what became of the session.
    """

    move: Move
    session: Session | None
    wanted: str
    engine: str
    why: str
    by: str
    max_pause_ms: int
    timeout_ms: int
    is_cold: bool
    asked_at: float
    asked: float
    tenant: str = ""
    source_id: str = ""
    source_node: str = ""
    destination_id: str = ""
    destination_node: str = ""
    source: Server | None = None
    destination: Server | None = None
    source_device: str = ""
    destination_device: str = ""
    report: server_pb2.MoveReport = field(default_factory=server_pb2.MoveReport)
    copying_since: float = 0.0
    copied_s: float = 0.0
    ended_at: float = 0.0
    missing: dict[str, float] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    last_end: tuple[agent_pb2.SessionEnd, Callable[[], None]] | None = None
    #: before its session is in the books: servers of it that have come, and what was told
    waiting: dict[str, tuple[Server, agent_pb2.ServerNews]] = field(default_factory=dict)
    early: list[Event] = field(default_factory=list)


class MovePlacing(Leasing):
    """Leasing, and where sessions may move."""

    moves: dict[str, Ongoing]  #: those under way, by session
    _sides: dict[str, Ongoing]  #: by server: the move that it is a side of

    def _happen(self, one: Ongoing, what: Happening, reason: str = "") -> None:
        """Something happened to a move: `moving.py` has the machine decide."""
        raise NotImplementedError

    # ---- what is asked

    def ask_move(self, session: Session, device: Device | None, request: admin_pb2.MoveSessionRequest) -> Ongoing:
        """Begin a move; with the lock held. `device` None: any that can take the session.

        Raises:
            Refused: it cannot be. The session goes on.
        """
        now = self.clock()
        self._check_movable(session, request)
        if device is not None:
            unfit = self._unfit(session, device, request.engine)
            if unfit is not None:
                raise unfit
        elif not self._fitting(session, request.engine):
            raise Refused(
                Code.RESOURCE_EXHAUSTED,
                f"No other device of {'its host' if request.engine == 'peer' else 'the pool'} can take the session now.",
                "Name one with --to to see why it cannot; `cupool gpus` lists them.",
            )
        timeout_ms = request.timeout_ms or TIMEOUT_MS
        one = Ongoing(
            move=Move(f"move-{self.ids(6)}", session.id, session.epoch, timeout_ms / 1000 + SLACK_S, now, now),
            session=session,
            wanted=device.key if device is not None else "",
            engine=request.engine or ENGINES[0],
            why=request.reason,
            by=request.by or "operator",
            max_pause_ms=request.max_pause_ms or PAUSE_MS,
            timeout_ms=timeout_ms,
            is_cold=request.is_cold,
            asked_at=now,
            asked=self.wall(),
            tenant=session.tenant.name,
            source_id=session.server.id,
            source_node=session.device.node.id,
            source=session.server,
            source_device=session.device.key,
        )
        session.move = one.move.id
        self.moves[session.id] = one
        self._sides[one.source_id] = one
        self.events.emit(
            "move-asked", session.id, f"{one.why or 'No reason given.'} ({one.by})", one.tenant, level=logging.DEBUG
        )
        self._tell(session)
        self._place(one, now)
        return one

    def cancel_move(self, session: Session, reason: str) -> Ongoing:
        """With the lock held. Raises Refused: there is none, or it is too late."""
        one = self.moves.get(session.id)
        if one is None:
            raise Refused(
                Code.NOT_FOUND, f"The session {session.id} is not moving.", "`cupool move --status` lists moves."
            )
        if one.move.step in (Step.RELEASED, Step.RETURNING, Step.ORPHANED):
            raise Refused(
                Code.FAILED_PRECONDITION,
                "It is too late: its source has released the session.",
                "Move it back instead.",
            )
        self._happen(one, Happening.CANCELLED, reason or "It was cancelled.")
        return one

    def _check_movable(self, session: Session, request: admin_pb2.MoveSessionRequest) -> None:
        if self.machine is None:
            raise Refused(
                Code.UNIMPLEMENTED,
                "This pool was started without what moves sessions.",
                "Start it with `cupool up`, or its controller as `python -m cupool.controller`.",
            )
        if request.engine and request.engine not in ENGINES:
            raise Refused(
                Code.INVALID_ARGUMENT, f"There is no engine {request.engine!r}.", f"Engines are: {', '.join(ENGINES)}."
            )
        if self.closing:
            raise Refused(Code.FAILED_PRECONDITION, self.closing, "Its sessions stay where they are.")
        if session.is_over or session.state == states.SESSION_ENDING:
            raise Refused(
                Code.FAILED_PRECONDITION, f"The session {session.id} is ending.", "`cupool ps` lists sessions."
            )
        if session.id in self.moves:
            step = self.moves[session.id].move.step.value
            raise Refused(
                Code.FAILED_PRECONDITION,
                f"The session {session.id} is moving already ({step}).",
                "Wait for it, or end it with `cupool move --cancel`.",
            )
        if session.state == states.SESSION_LEASED:
            raise Refused(
                Code.FAILED_PRECONDITION,
                f"No client has come to the session {session.id} yet: there is nothing to move.",
                f"It ends by itself when none comes within {self.config.lease_s} s.",
            )
        if session.missing_since:
            raise Refused(
                Code.FAILED_PRECONDITION,
                "The session's host came back without it: its server is gone.",
                "Its program makes it again elsewhere, where it can.",
            )
        if not session.device.node.is_connected:
            raise Refused(
                Code.FAILED_PRECONDITION,
                f"The session's host cannot be reached: {session.device.node.reason}",
                "Try again later.",
            )
        if session.fixed:
            raise Refused(
                Code.FAILED_PRECONDITION,
                session.fixed,
                "It goes on where it is; wait for its end, or end it with `cupool kill`.",
            )

    # ---- emptying a device

    def _move_away(self, device: Device, why: str, now: float) -> None:
        """Begin the moves that can be made now: one at a time between two devices."""
        request = admin_pb2.MoveSessionRequest(reason=why, by="drain")
        for session in list(self.books.on_device(device)):
            if session.id in self.moves or now < session.stays_until or session.state == states.SESSION_LEASED:
                continue
            if session.fixed:
                continue  # its server says when that changes
            pairs = self._pairs()
            free = [d for d in self._fitting(session) if (device.key, d.key) not in pairs]
            if not free:
                continue
            try:
                self.ask_move(session, None, request)
            except Refused as refused:
                session.stayed, session.stays_until = str(refused), now + AGAIN_S

    def why_it_stays(self, session: Session) -> str:
        """Why a session on a device that is drained is not on its way, in one sentence."""
        if session.state == states.SESSION_ENDING:
            return "It is ending."
        if session.state == states.SESSION_LEASED:
            return "No client has come to it yet."
        if session.fixed or session.stayed:
            return session.fixed or session.stayed
        if self.machine is None:
            return "This pool does not move sessions."
        if not self._fitting(session):
            return "No other device can take it now."
        return "Other sessions go first."

    # ---- placement

    def _wish(self, session: Session) -> Wish:
        return Wish(session.device.kind, session.memory_bytes)

    def _fitting(self, session: Session, engine: str = "") -> list[Device]:
        """Devices that can take the session now, the best first: those with a warm server, then as leases are placed."""
        found = [d for d in self.books.devices.values() if self._unfit(session, d, engine) is None]
        return sorted(
            found,
            key=lambda d: (
                not d.warm,
                d.measured.utilization,
                d.holding / d.max_sessions,
                d.promised_bytes - d.total_bytes,
                d.key,
            ),
        )

    def _unfit(self, session: Session, device: Device, engine: str = "") -> Refused | None:
        """Why a device cannot take the session; None: it can."""
        name, view, wish = self.device_name(device), device.view(), self._wish(session)
        failed, cordoned = (
            Code.FAILED_PRECONDITION,
            device.cordoned or (device.measured.cordoned and device.measured.reason),
        )
        if device is session.device:
            return Refused(Code.INVALID_ARGUMENT, f"The session is on {name} already.", "Name another device.")
        if engine == "peer" and device.node is not session.device.node:
            return Refused(
                failed, f"{name} is on another host, and the engine 'peer' moves within one.",
                f"Choose a device of {session.device.node.id}, or the engine 'copy'.",
            )  # fmt: skip
        if not device.node.is_connected:
            return Refused(
                failed, f"The host of {name} cannot be reached: {device.node.reason}", "Choose another device."
            )
        if cordoned:
            return Refused(
                failed,
                f"{name} is cordoned: {cordoned.rstrip('.')}.",
                "Choose another device, or `cupool uncordon` it.",
            )
        if device.failure:
            return Refused(failed, f"Servers do not start on {name}: {device.failure}", "Choose another device.")
        if device.kind != session.device.kind:
            return Refused(
                failed, f"{name} is a {device.kind!r} device; the session is on a {session.device.kind!r} one.",
                "Choose one of the same kind.",
            )  # fmt: skip
        if not placement.is_able(view, wish):
            return Refused(
                failed, f"{name} has {device.total_bytes:,} bytes; the session was promised {session.memory_bytes:,}.",
                "Choose a larger device.",
            )  # fmt: skip
        if not placement.has_room(view, wish):
            return Refused(
                Code.RESOURCE_EXHAUSTED,
                f"{name} is full: {device.holding} of {device.max_sessions} sessions, "
                f"{device.promised_bytes:,} of {device.total_bytes:,} bytes.",
                "Choose another device, or wait.",
            )
        prints = {s.fingerprint for s in device.warm.values()}
        if prints and session.server.fingerprint not in prints:
            return Refused(
                failed, f"Numbers on {name} may differ in their last bits: {_difference(session.server.fingerprint, min(prints))}.",
                "Choose a device with the same libraries.",
            )  # fmt: skip
        return None

    def _pairs(self) -> set[tuple[str, str]]:
        """Devices between which a move is under way: one at a time, so that they do not slow each other down."""
        return {
            (o.source_device, o.destination_device)
            for o in self.moves.values()
            if o.destination_device and not o.move.has_committed
        }

    def _serve(self, now: float) -> None:
        for one in [o for o in self.moves.values() if o.move.step is Step.WAITING]:
            self._place(one, now)
        super()._serve(now)

    def _place(self, one: Ongoing, now: float) -> None:
        """Find a warm server for a move that waits, or start one."""
        session = one.session
        assert session is not None
        if one.wanted:
            device = self.books.devices[one.wanted]
            unfit = self._unfit(session, device, one.engine)
            if unfit is not None:
                self._happen(one, Happening.NO_SERVER, str(unfit))
                return
            fitting = [device]
        else:
            fitting = self._fitting(session, one.engine)
            if not fitting:
                self._happen(one, Happening.NO_SERVER, "No other device of the pool can take the session any more.")
                return
        if not session.device.node.is_connected:
            return
        pairs = self._pairs()
        fitting = [d for d in fitting if (one.source_device, d.key) not in pairs]
        for device in fitting:
            for server in device.warm.values():
                if server.fingerprint == session.server.fingerprint:
                    self._chosen(one, server)
                    self._happen(one, Happening.WARM)
                    return
        if fitting and not any(d.servers[states.STARTING] for d in fitting):
            self._start_on(fitting[0])

    def _start_on(self, device: Device) -> None:
        server = Server(f"server-{self.ids(4)}", device)
        try:
            self.engine.start(device.node.id, server.id, device.name)
        except LookupError as error:
            _log.info("event=start-not-sent device=%s reason=%r", device.key, str(error))
            return
        self.books.add_server(server)

    def _chosen(self, one: Ongoing, server: Server) -> None:
        one.destination, one.destination_id = server, server.id
        one.destination_node, one.destination_device = server.device.node.id, server.device.key
        self._sides[server.id] = one


def _difference(mine: str, theirs: str) -> str:
    """What two fingerprints differ in, for people."""
    ours, others = mine.split(" "), theirs.split(" ")
    apart = [f"{a} here, {b} there" for a, b in zip(ours, others, strict=False) if a != b]
    return ", ".join(apart[:3]) or "other libraries"
