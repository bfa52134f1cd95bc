"""A host with servers that exist in memory only: an Engine for tests of the controller, which does what an agent and its servers do.

Orders wait until `deliver` carries them out, so that a test decides what crosses on the way.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from cupool.pool import states

from cupool.v1 import agent_pb2, server_pb2


@dataclass
class FakeServer:
    id: str
    device: str
    state: int = states.STARTING
    assignment: server_pb2.AssignRequest | None = None
    attached_before: bool = False
    attached: bool = False
    kernel_s: float = 0.0
    used_bytes: int = 0
    move: server_pb2.MoveReport | None = None
    is_copy: bool = False
    has_released: bool = False
    fingerprint: str = "fake"
    fixed: str = ""

    def news(self, state: int = 0, reason: str = "", exit_status: int = 0) -> agent_pb2.ServerNews:
        return agent_pb2.ServerNews(
            server=self.id, device=self.device, state=state or self.state, endpoint=f"unix:/{self.id}", assignment=self.assignment,
            attached_before=self.attached_before, usage=self.usage(), reason=reason, exit_status=exit_status,
            move=self.move, fingerprint=self.fingerprint, fixed=self.fixed,
        )  # fmt: skip

    def usage(self) -> server_pb2.SessionUsage:
        return server_pb2.SessionUsage(kernel_s=self.kernel_s, used_bytes=self.used_bytes, attached=self.attached)


@dataclass
class FakeHost:
    """One node, and the engine that reaches it."""

    node: str = "node-1"
    devices: dict[str, int] = field(default_factory=lambda: {"cpu:0": 100, "cpu:1": 100})
    listener: object = None
    is_here: bool = False
    servers: dict[str, FakeServer] = field(default_factory=dict)
    orders: deque = field(default_factory=deque)
    #: Ends that nobody has said to have kept, as an agent's outbox has them.
    outbox: list = field(default_factory=list)
    fails_to_start: bool = False
    #: Orders of moves that were carried out: (server, kind), the last ones last.
    obeyed: list = field(default_factory=list)

    # ---- Engine

    def open(self, listener):
        self.listener = listener

    def close(self):
        self.listener = None

    def nodes(self):
        return [self.node] if self.is_here else []

    def start(self, node, server, device):
        self._check(node)
        self.orders.append(("start", server, device))

    def order(self, node, server, command, client_pid=0, client_host=""):
        self._check(node)
        self.orders.append(("order", server, command))

    def settings(self, settings):
        self.pool = settings.pool

    def _check(self, node):
        if node != self.node or not self.is_here:
            raise LookupError(f"The node {node} is not connected.")

    # ---- what a test has happen

    def connect(self):
        self.is_here = True
        hello = agent_pb2.AgentHello(node=self.node, host="fake")
        for name, memory in self.devices.items():
            hello.devices.add(device=name, kind="cpu", memory_bytes=memory)
        hello.servers.extend(s.news() for s in self.servers.values())
        self.listener.node_here(hello)
        for kept in list(self.outbox):
            self._tell_kept(kept)
        self.listener.server_use(self.node, [])

    def disconnect(self):
        """The stream breaks: orders on their way are lost."""
        self.is_here = False
        self.orders.clear()
        self.listener.node_gone(self.node, "its stream broke")

    def deliver(self, count: int = 1_000_000):
        """Carry out orders, each with its news."""
        while self.orders and count:
            kind, server, what = self.orders.popleft()
            count -= 1
            if kind == "start":
                self._start(server, what)
            else:
                self._obey(server, what)

    def _start(self, server, device):
        if self.fails_to_start:
            dead = FakeServer(server, device)
            self._news(dead.news(states.DEAD, "It could not start.", 1))
            return
        self.servers[server] = FakeServer(server, device, states.WARM)
        self._news(self.servers[server].news())

    def _obey(self, server, command):
        found, kind = self.servers.get(server), command.WhichOneof("kind")
        if found is None:
            if kind == "assign":
                self._end(
                    agent_pb2.SessionEnd(
                        session=command.assign.session, tenant=command.assign.tenant, lost=True, server=server
                    )
                )
        elif kind == "assign":
            assert found.assignment is None or found.assignment == command.assign, "a server has one session"
            found.assignment, found.state = command.assign, states.LEASED
            found.is_copy = bool(command.assign.incoming.move)
        elif kind in ("move_out", "cancel_move", "take_back"):
            self.obeyed.append((server, kind))
            if kind == "cancel_move" and not found.has_released:
                self.tells(server, "FAILED", command.cancel_move.reason, move=command.cancel_move.move)
            elif kind == "take_back" and found.has_released:
                self.tells(server, "TAKEN_BACK", move=command.take_back.move)
            elif kind == "move_out":
                found.move = server_pb2.MoveReport(move=command.move_out.move, session=command.move_out.session)
        elif kind == "end" or found.attached_before:
            self.die(server, command.end.reason if kind == "end" else "Its lease was given back.")
        elif found.assignment is not None and found.assignment.session == command.unassign.session:
            found.assignment, found.state = None, states.WARM
            self._news(found.news())

    def attach(self, server):
        found = self.servers[server]
        found.attached = found.attached_before = True
        found.state = states.LEASED
        self._news(found.news())

    def park(self, server):
        found = self.servers[server]
        found.attached, found.state = False, states.PARKED
        self._news(found.news())

    def fix(self, server, reason):
        """Its session cannot be moved any more, or (empty) can be again."""
        self.servers[server].fixed = reason
        self._news(self.servers[server].news())

    def work(self, server, kernel_s, used_bytes):
        found = self.servers[server]
        found.kernel_s += kernel_s
        found.used_bytes = used_bytes
        if self.is_here:
            self.listener.server_use(self.node, [agent_pb2.ServerUse(server=server, usage=found.usage())])

    def die(self, server, reason="", exit_status=0):
        found = self.servers.pop(server)
        found.attached = False
        if found.assignment is not None and not found.has_released and not found.is_copy:
            self._end(
                agent_pb2.SessionEnd(
                    session=found.assignment.session,
                    tenant=found.assignment.tenant,
                    reason=reason,
                    lost=exit_status != 0,
                    usage=found.usage(),
                    server=server,
                    device=found.device,
                )
            )
        self._news(found.news(states.DEAD, reason, exit_status))

    def tells(self, server, phase, reason="", move="", **fields):
        """A server tells how far its session's move is."""
        found = self.servers[server]
        report = server_pb2.MoveReport(
            session=found.assignment.session, move=move or (found.assignment.incoming.move if found.is_copy else found.move.move),
            phase=phase, reason=reason, **fields,
        )  # fmt: skip
        found.move = report
        if phase == "RELEASED":
            found.has_released = True
        elif phase == "TAKEN_BACK":
            found.has_released = False
        elif phase == "OWNER":
            found.is_copy = False
        news = agent_pb2.MoveNews(server=server, report=report)
        if phase in ("RELEASED", "FAILED", "TAKEN_BACK", "OWNER"):
            self._end(news)
        elif self.is_here:
            self.listener.move_news(self.node, news, lambda: None)

    def _end(self, end):
        self.outbox.append(end)
        if self.is_here:
            self._tell_kept(end)

    def _tell_kept(self, what):
        tell = self.listener.move_news if isinstance(what, agent_pb2.MoveNews) else self.listener.session_ended
        tell(self.node, what, lambda: self.outbox.remove(what) if what in self.outbox else None)

    def _news(self, news):
        if self.is_here:
            self.listener.server_news(self.node, news)
