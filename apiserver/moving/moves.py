"""The moves of one server: which there are, who may pull, what is ordered and reported.

Boundary: orders (`control.py`) and calls (`service.py`) come in, `MoveReport`s go out. What a move does is `source.py`'s and
`destination.py`'s.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc

from cupool.contract.lane import Ring, Wire
from cupool.v1 import server_pb2

from ..config import Assignment
from .destination import DestinationMove
from .source import SourceMove

if TYPE_CHECKING:
    from ..service import ApiServer

log = logging.getLogger(__name__)

#: A destination may be faster than the order to its source: so long its call waits.
EARLY_S = 5.0


class Moves:
    """All moves from and to one server. `report` takes `cupool.v1.MoveReport`s."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self.report: Callable[[Any], None] = lambda report: None
        self._changed = threading.Condition()
        self._source: SourceMove | None = None
        self.destination: DestinationMove | None = None

    # -- orders ---------------------------------------------------------------------------------------------------------

    def order_out(self, order: Any) -> None:
        """A `cupool.v1.MoveOut`: let the destination pull the session."""
        with self._changed:
            source = self._source
            if source is not None and source.order.move == order.move:
                return  # the agent did not see our report
            refused = self._why_not(order)
            if not refused:
                self._source = SourceMove(self._server, order, self.report)
                self._source.start()
                self._changed.notify_all()
        if refused:
            log.warning("event=move-refused move=%s reason=%r", order.move, refused)
            failed = server_pb2.MoveReport.FAILED
            self.report(
                server_pb2.MoveReport(
                    session=order.session, move=order.move, phase=failed, reason=refused, is_source=True
                )
            )

    def _why_not(self, order: Any) -> str:
        server = self._server
        session, source, destination = server.session, self._source, self.destination
        if destination is not None and destination.state != "OWNER":
            return "the session has not arrived here itself"
        if server.assignment is None or server.assignment.session != order.session:
            return "this server does not have the session"
        if session is None or not session.attached_before:
            return "no client has come to the session yet; give it another server instead"
        if session.over:
            return f"the session is over: {session.over}"
        if session.moved is not None:
            return "the session has moved away already"
        if source is not None and not source.is_over:
            return f"it is moving already ({source.order.move})"
        if len(order.token_sha256) != 32 or not order.move or not order.endpoint:
            return "the order names no move, no endpoint, or no token"
        if order.epoch <= session.epoch:
            return f"epoch {order.epoch} of the order is not above the session's, {session.epoch}"
        return ""

    def cancel(self, order: Any) -> None:
        """A `cupool.v1.CancelMove`. Of no effect once the session is released."""
        reason = order.reason or "it was cancelled"
        source, destination = self._source, self.destination
        if source is not None and source.order.move == order.move:
            source.cancel(reason)
        if destination is not None and destination.arrival.move == order.move:
            destination.cancel(reason)

    def take_back(self, order: Any) -> None:
        """A `cupool.v1.TakeBack`."""
        source = self._source
        refused = f"there is no move {order.move} here"
        if source is not None and source.order.move == order.move:
            try:
                source.take_back(order.epoch)
                return
            except ValueError as error:
                refused = str(error)
        log.warning("event=take-back-refused move=%s reason=%r", order.move, refused)
        failed = server_pb2.MoveReport.FAILED
        self.report(
            server_pb2.MoveReport(session=order.session, move=order.move, phase=failed, reason=refused, is_source=True)
        )

    def begin_arrival(self, assignment: Assignment) -> None:
        """The session of this assignment comes from another server."""
        self.destination = DestinationMove(self._server, assignment, self.report)
        self.destination.start()

    # -- calls ----------------------------------------------------------------------------------------------------------

    def pull(self, controls: Iterator[bytes], context: Any) -> Iterator[bytes]:
        """MoveService.Pull."""
        metadata = {key: value for key, value in context.invocation_metadata()}
        source = self._known(
            metadata.get("cupool-session", ""), metadata.get("authorization", ""), metadata.get("cupool-move", "")
        )
        if source is None:
            context.abort(
                grpc.StatusCode.UNAUTHENTICATED, "There is no such move of this session here, or its token is wrong."
            )
            raise AssertionError("abort raises")
        try:
            yield from source.pull(controls, context)
        except ValueError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))

    def _known(self, session: str, authorization: str, move: str) -> SourceMove | None:
        """The move that a destination names and proves. One that is not here is waited for a little."""
        scheme, _, token = authorization.partition(" ")
        deadline = time.monotonic() + EARLY_S

        def named() -> bool:
            return self._source is not None and self._source.order.move == move

        with self._changed:
            assignment = self._server.assignment
            if not move or scheme.lower() != "bearer" or assignment is None or assignment.session != session:
                return None
            self._changed.wait_for(named, deadline - time.monotonic())
            source = self._source
            if source is None or not named() or not _is_token(source.order, token):
                return None
            return source

    def lane(self, session: str, token: str) -> Callable[[Wire, Ring], None] | None:
        """What sends a move's bytes over the lane, for a destination that names and proves its move."""
        source = self._source
        if source is None or source.order.session != session or not _is_token(source.order, token):
            return None
        return source.lend_lane

    def look(self, now: float) -> None:
        """Called every now and then."""
        if self.destination is not None:
            self.destination.look(now)


def _is_token(order: Any, token: str) -> bool:
    return hmac.compare_digest(hashlib.sha256(token.encode()).digest(), order.token_sha256)
