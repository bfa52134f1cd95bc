"""Segments: nodes over one shape, compiled into a program that runs them block by block.

Two ways through a shape. *Flat*: every operand that was there before is packed and of the whole shape, or one element: blocks of elements.
*By rows*: blocks of whole rows (of the first dimension), operands broadcast and strided as they are.

Note [Sums in blocks]: NumPy adds a packed row of n floating point numbers by halves: n2 = n // 2, less n2 % 8, down to runs of 128. A part
of that tree is what `add.reduce` gives for it alone, so totals are taken of parts that end where halves end, and added up by the same
tree. Other reductions that join give the same whatever the order, but for an extremum that is a zero: which zero depends on the place, as
does which NaN a sum or an extremum gives. Then the operand is stored after all, and NumPy looks at the whole.

Note [Late writes]: `u[1:-1] = f(u[2:], u[:-2])` reads what it writes, a little further on or back. Blocks run in order, and each is written
after the operands of the next have been read: what the next ones read from before their own place, at most a block back, is as it was.
Nothing follows such an assignment in its segment.

Blocks are multiples of `UNIT` elements, see Note [Bits of a loop] in proof.py; where sums' halves end elsewhere, blocks overlap by a few.

Boundary: knows arrays and NumPy's functions; nothing of handles, forms or accounts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import gcd
from typing import Any

import numpy as np

from ..devices.cpu.memory import address_of, extent
from .kinds import Operation, Reduction
from .proof import UNIT, added, halves

Array = np.ndarray[Any, Any]
#: Where an array lies: its first byte, its end, and what tells it from others there (address, shape, strides, dtype).
Place = tuple[int, int, tuple[int, tuple[int, ...], tuple[int, ...], np.dtype[Any]]]

#: Of one value of a block. A few of them fit in a core's own cache together.
BLOCK_BYTES = 128 << 10
#: Of a block of rows, at most.
MOST_ELEMENTS = 1 << 17


#: Places and totals of a segment, at most: each command is compared with all of the one, each of the other may need its operand stored.
MOST_PLACES = 128
MOST_TOTALS = 4

#: Styles of totals that are computed again where the place decides.
_LOOKS_AGAIN = ("pairwise", "extremum")


class Value:
    """One value of a window: an array that was there before, a view, or a result.

    Attributes:
        array: its memory, None while it has none.
        segment: where it, or what it looks into, is computed; -1: it was there before.
        is_view: it looks into the memory of another.
        is_forced: it has memory from the start, because something looks into it.
        is_reduced: a reduction's result.
        is_dead: its handle is freed, or stands for another value.
        is_alive: the table gets it.
        crosses: a later segment uses it.
    """

    __slots__ = (
        "_place", "array", "crosses", "dtype", "is_alive", "is_dead", "is_forced", "is_reduced", "is_view", "nbytes", "ndim", "segment",
        "shape", "size",
    )  # fmt: skip

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], array: Array | None = None) -> None:
        self.shape = shape
        self.dtype = dtype
        self.array = array
        self.ndim = len(shape)
        size = 1
        for n in shape:
            size *= n
        self.size = size
        self.nbytes = size * dtype.itemsize
        self.segment = -1
        self.is_view = self.is_forced = self.is_reduced = self.is_dead = self.is_alive = self.crosses = False
        self._place: Place | None = None

    @property
    def place(self) -> Place:
        """Of a value with memory, which it keeps."""
        found = self._place
        if found is None:
            array = self.array
            assert array is not None
            start, (low, high) = address_of(array), extent(array)
            found = self._place = start + low, start + high, (start, array.shape, array.strides, array.dtype)
        return found


class Node:
    """One command of a segment.

    Attributes:
        values: operands, in order: `Value`s and Python numbers.
        target: memory that it writes, which was there before; None: the result is new.
        by_row: a reduction along the last axis.
        lags: its block is written after the next one's operands have been read, see Note [Late writes].
    """

    __slots__ = ("by_row", "lags", "operation", "result", "target", "values")

    def __init__(
        self, operation: Operation | Reduction, values: list[Any], result: Value, target: Array | None, by_row: bool
    ) -> None:
        self.operation = operation
        self.values = values
        self.result = result
        self.target = target
        self.by_row = by_row
        self.lags = False


class Segment:
    """Nodes over one shape, in order."""

    def __init__(self, number: int, shape: tuple[int, ...]) -> None:
        self.number = number
        self.shape = shape
        self.nodes: list[Node] = []
        self.is_flat = True
        #: a sum is computed whose blocks are flat
        self.needs_flat = False
        #: totals that may have to be computed again from their whole operand
        self.looking: list[Node] = []
        #: nothing may follow
        self.is_closed = False
        #: by what tells them apart
        self._reads: dict[Any, Place] = {}
        self._writes: dict[Any, Place] = {}
        #: values that no later segment uses, set by `settle`
        self.last_used: list[Value] = []

    def is_made_here(self, value: Value) -> bool:
        """Whether a value is computed in this segment."""
        return value.segment == self.number and not value.is_view

    def accepts(self, node: Node, shape: tuple[int, ...]) -> bool:
        """Whether the node can be run in the same blocks as those that are here."""
        if shape != self.shape or self.is_closed or len(self._reads) + len(self._writes) > MOST_PLACES:
            return False
        flat, target = self.is_flat and not node.by_row, node.target
        for value in node.values:
            if not isinstance(value, Value):
                continue
            if value.segment == self.number:
                if value.is_view or (value.is_reduced and value.shape != (*shape[:-1], 1)):
                    return False
                continue
            flat = flat and _is_flat(value, shape)
            if value.array is not None and self._writes and _clashes(value.place, self._writes.values()):
                return False
        if target is not None:
            if node.result.segment == self.number or self.looking:
                return False
            flat = flat and target.flags.c_contiguous
            place = node.result.place
            if _clashes(place, self._writes.values()):
                return False
            if _clashes(place, self._reads.values()) and not self._can_lag(node, target, flat):
                return False
        if isinstance(node.operation, Operation) and node.operation.casts and not flat:
            return False
        if not flat and _unit_elements(shape) > MOST_ELEMENTS:
            return False
        if not flat and any(isinstance(n.operation, Operation) and n.operation.casts for n in self.nodes):
            return False
        if isinstance(node.operation, Reduction) and not node.by_row:
            if node.operation.style in _LOOKS_AGAIN and (self._writes or len(self.looking) >= MOST_TOTALS):
                return False
            if node.operation.style == "pairwise":
                return flat
        return flat or not self.needs_flat

    def _can_lag(self, node: Node, target: Array, flat: bool) -> bool:
        """Whether an assignment over what was read is right when each block is written one block late."""
        (value,) = node.values if len(node.values) == 1 else (None,)
        if (
            not (isinstance(node.operation, Operation) and node.operation.copies)
            or not isinstance(value, Value)
            or not self.is_made_here(value)
            or value.is_reduced
            or value.array is not None
        ):
            return False
        if self._writes or self.needs_flat or not self.shape:
            return False
        block = (
            max(BLOCK_BYTES // 8 // UNIT, 1) * UNIT * target.itemsize
            if flat
            else row_unit(self.shape) * target.strides[0]
        )
        place = node.result.place
        start, *alike = place[2]
        for read in self._reads.values():
            if not _clashes(place, (read,)):
                continue
            at, *other = read[2]
            if other != alike or start - at > block:
                return False
        node.lags = True
        return True

    def add(self, node: Node) -> None:
        """Add a node that is accepted, or the first."""
        self.nodes.append(node)
        self.is_closed = node.lags
        if node.by_row:
            self.is_flat = False
        for value in node.values:
            if isinstance(value, Value) and not self.is_made_here(value):
                self.is_flat = self.is_flat and _is_flat(value, self.shape)
                if value.array is not None:
                    self._reads[value.place[2]] = value.place
                if value.segment >= 0 and not value.is_view:
                    value.crosses = True
        if node.target is not None:
            self.is_flat = self.is_flat and node.target.flags.c_contiguous
            self._writes[node.result.place[2]] = node.result.place
        else:
            node.result.segment = self.number
        if isinstance(node.operation, Reduction) and not node.by_row:
            self.needs_flat |= node.operation.style == "pairwise"
            if node.operation.style in _LOOKS_AGAIN:
                self.looking.append(node)

    def has_memory(self, value: Value) -> None:
        """A value was given memory: where it was read already, it was read there."""
        if any(value is operand for node in self.nodes for operand in node.values) and not self.is_made_here(value):
            self._reads[value.place[2]] = value.place

    @property
    def writes(self) -> bool:
        """Whether it writes into memory that was there before it."""
        return bool(self._writes)

    @property
    def again_bytes(self) -> int:
        """What it takes to store the operands of totals that are computed again."""
        return sum(node.values[0].nbytes for node in self.looking if node.values[0].array is None)

    def stored(self, forced: bool = False) -> list[Value]:
        """Results that need memory: what the table gets, what a later segment uses, and, where asked for, what has it already."""
        return [
            node.result for node in self.nodes
            if node.target is None and (
                forced if node.result.is_forced else node.result.is_alive or node.result.crosses
            )
        ]  # fmt: skip


def can_run(node: Node, shape: tuple[int, ...]) -> bool:
    """Whether a node can be in a segment at all."""
    flat = not node.by_row and all(_is_flat(v, shape) for v in node.values if isinstance(v, Value))
    if node.target is not None:
        flat = flat and node.target.flags.c_contiguous
    if flat:
        return True
    if isinstance(node.operation, Operation):
        if node.operation.casts:
            return False
    elif not node.by_row:
        return False
    return _unit_elements(shape) <= MOST_ELEMENTS


def row_unit(shape: tuple[int, ...]) -> int:
    """The fewest rows that are a multiple of `UNIT` elements, or all."""
    row = 1
    for n in shape[1:]:
        row *= n
    return min(UNIT // gcd(row, UNIT), shape[0])


def _unit_elements(shape: tuple[int, ...]) -> int:
    row = 1
    for n in shape[1:]:
        row *= n
    return row_unit(shape) * row


def settle(segments: list[Segment]) -> None:
    """Say of each segment which values are used there for the last time."""
    last: dict[int, tuple[Value, int]] = {}
    for segment in segments:
        segment.last_used = []
        for node in segment.nodes:
            for value in (*node.values, node.result):
                if isinstance(value, Value) and value.segment >= 0 and not value.is_view:
                    last[id(value)] = (value, segment.number)
    for value, number in last.values():
        segments[number].last_used.append(value)


def _is_total(node: Node) -> bool:
    return isinstance(node.operation, Reduction) and not node.by_row


def _is_flat(value: Value, shape: tuple[int, ...]) -> bool:
    if value.size == 1 and value.ndim <= len(shape):
        return True
    return value.shape == shape and (value.array is None or value.array.flags.c_contiguous)


def clash(a: Value, b: Value) -> bool:
    """Whether two values with memory may share it otherwise than element by element at the same places."""
    return _clashes(a.place, (b.place,))


def _clashes(place: Place, others: Iterable[Place]) -> bool:
    low, high, same = place
    return any(start < high and low < end and is_same != same for start, end, is_same in others)


# -- blocks -------------------------------------------------------------------------------------------------------------


class Scratch:
    """Memory for blocks, kept between windows."""

    def __init__(self) -> None:
        self._free: dict[int, list[Array]] = {}
        self._out: list[Array] = []

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array over scratch, until `give_back`."""
        nbytes = dtype.itemsize
        for n in shape:
            nbytes *= n
        room = max(-(-nbytes // BLOCK_BYTES), 1) * BLOCK_BYTES
        free = self._free.get(room)
        raw = free.pop() if free else np.empty(room, np.uint8)
        self._out.append(raw)
        piece: Array = raw[:nbytes].view(dtype)
        return piece.reshape(shape)

    def give_back(self) -> None:
        """All that was taken is free again. Unusually large pieces go."""
        for raw in self._out:
            if raw.nbytes <= 4 * BLOCK_BYTES:
                self._free.setdefault(raw.nbytes, []).append(raw)
        self._out = []


class Program:
    """A segment, ready to run.

    Slots hold what instructions name: scratch, parts of arrays, numbers. An instruction is (call, operand slots, result slot, kind).
    """

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.slots: list[Any] = []
        #: (slot, array): the array's rows of the block
        self.sliced: list[tuple[int, Array]] = []
        #: slots of scratch, cut for the last block
        self.scratch: list[int] = []
        self.code: list[tuple[Any, tuple[int, ...], int, int]] = []
        #: (node, parts): totals
        self.totals: list[tuple[Node, list[Any]]] = []
        self.block = 1
        self.rows = 1
        #: of a late write: the slot of what is written, and where
        self.late: tuple[int, Array] | None = None
        #: scratch that takes turns with that slot's
        self.turn: Array | None = None
        #: rows that the last block has at least, where there are more
        self.least = 1
        #: rows that scratch has room for
        self.room = 1

    def bounds(self) -> Iterator[tuple[int, int, int, int]]:
        """Of each block: where it begins and ends; and the part of it that totals are of, where blocks overlap."""
        low = 0
        if self.segment.needs_flat:
            for size in halves(self.rows, self.block):
                high = low + size
                yield low // UNIT * UNIT, min(-(-high // UNIT) * UNIT, self.rows), low, high
                low = high
            return
        while low < self.rows:
            high = low + self.block
            if high + self.least > self.rows:
                high = self.rows  # what is left is shorter than a vector, which alone would be no tail of one
            yield low, high, low, high
            low = high

    def run(self) -> None:
        """Compute all blocks, then the totals."""
        code, sliced, scratch = self.code, self.sliced, self.scratch
        whole, room, late, waiting = self.slots, self.room, self.late, None
        for low, high, first, last in self.bounds():
            slots, n = whole.copy(), high - low
            if n != room:
                for k in scratch:
                    slots[k] = slots[k][:n]
            for k, array in sliced:
                slots[k] = array[low:high]
            for call, operands, result, kind in code:
                if kind == _TWO:
                    call(slots[operands[0]], slots[operands[1]], out=slots[result])
                elif kind == _ONE:
                    call(slots[operands[0]], out=slots[result])
                elif kind == _MAKES:
                    slots[result] = call(*[slots[k] for k in operands])
                elif kind == _MAKES_INTO:
                    slots[result][...] = call(*[slots[k] for k in operands])
                else:
                    call(slots[operands[0]][first - low : last - low])
            if late is not None:
                if waiting is not None:
                    np.copyto(waiting[0], waiting[1])
                waiting = late[1][low:high], slots[late[0]]
                if self.turn is not None:
                    whole[late[0]], self.turn = self.turn, whole[late[0]]
        if waiting is not None:
            np.copyto(waiting[0], waiting[1])
        if self.totals:
            self._finish()

    def _finish(self) -> None:
        """The totals. Those that depend on the place are taken of their whole operands, which are stored for that long."""
        found = [(node, self._total(node, parts)) for node, parts in self.totals]
        again = [node for node, total in found if _depends_on_place(node, total)]
        stored = store_operands(self.segment, again) if again else []
        for node, total in found:
            how, (value,) = node.operation, node.values
            assert isinstance(how, Reduction) and node.result.array is not None
            if node in again:
                total = how.ufunc.reduce(value.array, axis=None)
            if how.divide:
                total = np.true_divide(total, np.asarray(value.size, how.dtype))
            node.result.array[...] = total
        for value in stored:
            value.array = None

    def _total(self, node: Node, parts: list[Any]) -> Any:
        how = node.operation
        assert isinstance(how, Reduction)
        if how.style == "count":
            return np.asarray(sum(parts), how.dtype)
        if how.style == "pairwise":
            return added(iter(parts), self.rows, self.block)
        return np.asarray(how.ufunc.reduce(np.array(parts, how.dtype)), how.dtype)


_TWO, _ONE, _MAKES, _MAKES_INTO, _TOTAL = range(5)


def _depends_on_place(node: Node, total: Any) -> bool:
    how = node.operation
    assert isinstance(how, Reduction)
    return bool(how.style in _LOOKS_AGAIN and (total != total or (how.style == "extremum" and total == 0)))


def store_operands(segment: Segment, totals: list[Node]) -> list[Value]:
    """Compute the operands of totals once more, and store them; returns those that had no memory. Nothing in the segment writes to what
    was there before. Raises MemoryError; then none has memory that had none."""
    stored: list[Value] = []
    try:
        for node in totals:
            (value,) = node.values
            if value.array is None:
                value.array = np.empty(value.shape, value.dtype)
                stored.append(value)
        if stored:
            wanted, nodes = {id(value) for value in stored}, []
            for node in reversed(segment.nodes):
                if not _is_total(node) and id(node.result) in wanted:
                    nodes.append(node)
                    wanted.update(id(value) for value in node.values)
            again = Segment(segment.number, segment.shape)
            for node in reversed(nodes):
                again.add(node)
            compile_segment(again, Scratch()).run()
    except MemoryError:
        for value in stored:
            value.array = None
        raise
    return stored


def compile_segment(segment: Segment, scratch: Scratch) -> Program:
    """The program of a segment whose stored values have their memory. Raises MemoryError."""
    return _Compiler(segment, scratch).program


class _Compiler:
    def __init__(self, segment: Segment, scratch: Scratch) -> None:
        self.segment = segment
        self.scratch = scratch
        self.program = program = Program(segment)
        shape = segment.shape
        size = 1
        for n in shape:
            size *= n
        widest = max(
            (v.dtype.itemsize for node in segment.nodes for v in (node.result, *node.values) if isinstance(v, Value)),
            default=8,
        )
        elements = BLOCK_BYTES // widest
        if segment.is_flat:
            self.shape: tuple[int, ...] = (size,)
            program.rows, program.block = size, min(max(elements // UNIT, 1) * UNIT, size)
        else:
            self.shape = shape
            row = max(size // shape[0], 1)
            unit = row_unit(shape)
            program.rows, program.block = shape[0], min(max(elements // row // unit, 1) * unit, shape[0])
        program.least = UNIT if segment.is_flat else UNIT // max(size // shape[0], 1) + 1
        program.room = min(program.block + (2 * UNIT if segment.needs_flat else program.least), program.rows)
        #: id of a value or array -> its slot
        self._slot: dict[int, int] = {}
        self._free: dict[np.dtype[Any], list[int]] = {}
        self._compile()
        scratch.give_back()

    def _new(self, content: Any) -> int:
        self.program.slots.append(content)
        return len(self.program.slots) - 1

    def _array_slot(self, array: Array, is_result: bool = False) -> int:
        """The slot of an array that was there before, or of a stored result."""
        found = self._slot.get(id(array))
        if found is None:
            part: Array = array
            if array.size == 1 and self.segment.is_flat:
                found = self._new(array.reshape(()))
            elif self.segment.is_flat:
                part = array.reshape(-1)
                found = self._new(None)
                self.program.sliced.append((found, part))
            elif is_result or (array.ndim == len(self.shape) and array.shape[0] == self.shape[0]):
                found = self._new(None)
                self.program.sliced.append((found, part))
            else:
                found = self._new(array)
            self._slot[id(array)] = found
        return found

    def _scratch_slot(self, value: Value) -> int:
        free = self._free.get(value.dtype)
        if free and not value.is_reduced:
            return free.pop()
        shape = (self.program.room, *(value.shape[1:] if value.is_reduced else self.shape[1:]))
        slot = self._new(self.scratch.take(shape, value.dtype))
        self.program.scratch.append(slot)
        return slot

    def _compile(self) -> None:
        segment = self.segment
        nodes = segment.nodes
        needed: list[bool] = [False] * len(nodes)
        last: dict[int, int] = {}
        used: set[int] = set()
        for k in range(len(nodes) - 1, -1, -1):
            node = nodes[k]
            value = node.result
            needed[k] = (
                node.target is not None
                or value.array is not None
                or value.is_alive
                or value.crosses
                or id(value) in used
            )
            if needed[k]:
                for operand in node.values:
                    if isinstance(operand, Value):
                        used.add(id(operand))
                        last.setdefault(id(operand), k)
        for k, node in enumerate(nodes):
            if needed[k]:
                self._instruction(k, node, last)

    def _instruction(self, k: int, node: Node, last: dict[int, int]) -> None:
        program, how, value = self.program, node.operation, node.result
        operands: list[int] = []
        dying: list[tuple[Value, int]] = []
        for operand in node.values:
            if not isinstance(operand, Value):
                operands.append(self._new(operand))
                continue
            if operand.array is not None:
                slot = self._array_slot(operand.array)
            else:
                slot = self._slot[id(operand)]
                if last[id(operand)] == k and not operand.is_reduced and all(slot != s for _, s in dying):
                    dying.append((operand, slot))
            operands.append(slot)
        if isinstance(how, Reduction) and not node.by_row:
            parts: list[Any] = []
            program.totals.append((node, parts))
            program.code.append((_partial(how, parts), tuple(operands), 0, _TOTAL))
            self._release(dying)
            return
        if node.lags:
            assert node.target is not None
            (slot,) = operands
            program.late = slot, node.target.reshape(-1) if self.segment.is_flat else node.target
            if slot in program.scratch:
                taken = program.slots[slot]
                program.turn = self.scratch.take(taken.shape, taken.dtype)
            return
        if isinstance(how, Operation) and how.overwrites and not how.makes:
            self._release(dying)
            dying = []
        if node.target is not None or value.array is not None:
            memory = node.target if node.target is not None else value.array
            assert memory is not None
            result = self._array_slot(memory, is_result=True)
            into = True
        elif isinstance(how, Operation) and how.makes:
            result, into = self._new(None), False
            self._slot[id(value)] = result
        else:
            result, into = self._scratch_slot(value), True
            self._slot[id(value)] = result
        self._release(dying)
        if isinstance(how, Reduction):
            program.code.append((_by_row(how), tuple(operands), result, _ONE))
        elif how.makes:
            program.code.append((how.call, tuple(operands), result, _MAKES_INTO if into else _MAKES))
        else:
            program.code.append((how.call, tuple(operands), result, _TWO if len(operands) == 2 else _ONE))

    def _release(self, dying: list[tuple[Value, int]]) -> None:
        for value, slot in dying:
            if slot in self.program.scratch:
                self._free.setdefault(value.dtype, []).append(slot)


def _partial(how: Reduction, parts: list[Any]) -> Callable[[Array], None]:
    append, reduce, dtype = parts.append, how.ufunc.reduce, how.dtype
    if how.style == "count":
        return lambda x: append(int(np.count_nonzero(x)))
    if how.ufunc in (np.logical_or, np.logical_and) or how.style == "extremum":
        return lambda x: append(reduce(x, axis=None))
    return lambda x: append(reduce(x, axis=None, dtype=dtype))


def _by_row(how: Reduction) -> Callable[..., Any]:
    reduce = how.ufunc.reduce
    dtype = None if how.ufunc in (np.logical_or, np.logical_and) else how.dtype
    return lambda x, out: reduce(x, axis=-1, dtype=dtype, out=out, keepdims=x.ndim == out.ndim)


__all__ = [
    "Node",
    "Program",
    "Scratch",
    "Segment",
    "Value",
    "can_run",
    "clash",
    "compile_segment",
    "settle",
]
