"""What servers and hosts tell of moves, told to the machine: reports, hosts that come back, deaths. See `core.py` for the lock."""

from __future__ import annotations

from collections.abc import Callable

from cupool.contract.moves import Happening, Step
from cupool.v1 import agent_pb2, server_pb2

from . import states
from .leases import Node, Server, Session
from .move_placing import Ongoing
from .move_reviving import MoveReviving

Report = server_pb2.MoveReport
#: What a report of the source, and of the destination, is to the machine.
_OF_SOURCE = {
    Report.COPYING: Happening.PROGRESS,
    Report.STOPPED: Happening.PROGRESS,
    Report.RELEASED: Happening.RELEASED,
    Report.FAILED: Happening.SOURCE_FAILED,
    Report.TAKEN_BACK: Happening.TAKEN_BACK,
}
_OF_DESTINATION = {
    Report.COPYING: Happening.PROGRESS,
    Report.READY: Happening.READY,
    Report.FAILED: Happening.DESTINATION_FAILED,
    Report.OWNER: Happening.OWNER,
}


class MoveHearing(MoveReviving):
    """Leasing and moves, and what is heard of moves."""

    def _left(self, session: Session, reason: str) -> None:
        one = self.moves.get(session.id)
        if one is not None:
            self._happen(one, Happening.SESSION_ENDED, reason)

    def _heard(self, server_id: str, report: server_pb2.MoveReport) -> None:
        """A report of a move's server."""
        one = self._sides.get(server_id)
        server = self.books.servers.get(server_id)
        if server is not None:
            server.move_phase = report.phase
        if one is None or report.move != one.move.id:
            return
        is_source = server_id == one.source_id
        mine = one.report
        mine.phase = report.phase
        for name in ("total_bytes", "copied_bytes", "rounds", "dirty_bytes", "pause_ms"):
            value = getattr(report, name)
            if value:
                setattr(mine, name, value)
        what = (_OF_SOURCE if is_source else _OF_DESTINATION).get(report.phase)
        if what is not None:
            self._happen(one, what, report.reason)

    def _side_here(self, one: Ongoing, server: Server, news: agent_pb2.ServerNews) -> None:
        """The host of one of a move's servers has come back, and it lives. Orders to it may have been lost."""
        one.missing.pop(server.id, None)
        knows = news.HasField("move") and news.move.move == one.move.id
        if server.id == one.source_id:
            self._happen(one, Happening.SOURCE_HERE)
            if not knows and one.move.step in (Step.COPYING, Step.READY):
                self._happen(one, Happening.CANCELLED, "Its host was away when it was ordered.")
        elif news.assignment.session != one.move.session:
            self._happen(one, Happening.DESTINATION_FAILED, "Its host was away when it was ordered.")

    def _side_dead(self, one: Ongoing, server_id: str, reason: str, now: float) -> None:
        """The process of one of a move's servers is proven to have ended."""
        one.missing.pop(server_id, None)
        if one.session is not None and self._was_claimed_unseen(one, server_id):
            self._over_elsewhere(one)
            self._lose(one.session, reason, self.clock())
            self._drop_source(one)
            return
        one.gone.add(server_id)
        one.waiting.pop(server_id, None)
        if one.session is not None:
            self._catch_up(one)
        is_source = server_id == one.source_id
        self._happen(one, Happening.SOURCE_DEAD if is_source else Happening.DESTINATION_DEAD, reason)
        if one.session is None and one.waiting:
            # The directory's own server of it is gone: the other one may go on with it.
            server, news = one.waiting.pop(next(iter(one.waiting)))
            self._take_up(server, news, now)
        elif one.session is None and {one.source_id, one.destination_id} <= one.gone:
            self._forget_move(one)

    def _over_elsewhere(self, one: Ongoing) -> None:
        """The session ended at a destination that the books never knew: nothing that was told before counts any more."""
        one.early.clear()
        one.gone.add(one.destination_id)

    def _end_of_side(self, one: Ongoing, end: agent_pb2.SessionEnd, kept: Callable[[], None]) -> bool:
        """A source's death is told as its session's end; whether it is one is the machine's to say. False: it is not about a move."""
        session = one.session
        if session is None:
            return self._end_of_revived(one, end, kept)
        if end.server != one.source_id or not end.lost or end.client_gone:
            return False
        if session.server.id != end.server or session.state == states.SESSION_ENDING:
            return False
        self._hold_end(one, (end, kept))
        one.gone.add(end.server)
        self._happen(one, Happening.SOURCE_DEAD, end.reason)
        return True

    def _hold_end(self, one: Ongoing, held: tuple[agent_pb2.SessionEnd, Callable[[], None]] | None) -> None:
        """What is decided when the move is: this end in place of one before, which counts no more. Its host need not keep it for us."""
        if one.last_end is not None:
            self.directory.when_kept(one.last_end[1])
        one.last_end = held

    def _end_of_revived(self, one: Ongoing, end: agent_pb2.SessionEnd, kept: Callable[[], None]) -> bool:
        """The same, before the session is in the books. By wish: it is over, whoever had it. By a fault: the other server may go on."""
        self._hold_end(one, (end, kept))
        if not end.lost or end.client_gone:
            for server, _ in one.waiting.values():
                if server.id != end.server:
                    self._end_copy(server, end.reason)
            self._forget_move(one)
        else:
            self._side_dead(one, end.server, end.reason, self.clock())
        return True

    def _check_moves(self, now: float, missing_s: float) -> None:
        """What time brings. `missing_s`: a server is gone when its host came back without it and told nothing of it for so long."""
        for one in list(self.moves.values()):
            for server_id, since in list(one.missing.items()):
                node = self.books.nodes.get(one.source_node if server_id == one.source_id else one.destination_node)
                if node is not None and node.is_connected and node.has_told and now - since > missing_s:
                    self._missing_is_dead(one, server_id, now)
            if one.session is not None:
                self._happen(one, Happening.TIME)

    def _missing_is_dead(self, one: Ongoing, server_id: str, now: float) -> None:
        server = self.books.servers.get(server_id)
        if server is not None:
            self.books.set_server(server, states.DEAD)
        self._side_dead(one, server_id, "Its host came back without it.", now)

    def _moves_node_here(self, node: Node, named: set[str], now: float) -> None:
        for one in self.moves.values():
            for server_id, where in ((one.source_id, one.source_node), (one.destination_id, one.destination_node)):
                if server_id and where == node.id and server_id not in named:
                    one.missing.setdefault(server_id, now)
