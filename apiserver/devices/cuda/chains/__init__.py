"""Chains of elementwise commands on a GPU: one kernel for all of them; what dies on the way is never stored. Docs/decisions/031.

`Chains.join_of` says of a form whether and how it can be joined; `Chains.take` is where the executor's walk hands over, as `Fusion`'s on
the CPU device. A chain's kernel is compiled beside the program, and is used once it has left, on the program's own numbers, the bytes that
its commands left one by one.

Note [Rounds]
    Where a window ends depends on where a batch does, and so on the moment; a kernel is of use when the same chain comes again. A loop's
    rounds are told by the first command's header, which has the program's line. Of as many rounds as there are, the largest power of two
    is taken, so that a loop has as few kernels as its window has doublings, whatever batches it comes in.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import cupy
import numpy as np

from cupool.contract.codec import FORM_MASK

from ....forms import Form
from ....fusion.kinds import Join
from .kernels import Chain, Entry, Kernels
from .operations import join_of
from .window import Window

if TYPE_CHECKING:
    from ....executor import Executor

log = logging.getLogger(__name__)

#: Commands of a window, at most.
MOST_COMMANDS = 256
#: Times that a line is not looked at whose chain is refused, after many times that it was.
MOST_SKIPPED = 63
_MOST_LINES = 1024


class Chains:
    """Of one executor."""

    def __init__(self, executor: Executor, kernels: Kernels, aside: Any) -> None:
        """
        Args:
            kernels: the device's.
            aside: an allocator beside the session's memory, for what is only compared.
        """
        self.executor = executor
        self.kernels = kernels
        self._aside = aside
        #: windows that were run by a kernel, commands in them, and kernels that were tried beside their commands
        self.windows = 0
        self.joined = 0
        self.tried = 0
        #: words, and the index up to which their commands run by themselves
        self._apart: tuple[Any, int] = (None, 0)
        #: header of a refused chain's first command -> its words but for the last command, times that it is not looked at, and how many
        #: those were the last time
        self._hopeless: dict[int, tuple[int, int, int]] = {}

    def inner(self, executor: Executor) -> Chains:
        """Of an executor over the same handles and device."""
        return Chains(executor, self.kernels, self._aside)

    def join_of(self, form: Form, impl: Any) -> Join | None:
        """How commands of a form join others; None: they run by themselves. `impl`: the device's function, if there is one."""
        return join_of(form, impl)

    def take(self, words: list[int], i: int) -> tuple[int, int]:
        """Run the command at `i`, and those behind it that join it.

        Returns:
            the index behind the last one, and how many they were.

        Raises:
            Exception: the command at `i` failed; none of the others has run.
        """
        apart, until = self._apart
        if words is apart and i < until:
            return self._alone(words, i)
        self._apart = (None, 0)
        span, skipped, before = self._hopeless.get(words[i], (0, 0, 0))
        if skipped:
            self._hopeless[words[i]] = span, skipped - 1, before
            self._apart = words, i + span
            return self._alone(words, i)
        window = Window(self.executor)
        end, count, last = window.look(words, i, MOST_COMMANDS)
        whole = _whole_rounds(window.rounds, count, end >= len(words))
        if whole < count:
            window.undo()
            window = Window(self.executor)
            end, count, last = window.look(words, i, whole)
        chain = window.settle() if window.is_worth else None
        entry = self.kernels.meet(chain) if chain is not None else None
        if chain is None or entry is None or entry.kernel is None or not window.fits():
            window.undo()
            self._apart = words, last
            if entry is not None and entry.is_refused:
                if len(self._hopeless) >= _MOST_LINES:
                    self._hopeless.clear()
                skipped = min(2 * before + 1, MOST_SKIPPED)
                self._hopeless[words[i]] = last - i, skipped, skipped
            return self._alone(words, i)
        if not entry.is_proven:
            return self._try(window, chain, entry, words, i, end)
        try:
            window.run(entry.kernel, chain)
        except MemoryError:
            # Less fits in one piece than fits: one by one they may find room, or say that there is none.
            window.undo()
            self._apart = words, last
            return self._alone(words, i)
        except Exception:
            window.undo()
            raise
        window.commit(words)
        self.windows += 1
        self.joined += count
        return end, count

    def _try(self, window: Window, chain: Chain, entry: Entry, words: list[int], i: int, end: int) -> tuple[int, int]:
        """Run the commands one by one, and compare what they leave with what the kernel makes of the same operands."""
        # A pool, so that memory which one kernel has left goes to the next one in the stream's order, and to nobody else before the end.
        pool, shown = cupy.cuda.MemoryPool(self._aside), None
        try:
            with cupy.cuda.using_allocator(pool.malloc):
                shown = window.show(entry.kernel, chain)
        except MemoryError:
            pass  # another time
        except Exception as error:  # it cannot be started; where nothing can any more, the commands say so
            self.kernels.refuse(entry, f"it could not be started: {type(error).__name__}: {str(error)[:300]}")
        window.undo()
        del window  # it refers to operands, which the commands may write over
        try:
            at, done = self._one_by_one(words, i, end)
            if shown is not None and at >= end:
                self.tried += 1
                with cupy.cuda.using_allocator(pool.malloc):
                    self._compare(entry, shown)
        finally:
            if shown is not None:
                with contextlib.suppress(Exception):  # a device that refuses everything; the next command hears of it
                    cupy.cuda.get_current_stream().synchronize()
            shown = None
            pool.free_all_blocks()
        return at, done

    def _one_by_one(self, words: list[int], i: int, end: int) -> tuple[int, int]:
        """As `take`, of the commands up to `end`. Raises what the first one raises; of another the walk hears in its turn."""
        executor, at, done = self.executor, i, 0
        while at < end:
            header = words[at]
            try:
                if header:
                    form = executor.forms[header & FORM_MASK]
                    executor.stepper.charged(form, words, at, form.over)
                    width = form.width
                else:
                    width = 2
                    if words[at + 1] in executor.handles.table:
                        executor.handles.free(words[at + 1])
                    else:
                        executor.transfers.drop(words[at + 1])
            except Exception:
                if not done:
                    raise
                # Nothing of it has happened. It fails again in its turn, and says so there.
                self._apart = words, at + 1
                break
            at, done = at + width, done + 1
        return at, done

    def _compare(self, entry: Entry, shown: list[tuple[Any, Any]]) -> None:
        table = self.executor.handles.table
        try:
            same = all(_is_same(table[at] if type(at) is int else at, array) for at, array in shown)
        except Exception as error:  # the commands have run: whatever it is, they are not to run again
            self.kernels.refuse(entry, f"it could not be compared: {type(error).__name__}: {str(error)[:300]}")
            return
        if same:
            entry.is_proven = True
        else:
            self.kernels.refuse(entry, "it gave other bits than its commands")

    def _alone(self, words: list[int], i: int) -> tuple[int, int]:
        form = self.executor.forms[words[i] & FORM_MASK]
        self.executor.stepper.charged(form, words, i, form.over)
        return i + form.width, 1


def _whole_rounds(rounds: list[int], count: int, is_last: bool) -> int:
    """How many commands of a window are run together: of a loop 1, 2, 4, ... whole rounds. See Note [Rounds].

    Args:
        rounds: commands before each round but the first.
        count: of all that were collected.
        is_last: nothing follows them, so that the last round may be whole.
    """
    ends = [*rounds, count] if is_last and rounds and count - rounds[-1] == rounds[0] else rounds
    return ends[(1 << (len(ends).bit_length() - 1)) - 1] if ends else count


def _is_same(a: Any, b: Any) -> bool:
    """Bit for bit, of two packed arrays of one shape and dtype."""
    return bool((a.reshape(-1).view(np.uint8) == b.reshape(-1).view(np.uint8)).all())


__all__ = ["Chains", "Kernels"]
