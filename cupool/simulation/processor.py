"""One device's time, shared equally among those who compute on it at a moment.

Everybody who computes gets the same rate, so a job is done when the device has given each who computes as much as the job needs: one number
(`_given_s`) says how far all are.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from .clock import Clock, Timer


class Job:
    """Work that is being done."""

    __slots__ = ("began_s", "done", "ends_at", "is_over")

    def __init__(self, ends_at: float, began_s: float, done: Callable[[], object]) -> None:
        self.ends_at = ends_at
        self.began_s = began_s
        self.done = done
        self.is_over = False


class Processor:
    """The device. `busy_s` is how long it computed at all, until `clock.now` after `settle`."""

    def __init__(self, clock: Clock, speed: float = 1.0) -> None:
        self._clock = clock
        self._speed = speed
        self._given_s = 0.0
        self._settled_s = clock.now
        self._heap: list[tuple[float, int, Job]] = []
        self._running = 0
        self._count = 0
        self._timer: Timer | None = None
        self.busy_s = 0.0

    @property
    def running(self) -> int:
        return self._running

    def settle(self) -> None:
        """Count up to now."""
        passed = self._clock.now - self._settled_s
        self._settled_s = self._clock.now
        if self._running and passed > 0.0:
            self._given_s += passed * self._speed / self._running
            self.busy_s += passed

    def begin(self, work_s: float, done: Callable[[], object]) -> Job:
        """Do `work_s` of work, alone on the device so many seconds, and call `done` then."""
        self.settle()
        self._count += 1
        job = Job(self._given_s + work_s, self._clock.now, done)
        heapq.heappush(self._heap, (job.ends_at, self._count, job))
        self._running += 1
        self._plan()
        return job

    def stop(self, job: Job) -> None:
        """It is not to be done any more; nothing if it is done."""
        if not job.is_over:
            self.settle()
            job.is_over = True
            self._running -= 1
            self._plan()

    def _plan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        heap = self._heap
        while heap and heap[0][2].is_over:
            heapq.heappop(heap)
        if heap:
            left = max(0.0, heap[0][0] - self._given_s) * self._running / self._speed
            self._timer = self._clock.after(left, self._end)

    def _end(self) -> None:
        """The next one is done; floats may say that a hair of it is left."""
        self._timer = None
        self.settle()
        ends_at, _, job = heapq.heappop(self._heap)
        self._given_s = max(self._given_s, ends_at)
        job.is_over = True
        self._running -= 1
        self._plan()
        job.done()
