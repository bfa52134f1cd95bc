"""The controller's state, and what follows from it whoever asks: sessions that end, servers that are lacking, what is told of both.

Layers over it: `leasing` gives leases, `following` takes what hosts tell, `controller` is the whole. One lock; what begins with an
underscore, and all of "with the lock held", is called with it. No I/O under it: orders go to the engine, which does not wait.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from cupool.contract.moves import Machine
from cupool.v1 import agent_pb2, pool_pb2, server_pb2

from . import meters, plan, states
from .config import PoolConfig
from .directory import Directory, EndRecord, LeaseRecord, TenantRecord
from .engine import Engine
from .events import Events
from .leases import Books, Device, Server, Session
from .placement import DeviceView, Wish
from .queue import FairQueue, Place
from .rates import FreeRate
from .tenants import Tenant

_log = logging.getLogger(__name__)

#: A lease so young may be given back before anybody attaches: its server is not replaced yet.
SETTLE_S = 0.25
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


class Core:
    """The books, the queue, and those who are told. `lock` guards `books` and `queue`; `operations.py` takes it too."""

    # ---- what everybody needs; with the lock held

    def __init__(
        self,
        config: PoolConfig,
        engine: Engine,
        directory: Directory | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        ids: Callable[[int], str] = secrets.token_hex,
        machine: Machine | None = None,
    ) -> None:
        """
        Args:
            machine: decides of moves; None: this pool moves nothing. It is the balancer's, and the facade's to bring here.
            clock: seconds, never back.
            wall: seconds since 1970, for what is written down.
            ids: so many random bytes as text, for ids and tokens that nobody can guess.
        """
        self.config = config
        self.engine = engine
        self.directory = directory or Directory()
        self.clock = clock
        self.wall = wall
        self.ids = ids
        self.lock = threading.Lock()
        self.books = Books()
        self.machine = machine
        self.queue: FairQueue[Waiting] = FairQueue(config.queue_places)
        self.meter = meters.LeaseMeter()
        self.events = Events()
        self.started_at = clock()
        self.closing = ""  #: why no more leases are given
        self.sessions_lost = 0
        #: called, with the lock held, when a session was saved or could not be
        self.on_checkpoint: Callable[[server_pb2.CheckpointReport], None] = lambda report: None
        self.reclaimed_bytes = 0
        self.cordons = {c.device: c for c in self.directory.cordons()}
        #: Leases of the directory that their node came without, by session: when it did. Their end may be told yet.
        self._unclaimed: dict[str, float] = {}
        self._freed = FreeRate()
        #: (leases given, refused) of each tenant when they were written down last, and when that was.
        self._counts: dict[str, tuple[int, int]] = {}
        self._kept_at = clock()
        for record in self.directory.tenants():
            self.books.tenants[record.name] = tenant_of(record, config)
        #: Leases of a controller before this one, until a host has told what became of each. They count against quotas.
        self._awaited: dict[str, LeaseRecord] = {}
        for lease in self.directory.leases():
            self._awaited[lease.session] = lease
            mine = self.tenant(lease.tenant)
            mine.awaited_sessions += 1
            mine.awaited_bytes += lease.memory_bytes
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

    def tenant(self, name: str) -> Tenant:
        """The tenant's books; begun for one that nobody has seen yet."""
        found = self.books.tenants.get(name)
        if found is None:
            found = self.books.tenants[name] = tenant_of(TenantRecord(name), self.config)
        return found

    def keep_tenant(self, mine: Tenant) -> None:
        """Have the directory know the tenant as it is now."""
        quota = None if mine.quota == self.config.quota else mine.quota
        self.directory.set_tenant(
            TenantRecord(mine.name, quota, mine.ended_kernel_s, mine.leases_given, mine.leases_refused)
        )

    def keep_counts(self) -> None:
        """Have the directory know every tenant's counts, at the end of this controller."""
        with self.lock:
            for mine in self.books.tenants.values():
                self.keep_tenant(mine)

    def _told_of(self, session_id: str) -> None:
        """A lease of a controller before this one: what became of it is known."""
        lease = self._awaited.pop(session_id, None)
        if lease is not None:
            mine = self.tenant(lease.tenant)
            mine.awaited_sessions -= 1
            mine.awaited_bytes -= lease.memory_bytes

    def views(self) -> list[DeviceView]:
        return [d.view() for d in self.books.devices.values()]

    def held(self, tenant: str) -> float:
        """What the queue calls held: sessions by weight."""
        mine = self.books.tenants[tenant]
        return mine.sessions / self.weight(tenant)

    def weight(self, tenant: str) -> float:
        return self.books.tenants[tenant].quota.weight or 1.0

    # ---- the end of sessions

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
        self._left(session, reason)
        self._tell(session)

    def _left(self, session: Session, reason: str) -> None:
        """The session is over, or is being ended: `moving.py` lets go of its copies."""

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
            # Leases that nobody used come and go by the hundred.
            level=logging.INFO if session.was_attached or state == states.SESSION_LOST else logging.DEBUG,
        )
        self._left(session, session.reason)
        self._tell(session)

    def _count_end(self, session: Session, kept: Callable[[], None] | None) -> None:
        session.is_counted = True
        session.tenant.ended_kernel_s += session.usage.kernel_s
        if kept is None and not session.was_attached:
            self.directory.remove_lease(session.id)  # nothing was used: there is nothing to remember
        else:
            self.directory.add_end(end_record(session, self.wall()), kept)

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

    def _check_kernel(self, mine: Tenant) -> None:
        if mine.quota.kernel_s and mine.kernel_s >= mine.quota.kernel_s:
            for session in [s for s in self.books.sessions.values() if s.tenant is mine]:
                self.end(
                    session, f"The tenant {mine.name!r} has used its {mine.quota.kernel_s:g} seconds of kernel time."
                )

    # ---- the beginning of sessions and servers

    def _assign(self, session: Session, server: Server) -> None:
        command = server_pb2.ServerCommand(assign=self._assignment(session))
        device = server.device
        self.engine.order(device.node.id, server.id, command, session.client_pid, session.client_host)

    def _assignment(self, session: Session) -> server_pb2.AssignRequest:
        quota = session.tenant.quota
        return server_pb2.AssignRequest(
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
            incoming=session.incoming,
        )

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
            server = Server(f"server-{self.ids(4)}", device)
            try:
                self.engine.start(device.node.id, server.id, device.name)
            except LookupError as error:
                _log.info("event=start-not-sent device=%s reason=%r", key, str(error))
                continue
            self.books.add_server(server)

    def _retry_failed(self, now: float) -> None:
        """Somebody asks: devices whose last server could not start may try again, each time after a longer pause."""
        for device in self.books.devices.values():
            if device.failure and now - device.failed_at >= _pause_s(device.failures):
                device.failure = ""

    # ---- answers

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
            move=session.move,
            moves=session.moves,
            fixed=session.fixed,
        )

    def own_status(self, session: Session) -> pool_pb2.SessionStatus:
        """For its own client: where it is, too."""
        status = self.status(session)
        if not session.is_over:
            status.endpoint, status.tls = session.server.endpoint, session.server.speaks_tls
        return status

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
            op_table_digest=server.op_table_digest,
        )

    def _tell(self, session: Session) -> None:
        if session.watchers:
            status = self.own_status(session)
            for tell in session.watchers:
                tell(status)
        if session.is_over:
            session.watchers.clear()


def _pause_s(failures: int) -> float:
    """How long a device whose servers cannot start is left alone: nothing at first, then 1, 2, 4, ... 60 s."""
    return 0.0 if failures < 2 else min(60.0, 2.0 ** (failures - 2))


def tenant_of(record: TenantRecord, config: PoolConfig) -> Tenant:
    return Tenant(
        record.name,
        record.quota or config.quota,
        ended_kernel_s=record.kernel_s,
        leases_given=record.leases_given,
        leases_refused=record.leases_refused,
    )


def lease_record(session: Session, given: float) -> LeaseRecord:
    """`given`: seconds since 1970."""
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
        given=given,
        request_id=session.request_id,
        client_pid=session.client_pid,
        lifetime_s=session.lifetime_s,
        epoch=session.epoch,
        moves=session.moves,
    )


def end_record(session: Session, ended: float) -> EndRecord:
    """`ended`: seconds since 1970."""
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
        ended=ended,
    )
