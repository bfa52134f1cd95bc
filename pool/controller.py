"""Leases: which session is on which server, who waits for one, and what becomes of each. One lock; no I/O under it.

Callers are gRPC threads (`acquire`, `release`, ...) and the agent's loop (`server_ready`, `server_dead`, `client_dead`).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import grpc

from cupool.contract.errors import CupoolError
from cupool.v1 import admin_pb2, pool_pb2, server_pb2

from . import plan, reasons, states
from .agent import Agent
from .config import PoolConfig, host_id
from .server_process import ServerProcess

_log = logging.getLogger(__name__)

#: What became of this many ended sessions is remembered, for clients that ask late.
_REMEMBERED = 1000
#: Retry time told to a client that found no capacity.
RETRY_MS = 500


class Refused(CupoolError):
    """No lease, with the gRPC status that says why."""

    def __init__(self, code: grpc.StatusCode, what: str, cure: str = "") -> None:
        super().__init__(what, cure)
        self.code = code


@dataclass(slots=True)
class Session:
    """One lease from Acquire to its end. Times in seconds on the monotonic clock."""

    id: str
    token_sha256: bytes
    server: ServerProcess
    device: str
    function: str
    memory_bytes: int
    epoch: int = 1
    state: int = states.SESSION_LEASED
    reason: str = ""
    started_at: float = field(default_factory=time.monotonic)

    def status(self) -> pool_pb2.SessionStatus:
        return pool_pb2.SessionStatus(
            session=self.id,
            state=self.state,  # type: ignore[arg-type]
            server=self.server.id,
            device=self.device,
            epoch=self.epoch,
            reason=self.reason,
            function=self.function,
            memory_bytes=self.memory_bytes,
            age_s=time.monotonic() - self.started_at,
        )


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the pool did so far, and holds now."""

    servers: int
    warm: int
    sessions: int
    leases_given: int
    servers_lost: int


