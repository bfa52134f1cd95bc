"""Calls on grpcio's core (`grpc._cython.cygrpc`), read and answered by the thread that executes, or moves bytes: docs/decisions/017.

grpcio's public API has one thread that takes every event of a server and wakes the handler's for each message that came and for each that
was sent. Here a call has a completion queue of its own, and its handler asks that queue itself: a wait passes no thread of ours.

Boundary: the faces of `streams.CallbackStream`, of the iterator of requests and of the context, as far as `service.py` uses them. All
that is private of grpcio's server is used here; `usable` says whether this grpcio has it as known, and `service.py` answers through the
public API where it does not. Every other method of the server stays grpcio's own.

Note [Who asks]
    Events are taken one at a time, by whoever holds `_turn`: the handler while it wants a frame; a thread that sends and must wait until
    the core takes the next frame; the server's clock (`look`) while the handler executes for long, so that a client's going is noticed.
    The core takes one message at a time: `_is_sending` from handing one over until its event. Whoever takes that event hands over the next.

Note [Held acknowledgements]
    The client's reader is woken by each frame, and competes with the thread that sends. An acknowledgement stands for all before it, so
    one may be held while the next frame is there already: until none is, another frame is sent, the clock looks, or ACK_EVERY_S has
    passed since the last one, so that a client is told of batches that take longer one by one. Within a message of several frames it is
    ACK_IN_MESSAGE_S: a client that sends such has enough under way.

Note [Owed]
    A queue that is dropped while the core owes it an event waits for that event with the interpreter held. So what was handed over and what
    has come is counted, and a queue is dropped when nothing is owed; else it is kept for ever, which is a few kilobytes.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import grpc

log = logging.getLogger(__name__)

#: What this module uses of `grpc._cython.cygrpc`, and of its classes.
_NEEDED = (
    "CompletionQueue", "Server", "ReceiveCloseOnServerOperation", "ReceiveMessageOperation", "SendInitialMetadataOperation",
    "SendMessageOperation", "SendStatusFromServerOperation", "StatusCode",
)  # fmt: skip
_SERVER = ("register_method", "request_registered_call")
_PLAIN = 0  # no flags
_CLOSE, _MESSAGE, _SENT, _STATUS = "close", "message", "sent", "status"
#: See Note [Held acknowledgements].
ACK_EVERY_S = 3e-4
ACK_IN_MESSAGE_S = 2e-3
#: How long a stream that is to be closed may still be busy sending, before its call is cancelled.
_CLOSE_WAIT_S = 0.5
#: How long a thread that wants to send leaves the queue to another one before it looks again.
_YIELD_S = 0.01
#: How long the core may take to tell of the end of a call whose status it has, and of one that is cancelled.
_DRAIN_S = 2.0
#: Queues that are owed an event: see Note [Owed].
_kept: list[Any] = []


def usable(server: Any) -> Any:
    """grpcio's core module, or None when it, or this `grpc.Server`, has not all that is used here."""
    core = getattr(getattr(grpc, "_cython", None), "cygrpc", None)
    inner = getattr(getattr(server, "_state", None), "server", None)
    if (
        core is None
        or not all(hasattr(core, name) for name in _NEEDED)
        or not hasattr(server._state, "completion_queue")
    ):
        return None
    return core if isinstance(inner, core.Server) and all(hasattr(inner, name) for name in _SERVER) else None


class Door:
    """Takes the calls of one method of a `grpc.Server` before grpcio's own handlers see them.

    Make it before the server starts, `open` it after.
    """

    def __init__(
        self,
        core: Any,
        server: Any,
        method: str,
        pool: Executor,
        serve: Callable[[CoreCall], None],
        reads_ahead: bool = False,
    ) -> None:
        """
        Args:
            pool: runs `serve`, one call in each thread.
            reads_ahead: the core puts the next frame together while one is dealt with.
        """
        self._reads_ahead = reads_ahead
        self._core = core
        self._state = server._state
        self._method = method
        self._pool = pool
        self._serve = serve
        self._lock = threading.Lock()
        self._calls: set[CoreCall] = set()
        self._state.server.register_method(method)

    def open(self) -> None:
        """Have the next call come."""
        queue = self._core.CompletionQueue()
        taken = self._state.completion_queue  # the one that grpcio's thread takes: it calls whatever the event's tag is
        self._state.server.request_registered_call(
            queue, taken, self._method, lambda event: self._arrived(event, queue)
        )

    def look(self) -> None:
        """See `CoreCall.look`."""
        with self._lock:
            calls = list(self._calls)
        for call in calls:
            call.look()

    def _arrived(self, event: Any, queue: Any) -> tuple[None, tuple[()]]:
        """In grpcio's thread: a call has come, or the server ends."""
        if not event.success:
            queue.shutdown()
            return None, ()
        try:
            self.open()
        except ValueError:
            log.debug("event=server-is-stopping")
        with contextlib.suppress(RuntimeError):  # the pool of threads is closed: the process ends
            self._pool.submit(self._run, event, queue)
        return None, ()

    def _run(self, event: Any, queue: Any) -> None:
        call = CoreCall(self._core, event, queue, self._reads_ahead)
        with self._lock:
            self._calls.add(call)
        try:
            self._serve(call)
        except Exception:
            log.exception("event=stream-failed")
        finally:
            with self._lock:
                self._calls.discard(call)
            call.drop()


