"""Ends the process when one kernel runs for too long: a kernel cannot be stopped in any other way."""

from __future__ import annotations

import logging
import os
import threading

from cupool.contract.statusfile import KERNEL_TIMEOUT_STATUS, StatusWriter

log = logging.getLogger(__name__)


class Watchdog(threading.Thread):
    """Looks at what runs, by the server's own status."""

    def __init__(self, status: StatusWriter, limit_s: float) -> None:
        super().__init__(name="cupool-watchdog", daemon=True)
        self._status = status
        self._limit_s = limit_s

    def run(self) -> None:
        wait = threading.Event()
        while not wait.wait(min(self._limit_s / 4, 0.25)):
            running_s = self._status.running_s()
            if running_s is not None and running_s > self._limit_s:
                end_process(
                    self._status,
                    f"kernel {self._status.current()!r} ran longer than {self._limit_s:g} s and was terminated",
                )


def end_process(status: StatusWriter, reason: str) -> None:
    """End now, with the reason for the agent."""
    status.reason(reason)
    log.error("event=server-ends reason=%r", reason)
    os._exit(KERNEL_TIMEOUT_STATUS)
