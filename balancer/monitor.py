"""Snapshots made steady: utilisation as an average that forgets, so that one busy moment moves nothing. Pure: the time is the snapshot's.

Note [How long is remembered]. A snapshot comes every 250 ms. DGSF polls NVML so often and decides on the mean of 5 samples; an average that
gives a new sample the weight 2 / (N + 1) has the same mean age as one over N samples. So the weight is 1/3, and what was measured a second
ago counts for a fifth of what is measured now. Snapshots that are late count for the time that has passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from .snapshot import Snapshot

K = TypeVar("K")

#: How far snapshots are apart, and the samples of DGSF's window.
INTERVAL_S = 0.25
SAMPLES = 5
WEIGHT = 2.0 / (SAMPLES + 1)


class Monitor:
    """Smooths the snapshots of one pool, in the order in which they were taken."""

    def __init__(self) -> None:
        self._at_s: float | None = None
        self._devices: dict[str, float] = {}
        #: by session and device: on another device it is another's neighbour
        self._sessions: dict[tuple[str, str], float] = {}

    def take(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with steady utilisations. A clock that went back (another controller) begins anew."""
        past_s = snapshot.at_s - self._at_s if self._at_s is not None else -1.0
        if past_s < 0.0:
            self._devices, self._sessions = {}, {}
        weight = 1.0 - (1.0 - WEIGHT) ** (max(0.0, past_s) / INTERVAL_S)
        self._at_s = snapshot.at_s
        self._devices = _smoothed(self._devices, ((d.id, d.utilisation) for d in snapshot.devices), weight)
        self._sessions = _smoothed(
            self._sessions, (((s.id, s.device), s.utilisation) for s in snapshot.sessions), weight
        )
        return replace(
            snapshot,
            devices=tuple(replace(d, utilisation=self._devices[d.id]) for d in snapshot.devices),
            sessions=tuple(replace(s, utilisation=self._sessions[s.id, s.device]) for s in snapshot.sessions),
        )


def _smoothed(before: dict[K, float], now: Iterable[tuple[K, float]], weight: float) -> dict[K, float]:
    """Of what is there now; what is new begins with its first sample."""
    return {key: before[key] + weight * (value - before[key]) if key in before else value for key, value in now}
