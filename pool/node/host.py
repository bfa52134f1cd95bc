"""The servers of this host: orders in, news out. All of it in the loop's thread.

Cases of a server's end: it was told to; its session ended by itself (the client said goodbye, a clock, a quota); it crashed; it never
became warm. Each is told as `SessionEnd`, where there was a session, and then as `ServerNews` of a dead server. A session that has
moved away, or has not come yet, does not end with its server: of that the death alone is told.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from cupool.contract import hosts
from cupool.contract.errors import ProtocolError
from cupool.v1 import agent_pb2, server_pb2

from .. import reasons, states
from ..config import DeviceConfig, PoolConfig
from .backoff import STEADY_S, Backoff
from .checkpoints import Checkpoints
from .loop import Loop
from .measure import Measures
from .remains import ServerLogs, reap_orphans
from .server import NotFollowing, Server
from .starting import Starting
from .telling import TURNS, Telling, changed_use, server_news

_log = logging.getLogger(__name__)

#: How long a server that was told to end may take before it is killed.
END_GRACE_S = 2.0
#: The same, where its client is dead: nobody waits for it, somebody may wait for the memory.
CLIENT_GONE_GRACE_S = 0.5
#: How often numbers are told.
TICK_S = 0.25
#: Characters of what a server says of its session that are passed on.
LONGEST_REASON = 1000
#: Reports of one server: so many at once, and so many a second from then on. One with a client that comes and goes has a few a second; each
#: may become news for the controller, whose time is that of all tenants.
REPORTS_AT_ONCE, REPORTS_A_S = 2000.0, 100.0
#: Bytes of an op table's digest, at most.
LONGEST_DIGEST = 64
#: How often checkpoints that nobody came for are looked for.
TIDY_S = 30.0
#: How often children that nobody waits for are looked for.
ORPHANS_S = 5.0

Change = server_pb2.SessionChange
Report = server_pb2.MoveReport
PARKED = server_pb2.SERVER_STATE_PARKED


class Host:
    """The devices and servers of this host.

    Attributes:
        telling: its `sink` is who is told; must be set before the loop runs.
        starting: how servers get their processes.
    """

    def __init__(
        self,
        config: PoolConfig,
        folder: Path,
        loop: Loop,
        measures: Measures | None = None,
        logs: Path | None = None,
    ) -> None:
        """
        Args:
            folder: for the folders of servers; this object makes and removes what is in it.
            measures: None: nothing is measured (an embedded pool).
            logs: where logs of servers stay when they and this process are gone, the latest `KEPT_LOGS`; None: they go with `folder`.
        """
        self.loop = loop
        self.telling = Telling()
        #: this process adopts orphans: they must be reaped
        self.adopts = False
        #: pids of children that others in this process wait for
        self.own_children: set[int] = set()
        self._folder = folder
        self._logs = ServerLogs(logs, folder / "logs")
        self._measures = measures
        self._checkpoints = Checkpoints(config)
        self.starting = Starting(config, self._checkpoints)
        self._host_id = hosts.host_id()
        self._devices: dict[str, DeviceConfig] = {d.id: d for d in config.devices}
        self._backoff = {device: Backoff() for device in self._devices}
        self._servers: dict[str, Server] = {}
        self._is_closing = False
        loop.later(TIDY_S, self._tidy)
        if measures is not None:
            loop.later(TICK_S, self._tick)
        loop.later(ORPHANS_S, self._reap_orphans_often)

    # ---- what there is

    def servers(self) -> Iterator[Server]:
        """Those that have a process."""
        return iter(self._servers.values())

    @property
    def logs(self) -> Path:
        """The folder of the servers' logs."""
        return self._logs.folder

    @property
    def devices(self) -> dict[str, DeviceConfig]:
        return self._devices

    def hello(self) -> agent_pb2.AgentHello:
        """All that lives here; who speaks adds node and version."""
        hello = agent_pb2.AgentHello(boot_id=self._host_id)
        for device in self._devices.values():
            found = hello.devices.add(device=device.id, kind=device.kind, memory_bytes=device.memory_bytes)
            if self._measures is not None:
                found.name, found.uuid = self._measures.identity(device)
        hello.servers.extend(server_news(server) for server in self._servers.values())
        return hello

    def _tidy(self) -> None:
        self._checkpoints.tidy()
        if not self._is_closing:
            self.loop.later(TIDY_S, self._tidy)

    # ---- orders

    def settings(self, settings: agent_pb2.PoolSettings) -> None:
        """For servers that start from now on."""
        self.starting.settings = settings

    def start(self, order: agent_pb2.StartServer) -> None:
        """Start a server; what becomes of it is told. A device on which starts fail is tried less and less often."""
        device = self._devices.get(order.device)
        if device is None:
            self.telling.not_started(
                order, f"This host has no device {order.device!r}, only {', '.join(self._devices)}."
            )
            return
        if order.server in self._servers or self._is_closing:
            return  # told before
        now, backoff = time.monotonic(), self._backoff[device.id]
        wait_s = backoff.wait_s(now)
        if wait_s and backoff.is_stopped:
            self.telling.not_started(order, backoff.sentence(device.id, now))
            return
        server = Server(order.server, device, self._folder / order.server, self._logs.path(order.server))
        self._servers[server.id] = server
        if wait_s:
            _log.info("event=start-delayed server=%s device=%s wait_s=%.2f", server.id, device.id, wait_s)
            server.timers.append(self.loop.later(wait_s, lambda: self._start_now(server)))
        else:
            self._start_now(server)

    def order(self, order: agent_pb2.ServerOrder) -> None:
        """Pass an order on to a server."""
        server, kind = self._servers.get(order.server), order.command.WhichOneof("kind")
        if server is None or server.is_ending:
            if kind == "assign":
                self.telling.not_taken(
                    order.command.assign, order.server, "The server ended before it had the session."
                )
            return
        if kind == "end":
            self.end(server, order.command.end.reason)
            return
        try:
            if kind == "assign":
                self._assign(server, order)
            elif kind == "cancel_move" and not server.knows(order.command.cancel_move.move):
                self.telling.not_moving(server, order.command.cancel_move)
            elif kind == "checkpoint":
                server.order(checkpoint=self._checkpoints.saves(server.id, order.command.checkpoint))
            elif kind is not None:
                if kind == "move_out":
                    server.move_out = order.command.move_out.move
                server.order(**{kind: getattr(order.command, kind)})
        except NotFollowing as error:
            if error.is_closed:
                server.kill()  # it is dying or dead, and nobody's wish: its death is told with its own reason
            else:
                self._kill(server, f"The server did not follow orders any more ({error}).")

    def end(self, server: Server, reason: str, grace_s: float = END_GRACE_S) -> None:
        """End the server and its session; killed if it has not ended within the grace time."""
        if server.is_ending:
            return
        server.is_ending, server.wish = True, reason or "The pool ended it."
        if server.state == states.STARTING:
            # It listens to nothing yet, and holds nothing that is worth a goodbye.
            self._kill(server, server.wish)
            return
        server.state = states.ENDING
        try:
            server.order(end=server_pb2.EndRequest(reason=server.wish))
        except NotFollowing:
            server.kill()
        server.timers.append(self.loop.later(grace_s, server.kill))

    def end_sessions_on(self, device: str, reason: str) -> None:
        """End what runs on a device, and the servers that wait there."""
        for server in list(self._servers.values()):
            if server.device.id == device:
                self.end(server, reason)

    def close(self, grace_s: float) -> None:
        """End every server, killing those that are not gone within `grace_s`, and give back all that this side holds."""
        self._is_closing = True
        deadline = time.monotonic() + grace_s
        for server in list(self._servers.values()):
            if not server.pid:
                self._forget(server)
            elif grace_s > 0:
                self.end(server, "The agent ends.")
        while self._servers and (left := deadline - time.monotonic()) > 0:
            self.loop.turn(left)
        for server in list(self._servers.values()):
            server.kill()
        for server in list(self._servers.values()):
            self._dead(server)
        if self.adopts:
            self._reap_orphans()
        self._logs.close()
        self._checkpoints.close()
        if self._measures is not None:
            self._measures.close()

    # ---- starting

    def _start_now(self, server: Server) -> None:
        self.starting.start(
            server,
            lambda: self._servers.get(server.id) is server,
            lambda is_cold: self._started(server, is_cold),
            lambda error: self._not_started(server, error),
        )

    def _started(self, server: Server, is_cold: bool) -> None:
        self.loop.watch(server.pidfd, lambda: self._dead(server))
        self.loop.watch(server.reports, lambda: self._read(server))
        limit_s = self.starting.limit_s
        server.timers.append(self.loop.later(limit_s, lambda: self._too_slow(server, limit_s)))
        _log.info(
            "event=server-started server=%s device=%s pid=%d cold=%s", server.id, server.device.id, server.pid, is_cold
        )

    def _not_started(self, server: Server, error: OSError) -> None:
        server.wish = f"Its process could not be made: {error}."
        self._forget(server)
        self._failed(server, server.wish)
        self.telling.dead(server, server.wish, start_failed=True)

    def _too_slow(self, server: Server, limit_s: float) -> None:
        if server.state == states.STARTING:
            self._kill(server, f"It was not ready within {limit_s:g} s.")

    def _kill(self, server: Server, why: str) -> None:
        server.is_ending, server.wish = True, server.wish or why
        if server.pid:
            server.kill()
        else:  # its start was delayed
            self._forget(server)
            self.telling.dead(server, why)

    # ---- what servers report

    def _read(self, server: Server) -> None:
        try:
            reports = server.read_reports()
        except (ProtocolError, DecodeError) as error:
            self.loop.unwatch(server.reports)
            self._kill(server, f"What the server reports cannot be read: {error}")
            return
        if reports is None:
            self.loop.unwatch(server.reports)
            return
        now = time.monotonic()
        server.reports_left = min(REPORTS_AT_ONCE, server.reports_left + (now - server.reported_at) * REPORTS_A_S)
        server.reports_left, server.reported_at = server.reports_left - len(reports), now
        if server.reports_left < 0.0:
            self.loop.unwatch(server.reports)
            self._kill(server, "It reported so much that it is not believed any more.")
            return
        for report in reports:
            kind = report.WhichOneof("kind")
            if kind == "ready":
                self._ready(server, report.ready)
            elif kind == "session":
                self._session_changed(server, report.session)
            elif kind == "unassign_refused":
                # Its lease is over, and a client has come meanwhile: the session can only end.
                self.end(server, "Its lease was given back.")
            elif kind == "checkpoint":
                told = self._checkpoints.reported(server, report.checkpoint)
                if told is not None:
                    self.telling.checkpointed(told)
            elif kind == "move":
                self._move_changed(server, report.move)
            elif kind == "fixed" and report.fixed.session == server.session and not server.is_ending:
                server.fixed = report.fixed.reason[:LONGEST_REASON]
                self.telling.server(server)

    def _move_changed(self, server: Server, report: server_pb2.MoveReport) -> None:
        """It told how far its session's move is."""
        if server.assignment is None or report.session != server.session:
            return
        if report.move not in (server.move_out, server.assignment.incoming.move):
            self._kill(server, "It told of a move that nobody ordered: it is not believed any more.")
            return
        _log.log(
            logging.INFO if report.phase in TURNS else logging.DEBUG,
            "event=move-%s move=%s session=%s server=%s reason=%r",
            Report.Phase.Name(report.phase).lower(), report.move, report.session, server.id, report.reason,
        )  # fmt: skip
        report.reason = report.reason[:LONGEST_REASON]
        if not math.isfinite(report.pause_ms):
            report.pause_ms = 0.0  # sums of it go on for ever
        server.move = report
        if report.phase == Report.RELEASED:
            server.has_released = True
        elif report.phase == Report.TAKEN_BACK:
            server.has_released = False
        elif report.phase == Report.OWNER:
            server.is_copy = False
        self.telling.moved(server.id, report)

    def _ready(self, server: Server, ready: server_pb2.ServerReady) -> None:
        if server.endpoint:
            self._kill(server, "It said for a second time that it is ready: it is not believed any more.")
            return
        server.endpoint, server.fingerprint = ready.endpoint, ready.fingerprint
        server.op_table_digest = ready.op_table_digest[:LONGEST_DIGEST]
        if server.state == states.STARTING:
            server.state = states.LEASED if server.assignment is not None else states.WARM
            server.timers.append(self.loop.later(STEADY_S, self._backoff[server.device.id].succeeded))
            self.telling.server(server)

    def _session_changed(self, server: Server, change: server_pb2.SessionChange) -> None:
        kind, is_its = change.kind, change.session == server.session
        _log.log(
            logging.INFO if kind in (Change.ATTACHED, Change.PARKED, Change.ENDED) else logging.DEBUG,
            "event=session-%s session=%s server=%s", Change.Kind.Name(kind).lower(), change.session, server.id,
        )  # fmt: skip
        if kind == Change.ENDED:
            if change.session not in server.pending:
                server.said, server.is_expired = change.reason[:LONGEST_REASON], change.expired
                if not server.is_ending:
                    server.is_ending, server.state = True, states.ENDING
                    server.timers.append(self.loop.later(END_GRACE_S, server.kill))
                    self.telling.server(server, server.said)
            else:  # an assignment that the server refused
                refused = server.pending.pop(change.session)
                self.telling.not_taken(refused.command.assign, server.id, change.reason[:LONGEST_REASON])
            return
        if kind == Change.ASSIGNED and (order := server.pending.pop(change.session, None)) is not None:
            self._has(server, order)
            return
        if not is_its or server.is_ending:
            return
        if kind == Change.UNASSIGNED:
            if server.attached_before:
                # Code of its client has run in it, and may speak in its name: it must never be given to another.
                self._kill(
                    server,
                    "It said that its session was taken back, after its client had come: it is not believed any more.",
                )
                return
            self._forget_client(server)
            server.fixed = ""
            server.assignment, server.state = None, states.WARM
            self.telling.server(server)
        elif kind in (Change.ATTACHED, Change.PARKED):
            server.attached_before = True
            server.state = states.LEASED if kind == Change.ATTACHED else PARKED
            self._backoff[server.device.id].succeeded()
            self.telling.server(server)

    # ---- sessions

    def _assign(self, server: Server, order: agent_pb2.ServerOrder) -> None:
        given = order.command.assign
        _log.info(
            "event=session-ordered session=%s tenant=%s request=%r server=%s",
            given.session, given.tenant, given.request_id, server.id,
        )  # fmt: skip
        server.order(assign=self._checkpoints.given(order.command.assign, server.id))
        if server.assignment is not None or server.pending:
            server.pending[order.command.assign.session] = order  # the server takes it, or refuses it, and says so
        else:
            self._has(server, order)

    def _has(self, server: Server, order: agent_pb2.ServerOrder) -> None:
        """The session is the server's."""
        request = order.command.assign
        server.assignment, server.assigned_at, server.told = request, time.monotonic(), None
        server.is_copy, server.has_released = bool(request.incoming.move), False
        if server.state == states.WARM:
            server.state = states.LEASED
        if order.client_pid > 0 and hosts.knows_pids_of(order.client_host, self._host_id):
            self._watch_client(server, order.client_pid)

    def _watch_client(self, server: Server, pid: int) -> None:
        """End the session when its client's process ends; at once if it is gone already."""
        try:
            server.client_pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._client_gone(server)
            return
        server.client_pid = pid
        self.loop.watch(server.client_pidfd, lambda: self._client_gone(server))

    def _client_gone(self, server: Server) -> None:
        self._forget_client(server)
        if not server.is_ending:
            server.is_client_gone = True
            self.end(server, "Its client's process ended.", CLIENT_GONE_GRACE_S)

    def _forget_client(self, server: Server) -> None:
        if server.client_pidfd >= 0:
            self.loop.unwatch(server.client_pidfd)
            os.close(server.client_pidfd)
        server.client_pidfd, server.client_pid = -1, 0

    # ---- the end of a server

    def _dead(self, server: Server) -> None:
        self._read(server)  # its last words
        returncode = server.reap()
        server.kill()  # compilers that it started
        was, status, usage = server.state, server.status(), server.usage()
        usage.attached = False
        if was == states.STARTING and not server.endpoint:
            why = f"{reasons.start_sentence(returncode, status, server.log_tail())} {server.wish}".strip()
        else:
            why = server.wish or (f"The server ended: {server.said.rstrip('.')}." if server.said else "")
            why = why or reasons.death_sentence(returncode, status)
        is_lost = not server.wish and not (server.said and returncode == 0)
        start_failed = was == states.STARTING and not self._is_closing and (is_lost or not server.endpoint)
        if (start_failed or (was == states.WARM and is_lost)) and not self._is_closing:
            self._failed(server, why)
        self._logs.keep(server, self._servers)
        self._checkpoints.ended(
            server.id, server.assignment is not None and (is_lost or server.is_expired or server.has_released)
        )
        self._forget(server)
        _log.info(
            "event=server-ended server=%s device=%s status=%d reason=%r", server.id, server.device.id, returncode, why
        )
        if self._measures is not None:
            self._measures.server_ended(server)
        # A copy ends as its session's end only when nobody came to it in time: then it had been given the session.
        if server.assignment is not None and not server.has_released and (not server.is_copy or server.is_expired):
            end = agent_pb2.SessionEnd(
                session=server.session, tenant=server.assignment.tenant, reason=why, lost=is_lost, usage=usage,
                server=server.id, device=server.device.id, client_gone=server.is_client_gone,
                replayable=server.is_expired or (is_lost and not reasons.is_own_fault(returncode, status)),
            )  # fmt: skip
            self.telling.session_ended(end)
        for order in server.pending.values():
            self.telling.not_taken(order.command.assign, server.id, why)
        self.telling.dead(server, why, returncode, start_failed, usage)

    def _forget(self, server: Server) -> None:
        for descriptor in (server.pidfd, server.reports):
            self.loop.unwatch(descriptor)
        self._forget_client(server)
        self._servers.pop(server.id, None)
        self._checkpoints.ended(server.id, False)  # of no effect where its death has been dealt with
        server.close()

    def _failed(self, server: Server, why: str) -> None:
        """A server ended that nobody had used."""
        backoff = self._backoff[server.device.id]
        backoff.failed(time.monotonic(), why)
        _log.warning(
            "event=server-failed server=%s device=%s in_a_row=%d reason=%r",
            server.id,
            server.device.id,
            backoff.failures,
            why,
        )

    # ---- what is done often

    def _tick(self) -> None:
        """Numbers of sessions that changed, devices, the host."""
        assert self._measures is not None
        if self._is_closing:
            return
        self.loop.later(TICK_S, self._tick)
        if self.telling.sink is None:
            return
        self.telling.use([use for server in self._servers.values() if (use := changed_use(server)) is not None])
        for device, why in self._measures.take(list(self._servers.values())):
            self.end_sessions_on(device, why)
        here, kept = self._measures.host(), self._checkpoints.statistics()
        here.checkpoint_bytes, here.checkpoint_limit_bytes = kept.nbytes, kept.allowed_bytes
        here.checkpoints_waiting = kept.kept
        self.telling.devices(self._measures.devices(), here)

    def _reap_orphans_often(self) -> None:
        if self.adopts:
            self._reap_orphans()
        if not self._is_closing:
            self.loop.later(ORPHANS_S, self._reap_orphans_often)

    def _reap_orphans(self) -> None:
        reap_orphans({server.pid for server in self._servers.values()} | self.own_children)
