"""From server frames to whoever waits: replies, specs of unknown results, failures, acknowledgements.

Boundary: `on_frame` runs in the thread that reads, the program's or the link's, and never blocks; `wait` runs in the program's threads.

Note [Take]
    The program's own thread may be reading, so a signal handler that raises may run between any two bytecodes here. A frame's results and
    failures are therefore stored, their waiters woken and its ordinal counted by one C loop over calls of C functions, as in Note
    [Flush]: all or nothing. The interrupted stream is cancelled, and the server sends again what was not counted.
"""

from __future__ import annotations

import time
from _queue import SimpleQueue
from _thread import allocate_lock, get_ident
from collections import deque
from collections.abc import Callable
from functools import partial
from operator import call, setitem
from typing import Any

from cupool.contract.errors import ProtocolError

from . import wire
from .deferred import Deferred
from .redo import RECORDED, Redo, digest

#: Unasked specs and errors kept, of some 200 bytes; older ones are dropped and asked for when looked at. Most are of arrays that are gone.
MAX_UNASKED = 16_384


def _unpacked(kept: Any) -> Any:
    """The `cupool.v1.Result` of what is kept. One that nobody waits for is kept as its bytes: a message holds on to blocks of the C
    library's heap, and many that stay keep all that was freed around them."""
    return wire.kinds().Result.FromString(kept) if type(kept) is bytes else kept


#: A wait whose thread reads for itself.
_READS: Any = object()


