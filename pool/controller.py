"""The controller: who gets a session, where, and what became of each.

It decides over its books (`leases.py`) and tells the engine; one lock, no I/O under it, nothing waits. Callers are the services
(`acquire`, `release`, ...), the engine (`Listener`) and a clock (`tick`, four times a second). What operators ask is in `operations.py`.

Cases of a server's news, by what the books say of its session:
    none, and it has none   it became warm, or its process is gone
    alive                   a client attached or was lost: the session follows
    being ended             it is warm again, or gone: the session is over; or a client came before it was
                            taken back: the server is told to end
    over                    it was told so while its node was away: it is told again
    unknown                 the controller started after the lease: the session is taken into the books
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from cupool.v1 import admin_pb2, agent_pb2, pool_pb2, server_pb2

from . import meters, placement, plan, states, tenants
from .config import DEFAULT_TENANT, PoolConfig
from .directory import Cordon, Directory, EndRecord, LeaseRecord, TenantRecord
from .engine import Engine
from .events import Events
from .leases import Books, Device, Node, Server, Session
from .placement import DeviceView, Wish
from .queue import FairQueue, Outcome, Place, QueueFull
from .rates import FreeRate
from .refusals import Code, Refused
from .tenants import Tenant

_log = logging.getLogger(__name__)

#: How long a server may take to give a session back until it is told to end.
RETURN_S = 2.0
#: A lease so young may be given back before anybody attaches: its server is not replaced yet.
SETTLE_S = 0.25
#: How long the end of a session may take to be told after its node came back without it.
MISSING_S = 2.0
#: Sessions of a node that was away for so long are lost.
NODE_LOST_S = 600.0
#: How much longer than its server the controller waits until it ends a session that is parked or old.
SLACK_S = 5.0
#: A server that is gone so soon after it was warm counts as one that could not start.
STABLE_S = 10.0
#: Of the longest queue, how many are looked at to decide what to start.
_PLANNED = 64


@dataclass(slots=True, eq=False)
class Waiting:
    """An Acquire that has not been answered. `future` gets the lease, or Refused."""

    tenant: Tenant
    request: pool_pb2.AcquireRequest
    wish: Wish
    arrived_at: float
    deadline_at: float
    place: Place[Waiting] | None = None
    future: Future[pool_pb2.Lease] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the pool did so far, and holds now."""

    nodes: int
    servers: int
    warm: int
    sessions: int
    queued: int
    leases_given: int
    sessions_lost: int


