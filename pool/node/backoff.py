"""When a device is tried again on which servers do not start, or end before anybody used them. Pure; times are the caller's.

Cases: fewer than `PATIENCE` failures in a row: wait, twice as long each time; more: no server is started for `PAUSE_S`, then one is tried.
A server that serves a session, or is warm for `STEADY_S`, ends the row.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S = 0.25
LONGEST_S = 15.0
PATIENCE = 6
PAUSE_S = 60.0
STEADY_S = 5.0


@dataclass(slots=True)
class Backoff:
    """Of one device.

    Attributes:
        failures: in a row.
        last: when the last was; meaningless without any.
        why: its sentence.
    """

    failures: int = 0
    last: float = 0.0
    why: str = ""

    def failed(self, now: float, why: str) -> None:
        self.failures += 1
        self.last, self.why = now, why

    def succeeded(self) -> None:
        self.failures, self.why = 0, ""

    def wait_s(self, now: float) -> float:
        """How long a start is to be delayed; 0: not at all."""
        if not self.failures:
            return 0.0
        pause = PAUSE_S if self.is_stopped else min(FIRST_S * 2 ** (self.failures - 1), LONGEST_S)
        return max(self.last + pause - now, 0.0)

    @property
    def is_stopped(self) -> bool:
        """Whether starting is given up for a while."""
        return self.failures >= PATIENCE

    def sentence(self, device: str, now: float) -> str:
        """Why no server is started now."""
        return (
            f"Servers on {device} failed {self.failures} times in a row, so none is started for {self.wait_s(now):.0f} s. "
            f"The last time: {self.why}"
        )
