"""Load shapes: which sessions come when, and what they want. Pure and by seed; benchmarks run them, the simulation too on its own clock.

The shapes are those that the literature tests balancing with: DGSF's (github.com/utcs-scea/DGSF: six functions, ten instances each,
shuffled with seed 0, exponential gaps), StreamBox's sporadic, periodic and bursty ones, and sessions as Huawei's serverless functions
come and go (EuroSys 2025, the quantiles of its figures and its fits). What no source gives is marked so.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """A session that comes at a moment, does its work and ends.

    Attributes:
        at_s: when it asks for a lease, from the shape's beginning.
        work_s: of device time that it needs in all, on a device of its own.
        demand: share of the time in which it wants the device while it runs, above 0 and up to 1; alone it runs for `work_s / demand`.
        memory_bytes: what it asks for.
        used_bytes: what it holds, and a move copies.
        dirty_bytes_a_s: what it overwrites in a second of running.
    """

    id: str
    at_s: float
    name: str
    work_s: float
    demand: float
    memory_bytes: int
    used_bytes: int
    dirty_bytes_a_s: float = 0.0
    tenant: str = "default"
    priority: int = 0

    @property
    def alone_s(self) -> float:
        """How long it runs with a device of its own."""
        return self.work_s / self.demand


# ---- DGSF

#: DGSF's six functions. The memory of the last two is of its consolidation test; work, demand and the other memory are assumptions (no
#: source gives them), chosen so that at a mean gap of 2 s four devices are busy for three quarters of the time.
DGSF_FUNCTIONS: tuple[Job, ...] = (
    Job("", 0.0, "kmeans", 3.0, 0.9, 3000 * _MB, 500 * _MB, 50.0 * _MB),
    Job("", 0.0, "covid-ct", 4.0, 0.6, 5000 * _MB, 800 * _MB, 80.0 * _MB),
    Job("", 0.0, "face-detection", 5.0, 0.7, 3000 * _MB, 600 * _MB, 60.0 * _MB),
    Job("", 0.0, "face-identification", 5.0, 0.5, 3000 * _MB, 600 * _MB, 60.0 * _MB),
    Job("", 0.0, "bert", 8.0, 0.8, 5000 * _MB, 1500 * _MB, 100.0 * _MB),
    Job("", 0.0, "resnet", 11.0, 0.9, 8000 * _MB, 2000 * _MB, 200.0 * _MB),
)
#: What a device of DGSF's machine has left for them: about 15 GB.
DGSF_DEVICE_BYTES = 15000 * _MB
#: Mean gaps between arrivals, seconds.
DGSF_LOW_S, DGSF_HIGH_S = 3.0, 2.0


def dgsf(
    seed: int, mean_gap_s: float = DGSF_HIGH_S, instances: int = 10, functions: Sequence[Job] = DGSF_FUNCTIONS
) -> list[Job]:
    """DGSF's mix: `instances` of each function, in the order that its seed 0 gives, with exponential gaps.

    Args:
        seed: of the gaps.
    """
    mix = [job for job in functions for _ in range(instances)]
    random.Random(0).shuffle(mix)
    draw = random.Random(f"dgsf {seed}")
    at_s, jobs = 0.0, []
    for n, job in enumerate(mix):
        jobs.append(replace(job, id=f"{job.name}-{n}", at_s=at_s))
        at_s += draw.expovariate(1.0 / mean_gap_s)
    return jobs


def dgsf_bursts(bursts: int = 10, gap_s: float = 2.0, functions: Sequence[Job] = DGSF_FUNCTIONS) -> list[Job]:
    """Its bursts: all functions at once, ten times, 2 s apart."""
    return [replace(job, id=f"{job.name}-{n}", at_s=n * gap_s) for n in range(bursts) for job in functions]


# ---- StreamBox


def arrivals(per_second: Sequence[float], seed: int) -> Iterator[float]:
    """Moments of arrivals from how many there are in each second: exponential gaps, scaled to fill that second."""
    draw = random.Random(f"arrivals {seed}")
    for second, rate in enumerate(per_second):
        gaps = [draw.expovariate(1.0) for _ in range(int(rate) + 1)]
        total, at = sum(gaps), 0.0
        for gap in gaps[:-1]:
            at += gap / total
            yield second + at


def sporadic(seconds: int, seed: int, most: int = 99) -> list[float]:
    """3 % of the seconds carry 0 to `most` requests."""
    draw = random.Random(f"sporadic {seed}")
    return [float(draw.randint(0, most)) if draw.random() < 0.03 else 0.0 for _ in range(seconds)]


def periodic(seconds: int, seed: int, amplitude: float = 200.0, period_s: float = 200.0) -> list[float]:
    """A sine with uniform noise of its own amplitude, never below zero."""
    draw = random.Random(f"periodic {seed}")
    return [
        max(0.0, amplitude * math.sin(2.0 * math.pi * s / period_s) + draw.uniform(-amplitude, amplitude))
        for s in range(seconds)
    ]


def bursty(seconds: int, seed: int, floor: float = 200.0, plateau: float = 2900.0) -> list[float]:
    """A floor with plateaus, their lengths (5 to 20 s) and distances (20 to 80 s) assumed: the recorded list was not found."""
    draw = random.Random(f"bursty {seed}")
    rates: list[float] = []
    while len(rates) < seconds:
        rates += [floor * draw.uniform(0.8, 1.2) for _ in range(draw.randint(20, 80))]
        rates += [plateau * draw.uniform(0.95, 1.05) for _ in range(draw.randint(5, 20))]
    return rates[:seconds]


def shaped(
    shape: Callable[[int, int], list[float]],
    seconds: int,
    seed: int,
    mean_per_s: float,
    functions: Sequence[Job] = DGSF_FUNCTIONS,
) -> list[Job]:
    """Jobs of a shape, scaled to `mean_per_s` arrivals a second, each a function drawn from the list.

    Args:
        shape: `sporadic`, `periodic` or `bursty`.
    """
    rates = shape(seconds, seed)
    total = sum(rates)
    scale = mean_per_s * seconds / total if total else 0.0
    # Rates are below one a second after scaling: carry what is left of a request from second to second.
    carried, whole = 0.0, []
    for rate in rates:
        carried += rate * scale
        whole.append(float(int(carried)))
        carried -= int(carried)
    draw = random.Random(f"shaped {seed}")
    return [
        replace(draw.choice(functions), id=f"{shape.__name__}-{n}", at_s=at_s)
        for n, at_s in enumerate(arrivals(whole, seed))
    ]


# ---- Huawei


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A distribution by points of its quantile function; between them log-linear, beyond them constant."""

    shares: tuple[float, ...]
    values: tuple[float, ...]

    def at(self, share: float) -> float:
        n = bisect.bisect_right(self.shares, share)
        if n == 0:
            return self.values[0]
        if n == len(self.shares):
            return self.values[-1]
        low, high = self.shares[n - 1], self.shares[n]
        part = (share - low) / (high - low)
        return math.exp((1.0 - part) * math.log(self.values[n - 1]) + part * math.log(self.values[n]))

    def draw(self, draw: random.Random) -> float:
        return self.at(draw.random())


