"""Who reads a stream: the program's threads that wait for something, or the link's thread.

Note [Who reads]
    A stream's events are taken one by one, so somebody must ask for the next. A program that waits again and again reads for itself
    (`help`): then no other thread wakes and competes for the interpreter. Otherwise the link's thread reads (`read`). `_turn` is held by
    whoever is in `_next`. After a frame that somebody waited for, the link's thread parks for PARK_S; `ring` ends that early. A caller
    that leaves while others expect something rings. An interrupted `_next` cannot be taken up again: the stream is cancelled and the
    link makes another.

Boundary: threads and locks; what an event is, and where it comes from, is the subclass's.
"""

from __future__ import annotations

import contextlib
import threading
from _thread import get_ident
from collections.abc import Callable

#: How long the link's thread leaves the reading to callers that may ask again.
PARK_S = 0.005
#: How long a caller may have the turn of a stream that is over. Longer: a signal handler raised between two lines of `help`.
ABANDONED_S = 1.0


class Disconnected(Exception):
    """A stream ended. `code` is the gRPC status's name ("UNAVAILABLE"; "OK" when the server ended it), `details` its text."""

    def __init__(self, code: str, details: str, metadata: dict[str, str] | None = None) -> None:
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details
        self.metadata = metadata or {}


#: A signal handler raised within a function of grpcio's or ours: what was going on may be half done, and nothing of it may be waited for.
TORN = Disconnected("CANCELLED", "A signal handler raised in the middle of a call.")
CANCELLED = Disconnected("CANCELLED", "The client ended the stream.")
ABANDONED = Disconnected("CANCELLED", "A caller left the stream in the middle of reading it.")


def unreadable(error: BaseException) -> Disconnected:
    """A frame came that is none, and the client ended the stream over it."""
    return Disconnected("DATA_LOSS", f"A frame could not be read: {error}")


class Turns:
    """The reading half of a stream. A subclass has `_next`, `push` and `cancel`.

    How a stream ends: `_is_over` says that nothing more is sent or given on, from the moment at which somebody ended it or its end was
    heard; `_end` why, once that is known, and the first reason counts; `_is_torn` that the reason is `TORN`, or whatever was known before.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._bell = threading.Lock()
        self._bell.acquire()
        self._helper = self._helped = 0
        #: Why the stream ended, as a caller that helped was told: it has it for `read`.
        self._told_end: Disconnected | None = None
        self._is_over = False
        self._is_torn = False
        self._end: Disconnected | None = None
        #: whether the server takes several frames in one message
        self.may_bundle = False
        #: when anything came last, where that is known
        self.heard_s = 0.0

    def _next(self) -> Disconnected | None:
        """Wait for one event in the calling thread, which has the turn, and deal with it; why the stream ended, once it has."""
        raise NotImplementedError

    def cancel(self) -> None:
        """End the stream at once, from any thread."""
        raise NotImplementedError

    def push(self) -> None:
        """Send what is queued. Never blocks."""
        raise NotImplementedError

    def ping(self) -> None:
        """`push`, and have the other end's transport answer, where it can be asked to."""
        self.push()

    def _may_help(self) -> bool:
        """Whether the calling thread may run `_next`."""
        return True

    def _tear(self) -> None:
        """An exception came in the middle of `_next` or `push`: end the stream, whose state is not known. A new one starts from what is."""
        self._is_torn = True
        self.cancel()

    def _over(self, end: Disconnected) -> Disconnected:
        """The stream has ended. The first reason counts; what comes of its having been cancelled is `CANCELLED`."""
        if self._end is None:
            self._end = CANCELLED if self._is_over else end
        self._is_over = True
        return self._end

    def read(self, may_park: Callable[[], bool]) -> Disconnected:
        """Run until the stream ends; returns why. While `may_park` (nothing is expected) it leaves the reading to `help` for a moment."""
        while True:
            if may_park():
                self._park(may_park)
            # It never waits for the turn: whoever waits for a lock is woken each time that a caller who asks again and again leaves it.
            if not self._turn.acquire(blocking=False):
                self._bell.acquire(timeout=PARK_S)
                if self._is_over and not self._turn.acquire(timeout=ABANDONED_S):
                    return ABANDONED
                if not self._is_over:
                    continue
            try:
                end = self._told_end or self._next()
            finally:
                self._turn.release()
            if end is not None:
                return end

    def _park(self, may_park: Callable[[], bool]) -> None:
        while may_park() and not self._is_over:
            helped = self._helped
            if not self._bell.acquire(timeout=PARK_S) and helped == self._helped:
                return  # nobody asked for a while: back to reading

    def help(self, is_done: Callable[[], bool]) -> bool:
        """Read in the calling thread until it is done; False at once when another thread reads, or when the stream has ended."""
        if self._is_over or not self._may_help():
            return False
        if not self._turn.acquire(blocking=False):
            if self._helper == get_ident():
                # A signal handler waits above a `_next` of its own thread: only another stream can bring its answer.
                self.cancel()
            return False
        try:
            self._helper = get_ident()
            # Looked at first: its frame may have come before its turn did, and nobody might ever send another.
            while not is_done():
                self._told_end = self._next()
                if self._told_end is not None:
                    return False
        except BaseException:
            self._tear()
            raise
        finally:
            self._helper = 0
            self._helped += 1
            self._turn.release()
        return True

    def ring(self) -> None:
        """Something is expected that nobody waits for: have `read` read."""
        # A caller that reads right now rings itself when it leaves.
        if not self._helper and self._bell.locked():
            with contextlib.suppress(RuntimeError):  # another thread rang
                self._bell.release()