class Controller:
    """The pool's directory and its decisions."""

    def __init__(self, config: PoolConfig, agent: Agent, started: Iterable[ServerProcess] = ()) -> None:
        """`started`: servers that the agent has started already."""
        self._config = config
        self._agent = agent
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        #: Servers that are not dead, by id.
        self._servers: dict[str, ServerProcess] = {server.id: server for server in started}
        #: Sessions by id, ended ones included, oldest first.
        self._sessions: dict[str, Session] = {}
        self._waiting: list[str] = []
        #: Device id -> why its last server could not start. Cleared by the next Acquire, which tries again.
        self._failed: dict[str, str] = {}
        self._closing = False
        self._leases_given = 0
        self._servers_lost = 0
        self._boot_id = host_id()

    # ---- what clients ask

    def acquire(self, request: pool_pb2.AcquireRequest, is_active: Callable[[], bool]) -> pool_pb2.Lease:
        """A session on a warm server; waits up to the request's deadline for one.

        Raises:
            Refused: no capacity, a device that cannot start, or the pool ends.
        """
        kind, deadline = request.device_kind, time.monotonic() + request.deadline_ms / 1000
        self._check_possible(request)
        with self._lock:
            self._failed.clear()
            self._waiting.append(kind)
            try:
                self._fill()
                while (server := self._take(kind)) is None:
                    self._check_failed(kind)
                    left = deadline - time.monotonic()
                    if left <= 0 or not is_active():
                        raise self._no_capacity(request.deadline_ms)
                    self._changed.wait(min(left, 0.5))
            finally:
                self._waiting.remove(kind)
            token = secrets.token_urlsafe(32)
            session = Session(
                id=f"session-{secrets.token_hex(8)}",
                token_sha256=hashlib.sha256(token.encode()).digest(),
                server=server,
                device=server.device.id,
                function=request.function,
                memory_bytes=request.memory_bytes,
            )
            server.session = session.id
            self._sessions[session.id] = session
            self._leases_given += 1
            self._forget_old()
            self._fill()
        self._assign(session)
        if request.client_pid > 0 and request.host_id and request.host_id == self._boot_id:
            pid = request.client_pid
            self._agent.post(lambda: self._agent.watch_client(session.id, pid))
        return self._lease(session, token)

    def renew(self, session_id: str, token: str) -> pool_pb2.Lease:
        """The lease again. Raises Refused when the session is over or the token is another's."""
        with self._lock:
            session = self._session_of(session_id, token)
            if session.state != states.SESSION_LEASED:
                raise Refused(
                    grpc.StatusCode.NOT_FOUND, f"The session is over. {session.reason}".strip(), "Acquire a new one."
                )
            return self._lease(session, "")

    def release(self, session_id: str, token: str, reason: str) -> None:
        """End a session. One that is unknown or over is no error."""
        with self._lock:
            if session_id not in self._sessions:
                return
            session = self._session_of(session_id, token)
        self._end(session, reason or "Released by its client.")

    def kill(self, session_id: str, reason: str) -> None:
        """End a session on an operator's word. Raises Refused when there is none."""
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None or session.state in states.FINAL:
                raise Refused(
                    grpc.StatusCode.NOT_FOUND, f"There is no session {session_id!r}.", "List them with ListAllSessions."
                )
        self._end(
            session,
            f"Ended by an operator{': ' + reason if reason else ''}. Start the program again for a new session.",
        )

    def sessions(self) -> list[pool_pb2.SessionStatus]:
        """Every session that is not over."""
        with self._lock:
            return [s.status() for s in self._sessions.values() if s.state not in states.FINAL]

    def watch(self, session_id: str, token: str, is_active: Callable[[], bool]) -> Iterator[pool_pb2.SessionStatus]:
        """The session's state now and at each change until it is over."""
        last = -1
        while True:
            with self._lock:
                session = self._session_of(session_id, token)
                while session.state == last and is_active() and not self._closing:
                    self._changed.wait(0.5)
                if session.state == last:
                    return
                last, status = session.state, session.status()
            yield status
            if last in states.FINAL:
                return

    def servers(self) -> list[server_pb2.ServerStatus]:
        """Every server, as it says itself where it answers."""
        with self._lock:
            known = [(s, s.state, s.session) for s in self._servers.values()]
        result = []
        for server, state, session in known:
            status = server.ask_status() if state in (states.WARM, states.LEASED) else None
            status = status or server_pb2.ServerStatus()
            status.server, status.session = server.id, session
            if status.state not in (server_pb2.SERVER_STATE_PARKED,):
                status.state = state  # type: ignore[assignment]
            result.append(status)
        return result

    def list_servers(self) -> admin_pb2.ListServersReply:
        return admin_pb2.ListServersReply(servers=self.servers())

    def statistics(self) -> Statistics:
        with self._lock:
            return Statistics(
                servers=len(self._servers),
                warm=sum(s.state == states.WARM for s in self._servers.values()),
                sessions=sum(s.state not in states.FINAL for s in self._sessions.values()),
                leases_given=self._leases_given,
                servers_lost=self._servers_lost,
            )

    def close(self) -> None:
        """No more leases; whoever waits is told."""
        with self._lock:
            self._closing = True
            self._changed.notify_all()

    # ---- what the agent tells

    def server_ready(self, server: ServerProcess) -> None:
        with self._lock:
            if server.state == states.STARTING:
                server.state = states.server_change(server.state, states.WARM)
                self._changed.notify_all()

    def server_dead(self, server: ServerProcess, returncode: int) -> None:
        with self._lock:
            was = server.state
            server.state = states.server_change(was, states.DEAD)
            self._servers.pop(server.id, None)
            session = self._sessions.get(server.session)
            if session is not None:
                self._session_over(session, server, returncode)
            elif was == states.STARTING:
                why = reasons.start_sentence(returncode, server.status_file(), server.log_tail())
                self._failed[server.device.id] = f"{why} {server.wish}".strip()
                _log.warning("%s", self._failed[server.device.id])
            self._fill()
            self._changed.notify_all()

    def client_dead(self, session: str) -> None:
        with self._lock:
            found = self._sessions.get(session)
        if found is not None:
            self._end(found, "Its client's process ended.")

    # ---- inside; _fill, _take, _session_* with the lock held

    def _session_over(self, session: Session, server: ServerProcess, returncode: int) -> None:
        self._agent.post(lambda: self._agent.forget_client(session.id))
        if session.state == states.SESSION_ENDING:
            session.state = states.session_change(session.state, states.SESSION_ENDED)
        elif session.state == states.SESSION_LEASED:
            session.reason = reasons.death_sentence(returncode, server.status_file())
            self._servers_lost += returncode != 0
            session.state = states.session_change(
                session.state, states.SESSION_LOST if returncode else states.SESSION_ENDED
            )
            _log.info("%s is over: %s", session.id, session.reason)

    def _fill(self) -> None:
        if self._closing:
            return
        views = [plan.ServerView(s.device.id, s.state, bool(s.session)) for s in self._servers.values()]
        for device in plan.starts_of(self._config, views, self._waiting, frozenset(self._failed)):
            server = self._agent.new_server(device)
            self._servers[server.id] = server
            self._agent.post(lambda server=server: self._agent.start(server))  # type: ignore[misc]

    def _take(self, kind: str) -> ServerProcess | None:
        views = [plan.ServerView(s.device.id, s.state, bool(s.session)) for s in self._servers.values()]
        for server in self._servers.values():
            if server.state != states.WARM or (kind and server.device.kind != kind):
                continue
            if plan.occupied(server.device.id, views) < self._config.max_sessions:
                server.state = states.server_change(server.state, states.LEASED)
                return server
        return None

    def _assign(self, session: Session) -> None:
        server = session.server
        limit = session.memory_bytes or server.device.memory_bytes
        request = server_pb2.AssignRequest(
            session=session.id,
            token_sha256=session.token_sha256,
            epoch=session.epoch,
            limit_bytes=limit,
            park_grace_ms=self._config.park_grace_ms,
            kernel_limit_ms=self._config.kernel_limit_ms,
        )
        try:
            server.assign(request)
        except grpc.RpcError as error:
            text = f"{error.code().name}: {error.details()}"
            self._end(session, f"Its server did not take it ({text}).")
            raise Refused(
                grpc.StatusCode.UNAVAILABLE,
                f"The server {server.id} did not take the session ({text}).",
                "Acquire again.",
            ) from error

    def _end(self, session: Session, reason: str) -> None:
        with self._lock:
            if session.state != states.SESSION_LEASED:
                return
            session.state = states.session_change(session.state, states.SESSION_ENDING)
            session.reason = reason
            server = session.server
            if server.state == states.LEASED:
                server.state = states.server_change(server.state, states.ENDING)
            self._changed.notify_all()
        self._agent.post(lambda: self._agent.end(server, reason))

    def _session_of(self, session_id: str, token: str) -> Session:
        session = self._sessions.get(session_id)
        if session is None or not hmac.compare_digest(session.token_sha256, hashlib.sha256(token.encode()).digest()):
            raise Refused(
                grpc.StatusCode.NOT_FOUND, f"There is no session {session_id!r} with this token.", "Acquire a new one."
            )
        return session

    def _lease(self, session: Session, token: str) -> pool_pb2.Lease:
        return pool_pb2.Lease(
            session=session.id,
            session_token=token,
            endpoint=session.server.endpoint,
            epoch=session.epoch,
            expires_in_s=self._config.park_grace_ms // 1000,
            server=session.server.id,
            device=session.device,
        )

    def _check_possible(self, request: pool_pb2.AcquireRequest) -> None:
        kinds = sorted({d.kind for d in self._config.devices})
        if request.device_kind and request.device_kind not in kinds:
            raise Refused(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"This pool has no {request.device_kind!r} device, only {', '.join(kinds)}.",
                "Unset CUPOOL_DEVICE, or ask another pool.",
            )
        memories = [
            d.memory_bytes for d in self._config.devices if not request.device_kind or d.kind == request.device_kind
        ]
        if request.memory_bytes and all(0 < m < request.memory_bytes for m in memories):
            raise Refused(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"No device of this pool has {request.memory_bytes:,} bytes; the largest has {max(memories):,}.",
                "Ask for less: CUPOOL_MEMORY.",
            )

    def _check_failed(self, kind: str) -> None:
        """With nothing coming and every device of the kind failed, waiting is of no use."""
        if self._closing:
            raise Refused(grpc.StatusCode.UNAVAILABLE, "The pool is ending.", "Start it again.")
        coming = any(s.state in plan.READY_SOON for s in self._servers.values() if not kind or s.device.kind == kind)
        devices = [d.id for d in self._config.devices if not kind or d.kind == kind]
        if not coming and all(d in self._failed for d in devices):
            raise Refused(grpc.StatusCode.UNAVAILABLE, self._failed[devices[0]])

    def _no_capacity(self, deadline_ms: int) -> Refused:
        leased = sum(s.state in plan.OCCUPYING for s in self._servers.values())
        text = f"The pool has no free device: {leased} of {len(self._config.devices) * self._config.max_sessions} are taken."
        if deadline_ms:
            return Refused(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"{text} Nothing became free in {deadline_ms / 1000:g} s.",
                "Try again later, wait longer (CUPOOL_DEADLINE_S), or add devices to the pool.",
            )
        return Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, text, "Try again later, or wait in line: CUPOOL_DEADLINE_S.")

    def _forget_old(self) -> None:
        for key in [k for k, s in self._sessions.items() if s.state in states.FINAL][
            : max(0, len(self._sessions) - _REMEMBERED)
        ]:
            del self._sessions[key]
