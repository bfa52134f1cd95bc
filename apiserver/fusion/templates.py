"""Templates: tables of programs that were lowered before, for programs that differ from them in where their arrays lie.

A loop's rounds give the same program again and again, over other arrays; making its tables takes longer than many a round. What decides
the tables is the *key*; what differs is put in: the addresses of arrays, the memory of the blocks' parts, scratch.

Boundary: knows programs and their tables; nothing of handles, forms or accounts.
"""

from __future__ import annotations

from array import array
from struct import pack
from typing import Any

import numpy as np

from ..devices.cpu.memory import address_of
from .driver import SLOT_WORDS
from .lowering import Ways, lower
from .programs import Program, Scratch
from .tables import LATE, Lowered

#: Templates of one executor. A program of hundreds of segments goes through them in turn.
MOST_TEMPLATES = 512
#: Commands of a program that gets a template: what is longer hardly comes again.
_MOST_CODE = 256


class Templates:
    """Those of one executor."""

    def __init__(self) -> None:
        #: key -> tables, None where the driver cannot run it; and what the key names by its id, which therefore must live
        self._known: dict[Any, tuple[Lowered | None, list[Any]]] = {}
        #: programs that took their tables from here
        self.taken = 0

    def lower(self, program: Program, scratch: Scratch, threads: int, ways: Ways) -> Lowered | None:
        """As `lowering.lower`."""
        if len(program.code) > _MOST_CODE:
            return lower(program, scratch, threads, ways)
        key = _key(program, threads)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST_TEMPLATES:
                self._known.clear()
            made = lower(program, scratch, threads, ways)
            kept = None if made is None else _without_arrays(made)
            self._known[key] = kept, [node.operation for node in program.nodes]
            return made
        template, _ = found
        if template is None:
            return None
        self.taken += 1
        return _filled(template, program, scratch)


def _key(program: Program, threads: int) -> tuple[Any, ...]:
    """What decides a program's tables."""
    sliced = dict(program.sliced)
    slots: list[tuple[Any, ...]] = []
    for k, content in enumerate(program.slots):
        memory = sliced.get(k)
        if memory is not None:
            slots.append((1, memory.dtype.char, memory.shape, memory.strides))
        elif isinstance(content, np.ndarray):
            slots.append((0, content.dtype.char, content.shape, content.strides))
        else:
            slots.append(
                (type(content), pack("d", content) if type(content) is float else content)
            )  # a NaN is no other NaN
    late: Any = None
    if program.late is not None:
        slot, target = program.late
        start = address_of(target)
        near = frozenset([at - start for at in program.segment.read_addresses()])
        late = slot, target.dtype.char, target.shape, target.strides, near
    blocks = program.rows, program.block, program.least, program.room, program.is_ragged, program.segment.needs_flat
    code = [
        (id(node.operation), node.by_row, of, to)
        for node, (_, of, to, _) in zip(program.nodes, program.code, strict=True)
    ]
    return blocks, program.inner, threads, late, tuple(program.scratch), tuple(slots), tuple(code)


def _without_arrays(made: Lowered) -> Lowered:
    """To be kept: an array of the program's must not live on with its tables."""
    kept = Lowered(made.threads)
    kept.slots, kept.steps, kept.blocks, kept.late = made.slots, made.steps, made.blocks, made.late
    kept.origins, kept.part_words, kept.numbers = made.origins, made.part_words, made.numbers
    kept.each, kept.turning = made.each, made.turning
    kept.parts = [part[:0].copy() for part in made.parts]
    return kept


def _filled(template: Lowered, program: Program, scratch: Scratch) -> Lowered:
    """Tables of a program whose key is the template's. Raises MemoryError."""
    made = Lowered(template.threads)
    made.slots, made.steps, made.blocks, made.late = (
        array("q", template.slots),
        template.steps,
        template.blocks,
        template.late,
    )
    made.origins, made.numbers = template.origins, template.numbers
    made.each, made.turning = template.each, template.turning
    sliced = dict(program.sliced)
    for index, slot in template.origins:
        if slot == LATE:
            assert program.late is not None
            memory = program.late[1]
        else:
            memory = sliced[slot] if slot in sliced else program.slots[slot]
        made.slots[SLOT_WORDS * index + 1] = address_of(memory)
        made.kept.append(memory)
    if template.parts:
        made.steps = array("q", template.steps)
        for word, like in zip(template.part_words, template.parts, strict=True):
            part = np.empty(len(made.blocks) // 4, like.dtype)
            made.parts.append(part)
            made.steps[word] = address_of(part)
    made.finish(scratch)
    return made


__all__ = ["MOST_TEMPLATES", "Templates"]
