"""Moves and drains as operators see and ask for them. Takes the controller's lock; nothing waits."""

from __future__ import annotations

from cupool.v1 import admin_pb2

from .controller import Controller
from .leases import Device, Session
from .move_placing import Ongoing
from .operations import Audit, Operations, by_prefix
from .refusals import Refused


class MoveOperations:
    """The operator's side of moves."""

    def __init__(self, controller: Controller, operations: Operations, audit: Audit) -> None:
        self._controller = controller
        self._operations = operations
        self._audit = audit

    def move(self, who: str, request: admin_pb2.MoveSessionRequest) -> Ongoing:
        """Begin a move. Raises Refused: no such session or device, or it cannot be; the session goes on."""
        c = self._controller
        with c.lock:
            session = self._session(request.session)
            device: Device | None = self._operations.find_device(request.device) if request.device else None
            try:
                one = c.ask_move(session, device, request)
            except Refused as refused:
                self._audit(who, "move-refused", session.id, str(refused))
                raise
        self._audit(
            who, "move-asked", session.id, f"to {request.device or 'any device'}: {request.reason or 'no reason given'}"
        )
        return one

    def progress(self, one: Ongoing) -> admin_pb2.MoveProgress:
        with self._controller.lock:
            return self._controller.progress(one)

    def moves(self, is_recent: bool) -> list[admin_pb2.MoveProgress]:
        """Those under way, the oldest first; then, where they are asked for, the last that have ended."""
        with self._controller.lock:
            return [self._controller.progress(one) for one in self._controller.all_moves(is_recent)]

    def cancel(self, who: str, prefix: str) -> admin_pb2.CancelMoveReply:
        """Have a session stay where it is. Raises Refused: it is not moving, or it is too late."""
        with self._controller.lock:
            session = self._session(prefix)
            one = self._controller.cancel_move(session, "An operator cancelled it.")
        self._audit(who, "move-cancelled", session.id, one.move.id)
        return admin_pb2.CancelMoveReply(move=one.move.id, session=session.id)

    def _session(self, prefix: str) -> Session:
        sessions = self._controller.books.sessions
        return sessions[by_prefix(prefix, sessions, "session")]

    def drained(self, key: str, told: int) -> tuple[admin_pb2.DrainProgress, int]:
        """How far a drain is. `told`: how many of the sessions that it moved away have been named before; returns that number now."""
        c = self._controller
        with c.lock:
            device = c.books.devices.get(key)
            if device is None:
                return admin_pb2.DrainProgress(done=True), told
            left = list(c.books.on_device(device))
            progress = admin_pb2.DrainProgress(
                remaining_sessions=len(left), moved=device.moved_away[told:], done=not device.is_draining
            )
            for session in left:
                if session.id not in c.moves:
                    progress.waiting.add(session=session.id, reason=c.why_it_stays(session))
            return progress, len(device.moved_away)
