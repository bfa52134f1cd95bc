"""What the agent is told of the server's one session: that it was taken, that its client has come or is gone, its end, its checkpoints.

Boundary: what is said, and in which order. How it travels is `control.py`'s; when something has changed `service.py` knows.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cupool.v1 import server_pb2

if TYPE_CHECKING:
    from .service import ApiServer

log = logging.getLogger(__name__)

CHANGE = server_pb2.SessionChange


class Telling:
    """Tells one after the other; any thread may call.

    Attributes:
        report: takes a `cupool.v1.SessionChange`.
        report_checkpoint: takes a `cupool.v1.CheckpointReport`.
        is_expired: the session ends because no client came, or came back, in time.
    """

    def __init__(self, server: ApiServer) -> None:
        self.report: Callable[[Any], None] = lambda change: None
        self.report_checkpoint: Callable[[Any], None] = lambda report: None
        self.is_expired = False
        self._server = server
        self._telling = threading.Lock()
        self._told = CHANGE.KIND_UNSPECIFIED
        self._is_assignment_untold = False

    def will_tell_assigned(self) -> None:
        """The session was taken: `assigned` is to be called, and whatever is told before that tells it first."""
        self._is_assignment_untold = True

    def assigned(self) -> None:
        """The session was taken."""
        with self._telling:
            self._say_assigned()

    def _say_assigned(self) -> None:
        """Tell that the session was taken, where that has not been told yet: before all that is told of it. With `_telling` held."""
        assignment = self._server.assignment
        if self._is_assignment_untold and assignment is not None:
            self._is_assignment_untold, self._told = False, CHANGE.ASSIGNED
            self.report(CHANGE(session=assignment.session, kind=CHANGE.ASSIGNED, usage=self._server.usage()))

    def unassigned(self) -> None:
        """The session was taken back."""
        self._tell(CHANGE.UNASSIGNED)

    def ended(self, reason: str) -> None:
        """The session is over."""
        self._tell(CHANGE.ENDED, reason)

    def _tell(self, kind: Any, reason: str = "") -> None:
        """Tell of the session what has changed."""
        assignment = self._server.assignment
        if assignment is not None:
            with self._telling:
                self._say_assigned()
                session = self._server.session
                if (
                    kind == CHANGE.ENDED
                    and self._told == CHANGE.ASSIGNED
                    and session is not None
                    and session.attached_before
                ):
                    # Its client was too quick for it to be told.
                    attached = CHANGE(session=assignment.session, kind=CHANGE.ATTACHED, usage=self._server.usage())
                    self.report(attached)
                self._told = kind
                change = CHANGE(session=assignment.session, kind=kind, reason=reason, usage=self._server.usage())
                change.expired = kind == CHANGE.ENDED and self.is_expired
                self.report(change)

    def presence(self) -> None:
        """Tell whether a client is here. Changes may be told in another order than they came: only what is so now is told."""
        session = self._server.session
        if session is None or session.over:
            return
        with self._telling:
            kind = CHANGE.ATTACHED if session.is_attached else CHANGE.PARKED
            self._server.status.attached(session.is_attached)
            self._say_assigned()
            if kind != self._told and self._told != CHANGE.ENDED:
                self._told = kind
                assigned = session.assignment
                log.info(
                    "event=session-%s session=%s tenant=%s request=%r",
                    CHANGE.Kind.Name(kind).lower(), assigned.session, assigned.tenant, assigned.request_id,
                )  # fmt: skip
                self.report(CHANGE(session=assigned.session, kind=kind, usage=self._server.usage()))

    def checkpoint(self, session: str, where: str, nbytes: int, executed_seq: int, error: str) -> None:
        """What became of a checkpoint."""
        self.report_checkpoint(
            server_pb2.CheckpointReport(
                session=session, path=where, nbytes=nbytes, executed_seq=executed_seq, error=error
            )
        )
