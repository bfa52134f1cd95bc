"""What has changed since the last look: which buffers are new, gone, or written.

For whoever copies a session while its commands go on (a move, a checkpoint). A *look* happens at a batch boundary and copies nothing.
Bytes are copied afterwards; what a command writes meanwhile is in the next look. A torn copy is therefore always one that is replaced,
and the last look, after which no command runs, is followed by the copies that count.

Cases of how a change is found:

- a buffer is new: its handle stands behind all that were seen, `Handles.rebind` put its array onto other memory, or a transfer has begun;
- it is gone: its root has died (a weak reference says so; an `id()` alone is never trusted);
- a command wrote to it: while the tracker is on, and only then, forms that write have a step that marks the handles they write;
- a kernel of the program ran: it follows pointers, so it may have written anywhere in the arena. The pages that were written are known
  where `pages.py` works, else pieces are compared with the hashes of what was copied last (`Piece.copied`), of a GPU's memory with its
  fingerprints;
- bytes of a Put have come: its mark has moved.

Boundary: ids, marks and ranges. What a document says of a buffer is `document/`'s.
"""

from __future__ import annotations

import contextlib
import gc
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .devices.base import PIECE_BYTES
from .forms import KERNELS, SLOT_HANDLE, SLOT_VALUE, Form, handles_in
from .pages import Pages

if TYPE_CHECKING:
    from .executor import Executor

#: Ranges of one buffer that are kept as they are between two looks.
MAX_RANGES = 1024

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class _Root(weakref.ref[Any]):
    """A root array that was seen. Its id is never given to another one."""

    __slots__ = ("address", "buffer", "key", "nbytes")

    address: int
    buffer: int
    key: int
    nbytes: int


class Piece:
    """One buffer.

    Attributes:
        buffer: its id.
        nbytes: its size.
        address: where it is in the arena; 0: it may be anywhere.
    """

    __slots__ = ("_root", "_tracker", "address", "buffer", "nbytes")

    def __init__(self, tracker: Tracker, root: _Root) -> None:
        self._tracker = tracker
        self._root = root
        self.buffer, self.nbytes, self.address = root.buffer, root.nbytes, root.address

    def memory(self) -> Bytes | None:
        """Its bytes in place, as they are; None when it is gone. Hold it only while copying: it keeps heap memory from being given back."""
        root = self._root()
        return None if root is None else self._tracker.device.bytes_of(root)

    def copied(self, offset: int, data: Any) -> None:
        """`data` (bytes-like) is what was copied from `offset`, a multiple of PIECE_BYTES, in whole pieces or to the end. Only needed of
        buffers in the arena, and only where pages are not tracked (`Tracker.wants_hashes`)."""
        self._tracker.copied(self.buffer, offset, data)


