"""Tables: what the driver is told of one program, with all that it points to (`driver.cc` has their layout).

Boundary: memory and words. What they say is `lowering.py`'s.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import numpy as np

from cupool.contract.errors import ProtocolError

from ..devices.cpu.memory import address_of
from .driver import STEP_WORDS, Team
from .kinds import Reduction

if TYPE_CHECKING:
    from .programs import Program, Scratch

Array = np.ndarray[Any, Any]

#: In place of a slot: where a late write goes.
LATE = -1
#: Of pieces of scratch, bytes.
ALIGNMENT = 64
#: Bytes of scratch of all threads; where it is not enough, they are fewer.
MOST_SCRATCH = 128 << 20


class Lowered:
    """Tables of one program, with all that they point to."""

    def __init__(self, threads: int) -> None:
        #: those that it runs on, at most
        self.threads = threads
        self.head = array("q")
        #: arrays whose memory the slots name
        self.kept: list[Array] = []
        #: numbers that steps name
        self.numbers: list[Array] = []
        self.scratch: Array = np.empty(0, np.uint8)
        #: the blocks' results of each total
        self.parts: list[Array] = []
        self.slots, self.steps, self.blocks, self.late = (array("q") for _ in range(4))
        #: (the driver's slot, slot of the program or `LATE`) of each array
        self.origins: list[tuple[int, int]] = []
        #: where in the steps each part is named
        self.part_words: list[int] = []
        #: bytes of scratch of a thread, and turning scratch of a run
        self.each, self.turning = 0, 0

    def finish(self, scratch: Scratch) -> None:
        """Take scratch, and write the head. Raises MemoryError."""
        each, blocks = self.each, len(self.blocks) // 4
        self.threads = max(min(self.threads, MOST_SCRATCH // each), 1)
        # Two runs for each thread that writes late: who begins late leaves more to the others.
        runs = min(2 * self.threads, blocks) if self.threads > 1 else 1
        turning = each * self.threads
        memory = scratch.shared(turning + self.turning * runs + ALIGNMENT)
        self.scratch = aligned(memory)
        self.head = array(
            "q",
            (
                self.slots.buffer_info()[0],
                self.steps.buffer_info()[0],
                len(self.steps) // STEP_WORDS,
                self.blocks.buffer_info()[0],
                blocks,
                self.late.buffer_info()[0] if self.late else 0,
                each,
                turning,
                runs,
                self.threads,
            ),
        )

    def run(self, program: Program, team: Team) -> None:
        """Compute all blocks. Raises ProtocolError: a loop failed that cannot."""
        if not team.run(self.head.buffer_info()[0], address_of(self.scratch)):
            raise failure()
        for (node, parts), found in zip(program.totals, self.parts, strict=True):
            how = node.operation
            if isinstance(how, Reduction) and how.style == "pairwise":
                total = np.empty((), how.dtype)
                team.added(address_of(found), found.itemsize, program.rows, program.block, address_of(total))
                parts.append(total[()])
            else:
                parts.extend(found)


def aligned(memory: Array) -> Array:
    """Bytes from the first aligned one on."""
    return memory[-address_of(memory) % ALIGNMENT :]


def failure() -> ProtocolError:
    """What a loop that failed within the driver ends the session with: none of those that are run can fail."""
    return ProtocolError(
        "A loop of NumPy's failed within a chain of commands, some of which had written.",
        "Start the server with --fusion-threads 1, and report it.",
    )


__all__ = ["ALIGNMENT", "LATE", "MOST_SCRATCH", "Lowered", "aligned", "failure"]
