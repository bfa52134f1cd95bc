"""Lowering: a program as tables for the driver, which runs it on several cores (`driver.cc` has the tables' layout).

The driver checks nothing, so what it is told is proven here (Note [Bounds of the driver]): every operand of a step is an array's memory, a
piece of scratch, or a number. Of an array every dimension is that of the program or is repeated, and no stride is negative, so all that
a step touches are elements of it; scratch has room for the largest block. What cannot be lowered, or whose trial failed (`trials.py`),
is run by the interpreter, the whole segment with it.

Threads: blocks of a segment are independent, except where it writes late (Note [Late writes] in segments.py). There threads take runs
of blocks, which is right where operands reach no further than a block to either side of what is written; else one thread runs it.

Boundary: knows programs and loops; nothing of handles, forms or accounts.
"""

from __future__ import annotations

from array import array
from math import prod
from typing import Any, Protocol

import numpy as np

from ..devices.cpu.memory import address_of, extent
from .driver import STEP_WORDS, WORK_OF_A_THREAD
from .kinds import Operation, Reduction
from .loops import Loop, loop_of
from .programs import Program, Scratch
from .proof import UNIT
from .segments import Node, Value
from .tables import ALIGNMENT, LATE, Lowered

Array = np.ndarray[Any, Any]

_MEMORY, _SCRATCH, _TURNING = range(3)
_LOOP, _CAST, _COPY, _WHERE, _ROWS, _TOTAL, _COUNT, _CHUNKS, _PACKED = range(9)
_OPERANDS, _DIMENSIONS = 4, 8
#: The word of a step that says where parts go.
_PARTS_AT = 11
#: By kind and size, in the order of the driver's casts.
_KINDS = {k: i for i, k in enumerate(("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"))}
_NO_LOOP = Loop(0, 0, 0)
_PAGE = 4096
#: Elements of NumPy's buffers, and of the shortest row that `CHUNKS` takes.
_BUFFER, _SHORTEST = 8192, 128


class Ways(Protocol):
    """Says how the driver gives NumPy's bits, see `trials.py`."""

    def flat(self, how: Operation, given: tuple[Any, ...]) -> bool:
        """Packed operands, of these dtypes; (dtype,) for one element of an array, None for a number."""
        ...

    def rows(self, how: Operation, given: tuple[Any, ...], width: int) -> str:
        """Rows that are apart: "rows", each by itself; "chunks"; "" where neither is right.

        Args:
            given: (dtype, has rows of its own, has columns of its own) of each operand; None for a number.
            width: elements of a row.
        """
        ...

    def reduces(self, how: Reduction, given: np.dtype[Any], by_row: bool) -> bool:
        """Of an operand of that dtype."""
        ...


def _is_single(found: tuple[int, int, tuple[int, ...], np.dtype[Any]]) -> bool:
    """Whether an operand is one element for all."""
    return not found[1] and not any(found[2])


class _Cannot(Exception):
    """This program is the interpreter's."""


def lower(program: Program, scratch: Scratch, threads: int, ways: Ways) -> Lowered | None:
    """Tables for the driver; None where the interpreter must run it. Raises MemoryError."""
    try:
        return _Lowering(program, scratch, threads, ways).lowered
    except _Cannot:
        return None