class Controller:
    """The pool's decisions. `lock` guards `books` and `queue`; `operations.py` takes it too."""

    def __init__(
        self,
        config: PoolConfig,
        engine: Engine,
        directory: Directory | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.engine = engine
        self.directory = directory or Directory()
        self.clock = clock
        self.lock = threading.Lock()
        self.books = Books()
        self.queue: FairQueue[Waiting] = FairQueue(config.queue_places)
        self.meter = meters.LeaseMeter()
        self.events = Events()
        self.started_at = clock()
        self.closing = ""  #: why no more leases are given
        self.sessions_lost = 0
        self.reclaimed_bytes = 0
        self.cordons = {c.device: c for c in self.directory.cordons()}
        #: Leases of the directory that their node came without, by session: when it did. Their end may be told yet.
        self._unclaimed: dict[str, float] = {}
        self._freed = FreeRate()
        for record in self.directory.tenants():
            self.books.tenants[record.name] = _tenant_of(record, config)
        engine.settings(self.settings())

    def settings(self) -> agent_pb2.PoolSettings:
        config = self.config
        return agent_pb2.PoolSettings(
            pool=self.directory.pool,
            kernel_limit_ms=config.kernel_limit_ms,
            start_limit_ms=int(config.start_limit_s * 1000),
            log_level=config.log_level,
            allow_faults=config.allow_faults,
        )

    def open(self) -> None:
        """Begin: nodes may come."""
        self.engine.open(self)

    # ---- what clients ask

    def acquire(self, request: pool_pb2.AcquireRequest, tenant: str = DEFAULT_TENANT) -> pool_pb2.Lease | Waiting:
        """A session on a warm server, or a place in the queue: call `expire` at its deadline, `cancel` when its client goes away.

        Raises:
            Refused: over quota, no capacity, a device that cannot start, or the pool ends.
        """
        with self.lock:
            mine = self.tenant(tenant)
            now = self.clock()
            waiting = Waiting(
                mine, request, Wish(request.device_kind, request.memory_bytes), now, now + request.deadline_ms / 1000
            )
            try:
                self._enter(waiting, now)
            except Refused as refused:
                self._count_refusal(mine, refused)
                raise
            return waiting.future.result() if waiting.future.done() else waiting

    def expire(self, waiting: Waiting) -> None:
        """The deadline has come; nothing when it was answered."""
        with self.lock:
            if waiting.place is not None and self.queue.remove(waiting.place):
                self._refuse(waiting, self._no_capacity(waiting))

    def cancel(self, waiting: Waiting) -> None:
        """Its client went away: give up its place, or the session that it got meanwhile."""
        with self.lock:
            if waiting.place is not None and self.queue.remove(waiting.place):
                self._refuse(waiting, Refused(Code.CANCELLED, "The client went away.", word="cancelled"))
                return
            lease = None if waiting.future.exception() else waiting.future.result()
        if lease is not None:
            self.unwanted(lease)

    def unwanted(self, lease: pool_pb2.Lease) -> None:
        """A lease that its client never saw."""
        with self.lock:
            session = self.books.sessions.get(lease.session)
            if session is not None:
                self.end(session, "Its client went away before it was told of its lease.")

    def renew(self, session_id: str, token: str, tenant: str = DEFAULT_TENANT) -> pool_pb2.Lease:
        """The lease again. Raises Refused when the session is over or the token is another's."""
        with self.lock:
            session = self._session_of(session_id, token, tenant)
            if session.is_over or session.state == states.SESSION_ENDING:
                raise Refused(Code.NOT_FOUND, f"The session is over. {session.reason}".strip(), "Acquire a new one.")
            self.books.renew(session, self.clock() + self.config.lease_s)
            return self._lease(session, "")

    def release(self, session_id: str, token: str, reason: str, tenant: str = DEFAULT_TENANT) -> None:
        """End a session. One that is unknown or over is no error."""
        with self.lock:
            if session_id in self.books.sessions:
                self.end(self._session_of(session_id, token, tenant), reason or "Released by its client.")

    def sessions(self, tenant: str = "") -> list[pool_pb2.SessionStatus]:
        """Every session that is not over, of a tenant or of all."""
        with self.lock:
            return [self.status(s) for s in self.books.sessions.values() if not tenant or s.tenant.name == tenant]

    def watch(
        self,
        session_id: str,
        token: str,
        tell: Callable[[pool_pb2.SessionStatus], object],
        tenant: str = DEFAULT_TENANT,
    ) -> tuple[pool_pb2.SessionStatus, Callable[[], None]]:
        """The session's state now, and what ends the watch; `tell` is called at each change, from any thread, and does not wait.

        Raises:
            Refused: no such session, or the token is another's.
        """
        with self.lock:
            if self.books.find(session_id) is None:
                return self._ended_status(session_id, token, tenant), lambda: None
            session = self._session_of(session_id, token, tenant)
            if not session.is_over:
                session.watchers.append(tell)

            def stop() -> None:
                with self.lock:
                    if tell in session.watchers:
                        session.watchers.remove(tell)

            return self.status(session), stop

    def statistics(self) -> Statistics:
        with self.lock:
            return Statistics(
                nodes=sum(n.is_connected for n in self.books.nodes.values()),
                servers=len(self.books.servers),
                warm=sum(len(d.warm) for d in self.books.devices.values()),
                sessions=len(self.books.sessions),
                queued=len(self.queue),
                leases_given=sum(t.leases_given for t in self.books.tenants.values()),
                sessions_lost=self.sessions_lost,
            )

    def close(self, reason: str = "The pool is ending.") -> None:
        """No more leases; whoever waits is told."""
        with self.lock:
            self.closing = self.closing or reason
            for place in list(self.queue):
                self.queue.remove(place)
                self._refuse(place.item, self._ending())

    # ---- what the engine tells

    def node_here(self, hello: agent_pb2.AgentHello) -> None:
        with self.lock:
            now = self.clock()
            node = self.books.nodes.setdefault(hello.node, Node(hello.node))
            node.host, node.version, node.boot_id = hello.host, hello.version, hello.boot_id
            node.is_connected, node.seen_at, node.reason = True, now, ""
            for has in hello.devices:
                self._device_here(node, has)
            named = {news.server for news in hello.servers}
            for server in [s for s in self.books.servers.values() if s.device.node is node and s.id not in named]:
                self._server_missing(server, now)
            for news in hello.servers:
                self._news(node, news, now, is_hello=True)
            for lease in self.directory.leases():
                if lease.node == node.id and lease.session not in self.books.sessions:
                    self._unclaimed.setdefault(lease.session, now)
            self.events.emit(
                "node-here", node.id, f"The host {node.host} is connected, with {len(hello.devices)} devices."
            )
            self._serve(now)
            self._fill(now)

    def node_gone(self, node: str, reason: str) -> None:
        with self.lock:
            known = self.books.nodes.get(node)
            if known is None or not known.is_connected:
                return
            known.is_connected, known.reason, known.seen_at = False, reason, self.clock()
            for device in known.devices.values():
                # What was being started there may never be: nobody waits for it.
                for server in list(device.servers[states.STARTING].values()):
                    self.books.set_server(server, states.DEAD)
            self.events.emit("node-gone", node, f"The host {known.host} cannot be reached: {reason}")

    def server_news(self, node: str, news: agent_pb2.ServerNews) -> None:
        with self.lock:
            known = self.books.nodes.get(node)
            if known is not None:
                known.seen_at = self.clock()
                self._news(known, news, known.seen_at)

    def session_ended(self, node: str, end: agent_pb2.SessionEnd, kept: Callable[[], None]) -> None:
        with self.lock:
            now = self.clock()
            session = self.books.find(end.session)
            if session is None:
                self._unknown_end(node, end, kept)
                return
            if not session.is_over:
                self.books.use(session, end.usage)
                if end.client_gone:
                    self.reclaimed_bytes += end.usage.used_bytes
                is_lost = end.lost and session.state != states.SESSION_ENDING
                session.replayable = end.replayable
                self._over(session, states.SESSION_LOST if is_lost else states.SESSION_ENDED, end.reason, now, kept)
                self._serve(now)
            elif session.is_counted:
                self.directory.add_end(_end_record(session), kept)
            else:
                session.usage.CopyFrom(end.usage)
                self._count_end(session, kept)

    def server_use(self, node: str, use: Iterable[agent_pb2.ServerUse]) -> None:
        with self.lock:
            self._seen(node)
            for one in use:
                server = self.books.servers.get(one.server)
                if server is not None and server.session is not None and not server.session.is_over:
                    self.books.use(server.session, one.usage)
                    self._check_kernel(server.session.tenant)

    def device_news(self, node: str, devices: Iterable[admin_pb2.DeviceStatus], host: agent_pb2.HostUse | None) -> None:
        with self.lock:
            known = self._seen(node)
            if known is None:
                return
            if host is not None:
                known.use = host
            for status in devices:
                device = known.devices.get(status.device)
                if device is not None:
                    device.measured = status

    # ---- what time brings

    def tick(self) -> None:
        """Leases, drains and waits that are over; servers that are lacking. Call about four times a second."""
        with self.lock:
            now = self.clock()
            for place in [p for p in self.queue if p.item.deadline_at <= now]:
                self.queue.remove(place)
                self._refuse(place.item, self._no_capacity(place.item))
            while self.books.unattached:
                session = next(iter(self.books.unattached.values()))
                if session.expires_at > now:
                    break
                session.replayable = True
                self.end(session, f"Nobody attached to it within {self.config.lease_s} s.")
            for session in list(self.books.sessions.values()):
                self._check_age(session, now)
            for server in [s for s in self.books.servers.values() if s.returns_since > float("-inf")]:
                if now - server.returns_since > RETURN_S:
                    self._order_end(server, "It did not give its session back in time.")
            for lost in [s for s, since in self._unclaimed.items() if now - since > MISSING_S]:
                del self._unclaimed[lost]
                self._unclaimed_end(lost)
            for cordon in [c for c in self.cordons.values() if c.is_draining]:
                self._drain(cordon)
            self._serve(now)
            self._fill(now)

    # ---- decisions; with the lock held

    def tenant(self, name: str) -> Tenant:
        """The tenant's books; begun for one that nobody has seen yet."""
        found = self.books.tenants.get(name)
        if found is None:
            found = self.books.tenants[name] = _tenant_of(TenantRecord(name), self.config)
        return found

    def keep_tenant(self, mine: Tenant) -> None:
        """Have the directory know the tenant as it is now."""
        quota = None if mine.quota == self.config.quota else mine.quota
        self.directory.set_tenant(
            TenantRecord(mine.name, quota, mine.ended_kernel_s, mine.leases_given, mine.leases_refused)
        )

    def views(self) -> list[DeviceView]:
        return [d.view() for d in self.books.devices.values()]

    def held(self, tenant: str) -> float:
        """What the queue calls held: sessions by weight."""
        mine = self.books.tenants[tenant]
        return mine.sessions / self.weight(tenant)

    def weight(self, tenant: str) -> float:
        return self.books.tenants[tenant].quota.weight or 1.0

    def _enter(self, waiting: Waiting, now: float) -> None:
        """Give the lease at once, or take a place in the queue. Raises Refused."""
        if self.closing:
            raise self._ending()
        if self.directory.failure:
            raise Refused(
                Code.UNAVAILABLE,
                f"The pool gives no leases now: {self.directory.failure}",
                "Ask the pool's operator; sessions that run go on.",
                word="unavailable",
            )
        mine, request = waiting.tenant, waiting.request
        self._check_possible(waiting)
        tenants.check_possible(mine, request.memory_bytes)
        tenants.check_kernel(mine)
        tenants.take_open(mine, now)
        if not len(self.queue):
            if self._attempt(waiting, self.views(), now, set()) is Outcome.SERVED:
                return
        elif request.deadline_ms == 0 and not self._has_warm():
            raise self._no_capacity(waiting)
        try:
            waiting.place = self.queue.push(mine.name, request.priority, waiting, now, mine.quota.queue_places or 0)
        except QueueFull as full:
            raise self._no_place(waiting, full) from None
        self._retry_failed(now)
        self._serve(now)
        self._fill(now)
        if waiting.future.done():
            return
        try:
            self._check_worth(waiting, now)
        except Refused:
            self.queue.remove(waiting.place)
            raise

    def _check_worth(self, waiting: Waiting, now: float) -> None:
        """Whether waiting is of use. Raises Refused."""
        self._check_failed(waiting.wish)
        if waiting.request.deadline_ms == 0:
            raise self._no_capacity(waiting)
        assert waiting.place is not None
        expected_s = self._freed.wait_s(self.queue.ahead(waiting.place, self.held) + 1, now)
        if expected_s is not None and expected_s > 2 * waiting.request.deadline_ms / 1000:
            refused = self._no_capacity(waiting)
            refused.word = "queue"
            raise refused

    def _has_warm(self) -> bool:
        return any(d.warm for d in self.books.devices.values())

    def _serve(self, now: float) -> None:
        """Give what is free to those who wait, in fair order."""
        if not len(self.queue) or not self._has_warm():
            return
        kept: set[str] = set()
        state = {"views": self.views()}
        failed: list[Wish] = []

        def attempt(place: Place[Waiting]) -> Outcome:
            waiting = place.item
            if any(f.kind == waiting.wish.kind and 0 < f.memory_bytes <= waiting.wish.memory_bytes for f in failed):
                return Outcome.PASSED
            outcome = self._attempt(waiting, state["views"], now, kept)
            if outcome is Outcome.SERVED:
                state["views"] = self.views()
                failed.clear()
                kept.clear()
            elif outcome is Outcome.PASSED:
                failed.append(waiting.wish)
                if not kept and now - place.entered_s > placement.HOLD_S:
                    kept.add(placement.keep_for(state["views"], waiting.wish))
            return outcome

        self.queue.serve(self.held, self.weight, attempt)

    def _attempt(self, waiting: Waiting, views: list[DeviceView], now: float, kept: set[str]) -> Outcome:
        mine = waiting.tenant
        if tenants.over_quota(mine, 0) is not None:
            return Outcome.TENANT_PASSED
        view = placement.choose(views, waiting.wish, kept)
        if view is None:
            return Outcome.PASSED
        memory = placement.wanted_bytes(view, waiting.wish)
        if tenants.over_quota(mine, memory) is not None:
            return Outcome.PASSED
        return self._give(waiting, self.books.devices[view.id], memory, now)

    def _give(self, waiting: Waiting, device: Device, memory: int, now: float) -> Outcome:
        request, mine = waiting.request, waiting.tenant
        server = next(iter(device.warm.values()))
        token = secrets.token_urlsafe(32)
        session = Session(
            id=f"session-{secrets.token_hex(8)}",
            tenant=mine,
            token_sha256=hashlib.sha256(token.encode()).digest(),
            server=server,
            function=request.function,
            memory_bytes=memory,
            given_at=now,
            expires_at=now + self.config.lease_s,
            priority=request.priority,
            lifetime_s=min((s for s in (request.lifetime_s, mine.quota.lifetime_s) if s), default=0),
            request_id=request.request_id[:64],
            client_pid=request.client_pid,
            client_host=request.host_id,
        )
        try:
            self._assign(session, server)
        except LookupError as error:
            # Its engine has not told us yet that it is gone.
            device.node.is_connected, device.node.reason = False, str(error)
            return Outcome.PASSED
        self.books.set_server(server, states.LEASED)
        self.books.add_session(session)
        self.directory.add_lease(_lease_record(session))
        mine.leases_given += 1
        device.failures, device.failure = 0, ""
        self.meter.given(self.clock() - waiting.arrived_at)
        where = f"On {server.id}, {device.key}."
        self.events.emit("session-leased", session.id, where, mine.name, session.request_id)
        waiting.future.set_result(self._lease(session, token))
        return Outcome.SERVED

    def _assign(self, session: Session, server: Server) -> None:
        quota = session.tenant.quota
        command = server_pb2.ServerCommand(
            assign=server_pb2.AssignRequest(
                session=session.id,
                token_sha256=session.token_sha256,
                epoch=session.epoch,
                limit_bytes=session.memory_bytes,
                park_grace_ms=quota.park_grace_ms or self.config.park_grace_ms,
                kernel_limit_ms=self.config.kernel_limit_ms,
                tenant=session.tenant.name,
                request_id=session.request_id,
                kernel_quota_s=session.tenant.kernel_left_s,
                lifetime_s=session.lifetime_s,
                allow_offload=quota.allow_offload,
            )
        )
        device = server.device
        self.engine.order(device.node.id, server.id, command, session.client_pid, session.client_host)

    def end(self, session: Session, reason: str) -> None:
        """End a session: taken back from its server where nobody has attached, else with its server."""
        if session.is_over or session.state == states.SESSION_ENDING:
            return
        was, server, now = session.state, session.server, self.clock()
        self.books.set_session(session, states.SESSION_ENDING, reason, now)
        if server.state in (states.LEASED, states.PARKED):
            self.books.set_server(server, states.ENDING)
            if was == states.SESSION_LEASED:
                server.returns_since = now
                self._order(server, server_pb2.ServerCommand(unassign=server_pb2.UnassignRequest(session=session.id)))
            else:
                self._order_end(server, reason)
        self._tell(session)

    def _order_end(self, server: Server, reason: str) -> None:
        server.returns_since = float("-inf")
        self._order(server, server_pb2.ServerCommand(end=server_pb2.EndRequest(reason=reason)))

    def _order(self, server: Server, command: server_pb2.ServerCommand) -> None:
        """Where the node is away, nothing: its hello is answered with what it missed."""
        try:
            self.engine.order(server.device.node.id, server.id, command)
        except LookupError as error:
            _log.info("event=order-not-sent server=%s reason=%r", server.id, str(error))

    def _over(
        self, session: Session, state: int, reason: str, now: float, kept: Callable[[], None] | None = None
    ) -> None:
        """The session is over, told or seen; what it used is counted."""
        if session.state == states.SESSION_ENDING:
            reason = ""  # why it was ended is what its client should know
        self.books.set_session(session, state, reason, now)
        if state == states.SESSION_LOST:
            self.sessions_lost += 1
        self._freed.add(now)
        self._count_end(session, kept)
        self.events.emit(
            "session-lost" if state == states.SESSION_LOST else "session-ended",
            session.id,
            session.reason or "It ended.",
            session.tenant.name,
        )
        self._tell(session)

    def _count_end(self, session: Session, kept: Callable[[], None] | None) -> None:
        session.is_counted = True
        session.tenant.ended_kernel_s += session.usage.kernel_s
        if kept is None and not session.was_attached:
            self.directory.remove_lease(session.id)  # nothing was used: there is nothing to remember
        else:
            self.directory.add_end(_end_record(session), kept)

    def _unknown_end(self, node: str, end: agent_pb2.SessionEnd, kept: Callable[[], None]) -> None:
        """A session that ended while no controller ran, or that is remembered by the directory only."""
        lease = self.directory.lease(end.session)
        if self.directory.end(end.session) is None:
            self.tenant(end.tenant or DEFAULT_TENANT).ended_kernel_s += end.usage.kernel_s
        self.directory.add_end(
            EndRecord(
                session=end.session,
                tenant=end.tenant or DEFAULT_TENANT,
                node=node,
                device=end.device,
                function=lease.function if lease else "",
                token_sha256=lease.token_sha256 if lease else b"",
                reason=end.reason,
                lost=end.lost,
                replayable=end.replayable,
                kernel_s=end.usage.kernel_s,
                peak_bytes=end.usage.peak_bytes,
                ended=time.time(),
            ),
            kept,
        )

    def _drain(self, cordon: Cordon) -> None:
        """A device that is being emptied: it is empty, or its sessions' time is over, or neither."""
        device = self.books.devices.get(cordon.device)
        if device is None:
            return  # its node is away
        sessions = list(self.books.on_device(device))
        if sessions and cordon.deadline and time.time() >= cordon.deadline:
            for session in sessions:
                self.end(session, f"Its device is drained: {cordon.reason}. Start the program again for a new session.")
        elif not sessions:
            device.is_draining = False
            self.cordons[device.key] = done = dataclasses.replace(cordon, is_draining=False)
            self.directory.set_cordon(done)
            self.events.emit("device-drained", device.key, "No session is left on it.")

    def _unclaimed_end(self, session_id: str) -> None:
        """A lease of a controller before this one, of which no server knows and whose end nobody told."""
        lease = self.directory.lease(session_id)
        if lease is None or session_id in self.books.sessions:
            return
        self.sessions_lost += 1
        self.directory.add_end(
            EndRecord(
                session=session_id,
                tenant=lease.tenant,
                node=lease.node,
                device=lease.device,
                function=lease.function,
                token_sha256=lease.token_sha256,
                reason="The pool was started again before its server had the session. Acquire a new one.",
                lost=True,
                replayable=True,
                kernel_s=0.0,
                peak_bytes=0,
                ended=time.time(),
            )
        )

    def _check_kernel(self, mine: Tenant) -> None:
        if mine.quota.kernel_s and mine.kernel_s >= mine.quota.kernel_s:
            for session in [s for s in self.books.sessions.values() if s.tenant is mine]:
                self.end(
                    session, f"The tenant {mine.name!r} has used its {mine.quota.kernel_s:g} seconds of kernel time."
                )

    def _check_age(self, session: Session, now: float) -> None:
        """What the session's server and node should have done, where they did not."""
        quota = session.tenant.quota
        grace_s = (quota.park_grace_ms or self.config.park_grace_ms) / 1000
        node = session.device.node
        if session.missing_since and now - session.missing_since > MISSING_S:
            self._lose(session, "Its host came back without it: its server is gone.", now)
        elif not node.is_connected and now - node.seen_at > NODE_LOST_S:
            self._lose(session, f"Its host could not be reached for {NODE_LOST_S:g} s.", now)
        elif session.parked_since and now - session.parked_since > grace_s + SLACK_S:
            self.end(session, f"No client for {grace_s:g} s.")
        elif session.lifetime_s and now - session.given_at > session.lifetime_s + SLACK_S:
            self.end(session, f"Its lifetime of {session.lifetime_s} s is over.")

    def lose(self, session: Session, reason: str) -> None:
        """A session that nobody can end or ask any more."""
        self._lose(session, reason, self.clock())

    def _lose(self, session: Session, reason: str, now: float) -> None:
        server = session.server
        ending = session.state == states.SESSION_ENDING
        session.replayable = session.replayable or not ending
        self._over(session, states.SESSION_ENDED if ending else states.SESSION_LOST, reason, now)
        if server.id in self.books.servers and server.session is session:
            self.books.set_server(server, states.DEAD)

    # ---- servers; with the lock held

    def _seen(self, node: str) -> Node | None:
        known = self.books.nodes.get(node)
        if known is not None:
            known.seen_at = self.clock()
        return known

    def _device_here(self, node: Node, has: agent_pb2.AgentDevice) -> None:
        device = node.devices.get(has.device)
        if device is None:
            config, key = self.config, f"{node.id}/{has.device}"
            share = has.memory_bytes if config.overcommit else has.memory_bytes // config.max_sessions
            device = node.devices[has.device] = self.books.devices[key] = Device(
                key=key, name=has.device, node=node, kind=has.kind, label=has.name, uuid=has.uuid,
                total_bytes=has.memory_bytes, default_bytes=config.session_memory_bytes or share,
                max_sessions=config.max_sessions, counts_promises=not config.overcommit,
            )  # fmt: skip
            cordon = self.cordons.get(key)
            if cordon is not None:
                device.cordoned, device.is_draining = cordon.reason, cordon.is_draining
        device.label, device.uuid, device.total_bytes = has.name, has.uuid, has.memory_bytes

    def _news(self, node: Node, news: agent_pb2.ServerNews, now: float, is_hello: bool = False) -> None:
        server = self.books.servers.get(news.server)
        if news.state == states.DEAD:
            if server is not None:
                self._server_dead(server, news, now)
            return
        if server is None:
            device = node.devices.get(news.device)
            if device is None:
                _log.error("event=news-of-no-device node=%s server=%s device=%s", node.id, news.server, news.device)
                return
            server = Server(news.server, device)
            self.books.add_server(server)
        server.endpoint = news.endpoint or server.endpoint
        server.speaks_tls = news.tls or server.speaks_tls
        server.fingerprint = news.fingerprint or server.fingerprint
        server.client_pid = news.client_pid
        if news.state == states.WARM:
            self._server_warm(server, now, is_hello)
        elif news.assignment.session:
            self._server_has(server, news, now, is_hello)

    def _server_warm(self, server: Server, now: float, is_hello: bool) -> None:
        session = server.session
        if server.state == states.STARTING:
            server.warm_since = now
            self.books.set_server(server, states.WARM)
        elif server.state == states.ENDING and server.returns_since > float("-inf"):
            server.warm_since = now
            self.books.set_server(server, states.WARM)
            if session is not None and not session.is_over:
                self._over(session, states.SESSION_ENDED, "", now)
        elif is_hello and session is not None and server.state == states.LEASED:
            self._resend(session)
            return
        elif is_hello and server.state == states.ENDING:
            self._order_end(server, session.reason if session is not None else "")
            return
        else:
            return
        self._serve(now)

    def _resend(self, session: Session) -> None:
        """An assignment that its node had not heard of when the stream broke."""
        try:
            self._assign(session, session.server)
        except LookupError as error:
            _log.info("event=order-not-sent server=%s reason=%r", session.server.id, str(error))

    def _server_has(self, server: Server, news: agent_pb2.ServerNews, now: float, is_hello: bool) -> None:
        """News of a server that has a session."""
        session = self.books.find(news.assignment.session)
        if session is None:
            session = self._adopt(server, news, now)
        if session.is_over or session.server is not server:
            self._order_end(server, session.reason)
            return
        session.missing_since = 0.0
        self.books.use(session, news.usage)
        if session.state == states.SESSION_ENDING:
            if is_hello or (server.returns_since > float("-inf") and news.attached_before):
                self._order_end(server, session.reason)
            return
        if news.state == states.ENDING:
            self.books.set_session(session, states.SESSION_ENDING, news.reason, now)
            self.books.set_server(server, states.ENDING)
        elif news.state == states.PARKED:
            self.books.set_session(session, states.SESSION_PARKED, "", now)
            self.books.set_server(server, states.PARKED)
        elif news.usage.attached or news.attached_before:
            self.books.set_session(session, states.SESSION_ATTACHED, "", now)
            self.books.set_server(server, states.LEASED)
            # While half of the reserve is left the next look is soon enough: a server that starts now would take the processor from
            # the client that has just come.
            if 2 * server.device.supply(now).coming < self.config.warm:
                self._fill(now)
        else:
            return
        self._tell(session)

    def _adopt(self, server: Server, news: agent_pb2.ServerNews, now: float) -> Session:
        """A session that a controller before this one gave."""
        assignment, lease = news.assignment, self.directory.lease(news.assignment.session)
        session = Session(
            id=assignment.session,
            tenant=self.tenant(assignment.tenant or DEFAULT_TENANT),
            token_sha256=assignment.token_sha256,
            server=server,
            function=lease.function if lease else "",
            memory_bytes=assignment.limit_bytes,
            given_at=now - news.session_age_s,
            expires_at=now + self.config.lease_s,
            priority=lease.priority if lease else 0,
            lifetime_s=assignment.lifetime_s,
            request_id=assignment.request_id,
            client_pid=news.client_pid,
            epoch=assignment.epoch,
        )
        if server.state == states.STARTING:
            self.books.set_server(server, states.WARM)
        if server.state == states.WARM:
            self.books.set_server(server, states.LEASED)
        self.books.add_session(session)
        if lease is None:
            self.directory.add_lease(_lease_record(session))
        _log.info("event=session-adopted session=%s server=%s", session.id, server.id)
        return session

    def _server_dead(self, server: Server, news: agent_pb2.ServerNews, now: float) -> None:
        was, session, device = server.state, server.session, server.device
        is_young = was == states.WARM and now - server.warm_since < STABLE_S
        self.books.set_server(server, states.DEAD)
        if session is not None and not session.is_over:
            ending = session.state == states.SESSION_ENDING or not news.exit_status
            session.replayable = session.replayable or not ending
            self._over(session, states.SESSION_ENDED if ending else states.SESSION_LOST, news.reason, now)
        elif (
            not self.closing
            and (was == states.STARTING or (is_young and session is None))
            and (news.start_failed or news.exit_status)
        ):
            device.failures += 1
            device.failure, device.failed_at = news.reason or "A server could not start.", now
            _log.warning(
                "event=server-failed device=%s failures=%d reason=%r", device.key, device.failures, device.failure
            )
            self.events.emit("server-failed", server.id, device.failure)
        self._serve(now)
        self._fill(now)
        for place in list(self.queue):
            try:
                self._check_failed(place.item.wish)
            except Refused as refused:
                self.queue.remove(place)
                self._refuse(place.item, refused)

    def _server_missing(self, server: Server, now: float) -> None:
        """Its node came back without it."""
        session = server.session
        if session is None or session.is_over:
            self.books.set_server(server, states.DEAD)
        else:
            session.missing_since = now  # its end may be told yet

    def _retry_failed(self, now: float) -> None:
        """Somebody asks: devices whose last server could not start may try again, each time after a longer pause."""
        for device in self.books.devices.values():
            if device.failure and now - device.failed_at >= _pause_s(device.failures):
                device.failure = ""

    def _fill(self, now: float) -> None:
        """Start the servers that are lacking."""
        if self.closing:
            return
        if not self.config.embedded:
            for device in self.books.devices.values():
                if device.failure and now - device.failed_at >= max(1.0, _pause_s(device.failures)):
                    device.failure = ""
        devices = [d for d in self.books.devices.values() if d.node.is_connected]
        supplies = [d.supply(now - SETTLE_S) for d in devices]
        wishes = [p.item.wish for p, _ in zip(self.queue, range(_PLANNED), strict=False)]
        chosen = plan.starts(
            supplies,
            wishes,
            warm=self.config.warm,
            keep_warm_while_leased=not self.config.embedded,
            blocked={d.key for d in devices if d.failure},
        )
        for key in chosen:
            device = self.books.devices[key]
            server = Server(f"server-{secrets.token_hex(4)}", device)
            try:
                self.engine.start(device.node.id, server.id, device.name)
            except LookupError as error:
                _log.info("event=start-not-sent device=%s reason=%r", key, str(error))
                continue
            self.books.add_server(server)

    # ---- answers; with the lock held

    def status(self, session: Session) -> pool_pb2.SessionStatus:
        now, usage = self.clock(), session.usage
        return pool_pb2.SessionStatus(
            session=session.id,
            state=session.state,  # type: ignore[arg-type]
            server=session.server.id,
            device=self.device_name(session.device),
            epoch=session.epoch,
            reason=session.reason,
            function=session.function,
            memory_bytes=session.memory_bytes,
            age_s=(session.over_at or now) - session.given_at,
            tenant=session.tenant.name,
            node=session.device.node.id,
            used_bytes=usage.used_bytes,
            peak_bytes=usage.peak_bytes,
            kernel_s=usage.kernel_s,
            idle_s=usage.idle_s,
            executed_commands=usage.executed_commands,
            running_op=usage.running_op,
            request_id=session.request_id,
            priority=session.priority,
            client_pid=session.client_pid,
            replayable=session.replayable,
        )

    def device_name(self, device: Device) -> str:
        """A device's name for people: with its node where there are several."""
        return device.name if len(self.books.nodes) == 1 else device.key

    def _lease(self, session: Session, token: str) -> pool_pb2.Lease:
        server = session.server
        return pool_pb2.Lease(
            session=session.id,
            session_token=token,
            endpoint=server.endpoint,
            epoch=session.epoch,
            expires_in_s=self.config.lease_s,
            server=server.id,
            device=self.device_name(server.device),
            tenant=session.tenant.name,
            tls=server.speaks_tls,
            node=server.device.node.id,
        )

    def _tell(self, session: Session) -> None:
        if session.watchers:
            status = self.status(session)
            for tell in session.watchers:
                tell(status)
        if session.is_over:
            session.watchers.clear()

    def _session_of(self, session_id: str, token: str, tenant: str) -> Session:
        session = self.books.find(session_id)
        if session is None or session.tenant.name != tenant or not _is_token(token, session.token_sha256):
            raise _no_session(session_id)
        return session

    def _ended_status(self, session_id: str, token: str, tenant: str) -> pool_pb2.SessionStatus:
        """Of a session that only the directory remembers. Raises Refused."""
        end = self.directory.end(session_id)
        if end is None or end.tenant != tenant or not _is_token(token, end.token_sha256):
            raise _no_session(session_id)
        return pool_pb2.SessionStatus(
            session=session_id,
            state=states.SESSION_LOST if end.lost else states.SESSION_ENDED,
            device=end.device,
            reason=end.reason,
            function=end.function,
            tenant=end.tenant,
            node=end.node,
            kernel_s=end.kernel_s,
            peak_bytes=end.peak_bytes,
            replayable=end.replayable,
        )

    # ---- refusals; with the lock held

    def _refuse(self, waiting: Waiting, refused: Refused) -> None:
        self._count_refusal(waiting.tenant, refused)
        waiting.future.set_exception(refused)

    def _count_refusal(self, mine: Tenant, refused: Refused) -> None:
        mine.leases_refused += 1
        self.meter.refused(refused.word)

    def _ending(self) -> Refused:
        return Refused(Code.UNAVAILABLE, self.closing, "Start it again.", word="ending")

    def _check_possible(self, waiting: Waiting) -> None:
        devices, wish = self.books.devices.values(), waiting.wish
        kinds = sorted({d.kind for d in devices})
        if wish.kind and kinds and wish.kind not in kinds:
            raise Refused(
                Code.FAILED_PRECONDITION,
                f"This pool has no {wish.kind!r} device, only {', '.join(kinds)}.",
                "Unset CUPOOL_DEVICE, or ask another pool.",
                word="impossible",
            )
        memories = [d.total_bytes for d in devices if not wish.kind or d.kind == wish.kind]
        if wish.memory_bytes and memories and all(0 < m < wish.memory_bytes for m in memories):
            raise Refused(
                Code.FAILED_PRECONDITION,
                f"No device of this pool has {wish.memory_bytes:,} bytes; the largest has {max(memories):,}.",
                "Ask for less: CUPOOL_MEMORY.",
                word="impossible",
            )

    def _check_failed(self, wish: Wish) -> None:
        """With nothing coming and every device that could serve failed, waiting is of no use. Raises Refused."""
        able = [
            d for d in self.books.devices.values() if d.node.is_connected and (not wish.kind or d.kind == wish.kind)
        ]
        if able and all(d.failure and not d.warm and not d.servers[states.STARTING] and not d.holding for d in able):
            raise Refused(Code.UNAVAILABLE, able[0].failure, word="unavailable")

    def _no_capacity(self, waiting: Waiting) -> Refused:
        memory = waiting.wish.memory_bytes
        over = tenants.over_quota(waiting.tenant, memory)
        deadline_s = waiting.request.deadline_ms / 1000
        if over is not None:
            if not deadline_s:
                return over
            return Refused(Code.DEADLINE_EXCEEDED, f"{over} It waited {deadline_s:g} s.", word=over.word)
        devices = [d for d in self.books.devices.values() if d.node.is_connected]
        if not devices:
            text = "No host of this pool is connected now."
        else:
            taken, most = sum(d.holding for d in devices), sum(d.max_sessions for d in devices)
            text = f"The pool has no free device: {taken} of {most} are taken."
        now = self.clock()
        if deadline_s and now >= waiting.deadline_at:
            return Refused(
                Code.DEADLINE_EXCEEDED,
                f"{text} Nothing became free in {deadline_s:g} s.",
                "Try again later, wait longer (CUPOOL_DEADLINE_S), or add devices to the pool.",
                word="deadline",
            )
        return Refused(
            Code.RESOURCE_EXHAUSTED if devices else Code.UNAVAILABLE,
            text,
            "Try again later, or wait in line: CUPOOL_DEADLINE_S.",
            word="capacity" if devices else "unavailable",
            retry_ms=self._freed.retry_ms(len(self.queue) + 1, now),
        )

    def _no_place(self, waiting: Waiting, full: QueueFull) -> Refused:
        if waiting.request.deadline_ms == 0:
            return self._no_capacity(waiting)
        whose = f"of the tenant {waiting.tenant.name!r} " if full.of_tenant else ""
        return Refused(
            Code.RESOURCE_EXHAUSTED,
            f"The pool has no free device, and all {full.limit} places {whose}in its queue are taken.",
            "Try again later.",
            word="queue",
            retry_ms=self._freed.retry_ms(len(self.queue) + 1, self.clock()),
        )


def _pause_s(failures: int) -> float:
    """How long a device whose servers cannot start is left alone: nothing at first, then 1, 2, 4, ... 60 s."""
    return 0.0 if failures < 2 else min(60.0, 2.0 ** (failures - 2))


def _is_token(token: str, sha256: bytes) -> bool:
    return hmac.compare_digest(hashlib.sha256(token.encode()).digest(), sha256)


def _no_session(session_id: str) -> Refused:
    return Refused(Code.NOT_FOUND, f"There is no session {session_id!r} with this token.", "Acquire a new one.")


def _tenant_of(record: TenantRecord, config: PoolConfig) -> Tenant:
    return Tenant(
        record.name,
        record.quota or config.quota,
        ended_kernel_s=record.kernel_s,
        leases_given=record.leases_given,
        leases_refused=record.leases_refused,
    )


def _lease_record(session: Session) -> LeaseRecord:
    return LeaseRecord(
        session=session.id,
        tenant=session.tenant.name,
        node=session.device.node.id,
        server=session.server.id,
        device=session.device.name,
        token_sha256=session.token_sha256,
        function=session.function,
        memory_bytes=session.memory_bytes,
        priority=session.priority,
        given=time.time(),
        request_id=session.request_id,
        client_pid=session.client_pid,
        lifetime_s=session.lifetime_s,
    )


def _end_record(session: Session) -> EndRecord:
    return EndRecord(
        session=session.id,
        tenant=session.tenant.name,
        node=session.device.node.id,
        device=session.device.name,
        function=session.function,
        token_sha256=session.token_sha256,
        reason=session.reason,
        lost=session.state == states.SESSION_LOST,
        replayable=session.replayable,
        kernel_s=session.usage.kernel_s,
        peak_bytes=session.usage.peak_bytes,
        ended=time.time(),
    )
