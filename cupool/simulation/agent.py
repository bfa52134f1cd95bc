"""A host: its devices, its servers as its agent sees them, its stream to the controller, and its outbox.

It follows `pool/node/host.py` and `pool/node/link.py`, without processes: the same orders, the same news, in the same order. Where an agent
dies its servers end; what its outbox holds is in a file, and stays.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from cupool.pool import states
from cupool.v1 import admin_pb2, agent_pb2, server_pb2

from .clock import Clock, Timer
from .network import End, Network
from .processor import Processor
from .server import Server, Surroundings

#: How often numbers are told.
TICK_S = 0.25
#: How long a server that was told to end may take before it is killed.
END_GRACE_S = 2.0
#: Ticks after which numbers are told though they have not changed. An agent tells them each time.
UNTOLD = 4
#: Waits between attempts to reach the controller, doubled from the first to the last.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 1.0
#: From the death of a process to the start of the next.
RESTART_S = 0.5
#: Of the utilisation that is told: the weight of the last 250 ms.
SMOOTH = 0.3

Change = server_pb2.SessionChange
NO_HOST = agent_pb2.HostUse()
Report = server_pb2.MoveReport
#: Turns of a move that change who owns the session, or that end it: they must not get lost.
TURNS = (Report.RELEASED, Report.FAILED, Report.TAKEN_BACK, Report.OWNER)


class HostWorld(Surroundings, Protocol):
    """What a host needs of the world."""

    clock: Clock
    network: Network
    rng: random.Random

    def controller(self, end: End) -> bool:
        """Somebody connects to the controller's AgentService."""
        ...

    def start_s(self) -> float:
        """How long the next server needs until it is warm."""
        ...

    def new_server(self, name: str, node: str, device: str, processor: Processor, agent: Agent) -> Server: ...


@dataclass(slots=True)
class Known:
    """A server by what it has said."""

    process: Server
    state: int = states.STARTING
    endpoint: str = ""
    assignment: server_pb2.AssignRequest | None = None
    pending: dict[str, server_pb2.AssignRequest] = field(default_factory=dict)
    attached_before: bool = False
    is_ending: bool = False
    is_expired: bool = False
    wish: str = ""
    said: str = ""
    assigned_s: float = 0.0
    told_kernel_s: float = -1.0
    told_bytes: int = -1
    move: server_pb2.MoveReport | None = None
    move_out: str = ""
    has_released: bool = False  #: its session is another server's now
    is_copy: bool = False  #: its session is another server's still


@dataclass(slots=True)
class VirtualDevice:
    """One device. `memory_bytes` is what its sessions may hold together."""

    name: str
    kind: str
    memory_bytes: int
    processor: Processor
    utilisation: float = 0.0
    told: float = -1.0
    busy_s: float = 0.0


