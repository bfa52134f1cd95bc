"""The link: keeps one Attach stream up under a session, and resumes it on a new connection when it breaks.

Boundary: connects, and does what `endings.py` decides of an end. Frames are the outbox's and inbox's, connections the transport's.

Cases when a stream ends: see `endings.py`.

Note [Early]: where the pool says that the server has our op table, the first stream's batches follow our hello without waiting for the
server's. Its hello then resends nothing, and on whatever becomes of that stream the window is resent as ever. What the hello tells
(`wait_attached`) is waited for where it is looked at.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from cupool.contract import messages
from cupool.contract.errors import (
    CupoolError,
    LeaseRefused,
    ProtocolError,
    SessionCloned,
    SessionLost,
    VersionMismatch,
)
from cupool.contract.limits import DEFAULT_LIMITS, OUR_LIMITS, Limits
from cupool.contract.versions import SUPPORTED

from . import endings, forms, trace
from .checkpoints import Checkpoints
from .config import config
from .inbox import Inbox
from .lease import Lease, Place
from .link_thread import LinkThread
from .outbox import GATE_WORDS, Outbox
from .pending import GATE, LOCK
from .redo import Base
from .turns import Disconnected

if TYPE_CHECKING:
    from .transport import Stream, Transport

SILENCE_S = 1.0
PROBE_S = 1.0
#: How long a server whose connection answers, and which itself does not, is taken to have its hands full: a library that it loads, or a
#: compiler that it starts, may hold its interpreter for seconds.
BUSY_S = 20.0
HELLO_S = 5.0
MAX_PATIENCE = 16.0
#: In a replay the server is told so often what was received, bytes: batches that come again do not say it.
CREDIT_BYTES = 8 << 20
_NEVER = 1 << 62


def _differs(before: Any, now: Any) -> bool:
    """Whether another server may give other numbers than the first one did."""
    return before is not None and (before.device.fingerprint, before.op_table_digest) != (
        now.device.fingerprint,
        now.op_table_digest,
    )


class Link:
    """One session's connection.

    Attributes:
        server_hello: the last ServerHello.
        greeting: the session that it was said to, and it: a session that goes on after its server's loss is another one.
        reconnects: how often a broken stream was replaced.
        recoveries: how often a lost server was.
        moves: how often the session moved.
    """

    def __init__(
        self,
        transport: Transport,
        outbox: Outbox,
        reconnect_s: float,
        fate: Callable[[Lease], str | Place | None],
        digest: bytes,
        on_hello: Callable[[Any], None],
        on_lost: Callable[[BaseException], None],
        client: str,
        another: Callable[[Lease, CupoolError, Base | None], Lease] | None = None,
        on_another: Callable[[], None] = lambda: None,
        fetch: Callable[[int, int], Any] | None = None,
        restore: Callable[[Lease, Any], Disconnected | None] | None = None,
    ) -> None:
        """
        Args:
            another: gives a lease on another server in place of a lost one, with what that one's checkpoint holds; None: a lost server is a
                lost session.
            on_another: called when that server is about to be attached to: what went up beside the stream must go up again.
            fetch: brings the bytes of a transfer, for checkpoints that are kept here.
            restore: begins a lease's session with such a checkpoint; returns why it could not.
        """
        #: Set by `start`: what is here is made while the pool still looks for one.
        self.lease: Lease
        self.inbox = Inbox(outbox.acknowledge, self._control, outbox.redo)
        self.inbox.diverged = self._on_diverged
        self.inbox.help = self._help
        self.server_hello: Any = None
        self.greeting: tuple[str, Any] = ("", None)
        self.reconnects = 0
        self.recoveries = 0
        self.moves = 0
        #: What the attached server turned out to be: it cannot be taken, and not mended by another connection to it.
        self._verdict: CupoolError | None = None
        self._has_moved = False
        self._another = another
        self._on_another = on_another
        self._restore = restore
        self._is_restoring = False
        #: Clear while the server of this lease has yet to be given the checkpoint that the session begins with there.
        self._restored = threading.Event()
        self._restored.set()
        self._is_replaying = False
        self._replays = endings.Replays()
        #: of `inbox.bytes`: when the server is told next what was received
        self._credit_at = _NEVER
        #: the server of this lease has answered a hello
        self._is_served = False
        self._transport = transport
        self._outbox = outbox
        self._checkpoints = Checkpoints(self, outbox, fetch)
        self.inbox.checkpointed = lambda told: self._checkpoints.answered(told, time.monotonic())
        self._reconnect_s = reconnect_s
        self._fate = fate
        self._digest = digest
        self._has_loops = config().loops
        self._on_hello = on_hello
        self._on_lost = on_lost
        self._client = client
        self._nonces = (b"", os.urandom(16))
        self._stream: Stream | None = None
        self._started_s = 0.0
        self._is_attached = False
        #: See Note [Early]: until the hello, or the stream's end.
        self._is_early = False
        #: The stream was ended because what was sent early is more than the server takes.
        self._is_refitting = False
        self._closing = threading.Event()
        self._attached = threading.Event()
        self._resumed = threading.Event()
        self._resumed.set()
        self._paused = threading.Event()
        #: Bulk transfers under way: a reason to look whether the server is there.
        self.transfers = 0
        #: Called when a connection is given up, before the next one is made.
        self.on_broken: Callable[[], None] = lambda: None
        self._probe_s: float | None = None
        self._pinged_s = 0.0
        self._patience = 1.0
        self._damaged = 0
        self._round = 0
        #: What `start` has opened for the link's thread, and that it has done with it.
        self._first: Stream | None = None
        self._opened = threading.Event()
        self._thread = LinkThread(self._run, self._closing.is_set, self._end_with)

    def start(
        self, lease: Lease, timeout_s: float, meanwhile: Callable[[], None] = lambda: None, is_early: bool = False
    ) -> None:
        """Connect to the lease's server; returns when the server has said hello, or early. Raises what it was refused with.

        The first stream is opened and read up to the hello by the calling thread, which else would be woken by the link's, and that by
        it. Where that stream cannot be had, or breaks, the link's thread goes on as it would with any other.

        Args:
            meanwhile: called while the hello is on its way.
            is_early: see Note [Early].
        """
        self.lease = lease
        is_early = is_early and lease.op_table_digest == self._digest
        try:
            stream = self._first = self._greet()
            if is_early:
                self._is_early = True
                self._outbox.attach(stream.put, stream.push)
                # What comes first goes with the first wait, the hello, or the ticker.
                GATE.words = GATE_WORDS
            if is_early:
                self._thread.start_soon(meanwhile)
            else:
                self._thread.start()
                meanwhile()
                stream.help(self._attached.is_set)
        finally:
            # Something may be asked for at once: the link's thread leaves the reading to whoever asks.
            self.inbox.served = True
            self._opened.set()
        if not is_early:
            self.wait_attached(timeout_s + 1)

    def wait_started(self) -> None:
        """Return when no thread of the session is half started: one can be joined then, or will find the session closed."""
        self._thread.wait_started()

    def wait_attached(self, timeout_s: float) -> None:
        """Return when a server has said hello. Raises what the session was lost of."""
        if self._attached.is_set() and self.inbox.lost is None:
            return
        stream = self._stream
        if self._is_early and stream is not None:
            stream.help(self._attached.is_set)
        if not self._attached.wait(timeout_s):
            raise SessionLost(
                f"The server at {self.lease.endpoint} did not answer within {timeout_s:g} s.", "Check the network."
            )
        if self.inbox.lost is not None:
            raise self.inbox.lost

    # -- the link's thread --------------------------------------------------------------------------------------------
    def _run(self) -> None:
        broken_s = time.monotonic()
        attempt = 0
        # The first stream is read to its end also where the session has ended, or is paused, before this thread was there.
        while self._first is not None or not self._closing.is_set():
            if self._first is None:
                self._is_attached = False
                self._wait_resumed()
            # else: the first stream's hello may have been read before this thread was there
            try:
                end = self._serve()
            except Exception as bug:
                self._fail(bug)
                raise
            if self._closing.is_set():
                return
            now = time.monotonic()
            if self._is_attached:
                broken_s, attempt = now, 0
            try:
                if not (self._has_moved or self._is_refitting):
                    self._judge(end, now - broken_s, attempt)
            except CupoolError as error:
                if not self._recover(error):
                    return
                broken_s, attempt = time.monotonic(), 0
                continue
            except Exception as bug:
                self._fail(bug)
                raise
            if self._has_moved or self._is_refitting:
                self._has_moved = self._is_refitting = False
                broken_s, attempt = time.monotonic(), 0
                self.on_broken()
                continue
            self.reconnects += self.server_hello is not None and self._resumed.is_set()
            self.on_broken()
            self._closing.wait(min(0.01 * 2**attempt, 1.0) if attempt else 0.0)
            attempt += 1

    def _recover(self, error: CupoolError) -> bool:
        """Begin again on another server; False when the session is lost of `error`, or of what came between."""
        try:
            self._begin_again(error)
        except CupoolError as final:
            self.lose(final)
            return False
        except Exception as bug:
            self._fail(bug)
            raise
        return True

    def _fail(self, bug: Exception) -> None:
        """The link's thread ends: without it every wait would be for ever."""
        self.lose(SessionLost(f"The link failed: {bug!r}.", "This is a bug of cupool: please report it."))

    def _begin_again(self, error: CupoolError) -> None:
        """Raises what the session is lost of."""
        redo, reached = self._outbox.redo, self.inbox.executed_seq
        if self._another is None or not getattr(error, "is_server_lost", False) or self._closing.is_set():
            raise error
        if not redo.is_whole:
            if isinstance(error, SessionCloned):
                raise error
            raise endings.not_again(error, redo.why)
        self._replays.may_begin(error, reached, self._reconnect_s)
        old, base = self.lease, redo.base
        try:
            lease = self._another(old, error, base)
        except CupoolError as refused:
            raise SessionLost(f"{error.what} And there is no other server: {refused.what}", refused.cure) from refused
        self._outbox.detach()
        with LOCK:
            self._round += 1
            if base is None:
                self.inbox.restart(self._round)
            else:
                self.inbox.restart(self._round, base.ordinal, base.batch.seq)
            self._outbox.restart()
            if not redo.is_whole:
                raise endings.not_again(error, redo.why)
            self._is_restoring = base is not None and base.data is not None
            if self._is_restoring:
                self._restored.clear()  # before the lease is there: see `bulk_lease`
            self.lease = lease
            self._nonces = (b"", os.urandom(16))
            self._is_replaying = True
            self._credit_at = self.inbox.bytes + CREDIT_BYTES
            self._is_served = False
            self.recoveries += 1
            self.reconnects += 1
        trace.say("recovering", session=lease.session, was=old.session, reason=error)
        self._on_another()

    def bulk_lease(self) -> Lease:
        """The lease whose server may get calls of bulk transfers.

        Waits while that server has yet to be given a checkpoint: a Put or Get that came there before would begin an empty session.
        """
        lease = self.lease
        while not self._restored.wait(1.0):
            if self._closing.is_set() or self.inbox.lost is not None:
                break
        return lease

    def _on_diverged(self, number: int) -> None:
        """A replay contradicts what the program has seen."""
        self._end_with(
            SessionLost(
                f"The server was lost, and on another one the session did not give what it had given before (result {number}).",
                "Run the program again; durability='none' makes a lost server an error at once.",
            )
        )

    def _end_with(self, error: CupoolError) -> None:
        """Lose the session from within a frame: no other connection would help."""
        self._closing.set()
        self.lose(error)
        stream = self._stream
        if stream is not None:
            stream.cancel()

    def _wait_resumed(self) -> None:
        while not self._resumed.is_set():
            self._paused.set()
            self._resumed.wait()

    def _serve(self) -> Disconnected:
        """One stream, from attach to its end."""
        self._probe_s = None
        self._started_s = time.monotonic()
        base = self._outbox.redo.base
        if self._is_restoring and base is not None and self._restore is not None:
            end = self._restore(self.lease, base.data)
            if end is not None:
                return end
            self._is_restoring = False
        self._restored.set()
        is_first = self._first is not None
        stream, self._first = self._first or self._greet(), None
        try:
            self._opened.wait()
            if not self._resumed.is_set() or (self._closing.is_set() and not is_first):
                # Whoever paused, or ends the session, may have looked for a stream before there was this one, and waits for its end.
                stream.cancel()
            end = stream.read(self._may_park)
            if self._is_early and end.code == "RESOURCE_EXHAUSTED":
                # Without its hello. It may be over what was sent early; if not, it says so again.
                self._is_refitting = True
            return end
        finally:
            self._is_early = False
            self._outbox.detach()
            self._stream = None
            stream.close()

    def _greet(self) -> Stream:
        """A new stream, with our hello on its way."""
        self._round += 1
        on_frame = partial(self._on_frame, self._round)
        self._started_s = time.monotonic()
        stream = self._stream = self._transport.attach(
            self.lease.endpoint, self.lease.metadata, on_frame, self.lease.tls_name
        )
        try:
            hello = messages.ClientHello(
                versions=SUPPORTED,
                client=self._client,
                epoch=self.lease.epoch,
                # The same two until the server has answered: it may have had the hello whose answer was lost.
                nonce_previous=self._nonces[0],
                nonce_next=self._nonces[1],
                op_table_digest=self._digest,
                limits=OUR_LIMITS.to_wire(messages),
                received=self.inbox.received,
            )
            stream.put(messages.ClientFrame(hello=hello).SerializeToString())
            stream.push()
        except BaseException:
            self._stream = None
            stream.close()
            raise
        return stream

    def _may_park(self) -> bool:
        """Nothing is expected, and the last answer may be followed by another question of the same caller."""
        inbox = self.inbox
        return inbox.served and not self._is_waiting()

    def _is_waiting(self) -> bool:
        """Whether something is to come from the server."""
        return bool(self.inbox.is_awaited or self._outbox.window or self.inbox.is_owed)

    def _help(self, is_done: Callable[[], bool]) -> bool:
        """Read for a caller that waits. See Note [Who reads]."""
        stream = self._stream
        if stream is None or not (self._is_attached or self._is_early):
            return False
        try:
            return stream.help(is_done)
        finally:
            if self._is_waiting():
                stream.ring()

    def ring(self) -> None:
        """Something was sent that nobody waits for."""
        stream = self._stream
        if stream is not None:
            stream.ring()

    def _judge(self, end: Disconnected, broken_for_s: float, attempt: int) -> None:
        """Return when another connection should be tried; raise what the session is lost of otherwise."""
        verdict, self._verdict = self._verdict, None
        if verdict is not None:
            raise verdict
        self._damaged += end.code in endings.DAMAGED
        place = endings.judge(
            end,
            self.lease,
            self._fate,
            is_served=self._is_served,
            is_again=attempt > 0,
            damaged=self._damaged,
            broken_for_s=broken_for_s,
            reconnect_s=self._reconnect_s,
        )
        if place is not None:
            self._goes_to(place)

    def _goes_to(self, place: Place) -> bool:
        """Whether the session is at another place by the pool's word, or a server's: then the next connection is made there."""
        if place.epoch <= self.lease.epoch:
            return False  # never back to a lower epoch
        old = self.lease
        self.lease = Lease(
            old.session, place.token or old.token, place.endpoint, place.epoch, place.server, old.device, place.tls_name
        )
        self._outbox.redo.moved()
        self.moves += 1
        self._has_moved = True
        trace.say("session-moved", session=old.session, was=old.endpoint, now=place.endpoint, epoch=place.epoch)
        return True

    def lose(self, error: BaseException) -> None:
        """The session is over for this process: refuse and wake everybody."""
        trace.say("session-lost", session=self.lease.session, reason=error)
        self._outbox.fail(error)
        self.inbox.fail(error)
        self._on_lost(error)
        self._attached.set()

    # -- frames (the transport's receiving thread) ------------------------------------------------------------------------
    def _on_frame(self, round_: int, data: bytes) -> None:
        if round_ != self._round:
            return  # of a stream that was given up; the server sends it again on the new one
        self._probe_s = None
        if self._patience == 1.0 and not self._damaged:
            self.inbox.on_frame(data, round_)
        else:
            before = self.inbox.executed_seq, self.inbox.received
            self.inbox.on_frame(data, round_)
            if before != (self.inbox.executed_seq, self.inbox.received):
                self._patience = 1.0
                self._damaged = 0
        # An acknowledgement that finds commands pending sends them: when nothing is in flight, nobody else might.
        if not self._outbox.window:
            self._outbox.flush_nowait()
        elif self.inbox.bytes >= self._credit_at:
            self._credit()

    def _credit(self) -> None:
        """Tell the server what was received, as long as a replay goes on."""
        stream = self._stream
        if not self._outbox.redo.is_again:
            self._credit_at = _NEVER
        elif stream is not None:
            self._credit_at = self.inbox.bytes + CREDIT_BYTES
            credit = messages.Credit(received=self.inbox.received)
            self._send_now(stream, messages.ClientFrame(credit=credit).SerializeToString())

    def _control(self, frame: Any) -> None:
        if frame.HasField("hello"):
            self._on_server_hello(frame.hello)
        if frame.HasField("moved") and not frame.moved.prepare:
            self._on_moved(frame.moved)

    def _on_server_hello(self, hello: Any) -> None:
        stream = self._stream
        if stream is None or self._closing.is_set():
            return
        if hello.version not in SUPPORTED:
            # Another connection would say the same.
            sentence = f"The server chose protocol version {hello.version}; this client offered {list(SUPPORTED)}."
            self._end_with(VersionMismatch(sentence, "Use the same minor release of cupool on both sides."))
            return
        if self._is_early and hello.op_table_digest != self._digest:
            sentence = f"The server ({hello.server}) has another op table than its pool said."
            self._end_with(VersionMismatch(sentence, "Use the same release of cupool on both sides."))
            return
        if self._is_replaying and _differs(self.server_hello, hello):
            sentence = "The server was lost, and the pool's other one is of another kind or has other libraries: the numbers could differ."
            self._end_with(SessionLost(sentence, "Run the program again."))
            return
        self._is_replaying = False
        if hello.executed_seq > self._outbox.seq:
            raise ProtocolError(f"The server says it executed batch {hello.executed_seq} of {self._outbox.seq}.")
        if hello.executed_seq < self.inbox.executed_seq or hello.epoch not in (0, self.lease.epoch):
            behind = SessionLost(
                f"The server at {self.lease.endpoint} has executed {hello.executed_seq} batches at epoch {hello.epoch}, and "
                f"{self.inbox.executed_seq} were acknowledged at epoch {self.lease.epoch}: it is not the session's.",
                "Run the program again; its arrays are gone.",
            )
            behind.is_server_lost = True
            self._verdict = behind
            stream.cancel()
            return
        self._nonces = (self._nonces[1], os.urandom(16))
        limits = Limits.from_wire(hello.limits)
        with LOCK:  # what was cut by other limits is in the window now
            self._outbox.limits = limits
        forms.take_limit(limits.forms)
        stream.may_bundle = "bundles" in hello.features and limits.frame_bytes >= DEFAULT_LIMITS.frame_bytes
        self._outbox.may_loop = self._has_loops and "loops" in hello.features
        # First: whoever sees the second knows by this what of it is not here yet.
        self.inbox.due = hello.ordinal
        self.inbox.executed_seq = hello.executed_seq
        self._outbox.acknowledge(hello.executed_seq)
        if self._outbox.takes_less(limits) and not self._refit(stream):
            return
        if self.server_hello is None:
            self._on_hello(hello)
        self.greeting = self.lease.session, hello
        self.server_hello = hello
        misfit = self._checkpoints.attached(hello, stream.put)
        if misfit:
            cure = "Ask the pool's operator, or use durability='replay'."
            self._end_with(LeaseRefused(misfit, cure))
            return
        self._is_attached = self._is_served = True
        trace.say("session-attached", session=self.lease.session, server=hello.server, reconnects=self.reconnects)
        if self._is_early:
            self._is_early = False
        else:
            self._outbox.attach(stream.put, stream.push)
        self._attached.set()

    def _refit(self, stream: Stream) -> bool:
        """The server takes less than what is unacknowledged was cut for. False: not by this stream."""
        if self.server_hello is not None:
            sentence = f"The server at {self.lease.endpoint} takes less in a batch than the one before, for which batches were cut."
            self._end_with(SessionLost(sentence, "Start servers of one pool with the same limits."))
            return False
        if self._is_early:
            # They are on their way in this stream, which the server ends over them. In the next one they come in pieces.
            self._is_early = False
            self._is_refitting = True
            self._outbox.detach()
            stream.cancel()
            return False
        try:
            self._outbox.refit()
        except SessionLost as error:
            self._end_with(error)
            return False
        return True

    def _on_moved(self, moved: Any) -> None:
        if self._goes_to(Place(moved.endpoint, moved.epoch, moved.tls_name, token=moved.session_token)):
            self.renew()

    # -- from other threads -----------------------------------------------------------------------------------------------
    def look(self, now: float) -> None:
        """Called by the ticker: probe a silent link while something waits; replace one that does not answer."""
        stream = self._stream
        if stream is None:
            return
        if not self._is_attached:
            if now - self._started_s > HELLO_S * self._patience:
                self._patience = min(self._patience * 2, MAX_PATIENCE)
                stream.cancel()
            return
        self._checkpoints.look(now, partial(self._send_now, stream))
        if not (self._is_waiting() or self.transfers or self._outbox.redo.wish):
            return
        if self._probe_s is None:
            if now - max(self.inbox.last_frame_s, self._started_s) > SILENCE_S * self._patience:
                self._probe_s = self._pinged_s = now
                stream.put(messages.ClientFrame(probe=messages.Probe(id=1)).SerializeToString())
                stream.ping()
        elif now - self._pinged_s > PROBE_S * self._patience:
            if stream.heard_s > self._pinged_s and now - self._probe_s < BUSY_S:
                self._pinged_s = now
                stream.ping()
                return
            self._patience = min(self._patience * 2, MAX_PATIENCE)
            self.renew()

    @staticmethod
    def _send_now(stream: Stream, frame: bytes) -> None:
        stream.put(frame)
        stream.push()

    def pause(self, timeout_s: float) -> None:
        """Drop the connection, and make no other until `resume`. Returns when it is gone, or after `timeout_s`."""
        self._paused.clear()
        self._resumed.clear()
        self._thread.hurry.set()
        self.renew()
        if self.inbox.lost is None:
            self._paused.wait(timeout_s)

    def resume(self) -> None:
        """End a pause."""
        self._resumed.set()

    def renew(self) -> None:
        """Replace the connection by a new one."""
        stream = self._stream
        if stream is not None:
            stream.cancel()

    def close(self, reason: str, timeout_s: float) -> None:
        """Say goodbye and end the stream; the thread ends. From any thread but the link's."""
        self._closing.set()
        self._resumed.set()
        self._outbox.detach()
        stream = self._stream
        self._thread.hurry.set()
        if not self._thread.exists:  # `start` was interrupted
            if stream is not None:
                stream.cancel()
                stream.close()
            return
        if stream is not None:
            stream.put(messages.ClientFrame(goodbye=messages.Goodbye(reason=reason)).SerializeToString())
            stream.push()
            stream.finish()
        self._thread.join(timeout_s, self.renew)
