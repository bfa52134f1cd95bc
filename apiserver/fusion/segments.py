"""Segments: nodes over one shape, and which of them may be in one. `programs.py` runs them.

Two ways through a shape. *Flat*: every operand that was there before is packed and of the whole shape, or one element: blocks of elements.
*By rows*: blocks of whole rows (of the first dimension), operands broadcast and strided as they are.

Note [Late writes]: `u[1:-1] = f(u[2:], u[:-2])` reads what it writes, a little further on or back. Blocks run in order, and each is written
after the operands of the next have been read: what the next ones read from before their own place, at most a block back, is as it was.
Nothing follows such an assignment in its segment.

Boundary: knows arrays and NumPy's functions; nothing of handles, forms or accounts.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd
from typing import Any

import numpy as np

from ..devices.cpu.memory import address_of, extent
from .kinds import Operation, Reduction
from .proof import UNIT

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
LOOKS_AGAIN = ("pairwise", "extremum")


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
        #: bytes that a late write's operands reach back, at most
        self.reach = 0
        #: by what tells them apart
        self._reads: dict[Any, Place] = {}
        self._writes: dict[Any, Place] = {}
        #: a result lies over an operand that dies
        self.is_over = False
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
            if node.operation.style in LOOKS_AGAIN and (self._writes or len(self.looking) >= MOST_TOTALS):
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
        reach = 0
        for read in self._reads.values():
            if not _clashes(place, (read,)):
                continue
            at, *other = read[2]
            if other != alike or start - at > block:
                return False
            reach = max(reach, start - at)
        node.lags = True
        self.reach = reach
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
            if node.operation.style in LOOKS_AGAIN:
                self.looking.append(node)

    @property
    def reach_rows(self) -> int:
        """Rows that a late write's operands reach back, at most."""
        target = self.nodes[-1].target
        return -(-self.reach // target.strides[0]) if self.reach and target is not None else 0

    def has_memory(self, value: Value) -> None:
        """A value was given memory: where it was read already, it was read there."""
        if any(value is operand for node in self.nodes for operand in node.values) and not self.is_made_here(value):
            self._reads[value.place[2]] = value.place

    def read_addresses(self) -> list[int]:
        """Where what it reads begins, of memory that was there before."""
        return [place[2][0] for place in self._reads.values()]

    def may_lie_over(self, value: Value, last: int) -> bool:
        """Whether a result may lie over an operand of its shape and dtype that the node `last` is the last one to use: each block is read
        before it is written, and once."""
        if self.needs_flat or self.looking or self.nodes[-1].lags or value.shape != self.shape:
            return False
        for k, node in enumerate(self.nodes):
            if node.result is value:
                how = node.operation
                over = isinstance(how, Operation) and how.overwrites and not how.makes
                return node.target is None and (k > last or (k == last and over))
        return False

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


def is_total(node: Node) -> bool:
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
