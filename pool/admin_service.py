"""AdminService: what operators call. Boundary: credentials, roles, streams; what is seen and done is in `operations.py`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

from cupool.v1 import admin_pb2, admin_pb2_grpc, agent_pb2, pool_pb2

from . import logs
from .access import Access, refusals
from .controller import Controller
from .engines.remote import RemoteEngine
from .move_operations import MoveOperations
from .operations import Operations, by_prefix
from .refusals import Code, Refused
from .saving import Saving
from .security.tokens import ADMIN, BALANCER, OPERATOR, VIEWER

#: How often a stream of progress looks.
_LOOK_S = 0.1
_MOVE_LOOK_S = 0.02
#: Events that a slow watcher may be behind; then it misses some.
_BEHIND = 1000
#: How long writing down what an operator did may take.
_KEEP_S = 5.0
#: How long sessions that were told to end may take, at a shutdown.
_END_S = 5.0
_LINES = 100


class AdminServicer(admin_pb2_grpc.AdminServiceServicer):
    """Runs in the event loop of `services.Serving`."""

    def __init__(
        self,
        controller: Controller,
        access: Access,
        operations: Operations,
        moves: MoveOperations,
        saving: Saving,
        ring: logs.LogRing,
        folders: list[Path],
        stop: Callable[[], None],
        agents: RemoteEngine | None = None,
    ) -> None:
        """
        Args:
            folders: where logs of agents and servers may lie.
            stop: ends this process.
            agents: reaches the logs of other hosts; None: there are none.
        """
        self._agents = agents
        self._controller = controller
        self._access = access
        self._operations = operations
        self._moves = moves
        self._saving = saving
        self._ring = ring
        self._folders = folders
        self._stop = stop
        self._ending: asyncio.Task[int] | None = None
        self._end_at = 0.0  #: of the event loop's clock: until when the pool's end waits for sessions

    def _who(self, context: Any, role: str) -> str:
        """The caller, for the audit log: "admin 0a1b2c". Raises Refused: its role does not allow the call."""
        record = self._access.check(context, role)
        return f"{record.role} {record.id}"

    async def _kept(self) -> None:
        """What was changed is in the directory. Raises Refused when it cannot be written: it is in effect, until the controller ends."""
        loop = asyncio.get_running_loop()
        kept = asyncio.Event()
        directory = self._controller.directory
        directory.when_kept(lambda: loop.call_soon_threadsafe(kept.set))
        try:
            await asyncio.wait_for(kept.wait(), _KEEP_S)
        except TimeoutError:
            raise Refused(
                Code.UNAVAILABLE,
                f"It is done, but will be forgotten when the controller ends: {directory.failure or 'the disk is slow.'}",
                "Free space there, or make it writable, and do it again.",
            ) from None

    # ---- seeing

    async def GetPool(self, request: Any, context: Any) -> admin_pb2.PoolStatus:
        async with refusals(context):
            self._who(context, VIEWER)
            return self._operations.pool()

    async def ListNodes(self, request: Any, context: Any) -> admin_pb2.ListNodesReply:
        async with refusals(context):
            self._who(context, VIEWER)
            return admin_pb2.ListNodesReply(nodes=self._operations.nodes())

    async def ListDevices(self, request: Any, context: Any) -> admin_pb2.ListDevicesReply:
        async with refusals(context):
            self._who(context, VIEWER)
            return admin_pb2.ListDevicesReply(devices=self._operations.devices())

    async def ListTenants(self, request: Any, context: Any) -> admin_pb2.ListTenantsReply:
        async with refusals(context):
            self._who(context, VIEWER)
            return admin_pb2.ListTenantsReply(tenants=self._operations.tenants())

    async def ListServers(self, request: Any, context: Any) -> admin_pb2.ListServersReply:
        async with refusals(context):
            self._who(context, VIEWER)
            return admin_pb2.ListServersReply(servers=self._operations.servers())

    async def ListAllSessions(
        self, request: admin_pb2.ListAllSessionsRequest, context: Any
    ) -> pool_pb2.ListSessionsReply:
        async with refusals(context):
            self._who(context, VIEWER)
            return pool_pb2.ListSessionsReply(sessions=self._operations.sessions(request.tenant))

    async def WatchEvents(self, request: Any, context: Any) -> AsyncIterator[admin_pb2.Event]:
        async with refusals(context):
            self._who(context, VIEWER)
            loop = asyncio.get_running_loop()
            events: asyncio.Queue[admin_pb2.Event] = asyncio.Queue(_BEHIND)

            def put(event: admin_pb2.Event) -> None:
                if not events.full():
                    events.put_nowait(event)

            stop = self._controller.events.listen(lambda e: loop.call_soon_threadsafe(put, e))
            try:
                await context.send_initial_metadata(())  # says that events are told from now on
                while True:
                    yield await events.get()
            finally:
                stop()

    async def GetLog(self, request: admin_pb2.GetLogRequest, context: Any) -> AsyncIterator[admin_pb2.LogLine]:
        async with refusals(context):
            self._who(context, VIEWER)
            source, lines = self._log(request)
            try:
                async with contextlib.aclosing(lines):
                    async for line in lines:
                        yield admin_pb2.LogLine(source=source, line=line)
            except LookupError as missing:
                raise Refused(
                    Code.NOT_FOUND, str(missing.args[0]), "cupool nodes shows which hosts are connected."
                ) from None

    def _log(self, request: admin_pb2.GetLogRequest) -> tuple[str, AsyncGenerator[str, None]]:
        """Whose log, and its lines: of this process, of a file on this host, or through another host's agent. Raises Refused."""
        source = request.source or "controller"
        count = request.lines or _LINES

        def wanted(line: str) -> bool:
            return request.session in line

        if source == "controller":
            return source, self._ring.lines(count, request.follow, wanted)
        path = logs.find_file(self._folders, source)
        hosts = self._log_hosts()
        if path is None:
            source = by_prefix(source, hosts, "log source")
            path = logs.find_file(self._folders, source)
        if path is not None:
            return source, logs.file_lines(path, count, request.follow, wanted)
        if self._agents is None:
            raise Refused(Code.NOT_FOUND, f"{source!r} has no log here.", "Look at it on the host of its agent.")
        wish = agent_pb2.ReadLog(source=source, lines=count, follow=request.follow, session=request.session)
        return source, self._agents.log(hosts[source], wish)

    def _log_hosts(self) -> dict[str, str]:
        """What has a log -> the node that has it. Servers of the last sessions too: of one that failed the log is wanted most."""
        with self._controller.lock:
            books = self._controller.books
            ended = {s.server.id: s.device.node.id for s in books.ended.values()}
            return ended | {n: n for n in books.nodes} | {s.id: s.device.node.id for s in books.servers.values()}

    # ---- doing

    async def KillSession(self, request: admin_pb2.KillSessionRequest, context: Any) -> admin_pb2.KillSessionReply:
        async with refusals(context):
            who = self._who(context, OPERATOR)
            return admin_pb2.KillSessionReply(session=self._operations.kill(who, request.session, request.reason))

    async def Cordon(self, request: admin_pb2.CordonRequest, context: Any) -> admin_pb2.CordonReply:
        async with refusals(context):
            who = self._who(context, OPERATOR)
            device = self._operations.cordon(who, request.device, request.reason)
            await self._kept()
            return admin_pb2.CordonReply(device=device)

    async def Uncordon(self, request: admin_pb2.UncordonRequest, context: Any) -> admin_pb2.UncordonReply:
        async with refusals(context):
            who = self._who(context, OPERATOR)
            device = self._operations.uncordon(who, request.device)
            await self._kept()
            return admin_pb2.UncordonReply(device=device)

    async def Drain(self, request: admin_pb2.DrainRequest, context: Any) -> AsyncIterator[admin_pb2.DrainProgress]:
        async with refusals(context):
            who = self._who(context, OPERATOR)
            device = self._operations.drain(who, request.device, request.reason, request.deadline_ms)
            await self._kept()
            last: admin_pb2.DrainProgress | None = None
            told = 0
            while last is None or not last.done:
                progress, told = self._moves.drained(device, told)
                if progress != last:
                    yield progress
                    last = progress
                if not progress.done:
                    await asyncio.sleep(_LOOK_S)

    async def MoveSession(
        self, request: admin_pb2.MoveSessionRequest, context: Any
    ) -> AsyncIterator[admin_pb2.MoveProgress]:
        async with refusals(context):
            one = self._moves.move(self._who(context, BALANCER), request)
            last: admin_pb2.MoveProgress | None = None
            while last is None or not last.done:
                progress = self._moves.progress(one)
                age_s, progress.age_s = progress.age_s, 0.0
                if progress != last:
                    last = admin_pb2.MoveProgress()
                    last.CopyFrom(progress)
                    progress.age_s = age_s
                    yield progress
                if last is not None and not last.done:
                    await asyncio.sleep(_MOVE_LOOK_S)

    async def ListMoves(self, request: admin_pb2.ListMovesRequest, context: Any) -> admin_pb2.ListMovesReply:
        async with refusals(context):
            self._who(context, VIEWER)
            return admin_pb2.ListMovesReply(moves=self._moves.moves(request.recent))

    async def CancelMove(self, request: admin_pb2.CancelMoveRequest, context: Any) -> admin_pb2.CancelMoveReply:
        async with refusals(context):
            return self._moves.cancel(self._who(context, OPERATOR), request.session)

    async def SaveSession(self, request: admin_pb2.SaveSessionRequest, context: Any) -> admin_pb2.SaveSessionReply:
        async with refusals(context):
            one = self._saving.save(self._who(context, OPERATOR), request)
            while not one.future.done():
                await asyncio.sleep(_LOOK_S)
                self._saving.look(one)
            return one.future.result()

    async def RestoreSession(
        self, request: admin_pb2.RestoreSessionRequest, context: Any
    ) -> admin_pb2.RestoreSessionReply:
        async with refusals(context):
            reply = self._saving.restore(self._who(context, OPERATOR), request)
            await self._kept()
            return reply

    async def ListSavedSessions(self, request: Any, context: Any) -> admin_pb2.ListSavedSessionsReply:
        async with refusals(context):
            self._who(context, VIEWER)
            # Files, and perhaps another host's: not in the loop that gives leases.
            found = await asyncio.to_thread(self._saving.saved)
            return admin_pb2.ListSavedSessionsReply(saved=found)

    async def SetQuota(self, request: admin_pb2.SetQuotaRequest, context: Any) -> admin_pb2.SetQuotaReply:
        async with refusals(context):
            who = self._who(context, OPERATOR)
            tenant = self._operations.set_quota(who, request)
            await self._kept()
            return admin_pb2.SetQuotaReply(tenant=tenant)

    # ---- balancing

    async def GetSnapshot(self, request: admin_pb2.GetSnapshotRequest, context: Any) -> admin_pb2.Snapshot:
        async with refusals(context):
            self._who(context, BALANCER if request.balancer else VIEWER)
            return self._operations.balancing.snapshot(request.balancer)

    async def ReportDecision(self, request: admin_pb2.BalanceDecision, context: Any) -> admin_pb2.ReportDecisionReply:
        async with refusals(context):
            self._operations.balancing.report(self._who(context, BALANCER), request)
            return admin_pb2.ReportDecisionReply()

    async def GetBalance(self, request: admin_pb2.GetBalanceRequest, context: Any) -> admin_pb2.GetBalanceReply:
        async with refusals(context):
            self._who(context, VIEWER)
            return self._operations.balancing.shown(request.last)

    async def SetBalance(self, request: admin_pb2.SetBalanceRequest, context: Any) -> admin_pb2.SetBalanceReply:
        async with refusals(context):
            self._operations.balancing.choose(self._who(context, ADMIN), request)
            await self._kept()
            return admin_pb2.SetBalanceReply()

    # ---- tokens and the end

    async def CreateToken(self, request: admin_pb2.CreateTokenRequest, context: Any) -> admin_pb2.CreateTokenReply:
        async with refusals(context):
            who = self._who(context, ADMIN)
            token, status = self._operations.create_token(who, request)
            await self._kept()
            return admin_pb2.CreateTokenReply(token=token, status=status)

    async def ListTokens(self, request: Any, context: Any) -> admin_pb2.ListTokensReply:
        async with refusals(context):
            self._who(context, ADMIN)
            return admin_pb2.ListTokensReply(tokens=self._operations.tokens())

    async def RevokeToken(self, request: admin_pb2.RevokeTokenRequest, context: Any) -> admin_pb2.RevokeTokenReply:
        async with refusals(context):
            who = self._who(context, ADMIN)
            self._operations.revoke_token(who, request.id, request.reason)
            await self._kept()
            return admin_pb2.RevokeTokenReply()

    async def Shutdown(self, request: admin_pb2.ShutdownRequest, context: Any) -> admin_pb2.ShutdownReply:
        async with refusals(context):
            who = self._who(context, ADMIN)
            self._operations.begin_shutdown(who, request.reason)
            loop = asyncio.get_running_loop()
            # The last word counts: an operator who is asked for more time, or has none left, says it again.
            self._end_at = loop.time() + request.deadline_ms / 1000
            if self._ending is None:
                # A task of its own: it goes on when the caller goes away.
                self._ending = loop.create_task(self._end(request.reason))
            ended = await asyncio.shield(self._ending)
            return admin_pb2.ShutdownReply(sessions_ended=ended)

    async def _end(self, reason: str) -> int:
        loop = asyncio.get_running_loop()
        while self._operations.living() and loop.time() < self._end_at:
            await asyncio.sleep(_LOOK_S)
        ended = self._operations.end_sessions(f"The pool is ending{': ' + reason if reason else ''}.")
        deadline = loop.time() + _END_S
        while self._operations.living() and loop.time() < deadline:
            await asyncio.sleep(_LOOK_S)
        loop.call_later(_LOOK_S, self._stop)  # the caller gets its answer first
        return ended
