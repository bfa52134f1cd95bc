"""What this host tells of its servers and sessions: to a `Sink`, in the order in which it happens. In the loop's thread.

Boundary: words and messages. What follows from what happens is decided in `host`.
"""

from __future__ import annotations

import time
from typing import Protocol

from cupool.v1 import admin_pb2, agent_pb2, server_pb2

from .. import states
from .server import Server

Report = server_pb2.MoveReport
#: Turns of a move that change who owns the session, or that end it: they must not get lost.
TURNS = (Report.RELEASED, Report.FAILED, Report.TAKEN_BACK, Report.OWNER)


class Sink(Protocol):
    """Who is told what happens; called from the loop."""

    def server_news(self, news: agent_pb2.ServerNews) -> None: ...

    def session_ended(self, end: agent_pb2.SessionEnd) -> None: ...

    def move_news(self, news: agent_pb2.MoveNews, must_arrive: bool) -> None: ...

    def checkpointed(self, report: server_pb2.CheckpointReport) -> None: ...

    def server_use(self, use: list[agent_pb2.ServerUse]) -> None: ...

    def device_news(self, devices: list[admin_pb2.DeviceStatus], host: agent_pb2.HostUse) -> None: ...


def server_news(
    server: Server,
    state: int = 0,
    reason: str = "",
    returncode: int = 0,
    start_failed: bool = False,
    usage: server_pb2.SessionUsage | None = None,
) -> agent_pb2.ServerNews:
    """All that is known of a server now.

    Args:
        state: 0: its own.
        usage: of its session; None: what its status file says.
    """
    news = agent_pb2.ServerNews(
        server=server.id,
        device=server.device.id,
        state=state or server.state,  # type: ignore[arg-type]
        endpoint=server.endpoint,
        assignment=server.assignment,
        attached_before=server.attached_before,
        reason=reason,
        exit_status=returncode,
        fingerprint=server.fingerprint,
        op_table_digest=server.op_table_digest,
        start_failed=start_failed,
        client_pid=server.client_pid,
        tls=server.speaks_tls,
        pid=server.pid,
        move=server.move,
        fixed=server.fixed,
    )
    if server.assignment is not None:
        news.usage.CopyFrom(usage if usage is not None else server.usage())
        news.session_age_s = time.monotonic() - server.assigned_at
    return news


class Telling:
    """Tells `sink`; None: nobody is there yet, and nothing is told."""

    def __init__(self) -> None:
        self.sink: Sink | None = None

    # ---- of servers

    def server(self, server: Server, reason: str = "") -> None:
        """It has changed."""
        self._server(server_news(server, reason=reason))

    def dead(
        self,
        server: Server,
        reason: str,
        returncode: int = 0,
        start_failed: bool = False,
        usage: server_pb2.SessionUsage | None = None,
    ) -> None:
        """Its process has ended, or never was."""
        self._server(server_news(server, states.DEAD, reason, returncode, start_failed, usage))

    def not_started(self, order: agent_pb2.StartServer, why: str) -> None:
        """Nothing was begun for this order."""
        self._server(agent_pb2.ServerNews(
            server=order.server, device=order.device, state=states.DEAD, reason=why, exit_status=1, start_failed=True,
        ))  # fmt: skip

    def _server(self, news: agent_pb2.ServerNews) -> None:
        if self.sink is not None:
            self.sink.server_news(news)

    # ---- of sessions

    def session_ended(self, end: agent_pb2.SessionEnd) -> None:
        if self.sink is not None:
            self.sink.session_ended(end)

    def checkpointed(self, report: server_pb2.CheckpointReport) -> None:
        if self.sink is not None:
            self.sink.checkpointed(report)

    def not_taken(self, request: server_pb2.AssignRequest, server: str, why: str) -> None:
        """A server does not have the session that it was to have: one that comes by a move is another server's still, any other is lost."""
        if request.incoming.move:
            report = Report(session=request.session, move=request.incoming.move, phase=Report.FAILED, reason=why)
            self.moved(server, report)
            return
        self.session_ended(
            agent_pb2.SessionEnd(
                session=request.session,
                tenant=request.tenant,
                reason=why,
                lost=True,
                server=server,
                replayable=True,
            )
        )

    # ---- of moves

    def moved(self, server: str, report: server_pb2.MoveReport) -> None:
        """How far a server's move is."""
        if self.sink is not None:
            self.sink.move_news(agent_pb2.MoveNews(server=server, report=report), report.phase in TURNS)

    def not_moving(self, server: Server, cancel: server_pb2.CancelMove) -> None:
        """The order to begin a move was lost, and that to give it up was not: its source answers nothing about what it never heard of."""
        why = cancel.reason or "The order to begin it was lost."
        self.moved(
            server.id,
            Report(session=cancel.session, move=cancel.move, phase=Report.FAILED, reason=why, is_source=True),
        )

    # ---- numbers

    def use(self, use: list[agent_pb2.ServerUse]) -> None:
        """What sessions use, of those where it has changed."""
        if self.sink is not None and use:
            self.sink.server_use(use)

    def devices(self, devices: list[admin_pb2.DeviceStatus], host: agent_pb2.HostUse) -> None:
        if self.sink is not None:
            self.sink.device_news(devices, host)


def changed_use(server: Server) -> agent_pb2.ServerUse | None:
    """What its session uses; None: the same as when it was last asked, or nobody uses it."""
    if server.assignment is None or not server.attached_before:
        return None
    usage = server.usage()
    # Idle seconds change always, and alone are no news: whoever knows the last ones can count.
    key = (usage.used_bytes, usage.kernel_s, usage.executed_commands, usage.attached, usage.running_op)
    if key == server.told:
        return None
    server.told = key
    return agent_pb2.ServerUse(server=server.id, usage=usage)
