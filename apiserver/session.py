"""One session: what a client is promised across connections. Sequence numbers, positions, ordinals, duplicates, parking, the end.

A session is not a connection. At any time at most one `Stream` is current; a new one fences the old. Batches run in the thread
of the stream that read them, one at a time. Frames with results or failures get an ordinal and are kept until the client says
that it received them.

What a move does to a session, at batch boundaries, is in `boundaries.py`: Note [Stopped].

Note [Resume]: a fenced stream's thread may still be executing its batch. The new stream is told the last batch that is *done*, so the
client sends the running one again; its thread waits for the lock, finds the batch executed, and drops it as a duplicate. Nothing
runs twice and nothing waits for a dead connection.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cupool.contract.codec import server_frame, varint
from cupool.contract.errors import MOVED_AWAY, STALE_NONCE, ProtocolError
from cupool.contract.limits import Limits
from cupool.contract.versions import FEATURES, SUPPORTED, mismatch_sentence, negotiate
from cupool.v1 import session_pb2

from .boundaries import Boundaries
from .config import Assignment
from .executor import BrokenOff, Executor, Outcome
from .frames import Refused, Stream, fingerprint, parse_frame
from .hashes import HASH_BYTES, Hashes
from .together import Joined, Together

if TYPE_CHECKING:
    from .checkpoints.keeper import Keeper

log = logging.getLogger(__name__)

#: Hashes of executed batches that are kept to compare duplicates with. A client cannot have more than this unacknowledged.
KEPT_HASHES = 100_000
#: Result frames that a client has not said it received, at most, in bytes. A client of ours acknowledges with every batch.
KEPT_FRAME_BYTES = 256 << 20
NONCE_BYTES = 16
#: How long the end of a session waits for its client to be told.
FAREWELL_S = 0.5


class Session(Boundaries):
    """The session of this server's life."""

    def __init__(self, assignment: Assignment, executor: Executor, limits: Limits, digests: tuple[bytes, dict[str, bytes]],
                 hello: Callable[[], dict[str, Any]], ended: Callable[[str], None],
                 changed: Callable[[], None] = lambda: None, fusion_wait_s: float = 0.0) -> None:  # fmt: skip
        """
        Args:
            digests: the op table's digest, and the hash of each row.
            hello: fields of ServerHello that the service knows: server, device, lane.
            ended: called once, when the session is over, with the reason.
            changed: called when a client has come or is gone.
            fusion_wait_s: how long a chain's first operation is kept for the others, see `together.py`; 0: it is not.
        """
        super().__init__(executor, assignment.epoch)
        self.assignment = assignment
        self.limits = limits
        #: of the op table
        self.table_digest, self._row_hashes = digests
        self._hello = hello
        self._on_end = ended
        self._on_change = changed
        self._kernel_quota_s = assignment.kernel_quota_s or float("inf")
        #: called when a client is about to be answered for the first time since the session came here by a move
        self.on_arrival: Callable[[], None] | None = None
        #: makes checkpoints; None: nobody does
        self.keeper: Keeper | None = None
        self._nonce = b""
        #: whether a client has ever attached
        self.attached_before = False
        self._client_limits = limits
        self._seen = Hashes(KEPT_HASHES)
        self.together = Together(executor, fusion_wait_s)
        #: (ordinal, frame, the last batch that it says has been executed)
        self._kept: deque[tuple[int, bytes, int]] = deque()
        self._kept_bytes = 0
        self._ordinal = 0
        self._received = 0
        #: (last batch, commands) before a batch of which not all that it answered is kept yet; None: there is no such
        self._before: tuple[int, int] | None = None
        executor.stop = lambda: bool(self.over)

    # -- attaching ----------------------------------------------------------------------------------------------------

    def attach(self, stream: Stream, hello: Any) -> None:
        """Make `stream` the session's stream, answer its hello and send again what the client has not received.

        The caller holds the stream's send order: nothing else is sent on it before this returns.

        Raises:
            Refused: version, epoch, nonce.
        """
        version = negotiate(list(hello.versions))
        if version is None:
            raise Refused("FAILED_PRECONDITION", mismatch_sentence(list(hello.versions), SUPPORTED))
        with self._calm:
            self._calm.wait_for(lambda: not self._is_stopped or bool(self.over))
            moved = self.moved
        if moved is not None:
            stream.send(session_pb2.ServerFrame(moved=moved).SerializeToString())
            raise self.elsewhere()
        if hello.epoch != self.epoch:
            raise Refused("FAILED_PRECONDITION", f"The session is at epoch {self.epoch}, the client's hello says {hello.epoch}. "
                          f"It {MOVED_AWAY} since: ask the pool where it is.")  # fmt: skip
        if len(hello.nonce_next) != NONCE_BYTES:
            raise Refused(
                "INVALID_ARGUMENT",
                f"ClientHello.nonce_next must be {NONCE_BYTES} random bytes, it has {len(hello.nonce_next)}.",
            )
        with self._calm:
            # Again: what came between must not change either.
            self._calm.wait_for(lambda: not self._is_stopped or bool(self.over))
            if self.over:
                raise Refused("NOT_FOUND", f"The session is over: {self.over}")
            if self.moved is not None:
                raise self.elsewhere()
            if self._nonce not in (hello.nonce_previous, hello.nonce_next):
                raise Refused("FAILED_PRECONDITION", STALE_NONCE)  # fmt: skip
            if hello.received > self._ordinal:
                raise Refused(
                    "INVALID_ARGUMENT",
                    f"The client says it received frame {hello.received}; only {self._ordinal} were sent.",
                )
            old, self._stream = self._stream, stream
            self._nonce = hello.nonce_next
            resumed, self.attached_before = self.attached_before, True
            self._client_limits = Limits.from_wire(hello.limits)
            self._forget(hello.received)
            kept = [frame for _, frame, _ in self._kept]
            executed, position, ordinal = *self._answered(), self._ordinal
        if old is not None:
            old.close("ABORTED", "A newer stream of the same session took over.")
        self.arrive()
        self.last_frame_at = time.monotonic()
        same = hello.op_table_digest in (b"", self.table_digest)
        frame = session_pb2.ServerFrame(executed_seq=executed, hello=session_pb2.ServerHello(
            version=version, epoch=self.epoch, resumed=resumed, executed_seq=executed, executed_position=position,
            op_table_digest=self.table_digest, row_hashes={} if same else self._row_hashes, limits=self.limits.to_wire(),
            features=list(FEATURES), ordinal=ordinal, **self._hello(),
        ))  # fmt: skip
        stream.send(frame.SerializeToString())
        for data in kept:
            stream.send(data)
        self._on_change()

    def arrive(self) -> None:
        """A client is about to be answered, at the session's epoch."""
        arrival = self.on_arrival
        if arrival is not None:
            arrival()  # whoever comes at the same time waits in it
            self.on_arrival = None

    def detached(self, stream: Stream) -> None:
        """The stream is over; the session is parked unless a newer stream has it."""
        with self._lock:
            if self._stream is not stream:
                return
            self._stream = None
            self.last_frame_at = time.monotonic()
        self._on_change()

    @property
    def is_attached(self) -> bool:
        return self._stream is not None

    @property
    def chunk_bytes(self) -> int:
        """Of one message of a Get: what both sides can take."""
        return min(self.limits.chunk_bytes, self._client_limits.chunk_bytes)

    def parked_s(self) -> float | None:
        """Seconds without a client, None while one is attached, or may not be because the session stands still for a move."""
        return None if self._stream is not None or self._is_stopped else time.monotonic() - self.last_frame_at

    @property
    def ordinal(self) -> int:
        """Of the last frame with results or failures."""
        return self._ordinal

    def begin_again(self) -> None:
        """A restored session that goes on under a new lease: its client comes as to a new one."""
        self._nonce, self.attached_before = b"", False

    # -- frames of the client -------------------------------------------------------------------------------------------

    def receive(self, stream: Stream, data: bytes) -> bool:
        """Handle one serialised ClientFrame after the hello; returns False when the client said goodbye.

        Raises:
            Refused: the frame breaks the protocol. The stream ends; the session stays, unless `over` is set.
        """
        frame = parse_frame(data, self.limits)
        if frame.HasField("bundle"):
            frames = frame.bundle.frames
            last = len(frames) - 1
            return all(
                self._receive(stream, one, parse_frame(one, self.limits), k < last) for k, one in enumerate(frames)
            )
        return self._receive(stream, data, frame)

    def _receive(self, stream: Stream, data: bytes, frame: Any, is_more: bool = False) -> bool:
        """`is_more`: other frames of the same message follow."""
        kind = frame.WhichOneof("kind")
        self.last_frame_at = time.monotonic()
        if kind == "batch":
            self._batch(stream, frame.batch, fingerprint(data), is_more)
        elif kind == "credit":
            self._credit(frame.credit.received)
        elif kind == "probe":
            stream.send(
                session_pb2.ServerFrame(executed_seq=self._answered()[0], probe=frame.probe).SerializeToString()
            )
        elif kind == "checkpoint":
            if self.keeper is None:
                raise Refused("INVALID_ARGUMENT", "This server keeps no checkpoints.")
            self.keeper.wish(frame.checkpoint)
        elif kind == "goodbye":
            with self._lock:
                if self._stream is stream:
                    self._stream = None  # its reader closes it, and well: the session's end is what it wished
            self.end(
                f"the client said goodbye: {frame.goodbye.reason[:200]}"
                if frame.goodbye.reason
                else "the client said goodbye"
            )
            return False
        else:
            sentences = {"hello": "A hello after the first frame.", "bundle": "A bundle within a bundle."}
            raise Refused("INVALID_ARGUMENT", sentences.get(kind, "A ClientFrame with no kind set."))
        return True

    def _credit(self, received: int) -> None:
        if received <= self._received:
            return
        with self._lock:
            if received > self._ordinal:
                raise Refused(
                    "INVALID_ARGUMENT", f"The client says it received frame {received}; only {self._ordinal} were sent."
                )
            self._forget(received)

    def _forget(self, received: int) -> None:
        """Drop kept frames up to `received`. Under the lock."""
        self._received = max(self._received, received)
        while self._kept and self._kept[0][0] <= received:
            _, frame, executed = self._kept.popleft()
            self._kept_bytes -= len(frame)
            self._seen.told(executed)

    def _batch(self, stream: Stream, batch: Any, digest: bytes, is_more: bool) -> None:
        self._credit(batch.received)
        joined = None if is_more else self.together.look(stream, batch, self._ordinal)
        if not self._go.is_set():
            self._go.wait()
        with self._executing:
            if self.over:
                raise Refused("NOT_FOUND", f"The session is over: {self.over}")
            if self.moved is not None:
                raise self.elsewhere()
            if stream is not self._stream:
                raise Refused("ABORTED", "A newer stream of the same session took over.")
            executor = self.executor
            if batch.seq <= executor.executed_seq:
                self._duplicate(batch, digest)
                told = False
            else:
                self._check_place(batch)
                told = self._run(batch, digest, joined)
                if executor.executed_seq > batch.seq:
                    stream.skip()  # type: ignore[attr-defined]  # what joined it has been dealt with
            if not told:
                acknowledgement = b"\x10" + varint(executor.executed_seq)
                # A stream of grpcio's core may hold it back for a moment.
                hold = getattr(stream, "acknowledge", None)
                if hold is None:
                    stream.send(acknowledgement)
                else:
                    hold(acknowledgement, is_more)
            if executor.accounting.kernel_s > self._kernel_quota_s:
                self.out_of_quota()

    def _duplicate(self, batch: Any, digest: bytes) -> None:
        """A batch that was executed before: it must be the same one."""
        known = self._seen.get(batch.seq)
        if known is None:
            raise _out_of_place(
                f"Batch {batch.seq} was executed too long ago to compare; the last is {self.executor.executed_seq}."
            )
        if known != digest:
            raise _out_of_place(
                f"Batch {batch.seq} was executed with other contents. A client resends batches unchanged."
            )

    def _check_place(self, batch: Any) -> None:
        executor = self.executor
        if batch.seq != executor.executed_seq + 1:
            raise _out_of_place(
                f"Batch {batch.seq} came after batch {executor.executed_seq}: sequence numbers have a gap."
            )
        if batch.position != executor.executed_commands:
            raise _out_of_place(
                f"Batch {batch.seq} begins at command {batch.position}, {executor.executed_commands} were executed."
            )
        if self._kept_bytes > KEPT_FRAME_BYTES:
            sentence = (
                f"The client has not said that it received {len(self._kept)} frames. Send Batch.received or Credit."
            )
            raise Refused("RESOURCE_EXHAUSTED", sentence)

    def _run(self, batch: Any, digest: bytes, joined: Joined | None = None) -> bool:
        """Execute, with the batch that joins this one; returns whether a frame with results or failures has said so already."""
        with self._lock:  # whoever attaches sees either
            self._before = self.executor.executed_seq, self.executor.executed_commands
        try:
            outcome = self.executor.run(batch if joined is None else joined.batch)
        except BrokenOff as error:
            self.end(f"a batch broke the protocol: {error}")
            raise Refused(
                "INVALID_ARGUMENT", f"{error} The session is over, because part of the batch may have been executed."
            ) from None
        except ProtocolError as error:
            self._before = None
            if joined is not None:
                return self._run(batch, digest)  # so that only the one that cannot run is refused, in its turn
            raise Refused("INVALID_ARGUMENT", str(error)) from None
        self._seen.add(batch.seq, digest)
        if joined is not None:
            self._seen.add(batch.seq + 1, joined.digest)
            self._credit(joined.batch.received)
        if outcome.results or outcome.failures:
            self._answer(outcome)
        self._before = None
        if self.executor.fault:
            self.end(self.executor.fault)
            raise Refused("NOT_FOUND", f"The session is over: {self.executor.fault}")
        return bool(outcome.results or outcome.failures)

    def _answer(self, outcome: Outcome) -> None:
        """Send results and failures, in frames that the client can take, and keep them."""
        room = max(self._client_limits.frame_bytes // 2, 64 << 10)
        if len(outcome.results) == 1 and not outcome.failures:
            self._send_kept(outcome.results, [], 0)
            return
        results: list[bytes] = []
        failures: list[bytes] = []
        size = 0
        told = [failure.SerializeToString() for failure in outcome.failures]
        for target, items in ((failures, told), (results, outcome.results)):
            for item in items:
                if size and size + len(item) > room:
                    self._send_kept(results, failures, 1)
                    results.clear()
                    failures.clear()
                    size = 0
                target.append(item)
                size += len(item) + 8
        self._send_kept(results, failures, 0)

    def _answered(self) -> tuple[int, int]:
        """(last batch, commands) executed, as another thread may tell the client: without a batch whose answers are not kept yet."""
        return self._before or (self.executor.executed_seq, self.executor.executed_commands)

    def _send_kept(self, results: list[bytes], failures: list[bytes], behind: int) -> None:
        """`behind` is 1 where more of the last batch follows: a client that has heard of a batch's execution has all that it answered."""
        with self._lock:
            self._ordinal += 1
            executed = self.executor.executed_seq - behind
            frame = server_frame(self._ordinal, executed, results, failures)
            self._kept.append((self._ordinal, frame, executed))
            self._kept_bytes += len(frame)
            if not behind:
                self._before = None
            stream = self._stream
        if stream is not None:
            stream.send(frame)

    # -- as it was in another process -----------------------------------------------------------------------------------

    def write_state(self, link: Any) -> None:
        """What the client is promised, into a `DocumentLink`. With nothing executing."""
        with self._lock:
            link.epoch, link.nonce, link.attached_before = self.epoch, self._nonce, self.attached_before
            link.client_limits.CopyFrom(self._client_limits.to_wire())
            link.ordinal, link.received = self._ordinal, self._received
            link.kept.extend(frame for _, frame, _ in self._kept)
            link.seen_first = self._seen.first
            link.seen = self._seen.joined()

    def read_state(self, link: Any) -> None:
        """The reverse, of a session that nobody has attached to. Raises ValueError when it cannot be so."""
        executed, seen = self.executor.executed_seq, link.seen  # each look at a field of bytes copies all of it
        if len(link.nonce) not in (0, NONCE_BYTES) or len(seen) % HASH_BYTES:
            raise ValueError("a nonce or hash of another length")
        count = len(seen) // HASH_BYTES
        if count > KEPT_HASHES or (count and link.seen_first + count - 1 != executed):
            raise ValueError("the hashes of executed batches do not end at the last one")
        if not link.received <= link.ordinal - len(link.kept) or link.ordinal >= 1 << 63:
            raise ValueError("more frames are kept than were sent")
        with self._lock:
            self._nonce, self.attached_before = link.nonce, link.attached_before
            self._client_limits = Limits.from_wire(link.client_limits)
            self._ordinal, self._received = link.ordinal, link.received
            first = link.ordinal - len(link.kept) + 1
            self._kept = deque((first + k, frame, 0) for k, frame in enumerate(link.kept))
            self._kept_bytes = sum(map(len, link.kept))
            self._seen.restore(link.seen_first, seen)

    # -- the end --------------------------------------------------------------------------------------------------------

    def tell(self, frame: Any) -> None:
        """Send a `cupool.v1.ServerFrame` to the client, if there is one."""
        stream = self._stream
        if stream is not None:
            stream.send(frame.SerializeToString())

    def going_away(self, reason: str, grace_ms: int) -> None:
        """Tell the client that this server is about to stop serving the session."""
        stream = self._stream
        if stream is not None:
            frame = session_pb2.ServerFrame(executed_seq=self._answered()[0],
                                            going_away=session_pb2.GoingAway(reason=reason, grace_ms=grace_ms))  # fmt: skip
            stream.send(frame.SerializeToString())

    def out_of_quota(self) -> None:
        """The session has executed for as long as it may."""
        reason = f"it has executed for {self._kernel_quota_s:g} s, all that its tenant's quota of kernel seconds allows"
        self.end(reason, farewell=True)

    def end(self, reason: str, farewell: bool = False) -> None:
        """The session is over, for good. Frees what it holds once the running batch has stopped.

        Args:
            farewell: tell the client, which did not ask for it.
        """
        with self._lock:
            if self.over:
                return
            self.over = reason
            self._calm.notify_all()
        log.info("event=session-ended session=%s reason=%r", self.assignment.session, reason)
        if farewell:
            # A client that does not read would hold whoever tells it.
            telling = threading.Thread(target=self.going_away, args=(reason, 0), name="cupool-farewell", daemon=True)
            telling.start()
            telling.join(FAREWELL_S)
        self.executor.transfers.close()
        self._on_end(reason)

    def close(self) -> None:
        """Free everything; after `end`, when no batch runs any more or the process is about to exit anyway."""
        stream = self._stream
        if stream is not None:
            stream.close("NOT_FOUND", f"The session is over: {self.over}")
        if self._executing.acquire(timeout=1.0):
            try:
                self.executor.close()
            finally:
                self._executing.release()


def _out_of_place(sentence: str) -> Refused:
    return Refused("FAILED_PRECONDITION", sentence)
