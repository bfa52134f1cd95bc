"""A server whose session begins with a checkpoint: one that its order names, or that its client sends.

Boundary: when, and what it is refused with. What is in a checkpoint is `reading.py`'s, what the server does with a session `service.py`'s.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from cupool.contract.errors import ProtocolError
from cupool.v1 import session_pb2

from .. import bulk
from ..document import Incoming
from ..frames import Refused
from . import reading
from .layout import CheckpointError

if TYPE_CHECKING:
    from ..config import Assignment
    from ..service import ApiServer
    from ..session import Session

log = logging.getLogger(__name__)

#: A checkpoint that a client kept is not larger.
MAX_CLIENT_BYTES = 64 << 20


class Restoring:
    """Of one server. `is_on` while the session is being made: nobody may attach to it."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._calm = threading.Condition()
        self.is_on = False

    def begin(self, assignment: Assignment) -> None:
        """Make the session out of the checkpoint that its order names, in a thread; without it the server has no use, and ends."""
        self.is_on = True
        threading.Thread(target=self._from_file, args=(assignment,), name="cupool-restore", daemon=True).start()

    def wait(self) -> None:
        """Return when the session is there, or will not be."""
        if self.is_on:
            with self._calm:
                self._calm.wait_for(lambda: not self.is_on)

    def _from_file(self, assignment: Assignment) -> None:
        why = "the server failed, its log has the traceback"
        try:
            path = Path(assignment.checkpoint)
            if path.suffix == ".session":
                self._admit(reading.restore_saved(path, self._incoming(assignment), assignment))
            else:
                source = reading.read_folder(path)
                try:
                    self._make(source, assignment, assignment.checkpoint_of)
                finally:
                    source.close()
            why = ""
        except CheckpointError as error:
            why = str(error)
        except FileNotFoundError:
            why = "it is not there any more: its host was started again, or had no room for it"
        except OSError as error:
            why = f"it cannot be read: {error.strerror or error}"
        except ValueError as error:  # the session was ended meanwhile
            why = str(error)
        except Exception:
            log.exception("event=restore-failed")
        finally:
            if why:
                self._server.stop(f"its checkpoint cannot be restored: {why}")
            self._over()

    def _over(self) -> None:
        with self._calm:
            self.is_on = False
            self._calm.notify_all()

    def _make(self, source: Any, assignment: Assignment, session: str) -> Session:
        """Raises CheckpointError; ValueError when the server ends."""
        incoming = self._incoming(assignment)
        restored: Session = reading.restore(source, incoming, assignment, session, session == assignment.session)
        self._admit(restored)
        return restored

    def _incoming(self, assignment: Assignment) -> Incoming:
        server = self._server
        return Incoming(server.device, server.digest, server.limit_of(assignment), server.open_for)

    def _admit(self, session: Session) -> None:
        self._server.admit(session)
        log.info("event=session-restored session=%s seq=%d", session.assignment.session, session.executor.executed_seq)

    def restore(self, frames: Iterator[bytes], context: Any) -> bytes:
        """SessionService.Restore."""
        try:
            assignment = self._server.authenticated_assignment(context)
            try:
                source = reading.read_packed(bulk.collected(frames, MAX_CLIENT_BYTES))
            except ProtocolError as error:
                raise Refused("INVALID_ARGUMENT", str(error)) from None
            except CheckpointError as error:
                raise Refused("FAILED_PRECONDITION", str(error)) from None
            session = self._from_client(source, assignment)
        except Refused as refusal:
            context.abort(grpc.StatusCode[refusal.status], refusal.sentence)
            raise
        return session_pb2.RestoreReply(executed_seq=session.executor.executed_seq).SerializeToString()

    def _from_client(self, source: Any, assignment: Assignment) -> Session:
        """Raises Refused."""
        with self._calm:
            self._calm.wait_for(lambda: not self.is_on)
            known = self._server.session
            if known is not None:
                if not known.attached_before and known.executor.executed_seq == source.index.executed_seq:
                    return known  # its client did not hear the answer
                raise Refused("FAILED_PRECONDITION", "The session has begun already.")
            self.is_on = True
        why = "the server failed"
        try:
            session = self._make(source, assignment, source.index.session)
            why = ""
            return session
        except (CheckpointError, ValueError) as error:
            why = str(error)
            raise Refused("FAILED_PRECONDITION", why) from None
        finally:
            if why:
                self._server.stop(f"the checkpoint that its client sent cannot be restored: {why}")
            self._over()
