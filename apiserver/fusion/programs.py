"""Programs: a segment compiled into what runs it block by block.

Note [Sums in blocks]: NumPy adds a packed row of n floating point numbers by halves: n2 = n // 2, less n2 % 8, down to runs of 128. A part
of that tree is what `add.reduce` gives for it alone, so totals are taken of parts that end where halves end, and added up by the same
tree. Other reductions that join give the same whatever the order, but for an extremum that is a zero: which zero depends on the place, as
does which NaN a sum or an extremum gives. Then the operand is stored after all, and NumPy looks at the whole.

Blocks are multiples of `UNIT` elements, see Note [Bits of a loop] in proof.py; where sums' halves end elsewhere, blocks overlap by a few.

Boundary: knows arrays and NumPy's functions; nothing of handles, forms or accounts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import gcd, lcm, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from .kinds import Operation, Reduction
from .proof import UNIT, added, halves
from .segments import BLOCK_BYTES, LOOKS_AGAIN, Node, Segment, Value, is_total, row_unit

if TYPE_CHECKING:
    from .driver import Team
    from .tables import Lowered

Array = np.ndarray[Any, Any]
#: Bytes of scratch of the driver's threads that are kept for the next segment.
MOST_SHARED = 64 << 20


class Scratch:
    """Memory for blocks, kept between windows."""

    def __init__(self) -> None:
        self._free: dict[int, list[Array]] = {}
        self._out: list[Array] = []
        self._shared: Array = np.empty(0, np.uint8)

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

    def shared(self, nbytes: int) -> Array:
        """Memory that all segments of a window use in turn, each for all its threads."""
        if self._shared.nbytes < nbytes or self._shared.nbytes > max(nbytes, MOST_SHARED):
            self._shared = np.empty(nbytes, np.uint8)
        return self._shared

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
        #: the node of each instruction
        self.nodes: list[Node] = []
        #: of one row
        self.inner: tuple[int, ...] = ()
        #: what runs it without the interpreter; None: `run` does
        self.lowered: Lowered | None = None
        #: whether the parts of sums are added up already
        self.is_added = False
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
        #: blocks end within vectors: for the driver alone, see `PACKED` there
        self.is_ragged = False

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

    def run(self, team: Team | None = None) -> None:
        """Compute all blocks, then the totals.

        Args:
            team: of the driver, where `lowered` is there.

        Raises:
            ProtocolError: a loop failed that cannot.
        """
        if self.lowered is not None and team is not None:
            self.lowered.run(self, team)
            self.is_added = True
        else:
            self._run_blocks()
        if self.totals:
            self._finish()

    def _run_blocks(self) -> None:
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
                elif kind == _MANY:
                    call(*[slots[k] for k in operands], out=slots[result])
                elif kind == _MAKES:
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
            if how.root:
                total = np.sqrt(total)
            node.result.array[...] = total
        for value in stored:
            value.array = None

    def _total(self, node: Node, parts: list[Any]) -> Any:
        how = node.operation
        assert isinstance(how, Reduction)
        if how.style == "count":
            return np.asarray(sum(parts), how.dtype)
        if how.style == "pairwise":
            return parts[0] if self.is_added else added(iter(parts), self.rows, self.block)
        return np.asarray(how.ufunc.reduce(np.array(parts, how.dtype)), how.dtype)


_TWO, _ONE, _MANY, _MAKES, _TOTAL = range(5)


def _depends_on_place(node: Node, total: Any) -> bool:
    how = node.operation
    assert isinstance(how, Reduction)
    return bool(how.style in LOOKS_AGAIN and (total != total or (how.style == "extremum" and total == 0)))


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
                if not is_total(node) and id(node.result) in wanted:
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


def compile_segment(segment: Segment, scratch: Scratch, block_bytes: int = 0, may_be_ragged: bool = False) -> Program:
    """The program of a segment whose stored values have their memory. Raises MemoryError.

    Args:
        block_bytes: other than `BLOCK_BYTES`.
        may_be_ragged: blocks may be of any number of rows.
    """
    return _Compiler(segment, scratch, block_bytes or BLOCK_BYTES, may_be_ragged).program


#: Elements of NumPy's buffers.
_BUFFER = 8192


def _chunk_unit(shape: tuple[int, ...]) -> int:
    """The fewest rows after which NumPy, too, begins anew, or all: `row_unit`, and whole chunks where a chunk has a tail.

    See Note [Rows that are apart] in trials.py. Blocks that the interpreter runs are calls of NumPy's own, which cuts each into chunks from
    its beginning. The driver has its own way; its smaller blocks need no more than `row_unit`.
    """
    rows, inner = row_unit(shape), 1
    for n in shape[:0:-1]:
        inner *= n
        chunk = _BUFFER // max(inner, 1)
        if chunk > 1 and chunk * inner % UNIT:
            whole = prod(shape[1:]) // inner  # rows of this kind in one of the array's
            rows = lcm(rows, chunk // gcd(chunk, whole))
    return min(rows, shape[0])


class _Compiler:
    def __init__(self, segment: Segment, scratch: Scratch, block_bytes: int, may_be_ragged: bool) -> None:
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
        elements = block_bytes // widest
        if segment.is_flat:
            self.shape: tuple[int, ...] = (size,)
            program.rows, program.block = size, min(max(elements // UNIT, 1) * UNIT, size)
        else:
            self.shape = shape
            row = max(size // shape[0], 1)
            unit = row_unit(shape) if block_bytes != BLOCK_BYTES else _chunk_unit(shape)
            program.rows, program.block = shape[0], min(max(elements // row // unit, 1) * unit, shape[0])
        program.least = UNIT if segment.is_flat else UNIT // max(size // shape[0], 1) + 1
        if may_be_ragged and not segment.is_flat:
            # At least a vector and a tail in each.
            row = max(size // shape[0], 1)
            program.least = -(-2 * UNIT // row)
            program.block = min(max(elements // row, program.least, segment.reach_rows), shape[0])
            program.is_ragged = program.block < shape[0] and program.block * row % UNIT != 0
        program.room = min(program.block + (2 * UNIT if segment.needs_flat else program.least), program.rows)
        program.inner = self.shape[1:]
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
            self._emit(node, _partial(how, parts), operands, 0, _TOTAL)
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
        else:
            result = self._scratch_slot(value)
            self._slot[id(value)] = result
        self._release(dying)
        if isinstance(how, Reduction):
            self._emit(node, _by_row(how), operands, result, _ONE)
        elif how.makes:
            self._emit(node, how.call, operands, result, _MAKES)
        else:
            self._emit(node, how.call, operands, result, {1: _ONE, 2: _TWO}.get(len(operands), _MANY))

    def _emit(self, node: Node, call: Callable[..., Any], operands: list[int], result: int, kind: int) -> None:
        self.program.code.append((call, tuple(operands), result, kind))
        self.program.nodes.append(node)

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
    if how.divide:

        def mean(x: Array, out: Array) -> None:
            reduce(x, axis=-1, dtype=dtype, out=out, keepdims=x.ndim == out.ndim)
            np.true_divide(out, np.asarray(x.shape[-1], how.dtype), out=out)
            if how.root:
                np.sqrt(out, out=out)

        return mean
    return lambda x, out: reduce(x, axis=-1, dtype=dtype, out=out, keepdims=x.ndim == out.ndim)


__all__ = ["Program", "Scratch", "compile_segment"]
