"""From the pending list to numbered batches that are kept until acknowledged.

Boundary: knows words, forms and limits; knows neither gRPC nor sessions. What it hands to `put` is a serialised ClientFrame.

Note [Flush]
    Commands are appended at any time by any thread, signal handler or finalizer. A flush takes from the front, under `LOCK`:

        copy the first n words -> snapshot the forms -> pack -> commit

    *Commit* stores the batch in the window, makes it the tail, deletes the n words and hands the frame to the transport. These four are
    calls of C functions that one C loop makes (`deque(map(call, ...))`): no bytecode runs in between, hence no signal handler, no
    exception and no thread switch. Before the commit nothing has changed, so an exception leaves everything to the next flush; after it
    everything has. A signal handler that flushes in the middle of a flush (`LOCK` is re-entrant) replaces the ticket, and the outer
    commit, whose copy is stale, fails on its first step and starts again.

Note [Queued]
    A message costs both ends some 50 µs whatever it holds. So a small batch waits for others while the server has BUSY_BATCHES of those
    that were sent before it: until there are MAX_QUEUED, an acknowledgement comes (which is due, for those), or somebody waits.
"""

from __future__ import annotations

import struct
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from operator import call, delitem, setitem
from typing import TYPE_CHECKING, Any

from cupool.contract import codec
from cupool.contract.errors import ProtocolError
from cupool.contract.limits import DEFAULT_LIMITS, Limits
from cupool.contract.records import NamedTuple

from . import forms, wire
from .pending import COMMANDS, GATE, LOCK
from .redo import Redo

if TYPE_CHECKING:
    from cupool.contract import loops

#: Words that may be pending while something is in flight: about 2,000 commands, which a program makes in about 2 ms. A batch costs both
#: ends together some hundreds of µs whatever it holds, and the server idles for a part of that: docs/decisions/004.
GATE_WORDS = 12_288
#: A batch takes at most so many words, and so many bytes of side table and forms, unless one command alone is larger.
BATCH_WORDS = 32_768
BATCH_BYTES = 1 << 20

_FORM_MASK = codec.FORM_MASK


#: Words from which a batch is looked through for a loop.
LOOP_WORDS = 512
#: After a batch without one so many are not looked through, doubled each time up to this.
MAX_SKIPPED = 64
#: Bytes that a command of a loop counts for in the redo window, so that what is kept can be done again within seconds.
LOOPED_COMMAND_BYTES = 4


#: While the server has so many batches before it, up to `MAX_QUEUED` small ones are sent in one message, see Note [Queued].
BUSY_BATCHES = 8
MAX_QUEUED = 8
SMALL_FRAME_BYTES = 4096


class Batch(NamedTuple):
    """A numbered batch. `end` and `end_bytes` count from the session's start; `forms` and `base` say which forms it leaves defined.

    Attributes:
        weight: bytes that it counts for in the redo window, where it has a loop: its frame is a few bytes for thousands of commands.
    """

    seq: int
    end: int
    end_bytes: int
    forms: int
    base: int
    frame: bytes
    weight: int = 0


_NONE: list[tuple[int, bytes]] = []


class _Irregular(Exception):
    """The words need the careful walk: a side table, a reset, a forgotten form."""


