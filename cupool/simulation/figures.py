"""What a run is judged by."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client


@dataclass(frozen=True, slots=True)
class Figures:
    """Times in seconds of the virtual clock.

    Attributes:
        queue_mean_s, queue_p95_s: from asking to the first lease.
        slowdown_mean, slowdown_p95: from the lease to the end, by what the job takes on a device of its own.
        utilisation: part of the time that devices computed, from the first arrival to the last end.
        pause_p50_ms, pause_p95_ms: of moves, from the last batch at the source to the release.
    """

    jobs: int
    done: int
    refused: int
    lost: int
    killed: int
    queue_mean_s: float
    queue_p95_s: float
    total_mean_s: float
    slowdown_mean: float
    slowdown_p95: float
    makespan_s: float
    utilisation: float
    moves: int
    moves_failed: int
    pause_p50_ms: float
    pause_p95_ms: float
    recoveries: int
    reconnects: int
    refusals: int
    decision_p50_ms: float = 0.0
    decision_max_ms: float = 0.0
    events: int = 0
    series: list[dict[str, float]] = field(default_factory=list)

    def record(self, *, series: bool = False) -> dict[str, Any]:
        found = asdict(self)
        if not series:
            del found["series"]
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()}


def part(values: Sequence[float], at: float) -> float:
    """A quantile; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(at * len(ordered)))]


def of(clients: Sequence[Client], busy_s: float, devices: int, pauses_s: Sequence[float], **more: Any) -> Figures:
    """The figures of a run's programs."""
    done = [c for c in clients if c.outcome == "done"]
    queue = [c.given_s - c.asked_s for c in clients if c.given_s]
    slow = [(c.over_s - c.given_s) / c.program.job.alone_s for c in done]
    first = min((c.asked_s for c in clients), default=0.0)
    makespan = max((c.over_s for c in clients), default=0.0) - first
    return Figures(
        jobs=len(clients),
        done=len(done),
        refused=sum(c.outcome == "refused" for c in clients),
        lost=sum(c.outcome == "lost" for c in clients),
        killed=sum(c.outcome == "killed" for c in clients),
        queue_mean_s=statistics.fmean(queue) if queue else 0.0,
        queue_p95_s=part(queue, 0.95),
        total_mean_s=statistics.fmean(c.over_s - c.asked_s for c in done) if done else 0.0,
        slowdown_mean=statistics.fmean(slow) if slow else 0.0,
        slowdown_p95=part(slow, 0.95),
        makespan_s=makespan,
        utilisation=busy_s / (makespan * devices) if makespan else 0.0,
        pause_p50_ms=part(pauses_s, 0.5) * 1000,
        pause_p95_ms=part(pauses_s, 0.95) * 1000,
        recoveries=sum(c.recoveries for c in clients),
        reconnects=sum(c.reconnects for c in clients),
        refusals=sum(c.refusals for c in clients),
        **more,
    )
