"""What is simulated: sizes, load, policy and faults, all of one seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from cupool.apiserver.moving.steps import DESTINATION_STEPS, SOURCE_STEPS
from cupool.balancer import workload
from cupool.balancer.workload import Job
from cupool.contract import balance
from cupool.pool.config import PoolConfig, Quota

GIB = 1 << 30
#: Of moves, at which faults may come.
STEPS = (*SOURCE_STEPS, *DESTINATION_STEPS)
#: Tenants of random scenarios.
TENANTS = ("default", "red", "blue")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that breaks. `at_s`: when; or `at_step`: when the `nth` move comes to that step."""

    kind: str
    at_s: float = -1.0
    at_step: str = ""
    nth: int = 1
    for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run.

    Attributes:
        start_s: how long a server takes until it is warm: median; it varies by about a third. 0: as Huawei's cold starts.
        step_s: of the device, one step of a program; at most `most_steps` of them.
        patience_s: how long programs wait for a lease.
        random_moves: moves that an operator asks for at random, a second.
        until_s: a run that has not come to its end by then has failed.
        is_thorough: all invariants after every event; else those of the books once a second.
        link_bytes_a_s: what a copy between two servers gets.
    """

    seed: int
    hosts: int = 4
    devices: int = 1
    memory_bytes: int = 16 * GIB
    max_sessions: int = 4
    warm: int = 1
    shape: str = "dgsf-high"
    count: int = 60
    load: float = 1.0
    policy: str = "none"
    balance_s: float = 1.0
    latency_s: float = 0.0005
    start_s: float = 0.15
    step_s: float = 0.1
    most_steps: int = 60
    patience_s: float = 600.0
    park_grace_s: float = 60.0
    lease_s: int = 60
    link_bytes_a_s: float = 2e9
    random_moves: float = 0.0
    faults: tuple[Fault, ...] = ()
    jobs: tuple[Job, ...] = ()
    quotas: dict[str, Quota] = field(default_factory=dict)
    until_s: float = 86_400.0
    is_thorough: bool = False

    def load_jobs(self) -> list[Job]:
        if self.jobs:
            return list(self.jobs)
        drawn = workload.SHAPES[self.shape](self.seed, self.count)
        return [replace(job, at_s=job.at_s / self.load) for job in sorted(drawn, key=lambda j: j.at_s)]

    def config(self) -> PoolConfig:
        return PoolConfig(
            max_sessions=self.max_sessions,
            warm=self.warm,
            balance=self.policy,
            lease_s=self.lease_s,
            park_grace_ms=int(self.park_grace_s * 1000),
            quota=Quota(queue_places=1_000_000),
            queue_places=1_000_000,
        )


#: Kinds of faults that come at a time, and how often each is drawn.
TIMED = {
    "kill-server": 5,
    "kill-agent": 1,
    "kill-controller": 2,
    "kill-client": 1,
    "cut": 4,
    "part": 4,
    "slow": 2,
    "cordon": 1,
    "drain": 1,
}
#: Kinds that come at a step of a move.
STEPPED = (
    "kill-source",
    "kill-destination",
    "kill-controller",
    "cut-client",
    "cut-pull",
    "part-servers",
    "part-source",
    "part-destination",
    "part-client",
    "stall",
    "cancel",
)


def random_scenario(seed: int) -> Scenario:
    """A small pool with everything that may happen to it, of a seed."""
    rng = random.Random(f"scenario:{seed}")
    hosts, devices = rng.randint(1, 3), rng.randint(1, 2)
    if hosts * devices == 1:
        devices = 2
    jobs: list[Job] = []
    at = 0.0
    for _ in range(rng.randint(4, 10)):
        memory = rng.randint(1, 6) * GIB
        jobs.append(
            Job(
                f"job-{len(jobs)}", at, "random", rng.lognormvariate(-0.2, 0.8), rng.uniform(0.2, 0.95), memory,
                int(memory * rng.uniform(0.01, 1.0)), rng.lognormvariate(18.5, 1.5), rng.choice(TENANTS),
            )
        )  # fmt: skip
        at += rng.expovariate(2.0)
    faults = []
    for _ in range(rng.randint(0, 5)):
        kind = rng.choices(list(TIMED), list(TIMED.values()))[0]
        faults.append(Fault(kind, at_s=rng.uniform(0.0, at + 4.0), for_s=rng.choice((0.2, 1.0, 3.0, 20.0))))
    for _ in range(rng.randint(0, 3)):
        faults.append(
            Fault(
                rng.choice(STEPPED), at_step=rng.choice(STEPS), nth=rng.randint(1, 2),
                for_s=rng.choice((0.2, 1.0, 3.0, 20.0)),
            )
        )  # fmt: skip
    return Scenario(
        seed=seed,
        hosts=hosts,
        devices=devices,
        max_sessions=rng.randint(1, 3),
        warm=rng.randint(1, 2),
        policy=rng.choice(tuple(balance.POLICIES)),
        latency_s=rng.choice((0.0002, 0.001, 0.01)),
        start_s=rng.choice((0.05, 0.5)),
        step_s=0.1,
        most_steps=12,
        patience_s=300.0,
        park_grace_s=5.0,
        lease_s=8,
        link_bytes_a_s=rng.choice((2e8, 2e9)),
        random_moves=rng.choice((0.0, 1.0, 4.0)),
        faults=tuple(faults),
        jobs=tuple(jobs),
        quotas={
            tenant: Quota(
                sessions=rng.choice((0, 2)), memory_bytes=rng.choice((0, 8 * GIB)), queue_places=1000,
                weight=rng.choice((1.0, 2.0)),
            )
            for tenant in TENANTS[1:]
        },
        until_s=600.0,
        is_thorough=True,
    )  # fmt: skip