class CoreCall:
    """One call: its frames are what iterating gives, `send` and `close` answer. See Note [Who asks]."""

    def __init__(self, core: Any, event: Any, queue: Any, reads_ahead: bool = False) -> None:
        self._core = core
        self._reads_ahead = reads_ahead
        self._call = event.call
        self._queue = queue
        self._metadata = event.invocation_metadata
        #: Held while a frame is sent. An attaching stream holds it until its hello is out.
        self.order = threading.RLock()
        self._turn = threading.Lock()
        self._books = threading.Lock()
        self._owed = 0
        self._frames: deque[bytes] = deque()
        self._is_reading = False
        #: No more frames will come: the client has said so, or is gone.
        self._has_ended = False
        self._out: deque[bytes] = deque()
        self._held: bytes | None = None
        self._acknowledged_s = 0.0
        self._is_sending = False
        self._has_begun = False
        self._closed = False
        #: The call is over: the client is gone, or its status is sent.
        self._is_over = False
        self._is_cancelled = False
        self._callbacks: list[Callable[[], None]] = []
        self._give(_CLOSE, core.ReceiveCloseOnServerOperation(_PLAIN))
        self._receive()

    # -- what a context is asked ------------------------------------------------------------------------------------------

    def invocation_metadata(self) -> Any:
        """As grpcio's context."""
        return self._metadata

    def is_active(self) -> bool:
        """Whether there is a client to answer."""
        return not self._is_over

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Call it once when the call is over, from whatever thread notices; False, and it is not called, when it is so already."""
        with self._books:
            if self._is_over:
                return False
            self._callbacks.append(callback)
            return True

    def cancel(self) -> None:
        """End the call at once."""
        self._call.cancel()

    # -- in ---------------------------------------------------------------------------------------------------------------

    def __iter__(self) -> CoreCall:
        return self

    def __next__(self) -> bytes:
        """The next frame. Raises grpc.RpcError when the client is gone, StopIteration when it has half-closed, or the call is closed."""
        frames = self._frames
        while not frames:
            if self._is_cancelled:
                raise grpc.RpcError
            if self._has_ended or self._is_over:
                raise StopIteration
            self._receive()
            with self._turn:
                is_idle = not frames and not self._is_over and not self._take(None if self._held is None else 0.0)
            if is_idle:
                self._send_held()
        if self._out:
            self._send_out()  # whoever wanted to could not, because this thread had the turn
        return frames.popleft()

    def peek(self, wait_s: float) -> bytes | None:
        """The next frame, which stays the next; None where none comes within that time."""
        frames, until = self._frames, time.monotonic() + wait_s
        while not frames:
            if self._has_ended or self._is_over:
                return None
            self._receive()
            # The core waits in whole milliseconds, so it is asked again and again.
            if not self._turn.acquire(blocking=False):
                return None  # somebody sends, and waits for it
            try:
                if not frames and not self._is_over and not self._take(0.0) and time.monotonic() > until:
                    return None
            finally:
                self._turn.release()
        return frames[0]

    def skip(self) -> None:
        """The frame that `peek` gave is not given again."""
        self._frames.popleft()

    def look(self) -> None:
        """Take what has come while the handler is busy. Does not wait."""
        if self._held is not None and self.order.acquire(blocking=False):
            try:
                self._send_held()
            finally:
                self.order.release()
        for _ in range(8):
            if self._is_over or not self._turn.acquire(blocking=False):
                return
            try:
                if not self._take(0.0):
                    return
            finally:
                self._turn.release()

    def _receive(self) -> None:
        """Have the core give the next frame: not before it is wanted, so that a client that sends faster waits in the network."""
        if not self._is_reading:
            self._is_reading = True
            self._give(_MESSAGE, self._core.ReceiveMessageOperation(_PLAIN))

    def _take(self, until: float | None) -> bool:
        """Deal with the next event; False: there was none until `until` (monotonic; None: for ever; 0: at once). With the turn."""
        # The core takes seconds since 1970, and they may be set while we wait.
        event = self._queue.poll(
            None if until is None else time.time() + max(until - time.monotonic(), 0.0) if until else 0.0
        )
        tag = event.tag
        if tag is None:
            return False
        with self._books:
            self._owed -= 1
        if tag is _MESSAGE:
            data = event.batch_operations[0].message()
            self._is_reading = False
            if data is None:
                self._has_ended = True
            else:
                self._frames.append(data)
                if self._reads_ahead and not self._is_over:
                    self._receive()
        elif tag is _SENT:
            self._is_sending = False
            self._push()
        elif tag is _CLOSE:
            self._is_cancelled = bool(event.batch_operations[0].cancelled())
            self._end()
        return True

    def _end(self) -> None:
        with self._books:
            self._is_over = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    # -- out --------------------------------------------------------------------------------------------------------------

    def send(self, frame: bytes) -> bool:
        """Send a frame; returns when the core has it. False: the call is over."""
        with self.order:
            if self._closed or self._is_over:
                return False
            held, self._held = self._held, None
            if held is not None and held is not frame:
                self._out.append(held)
            self._out.append(frame)
            self._push()
            if self._out:
                self._send_out()
            return not self._is_over

    def acknowledge(self, frame: bytes, is_more: bool) -> None:
        """As `send`, of a frame that the next one of its kind says too: see Note [Held acknowledgements]."""
        now = time.monotonic()
        with self.order:
            if now - self._acknowledged_s < (ACK_IN_MESSAGE_S if is_more else ACK_EVERY_S):
                self._held = frame
                return
            self._acknowledged_s = now
            self._held = None
            self.send(frame)

    def _send_held(self) -> None:
        with self.order:
            if self._held is not None:
                self._acknowledged_s = time.monotonic()
                self.send(self._held)

    def _push(self) -> None:
        with self._books:
            if self._is_sending or not self._out or self._is_over:
                return
            self._is_sending = True
            frame = self._out.popleft()
            has_begun, self._has_begun = self._has_begun, True
        self._give(_SENT, *self._beginning(has_begun), self._core.SendMessageOperation(frame, _PLAIN))

    def _beginning(self, has_begun: bool) -> tuple[Any, ...]:
        return () if has_begun else (self._core.SendInitialMetadataOperation(None, _PLAIN),)

    def _send_out(self, until: float | None = None) -> bool:
        """Wait until the core has all frames; False: not by `until` (monotonic). One that the client does not take is waited
        for, which is what keeps this side's memory small."""
        return self._wait_for(lambda: not self._out, until)

    def wait_sent(self) -> None:
        """Return when the core is done with all frames, or the call is over."""
        self._wait_for(lambda: not self._out and not self._is_sending, None)

    def _wait_for(self, is_done: Callable[[], bool], until: float | None) -> bool:
        while not is_done() and not self._is_over:
            if until is not None and time.monotonic() > until:
                return False
            if self._turn.acquire(timeout=_YIELD_S):
                try:
                    if not is_done() and not self._is_over:
                        self._take(until)
                finally:
                    self._turn.release()
        return True

    def close(self, status: str, sentence: str, trailing: tuple[tuple[str, bytes], ...] = ()) -> None:
        """End the call with a gRPC status, and trailing metadata."""
        if not self.order.acquire(timeout=_CLOSE_WAIT_S):
            # The other end takes nothing: what is being sent will never be, and the status would not arrive either.
            self._closed = True
            self.cancel()
            return
        try:
            if self._closed:
                return
            self._send_held()
            self._closed = True
            if not self._wait_for(lambda: not self._out and not self._is_sending, time.monotonic() + _CLOSE_WAIT_S):
                self.cancel()
                return
            if self._is_over:
                return
            with self._books:
                has_begun, self._has_begun = self._has_begun, True
            code = getattr(self._core.StatusCode, status.lower())
            end = self._core.SendStatusFromServerOperation(trailing or None, code, sentence.encode(), _PLAIN)
            self._give(_STATUS, *self._beginning(has_begun), end)
        finally:
            self.order.release()

    # -- the end ----------------------------------------------------------------------------------------------------------

    def _give(self, tag: str, *operations: Any) -> None:
        """Hand operations to the core: one event is owed for them."""
        with self._books:
            refused = self._call.start_server_batch(operations, tag)
            if refused:
                raise RuntimeError(f"grpcio's core refused to {tag}: {refused}")
            self._owed += 1

    def drop(self) -> None:
        """The handler has returned: take what is still owed, and let go. See Note [Owed]."""
        for _ in range(2):
            until = time.monotonic() + _DRAIN_S
            while self._owed and time.monotonic() < until:
                with self._turn:
                    if self._owed:
                        self._take(until)
            if not self._owed:
                self._queue.shutdown()
                return
            self.cancel()
        _kept.append(self._queue)
        log.warning("event=call-not-over owed=%d", self._owed)