class Inbox:
    """The receiving half of one session.

    Attributes:
        received: highest ordinal received; what the server may forget.
        executed_seq: every batch up to this has been executed.
        due: the ordinal with which everything is here that those answered, as far as the server has said.
        last_frame_s: `time.monotonic()` of the last frame.
        bytes: received so far.
    """

    def __init__(
        self, acknowledge: Callable[[int], None], control: Callable[[Any], None], redo: Redo | None = None
    ) -> None:
        self.redo = redo or Redo(why="it keeps nothing for that")
        #: Of which stream frames are taken; told when another server begins from nothing.
        self.round = 0
        #: Called with the number of a result that a replay gave otherwise than the first time.
        self.diverged: Callable[[int], None] = lambda number: None
        self.deferred = Deferred()
        self.received = 0
        self.executed_seq = 0
        self.due = 0
        self.last_frame_s = time.monotonic()
        self.bytes = 0
        self.lost: BaseException | None = None
        self._acknowledge = acknowledge
        self._control = control
        # Two receiving threads meet here for a moment when a connection is replaced.
        self._lock = allocate_lock()
        #: The thread that takes a frame.
        self._taker = 0
        #: `cupool.v1.Result`, or its bytes where nobody waits for it: see `_unpacked`.
        self._results: dict[int, Any] = {}
        #: What a wait blocks on: a token in it says "look again". Its `put` is a C function that never fails. _READS: it does not block.
        self._waiters: dict[int, Any] = {}
        self._abandoned: set[int] = set()
        self._unasked = 0
        #: Unasked results up to this number may have been dropped: an absent one of them is asked for.
        self.dropped_to = 0
        #: The last result was one that somebody waited for, and may be followed by another question.
        self.served = False
        #: Reads in the calling thread until what it waits for has come (the argument says); False when another thread reads. Set by
        #: the link.
        self.help: Callable[[Callable[[], bool]], bool] = lambda is_done: False
        #: Called with a `cupool.v1.Checkpointed`. Set by the link.
        self.checkpointed: Callable[[Any], None] = lambda told: None

    @property
    def is_awaited(self) -> bool:
        return bool(self._waiters)

    def on_frame(self, data: bytes, round_: int | None = None) -> None:
        """Take one serialised ServerFrame. Raises ProtocolError for one that cannot be.

        Args:
            round_: the stream that it came by; one older than `round` is of a server that is gone.
        """
        self.bytes += len(data)
        self.last_frame_s = time.monotonic()
        frame = wire.server_frame(data)
        with self._lock:
            self._taker = get_ident()
            try:
                if round_ is None or round_ >= self.round:
                    self._take(frame)
            finally:
                self._taker = 0

    def restart(self, round_: int, received: int = 0, executed_seq: int = 0) -> None:
        """Another server begins from nothing, or from a checkpoint with these in it, on the streams from `round_` on."""
        with self._lock:
            self.round = round_
            self.received, self.executed_seq = received, executed_seq
            self.due = 0

    @property
    def is_owed(self) -> bool:
        """Whether frames are to come again of batches that are known to have been executed: after a hello."""
        return self.received < self.due

    def _take(self, frame: Any) -> None:
        ordinal = frame.ordinal
        # Delivered again after a reconnect: taken once.
        if ordinal > self.received:
            if ordinal != self.received + 1:
                raise ProtocolError(f"Frame {ordinal} came after frame {self.received}.")
            self._store(ordinal, frame.failures, frame.results)
        if frame.HasField("hello") or frame.HasField("moved") or frame.HasField("going_away"):
            self._control(frame)
        if frame.executed_seq > self.executed_seq:
            # In this order: interrupted between, it is acknowledged again, which changes nothing.
            self._acknowledge(frame.executed_seq)
            self.executed_seq = frame.executed_seq
        if frame.HasField("checkpointed"):
            self.checkpointed(frame.checkpointed)

    def _store(self, ordinal: int, failures: Any, results: Any) -> None:
        """See Note [Take]."""
        steps: list[Callable[[], Any]] = []
        redo = None if self.redo.why else self.redo
        for failure in failures:
            if redo is not None:
                if failure.position <= redo.failed_to:
                    continue  # told before the server was lost
                steps.append(partial(setattr, redo, "failed_to", failure.position))
            steps.append(partial(self.deferred.arrived.append, failure))
        served, unasked, waiters = self.served, 0, self._waiters
        for result in results:
            number = result.id
            if redo is not None:
                seen = digest(result)
                if number in redo.delivered:  # before the server was lost
                    if redo.delivered[number] not in (seen, RECORDED):
                        self.diverged(number)
                        return
                    continue
                steps.append(partial(setitem, redo.delivered, number, seen))
            if number in self._abandoned:
                steps.append(partial(self._abandoned.discard, number))
                continue
            waiter = waiters.get(number)
            is_unasked = waiter is None and not result.HasField("value")
            kept = result.SerializeToString() if is_unasked else result
            steps.append(partial(setitem, self._results, number, kept))
            served = waiter is not None
            if waiter is not None:
                steps.append(partial(waiters.pop, number, None))
                if waiter is not _READS:
                    steps.append(partial(waiter.put, None))
            elif is_unasked:
                unasked += 1
        steps.append(partial(setattr, self, "received", ordinal))
        deque(map(call, steps), maxlen=0)
        self.served = served
        if failures:
            self.deferred.settle()
        self._unasked += unasked
        if self._unasked > MAX_UNASKED:
            self._drop_unasked()

    def _drop_unasked(self) -> None:
        """Forget the older half of what nobody asked for. Values stay: somebody waits for each of those, sooner or later."""
        # A copy is one step. A list of the items is not: each is a tuple, garbage may be collected for it, and what that finalizes lets
        # another thread take its result.
        kept = [n for n, r in self._results.copy().items() if n not in self._waiters and type(r) is bytes]
        if len(kept) <= MAX_UNASKED // 2:
            self._unasked = len(kept)  # the others have been asked for since
            return
        dropped = kept[: len(kept) // 2]
        self.dropped_to = max(self.dropped_to, *dropped)  # first: whoever finds one absent asks for it
        for number in dropped:
            self._results.pop(number, None)
        self._unasked = len(kept) - len(dropped)

    def expect(self, number: int) -> Any:
        """Register a wait for a reply before its command is sent; returns what `wait` wants."""
        return self._waiters.setdefault(number, _READS)

    def has(self, number: int) -> bool:
        return number in self._results

    def take(self, number: int) -> Any:
        """The result under `number` if it has come, else None. Not for a number that somebody waits for."""
        return _unpacked(self._results.pop(number, None))

    def wait(self, number: int, waiter: Any) -> Any:
        """The `cupool.v1.Result` under `number`. Raises what the session was lost of, and RuntimeError in a signal handler that came while
        its own thread takes a frame: no other frame can be taken before that one."""

        def is_done() -> bool:
            return number in self._results or self.lost is not None

        try:
            if self._taker == get_ident():
                raise RuntimeError(
                    "A signal handler cannot wait for an array now: its thread is just taking in what the server sent. "
                    "Have the handler set a flag, and look at arrays where the program looks at the flag."
                )
            while True:
                result = self._results.pop(number, None)
                if result is not None:
                    return _unpacked(result)
                if self.lost is not None:
                    raise self.lost
                if not self.help(is_done):
                    if waiter is _READS:
                        waiter = self._block_on(number)
                    waiter.get()
        except BaseException:
            # Interrupted: nobody will fetch the reply that is still to come.
            if len(self._abandoned) > MAX_UNASKED:
                self._abandoned.clear()
            self._abandoned.add(number)
            raise
        finally:
            self._waiters.pop(number, None)

    def _block_on(self, number: int) -> SimpleQueue[None]:
        """Have the wait for `number` woken; with a token in it when there is something to look at already."""
        waiter: SimpleQueue[None] = SimpleQueue()
        with self._lock:
            if number in self._results or self.lost is not None:
                waiter.put(None)
            else:
                self._waiters[number] = waiter
        return waiter

    def fail(self, error: BaseException) -> None:
        """Nothing more will come: wake everybody."""
        self.lost = error
        for waiter in list(self._waiters.values()):
            if waiter is not _READS:
                waiter.put(None)
