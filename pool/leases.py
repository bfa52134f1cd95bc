"""The controller's books: nodes, devices, servers and sessions, and what they count to. No locks, no I/O; the time is an argument.

Note [Whose memory is taken]: a session's promise counts against its tenant until the session is over, and against its device until the
server that had it is warm again or dead. A server that still frees memory cannot give it twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cupool.v1 import admin_pb2, agent_pb2, pool_pb2, server_pb2

from . import states
from .placement import DeviceView
from .plan import Supply
from .tenants import Tenant

#: What became of this many ended sessions is remembered, for clients that ask late.
REMEMBERED = 1000


@dataclass(slots=True, eq=False)
class Node:
    """One host with its agent."""

    id: str
    host: str = ""
    version: str = ""
    boot_id: str = ""
    is_connected: bool = False
    seen_at: float = 0.0
    tells_numbers: bool = False  #: it measures its devices, and says so all the time
    is_silent: bool = False  #: it has not for a while, though it counts as connected: it gets no new sessions
    has_told: bool = False  #: since its hello it has told all that must not get lost
    reason: str = ""  #: why it is not connected
    devices: dict[str, Device] = field(default_factory=dict)  #: by the node's own name of each
    use: agent_pb2.HostUse = field(default_factory=agent_pb2.HostUse)


@dataclass(slots=True, eq=False)
class Device:
    """One device of a node. `key` is unique in the pool: "<node>/cuda:0"."""

    key: str
    name: str  #: the node's own: "cuda:0"
    node: Node
    kind: str
    label: str
    uuid: str
    total_bytes: int
    default_bytes: int
    max_sessions: int
    counts_promises: bool
    servers: dict[int, dict[str, Server]] = field(default_factory=lambda: {s: {} for s in states.SERVER_STATES})
    promised_bytes: int = 0
    holding: int = 0  #: sessions whose memory may still be taken
    #: By server: bytes of copies that a controller before this one had ordered, of sessions that have not come into the books yet.
    expected: dict[str, int] = field(default_factory=dict)
    cordoned: str | None = None  #: why it takes no new sessions; None: it does
    is_draining: bool = False
    measured: admin_pb2.DeviceStatus = field(default_factory=admin_pb2.DeviceStatus)
    failures: int = 0  #: servers in a row that could not start
    failed_at: float = 0.0
    failure: str = ""  #: why the last could not
    link_bytes_a_s: float = 0.0  #: as the last move to or from it went; 0: unknown
    moved_away: list[str] = field(default_factory=list)  #: sessions, since its drain began

    @property
    def warm(self) -> dict[str, Server]:
        return self.servers[states.WARM]

    def view(self) -> DeviceView:
        return DeviceView(
            self.key,
            self.kind,
            self.total_bytes,
            self.promised_bytes + (sum(self.expected.values()) if self.counts_promises else 0),
            self.default_bytes,
            self.holding + len(self.expected),
            self.max_sessions,
            len(self.warm),
            self.measured.utilization,
            self.node.is_connected and not self.node.is_silent and self.cordoned is None and not self.measured.cordoned,
        )

    def supply(self, settled_at: float) -> Supply:
        """`settled_at`: servers leased later than this and not attached yet may come back warm."""
        by = self.servers
        leased = len(by[states.LEASED]) + len(by[states.PARKED]) + len(by[states.ENDING])
        settling = sum(
            1
            for s in by[states.LEASED].values()
            if s.session is not None and s.session.state == states.SESSION_LEASED and s.session.given_at > settled_at
        )
        # Those that were told to give their session back are warm again when the host comes to it. A busy host that starts others
        # instead comes to it later, and is busier.
        returning = sum(1 for s in by[states.ENDING].values() if s.returns_since > float("-inf"))
        return Supply(self.view(), len(by[states.STARTING]) + returning, leased - returning, settling)


@dataclass(slots=True, eq=False)
class Server:
    """One server process, by what its agent said last."""

    id: str
    device: Device
    state: int = states.STARTING
    endpoint: str = ""
    speaks_tls: bool = False
    fingerprint: str = ""
    #: of its op table, for clients; empty: it did not tell
    op_table_digest: bytes = b""
    session: Session | None = (
        None  #: whose memory it holds, or may still hold: its own, or one that is on its way to it or from it
    )
    move_phase: int = 0  #: of its last MoveReport
    returns_since: float = float("-inf")  #: when it was told to give its session back
    warm_since: float = 0.0
    client_pid: int = 0
    pid: int = 0  #: of its process, on its host; 0: unknown


@dataclass(slots=True, eq=False)
class Session:
    """One lease from Acquire to its end. Times in seconds on the controller's clock."""

    id: str
    tenant: Tenant
    token_sha256: bytes
    server: Server
    function: str
    memory_bytes: int
    given_at: float
    expires_at: float  #: without a client or a renewal until then, it ends
    priority: int = 0
    lifetime_s: int = 0
    request_id: str = ""
    client_pid: int = 0
    client_host: str = ""
    incoming: server_pb2.Incoming | None = None  #: the checkpoint that it goes on from
    epoch: int = 1
    state: int = states.SESSION_LEASED
    reason: str = ""
    usage: server_pb2.SessionUsage = field(default_factory=server_pb2.SessionUsage)
    parked_since: float = 0.0
    missing_since: float = 0.0  #: its node came back without it; 0: it did not
    was_attached: bool = False
    is_adopted: bool = False  #: a controller before this one gave it
    replayable: bool = False  #: of one that is over: as SessionStatus says
    is_counted: bool = False  #: what it used is in the tenant's books for good
    over_at: float = 0.0
    move: str = ""  #: id of the move that is under way
    moves: int = 0  #: that have been made
    moved_at: float = float("-inf")
    fixed: str = ""  #: why it cannot be moved, as its server said; "": nobody knows of anything
    stayed: str = ""  #: why the last move was given up
    stays_until: float = float("-inf")  #: a drain does not try again before
    dirty_bytes_a_s: float = 0.0  #: what it overwrote while it was copied last; 0: unknown
    watchers: list[Callable[[pool_pb2.SessionStatus], object]] = field(default_factory=list)

    @property
    def device(self) -> Device:
        return self.server.device

    @property
    def is_over(self) -> bool:
        return self.state in states.FINAL


