"""What hosts tell, taken into the books: nodes that come and go, servers that change, sessions that end. See `core.py` for the lock.

Cases of a server's news, by what the books say of its session:
    none, and it has none   it became warm, or its process is gone
    alive                   a client attached or was lost: the session follows
    being ended             it is warm again, or gone: the session is over; or a client came before it was taken back: it is told to end
    over                    it was told so while its node was away: it is told again
    unknown                 the controller started after the lease: the session is taken into the books
    another server's        it is a copy, of a move that is under way; or it is left over from one, and is told to end
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from cupool.v1 import admin_pb2, agent_pb2, server_pb2

from . import states
from .config import DEFAULT_TENANT
from .core import end_record, lease_record
from .directory import EndRecord, LeaseRecord
from .leases import Device, Node, Server, Session
from .move_hearing import MoveHearing
from .refusals import Refused

_log = logging.getLogger(__name__)

#: A server that is gone so soon after it was warm counts as one that could not start.
STABLE_S = 10.0


class Following(MoveHearing):
    """Leasing and moving, and what follows hosts: the engine's `Listener`."""

    # ---- what the engine tells

    def node_here(self, hello: agent_pb2.AgentHello) -> None:
        with self.lock:
            now = self.clock()
            node = self.books.nodes.setdefault(hello.node, Node(hello.node))
            node.host, node.version, node.boot_id = hello.host, hello.version, hello.boot_id
            node.is_connected, node.has_told, node.seen_at, node.reason = True, False, now, ""
            node.tells_numbers = node.is_silent = False
            for has in hello.devices:
                self._device_here(node, has)
            named = {news.server for news in hello.servers}
            for server in [s for s in self.books.servers.values() if s.device.node is node and s.id not in named]:
                self._server_missing(server, now)
            self._moves_node_here(node, named, now)
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
            known.is_connected, known.has_told, known.reason, known.seen_at = False, False, reason, self.clock()
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
            session, one = self.books.find(end.session), self.moves.get(end.session)
            if one is not None and self._end_of_side(one, end, kept):
                return
            if session is None:
                self._unknown_end(node, end, kept)
                return
            if one is not None and self._was_claimed_unseen(one, end.server):
                self._over_elsewhere(one)
                self._end_copy(session.server, "Its session has moved.")
            elif not session.is_over and end.server and end.server != session.server.id:
                self.directory.when_kept(kept)  # of a copy: the session goes on elsewhere
                return
            if not session.is_over:
                self.books.use(session, end.usage)
                if end.client_gone:
                    self.reclaimed_bytes += end.usage.used_bytes
                is_lost = end.lost and session.state != states.SESSION_ENDING
                session.replayable = end.replayable
                self._over(session, states.SESSION_LOST if is_lost else states.SESSION_ENDED, end.reason, now, kept)
                if session.missing_since and session.server.id in self.books.servers:
                    self.books.set_server(session.server, states.DEAD)  # its node came back without it
                self._serve(now)
            elif session.is_counted:
                self.directory.add_end(end_record(session, self.wall()), kept)
            else:
                session.usage.CopyFrom(end.usage)
                self._count_end(session, kept)

    def move_news(self, node: str, news: agent_pb2.MoveNews, kept: Callable[[], None]) -> None:
        with self.lock:
            self._seen(node)
            self._heard(news.server, news.report)
            self.directory.when_kept(kept)

    def checkpointed(self, node: str, report: server_pb2.CheckpointReport) -> None:
        with self.lock:
            self._seen(node)
            self.on_checkpoint(report)

    def server_use(self, node: str, use: Iterable[agent_pb2.ServerUse]) -> None:
        with self.lock:
            known = self._seen(node)
            if known is not None:
                known.has_told = True  # what must not get lost comes first on a stream
            for one in use:
                server = self.books.servers.get(one.server)
                if server is not None and server.session is not None and not server.session.is_over:
                    if server.session.server is not server:
                        continue  # a copy of it
                    self.books.use(server.session, one.usage)
                    self._check_kernel(server.session.tenant)

    def device_news(self, node: str, devices: Iterable[admin_pb2.DeviceStatus], host: agent_pb2.HostUse | None) -> None:
        with self.lock:
            known = self._seen(node)
            if known is None:
                return
            known.tells_numbers = True
            known.has_told = True
            if host is not None:
                known.use = host
            for status in devices:
                device = known.devices.get(status.device)
                if device is not None:
                    device.measured = status

    # ---- with the lock held

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
            elif news.server in self._sides:
                self._side_dead(self._sides[news.server], news.server, news.reason, now)
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
        server.op_table_digest = news.op_table_digest or server.op_table_digest
        server.client_pid, server.pid = news.client_pid, news.pid or server.pid
        if is_hello:
            if news.HasField("move"):
                self._heard(server.id, news.move)
            one = self._sides.get(server.id)
            if one is not None:
                self._side_here(one, server, news)
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
            if session.server is server:
                self._resend(session)
            return
        elif is_hello and server.state == states.ENDING:
            self._order_end(server, session.reason if session is not None else "")
            return
        else:
            return
        if not is_hello:  # what its node has besides is told first: it may have taken the place
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
            if self._must_wait(server, news):
                return
            if self.directory.end(news.assignment.session) is not None:
                self._end_copy(server, "Its session is over.")
                return
            if self._is_stray(server, news):
                return
            session = self._adopt(server, news, now)
            for stray, told in self._strays_of(session.id):
                if stray is not server:
                    self._server_has(stray, told, now, is_hello)
        if session.server is not server and not session.is_over and not self._is_newer(session, server, news):
            self._copy_news(session, server, news)
            return
        if session.is_over or session.server is not server:
            self._order_end(server, session.reason)
            return
        session.missing_since = 0.0
        session.fixed = news.fixed
        self.books.use(session, news.usage)
        if session.state == states.SESSION_ENDING:
            if is_hello or (server.returns_since > float("-inf") and news.attached_before):
                self._order_end(server, session.reason)
            return
        if news.state == states.ENDING:
            self.books.set_server(server, states.ENDING)
            if server.id in self._sides and server.move_phase == server_pb2.MoveReport.RELEASED:
                return  # it had given the session away, and nobody came: its end is no wish to end the session
            self.books.set_session(session, states.SESSION_ENDING, news.reason, now)
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

    def _copy_news(self, session: Session, server: Server, news: agent_pb2.ServerNews) -> None:
        """News of a server whose session is at another one."""
        one = self._sides.get(server.id)
        if one is None or one.session is not session:
            if server.state != states.ENDING or news.state != states.ENDING:
                self._order_end(server, "Its session is elsewhere.")
            return
        self._is_side(one, server)
        self._copy_here(session, server)
        self._catch_up(one)
        if news.state == states.ENDING and server.state in (states.LEASED, states.PARKED):
            self.books.set_server(server, states.ENDING)

    def _is_newer(self, session: Session, server: Server, news: agent_pb2.ServerNews) -> bool:
        """Whether this server has the session, and not the one in the books: a move of which this controller knows nothing, because it has
        no directory, went on while it was away. Then the books follow."""
        if server.id in self._sides or news.assignment.epoch <= session.epoch:
            return False
        is_owner = news.move.phase == server_pb2.MoveReport.OWNER
        if not is_owner and session.server.move_phase != server_pb2.MoveReport.RELEASED:
            return False
        old = session.server
        self._copy_here(session, server)
        session.server, session.epoch = server, news.assignment.epoch
        session.moves, session.moved_at = max(1, session.moves), self.clock()
        self.directory.add_lease(lease_record(session, self.wall()))
        self._end_copy(old, "Its session has moved.")
        return True

    def _take_up(self, server: Server, news: agent_pb2.ServerNews, now: float) -> None:
        self._server_has(server, news, now, is_hello=True)

    def _adopt(self, server: Server, news: agent_pb2.ServerNews, now: float) -> Session:
        """A session that a controller before this one gave."""
        assignment, lease = news.assignment, self.directory.lease(news.assignment.session)
        self._told_of(assignment.session)
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
            client_host=server.device.node.boot_id if news.client_pid else "",
            epoch=max(assignment.epoch, lease.epoch) if lease and lease.server == server.id else assignment.epoch,
            moves=lease.moves if lease else 0,
            is_adopted=True,
        )
        if session.epoch > 1:  # it has moved, nobody knows when: it rests from now
            session.moves, session.moved_at = max(1, session.moves), now
        server.move_phase = news.move.phase
        if server.state == states.STARTING:
            self.books.set_server(server, states.WARM)
        if server.state == states.WARM:
            self.books.set_server(server, states.LEASED)
        self.books.add_session(session)
        if lease is None or (lease.server != server.id and lease.epoch < session.epoch):
            self.directory.add_lease(lease_record(session, self.wall()))
        _log.info("event=session-adopted session=%s server=%s", session.id, server.id)
        if news.state == states.PARKED:
            self.books.set_session(session, states.SESSION_PARKED, "", now)
        elif news.usage.attached or news.attached_before:
            self.books.set_session(session, states.SESSION_ATTACHED, "", now)
        self._revived(session, now)
        return session

    def _server_dead(self, server: Server, news: agent_pb2.ServerNews, now: float) -> None:
        was, session, device, one = server.state, server.session, server.device, self._sides.get(server.id)
        is_young = was == states.WARM and now - server.warm_since < STABLE_S
        self.books.set_server(server, states.DEAD)
        if one is not None:
            self._side_dead(one, server.id, news.reason, now)
        elif session is not None and session.server is not server:
            pass  # a copy, of a move that is over
        elif session is not None and not session.is_over:
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
        if server.id in self._sides and self._sides[server.id].session is not None:
            return  # `_moves_node_here` has seen it
        if session is None or session.is_over or session.server is not server:
            self.books.set_server(server, states.DEAD)
        else:
            session.missing_since = now  # its end may be told yet

    def _unknown_end(self, node: str, end: agent_pb2.SessionEnd, kept: Callable[[], None]) -> None:
        """A session that ended while no controller ran, or that is remembered by the directory only."""
        lease, one = self.directory.lease(end.session), self.moves.get(end.session)
        was_there = one is not None and self._was_claimed_unseen(one, end.server)
        if lease is not None and end.server and lease.server != end.server and not was_there:
            self.directory.when_kept(kept)  # of a copy: the session is elsewhere
            return
        if one is not None:
            self._hold_end(one, None)
            self._forget_move(one)
        self._keep_end(lease, node, end, kept)

    def _keep_end(
        self, lease: LeaseRecord | None, node: str, end: agent_pb2.SessionEnd, kept: Callable[[], None]
    ) -> None:
        """Write down the end of a session that is not in the books."""
        self._told_of(end.session)
        self._end_strays(end.session)
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
                ended=self.wall(),
            ),
            kept,
        )
