"""Counts of leases: how long they took, how many were refused and why. What `PoolStatus` tells of them, and `/metrics` shows.

Boundary: no grpc, no prometheus: a lock and a few lists, so that an embedded pool pays nothing for it. Who answers Acquire calls `given`
or `refused` once for each.
"""

from __future__ import annotations

import bisect
import threading

from cupool.v1 import admin_pb2

#: Upper bounds of the buckets, seconds: a lease from a warm pool takes about a millisecond, one that queues up to its deadline.
BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
#: Reasons that are counted apart. One more would be a bug of the caller; it is counted as the last one, and nothing grows without bound.
REASONS = (
    "capacity",  # nothing is free, and the caller would not wait
    "deadline",  # nothing became free in the time that the caller would wait
    "queue",  # no place in the queue, or none whose turn can come in time
    "quota-sessions",
    "quota-memory",
    "quota-kernel",
    "quota-opens",
    "credential",  # unknown, expired, revoked, or of another role
    "impossible",  # no device of the pool could ever give it
    "unavailable",  # servers do not start, no agent is connected, or the directory cannot be written
    "ending",  # the pool drains or ends
    "cancelled",  # the caller went away while it waited
    "other",
)


class LeaseMeter:
    """Counts since the process started. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0
        self._refused = dict.fromkeys(REASONS, 0)

    def given(self, took_s: float) -> None:
        """A lease was given, `took_s` seconds after it was asked for."""
        with self._lock:
            self._counts[bisect.bisect_left(BOUNDS_S, took_s)] += 1
            self._sum_s += took_s

    def refused(self, reason: str) -> None:
        """A lease was refused; `reason` is one of `REASONS`."""
        with self._lock:
            self._refused[reason if reason in self._refused else "other"] += 1

    def fill(self, status: admin_pb2.PoolStatus) -> None:
        """Set what `status` says of leases: given, refused, by reason, and how long they took."""
        with self._lock:
            counts, sum_s, refused = list(self._counts), self._sum_s, dict(self._refused)
        status.leases_given = sum(counts)
        status.leases_refused = sum(refused.values())
        for reason, count in refused.items():
            if count:
                status.refusals.add(reason=reason, count=count)
        status.lease_latency.bounds_s[:] = BOUNDS_S
        status.lease_latency.counts[:] = counts
        status.lease_latency.sum_s = sum_s


#: Of the pauses of moves, seconds.
PAUSE_BOUNDS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class MoveMeter:
    """Counts of moves since the process started, by how they ended. Called with the controller's lock held."""

    def __init__(self) -> None:
        self._outcomes: dict[str, int] = {}
        self._counts = [0] * (len(PAUSE_BOUNDS_S) + 1)
        self._sum_s = 0.0
        self._bytes = 0

    def ended(self, outcome: str, pause_s: float, nbytes: int) -> None:
        """A move ended; `pause_s` and `nbytes` count only where the session moved."""
        self._outcomes[outcome] = self._outcomes.get(outcome, 0) + 1
        if outcome == "done":
            self._counts[bisect.bisect_left(PAUSE_BOUNDS_S, pause_s)] += 1
            self._sum_s += pause_s
            self._bytes += nbytes

    def fill(self, status: admin_pb2.PoolStatus) -> None:
        """Set what `status` says of moves that have ended."""
        for outcome, count in sorted(self._outcomes.items()):
            status.moves.add(outcome=outcome, count=count)
        status.move_pause.bounds_s[:] = PAUSE_BOUNDS_S
        status.move_pause.counts[:] = self._counts
        status.move_pause.sum_s = self._sum_s
        status.moved_bytes = self._bytes
