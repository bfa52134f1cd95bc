"""What a device's errors mean, and when a device that was taken out of service comes back. Pure; times are the caller's.

NVIDIA calls the errors XIDs. Those of `APPLICATION_XIDS` are the fault of a program: its session ends, the device is well. All others may
be broken hardware: the device is cordoned, tested, and comes back by itself when the test passes, `RETURNS_A_DAY` times a day. Beyond that
a person looks at it. Every step leaves a sentence in the trail.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

#: Errors of programs, as NVIDIA's own Kubernetes plugin has them.
APPLICATION_XIDS: frozenset[int] = frozenset({13, 31, 43, 45, 68, 109})
#: What operators see most, in a few words.
MEANINGS: dict[int, str] = {
    13: "a kernel did something illegal",
    31: "a kernel used an address that is not its own",
    43: "a program's work was stopped",
    45: "a program's work was cleaned up after an error",
    48: "memory lost two bits (double bit ECC error)",
    61: "the GPU's microcontroller stopped",
    62: "the GPU's microcontroller halted",
    63: "a page or row of memory was retired",
    64: "a page or row of memory could not be retired",
    68: "the video processor failed",
    74: "NVLink failed",
    79: "the GPU has fallen off the bus",
    92: "many single bit ECC errors",
    94: "a contained ECC error",
    95: "an uncontained ECC error",
    109: "a context switch timed out",
    119: "the GPU's system processor does not answer",
    120: "the GPU's system processor failed",
}
#: A test that failed is made again after this long, twice as long each time, up to the second figure.
TEST_AFTER_S, TEST_AT_MOST_S = 5.0, 600.0
RETURNS_A_DAY = 3
DAY_S = 86400.0
KEPT_ERRORS = 16
KEPT_TRAIL = 32


def meaning(xid: int) -> str:
    return MEANINGS.get(xid, "see NVIDIA's list of XID errors")


@dataclass(frozen=True, slots=True)
class Error:
    """One XID, `at` seconds on the monotonic clock."""

    xid: int
    at: float
    is_hardware: bool


@dataclass(slots=True)
class Health:
    """Of one device.

    Attributes:
        application_xids: errors that are programs' fault.
        reason: why the device is cordoned; "" while it is not.
        test_at: when it is to be tested next; inf: not at all.
        trail: what happened, oldest first: (when, sentence).
    """

    application_xids: frozenset[int] = APPLICATION_XIDS
    reason: str = ""
    test_at: float = float("inf")
    errors: deque[Error] = field(default_factory=lambda: deque(maxlen=KEPT_ERRORS))
    trail: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=KEPT_TRAIL))
    _failures: int = 0
    _returns: deque[float] = field(default_factory=deque)

    @property
    def is_cordoned(self) -> bool:
        return bool(self.reason)

    def error(self, xid: int, now: float) -> bool:
        """An XID was reported. Returns whether it may be broken hardware: the device is cordoned then."""
        is_hardware = xid not in self.application_xids
        self.errors.append(Error(xid, now, is_hardware))
        if is_hardware:
            self._cordon(f"XID {xid}: {meaning(xid)}.", now)
            self._failures = 0
            self._plan(now)
        else:
            self.trail.append(
                (now, f"XID {xid}: {meaning(xid)}. A program's fault: its session ends, the device goes on.")
            )
        return is_hardware

    def tested(self, why: str, now: float) -> None:
        """The test that was due has been made. `why` it failed; "": it passed, and the device is in service again."""
        if not self.is_cordoned:
            return
        if why:
            self._failures += 1
            self._cordon(f"{self.reason.split(' Tested')[0]} Tested {self._failures} times without success: {why}", now)
            self._plan(now)
            return
        self.trail.append((now, f"The test passed: in service again. It was: {self.reason}"))
        self._returns.append(now)
        self.reason, self.test_at = "", float("inf")

    def _cordon(self, reason: str, now: float) -> None:
        self.reason = reason
        self.trail.append((now, reason))

    def _plan(self, now: float) -> None:
        while self._returns and self._returns[0] < now - DAY_S:
            self._returns.popleft()
        if len(self._returns) >= RETURNS_A_DAY:
            self.test_at = float("inf")
            self.reason += (
                f" It came back {RETURNS_A_DAY} times within a day and failed again: it stays out of service until "
                "a person has looked at it and its agent is started again."
            )
            self.trail.append((now, self.reason))
        else:
            self.test_at = now + min(TEST_AFTER_S * 2**self._failures, TEST_AT_MOST_S)
