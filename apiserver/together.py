"""Batches that run as one: a large operation that begins a chain waits a moment for the commands that would join it.

A client with nothing under way sends its first command at once, and the rest of a chain some microseconds later: without waiting the first
one would run by itself, and what follows would read from memory what it has just written. So a small batch that ends in a large elementwise
operation, or one of rows, is kept for `Config.fusion_wait_s` at most; a batch that comes meanwhile and joins it runs with it, as one batch
with the numbers of both.

Who is not kept waiting: a batch that asks for an answer, or has anything but such operations, views and frees; small arrays, whose
operations take no longer than the wait; totals, which nothing joins; and a line of the program behind which nothing came that joins: it is
tried again after 1, 3, 7 ... `MOST_SKIPPED` of its batches.

Note [Together]: nothing is pending between batches for it. Until the two run, neither has begun: an end, a move, a stop or a newer stream
finds what it would have found had both been on their way. Then both run as one, under the lock that one runs under, and are said to be
executed together. The positions of their commands, and with them all that failures tell, are those that they have apart. What may wait
for another call of the client, as "@upload" for its bytes, is never in such a batch: that call may wait for the first batch's end.

Boundary: which batches, and the batch that they make. Waiting for a frame is the stream's, sequence numbers are `session.py`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cupool.contract.codec import FORM_MASK
from cupool.v1 import session_pb2

from .forms import SLOT_HANDLE
from .frames import Refused, fingerprint, parse_frame

if TYPE_CHECKING:
    from .executor import Executor
    from .fusion.kinds import Join

#: Bytes of the words of a batch that is kept: one command of a quiet session, with views and frees before it.
MOST_BYTES = 512
#: Elements below which a first operation starts at once: it takes hardly longer than the wait.
LEAST_ELEMENTS = 1 << 19
#: And of one that may join it: all of its commands are looked at.
MOST_FOLLOWING_BYTES = 32 << 10
#: Commands of that one among which there must be one that joins.
_LOOKED_AT = 16
#: Commands of ours that need no other call of the client to go on, as "@upload" does.
_NEVER_WAIT = frozenset(("@view", "@alias", "@array", "@fetch", "@export", "@spec"))
#: Batches of one line that are not kept after many to which nothing came.
MOST_SKIPPED = 63
_MOST_LINES = 1024


class Joined(NamedTuple):
    """Two batches as one. `digest`: the fingerprint of the second one's frame."""

    batch: Any
    digest: bytes


class Together:
    """Of one session."""

    def __init__(self, executor: Executor, wait_s: float) -> None:
        """
        Args:
            wait_s: how long a batch is kept at most; 0: none is.
        """
        self._executor = executor
        self.wait_s = wait_s
        #: header of a chain's first command, which has the program's line -> batches that are not kept, and how many it were the last time
        self._lines: dict[int, tuple[int, int]] = {}
        self._line = 0
        #: batches that were kept, and those of them that another one joined
        self.kept = 0
        self.joined = 0

    def look(self, stream: Any, batch: Any, ordinal: int) -> Joined | None:
        """What comes on `stream` right behind `batch` and joins it, with it; the frame is left there. None: `batch` runs by itself.

        Args:
            stream: whose frame `batch` is; where it cannot look ahead (`peek`) nothing is waited for.
            batch: a `cupool.v1.Batch`.
            ordinal: of the last frame that was sent: a client that says it has more is refused, by itself.
        """
        peek = getattr(stream, "peek", None)
        if peek is None or not self._wants_more(batch):
            return None
        data, made = peek(self.wait_s), None
        if data is not None:
            try:
                frame = parse_frame(data, self._executor.limits)
            except Refused:
                return None  # it is refused in its turn
            if frame.HasField("batch") and frame.batch.received <= ordinal:
                made = self._sum(batch, frame.batch)
        if data is None or made is None:
            self._missed()
            return None
        self._lines.pop(self._line, None)
        self.joined += 1
        return Joined(made, fingerprint(data))

    def _wants_more(self, batch: Any) -> bool:
        packed = batch.commands
        if not self.wait_s or not 16 <= len(packed) <= MOST_BYTES or len(packed) % 8:
            return False
        executor = self._executor
        if executor.fusion is None or batch.values or batch.loops or batch.seq != executor.executed_seq + 1:
            return False
        words = memoryview(packed).cast("q").tolist()
        at = self._last(words, batch.count)
        if at < 0 or executor.needs_care(len(words)):
            return False
        skipped, before = self._lines.get(words[at], (0, 0))
        if skipped:
            self._lines[words[at]] = skipped - 1, before
            return False
        self._line = words[at]
        self.kept += 1
        return True

    def _last(self, words: list[int], commands: int) -> int:
        """Where the last command is that is neither view nor free, if it is large and all others can be in a chain; else -1."""
        forms, last, i, n = self._executor.forms, -1, 0, len(words)
        join: Join | None = None
        while i < n:
            header = words[i]
            commands -= 1
            if not header:
                i += 2
                continue
            form = forms.get(header & FORM_MASK) if header > 0 else None
            found = form.join if form is not None else None
            if found is None:
                return -1
            if found.starts:
                join, last = found, i
            i += found.width
        return last if i == n and not commands and join is not None and self._is_large(join, words, last) else -1

    def _is_large(self, join: Join, words: list[int], i: int) -> bool:
        if join.kind in ("reduce", "spread") and join.axis is None:
            return False
        table, size = self._executor.handles.table, join.spec.size if join.spec is not None else 0
        for kind, at in join.operands:
            if kind == SLOT_HANDLE:
                size = max(size, getattr(table.get(words[i + at]), "size", 0))
        return size >= LEAST_ELEMENTS

    def _sum(self, batch: Any, following: Any) -> Any:
        """Both as one; None where the second one does not join, or not as a whole."""
        limits, packed = self._executor.limits, following.commands
        if (
            following.loops
            or following.seq != batch.seq + 1
            or following.position != batch.position + batch.count
            or len(packed) % 8
            or batch.count + following.count > limits.batch_commands
            or following.forms
            or len(packed) > MOST_FOLLOWING_BYTES
            or not self._joins(following)
        ):
            return None
        return session_pb2.Batch(
            seq=following.seq, position=batch.position, count=batch.count + following.count, forms=batch.forms,
            commands=batch.commands + packed, values=following.values, received=following.received,
        )  # fmt: skip

    def _joins(self, following: Any) -> bool:
        """Whether a batch begins with what joins, and has nothing that waits for another call, which may wait for the first batch."""
        forms, words = self._executor.forms, memoryview(following.commands).cast("q")
        i, n, count, joins, is_open = 0, len(words), 0, False, True
        while i < n:
            header = words[i]
            if not header:
                i += 2
                continue
            form = forms.get(header & FORM_MASK) if header > 0 else None
            if form is None or (form.row.name[0] == "@" and form.row.name not in _NEVER_WAIT):
                return False
            count += 1
            is_open = is_open and form.join is not None and count <= _LOOKED_AT
            joins = joins or (is_open and form.join is not None and form.join.starts)
            i += form.width
        return joins

    def _missed(self) -> None:
        if len(self._lines) >= _MOST_LINES:
            self._lines.clear()
        _, before = self._lines.get(self._line, (0, 0))
        skipped = min(2 * before + 1, MOST_SKIPPED)
        self._lines[self._line] = skipped, skipped
