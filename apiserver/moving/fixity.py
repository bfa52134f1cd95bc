"""Whether a server's session can be moved, told to the agent when that changes: a drain or a balancer need not try to find out.

Some reasons are seen at once (functions of the program that ran in this process); others only a look at all of the session finds, which a
move makes. What such a look found is looked at again now and then, at a batch boundary that costs nobody a wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cupool.v1 import server_pb2

from ..document import fixed

if TYPE_CHECKING:
    from ..service import ApiServer

#: After which what held a session is looked at again.
AGAIN_S = 5.0


class Fixity:
    """Of one server. `report` takes `cupool.v1.SessionFixed`s."""

    def __init__(self, server: ApiServer) -> None:
        self.report: Callable[[Any], None] = lambda report: None
        self._server = server
        self._lock = threading.Lock()
        self._session: Any = None
        self._told = ""
        self._looked_at = 0.0

    def found(self, reason: str) -> None:
        """The session cannot be moved, one sentence; empty: it can."""
        session = self._server.session
        with self._lock:
            if session is None or reason == (self._told if self._session is session else ""):
                return
            self._session, self._told = session, reason
            self.report(server_pb2.SessionFixed(session=session.assignment.session, reason=reason))

    def look(self, now: float) -> None:
        """Called every now and then. `now`: of the monotonic clock, seconds."""
        session = self._server.session
        if session is None or session.over or session.moved is not None or not session.attached_before:
            return
        is_new = session is not self._session
        offload = session.executor.offload
        offloads = offload is not None and offload.has_functions
        if offloads and (is_new or not self._told):
            self.found(fixed(session))
        elif (is_new or (self._told and not offloads and now - self._looked_at > AGAIN_S)) and session.try_boundary():
            # Of a new one this is nothing, or what holds every session of its device.
            self._looked_at = now
            try:
                reason = fixed(session)
            finally:
                session.leave_boundary()
            self.found(reason)
            self._session = session
