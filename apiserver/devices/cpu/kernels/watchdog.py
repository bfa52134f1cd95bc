"""A time limit for kernels. A kernel is one C call that nothing can interrupt, so at the limit the process ends; its agent finds the reason in
the status file, and the client gets it as one clear error.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

#: What the process exits with; see the status file for the reason.
EXIT_CODE = 70
#: Milliseconds that a kernel may run when the operator says nothing: a debugger's patience, not a GPU's.
DEFAULT_LIMIT_MS = 120_000


class Watchdog:
    """Watches one kernel at a time. Its thread exists from the first kernel on and sleeps while none runs."""

    def __init__(self, limit_ms: int = DEFAULT_LIMIT_MS, status: Any = None, end: Callable[[int], None] = os._exit) -> None:
        """
        Args:
            limit_ms: 0 or less: no limit.
            status: a `cupool.contract.statusfile.StatusWriter`, or None.
            end: ends the process; a test gives another.
        """
        self._limit_s = limit_ms / 1000
        self._status = status
        self._end = end
        self._running: tuple[str, float] | None = None
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def started(self, name: str) -> None:
        """A kernel starts."""
        if self._limit_s <= 0:
            return
        self._running = (name, time.monotonic())
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="cupool-kernel-watchdog", daemon=True)
            self._thread.start()
        if not self._wake.is_set():
            self._wake.set()

    def ended(self) -> None:
        """It has ended."""
        self._running = None

    def _watch(self) -> None:
        while not self._closed:
            self._wake.wait()
            running = self._running
            if running is None:
                # Cleared before looking again: a kernel that starts in between sets it after us.
                self._wake.clear()
                if self._running is not None:
                    self._wake.set()
                continue
            left = running[1] + self._limit_s - time.monotonic()
            if left > 0:
                time.sleep(min(left, 0.25))
            elif self._running is running:
                self._expire(running[0])
                return

    def _expire(self, name: str) -> None:
        if self._status is not None:
            self._status.reason(
                f"The kernel {name!r} ran longer than the limit of {self._limit_s:g} s and was ended together with its server. "
                "Raise kernel_limit_ms of the pool, or look for an endless loop."
            )
        self._end(EXIT_CODE)

    def close(self) -> None:
        """Stop watching; the thread ends."""
        self._closed = True
        self._running = None
        self._wake.set()
        if self._thread is not None:
            self._thread.join(5)
