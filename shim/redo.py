"""The redo window: what a session has executed since its beginning or its last checkpoint, kept so that another server can go on from there
when the first was lost.

It holds executed batches, copies of uploaded bytes, and a hash of every result that has been delivered. While all of it fits, a lost
server costs a replay. Before it fills, the server is asked for a checkpoint (`where` it is to be kept), and the window restarts there.
What does not fit, or cannot be repeated, ends it, and `why` says which. Design.md section 12: a replay must reproduce what the client
has already seen.

Note [Restart]
    A wish for a checkpoint is sent when half of the window is full. What had been delivered and what had gone up *before the wish was
    sent* is in the checkpoint, whatever batch it turns out to end with: the server had it before it read the wish. Of the executed
    batches those go that the answer names. What came in between stays in the window without need, until the next checkpoint.

Boundary: memory and counting. Who sends it again is `link.py`'s and `bulk.py`'s; who asks for checkpoints, `checkpoints.py`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from operator import call
from typing import TYPE_CHECKING, Any

import numpy as np

from cupool.contract.blocks import MappedBlocks
from cupool.contract.limits import MIB
from cupool.contract.records import NamedTuple

from . import wire

if TYPE_CHECKING:
    from .outbox import Batch

#: What a window may hold where nothing else is said: about 1.4 million small operations.
REDO_BYTES = 64 * MIB
#: What the hash of a delivered result takes, in bytes: two integers and a place in a dict.
_DELIVERED_BYTES = 150

#: In `delivered`: the answer may be another one next time (a clock, free memory), and the first one counts.
RECORDED = None


class Upload(NamedTuple):
    """Bytes that went up. `data` is an array of ours, or of a caller that waits until a checkpoint has them; `after_seq` as in PutChunk."""

    transfer: int
    data: np.ndarray[Any, Any]
    after_seq: int


class Base(NamedTuple):
    """Where the window begins: a checkpoint.

    Attributes:
        session, token, server: of the lease under which it was made.
        where: "node", "file" or "client".
        checkpoint: its id.
        batch: the last one that is in it, without its frame.
        ordinal: the last ServerFrame.ordinal that is in it.
        data: the checkpoint itself, where it is kept here.
    """

    session: str
    token: str
    server: str
    where: str
    checkpoint: int
    batch: Batch
    ordinal: int
    data: np.ndarray[Any, Any] | None = None


class Mark(NamedTuple):
    """What was in the window when a wish was sent."""

    checkpoint: int
    uploads: int
    delivered: int


class Redo:
    """One session's window.

    Attributes:
        why: why there is none any more, a clause; empty while it is whole.
        delivered: result id -> hash of its `cupool.v1.Result`, or RECORDED; oldest first.
        failed_to: position of the last command whose failure was delivered.
        base: the checkpoint that it begins with; None: it begins with the session.
        where: where checkpoints are kept; empty: nowhere, and then the window begins with the session for ever.
        failure: why the last checkpoint could not be made; empty: it could.
        checkpoints: how often the window has restarted.
    """

    def __init__(self, budget: int = REDO_BYTES, why: str = "", where: str = "") -> None:
        self.why = why
        self.where = "" if why else where
        self.failure = ""
        self.base: Base | None = None
        self.checkpoints = 0
        self.delivered: dict[int, int | None] = {}
        self.failed_to = -1
        #: called when there is room again
        self.on_room: Callable[[], None] = lambda: None
        #: memory for what goes up, as long as it is in the window
        self.blocks = MappedBlocks(budget)
        self._budget = budget
        #: Changed by the thread that reads alone, and under the lock; so neither needs the other's.
        self._log_bytes = self._up_bytes = 0
        self._last = 0
        self._batches: list[Batch] = []
        self._uploads: list[Upload] = []
        self._lock = threading.RLock()
        #: Form -> (words of a command, results whose answers may differ), of the batches before the window.
        self._arity: dict[int, tuple[int, int]] = {}
        self._mark: Mark | None = None
        self._wishes = 0
        self._is_urgent = False
        #: After a server was lost: no checkpoint before this batch has been executed again and the uploads have gone up again.
        self._again_to = 0
        self._is_putting = False

    @property
    def is_whole(self) -> bool:
        """Whether the session can be made again."""
        return not self.why

    @property
    def is_durable(self) -> bool:
        """Whether whoever sends waits for a checkpoint rather than go beyond the window: the program asked for that, and it can be had."""
        return self.where in ("node", "file") and not (self.why or self.failure)

    @property
    def nbytes(self) -> int:
        """Held now."""
        return self._log_bytes + self._up_bytes + _DELIVERED_BYTES * len(self.delivered)

    def executed(self, batch: Batch) -> None:
        """Keep a batch that the server has executed. In order; one that came before is not kept twice. From the thread that reads alone."""
        with self._lock:
            if self.why or batch.seq <= self._last:
                return
            self._batches.append(batch)
            self._last = batch.seq
            self._log_bytes += _weight(batch)
            if self.nbytes > self._budget and not self.is_durable:
                self._look()

    def is_full(self, inflight_bytes: int) -> bool:
        """Whether a checkpoint must be waited for before more is sent, with so much sent and not executed."""
        return self.nbytes + inflight_bytes >= self._budget and self.is_durable

    def reserve(self, nbytes: int) -> bool:
        """Room for a copy of bytes that go up. Without it the window is over, or the caller waits for a checkpoint (`is_durable`)."""
        with self._lock:
            if self.why:
                return False
            if self.is_durable:
                if nbytes > self._budget:
                    return False
                self._up_bytes += nbytes
                return True
            self._up_bytes += nbytes
            return self._look()

    def uploaded(self, upload: Upload) -> None:
        """Keep what `reserve` made room for: the server has all of it."""
        with self._lock:
            if not self.why:
                self._uploads.append(upload)

    def unreserve(self, nbytes: int) -> None:
        """What `reserve` made room for does not come."""
        with self._lock:
            if not self.why:
                self._up_bytes -= nbytes

    def has_upload(self, transfer: int) -> bool:
        """Whether the bytes are needed yet. Asks for a checkpoint while they are."""
        with self._lock:
            self._is_urgent = any(upload.transfer == transfer for upload in self._uploads)
            return self._is_urgent

    def discard(self, transfer: int) -> None:
        """A caller's own bytes, which it is about to take back. If they are needed yet, the window is over."""
        with self._lock:
            if self.has_upload(transfer):
                self.end(
                    "one upload was larger than it"
                    + (f", and no checkpoint could be made: {self.failure.rstrip('.')}" if self.failure else "")
                )
            self._is_urgent = False

    def _look(self) -> bool:
        if self.nbytes > self._budget:
            self.end(
                f"it had done and sent more than the {_size(self._budget)} that are kept for that (CUPOOL_REDO)"
                + (f", and no checkpoint could be made: {self.failure.rstrip('.')}" if self.failure else "")
            )
        return not self.why

    def end(self, why: str) -> None:
        """Keep nothing any more."""
        with self._lock:
            if not self.why:
                self.why = why
                self._batches, self._uploads, self.delivered = [], [], {}
                self._log_bytes = self._up_bytes = 0
                self.base = self._mark = None
                self.blocks.clear()
        self.on_room()

    def defined(self, definitions: Iterable[bytes]) -> None:
        """Forms that the session is about to use for the first time."""
        if self.why:
            return
        from cupool.contract.ops._homes import UNREPEATABLE

        for data in definitions:
            op = wire.kinds().Form.FromString(data).op
            if op in UNREPEATABLE:
                self.end(f"it called {op}, whose effects cannot be repeated")

    # -- checkpoints --------------------------------------------------------------------------------------------------
    @property
    def wants_checkpoint(self) -> bool:
        """Whether it is time to ask for one."""
        if not self.where or self.why or self._mark is not None or self._last < self._again_to or self._is_putting:
            return False
        return self._is_urgent or self.nbytes > self._budget // 2

    def moved(self) -> None:
        """The session is on another server, and its last checkpoint with the one before: another one is made soon."""
        self._is_urgent = self.base is not None

    @property
    def wish(self) -> Mark | None:
        """The one that has not been answered."""
        return self._mark

    def wished(self) -> Mark:
        """A wish is about to be sent; see Note [Restart]."""
        with self._lock:
            self._wishes += 1
            self._mark = Mark(self._wishes, len(self._uploads), len(self.delivered))
            return self._mark

    def forget_wish(self) -> None:
        """Its server is gone."""
        self._mark = None

    def failed(self, reason: str) -> None:
        """There is no checkpoint; the window is as it was."""
        with self._lock:
            self._mark = None
            self.failure = reason
            if not self.why:
                self._look()
        self.on_room()

    def restarted(self, base: Base) -> None:
        """The window begins with this checkpoint, the wish's. All or nothing: an interruption may come between any two bytecodes."""
        with self._lock:
            mark = self._mark
            if self.why or mark is None or mark.checkpoint != base.checkpoint:
                return
            seq = base.batch.seq
            kept = [b for b in self._batches if b.seq > seq]
            arity = self._arities([b for b in self._batches if b.seq <= seq])
            uploads = self._uploads[mark.uploads :]
            # Of a copy, which is one step: the thread that reads adds to it meanwhile. So those that go are taken out of it one by one:
            # what came while another one was put into its place would not be known.
            gone = list(islice(self.delivered.copy(), mark.delivered))
            steps: tuple[Callable[[], Any], ...] = (
                partial(setattr, self, "base", base),
                partial(setattr, self, "_mark", None),
                partial(setattr, self, "_batches", kept),
                partial(setattr, self, "_last", max(self._last, seq)),
                partial(setattr, self, "_log_bytes", sum(map(_weight, kept))),
                partial(setattr, self, "_uploads", uploads),
                partial(setattr, self, "_up_bytes", self._up_bytes - self._bytes_of(mark.uploads)),
                *(partial(self.delivered.pop, number, None) for number in gone),
                partial(setattr, self, "_arity", arity),
                partial(setattr, self, "failure", ""),
                partial(setattr, self, "_is_urgent", False),
                partial(setattr, self, "checkpoints", self.checkpoints + 1),
            )
            deque(map(call, steps), maxlen=0)
        self.on_room()

    def last_of(self, seq: int, unacknowledged: Iterable[Batch]) -> Batch | None:
        """The batch of this number, without its frame; None where it is not known any more."""
        if self.base is not None and self.base.batch.seq == seq:
            return self.base.batch
        for batch in [*self._batches, *unacknowledged]:
            if batch.seq == seq:
                return batch._replace(frame=b"")
        return None

    def _bytes_of(self, count: int) -> int:
        return sum(u.data.nbytes for u in self._uploads[:count] if u.data.nbytes <= self._budget)

    # -- again --------------------------------------------------------------------------------------------------------
    @property
    def is_again(self) -> bool:
        """Whether a replay is under way: batches come that say nothing of what was received."""
        return self._last < self._again_to

    def again(self, unacknowledged: Iterable[Batch]) -> list[Batch]:
        """Every batch from the window's beginning on; executed ones are handed back, to be kept once more when they have been executed
        again. Empty, and the window over, if there is a gap. None says what was received: that was another server's frames."""
        with self._lock:
            batches = self._batches
            first = self.base.batch.seq if self.base is not None else 0
            last = max(self._last, first)
            batches = [_uncredited(b) for b in (*batches, *(b for b in unacknowledged if b.seq > last))]
            if [b.seq for b in batches] != list(range(first + 1, first + len(batches) + 1)):
                self.end("an interruption left a gap in it")
                return []
            self._log_bytes = 0
            self._batches, self._last = [], first
            self._mark = None
            self._again_to = batches[-1].seq if batches else 0
            self._is_putting = bool(self._uploads)
        self._note_recorded(batches)
        return batches

    def uploads(self) -> list[Upload]:
        """What went up, oldest first."""
        with self._lock:
            return list(self._uploads)

    def put_again(self) -> None:
        """All of `uploads` has gone up again."""
        self._is_putting = False

    def _arities(self, batches: list[Batch]) -> dict[int, tuple[int, int]]:
        """`_arity` with the forms of these batches, which leave the window."""
        arity = self._arity
        before = (self.base.batch.forms, self.base.batch.base) if self.base is not None else (0, 0)
        for batch in batches:
            if (batch.forms, batch.base) != before:
                before = batch.forms, batch.base
                message = wire.kinds().ClientFrame.FromString(batch.frame).batch
                arity = {**arity, **{form.id: _arity_of(form) for form in message.forms}}
        return arity

    def _note_recorded(self, batches: list[Batch]) -> None:
        """Mark the delivered answers that may differ next time."""
        from cupool.contract.codec import FORM_MASK
        from cupool.contract.limits import DEFAULT_LIMITS
        from cupool.contract.loops import written_out

        arity: dict[int, tuple[int, int]] = {0: (2, 0), **self._arity}
        has_recorded = any(results for _, results in arity.values())
        for batch in batches:
            message = wire.kinds().ClientFrame.FromString(batch.frame).batch
            for form in message.forms:
                arity[form.id] = _arity_of(form)
                has_recorded |= bool(arity[form.id][1])
            if not has_recorded:
                continue
            words = memoryview(written_out(message, DEFAULT_LIMITS)).cast("q")
            i = 0
            while i < len(words):
                width, results = arity[words[i] & FORM_MASK]
                for number in words[i + 1 : i + 1 + results]:
                    if number in self.delivered:
                        self.delivered[number] = RECORDED
                i += width


def _uncredited(batch: Batch) -> Batch:
    """The batch, saying nothing of frames that were received."""
    message = wire.kinds().ClientFrame.FromString(batch.frame)
    if not message.batch.received:
        return batch
    message.batch.received = 0
    return batch._replace(frame=bytes(message.SerializeToString()))


def _arity_of(form: Any) -> tuple[int, int]:
    """Words of a command of this `cupool.v1.Form`, and how many of its results are answers that may differ next time."""
    from cupool.contract.ops import find_row

    from .forms import words_of

    row = find_row(form.op)
    return words_of(form), len(form.results) if row is not None and row.repeat == "recorded" else 0


def _weight(batch: Batch) -> int:
    """Bytes that a batch counts for."""
    return max(len(batch.frame), batch.weight)


def _size(nbytes: int) -> str:
    return f"{nbytes // MIB} MiB" if nbytes >= MIB else f"{nbytes:,} bytes"


def digest(result: Any) -> int:
    """The hash by which a `cupool.v1.Result` is known again."""
    return hash(result.SerializeToString())  # no message of a result has a map, whose order may vary
