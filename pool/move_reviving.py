"""A controller that starts again: moves of the one before it, whose servers come with their hosts one by one. See `core.py` for the lock.

Cases of a server that comes: it has the session by the directory; it has the copy, and waits for the one that has the session; it has a
copy of a move that no directory knows, a stray, and waits for the session's own server, or for a client.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from cupool.contract.moves import Move, Step
from cupool.v1 import agent_pb2, server_pb2

from . import states
from .directory import LeaseRecord, MoveRecord
from .leases import Server, Session
from .meters import MoveMeter
from .move_placing import SLACK_S, Ongoing
from .moving import Moving

#: How many moves that have ended are remembered.
RECENT = 100


class MoveReviving(Moving):
    """Leasing and moves, those of an earlier controller too."""

    #: by server: copies of sessions that are not in the books, of moves that no directory knows
    _strays: dict[str, tuple[Server, agent_pb2.ServerNews]]

    def begin_moves(self) -> None:
        """Before anything happens: take up what a controller before this one left."""
        self.moves = {}
        self.moved = deque(maxlen=RECENT)
        self.move_meter = MoveMeter()
        self._sides = {}
        self._strays = {}
        for record in self.directory.moves():
            self._revive(record)

    def _revive(self, record: MoveRecord) -> None:
        """A move that a controller before this one began. Its servers come with their hosts."""
        if self.machine is None or self.directory.lease(record.session) is None:
            self.directory.remove_move(record.move)
            return
        now = self.clock()
        one = Ongoing(
            move=Move(
                record.move, record.session, record.epoch, record.timeout_ms / 1000 + SLACK_S, now, now, Step(record.step),
                record.is_ready, record.source_is_dead, record.destination_is_dead,
            ),
            session=None, wanted="", engine=record.engine, why=record.why, by=record.by, max_pause_ms=record.max_pause_ms,
            timeout_ms=record.timeout_ms, is_cold=record.is_cold, asked_at=now, asked=record.asked,
            source_id=record.source, source_node=record.source_node, destination_id=record.destination,
            destination_node=record.destination_node,
        )  # fmt: skip
        self.moves[record.session] = one
        self._sides[one.source_id] = self._sides[one.destination_id] = one

    def _must_wait(self, server: Server, news: agent_pb2.ServerNews) -> bool:
        """Whether this is the copy of a session that another server has, which has not come yet."""
        one, lease = self._sides.get(server.id), self.directory.lease(news.assignment.session)
        if one is None or one.session is not None or lease is None or lease.server == server.id:
            return False
        if lease.server in one.gone:
            return False
        one.waiting[server.id] = (server, news)
        server.device.expected[server.id] = lease.memory_bytes
        return True

    def _is_stray(self, server: Server, news: agent_pb2.ServerNews) -> bool:
        """Whether this is a copy of a session whose own server has not come, of a move that was begun just before a controller was killed:
        it waits for that server, which alone can say whether the session is here. The first client that comes says so, too."""
        given, lease = news.assignment, self.directory.lease(news.assignment.session)
        if server.id in self._sides or (lease is not None and lease.server == server.id):
            return False
        if not given.incoming.move or (
            news.HasField("move")
            and (news.move.move != given.incoming.move or news.move.phase == server_pb2.MoveReport.OWNER)
        ):
            return False
        self._strays[server.id] = server, news
        server.device.expected[server.id] = given.limit_bytes
        return True

    def _strays_of(self, session_id: str) -> list[tuple[Server, agent_pb2.ServerNews]]:
        """Those that live, each with what was told of it; they are strays no more."""
        found = [pair for pair in self._strays.values() if pair[1].assignment.session == session_id]
        for server, _ in found:
            del self._strays[server.id]
        return [pair for pair in found if pair[0].id in self.books.servers]

    def _end_strays(self, session_id: str) -> None:
        for server, _ in self._strays_of(session_id):
            self._order_end(server, "Its session is over.")

    def _revived(self, session: Session, now: float) -> None:
        """A session that was moving is in the books again: so is its copy, and what was told of it happens now."""
        one = self.moves.get(session.id)
        if one is None or one.session is not None:
            return
        one.session, one.tenant, session.move = session, session.tenant.name, one.move.id
        for server in (session.server, *(s for s, _ in one.waiting.values())):
            self._is_side(one, server)
        waiting = list(one.waiting.values())
        for server, _ in waiting:
            self._copy_here(session, server)
        waiting = list(one.waiting.values())
        one.waiting.clear()
        self._catch_up(one)
        for server, news in waiting:
            if session.server is server and server.id in self.books.servers:
                self._take_up(server, news, now)  # it is this one's now: whether a client is there, too
        for server, news in waiting:
            if session.server is server and not session.is_over:
                self._take_up(server, news, now)  # it has turned out to have the session: its client may have come

    def _catch_up(self, one: Ongoing) -> None:
        """What was told before the servers that it is about were known."""
        early, one.early = one.early, []
        for event in early:
            self._happen(one, *event)

    def _is_side(self, one: Ongoing, server: Server) -> None:
        if server.id == one.source_id:
            one.source, one.source_device = server, server.device.key
        else:
            one.destination, one.destination_device = server, server.device.key

    def _copy_here(self, session: Session, server: Server) -> None:
        """The books know a server that has a copy of the session: they count it."""
        if server.state == states.STARTING:
            self.books.set_server(server, states.WARM)
        if server.state == states.WARM:
            self.books.reserve(session, server)

    def _forget_move(self, one: Ongoing) -> None:
        """Of a move whose session never came back into the books: its end is told as that of any session."""
        self.moves.pop(one.move.session, None)
        for server_id in (one.source_id, one.destination_id):
            self._sides.pop(server_id, None)
        self.directory.remove_move(one.move.id)
        if one.last_end is not None:
            end, kept = one.last_end
            self._keep_end(self.directory.lease(end.session), one.source_node, end, kept)

    def _keep_end(
        self, lease: LeaseRecord | None, node: str, end: agent_pb2.SessionEnd, kept: Callable[[], None]
    ) -> None:
        """Write down the end of a session that is not in the books."""
        raise NotImplementedError

    def _take_up(self, server: Server, news: agent_pb2.ServerNews, now: float) -> None:
        """Take a session into the books from a server that has it, or a copy of it: `following.py` knows how."""
        raise NotImplementedError
