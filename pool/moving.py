"""Live moves, as the controller drives them: a session goes to another server while it runs. See `core.py` for the lock.

What happens is told to the machine of `contract/moves.py`, one for each move; what it instructs is done here: orders, books, directory. Who
owns the session at each step, and why, is in docs/decisions/012 and in Note [One owner] of the machine. Nothing is decided here.

What is told of moves comes by `move_hearing.py`. Of a move the directory knows both servers, so that a controller that starts again goes
on with it: `move_reviving.py`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import ClassVar

from cupool.contract.moves import Event, Happening, Instruction, Step
from cupool.contract.tlsnames import server_name
from cupool.v1 import admin_pb2, agent_pb2, server_pb2

from . import states
from .directory import MoveRecord
from .leases import Server, Session
from .meters import MoveMeter
from .move_placing import AGAIN_S, LONGEST_AGAIN_S, MovePlacing, Ongoing

_log = logging.getLogger(__name__)

#: A copy of fewer bytes tells how long a copy takes to begin, and nothing of the link.
MEASURED_BYTES = 64 << 20
Report = server_pb2.MoveReport


def link_bytes_a_s(report: server_pb2.MoveReport, copied_s: float) -> float:
    """How fast a copy went; 0: it was too small to tell."""
    return report.copied_bytes / copied_s if copied_s > 0.0 and report.copied_bytes >= MEASURED_BYTES else 0.0


def dirty_bytes_a_s(report: server_pb2.MoveReport, copied_s: float) -> float:
    """What the session overwrote in a second while it was copied: what was copied again, and what was left to be."""
    return max(0, report.copied_bytes + report.dirty_bytes - report.total_bytes) / copied_s


class Moving(MovePlacing):
    """Leasing, and moves. `moves` has those under way, by session; `moved` the last that have ended."""

    moved: deque[Ongoing]
    move_meter: MoveMeter

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