class Arity:
    """Words of a command by its header word.

    Attributes:
        words: those met since the last reset of the forms. A plain dict, because it is asked once for each command.
        longest: the greatest of them.
    """

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.words: dict[int, int] = {}
        self.longest = 1

    def learn(self, header: int) -> None:
        """Add a header. Raises _Irregular where it needs the careful walk."""
        form = header & _FORM_MASK
        if (form <= self.generation and form != codec.FREE) or form in forms.resets:
            raise _Irregular
        words = forms.arity[form]
        if len(self.words) > 65_536:
            self.words.clear()
        self.words[header] = words
        self.longest = max(self.longest, words)

    def walk(self, items: list[Any], end: int) -> tuple[int, int]:
        """(where the first command at or after word `end` begins, commands before it); raises as `learn`."""
        while True:
            try:
                return self._walk(items, end)
            except KeyError as error:
                self.learn(error.args[0])

    def _walk(self, items: list[Any], end: int) -> tuple[int, int]:
        words = self.words
        i = count = 0
        # Eight at a time: the walk is a third of what a batch costs its sender.
        last = end - 8 * self.longest
        while i <= last:
            i += words[items[i]]
            i += words[items[i]]
            i += words[items[i]]
            i += words[items[i]]
            i += words[items[i]]
            i += words[items[i]]
            i += words[items[i]]
            i += words[items[i]]
            count += 8
        while i < end:
            i += words[items[i]]
            count += 1
        return i, count


class _Packed(NamedTuple):
    """What a batch will say: `words` packed, `commands` commands in `taken` items of the list."""

    words: bytes
    values: list[bytes]
    commands: int
    taken: int
    loops: list[bytes]


