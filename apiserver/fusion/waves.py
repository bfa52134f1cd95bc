"""Waves: segments that follow one another over the same blocks run together: what one writes is in the cache when the next reads it.

Ten steps of a stencil are ten segments, each of which goes through all of the array: bounded by memory, not by arithmetic. As the stages
of a wave the second begins when the first is a few blocks further, and so on.

Note [Lag of a wave]: a stage may run block b when the one before has computed *and written* `lag` blocks more. Blocks are the same number
of rows in all stages, and move through memory at the same pace, B bytes a block. Of memory that any stage writes let `low` be the first
byte that block 0 of any stage touches, `high` the end of the last: what a stage still has to do from block c on lies at `low + c * B` or
above, what block b of a later stage touches ends at `high + b * B` at the most. So with c >= b + (high - low) / B neither sees a
difference, whichever of the two reads or writes. Stages further apart lag more. The last block may be longer: it waits until the stage
before has done all.

Totals are looked at when their segment has run, so a segment with any is no stage.

Boundary: addresses and tables; the driver's `take_wave` runs it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..devices.cpu.memory import address_of, extent
from .driver import MOST_STAGES, SLOT_WORDS
from .tables import ALIGNMENT, MOST_SCRATCH, aligned, failure

if TYPE_CHECKING:
    from .driver import Team
    from .programs import Program, Scratch

Array = np.ndarray[Any, Any]

#: Blocks that a stage may be behind the one before it: what lies between must stay in the cache.
MOST_LAG = 6
#: Stages for each thread: with fewer, threads get more from one segment after another.
STAGES_A_THREAD = 2
#: Blocks of a segment for each block that the last stage is behind the first.
LONGER = 3


class Wave:
    """Programs that run together, or one by itself."""

    def __init__(self, programs: list[Program], lag: int, scratch: Scratch) -> None:
        """Raises MemoryError."""
        self.programs = programs
        self._lag = lag
        self._words = array("q")
        self._scratch: Array = np.empty(0, np.uint8)
        if len(programs) > 1:
            self._fill(scratch)

    def _fill(self, scratch: Scratch) -> None:
        tables = [program.lowered for program in self.programs if program.lowered is not None]
        threads = max(made.threads for made in tables)
        each = max(made.each for made in tables)
        threads = max(min(threads, MOST_SCRATCH // each), 1)
        at = threads * each
        words = [len(tables), self._lag, each, threads]
        for made in tables:
            words += [made.head.buffer_info()[0], at]
            at += made.turning
        self._words = array("q", words)
        self._scratch = aligned(scratch.shared(at + ALIGNMENT))

    def run(self, team: Team | None) -> None:
        """Compute all of them. Raises ProtocolError: a loop failed that cannot."""
        if len(self.programs) == 1:
            self.programs[0].run(team)
            return
        assert team is not None
        if not team.wave(self._words.buffer_info()[0], address_of(self._scratch)):
            raise failure()


def divided(programs: list[Program], scratch: Scratch, team: Team | None) -> Iterator[Wave]:
    """The waves of a window's programs, in order. Raises MemoryError."""
    k = 0
    while k < len(programs):
        n = _alike(programs, k) if team is not None else 1
        lag = _lag(programs[k : k + n]) if n > 1 else 0
        if not lag or len(programs[k].lowered.blocks) // 4 < LONGER * lag * n:  # type: ignore[union-attr]
            lag, n = 0, 1
        yield Wave(programs[k : k + n], lag, scratch)
        k += n


def _alike(programs: list[Program], first: int) -> int:
    """How many programs from one on are in the same blocks; 1 where they are too few for its threads."""
    made = programs[first].lowered
    if made is None or programs[first].totals:
        return 1
    n = 1
    for program in programs[first + 1 : first + MOST_STAGES]:
        if program.lowered is None or program.totals or program.lowered.blocks is not made.blocks:
            break
        n += 1
    threads = max(p.lowered.threads for p in programs[first : first + n] if p.lowered is not None)
    return n if n >= STAGES_A_THREAD * threads and n > 1 else 1


def _lag(programs: list[Program]) -> int:
    """See Note [Lag of a wave]; 0: there is none that is right, or it is too long."""
    # (start, end of all, bytes a row, end of the first block, whether it is written)
    places: list[tuple[int, int, int, int, bool]] = []
    block = programs[0].block
    for program in programs:
        made = program.lowered
        assert made is not None
        written = {
            address_of(memory)
            for node in program.nodes
            for memory in (node.target, node.result.array)
            if memory is not None
        }
        if program.late is not None:
            if not made.turning:
                return 0
            written.add(address_of(program.late[1]))
        for (index, _), memory in zip(made.origins, made.kept, strict=True):
            start, step = made.slots[SLOT_WORDS * index + 1], made.slots[SLOT_WORDS * index + 2]
            size = extent(memory)[1]
            places.append((start, start + size, step, start + size - (program.rows - block) * step, start in written))
    places.sort()
    lag, k = 1, 0
    while k < len(places):
        cluster, end = [places[k]], places[k][1]
        while k + len(cluster) < len(places) and places[k + len(cluster)][0] < end:
            cluster.append(places[k + len(cluster)])
            end = max(end, cluster[-1][1])
        k += len(cluster)
        if any(of[4] for of in cluster):
            steps = {of[2] for of in cluster}
            pace = block * cluster[0][2]
            if len(steps) != 1 or pace <= 0:
                return 0
            reach = max(of[3] for of in cluster) - cluster[0][0]
            lag = max(lag, -(-reach // pace))
    return lag if lag <= MOST_LAG else 0


__all__ = ["Wave", "divided"]
