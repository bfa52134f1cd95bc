"""Thousands of random pools on a virtual clock, with random faults, and policies beside each other under each load shape.

`CUPOOL_SIMULATE_SEEDS` asks for another number of pools; those that are done are kept.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cupool.balancer import workload

from cupool import simulate
from cupool.simulation.scenario import Scenario

TITLE = "2 000 random pools with random faults on a virtual clock: 0 violations; none, dgsf and cost-aware under each load shape"
SEEDS, CHUNK, SAMPLE = 2000, 50, 20
POLICIES = ("none", "dgsf", "cost-aware")
#: Seeds of each load shape.
RUNS = 5
#: The pool that policies are compared on: DGSF's four devices, with room for sessions to crowd.
POOL = {"hosts": 4, "devices": 1, "memory_bytes": workload.DGSF_DEVICE_BYTES, "max_sessions": 4, "count": 60}


def cases(full: bool) -> list[str]:
    if not full:
        return [f"pools-0-{SAMPLE}"]
    seeds = int(os.environ.get("CUPOOL_SIMULATE_SEEDS", SEEDS))
    pools = [f"pools-{at}-{min(CHUNK, seeds - at)}" for at in range(0, seeds, CHUNK)]
    return pools + [f"policies-{shape}" for shape in workload.SHAPES]


@contextmanager
def setup() -> Iterator[Any]:
    with multiprocessing.get_context("spawn").Pool(2, _quiet) as workers:
        yield workers


def _quiet() -> None:
    logging.disable(logging.CRITICAL)


def run_case(shared: Any, case: str) -> dict[str, Any]:
    kind, _, rest = case.partition("-")
    return CASES[kind](shared, rest)


def _pools(workers: Any, what: str) -> dict[str, Any]:
    first, count = map(int, what.split("-"))
    began, half = time.perf_counter(), (count + 1) // 2
    parts = [(first, half), (first + half, count - half)]
    total = {"seeds": 0, "events": 0, "moves": 0, "recoveries": 0, "faults": 0}
    failed: list[str] = []
    for seeds, counts, failures in workers.starmap(simulate.campaign, [p for p in parts if p[1]]):
        total["seeds"] += seeds
        for key, value in counts.items():
            total[key] += value
        failed += [f"{sentence} Again: {simulate.replay_command(seed)}" for seed, sentence in failures]
    if failed:
        raise AssertionError("; ".join(failed))
    return {**total, "took_s": round(time.perf_counter() - began, 2)}


def _policies(workers: Any, shape: str) -> dict[str, Any]:
    scenarios = [
        Scenario(seed=seed, shape=shape, policy=policy, **POOL)  # type: ignore[arg-type]
        for policy in POLICIES
        for seed in range(RUNS)
    ]
    found = workers.map(_figures, scenarios, chunksize=1)
    return {policy: simulate.mean(found[at * RUNS : (at + 1) * RUNS]) for at, policy in enumerate(POLICIES)}


def _figures(scenario: Scenario) -> simulate.Figures:
    found, violation, _ = simulate.run(scenario)
    if found is None:
        raise AssertionError(f"{scenario.shape}, {scenario.policy}, seed {scenario.seed}: {violation}")
    return found


CASES = {"pools": _pools, "policies": _policies}


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    pools = [r for case, r in done.items() if case.startswith("pools")]
    total = {key: sum(r[key] for r in pools) for key in ("seeds", "events", "moves", "recoveries", "faults", "took_s")}
    policies = {case.removeprefix("policies-"): r for case, r in done.items() if case.startswith("policies")}
    return {**total, "violations": 0, "policies": policies}
