"""Fusion: chains of elementwise commands run in blocks that stay in the cache; what dies on the way is never stored.

`Fusion.join_of` says of a form whether and how it can be joined; `Fusion.take` is where the executor's walk hands over: it runs as many
commands from there as join, with the results that they would have had one by one, bit for bit. See docs/decisions/018.

Boundary: a device gives `Fusion` its arrays' functions through forms and implementations; this one is the CPU device's. CUDA's has the same
methods (`devices/cuda/chains`), and shares `books.py` and the joins of `kinds.py`.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from math import prod
from typing import TYPE_CHECKING, Any

from cupool.contract.codec import FORM_MASK
from cupool.contract.errors import ProtocolError

from ..forms import Form
from . import driver
from .driver import Team
from .kinds import Join, join_of
from .programs import Program, Scratch, compile_segment
from .segments import Segment
from .templates import Templates
from .trials import Trials
from .window import Window

if TYPE_CHECKING:
    from ..executor import Executor

log = logging.getLogger(__name__)

#: In place of a form's charge: the walk asks `take`.
FUSED = -2
#: Commands of a window, at most: looking at them takes memory too.
MOST_COMMANDS = 4096


class Fusion:
    """Of one executor."""

    def __init__(self, executor: Executor, threads: int = 0, has_waves: bool = True) -> None:
        """
        Args:
            threads: that blocks are run on; 0: as many as there are cores; 1: the one that executes, in the interpreter.
            has_waves: segments run together where they follow one another, see waves.py.
        """
        self.executor = executor
        self.threads = threads
        self.has_waves = has_waves
        self._wanted = 0
        self.scratch = Scratch()
        self.templates = Templates()
        #: windows that were run, and commands in them
        self.windows = 0
        self.joined = 0
        #: segments that were run while there was a driver, and those of them that it ran
        self.segments = 0
        self.lowered = 0
        #: of which several ran at once, how often
        self.waves = 0
        #: commands that the next window may have: fewer after one that did not fit into memory
        self._most = MOST_COMMANDS
        #: words, and the index up to which their commands are known not to join
        self._apart: tuple[Any, int] = (None, 0)

    def inner(self, executor: Executor) -> Fusion:
        """Of an executor over the same handles and device."""
        return Fusion(executor, self.threads, self.has_waves)

    def join_of(self, form: Form, impl: Any) -> Join | None:
        """How commands of a form join others; None: they run by themselves. `impl`: the device's function, if there is one."""
        return join_of(form, impl)

    def program(self, segment: Segment) -> Program:
        """The program of a segment, for the driver where there is one. Raises MemoryError."""
        native = driver.current() if self.threads != 1 else None
        if native is None:
            return compile_segment(segment, self.scratch)
        self._wanted = self._wanted or driver.threads_wanted(self.threads)
        self.segments += 1
        # Whatever a late write reaches is within a block, see Note [Late writes].
        small = driver.BLOCK_BYTES if segment.reach <= driver.BLOCK_BYTES // 16 else 0
        # Rows first in the smallest blocks that do.
        for size, is_ragged in ((small, False),) if segment.is_flat else ((driver.BLOCK_BYTES, True), (small, False)):
            program = compile_segment(segment, self.scratch, size, is_ragged)
            program.lowered = self.templates.lower(program, self.scratch, self._wanted, Trials(native))
            if program.lowered is not None:
                self.lowered += 1
                return program
        return compile_segment(segment, self.scratch) if small else program

    def shares(self, shape: tuple[int, ...], is_cheap: bool) -> bool:
        """Whether a command is worth a window by itself, because several cores can run it.

        Args:
            is_cheap: a core computes it faster than two move its operands.
        """
        if self.threads == 1 or driver.current() is None:
            return False
        self._wanted = self._wanted or driver.threads_wanted(self.threads)
        least = driver.THREADS_OF_CHEAP if is_cheap else 2
        return self._wanted >= least and prod(shape) >= driver.WORTH_ALONE

    def team(self, programs: list[Program]) -> AbstractContextManager[Team | None]:
        """Threads for these; None where the driver runs none of them. Raises MemoryError."""
        threads = max((program.lowered.threads for program in programs if program.lowered is not None), default=0)
        native = driver.current()
        return native.team(threads) if native is not None and threads else nullcontext()

    def take(self, words: list[int], i: int) -> tuple[int, int]:
        """Run the command at `i`, and those behind it that join it.

        Returns:
            the index behind the last one, and how many they were.

        Raises:
            ProtocolError: the machine has no more memory, and the commands have run in part: the session cannot go on.
            Exception: the command at `i` failed; none of the others has run.
        """
        apart, until = self._apart
        if words is apart and i < until:
            return self._alone(words, i)
        self._apart = (None, 0)
        if self._is_alone(words, i):
            return self._alone(words, i)
        most = self._most
        window: Window | None
        while most > 1:
            window = Window(self)
            end, count, last = window.look(words, i, most)
            if not window.is_worth:
                window.undo()
                self._apart = words, last
                break
            if window.fits():
                try:
                    window.run()
                except MemoryError:
                    log.warning("event=fusion-without-memory commands=%d", count)
                    window.undo()
                    if window.has_written:
                        raise ProtocolError(
                            f"The server's machine ran out of memory within a chain of {count} commands, some of which had written.",
                            "Ask for a lease on a machine with more free memory, or start the server with --fusion off.",
                        ) from None
                    self._apart = words, last
                    break
                window.commit(words)
                self.windows += 1
                self.joined += count
                if most < self._most:
                    self._most = max(2 * count, 2)
                elif count == most:
                    self._most = min(2 * most, MOST_COMMANDS)
                return end, count
            window.undo()
            most = count // 2
        else:
            self._most = 2
        window = None  # it refers to operands, which the command may write over
        return self._alone(words, i)

    def _is_alone(self, words: list[int], i: int) -> bool:
        """Whether nothing can join the command at `i`, and it is not worth a window by itself: a program waits for each result."""
        form = self.executor.forms[words[i] & FORM_MASK]
        spec = form.join.spec
        if spec is None or form.join.is_chain or self.shares(spec.shape, form.join.is_cheap):
            return False
        n, at = len(words), i + form.width
        while at < n and not words[at]:
            at += 2
        if at >= n:
            return True
        following = self.executor.forms.get(words[at] & FORM_MASK) if words[at] > 0 else None
        return following is None or following.join is None

    def _alone(self, words: list[int], i: int) -> tuple[int, int]:
        form = self.executor.forms[words[i] & FORM_MASK]
        self.executor.stepper.charged(form, words, i, form.over)
        return i + form.width, 1


__all__ = ["FUSED", "Fusion"]
