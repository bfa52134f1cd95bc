"""Live moves, as the controller drives them: a session goes to another server while it runs. See `core.py` for the lock.

What happens is told to the machine of `contract/moves.py`, one for each move; what it instructs is done here: orders, books, directory. Who
owns the session at each step, and why, is in docs/decisions/012 and in Note [One owner] of the machine. Nothing is decided here.

Of a move the directory knows both servers, so that a controller that starts again goes on with it: `_revive`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import ClassVar

from cupool.contract.moves import Event, Happening, Instruction, Move, Step
from cupool.contract.tlsnames import server_name
from cupool.v1 import admin_pb2, agent_pb2, server_pb2

from . import states
from .directory import LeaseRecord, MoveRecord
from .leases import Node, Server, Session
from .meters import MoveMeter
from .move_placing import AGAIN_S, LONGEST_AGAIN_S, SLACK_S, MovePlacing, Ongoing

_log = logging.getLogger(__name__)

#: A copy of fewer bytes tells how long a copy takes to begin, and nothing of the link.
MEASURED_BYTES = 64 << 20
#: How many moves that have ended are remembered.
RECENT = 100

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


def link_bytes_a_s(report: server_pb2.MoveReport, copied_s: float) -> float:
    """How fast a copy went; 0: it was too small to tell."""
    return report.copied_bytes / copied_s if copied_s > 0.0 and report.copied_bytes >= MEASURED_BYTES else 0.0


def dirty_bytes_a_s(report: server_pb2.MoveReport, copied_s: float) -> float:
    """What the session overwrote in a second while it was copied: what was copied again, and what was left to be."""
    return max(0, report.copied_bytes + report.dirty_bytes - report.total_bytes) / copied_s


class Moving(MovePlacing):
    """Leasing, and moves. `moves` has those under way, by session; `moved` the last that have ended."""

    def begin_moves(self) -> None:
        """Before anything happens: take up what a controller before this one left."""
        self.moves = {}
        self.moved: deque[Ongoing] = deque(maxlen=RECENT)
        self.move_meter = MoveMeter()
        self._sides = {}
        #: by server: copies of sessions that are not in the books, of moves that no directory knows
        self._strays: dict[str, tuple[Server, agent_pb2.ServerNews]] = {}
        for record in self.directory.moves():
            self._revive(record)

    # ---- the machine, and what it instructs

    def _happen(self, one: Ongoing, what: Happening, reason: str = "") -> None:
        if one.session is None or (one.early and self._lacks_destination(one)):
            if what is not Happening.TIME:
                one.early.append(Event(what, reason))  # its servers have not come yet
            return
        if one.move.is_over:
            return
        assert self.machine is not None
        now, before = self.clock(), one.move.step
        after, instructions = self.machine(one.move, Event(what, reason), now)
        if self._lacks_destination(one) and Instruction.COMMIT in instructions:
            one.early.append(
                Event(what, reason)
            )  # of a controller that starts again: the destination's host has not come yet
            return
        one.move = after
        if one.move.step is not before:
            _log.info(
                "event=move-%s move=%s session=%s source=%s destination=%s reason=%r",
                one.move.step.value, one.move.id, one.move.session, one.source_id, one.destination_id, one.move.reason,
            )  # fmt: skip
        if before is Step.COPYING and one.copying_since and one.move.step is not before:
            one.copied_s = now - one.copying_since
        for instruction in instructions:
            self._DO[instruction](self, one)
        if one.move.is_over:
            self._finish(one, now)
        elif one.move.step is not before and one.destination_id:
            self.directory.set_move(self._record(one))

    def _lacks_destination(self, one: Ongoing) -> bool:
        """Whether the destination's host has not told of it yet: nor that it is there, nor that it is gone."""
        return bool(one.destination_id) and one.destination is None and one.destination_id not in one.gone

    def _was_claimed_unseen(self, one: Ongoing, server_id: str) -> bool:
        """Whether a client had come to this destination, and the books never knew it: whatever ends it ends the session."""
        early = any(e.what is Happening.OWNER for e in one.early)
        return early and one.destination is None and server_id == one.destination_id

    def _reserve(self, one: Ongoing) -> None:
        session, source, server = one.session, one.source, one.destination
        assert session is not None and source is not None and server is not None
        one.copying_since = self.clock()
        self.books.reserve(session, server)
        self.directory.set_move(self._record(one))
        token, epoch = self.ids(32), one.move.epoch + 1
        out = server_pb2.MoveOut(
            session=session.id, move=one.move.id, token_sha256=hashlib.sha256(token.encode()).digest(), endpoint=server.endpoint,
            tls_name=_tls_name(server), epoch=epoch, destination=server.id, max_pause_ms=one.max_pause_ms,
            timeout_ms=one.timeout_ms, is_cold=one.is_cold,
        )  # fmt: skip
        assign = self._assignment(session)
        assign.epoch = epoch
        if assign.kernel_quota_s:
            assign.kernel_quota_s += session.usage.kernel_s  # it brings along what it has used
        if assign.lifetime_s:
            assign.lifetime_s = max(1, int(session.given_at + assign.lifetime_s - self.clock()))
        assign.incoming.CopyFrom(server_pb2.Incoming(
            move=one.move.id, endpoint=source.endpoint, tls_name=_tls_name(source), token=token, engine=one.engine,
        ))  # fmt: skip
        self._order(source, server_pb2.ServerCommand(move_out=out))
        try:
            self.engine.order(
                server.device.node.id,
                server.id,
                server_pb2.ServerCommand(assign=assign),
                session.client_pid,
                session.client_host,
            )
        except LookupError as error:
            _log.info("event=order-not-sent server=%s reason=%r", server.id, str(error))

    def _cancel_source(self, one: Ongoing) -> None:
        assert one.session is not None
        if one.source is not None:
            cancel = server_pb2.CancelMove(session=one.session.id, move=one.move.id, reason=one.move.reason)
            self._order(one.source, server_pb2.ServerCommand(cancel_move=cancel))

    def _commit(self, one: Ongoing) -> None:
        session = one.session
        assert session is not None
        if one.destination is None:
            return  # it is gone: what follows is its death
        if session.device.is_draining and one.source is not None:
            one.source.device.moved_away.append(session.id)
        session.moves += 1
        session.moved_at = self.clock()
        self._switch(one, one.destination, one.move.epoch + 1)
        where = f"From {one.source_device} to {one.destination_device}: {one.why or 'no reason given'} ({one.by})."
        self.events.emit("session-moved", session.id, where, session.tenant.name)
        self._tell(session)

    def _return(self, one: Ongoing) -> None:
        assert one.session is not None
        self._switch(one, one.source or one.session.server, one.move.epoch + 2)
        self._tell(one.session)

    def _switch(self, one: Ongoing, server: Server, epoch: int) -> None:
        """Books and directory have the session at `server`, at `epoch`."""
        session = one.session
        assert session is not None
        lease = self.directory.lease(session.id)
        session.server, session.epoch, session.missing_since = server, epoch, 0.0
        session.fixed = ""  # of a server that it is not on any more
        if lease is None:
            return  # it is in no directory: nothing to compare with
        record = dataclasses.replace(
            lease,
            server=server.id,
            node=server.device.node.id,
            device=server.device.name,
            epoch=epoch,
            moves=session.moves,
        )
        before = (one.source_id, one.move.epoch)
        if epoch > one.move.epoch + 1 and lease.epoch > one.move.epoch:
            before = (one.destination_id, one.move.epoch + 1)
        if not self.directory.switch_lease(record, *before):
            raise RuntimeError(
                f"by the directory the session {session.id} is at {lease.server}, epoch {lease.epoch}, not at {before}: "
                f"it cannot go to {server.id}, epoch {epoch}"
            )

    def _take_back(self, one: Ongoing) -> None:
        assert one.session is not None
        if one.source is not None:
            take = server_pb2.TakeBack(session=one.session.id, move=one.move.id, epoch=one.move.epoch + 2)
            self._order(one.source, server_pb2.ServerCommand(take_back=take))

    def _free_destination(self, one: Ongoing) -> None:
        self._end_copy(one.destination, one.move.reason or "Its move was given up.")

    def _drop_source(self, one: Ongoing) -> None:
        self._end_copy(one.source, "Its session has moved.")

    def _end_copy(self, server: Server | None, reason: str) -> None:
        if server is not None and server.state in (states.STARTING, states.WARM, states.LEASED, states.PARKED):
            self.books.set_server(server, states.ENDING)
            self._order_end(server, reason)

    def _lose_moving(self, one: Ongoing) -> None:
        session, now = one.session, self.clock()
        assert session is not None
        reason = one.move.reason or "Its server was lost while it moved."
        if one.last_end is None:
            self._lose(session, reason, now)
            return
        end, kept = one.last_end
        self.books.use(session, end.usage)
        session.replayable = end.replayable
        self._over(session, states.SESSION_LOST, end.reason, now, kept)
        one.last_end = None

    _DO: ClassVar[dict[Instruction, Callable[[Moving, Ongoing], None]]] = {
        Instruction.RESERVE: _reserve,
        Instruction.CANCEL_SOURCE: _cancel_source,
        Instruction.COMMIT: _commit,
        Instruction.RETURN: _return,
        Instruction.TAKE_BACK: _take_back,
        Instruction.FREE_DESTINATION: _free_destination,
        Instruction.DROP_SOURCE: _drop_source,
        Instruction.LOSE: _lose_moving,
    }

    def _finish(self, one: Ongoing, now: float) -> None:
        """It is over."""
        session, move = one.session, one.move
        assert session is not None
        del self.moves[move.session]
        for server in (one.source_id, one.destination_id):
            if self._sides.get(server) is one:
                del self._sides[server]
        self.directory.remove_move(move.id)
        one.ended_at = now
        for server_id, since in one.missing.items():  # its host came back without it: nobody may tell of its end
            gone = self.books.servers.get(server_id)
            if gone is not None and gone is session.server and not session.is_over:
                session.missing_since = since  # its session's end may be told yet
            elif gone is not None:
                self.books.set_server(gone, states.DEAD)
        self.moved.append(one)
        session.move = ""
        if session.parked_since:
            session.parked_since = now  # whoever came meanwhile had to wait, and may not have been told of yet
        self.move_meter.ended(move.step.value, one.report.pause_ms / 1000, one.report.copied_bytes)
        self._measure(one, session)
        if move.step is Step.DONE:
            session.stayed = ""
        elif move.step is Step.GIVEN_UP:
            session.stayed = move.reason
            waited = max(AGAIN_S, 2 * (session.stays_until - one.asked_at)) if session.stays_until > 0 else AGAIN_S
            session.stays_until = now + min(waited, LONGEST_AGAIN_S)
            text = f"It stays on {one.source_device}: {move.reason or 'no reason was told'}"
            self.events.emit("move-given-up", session.id, text, session.tenant.name)
        if one.last_end is not None:
            self._last_of(session, *one.last_end)
            one.last_end = None
        if not session.is_over:
            self._tell(session)

    def _last_of(self, session: Session, end: agent_pb2.SessionEnd, kept: Callable[[], None]) -> None:
        """The death of a source, when its move is over: it is the session's end, unless that went on elsewhere."""
        if session.is_over or session.server.id != end.server:
            self.directory.when_kept(kept)
            return
        self.books.use(session, end.usage)
        session.replayable = end.replayable
        state = states.SESSION_ENDED if session.state == states.SESSION_ENDING else states.SESSION_LOST
        self._over(session, state, end.reason, self.clock(), kept)

    def _measure(self, one: Ongoing, session: Session) -> None:
        """What the copy said of the link, and of the session's writes, for who decides of the next."""
        rate = link_bytes_a_s(one.report, one.copied_s)
        for server in (one.source, one.destination):
            if rate and server is not None:
                server.device.link_bytes_a_s = rate
        if one.report.rounds > 1 and one.copied_s > 0.0:
            session.dirty_bytes_a_s = dirty_bytes_a_s(one.report, one.copied_s)

    # ---- what servers and hosts tell; with the lock held

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
        one.last_end = (end, kept)
        one.gone.add(end.server)
        self._happen(one, Happening.SOURCE_DEAD, end.reason)
        return True

    def _end_of_revived(self, one: Ongoing, end: agent_pb2.SessionEnd, kept: Callable[[], None]) -> bool:
        """The same, before the session is in the books. By wish: it is over, whoever had it. By a fault: the other server may go on."""
        one.last_end = (end, kept)
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

    def _moves_node_here(self, node: Node, named: set[str], now: float) -> None:
        for one in self.moves.values():
            for server_id, where in ((one.source_id, one.source_node), (one.destination_id, one.destination_node)):
                if server_id and where == node.id and server_id not in named:
                    one.missing.setdefault(server_id, now)

    # ---- a controller that starts again

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

    # ---- what people see

    def _record(self, one: Ongoing) -> MoveRecord:
        move = one.move
        return MoveRecord(
            move.id, move.session, move.epoch, one.source_id, one.source_node, one.destination_id, one.destination_node,
            move.step.value, move.is_ready, move.source_is_dead, move.destination_is_dead, one.engine, one.why, one.by,
            one.max_pause_ms, one.timeout_ms, one.is_cold, one.asked,
        )  # fmt: skip

    def all_moves(self, is_recent: bool) -> Iterator[Ongoing]:
        yield from self.moves.values()
        if is_recent:
            yield from self.moved

    def progress(self, one: Ongoing) -> admin_pb2.MoveProgress:
        now, report, move, session = self.clock(), one.report, one.move, one.session
        # Where no client is attached, none is waited for.
        waits = session is not None and session.state == states.SESSION_ATTACHED and move.step is Step.RELEASED
        failed = move.is_over and move.step is not Step.DONE
        return admin_pb2.MoveProgress(
            phase=move.step.value, copied_bytes=report.copied_bytes, total_bytes=report.total_bytes,
            done=move.is_over or (move.has_committed and not waits),
            error=(move.reason or "No reason was told.") if failed else "", move=move.id, session=move.session,
            source=self._device_of(one.source_device), destination=self._device_of(one.destination_device or one.wanted),
            dirty_bytes=report.dirty_bytes, rounds=report.rounds, pause_ms=report.pause_ms,
            age_s=(one.ended_at or now) - one.asked_at, reason=one.why, by=one.by, engine=one.engine,
            epoch=session.epoch if session is not None else move.epoch, ended_s=now - one.ended_at if one.ended_at else 0.0,
        )  # fmt: skip

    def _device_of(self, key: str) -> str:
        device = self.books.devices.get(key)
        return self.device_name(device) if device is not None else key


def _tls_name(server: Server) -> str:
    return server_name(server.id, server.device.node.id) if server.speaks_tls else ""