class Books:
    """All of it."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.devices: dict[str, Device] = {}
        self.servers: dict[str, Server] = {}  #: that are not dead
        self.sessions: dict[str, Session] = {}  #: that are not over
        self.ended: OrderedDict[str, Session] = OrderedDict()  #: the last that are
        self.tenants: dict[str, Tenant] = {}
        #: Sessions to which nobody attached yet, the one that expires first in front.
        self.unattached: OrderedDict[str, Session] = OrderedDict()

    # ---- servers

    def add_server(self, server: Server) -> None:
        self.servers[server.id] = server
        server.device.servers[server.state][server.id] = server

    def set_server(self, server: Server, state: int) -> None:
        """Raises RuntimeError for a change that may not be."""
        if state == server.state:
            return
        new = states.server_change(server.state, state)
        del server.device.servers[server.state][server.id]
        server.device.expected.pop(server.id, None)
        server.state = new
        if new in (states.WARM, states.DEAD):
            self._let_go(server)
        if new == states.DEAD:
            self.servers.pop(server.id, None)
        else:
            server.device.servers[new][server.id] = server

    def _let_go(self, server: Server) -> None:
        """See Note [Whose memory is taken]."""
        session, server.session = server.session, None
        if session is not None:
            server.device.holding -= 1
            server.device.promised_bytes -= session.memory_bytes if server.device.counts_promises else 0
        server.returns_since = float("-inf")

    def reserve(self, session: Session, server: Server) -> None:
        """A warm server is to have a session that another one has still: it counts on both devices, and once for its tenant."""
        self.set_server(server, states.LEASED)
        server.session = session
        server.device.holding += 1
        server.device.promised_bytes += session.memory_bytes if server.device.counts_promises else 0

    # ---- sessions

    def add_session(self, session: Session) -> None:
        """A session on `session.server`, whose state the caller sets."""
        device, tenant = session.device, session.tenant
        session.server.session = session
        self.sessions[session.id] = session
        device.holding += 1
        device.promised_bytes += session.memory_bytes if device.counts_promises else 0
        tenant.sessions += 1
        tenant.leased_bytes += session.memory_bytes
        if session.state == states.SESSION_LEASED:
            self.unattached[session.id] = session

    def set_session(self, session: Session, state: int, reason: str, now: float) -> None:
        """Raises RuntimeError for a change that may not be."""
        if state == session.state:
            return
        session.state = states.session_change(session.state, state)
        session.reason = reason or session.reason
        if state == states.SESSION_ATTACHED:
            session.was_attached = True
        session.parked_since = now if state == states.SESSION_PARKED else 0.0
        self.unattached.pop(session.id, None)
        if state in states.FINAL:
            self._over(session, now)

    def _over(self, session: Session, now: float) -> None:
        tenant = session.tenant
        session.over_at = now
        tenant.sessions -= 1
        tenant.leased_bytes -= session.memory_bytes
        tenant.used_bytes -= session.usage.used_bytes
        tenant.live_kernel_s -= session.usage.kernel_s
        if not tenant.sessions:
            tenant.live_kernel_s = 0.0  # sums of floats drift; nothing is what nobody has
        del self.sessions[session.id]
        self.ended[session.id] = session
        while len(self.ended) > REMEMBERED:
            self.ended.popitem(last=False)

    def renew(self, session: Session, expires_at: float) -> None:
        session.expires_at = expires_at
        if session.id in self.unattached:
            self.unattached.move_to_end(session.id)

    def use(self, session: Session, usage: server_pb2.SessionUsage) -> None:
        """What a living session uses now."""
        if not session.is_over:
            session.tenant.used_bytes += usage.used_bytes - session.usage.used_bytes
            session.tenant.live_kernel_s += usage.kernel_s - session.usage.kernel_s
        session.usage = usage

    def find(self, session_id: str) -> Session | None:
        """The session, living or remembered."""
        return self.sessions.get(session_id) or self.ended.get(session_id)

    def on_device(self, device: Device) -> Iterator[Session]:
        """The sessions on a device that are not over."""
        return (s for s in self.sessions.values() if s.device is device)