@dataclass(slots=True)
class Look:
    """
    Attributes:
        new: buffers that were not there at the last look.
        gone: ids of buffers that are no more.
        written: (buffer, offset, nbytes) of older ones, rising and not overlapping within a buffer.
    """

    new: list[Piece] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    written: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def dirty_bytes(self) -> int:
        """What is to be copied after this look."""
        return sum(piece.nbytes for piece in self.new) + sum(nbytes for _, _, nbytes in self.written)


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Many objects are made that live on: looking through them for cycles, again and again, takes longer than making them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Ranges:
    """What was written of one buffer. Where there are very many ranges they become whole pieces."""

    __slots__ = ("_limit", "parts")

    def __init__(self) -> None:
        self.parts: list[tuple[int, int]] = []
        self._limit = MAX_RANGES

    def add(self, low: int, high: int) -> None:
        self.parts.append((low, high))
        if len(self.parts) >= self._limit:
            size = PIECE_BYTES
            self.parts = _joined([(a // size * size, -(-b // size) * size) for a, b in self.parts])
            self._limit = 2 * len(self.parts) + MAX_RANGES


class Tracker:
    """The tracker of one executor. `start`, `look` and `stop` are called at a batch boundary, with nothing executing."""

    def __init__(self, executor: Executor, first_id: int = 1) -> None:
        """`first_id`: the ids below were used already."""
        self.device = executor.device
        self.is_on = False
        #: raised by each start: an id of an earlier one says nothing any more
        self.generation = 0
        self._executor = executor
        self._handles = executor.handles
        self._next_id = first_id
        self._roots: dict[int, _Root] = {}
        self._by_buffer: dict[int, _Root] = {}
        #: handle -> its array when it was seen
        self._seen: dict[int, weakref.ref[Any]] = {}
        self._gone: list[_Root] = []
        self._marks: set[int] = set()
        self._ranges: dict[int, _Ranges] = {}
        self._moved: set[int] = set()
        self._kernel_ran = False
        self._forms: list[Form] = []
        #: transfer -> (buffer, bytes received) at the last look
        self._inbound: dict[int, tuple[int, int]] = {}
        self._pages: Pages | None = None
        self._hashes: dict[tuple[int, int], bytes] = {}

    # -- on and off ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, or begin again: everything counts as new."""
        self.stop()
        self.is_on = True
        self.generation += 1
        handles, executor = self._handles, self._executor
        handles.moved = self._moved
        handles.dropped = self._dropped  # type: ignore[method-assign]
        for form in executor.all_forms():
            self.equip(form)
        arena = self.device.arena
        if arena is not None and self.device.tracks_pages:
            self._pages = Pages.over(arena.base, arena.nbytes)

    def stop(self) -> None:
        """Commands cost again what they cost without a tracker."""
        if not self.is_on:
            return
        self.is_on = False
        for form in self._forms:
            assert form.untracked is not None
            self._set_step(form, form.untracked)
            form.untracked = None
        self._forms = []
        self._handles.moved = None
        del self._handles.dropped
        if self._pages is not None:
            self._pages.close()
            self._pages = None
        self._roots, self._by_buffer, self._seen, self._ranges, self._inbound, self._hashes = {}, {}, {}, {}, {}, {}
        self._gone = []
        self._marks.clear()
        self._moved.clear()
        self._kernel_ran = False

    @property
    def wants_hashes(self) -> bool:
        """Whether `Piece.copied` narrows what later looks report of the arena."""
        return self.is_on and self._pages is None

    # -- marking ------------------------------------------------------------------------------------------------------

    def mark(self, handle: int) -> None:
        """The array under a handle is written by other means than its form's step."""
        self._marks.add(handle)

    def equip(self, form: Form) -> None:
        """Give a form that writes the step that marks."""
        step = form.step
        if form.untracked is not None or step is None:
            return
        marking = self._marking(form, step)
        if marking is not None:
            form.untracked = step
            self._forms.append(form)
            self._set_step(form, marking)

    def _set_step(self, form: Form, step: Callable[[list[int], int], None]) -> None:
        form.step = step
        self._executor.replace_step(form)

    def _marking(self, form: Form, step: Callable[[list[int], int], None]) -> Callable[[list[int], int], None] | None:
        """`step`, marking first; None for a form that writes nothing."""
        add = self._marks.add
        name = form.row.name
        if name == "@graph_launch":
            return self._marking_launch(form, step)
        if name in KERNELS:
            return self._marking_kernel(form, step)
        plain = [s.offset for s in form.written if s.kind == SLOT_HANDLE]
        nested = [s.offset for s in form.written if s.kind == SLOT_VALUE]
        if not plain and not nested:
            return None
        if nested or len(plain) > 1:
            return self._marking_many(plain, nested, step)
        (at,) = plain
        call = form.call
        if call is not None:

            def calling(words: list[int], i: int) -> None:
                add(words[i + at])
                call(words, i)

            return calling

        def one(words: list[int], i: int) -> None:
            add(words[i + at])
            step(words, i)

        return one

    def _marking_many(self, plain: list[int], nested: list[int], step: Any) -> Callable[[list[int], int], None]:
        marks, executor = self._marks, self._executor

        def many(words: list[int], i: int) -> None:
            marks.update([words[i + at] for at in plain])
            for at in nested:
                marks.update(handles_in(executor.values, words[i + at]))
            step(words, i)

        return many

    def _marking_kernel(self, form: Form, step: Any) -> Callable[[list[int], int], None]:
        """Cases: a raw kernel gets addresses alone, all of them of the arena. A generated kernel writes what its form says, what its
        pointers reach, and inputs where its code could."""
        named = [s.offset for s in form.slots if s.kind == SLOT_HANDLE]
        if form.row.name == "@launch" or not named:

            def launch(words: list[int], i: int) -> None:
                self._kernel_ran = True
                step(words, i)

            return launch
        table, marks, at = self._handles.table, self._marks, named[0]
        plain = [s.offset for s in form.written if s.kind == SLOT_HANDLE]
        nested = [s.offset for s in form.slots if s.kind == SLOT_VALUE]
        marked = self._marking_many(plain, nested, step)

        def call(words: list[int], i: int) -> None:
            self._kernel_ran = True
            if _may_write_inputs(table.get(words[i + at])):
                marks.update([words[i + offset] for offset in named])
            marked(words, i)

        return call

    def _marking_launch(self, form: Form, step: Any) -> Callable[[list[int], int], None]:
        at = next((s.offset for s in form.slots if s.kind == SLOT_HANDLE), 1)
        marks, table = self._marks, self._handles.table

        def launch(words: list[int], i: int) -> None:
            for node in getattr(table.get(words[i + at]), "nodes", ()):
                marks.update(node.targets)
                marks.update(node.written)
                if node.form.row.name not in KERNELS:
                    continue
                self._kernel_ran = True
                named = [node.words[s.offset] for s in node.form.slots if s.kind == SLOT_HANDLE]
                if node.form.row.name != "@launch" and named and _may_write_inputs(table.get(named[0])):
                    marks.update(named)
            step(words, i)

        return launch

    def _dropped(self, handle: int, value: Any) -> None:
        """In place of `Handles.dropped`: what was written through a handle that is freed."""
        if handle in self._marks:
            self._note(value)
        type(self._handles).dropped(self._handles, handle, value)

    def _note(self, value: Any) -> None:
        """The memory of an array was written."""
        if not isinstance(value, self._handles.array_type):
            return
        root = self._handles.root_of(value)
        known = self._roots.get(id(root))
        if known is None or known() is not root:
            return  # new, and copied whole
        low, high = self.device.place_in(value, root)
        if high > low:
            self._add_range(known.buffer, low, high)

    def _add_range(self, buffer: int, low: int, high: int) -> None:
        ranges = self._ranges.get(buffer)
        if ranges is None:
            ranges = self._ranges[buffer] = _Ranges()
        ranges.add(low, high)

    # -- looking ------------------------------------------------------------------------------------------------------

    def look(self) -> Look:
        """What has changed since the last look, or since `start`."""
        found = Look()
        self.device.synchronize()  # what was issued may still be computing, and is to be in what is copied now
        with without_collection():
            self._settle_gone(found)
            self._find_new(found)
            self._find_transfers(found)
            self._find_written(found)
        return found

    def _settle_gone(self, found: Look) -> None:
        gone, self._gone = self._gone, []
        for known in gone:
            if self._roots.get(known.key) is known:
                del self._roots[known.key]
            if self._by_buffer.pop(known.buffer, None) is not None:
                found.gone.append(known.buffer)
                self._ranges.pop(known.buffer, None)
                for piece in range(0, known.nbytes, PIECE_BYTES) if self._hashes else ():
                    self._hashes.pop((known.buffer, piece), None)

    def _find_new(self, found: Look) -> None:
        table, seen, handles = self._handles.table, self._seen, self._handles
        array_type, root_of, roots, ref = handles.array_type, handles.root_of, self._roots, weakref.ref
        for handle in reversed(table):
            value = table[handle]
            if not isinstance(value, array_type):
                continue
            known = seen.get(handle)
            if known is not None and known() is value and handle not in self._moved:
                break  # a table keeps its order: what stands before was there at the last look
            root = value if value.base is None else root_of(value)
            before = roots.get(id(root))
            if before is None or before() is not root:
                found.new.append(Piece(self, self._register(root)))
            seen[handle] = ref(value)
        for handle in self._moved:
            value = table.get(handle)
            if value is not None:
                self._identify(root_of(value), found)
                seen[handle] = ref(value)
        self._moved.clear()
        if len(seen) > 2 * len(table) + 1024:
            self._seen = {handle: known for handle, known in seen.items() if handle in table}

    def _register(self, root: Any) -> _Root:
        known = _Root(root, self._died)
        known.buffer, known.nbytes, known.address = self._next_id, root.nbytes, self.device.arena_address(root)
        known.key = id(root)
        self._next_id += 1
        self._roots[known.key] = self._by_buffer[known.buffer] = known
        return known

    def _died(self, known: _Root) -> None:
        """Called by whichever thread dropped the last reference."""
        self._gone.append(known)

    def _identify(self, root: Any, found: Look) -> _Root:
        known = self._roots.get(id(root))
        if known is None or known() is not root:
            known = self._register(root)
            found.new.append(Piece(self, known))
        return known

    def _find_transfers(self, found: Look) -> None:
        before, self._inbound = self._inbound, {}
        inbound, outbound = self._executor.transfers.memory()
        for transfer, root, received in inbound:
            known = self._identify(root, found)
            self._inbound[transfer] = (known.buffer, received)
            _, mark = before.pop(transfer, (0, received))
            if received > mark:
                self._add_range(known.buffer, mark, received)
        for buffer, mark in before.values():
            # Taken by an array, or freed: what came after the last look was not copied.
            known_one = self._by_buffer.get(buffer)
            if known_one is not None and known_one.nbytes > mark:
                self._add_range(buffer, mark, known_one.nbytes)
        lost = bool(outbound) and any(handle not in self._handles.table for handle in self._marks)
        for root in outbound:
            known = self._identify(root, found)
            if lost:  # written through a handle that is freed, and alive only as an export
                self._add_range(known.buffer, 0, known.nbytes)

    def _find_written(self, found: Look) -> None:
        table = self._handles.table
        for handle in self._marks:
            value = table.get(handle)
            if value is not None:
                self._note(value)
        self._marks.clear()
        if self._pages is not None or self._kernel_ran:
            self._find_in_arena()
        self._kernel_ran = False
        new = {piece.buffer for piece in found.new}
        ranges, self._ranges = self._ranges, {}
        for buffer, written in ranges.items():
            known = self._by_buffer.get(buffer)
            if known is not None and buffer not in new:
                found.written += [(buffer, low, high - low) for low, high in _joined(written.parts, known.nbytes)]

    def _find_in_arena(self) -> None:
        blocks = sorted((k.address, k) for k in self._by_buffer.values() if k.address)
        if not blocks:
            return
        if self._pages is None:
            for _, known in blocks:
                self._compare(known)
            return
        arena, starts = self.device.arena, [address for address, _ in blocks]
        for low, high in self._pages.written(arena.base, arena.open_end):
            at = max(bisect_right(starts, low) - 1, 0)
            while at < len(blocks) and starts[at] < high:
                address, known = blocks[at]
                first, last = max(low - address, 0), min(high - address, known.nbytes)
                if first < last:
                    self._add_range(known.buffer, first, last)
                at += 1

    def _compare(self, known: _Root) -> None:
        """Find the pieces of a block that are not what was copied last."""
        root = known()
        if root is None:
            return
        for number, found in enumerate(self.device.hashes(self.device.bytes_of(root))):
            offset = number * PIECE_BYTES
            key = known.buffer, offset
            if self._hashes.get(key) != found:
                self._hashes.pop(key, None)
                self._add_range(known.buffer, offset, min(offset + PIECE_BYTES, known.nbytes))

    def copied(self, buffer: int, offset: int, data: Any) -> None:
        """See `Piece.copied`."""
        known = self._by_buffer.get(buffer)
        if known is None or not known.address or self._pages is not None:
            return
        for number, found in enumerate(self.device.hashes(np.asarray(data).reshape(-1).view(np.uint8))):
            self._hashes[buffer, offset + number * PIECE_BYTES] = found

    # -- for the document ---------------------------------------------------------------------------------------------

    def known(self, root: Any) -> _Root:
        """A buffer that the last look knew: its id, size and address. Raises LookupError for another one: a command has run since."""
        known = self._roots.get(id(root))
        if known is None or known() is not root:
            raise LookupError("a buffer that no look has seen")
        return known

    def received(self, transfer: int) -> int:
        """How much of a Put had come at the last look, of one that it has seen."""
        return self._inbound[transfer][1]

    def has_seen(self, transfer: int) -> bool:
        """Whether the last look knew this Put."""
        return transfer in self._inbound


def _may_write_inputs(kernel: Any) -> bool:
    return bool(getattr(kernel, "may_write_inputs", True))


def _joined(parts: list[tuple[int, int]], nbytes: int = 1 << 62) -> list[tuple[int, int]]:
    """Ranges within [0, nbytes), rising, those that touch joined."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(parts):
        low, high = max(low, 0), min(high, nbytes)
        if low >= high:
            continue
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return joined


__all__ = ["PIECE_BYTES", "Look", "Piece", "Tracker"]
