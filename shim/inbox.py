"""From server frames to whoever waits: replies, specs of unknown results, failures, acknowledgements.

Boundary: `on_frame` runs in the transport's receiving thread and never blocks; `wait` runs in the program's threads.
"""

from __future__ import annotations

import time
from _thread import allocate_lock
from collections.abc import Callable
from typing import Any

from cupool.contract.errors import ProtocolError
from cupool.v1 import session_pb2

from .deferred import Deferred

#: Unasked specs and errors kept; older ones are dropped and asked for when looked at.
MAX_UNASKED = 65_536


class Inbox:
    """The receiving half of one session.

    Attributes:
        received: highest ordinal received; what the server may forget.
        executed_seq: every batch up to this has been executed.
        last_frame_s: `time.monotonic()` of the last frame.
        bytes: received so far.
    """

    def __init__(self, acknowledge: Callable[[int], None], control: Callable[[Any], None]) -> None:
        self.deferred = Deferred()
        self.received = 0
        self.executed_seq = 0
        self.last_frame_s = time.monotonic()
        self.bytes = 0
        self.lost: BaseException | None = None
        self._acknowledge = acknowledge
        self._control = control
        # Two receiving threads meet here for a moment when a connection is replaced.
        self._lock = allocate_lock()
        self._results: dict[int, Any] = {}
        self._waiters: dict[int, Any] = {}
        self._abandoned: set[int] = set()
        self._unasked = 0
        #: Some unasked result was dropped: an absent one may have to be asked for.
        self.has_dropped = False
        #: The last result was one that somebody waited for, and may be followed by another question.
        self.served = False
        #: Reads a frame in the calling thread unless what it waits for came meanwhile (the argument says); False when another thread
        #: reads. Set by the link.
        self.help: Callable[[Callable[[], bool]], bool] = lambda is_done: False

    @property
    def is_awaited(self) -> bool:
        return bool(self._waiters)

    def on_frame(self, data: bytes) -> None:
        """Take one serialised ServerFrame. Raises ProtocolError (or protobuf's DecodeError) for one that cannot be."""
        self.bytes += len(data)
        self.last_frame_s = time.monotonic()
        frame = session_pb2.ServerFrame.FromString(data)
        with self._lock:
            self._take(frame)

    def _take(self, frame: Any) -> None:
        ordinal = frame.ordinal
        # Delivered again after a reconnect: taken once.
        if ordinal > self.received:
            if ordinal != self.received + 1:
                raise ProtocolError(f"Frame {ordinal} came after frame {self.received}.")
            for failure in frame.failures:
                self.deferred.add(failure)
            for result in frame.results:
                self._deliver(result)
            self.received = ordinal
        if frame.HasField("hello") or frame.HasField("moved") or frame.HasField("going_away"):
            self._control(frame)
        if frame.executed_seq > self.executed_seq:
            self.executed_seq = frame.executed_seq
            self._acknowledge(frame.executed_seq)

    def _deliver(self, result: Any) -> None:
        number = result.id
        if number in self._abandoned:
            self._abandoned.discard(number)
            return
        self._results[number] = result
        waiter = self._waiters.pop(number, None)
        self.served = waiter is not None
        if waiter is not None:
            if waiter.locked():
                waiter.release()
        elif not result.HasField("value"):
            self._unasked += 1
            if self._unasked > MAX_UNASKED:
                self._drop_unasked()

    def _drop_unasked(self) -> None:
        """Forget the older half of what nobody asked for. Values stay: somebody waits for each of those, sooner or later."""
        kept = [n for n, r in list(self._results.items()) if n not in self._waiters and not r.HasField("value")]
        for number in kept[: len(kept) // 2]:
            self._results.pop(number, None)
        self._unasked = len(kept) - len(kept) // 2
        self.has_dropped = True

    def expect(self, number: int) -> Any:
        """Register a wait for a reply before its command is sent; returns the token for `wait`."""
        waiter = self._waiters.get(number)
        if waiter is None:
            waiter = allocate_lock()
            waiter.acquire()
            self._waiters[number] = waiter
        if number in self._results and waiter.locked():
            waiter.release()
        return waiter

    def has(self, number: int) -> bool:
        return number in self._results

    def take(self, number: int) -> Any:
        """The result under `number` if it has come, else None. Not for a number that somebody waits for."""
        return self._results.pop(number, None)

    def wait(self, number: int, waiter: Any) -> Any:
        """The `cupool.v1.Result` under `number`. Raises what the session was lost of."""

        def is_done() -> bool:
            return number in self._results or self.lost is not None

        try:
            while True:
                result = self._results.pop(number, None)
                if result is not None:
                    return result
                if self.lost is not None:
                    raise self.lost
                if not self.help(is_done):
                    waiter.acquire()
        except BaseException:
            # Interrupted: nobody will fetch the reply that is still to come.
            if len(self._abandoned) > MAX_UNASKED:
                self._abandoned.clear()
            self._abandoned.add(number)
            raise
        finally:
            self._waiters.pop(number, None)

    def fail(self, error: BaseException) -> None:
        """Nothing more will come: wake everybody."""
        self.lost = error
        for waiter in list(self._waiters.values()):
            if waiter.locked():
                waiter.release()