class _Lowering:
    def __init__(self, program: Program, scratch: Scratch, threads: int, ways: Ways) -> None:
        self._program = program
        self._ways = ways
        self._inner = program.inner
        self._row = prod(program.inner)
        self._sliced = dict(program.sliced)
        self._scratch_bytes = 0
        self._side = -1
        #: bytes of turning scratch of a run
        self._turning = 0
        self._slots = array("q")
        self._steps = array("q")
        #: slot of the program -> (the driver's slot, bytes of a row, strides of the inner dimensions, dtype)
        self._known: dict[int, tuple[int, int, tuple[int, ...], np.dtype[Any]]] = {}
        #: temporary operands that are converted, by their place
        self._converted: dict[int, int] = {}
        self._blocks = _blocks(program)
        self._count = len(self._blocks) // 4
        late = self._late_slot()
        work = program.rows * self._row * max(len(program.code), 1)
        threads = min(threads, self._count) if work >= 2 * WORK_OF_A_THREAD else 1
        self.lowered = Lowered(threads if late is None or self._stays_near() else 1)
        for (_, operands, result, _), node in zip(program.code, program.nodes, strict=True):
            self._step(node, operands, result)
        late_words = self._late_step(late)
        self._finish(late_words, scratch)

    # -- memory -------------------------------------------------------------------------------------------------------

    def _slot(self, kind: int, base: int, step: int) -> int:
        self._slots.extend((kind, base, step))
        return len(self._slots) // 3 - 1

    def _take(self, nbytes: int) -> int:
        """Scratch of each thread; its offset."""
        at = self._scratch_bytes
        self._scratch_bytes = at + -(-nbytes // ALIGNMENT) * ALIGNMENT
        return at

    def _operand(self, slot: int) -> tuple[int, int, tuple[int, ...], np.dtype[Any]]:
        """The driver's slot of one of the program's, with the strides of its elements within a block."""
        found = self._known.get(slot)
        if found is not None:
            return found
        program = self._program
        memory = self._sliced.get(slot)
        if memory is not None:
            if memory.shape[0] != program.rows:
                raise _Cannot
            inner = self._strides(memory, 1)
            at = self._memory(slot, memory, memory.strides[0])
            found = at, memory.strides[0], inner, memory.dtype
        else:
            content = program.slots[slot]
            if not isinstance(content, np.ndarray):
                raise _Cannot
            if slot in program.scratch:
                inner = self._strides(content, 1)
                base = self._take(content.nbytes)
                found = self._slot(_SCRATCH, base, 0), content.strides[0], inner, content.dtype
            else:
                first = max(content.ndim - len(self._inner), 0)
                if prod(content.shape[:first]) != 1:
                    raise _Cannot
                inner = self._strides(content, first)
                found = self._memory(slot, content, 0), 0, inner, content.dtype
        self._known[slot] = found
        return found

    def _strides(self, memory: Array, first: int) -> tuple[int, ...]:
        """Of the inner dimensions, 0 where the array is repeated. `first`: the array's dimension that is the first inner one."""
        shape, strides = memory.shape[first:], memory.strides[first:]
        missing = len(self._inner) - len(shape)
        if missing < 0:
            raise _Cannot
        found = [0] * missing
        for n, stride, whole in zip(shape, strides, self._inner[missing:], strict=True):
            if n != whole and n != 1:
                raise _Cannot
            found.append(stride if n != 1 else 0)
        return tuple(found)

    def _first(self, memory: Array) -> int:
        """The address of an array that stays: Note [Bounds of the driver]. Arrays are NumPy's, so their elements lie in memory."""
        if any(stride < 0 for stride in memory.strides) or not memory.flags.aligned:
            raise _Cannot
        return address_of(memory)

    def _memory(self, slot: int, memory: Array, step: int) -> int:
        """The driver's slot of an array. `slot`: the program's, or `LATE`."""
        at = self._slot(_MEMORY, self._first(memory), step)
        self.lowered.kept.append(memory)
        self.lowered.origins.append((at, slot))
        return at

    def _number(self, number: Any, dtype: np.dtype[Any]) -> tuple[int, int, tuple[int, ...], np.dtype[Any]]:
        held = np.empty(1, dtype)
        held[0] = number
        if type(number) is int and dtype.kind == "f" and int(held[0]) != number:
            raise _Cannot  # NumPy may round it in another way
        self.lowered.numbers.append(held)
        return self._slot(_MEMORY, self._first(held), 0), 0, (0,) * len(self._inner), dtype

    def _as(self, place: int, found: tuple[int, int, tuple[int, ...], np.dtype[Any]], dtype: np.dtype[Any]) -> Any:
        """An operand in the dtype of the loop, converted where it is another one."""
        if found[3] == dtype:
            return found
        if found[3].kind == "f" and dtype.kind in "iu":
            raise _Cannot
        slot = self._converted.get(place)
        if slot is None:
            slot = self._converted[place] = self._slot(_SCRATCH, self._take(8 * self._program.room * self._row), 0)
        strides = []
        # One element for all stays one, as it does in NumPy: loops have ways of their own for it, which hand on another NaN.
        stride = 0 if _is_single(found) else dtype.itemsize
        for n in reversed(self._inner):
            strides.append(stride)
            stride *= n
        converted = slot, stride, tuple(reversed(strides)), dtype
        self._elementwise(_CAST, (found, converted), detail=_cast(found[3], dtype))
        return converted

    # -- steps --------------------------------------------------------------------------------------------------------

    def _step(self, node: Node, operands: tuple[int, ...], result: int) -> None:
        how = node.operation
        given = [
            self._operand(slot) if isinstance(value, Value) else None
            for slot, value in zip(operands, node.values, strict=True)
        ]
        if isinstance(how, Reduction):
            self._reduction(how, given[0], node.by_row, result)
            return
        if not self._ways.flat(
            how, tuple(found and ((found[3],) if _is_single(found) else found[3]) for found in given)
        ):
            raise _Cannot
        out = self._operand(result)
        if how.makes:
            mask, x, y = given
            y = y if y is not None else self._number(self._program.slots[operands[2]], how.dtype)
            if mask is None or x is None or not x[3] == y[3] == out[3]:
                raise _Cannot
            self._elementwise(_WHERE, (mask, x, y, out), detail=how.dtype.itemsize)
        elif how.copies or how.converts:
            (x,) = given
            if x is None:
                raise _Cannot
            if x[3] == out[3]:
                self._elementwise(_COPY, (x, out), detail=out[3].itemsize)
            else:
                self._elementwise(_CAST, (x, out), detail=_cast(x[3], out[3]))
        else:
            if how.ufunc is None or out[3] != how.dtype:
                raise _Cannot
            taken = [
                self._number(self._program.slots[slot], dtype) if found is None else self._as(place, found, dtype)
                for place, (slot, found, dtype) in enumerate(zip(operands, given, how.inputs, strict=True))
            ]
            self._elementwise(_LOOP, (*taken, out), how=how)

    def _elementwise(self, op: int, operands: tuple[Any, ...], detail: int = 0, how: Operation | None = None) -> None:
        sizes, strides, factor = _coalesced(self._inner, [(found[1], *found[2]) for found in operands])
        if how is None:
            self._emit(op, operands, sizes, strides, factor, _NO_LOOP, detail)
            return
        assert how.ufunc is not None
        dtypes = (*how.inputs, how.dtype)
        width = sizes[-1]
        way = "rows"
        if len(sizes) > 1:
            pattern = tuple(
                (d, of[0] != 0, of[-1] != 0) if any(of) else None
                for d, of in zip(how.inputs, strides[:-1], strict=True)
            )
            way = self._ways.rows(how, pattern, width)
        if way == "chunks" and len(sizes) == 2 and width >= _SHORTEST and strides[-1][-1] == how.dtype.itemsize:
            # As NumPy sees them: packed, but for numbers.
            seen = tuple(d.itemsize if any(of) else 0 for d, of in zip(dtypes, strides, strict=True))
            rows = _BUFFER // width
            self._emit(_CHUNKS, operands, sizes, strides, factor, self._loop(how, dtypes, seen), rows, self._program.rows,
                       self._beside(), widths=[d.itemsize for d in dtypes])  # fmt: skip
        elif way == "rows":
            loop = self._loop(how, dtypes, tuple(of[-1] for of in strides))
            if self._program.is_ragged and len(sizes) == 1:
                if strides[-1] != (how.dtype.itemsize,):
                    raise _Cannot
                self._emit(_PACKED, operands, sizes, strides, factor, loop, 0, self._program.rows, self._beside())
                return
            self._emit(op, operands, sizes, strides, factor, loop, detail)
        else:
            raise _Cannot

    def _loop(self, how: Operation, dtypes: tuple[np.dtype[Any], ...], strides: tuple[int, ...]) -> Loop:
        assert how.ufunc is not None
        found = loop_of(how.ufunc, dtypes, strides)
        if found is None:
            raise _Cannot
        return found

    def _beside(self) -> int:
        """Where in scratch `CHUNKS` has a row of each operand, and a vector; `PACKED` needs the vector."""
        if self._side < 0:
            self._side = self._take((_OPERANDS - 1) * 8 * self._row + 8 * UNIT)
        return self._side

    def _reduction(self, how: Reduction, given: Any, by_row: bool, result: int) -> None:
        if not self._packed(given) or not self._ways.reduces(how, given[3], by_row):
            raise _Cannot
        dtype = how.dtype
        if how.style == "count" and not by_row:
            if given[3].kind != "b":
                raise _Cannot
            self._emit(
                _COUNT, (given,), [1], [(1,)], self._row, _NO_LOOP, 0, bytes_=8, parts=self._parts(np.dtype(np.int64))
            )
            return
        value = self._as(0, given, dtype)
        stride = dtype.itemsize
        loop = loop_of(how.ufunc, (dtype, dtype, dtype), (0, stride, 0))
        if loop is None:
            raise _Cannot
        first, begin = _beginning(how)
        if begin is not None:
            self.lowered.numbers.append(begin)
        at = 0 if begin is None else address_of(begin)
        if not by_row:
            self._emit(_TOTAL, (value,), [1], [(stride,)], self._row, loop, 0, first, at, stride, self._parts(dtype))
            return
        out = self._operand_of_rows(result)
        if out[3] != dtype or len(self._inner) + 1 > _DIMENSIONS:
            raise _Cannot
        outer = (*out[2][: len(self._inner) - 1], 0)
        strides = [(value[1], *value[2]), (out[1], *outer)]
        self._emit(_ROWS, (value, out), [0, *self._inner], strides, 1, loop, how.divide + how.root, first, at, stride)

    def _operand_of_rows(self, slot: int) -> tuple[int, int, tuple[int, ...], np.dtype[Any]]:
        """A reduction's result, which may lack the last dimension."""
        memory = self._sliced.get(slot)
        if memory is None or memory.ndim == len(self._inner) + 1:
            return self._operand(slot)
        if memory.ndim != len(self._inner) or memory.shape != (self._program.rows, *self._inner[:-1]):
            raise _Cannot
        return (
            self._memory(slot, memory, memory.strides[0]),
            memory.strides[0],
            memory.strides[1:],
            memory.dtype,
        )

    def _packed(self, found: Any) -> bool:
        stride = found[3].itemsize
        for n, given in zip(reversed(self._inner), reversed(found[2]), strict=True):
            if n != 1 and given != stride:
                return False
            stride *= n
        return bool(found[1] == stride)

    def _parts(self, dtype: np.dtype[Any]) -> int:
        made = np.empty(self._count, dtype)
        self.lowered.parts.append(made)
        self.lowered.part_words.append(len(self._steps) + _PARTS_AT)
        return address_of(made)

    def _emit(self, op: int, operands: tuple[Any, ...], sizes: list[int], strides: list[tuple[int, ...]], factor: int, loop: Loop,
              detail: int, first: int = 0, begin: int = 0, bytes_: int = 0, parts: int = 0,
              widths: list[int] | None = None) -> None:  # fmt: skip
        n, rank = len(operands), len(sizes)
        if n > _OPERANDS or rank > _DIMENSIONS:
            raise _Cannot
        words = [op, n, rank, factor, *loop, detail, first, begin, bytes_, parts]
        words += [found[0] for found in operands] + [0] * (_OPERANDS - n)
        rest = sizes if widths is None else sizes + widths
        words += rest + [0] * (_DIMENSIONS - len(rest))
        for of in strides:
            words += [*of] + [0] * (_DIMENSIONS - rank)
        words += [0] * (_DIMENSIONS * (_OPERANDS - n))
        self._steps.extend(words)

    # -- late writes --------------------------------------------------------------------------------------------------

    def _late_slot(self) -> int | None:
        late = self._program.late
        if late is None:
            return None
        slot, _ = late
        if slot in self._program.scratch:
            content = self._program.slots[slot]
            piece = -(-content.nbytes // ALIGNMENT) * ALIGNMENT
            at = self._slot(_TURNING, 0, piece)
            self._turning = 3 * piece
            self._known[slot] = at, content.strides[0], self._strides(content, 1), content.dtype
        return slot

    def _late_step(self, slot: int | None) -> array[int]:
        if slot is None:
            return array("q")
        assert self._program.late is not None
        target = self._program.late[1]
        before = len(self._steps)
        x = self._operand(slot)
        if target.shape[0] != self._program.rows or x[3] != target.dtype:
            raise _Cannot
        out = (
            self._memory(LATE, target, target.strides[0]),
            target.strides[0],
            self._strides(target, 1),
            target.dtype,
        )
        self._elementwise(_COPY, (x, out), detail=target.itemsize)
        words = self._steps[before:]
        del self._steps[before:]
        return words

    def _stays_near(self) -> bool:
        """Whether no operand of a segment that writes late is further than a block behind what is written at its place."""
        program = self._program
        assert program.late is not None
        target = program.late[1]
        start = address_of(target)
        block = program.block * target.strides[0]
        return all(
            not 0 < at - start < extent(target)[1] or at - start <= block for at in program.segment.read_addresses()
        )

    # -- all of it ----------------------------------------------------------------------------------------------------

    def _finish(self, late: array[int], scratch: Scratch) -> None:
        lowered = self.lowered
        if len(self._steps) % STEP_WORDS or len(late) not in (0, STEP_WORDS):
            raise AssertionError("steps have another size than the driver's")
        lowered.each = -(-self._scratch_bytes // _PAGE) * _PAGE + ALIGNMENT
        lowered.turning = self._turning
        lowered.slots, lowered.steps, lowered.blocks, lowered.late = self._slots, self._steps, self._blocks, late
        lowered.finish(scratch)


#: Of programs that were lowered: what decides the blocks -> the blocks.
_seen: dict[tuple[int, ...], array[int]] = {}


def _blocks(program: Program) -> array[int]:
    """Of each block: where it begins and ends, and the part of it that totals are of."""
    key = (program.rows, program.block, program.least, program.room, program.segment.needs_flat)
    found = _seen.get(key)
    if found is None:
        found = array("q")
        for low, high, first, last in program.bounds():
            if not (0 <= low <= first <= last <= high <= program.rows and high - low <= program.room):
                raise AssertionError("a block lies outside of its program")
            found.extend((low, high, first, last))
        if len(_seen) >= 64:
            _seen.clear()
        _seen[key] = found
    return found


def _coalesced(inner: tuple[int, ...], strides: list[tuple[int, ...]]) -> tuple[list[int], list[tuple[int, ...]], int]:
    """The fewest dimensions that do: (sizes, strides of each operand, how many of the first dimension's elements a row has).

    As NumPy joins dimensions: where every operand goes on at the end of one as the next one outside of it says. Dimension 0 is rows.
    """
    last = len(inner) - 1
    while last >= 0 and inner[last] == 1:
        last -= 1
    if last < 0:
        return [0], [(of[0],) for of in strides], 1
    sizes, kept = [inner[last]], [last + 1]
    for d in range(last - 1, -1, -1):
        if inner[d] == 1:
            continue
        if all(of[d + 1] == of[kept[0]] * sizes[0] for of in strides):
            sizes[0] *= inner[d]
        else:
            sizes.insert(0, inner[d])
            kept.insert(0, d + 1)
    if all(of[0] == of[kept[0]] * sizes[0] for of in strides):
        return [0, *sizes[1:]], [tuple(of[d] for d in kept) for of in strides], sizes[0]
    return [0, *sizes], [(of[0], *(of[d] for d in kept)) for of in strides], 1


def _cast(source: np.dtype[Any], target: np.dtype[Any]) -> int:
    try:
        to, of = _KINDS[f"{target.kind}{target.itemsize}"], _KINDS[f"{source.kind}{source.itemsize}"]
    except KeyError:
        raise _Cannot from None
    if source.kind == "f" and target.kind in "iu":
        raise _Cannot
    return to * 16 + of


def _beginning(how: Reduction) -> tuple[int, Array | None]:
    """How NumPy begins a reduction: with its first element, or with this."""
    if how.ufunc is np.add:
        # Which zero a sum begins with is NumPy's, and shows where nothing but negative ones are added.
        return 0, np.asarray(np.add.reduce(np.array([-0.0 if how.dtype.kind == "f" else 0], how.dtype))).reshape(1)
    if how.ufunc in (np.logical_or, np.logical_and):
        return 0, np.array([how.ufunc is np.logical_and], how.dtype)
    return 1, None


__all__ = ["Ways", "lower"]
