"""What of the pool is written into the audit log. Leases wait for their line; what has happened already is written by a thread of its own.

Boundary: which kinds of lines there are, and that they are chained, is `security/audit.py`'s.
"""

from __future__ import annotations

import logging
import queue
import threading

from cupool.v1 import admin_pb2, pool_pb2

from .refusals import Code, Refused
from .security import audit

_log = logging.getLogger(__name__)

#: What operators do -> the kind of its line.
_KINDS = {
    "session-killed": audit.KILL,
    "device-cordoned": audit.CORDON,
    "device-uncordoned": audit.CORDON,
    "device-draining": audit.DRAIN,
    "quota-set": audit.QUOTA,
    "token-created": audit.TOKEN,
    "token-revoked": audit.TOKEN,
    "shutdown": audit.POOL,
    "move-asked": audit.MOVE,
    "move-refused": audit.MOVE,
    "move-cancelled": audit.MOVE,
}
#: Events -> the kind of their line.
_EVENTS = {
    "session-ended": audit.END,
    "session-lost": audit.END,
    "session-moved": audit.MOVE,
    "move-given-up": audit.MOVE,
    "node-here": audit.POOL,
    "node-gone": audit.POOL,
}


class Auditor:
    """Writes to `log`; with None, what operators do goes to the ordinary log and nothing else is told."""

    def __init__(self, log: audit.AuditLog | None) -> None:
        self._audit = log
        self._queue: queue.SimpleQueue[admin_pb2.Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        if log is not None:
            self._thread = threading.Thread(target=self._write, name="cupool-audit", daemon=True)
            self._thread.start()

    def lease(self, lease: pool_pb2.Lease, function: str) -> None:
        """A lease is about to be told. Raises Refused: it cannot be written down, so it must not be."""
        if self._audit is None:
            return
        try:
            self._audit.record(
                audit.OPEN, who="client", tenant=lease.tenant, subject=lease.device, session=lease.session,
                epoch=lease.epoch, decision=audit.ALLOW, reason=function,
            )  # fmt: skip
        except audit.AuditUnavailable as error:
            raise Refused(Code.UNAVAILABLE, str(error), word="unavailable") from None

    def refused_credential(self, token_id: str, why: str, peer: str) -> None:
        """A credential that opened nothing."""
        if self._audit is not None:
            self._audit.note(audit.TOKEN, who=token_id or "unknown", subject=peer, decision=audit.DENY, reason=why)

    def operator(self, who: str, what: str, subject: str, why: str) -> None:
        """What an operator did."""
        _log.info("event=%s who=%r subject=%s why=%r", what, who, subject, why)
        if self._audit is not None:
            self._audit.note(
                _KINDS.get(what, audit.ADMIN), who=who, subject=subject, decision=audit.ALLOW, reason=f"{what}: {why}"
            )
            self._audit.sync()

    def event(self, event: admin_pb2.Event) -> None:
        """What the pool did by itself. Does not wait."""
        if event.kind in _EVENTS:
            self._queue.put(event)

    def _write(self) -> None:
        assert self._audit is not None
        while (event := self._queue.get()) is not None:
            session = event.subject if event.kind.startswith(("session", "move")) else ""
            self._audit.note(
                _EVENTS[event.kind], who="controller", tenant=event.tenant, subject=event.subject, session=session,
                reason=f"{event.kind}: {event.text}",
            )  # fmt: skip

    def close(self) -> None:
        """Write what is left."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
        if self._audit is not None:
            self._audit.close()