_EXECUTION = (0.25, 0.50, 0.75, 0.90, 0.95, 0.99)
_START = (0.10, 0.25, 0.50, 0.75, 0.90, 0.99)
_GAP = (0.10, 0.50, 0.90, 0.99)

#: Mean execution time of functions, seconds, by region.
HUAWEI_EXECUTION = {
    "R1": Quantiles(_EXECUTION, (0.010, 0.094, 0.33, 1.7, 3.6, 31.0)),
    "R2": Quantiles(_EXECUTION, (0.0017, 0.031, 0.22, 1.1, 2.3, 16.0)),
    "R3": Quantiles(_EXECUTION, (0.0019, 0.034, 0.35, 6.8, 21.0, 30.0)),
    "R4": Quantiles(_EXECUTION, (0.0015, 0.0054, 0.13, 1.4, 20.0, 181.0)),
    "R5": Quantiles(_EXECUTION, (0.0012, 0.0046, 0.057, 1.3, 7.1, 30.0)),
}
#: Cold-start times, seconds.
HUAWEI_START = {
    "R1": Quantiles(_START, (0.54, 0.94, 2.5, 3.8, 8.2, 41.0)),
    "R2": Quantiles(_START, (0.24, 0.49, 0.83, 1.9, 10.3, 15.0)),
    "R3": Quantiles(_START, (0.023, 0.027, 0.11, 0.28, 0.43, 1.2)),
    "R4": Quantiles(_START, (0.078, 0.29, 0.93, 1.8, 2.7, 11.0)),
    "R5": Quantiles(_START, (0.13, 0.22, 0.46, 0.65, 1.6, 8.1)),
}
#: Gaps between cold starts, seconds.
HUAWEI_GAP = {
    "R1": Quantiles(_GAP, (0.0006, 0.11, 1.1, 3.2)),
    "R2": Quantiles(_GAP, (0.008, 0.72, 3.7, 7.8)),
    "R3": Quantiles(_GAP, (0.17, 5.4, 24.0, 63.0)),
    "R4": Quantiles(_GAP, (0.0003, 0.65, 4.9, 11.0)),
    "R5": Quantiles(_GAP, (0.22, 2.1, 7.9, 22.0)),
}
#: An idle function is kept for so long, seconds.
HUAWEI_KEEP_ALIVE_S = 60.0
#: The paper's fits: cold-start time LogNormal (mean 3.24 s, deviation 7.10 s), gap between cold starts Weibull (1.25 s, 3.66 s).
HUAWEI_START_MU, HUAWEI_START_SIGMA = 0.296, 1.326
HUAWEI_GAP_SHAPE, HUAWEI_GAP_SCALE_S = 0.418, 0.422


