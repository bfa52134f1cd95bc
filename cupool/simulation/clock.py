"""Virtual time: events in order of (time, number), one after the other, in one thread."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Timer:
    """An event that has not happened."""

    __slots__ = ("arguments", "at_s", "call", "number")

    def __init__(self, at_s: float, number: int, call: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.at_s = at_s
        self.number = number
        self.call: Callable[..., object] | None = call
        self.arguments = arguments

    def cancel(self) -> None:
        """It will not happen; nothing if it has."""
        self.call = None
        self.arguments = ()


class Clock:
    """The time, and what is to happen. Calling it gives the time in seconds, as the controller asks for it.

    Attributes:
        events: how many have happened.
        after_each: called after each event.
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self.now = start_s
        self.events = 0
        self.after_each: Callable[[], object] | None = None
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    def __call__(self) -> float:
        return self.now

    def at(self, at_s: float, call: Callable[..., object], *arguments: Any) -> Timer:
        """Have `call` called at a time; now, after what is due already, if that is past."""
        self._count += 1
        timer = Timer(max(at_s, self.now), self._count, call, arguments)
        heapq.heappush(self._heap, (timer.at_s, timer.number, timer))
        return timer

    def after(self, delay_s: float, call: Callable[..., object], *arguments: Any) -> Timer:
        return self.at(self.now + delay_s, call, *arguments)

    def run(self, until_s: float, is_done: Callable[[], bool] | None = None) -> None:
        """Let events happen until a time, or until `is_done` after one of them. What an event raises comes out of here."""
        heap, pop, after = self._heap, heapq.heappop, self.after_each
        while heap and heap[0][0] <= until_s:
            at_s, _, timer = pop(heap)
            call = timer.call
            if call is None:
                continue
            self.now = at_s
            self.events += 1
            timer.call = None
            call(*timer.arguments)
            if after is not None:
                after()
            if is_done is not None and is_done():
                return
        self.now = max(self.now, until_s)
