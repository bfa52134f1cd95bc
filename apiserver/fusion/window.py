"""A window: the commands of a batch that are collected, and what they are run as.

Commands join while they only compute elements from elements (or reduce them at the end), name views, or free. Looking at them changes
nothing but the account, which is charged and refunded exactly as if each command had run in its turn. Then the window is divided
into *segments*, each run in blocks (`programs.py`), and at last the table gets what is still alive, in the order of the commands.

Note [Fusion]: a window lies within one batch, so that at a batch's end nothing is pending: moves, checkpoints, captures, replies and
acknowledgements know nothing of it. No command that joined can fail: operands, dtypes, shapes, handles and room were seen to be right.
What could not be, ends the window and runs as ever. A value that is freed within the window is stored only if something looks
into its memory (a view) or it is used in a later segment.

Cases of a node, for the order of reads and writes: results that are new lie in memory of their own, so that any order is right. A command
that writes into memory that was there before (`out=`, assignment) writes block by block, after the reads of the same block: that is right
where every other access of that memory in the segment is to the same elements at the same places; else a new segment begins.

Memory: until a window has run, operands that it frees are still held, and what crosses segments is stored. All of that together with what
is charged must be within the session's limit; else the window is made shorter. Scratch is two or three blocks for each thread beside.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cupool.contract.spec import Spec, spec_of

from .. import lastuse
from ..devices.cpu import memory
from ..forms import SLOT_REAL
from . import waves
from .books import MARK, PUT, STEP, Books
from .kinds import CHARS, MIN_ELEMENTS, Join, Operation, Reduction, Spread, copy_into, is_cheap
from .segments import Node, Segment, Value, can_run, clash, settle

if TYPE_CHECKING:
    from . import Fusion

Array = np.ndarray[Any, Any]

#: Operands that a result is tried over, at most.
_MOST_TRIED = 4


class Window(Books):
    """One window over the words of a batch."""

    def __init__(self, fusion: Fusion) -> None:
        super().__init__(fusion.executor)
        self._fusion = fusion
        self._segments: list[Segment] = []
        #: handle -> an operand that is freed here, and that nobody looks into
        self._dying: dict[int, Value] = {}
        #: whether memory that was there before may have been written
        self.has_written = False

    # -- looking ------------------------------------------------------------------------------------------------------

    def _admit(self, array: Array) -> Value | None:
        if type(array) is not np.ndarray or array.dtype.char not in CHARS or not array.dtype.isnative:
            return None
        if not array.flags.aligned or not _is_plain(array):
            return None
        return Value(array.shape, array.dtype, array)

    # -- commands -----------------------------------------------------------------------------------------------------

    def _dies(self, handle: int, found: Value) -> None:
        if self._executor.reuses and found.nbytes >= lastuse.LEAST_BYTES:
            self._dying[handle] = found

    def map(self, join: Join, words: list[int], i: int) -> bool:
        """An elementwise command with a new result."""
        spec, handle = join.spec, words[i + 1]
        found = self._operands_of(join, words, i)
        if found is None or spec is None or not self._is_free(handle):
            return False
        values, key = found
        operation: Operation | None = join.bind(key, join.read)
        if operation is None or operation.dtype != spec.dtype or _shape(values) != spec.shape:
            return False
        result = Value(spec.shape, spec.dtype)
        node = Node(operation, values, result, None, False)
        if not can_run(node, spec.shape) or not self._charge(join.form.charge):
            return False
        self._add(node, spec.shape)
        self._made[handle] = result
        self._actions.append((PUT, handle, None))
        return True

    def clip(self, join: Join, words: list[int], i: int) -> bool:
        """An elementwise command whose numbers must be some: NaN is a limit of another kind."""
        reals = self._executor.reals
        if any(kind == SLOT_REAL and reals[i + at] != reals[i + at] for kind, at in join.operands):
            return False
        return self.map(join, words, i)

    def map_into(self, join: Join, words: list[int], i: int) -> bool:
        """An elementwise command with `out=`."""
        handle = words[i + join.out_at]
        found, target = self._operands_of(join, words, i), self.value(handle)
        if found is None or target is None or target.size < MIN_ELEMENTS:
            return False
        values, key = found
        operation: Operation | None = join.bind(key, join.read)
        if operation is None or operation.dtype != target.dtype or _shape(values) != target.shape:
            return False
        return self._write(operation, values, handle, target)

    def _write(self, operation: Operation, values: list[Any], handle: int, target: Value) -> bool:
        if (
            target.array is None
            and not target.is_reduced
            and (not self._segments or target.segment == self._segments[-1].number)
        ):
            # It is new and nothing looks into its memory: what is under the handle from here on is another value.
            result = Value(target.shape, target.dtype)
            node = Node(operation, values, result, None, False)
            if not can_run(node, target.shape):
                return False
            self._add(node, target.shape)
            target.is_dead = True
            self._made[handle] = result
            return True
        array = self._force(target) if target.array is None else target.array
        if array is None or not array.flags.writeable or not _is_plain(array) or _overlap(values, target):
            return False
        node = Node(operation, values, target, array, False)
        if not can_run(node, target.shape):
            return False
        self._add(node, target.shape)
        self._actions.append((MARK, handle, None))
        return True

    def put(self, join: Join, words: list[int], i: int) -> bool:
        """`a[slices] = value`, of the same shape and dtype."""
        handle = words[i + join.out_at]
        found, owner = self._operands_of(join, words, i), self.value(handle)
        if found is None or owner is None or (owner.array is None and owner.size < MIN_ELEMENTS):
            return False
        (value,), _ = found
        array = self._force(owner) if owner.array is None else owner.array
        if array is None:
            return False
        try:
            view = array[join.read]
        except IndexError:
            return False
        if view.shape != value.shape or view.dtype != value.dtype or view.size < MIN_ELEMENTS:
            return False
        target = Value(view.shape, view.dtype, view)
        if not view.flags.writeable or not _is_plain(view) or _overlap([value], target):
            return False
        target.segment = owner.segment
        target.is_view = True
        node = Node(_copying(view.dtype), [value], target, view, False)
        if not can_run(node, view.shape):
            return False
        self._add(node, view.shape)
        self._actions.append((MARK, handle, None))
        return True

    def view(self, join: Join, words: list[int], i: int) -> bool:
        """A view, made as it will be made in the table when the window has run."""
        handle, spec = words[i + 1], join.spec
        owner = self.value(words[i + join.operands[0][1]])
        if owner is None or spec is None or not self._is_free(handle) or spec.dtype.char not in CHARS:
            return False
        array = self._force(owner) if owner.array is None else owner.array
        if array is None:
            return False
        try:
            view = memory.view(array, join.read(words, i), spec)
        except ValueError:
            return False
        if not _is_plain(view) or not view.flags.aligned or not view.dtype.isnative:
            return False
        made = Value(spec.shape, spec.dtype, view)
        made.is_view, made.segment = True, owner.segment
        self._made[handle] = made
        self._holder(memory.root_of(array), words[i + join.operands[0][1]])[0].add(handle)
        self._actions.append((STEP, i, join.form))
        return True

    def reduce(self, join: Join, words: list[int], i: int) -> bool:
        """A sum, mean, extremum or truth, of everything or along the last axis."""
        spec, handle = join.spec, words[i + 1]
        found = self._operands_of(join, words, i)
        if found is None or spec is None or not self._is_free(handle):
            return False
        (value,), key = found
        reduction: Reduction | None = join.bind(key, join.read)
        if reduction is None or not self._is_reducible(value):
            return False
        shape = _reduced(join, value)
        node = self._reducing(join, reduction, value, spec.shape)
        if shape != spec.shape or not can_run(node, value.shape) or not self._charge(join.form.charge):
            return False
        self._add(node, value.shape)
        self._made[handle] = node.result
        self._actions.append((PUT, handle, None))
        return True

    def spread(self, join: Join, words: list[int], i: int) -> bool:
        """A variance or its root, of everything or along the last axis: four steps, as the device takes them."""
        spec, handle = join.spec, words[i + 1]
        found = self._operands_of(join, words, i)
        if found is None or spec is None or not self._is_free(handle):
            return False
        (value,), key = found
        steps: Spread | None = join.bind(key, join.read)
        if steps is None or not self._is_reducible(value) or _reduced(join, value) != spec.shape:
            return False
        by_row = join.axis is not None
        mean = self._reducing(join, steps.mean, value, (*value.shape[:-1], 1) if by_row else ())
        rest, square = (Value(value.shape, value.dtype) for _ in range(2))
        nodes = (
            mean,
            Node(steps.subtract, [value, mean.result], rest, None, False),
            Node(steps.multiply, [rest, rest], square, None, False),
            self._reducing(join, steps.last, square, spec.shape),
        )
        if not all(can_run(node, value.shape) for node in nodes) or not self._charge(join.form.charge):
            return False
        for node in nodes:
            self._add(node, value.shape)
        self._made[handle] = nodes[-1].result
        self._actions.append((PUT, handle, None))
        return True

    @staticmethod
    def _is_reducible(value: Value) -> bool:
        return value.size >= MIN_ELEMENTS and (value.array is None or value.array.flags.c_contiguous)

    @staticmethod
    def _reducing(join: Join, how: Reduction, value: Value, shape: tuple[int, ...]) -> Node:
        result = Value(shape, how.dtype)
        result.is_reduced = True
        return Node(how, [value], result, None, by_row=join.axis is not None)

    def _force(self, value: Value) -> Array | None:
        """Give a value memory now, because something looks into it; None where there is none."""
        if value.is_reduced:
            return None
        try:
            value.array = memory.empty(spec_of(value.shape, value.dtype))
        except MemoryError:
            return None
        value.is_forced = True
        for segment in self._segments[value.segment + 1 :]:
            segment.has_memory(value)
        return value.array

    def _add(self, node: Node, shape: tuple[int, ...]) -> None:
        segments = self._segments
        if not segments or not segments[-1].accepts(node, shape):
            segments.append(Segment(len(segments), shape))
        segments[-1].add(node)
        self.is_worth = (
            self.is_worth or len(segments[-1].nodes) > 1 or self._fusion.shares(shape, is_cheap(node.operation))
        )

    # -- running ------------------------------------------------------------------------------------------------------

    def fits(self) -> bool:
        """Whether all that it needs at once is within the limit."""
        for value in self._made.values():
            value.is_alive = not value.is_view
        settle(self._segments)
        need = self._held
        for segment in self._segments:
            need += sum(value.nbytes for value in segment.stored(forced=True))
        need += max(segment.again_bytes for segment in self._segments)
        return self._account.has_room(self._before[0] + need - self._account.used)

    def run(self) -> None:
        """Compute.

        Raises:
            MemoryError: the machine has no more memory; `has_written` says whether anything may have changed that was there before.
        """
        programs, dying = [], self._last_uses()
        spare: dict[tuple[Any, ...], list[Array]] = {}
        for segment in self._segments:
            # All memory is had before anything runs: after the first write nothing may fail.
            for value in segment.stored():
                fit = spare.get((value.shape, value.dtype))
                over = dying.get((segment.number, value.shape, value.dtype))
                value.array = fit.pop() if fit else self._over(segment, value, over) if over else None
                if value.array is None:
                    value.array = memory.empty(spec_of(value.shape, value.dtype))
            programs.append(self._fusion.program(segment))
            for value in segment.last_used:
                if not value.is_alive and not value.is_forced and value.array is not None:
                    spare.setdefault((value.shape, value.dtype), []).append(value.array)
        with self._fusion.team(programs) as team:
            together = team if self._fusion.has_waves else None
            for wave in list(waves.divided(programs, self._fusion.scratch, together)):
                self.has_written |= any(p.segment.writes or p.segment.is_over for p in wave.programs)
                wave.run(team)
                self._fusion.waves += len(wave.programs) > 1

    def _last_uses(self) -> dict[tuple[Any, ...], list[tuple[int, int]]]:
        """Of operands that die here and are used in one segment: (its number, shape, dtype) -> their handles, and the last node of each."""
        wanted = {id(value): handle for handle, value in self._dying.items()}
        uses: dict[int, tuple[int, int]] = {}
        for segment in self._segments if wanted else ():
            for k, node in enumerate(segment.nodes):
                for value in (node.result, *node.values):
                    handle = wanted.get(id(value))
                    if handle is not None:
                        number, _ = uses.get(handle, (segment.number, 0))
                        uses[handle] = (number, k) if number == segment.number and value is not node.result else (-1, 0)
        found: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
        for handle, (number, k) in uses.items():
            dying = self._dying[handle]
            found.setdefault((number, dying.shape, dying.dtype), []).append((handle, k))
        return found

    def _over(self, segment: Segment, value: Value, dying: list[tuple[int, int]]) -> Array | None:
        """The memory of an operand, for a result that may lie over it: Note [Last use] in lastuse.py. None: there is none."""
        for item in dying[:_MOST_TRIED]:
            handle, last = item
            if not segment.may_lie_over(value, last):
                continue
            operand = self._dying[handle]
            operand.array = None
            is_free = lastuse.is_last(self._table, handle)
            operand.array = self._table[handle]
            dying.remove(item)
            if is_free:
                segment.is_over = True
                self._executor.last_uses += 1
                return operand.array
        return None


@cache
def _copying(dtype: np.dtype[Any]) -> Operation:
    """Always the same one: templates tell operations apart by themselves."""
    return Operation(copy_into, dtype, copies=True)


def _shape(values: list[Any]) -> tuple[int, ...] | None:
    """The shape of an elementwise result; None where there is none."""
    shapes = {value.shape for value in values if isinstance(value, Value)}
    if len(shapes) == 1:
        return shapes.pop()
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None


def _reduced(join: Join, value: Value) -> tuple[int, ...] | None:
    """The shape of a reduction's result; None where it is along another axis than the last."""
    if join.axis is None:
        return ()
    axis, keepdims = join.axis
    if value.ndim < 2 or axis not in (-1, value.ndim - 1) or value.shape[-1] < 2:
        return None
    return (*value.shape[:-1], 1) if keepdims else value.shape[:-1]


def _overlap(values: list[Any], target: Value) -> bool:
    """Whether an operand lies in what is written, otherwise than element by element."""
    return any(isinstance(v, Value) and v.array is not None and clash(v, target) for v in values)


def _is_plain(array: Array) -> bool:
    """Whether an array's dimensions lie in memory in their order, forwards and without overlap: then NumPy goes through a block of it as it
    goes through the whole."""
    if array.flags.c_contiguous:
        return True
    reach = array.itemsize
    for stride, n in zip(reversed(array.strides), reversed(array.shape), strict=True):
        if n > 1:
            if stride < reach:
                return False
            reach = stride * n
    return True


__all__ = ["Spec", "Window"]
