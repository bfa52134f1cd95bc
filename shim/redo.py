"""The redo window: all that a session has executed, kept so that another server can execute it again after the first was lost.

It begins with the session's first batch and holds executed batches, copies of uploaded bytes, and a hash of every result that has
been delivered. While all of it fits, a lost server costs a replay; the first thing that does not fit, or cannot be repeated, ends it, and
`why` says which. Design.md section 12: a replay must reproduce what the client has already seen.

Boundary: memory and counting. Who sends it again is `link.py`'s and `bulk.py`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cupool.contract.limits import MIB
from cupool.v1 import session_pb2

if TYPE_CHECKING:
    from .outbox import Batch

#: What a window may hold where nothing else is said: about 1.4 million small operations.
REDO_BYTES = 64 * MIB
#: What the hash of a delivered result takes, in bytes: two integers and a place in a dict.
_DELIVERED_BYTES = 150

#: In `delivered`: the answer may be another one next time (a clock, free memory), and the first one counts.
RECORDED = None


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes that went up. `data` is a uint8 array of ours; `after_seq` as in PutChunk."""

    transfer: int
    data: np.ndarray[Any, Any]
    after_seq: int


class Redo:
    """One session's window.

    Attributes:
        why: why there is none any more, a clause; empty while it is whole.
        delivered: result id -> hash of its `cupool.v1.Result`, or RECORDED.
        failed_to: position of the last command whose failure was delivered.
    """

    def __init__(self, budget: int = REDO_BYTES, why: str = "") -> None:
        self.why = why
        self.delivered: dict[int, int | None] = {}
        self.failed_to = -1
        self._budget = budget
        #: Changed by the thread that reads alone, and under the lock; so neither needs the other's.
        self._log_bytes = self._up_bytes = 0
        self._last = 0
        self._batches: list[Batch] = []
        self._uploads: list[Upload] = []
        self._lock = threading.RLock()

    @property
    def is_whole(self) -> bool:
        """Whether the session can be made again."""
        return not self.why

    @property
    def nbytes(self) -> int:
        """Held now."""
        return self._log_bytes + self._up_bytes + _DELIVERED_BYTES * len(self.delivered)

    def executed(self, batch: Batch) -> None:
        """Keep a batch that the server has executed. In order; one that came before is not kept twice. From the thread that reads alone."""
        if self.why or batch.seq <= self._last:
            return
        self._batches.append(batch)
        self._last = batch.seq
        self._log_bytes += len(batch.frame)
        if self.nbytes > self._budget:
            self._look()

    def reserve(self, nbytes: int) -> bool:
        """Room for a copy of bytes that go up; without it the window is over."""
        with self._lock:
            if self.why:
                return False
            self._up_bytes += nbytes
            return self._look()

    def uploaded(self, upload: Upload) -> None:
        """Keep what `reserve` made room for: the server has all of it."""
        with self._lock:
            if not self.why:
                self._uploads.append(upload)

    def _look(self) -> bool:
        if self.nbytes > self._budget:
            self.end(
                f"it had done and sent more than the {self._budget // MIB} MiB that are kept for that (CUPOOL_REDO)"
            )
        return not self.why

    def end(self, why: str) -> None:
        """Keep nothing any more."""
        with self._lock:
            if not self.why:
                self.why = why
                self._batches, self._uploads, self.delivered = [], [], {}
                self._log_bytes = self._up_bytes = 0

    def defined(self, definitions: Iterable[bytes]) -> None:
        """Forms that the session is about to use for the first time."""
        if self.why:
            return
        from cupool.contract.ops import find_row

        for data in definitions:
            op = session_pb2.Form.FromString(data).op
            row = find_row(op)
            if row is not None and row.repeat == "none":
                self.end(f"it called {op}, whose effects cannot be repeated")

    def again(self, unacknowledged: Iterable[Batch]) -> list[Batch]:
        """Every batch of the session from the first on; executed ones are handed back, to be kept once more when they have been executed
        again. Empty, and the window over, if there is a gap."""
        with self._lock:
            batches = self._batches
            last = self._last
            batches = batches + [b for b in unacknowledged if b.seq > last]
            if [b.seq for b in batches] != list(range(1, len(batches) + 1)):
                self.end("an interruption left a gap in it")
                return []
            self._log_bytes = 0
            self._batches, self._last = [], 0
        self._note_recorded(batches)
        return batches

    def uploads(self) -> list[Upload]:
        """What went up, oldest first."""
        with self._lock:
            return list(self._uploads)

    def _note_recorded(self, batches: list[Batch]) -> None:
        """Mark the delivered answers that may differ next time."""
        from cupool.contract.codec import FORM_MASK, command_bytes
        from cupool.contract.limits import DEFAULT_LIMITS
        from cupool.contract.ops import find_row

        arity: dict[int, tuple[int, int]] = {0: (2, 0)}
        has_recorded = False
        for batch in batches:
            message = session_pb2.ClientFrame.FromString(batch.frame).batch
            for form in message.forms:
                row = find_row(form.op)
                is_recorded = row is not None and row.repeat == "recorded"
                has_recorded |= is_recorded
                arity[form.id] = _words(form), len(form.results) if is_recorded else 0
            if not has_recorded:
                continue
            words = memoryview(command_bytes(message, DEFAULT_LIMITS)).cast("q")
            i = 0
            while i < len(words):
                width, results = arity[words[i] & FORM_MASK]
                for number in words[i + 1 : i + 1 + results]:
                    if number in self.delivered:
                        self.delivered[number] = RECORDED
                i += width


def _words(form: Any) -> int:
    from .forms import words_of

    return words_of(form)


def digest(result: Any) -> int:
    """The hash by which a `cupool.v1.Result` is known again."""
    return hash(result.SerializeToString())  # no message of a result has a map, whose order may vary
