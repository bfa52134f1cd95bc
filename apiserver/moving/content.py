"""What a move's source copies: buffers by their tracker's ids, and the document. Between `tracking.py` and `document/` on one side and a
move's driver on the other.

Boundary: which bytes; how they travel is `stream.py`'s and the drivers'.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..document import DocumentError, capture, fixed
from ..document.checks import VERSION as DOCUMENT_VERSION
from ..tracking import PIECE_BYTES, Look, Piece

if TYPE_CHECKING:
    from ..session import Session
    from .stream import Part


class Copying:
    """A session's buffers, as one copier sees them. `look`, `capture` and `stop` at a batch boundary; `parts` while batches run.

    Attributes:
        total_bytes: of all buffers that are there.
    """

    def __init__(self, session: Session) -> None:
        """At a batch boundary: everything counts as new."""
        self._session = session
        self._tracker = session.executor.tracking()
        self._tracker.start()
        self._generation = self._tracker.generation
        self._pieces: dict[int, Piece] = {}
        self._found = Look()
        self.total_bytes = 0

    @property
    def wants_copies(self) -> bool:
        """Whether `sent` is to be called."""
        return self._tracker.wants_hashes

    def look(self) -> int:
        """What has changed, and was not sent, is what `announcements` and `parts` give next. Returns its bytes."""
        found, before = self._tracker.look(), self._found
        for buffer in found.gone:
            gone = self._pieces.pop(buffer, None)
            self.total_bytes -= gone.nbytes if gone is not None else 0
        for piece in found.new:
            self._pieces[piece.buffer] = piece
            self.total_bytes += piece.nbytes
        if before.new or before.written or before.gone:
            # Found by a look whose round never came: the stop looks again at once.
            found = Look([p for p in before.new if p.buffer in self._pieces] + found.new, before.gone + found.gone,
                         before.written + found.written)  # fmt: skip
        self._found = found
        return found.dirty_bytes

    def announcements(self, most: int) -> Iterator[tuple[list[Piece], list[int]]]:
        """(new pieces, ids that are gone), at most so many of either at a time."""
        new, gone = self._found.new, self._found.gone
        # What is gone comes first: a new buffer may lie where it was.
        for at in range(most, len(gone), most):
            yield [], gone[at : at + most]
        for at in range(0, max(len(new), len(gone[:most])), most):
            yield new[at : at + most], gone[:most] if not at else []

    def parts(self) -> Iterator[Part]:
        """(buffer, offset, bytes in place) of all that the last look found. What is gone meanwhile is left out; the next look says so."""
        for piece in self._found.new:
            yield from self._of(piece, 0, piece.nbytes)
        for buffer, offset, nbytes in self._found.written:
            known = self._pieces.get(buffer)
            if known is not None:
                yield from self._of(known, offset, nbytes)

    def was_sent(self) -> None:
        """All that `parts` gave is on its way."""
        self._found = Look()

    def _of(self, piece: Piece, offset: int, nbytes: int) -> Iterator[Part]:
        memory = piece.memory()
        if memory is None or not nbytes:
            return
        if not (piece.address and self._tracker.wants_hashes):
            yield piece.buffer, offset, memory[offset : offset + nbytes]
            return
        # What is compared with a hash later is copied whole at a time.
        end = offset + nbytes
        for at in range(offset - offset % PIECE_BYTES, end, PIECE_BYTES):
            yield piece.buffer, at, memory[at : min(at + PIECE_BYTES, piece.nbytes)]

    def sent(self, buffer: int, offset: int, data: Any) -> None:
        """These bytes are what was copied: for buffers whose changes are found by comparing."""
        piece = self._pieces.get(buffer)
        if piece is not None and piece.address and self._tracker.wants_hashes and not offset % PIECE_BYTES:
            piece.copied(offset, data)

    def capture(self) -> bytes:
        """The serialised document, after a look with nothing executed since. Raises DocumentError."""
        return capture(self._session, self._tracker)

    def stop(self) -> None:
        """Commands cost again what they did."""
        if self._tracker.generation == self._generation:
            self._tracker.stop()


__all__ = ["DOCUMENT_VERSION", "Copying", "DocumentError", "fixed"]
