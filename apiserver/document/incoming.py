"""A session that comes from elsewhere: its buffers first, as they come, then its document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..tracking import without_collection
from .checks import DocumentError, opened
from .restore import Roots, check_origin, restore

#: Beside what a session is charged: rounding, and what a pinned export holds.
_SLACK_BYTES = 64 << 20

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class Incoming:
    """On the server that takes a session. One for the life of a process; no thread of its own."""

    def __init__(self, device: Any, table_digest: bytes, limit_bytes: int, open_session: Callable[[Any], Any]) -> None:
        """
        Args:
            device: one that has had no session.
            limit_bytes: what the session may hold here.
            open_session: assignment -> a fresh `Session` on that device, which nobody can attach to yet.
        """
        self._device = device
        self._table_digest = table_digest
        self._room = 2 * limit_bytes + _SLACK_BYTES
        self._open_session = open_session
        self._roots: Roots = {}
        self._is_done = False
        #: bytes of the buffers that are here
        self.nbytes = 0

    def begin(self, piece: Any) -> Bytes:
        """Memory for a buffer (a `MoveBuffer`, or a `Piece`), to be written to until `finish`.

        Raises:
            DocumentError: it cannot be taken: too large, known already, or at an address that is not free here.
        """
        if self._is_done:
            raise DocumentError("This server has a session already.")
        if piece.buffer in self._roots:
            raise DocumentError(f"Buffer {piece.buffer} came twice.")
        if self.nbytes + piece.nbytes > self._room:
            raise DocumentError(f"The session's buffers are larger than the {self._room} bytes that it may have here.")
        try:
            root = self._device.place(piece.nbytes, piece.address)
        except (ValueError, MemoryError) as error:
            raise DocumentError(f"There is no room here for a buffer of {piece.nbytes} bytes: {error}.") from error
        self._roots[piece.buffer] = root
        self.nbytes += piece.nbytes
        memory: Bytes = self._device.bytes_of(root)
        return memory

    def drop(self, buffer: int) -> None:
        """The buffer is no more; an unknown one is no error."""
        root = self._roots.pop(buffer, None)
        if root is not None:
            self.nbytes -= root.nbytes

    def finish(self, data: bytes, assignment: Any, came_from: str | None = None) -> Any:
        """All buffers have their last contents, and nobody writes to them any more: make the session.

        Args:
            data: what `capture` gave.
            assignment: the session's here; its epoch counts.
            came_from: the session that it was, where it goes on under a new lease; None: it is the same.

        Returns:
            the `Session`, as it was, at the assignment's epoch.

        Raises:
            DocumentError: it cannot be restored. The process has no use any more then.
        """
        if self._is_done:
            raise DocumentError("This server has a session already.")
        message = opened(data)
        check_origin(message, self._device, self._table_digest, came_from or assignment.session)
        if came_from is None and assignment.epoch < message.link.epoch:
            raise DocumentError(f"The session was at epoch {message.link.epoch}, which is after {assignment.epoch}.")
        self._is_done = True
        session = self._open_session(assignment)
        with without_collection():
            restore(message, self._roots, session)
        if came_from is not None:
            session.begin_again()
        self._roots.clear()
        session.executor.given_ids = max(message.buffers.id, default=0)
        return session


__all__ = ["Incoming"]
