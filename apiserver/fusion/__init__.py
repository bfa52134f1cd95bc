"""Fusion: chains of elementwise commands run in blocks that stay in the cache; what dies on the way is never stored.

`Fusion.join_of` says of a form whether and how it can be joined; `Fusion.take` is where the executor's walk hands over: it runs as many
commands from there as join, with the results that they would have had one by one, bit for bit. See docs/decisions/016.

Boundary: a device gives `Fusion` its arrays' functions through forms and implementations; this one is the CPU device's. Another device's
has the same two methods.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from cupool.contract.codec import FORM_MASK

from ..forms import Form
from .kinds import Join, join_of
from .segments import Scratch
from .window import Window

if TYPE_CHECKING:
    from ..executor import Executor

log = logging.getLogger(__name__)

#: In place of a form's charge: the walk asks `take`.
FUSED = -2


class Fusion:
    """Of one executor."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.scratch = Scratch()
        #: windows that were run, and commands in them
        self.windows = 0
        self.joined = 0

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
        most = 1 << 30
        while most > 1:
            window = Window(self)
            end, count = self._look(window, words, i, most)
            if not window.is_worth:
                window.undo()
                break
            if window.fits():
                try:
                    window.run()
                except MemoryError:
                    log.warning("event=fusion-without-memory commands=%d", count)
                    window.undo()
                    break
                window.commit(words)
                self.windows += 1
                self.joined += count
                return end, count
            window.undo()
            most = count // 2
        return self._alone(words, i)

    def _look(self, window: Window, words: list[int], i: int, most: int) -> tuple[int, int]:
        forms, n, count = self.executor.forms, len(words), 0
        while i < n and count < most:
            header = words[i]
            if not header:
                if i + 2 > n:
                    break
                if not window.free(words[i + 1]):
                    break
                i += 2
            else:
                form = forms.get(header & FORM_MASK)
                join = form.join if form is not None and header > 0 else None
                if join is None or i + join.width > n or not join.take(window, words, i):
                    break
                i += join.width
            count += 1
        return i, count

    def _alone(self, words: list[int], i: int) -> tuple[int, int]:
        form = self.executor.forms[words[i] & FORM_MASK]
        step, account = form.step, self.executor.accounting
        assert step is not None
        if form.charge >= 0:
            if account.used + form.charge > account.ceiling:
                account.grow(form.charge)
            step(words, i)
            account.used += form.charge
        else:
            step(words, i)
        return i + form.width, 1


__all__ = ["FUSED", "Fusion"]