class Agent:
    """One node."""

    def __init__(self, world: HostWorld, node: str, devices: list[VirtualDevice]) -> None:
        self.world = world
        self.node = node
        self.clock = world.clock
        self.devices = {d.name: d for d in devices}
        self.servers: dict[str, Known] = {}
        self.is_up = False
        #: What must not get lost, by ordinal: in a file, so it outlives the agent.
        self.outbox: dict[int, tuple[Any, ...]] = {}
        self._ordinal = 0
        self._stream: End | None = None
        self._is_heard = False
        self._wait_s = FIRST_WAIT_S
        self._life = 0
        self._tick: Timer | None = None
        self._untold = 0

    # ---- the process

    def start(self) -> None:
        self.is_up = True
        self._life += 1
        self._wait_s = FIRST_WAIT_S
        self._connect(self._life)
        self._tick = self.clock.after(self.world.rng.uniform(0.0, TICK_S), self._numbers)

    def kill(self) -> None:
        """The agent's process dies, and its servers end; it is started again."""
        if not self.is_up:
            return
        self.is_up = False
        self._life += 1
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._tick is not None:
            self._tick.cancel()
        for known in list(self.servers.values()):
            known.process.die(0)
        self.servers.clear()
        self.clock.after(RESTART_S, self.start)

    # ---- the stream

    def _connect(self, life: int) -> None:
        if life != self._life:
            return
        end = self._stream = self.world.network.connect(self.node, "controller", self.world.controller)
        end.on_message = lambda message: self._heard(end, message)
        end.on_closed = lambda: self._lost(end, life)
        self._is_heard = False
        end.send(("hello", self.hello()))
        for ordinal, message in self.outbox.items():
            end.send((*message, ordinal))

    def _lost(self, end: End, life: int) -> None:
        if self._stream is end and life == self._life:
            self._stream = None
            self.clock.after(self._wait_s * self.world.rng.uniform(0.5, 1.0), self._connect, life)
            self._wait_s = min(self._wait_s * 2, LONGEST_WAIT_S)

    def _heard(self, end: End, message: Any) -> None:
        if self._stream is end and self.is_up:
            self._wait_s = FIRST_WAIT_S
            ORDERS[message[0]](self, *message[1:])

    def _send(self, *message: Any) -> None:
        if self._stream is not None:
            self._stream.send(message)

    def keep(self, *message: Any) -> None:
        """Tell what must not get lost."""
        self._ordinal += 1
        self.outbox[self._ordinal] = message
        self._send(*message, self._ordinal)

    def _received(self, ordinal: int) -> None:
        for one in [o for o in self.outbox if o <= ordinal]:
            del self.outbox[one]

    def hello(self) -> agent_pb2.AgentHello:
        hello = agent_pb2.AgentHello(node=self.node, host=self.node, version="simulated", boot_id=self.node)
        for device in self.devices.values():
            hello.devices.add(device=device.name, kind=device.kind, memory_bytes=device.memory_bytes)
        hello.servers.extend(self.news(known) for known in self.servers.values())
        return hello

    # ---- orders

    def _start(self, server: str, device: str) -> None:
        found = self.devices.get(device)
        if found is None or server in self.servers:
            return
        process = self.world.new_server(server, self.node, device, found.processor, self)
        self.servers[server] = Known(process)
        self.clock.after(self.world.start_s(), process.ready)

    def _order(self, order: agent_pb2.ServerOrder) -> None:
        known, kind = self.servers.get(order.server), order.command.WhichOneof("kind")
        if known is None or known.is_ending:
            if kind == "assign":
                self._not_taken(order.command.assign, order.server, "The server ended before it had the session.")
            return
        if kind == "end":
            self.end(known, order.command.end.reason)
            return
        if kind == "assign":
            known.process.order(order.command)
            if known.assignment is not None or known.pending:
                known.pending[order.command.assign.session] = order.command.assign
            else:
                self._has(known, order.command.assign)
        else:
            if kind == "move_out":
                known.move_out = order.command.move_out.move
            known.process.order(order.command)

    def _not_taken(self, request: server_pb2.AssignRequest, server: str, why: str) -> None:
        """A server never had an assignment."""
        move = request.incoming.move
        if not move:
            self._tell_lost(request, server, why)
            return
        report = Report(session=request.session, move=move, phase=Report.FAILED, reason=why)
        self.keep("moves", agent_pb2.MoveNews(server=server, report=report))

    def _has(self, known: Known, request: server_pb2.AssignRequest) -> None:
        known.assignment, known.assigned_s = request, self.clock.now
        known.is_copy, known.has_released = bool(request.incoming.move), False
        if known.state == states.WARM:
            known.state = states.LEASED

    def end(self, known: Known, reason: str) -> None:
        if known.is_ending:
            return
        known.is_ending, known.wish = True, reason or "The pool ended it."
        if known.state == states.STARTING:
            known.process.die(-9)
            return
        known.state = states.ENDING
        known.process.order(server_pb2.ServerCommand(end=server_pb2.EndRequest(reason=known.wish)))
        self.clock.after(END_GRACE_S, known.process.die, -9)

    def _settings(self, settings: agent_pb2.PoolSettings) -> None:
        """For servers that start from now on: nothing here depends on them."""

    # ---- what servers report

    def reported(self, process: Server, report: server_pb2.ServerReport) -> None:
        known = self.servers.get(process.id)
        if known is None or known.process is not process or not self.is_up:
            return
        kind = report.WhichOneof("kind")
        REPORTS[kind](self, known, getattr(report, kind))

    def _ready(self, known: Known, ready: server_pb2.ServerReady) -> None:
        known.endpoint = ready.endpoint
        if known.state == states.STARTING:
            known.state = states.LEASED if known.assignment is not None else states.WARM
            self.tell(known)

    def _session_changed(self, known: Known, change: server_pb2.SessionChange) -> None:
        kind = change.kind
        if kind == Change.ENDED:
            if change.session in known.pending:
                self._not_taken(known.pending.pop(change.session), known.process.id, change.reason)
                return
            known.said, known.is_expired = change.reason, change.expired
            if not known.is_ending:
                known.is_ending, known.state = True, states.ENDING
                self.clock.after(END_GRACE_S, known.process.die, -9)
                self.tell(known, reason=change.reason)
            return
        if kind == Change.ASSIGNED and change.session in known.pending:
            self._has(known, known.pending.pop(change.session))
            return
        if known.assignment is None or change.session != known.assignment.session or known.is_ending:
            return
        if kind == Change.UNASSIGNED:
            known.assignment, known.state = None, states.WARM
            self.tell(known)
        elif kind in (Change.ATTACHED, Change.PARKED):
            known.attached_before = True
            known.state = states.LEASED if kind == Change.ATTACHED else states.PARKED
            self.tell(known)

    def _unassign_refused(self, known: Known, refused: server_pb2.UnassignRefused) -> None:
        self.end(known, "Its lease was given back.")

    def _move_changed(self, known: Known, report: server_pb2.MoveReport) -> None:
        """It told how far its session's move is."""
        if known.assignment is None or report.session != known.assignment.session:
            return
        known.move = report
        if report.phase == Report.RELEASED:
            known.has_released = True
        elif report.phase == Report.TAKEN_BACK:
            known.has_released = False
        elif report.phase == Report.OWNER:
            known.is_copy = False
        news = agent_pb2.MoveNews(server=known.process.id, report=report)
        if report.phase in TURNS:
            self.keep("moves", news)
        else:
            self._send("moves", news, 0)

    def exited(self, process: Server, status: int) -> None:
        known = self.servers.get(process.id)
        if known is None or known.process is not process or not self.is_up:
            return
        del self.servers[process.id]
        why = known.wish or (f"The server ended: {known.said}." if known.said else "")
        why = why or f"The server was ended by signal {-status}."
        is_lost = not known.wish and not (known.said and status == 0)
        usage = process.usage()
        usage.attached = False
        if known.assignment is not None and not known.has_released and (not known.is_copy or known.is_expired):
            self.keep("ended", agent_pb2.SessionEnd(
                session=known.assignment.session, tenant=known.assignment.tenant, reason=why, lost=is_lost, usage=usage,
                server=process.id, device=process.device, replayable=known.is_expired or is_lost,
            ))  # fmt: skip
        for request in known.pending.values():
            self._not_taken(request, process.id, why)
        start_failed = known.state == states.STARTING and (is_lost or not known.endpoint)
        self._send("news", self.news(known, states.DEAD, why, status, start_failed))

    def _tell_lost(self, request: server_pb2.AssignRequest, server: str, why: str) -> None:
        self.keep("ended", agent_pb2.SessionEnd(
            session=request.session, tenant=request.tenant, reason=why, lost=True, server=server, replayable=True,
        ))  # fmt: skip

    # ---- what is told

    def tell(self, known: Known, reason: str = "") -> None:
        self._send("news", self.news(known, reason=reason))

    def news(
        self, known: Known, state: int = 0, reason: str = "", status: int = 0, start_failed: bool = False
    ) -> agent_pb2.ServerNews:
        process = known.process
        news = agent_pb2.ServerNews(
            server=process.id, device=process.device, state=state or known.state, endpoint=known.endpoint,  # type: ignore[arg-type]
            assignment=known.assignment, attached_before=known.attached_before, usage=process.usage(), reason=reason,
            exit_status=status, start_failed=start_failed, fingerprint="virtual",
            session_age_s=self.clock.now - known.assigned_s if known.assignment is not None else 0.0,
        )  # fmt: skip
        if known.move is not None:
            news.move.CopyFrom(known.move)
        return news

    def _numbers(self) -> None:
        self._tick = self.clock.after(TICK_S, self._numbers)
        use = []
        for known in self.servers.values():
            process = known.process
            if process.content is not None and known.assignment is not None:
                usage = process.usage()
                if (usage.kernel_s, usage.used_bytes) != (known.told_kernel_s, known.told_bytes):
                    known.told_kernel_s, known.told_bytes = usage.kernel_s, usage.used_bytes
                    use.append(agent_pb2.ServerUse(server=process.id, usage=usage))
        devices = []
        for device in self.devices.values():
            device.processor.settle()
            busy = min(1.0, (device.processor.busy_s - device.busy_s) / TICK_S)
            device.busy_s = device.processor.busy_s
            device.utilisation += (busy - device.utilisation) * SMOOTH
            if abs(device.utilisation - device.told) > 0.005:
                device.told = device.utilisation
                devices.append(
                    admin_pb2.DeviceStatus(
                        device=device.name,
                        kind=device.kind,
                        total_bytes=device.memory_bytes,
                        utilization=device.utilisation,
                    )
                )
        self._untold += 1
        if use or devices or self._untold >= UNTOLD:
            self._untold = 0
            self._send("numbers", use, devices, NO_HOST)


#: Kind of a message of the controller -> what follows it.
ORDERS: dict[str, Callable[..., None]] = {
    "settings": Agent._settings,
    "start": Agent._start,
    "order": Agent._order,
    "received": Agent._received,
}
#: Kind of a server's report -> what follows it.
REPORTS: dict[str, Callable[[Agent, Known, Any], None]] = {
    "ready": Agent._ready,
    "session": Agent._session_changed,
    "unassign_refused": Agent._unassign_refused,
    "move": Agent._move_changed,
}