def huawei_start_s(draw: random.Random) -> float:
    """A cold-start time of the paper's fit, seconds."""
    return draw.lognormvariate(HUAWEI_START_MU, HUAWEI_START_SIGMA)


def huawei_gap_s(draw: random.Random) -> float:
    """A gap between cold starts of the paper's fit, seconds."""
    return draw.weibullvariate(HUAWEI_GAP_SCALE_S, HUAWEI_GAP_SHAPE)


def huawei(seed: int, sessions: int, region: str = "R2", mean_gap_s: float = 0.0) -> list[Job]:
    """Sessions that come as cold starts do, each the life of one function's environment without its keep-alive.

    Assumptions: a session makes a burst of calls (exponential, mean 20) with idle time between them, so that its demand is about a
    tenth; one in ten is busy all the time. Memory of GPU functions is in no public trace: DGSF's set.

    Args:
        mean_gap_s: the gaps are scaled to it; 0: they stay as recorded.
    """
    draw = random.Random(f"huawei {region} {seed}")
    gaps = [HUAWEI_GAP[region].draw(draw) for _ in range(sessions)]
    scale = mean_gap_s * sessions / sum(gaps) if mean_gap_s and sessions else 1.0
    at_s, jobs = 0.0, []
    for n, gap in enumerate(gaps):
        execution_s = HUAWEI_EXECUTION[region].draw(draw)
        calls = 1 + int(draw.expovariate(1.0 / 20.0))
        demand = draw.uniform(0.8, 1.0) if draw.random() < 0.1 else draw.uniform(0.02, 0.2)
        like = draw.choice(DGSF_FUNCTIONS)
        jobs.append(
            Job(
                f"{region}-{n}",
                at_s,
                "function",
                max(0.001, execution_s * calls),
                demand,
                like.memory_bytes,
                like.used_bytes,
                like.dirty_bytes_a_s,
                tenant=f"tenant-{draw.randrange(8)}",
            )
        )
        at_s += gap * scale
    return jobs


# ---- of any


def scaled(jobs: Sequence[Job], time: float = 1.0, memory: float = 1.0) -> list[Job]:
    """The same shape in another time and size: arrivals and work times `time`, memory and bytes times `memory`. Rates of writes follow."""
    return [
        replace(
            job,
            at_s=job.at_s * time,
            work_s=job.work_s * time,
            memory_bytes=int(job.memory_bytes * memory),
            used_bytes=int(job.used_bytes * memory),
            dirty_bytes_a_s=job.dirty_bytes_a_s * memory / time,
        )
        for job in jobs
    ]


#: The shapes by name, for command lines: each from a seed and how many sessions, about.
SHAPES: dict[str, Callable[[int, int], list[Job]]] = {
    "dgsf-low": lambda seed, n: dgsf(seed, DGSF_LOW_S, max(1, n // len(DGSF_FUNCTIONS))),
    "dgsf-high": lambda seed, n: dgsf(seed, DGSF_HIGH_S, max(1, n // len(DGSF_FUNCTIONS))),
    "dgsf-bursts": lambda seed, n: dgsf_bursts(max(1, n // len(DGSF_FUNCTIONS))),
    "sporadic": lambda seed, n: shaped(sporadic, 4 * n, seed, 0.25),
    "periodic": lambda seed, n: shaped(periodic, 2 * n, seed, 0.5),
    "bursty": lambda seed, n: shaped(bursty, 2 * n, seed, 0.5),
    "huawei": lambda seed, n: huawei(seed, n),
}
