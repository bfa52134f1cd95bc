"""One thread that waits for descriptors, deadlines and work posted by other threads. It must be the process's main thread where servers
are started: they are tied to the thread that did."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Timer:
    """A call to come. `cancel` forgets it."""

    __slots__ = ("at", "work")

    def __init__(self, at: float, work: Callable[[], None]) -> None:
        self.at = at
        self.work: Callable[[], None] | None = work

    def cancel(self) -> None:
        self.work = None


class Loop:
    """Only `post` and `stop` may be called from other threads."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._read, selectors.EVENT_READ, self._drain)
        self._posted: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._stopping = threading.Event()

    # ---- from any thread

    def post(self, work: Callable[[], None]) -> None:
        """Have the loop call `work` soon, in the order of these calls."""
        self._posted.append(work)
        try:
            os.write(self._write, b"x")
        except BlockingIOError:
            pass  # the pipe is full of wake-ups already
        except OSError:
            if not self._stopping.is_set():
                raise

    def stop(self) -> None:
        """Have `run` return. Safe in a signal handler."""
        self._stopping.set()
        self.post(lambda: None)

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    # ---- from the loop

    def watch(self, descriptor: int, work: Callable[[], None]) -> None:
        """Call `work` whenever `descriptor` can be read."""
        self._selector.register(descriptor, selectors.EVENT_READ, work)

    def unwatch(self, descriptor: int) -> None:
        """Forget it. One that is not watched is no error."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(descriptor)

    def later(self, delay_s: float, work: Callable[[], None]) -> Timer:
        """Call `work` once, `delay_s` from now."""
        timer = Timer(time.monotonic() + delay_s, work)
        heapq.heappush(self._timers, (timer.at, next(self._numbers), timer))
        return timer

    def run(self) -> None:
        """Serve until `stop`."""
        while not self._stopping.is_set():
            self.turn()

    def turn(self, limit_s: float | None = None) -> None:
        """Wait for something to do, `limit_s` at most, and do it."""
        for key, _ in self._selector.select(self._wait_s(limit_s)):
            self._call(key.data)
        for _ in range(len(self._posted)):
            self._call(self._posted.popleft())
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.work is not None:
                self._call(timer.work)

    def _wait_s(self, limit_s: float | None) -> float | None:
        if self._posted:
            return 0.0
        while self._timers and self._timers[0][2].work is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return limit_s
        wait = max(self._timers[0][0] - time.monotonic(), 0.0)
        return wait if limit_s is None else min(wait, limit_s)

    def _call(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # one server's trouble must not take all others with it
            _log.exception("event=agent-failed")

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 65536)

    def close(self) -> None:
        self._stopping.set()
        self._selector.close()
        os.close(self._read)
        os.close(self._write)
        self._write = -1