class Loops:
    """Looks for the loop that a batch is a part of. Not in each batch of a program that has none."""

    def __init__(self) -> None:
        self._width = 0
        self._skip = self._skipped = 0

    def pack(self, items: list[Any], arity: Arity) -> _Packed | None:
        """The batch of `items` with its loop, or None where it has none. Raises as `Arity.walk`."""
        if self._skip:
            self._skip -= 1
            return None
        from cupool.contract import loops  # by a program that fills a batch

        n = len(items)
        try:
            words = struct.pack(f"<{n}q", *items)
        except struct.error:
            words = b""  # a side table: rounds differ
        if words:
            # What led to a loop comes before it.
            for target in (0, n // 4):
                at, before = arity.walk(items, target)
                found = loops.find(items, words, at, self._width)
                if found is not None:
                    packed = self._packed(items, words, found, before, arity)
                    if packed is not None:
                        self._width, self._skipped = found.width, 0
                        return packed
        self._skip = self._skipped = min(2 * self._skipped + 1, MAX_SKIPPED)
        return None

    @staticmethod
    def _packed(items: list[Any], words: bytes, found: loops.Found, before: int, arity: Arity) -> _Packed | None:
        """None where a round is not whole commands, or their headers differ."""
        from cupool.contract import loops

        first = items[found.at : found.at + found.width]
        end, count = arity.walk(first, found.width)
        if end != found.width:
            return None
        steps, i = memoryview(found.steps).cast("q"), 0
        while i < end:
            if steps[i]:
                return None
            i += arity.words[first[i]]
        rest = items[found.end :]
        end, after = arity.walk(rest, len(rest))
        if end != len(rest):
            return None
        count = before + found.rounds * count + after
        loop = loops.encode(found.at, found.rounds, found.steps)
        return _Packed(loops.shortened(words, found), [], count, len(items), [loop])


class _Unsendable(Exception):
    """The first command of the list, `words` long, can never be sent."""

    def __init__(self, words: int, error: Exception) -> None:
        super().__init__(words, error)
        self.words = words
        self.error = error


def _sink(frame: bytes) -> None:
    """Where frames go while there is no link: they are in the window, and a new link sends that."""


def _rest() -> None:
    """What there is to push while there is no link, or where frames go by themselves: nothing."""


class Outbox:
    """The sending half of one session. `put` is replaced by the link; it must be atomic (a C function)."""

    def __init__(
        self, limits: Limits = DEFAULT_LIMITS, received: Callable[[], int] = lambda: 0, redo: Redo | None = None
    ) -> None:
        self.limits = limits
        self.redo = redo or Redo(why="it keeps nothing for that")
        self.redo.on_room = self._made_room
        self._received = received
        #: Batches not yet acknowledged, rising. Appended by commits, shortened by `acknowledge` alone.
        self.window: deque[Batch] = deque()
        first = Batch(0, 0, 0, forms.base, forms.base, b"")
        self._tail = [first]
        self._first = self._acked = first
        self._tickets: dict[Any, None] = {}
        self._cuts = 0
        self._arity = Arity(forms.base)
        self._loops = Loops()
        #: whether the server takes loops, see `cupool.v1.Loop`
        self.may_loop = False
        self._put: Callable[[bytes], Any] = _sink
        self._push: Callable[[], None] = _rest
        #: Batches handed to the transport and not pushed: see Note [Queued].
        self.queued = 0
        self._room = threading.Event()
        self._blocked = 0
        #: Set when nothing more will ever be acknowledged: raised by whoever flushes or waits for room.
        self.lost: BaseException | None = None

    # -- what others look at --------------------------------------------------------------------------------------
    @property
    def seq(self) -> int:
        """The sequence number of the last batch made."""
        return self._tail[0].seq

    @property
    def commands(self) -> int:
        """Commands put into batches so far."""
        return self._tail[0].end

    @property
    def sent_bytes(self) -> int:
        return self._tail[0].end_bytes

    @property
    def has_room(self) -> bool:
        """Whether another batch may be sent under the server's limits."""
        tail, acked, limits = self._tail[0], self._acked, self.limits
        inflight_bytes = tail.end_bytes - acked.end_bytes
        return (
            tail.end - acked.end < limits.inflight_commands
            and inflight_bytes < limits.inflight_bytes
            and not self.redo.is_full(inflight_bytes)
        )

    def has_only_frees(self) -> bool:
        """Whether nothing but frees, (0, handle) each, is pending or unacknowledged."""
        batches = [wire.kinds().ClientFrame.FromString(batch.frame).batch for batch in list(self.window)]
        return not any(COMMANDS[::2]) and not any(any(memoryview(b.commands).cast("q")[::2]) for b in batches)

    # -- sending --------------------------------------------------------------------------------------------------
    def flush(self) -> None:
        """Make batches of everything pending and send them. Blocks while too much is in flight."""
        while COMMANDS:
            if not self.has_room or self.lost is not None:
                self.wait_room()
            with LOCK:
                while COMMANDS and self.has_room:
                    self._cut()

    def flush_over(self) -> None:
        """Batches of everything pending and of every form, whatever is in flight: what a reset needs before it."""
        with LOCK:
            while COMMANDS or self._tail[0].forms < forms.last:
                self._cut()

    def flush_nowait(self) -> None:
        """As `flush`, for the receiving thread: returns at once when another thread flushes, or when there is no room."""
        if COMMANDS and self.lost is None and LOCK.acquire(blocking=False):
            try:
                while COMMANDS and self.has_room:
                    self._cut()
            finally:
                LOCK.release()

    def flush_within(self, timeout_s: float) -> int | None:
        """As `flush_nowait`, for a thread that ends the session; waits for one that flushes just now.

        Returns:
            The sequence number of the last batch, which has all that was pending; None when there was no room for it, or when another
            thread flushed for longer than `timeout_s`.
        """
        if not LOCK.acquire(timeout=timeout_s):
            return None
        try:
            while COMMANDS and self.has_room:
                self._cut()
            return self.seq if not COMMANDS or self.has_room else None
        finally:
            LOCK.release()

    def wait_room(self) -> None:
        """Return when another batch may be sent. Raises what the session was lost of."""
        while not self.has_room:
            if self.lost is not None:
                raise self.lost
            self._blocked += 1
            self._room.clear()
            try:
                # The timeout covers an acknowledgement between the look and the clear.
                if not self.has_room:
                    self._room.wait(0.05)
            finally:
                self._blocked -= 1
        if self.lost is not None:
            raise self.lost

    def _cut(self) -> None:
        """One batch from the front of the pending list. The caller holds LOCK. See Note [Flush]."""
        ticket = object()
        self._cuts += 1
        cut = self._cuts
        self._tickets.clear()
        self._tickets[ticket] = None
        try:
            self._cut_with(ticket)
        except _Unsendable as unsendable:
            # Without it the others can go on. Its results stay undefined, so using them is an error.
            drop = (partial(delitem, self._tickets, ticket), partial(delitem, COMMANDS, slice(0, unsendable.words)))
            if self._do(drop):
                raise unsendable.error from None
        except (LookupError, ProtocolError):
            if cut == self._cuts:
                raise
            # A flush inside this one took the words away under our hands; the caller looks again.

    @staticmethod
    def _do(steps: tuple[Callable[[], Any], ...]) -> bool:
        """Run C functions with nothing in between; False, and nothing done, when the first (the ticket) refuses."""
        try:
            deque(map(call, steps), maxlen=0)
        except KeyError:
            return False
        return True

    def _cut_with(self, ticket: Any) -> None:
        tail = self._tail[0]
        items = COMMANDS[: BATCH_WORDS + 64]
        # After the copy: whatever the copied words use is numbered by now. While a reset is on its way down the list, what comes
        # before it needs nothing new (`forms.reset` flushes first) and what comes after it must not be defined yet.
        upto, base = forms.last, tail.base
        if forms.base != base:
            upto = forms.base
        definitions = forms.definitions(tail.forms, upto) if upto != tail.forms else _NONE
        size = sum(len(data) for _, data in definitions) if definitions else 0
        limits = self.limits
        # A half of the frame for forms, a quarter each for words and values: a batch need not be full.
        forms_bytes = min(BATCH_BYTES, limits.frame_bytes // 2)
        if size > forms_bytes:
            self._commit_forms(ticket, tail, definitions, forms_bytes)
            return
        budget = min(BATCH_BYTES, limits.frame_bytes // 4)
        most = min(BATCH_WORDS, limits.batch_commands, limits.frame_bytes // 32)
        try:
            packed = self._pack(items, budget, most)
        except _Irregular:
            # A fresh copy: `_pack` may have replaced items.
            careful = _Careful(COMMANDS[: BATCH_WORDS + 64], base, budget, most)
            packed = _Packed(careful.words, careful.values, careful.count, careful.taken, [])
            if careful.reset:
                definitions, upto, base = (
                    [(careful.reset, forms.encoded[careful.reset])],
                    careful.reset,
                    careful.reset - 1,
                )
            elif forms.last > upto and forms.base == base:
                upto = forms.last  # renumbered just now
                definitions = forms.definitions(tail.forms, upto)
        self._commit(ticket, tail, upto, base, [data for _, data in definitions], packed)

    def _pack(self, items: list[Any], budget: int, most: int) -> _Packed:
        """Raises _Irregular where the careful walk is needed. most: words, unless one command has more."""
        n = len(items)
        if self.may_loop and LOOP_WORDS <= n <= most:
            packed = self._loops.pack(items, self._arity)
            if packed is not None:
                return packed
        i, count = self._arity.walk(items, min(n, most))
        if n > most:
            if i > n:
                items = COMMANDS[:i]
            n = i
            del items[i:]
        if i != n:
            raise ProtocolError(
                "A command was appended in parts, or with another number of words than its form has.", _REPORT
            )
        try:
            return _Packed(struct.pack(f"<{n}q", *items), [], count, n, [])
        except struct.error:
            values = _side_table(items, budget)
        try:
            return _Packed(struct.pack(f"<{n}q", *items), values, count, n, [])
        except struct.error:
            raise _Irregular from None

    def _commit_forms(self, ticket: Any, tail: Batch, definitions: list[tuple[int, bytes]], most_bytes: int) -> None:
        """A batch of definitions alone, when they are too many to ride along."""
        chosen: list[bytes] = []
        size = upto = 0
        for number, data in definitions:
            if chosen and size + len(data) > most_bytes:
                break
            chosen.append(data)
            size += len(data)
            upto = number
        self._commit(ticket, tail, upto, tail.base, chosen, _Packed(b"", [], 0, 0, []))

    def _commit(
        self, ticket: Any, tail: Batch, upto: int, base: int, definitions: list[bytes], packed: _Packed
    ) -> None:
        words, values, count, taken, looped = packed
        seq = tail.seq + 1
        received = self._received()
        if definitions:
            self.redo.defined(definitions)
        if definitions or values or looped or not words:
            batch_ = codec.encode_batch(seq, tail.end, count, definitions, words, values, received, looped)
            frame = codec.batch_frame(batch_)
        else:
            frame = codec.plain_batch_frame(seq, tail.end, count, words, received)
        weight = count * LOOPED_COMMAND_BYTES if looped else 0
        batch = Batch(seq, tail.end + count, tail.end_bytes + len(frame), upto, base, frame, weight)
        # Before the commit: an acknowledgement that comes right after it sets the gate to 0 again.
        GATE.words = GATE_WORDS
        steps = (
            partial(delitem, self._tickets, ticket),
            partial(self.window.append, batch),
            partial(setitem, self._tail, 0, batch),
            partial(delitem, COMMANDS, slice(0, taken)),
            partial(self._put, frame),
        )
        if self._do(steps):
            self._push_soon(len(frame))
            if base != self._arity.generation:
                self._arity = Arity(base)

    def _push_soon(self, nbytes: int) -> None:
        """A batch of that size has been handed to the transport. See Note [Queued]."""
        if nbytes <= SMALL_FRAME_BYTES and self.queued < MAX_QUEUED - 1 and self._is_busy():
            self.queued += 1
            # Again: an acknowledgement that came in between has not seen this one.
            if self._is_busy():
                return
        self.push()

    def _is_busy(self) -> bool:
        return len(self.window) - self.queued > BUSY_BATCHES

    # -- acknowledgements and links ----------------------------------------------------------------------------------
    def acknowledge(self, seq: int) -> None:
        """Every batch up to `seq` has been executed. Called by the receiving thread alone."""
        window, redo = self.window, self.redo
        while window and window[0].seq <= seq:
            if not redo.why:
                redo.executed(
                    window[0]
                )  # first: an interruption between the two leaves it in both, which is told apart
            self._acked = window.popleft()
        if not window:
            GATE.words = 0
        if self.queued:
            self.push()
        if self._blocked:
            self._made_room()

    def _made_room(self) -> None:
        if self._blocked and self.has_room:
            self._room.set()

    def attach(self, put: Callable[[bytes], Any], push: Callable[[], None] | None = None) -> int:
        """Send all that is unacknowledged through `put`, and everything new from now on. Returns how many were resent.

        Args:
            put: queues a frame; a C function.
            push: called after `put`, to send what is queued; may be left out where `put` does that.
        """
        push = push or _rest
        with LOCK:
            batches = list(self.window)
            for batch in batches:
                put(batch.frame if self.may_loop or not batch.weight else _without_loops(batch.frame))
            self._put, self._push = put, push
        self.queued = 0
        push()
        return len(batches)

    def takes_less(self, limits: Limits) -> bool:
        """Whether something in the window is more than a server with these limits takes."""
        return any(
            len(b.frame) > limits.frame_bytes or b.end - a.end > limits.batch_commands
            for a, b in pairwise((self._acked, *self.window))
        )

    def refit(self) -> None:
        """Cut what is unacknowledged again, by the limits that are known now. There is no link, and the server has executed none of it.

        Raises:
            SessionLost: one command is more than the server takes.
        """
        from .refit import again

        with LOCK:
            first = self._acked
            made = again([(b.forms, b.frame) for b in self.window], first.seq + 1, self.limits)
            bases = {b.end: b.base for b in self.window}
            batches, sent = [], first.end_bytes
            for seq, end, highest, frame in made:
                sent += len(frame)
                base = next(b for e, b in bases.items() if e >= end)
                batches.append(Batch(seq, end, sent, highest, base, frame))
            self.window.clear()
            self.window.extend(batches)
            self._tail[0] = batches[-1]

    def restart(self) -> None:
        """Another server begins where the window does: all in it is unacknowledged again. The caller holds LOCK; there is no link."""
        batches, base = self.redo.again(self.window), self.redo.base
        self.window.clear()
        self.window.extend(batches)
        self._acked = self._first if base is None else base.batch
        GATE.words = GATE_WORDS

    def push(self) -> None:
        """Send what is queued: for whoever waits, and should the thread that queued it have been interrupted."""
        self.queued = 0
        self._push()

    def detach(self) -> None:
        """The link is gone: keep batches in the window."""
        self._put, self._push = _sink, _rest

    def fail(self, error: BaseException) -> None:
        """Nothing will be acknowledged any more: wake and refuse whoever sends."""
        self.lost = error
        self.detach()
        self._room.set()


def _without_loops(frame: bytes) -> bytes:
    """A ClientFrame's batch with its loops written out, for a server that knows none."""
    from cupool.contract import loops

    message = wire.kinds().ClientFrame.FromString(frame)
    message.batch.commands = loops.written_out(message.batch, DEFAULT_LIMITS)
    del message.batch.loops[:]
    return bytes(message.SerializeToString())


_REPORT = "This is a bug of cupool: please report it."


def _side_table(items: list[Any], budget: int, first: int = 0) -> list[bytes]:
    """Replace in place what is not an integer by its word; returns the side table, whose indices begin at `first`.

    Raises _Irregular when it exceeds `budget` bytes.
    """
    values: list[bytes] = []
    for k in [k for k, item in enumerate(items) if type(item) is not int]:
        item = items[k]
        if type(item) is float:
            items[k] = codec.real_bits(item)
        elif type(item) is bytes:
            items[k] = first + len(values)
            values.append(item)
            budget -= len(item) + 8
            if budget < 0:
                raise _Irregular
        else:
            items[k] = int(item)
    return values


class _Careful:
    """The walk, command by command, for resets, forgotten forms, and more values than one frame takes.

    Attributes:
        words, values, count: of the batch.
        taken: words of the pending list that it stands for.
        reset: the form id, when the batch is a reset (which is alone in its batch), else 0.
    """

    def __init__(self, items: list[Any], base: int, budget: int, most: int) -> None:
        self.values: list[bytes] = []
        self.count = self.taken = self.reset = 0
        self._out: list[bytes] = []
        while self.taken < min(len(items), most):
            start = self.taken
            header = items[start]
            form = header & _FORM_MASK
            if form in forms.resets:
                if not self.count:
                    self.reset, self.count, self.taken = form, 1, start + 1
                    self._out.append(struct.pack("<q", header))
                break
            end = start + forms.arity[form]
            if end > len(items):
                items = COMMANDS[:end]
                if end > len(items):
                    raise ProtocolError("A command was appended with fewer words than its form has.", _REPORT)
            if form != codec.FREE and form <= base:
                header = header - form + forms.renumber(form)
            budget = self._add([header, *items[start + 1 : end]], budget)
            if budget < 0:
                break
            self.count += 1
            self.taken = end
        self.words = b"".join(self._out)

    def _add(self, command: list[Any], budget: int) -> int:
        """Append one command; returns what is left of `budget`, negative when the command must wait for the next batch."""
        size = sum(len(item) + 8 for item in command if type(item) is bytes)
        if size > budget and self.count:
            return -1
        try:
            if size > budget:
                raise ProtocolError(
                    f"One call carries {size:,} bytes of values, more than a frame may ({budget:,}).",
                    "Pass large data as arrays.",
                )
            table = _side_table(command, size, len(self.values))
            self._out.append(struct.pack(f"<{len(command)}q", *command))
            self.values += table
        except (ProtocolError, struct.error, TypeError) as error:
            if self.count:
                return -1
            raise _Unsendable(len(command), error) from None
        return budget - size
