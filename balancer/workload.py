"""Load shapes: who comes when, with how much work. Pure and by seed: simulation and real processes get the same jobs.

    dgsf, dgsf-high   six functions, ten of each, shuffled, exponential gaps of 3 s, of 2 s (DGSF, IPDPS 2022, its code)
    dgsf-burst        all six at once, ten times, 2 s apart (the same)
    bursty            gaps with a coefficient of variation of about 12, as in the Azure LLM trace of 2023 (code)
    periodic          a rate that swings like a sine of 200 s (StreamBox, ATC 2024, its code)
    huawei            gaps Weibull of shape 0.418, execution times by the quantiles of Region 1 (Huawei, EuroSys 2025)

How long DGSF's functions use a GPU, and how much of it, was not found: `FUNCTIONS` has figures of our own.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a function.

    Attributes:
        at_s: when it asks for a session, from the beginning.
        work_s: of the device, when it has it alone.
        duty: part of its time, alone on a device, that it uses the device; the rest it computes for itself.
        memory_bytes: that it leases, and uses.
        dirty_bytes_a_s: memory that it writes in a second of `work_s`, each byte counted once a second.
    """

    at_s: float
    function: str
    work_s: float
    duty: float
    memory_bytes: int
    dirty_bytes_a_s: int
    tenant: str = "default"
    priority: int = 0

    @property
    def alone_s(self) -> float:
        """How long it takes on a device of its own."""
        return self.work_s / self.duty


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    work_s: float
    duty: float
    memory_bytes: int
    dirty_bytes_a_s: int

    def job(self, at_s: float, scale: float = 1.0) -> Job:
        return Job(at_s, self.name, self.work_s * scale, self.duty, self.memory_bytes, self.dirty_bytes_a_s)


#: DGSF's six. The two memory figures that it publishes are of BERT and ResNet; all else is ours.
FUNCTIONS: tuple[Function, ...] = (
    Function("kmeans", 8.0, 0.9, 1 * GIB, 64 << 20),
    Function("covid-ct", 10.0, 0.6, 6 * GIB, 512 << 20),
    Function("face-detection", 6.0, 0.5, 3 * GIB, 256 << 20),
    Function("face-identification", 4.0, 0.5, 3 * GIB, 256 << 20),
    Function("bert", 6.0, 0.7, 5000 << 20, 512 << 20),
    Function("resnet", 12.0, 0.8, 8000 << 20, 512 << 20),
)

#: Mean execution times of Region 1's functions: (part of them, seconds).
_EXECUTION: tuple[tuple[float, float], ...] = (
    (0.0, 0.001), (0.25, 0.010), (0.50, 0.094), (0.75, 0.33), (0.90, 1.7), (0.95, 3.6), (0.99, 31.0), (1.0, 60.0),
)  # fmt: skip
#: Time between cold starts, all regions.
WEIBULL_SHAPE, WEIBULL_SCALE_S = 0.418, 0.422
#: How long a cold start takes, all regions: parameters of a LogNormal.
COLD_MU, COLD_SIGMA = 0.296, 1.326
_PERIOD_S = 200.0


def _dgsf(mean_gap_s: float) -> Callable[[random.Random, int, float], list[Job]]:
    def jobs(rng: random.Random, count: int, load: float) -> list[Job]:
        order = [FUNCTIONS[i % len(FUNCTIONS)] for i in range(count)]
        rng.shuffle(order)
        at, out = 0.0, []
        for function in order:
            out.append(function.job(at))
            at += rng.expovariate(load / mean_gap_s)
        return out

    return jobs


def _dgsf_burst(rng: random.Random, count: int, load: float) -> list[Job]:
    return [FUNCTIONS[i % len(FUNCTIONS)].job(i // len(FUNCTIONS) * 2.0 / load) for i in range(count)]


def _bursty(rng: random.Random, count: int, load: float) -> list[Job]:
    """Gaps of two kinds: inside a burst, and between bursts."""
    mean_gap_s, at, out = 2.0 / load, 0.0, []
    inside, part = (
        0.02,
        0.985,
    )  # of the mean gap; of all gaps. Their mixture has a coefficient of variation of about 11 to 13
    between = (1.0 - part * inside) / (1.0 - part)
    for _ in range(count):
        out.append(_drawn(rng).job(at, _spread(rng)))
        at += rng.expovariate(1.0) * mean_gap_s * (inside if rng.random() < part else between)
    return out


def _periodic(rng: random.Random, count: int, load: float) -> list[Job]:
    """By thinning: candidates at the highest rate, each kept with the probability that its moment has."""
    most, at, out = 2.0 * load / 2.5, 0.0, []
    while len(out) < count:
        at += rng.expovariate(most)
        if rng.random() < 0.5 * (1.0 + math.sin(2.0 * math.pi * at / _PERIOD_S)):
            out.append(_drawn(rng).job(at, _spread(rng)))
    return out


def _huawei(rng: random.Random, count: int, load: float) -> list[Job]:
    at, out = 0.0, []
    for _ in range(count):
        work_s = _quantile(_EXECUTION, rng.random()) * rng.lognormvariate(0.0, 0.3)
        memory = min(12 * GIB, int(1.5 * GIB * rng.lognormvariate(0.0, 0.8)))
        duty = rng.uniform(0.3, 0.9)
        out.append(Job(at, "function", max(work_s, 1e-3), duty, memory, memory // 16))
        at += rng.weibullvariate(WEIBULL_SCALE_S, WEIBULL_SHAPE) / load
    return out


def _drawn(rng: random.Random) -> Function:
    return FUNCTIONS[rng.randrange(len(FUNCTIONS))]


def _spread(rng: random.Random) -> float:
    """Work differs from call to call: a LogNormal of mean 1."""
    return rng.lognormvariate(-0.18, 0.6)


def _quantile(table: Sequence[tuple[float, float]], u: float) -> float:
    """Between the table's points straight on a logarithmic scale."""
    at = min(max(bisect.bisect_right(table, (u, math.inf)), 1), len(table) - 1)
    (p, low), (q, high) = table[at - 1], table[at]
    return math.exp(math.log(low) + (math.log(high) - math.log(low)) * (u - p) / (q - p))


#: Name -> what draws `count` jobs, given the load: 1 is the published rate (or ours), 2 twice as many jobs in the same time.
SHAPES: dict[str, Callable[[random.Random, int, float], list[Job]]] = {
    "dgsf": _dgsf(3.0),
    "dgsf-high": _dgsf(2.0),
    "dgsf-burst": _dgsf_burst,
    "bursty": _bursty,
    "periodic": _periodic,
    "huawei": _huawei,
}


def jobs(shape: str, seed: int, count: int = 60, load: float = 1.0) -> list[Job]:
    """The jobs of a shape, by time. The same arguments give the same jobs, on every machine.

    Raises:
        ValueError: no such shape, or a count or load that is not positive.
    """
    if shape not in SHAPES:
        raise ValueError(f"There is no load shape {shape!r}. There are {', '.join(SHAPES)}.")
    if count < 1 or not load > 0:
        raise ValueError(f"A load has at least one job and a positive rate, not {count} jobs at {load:g}.")
    return SHAPES[shape](random.Random(f"{shape}:{seed}"), count, load)
