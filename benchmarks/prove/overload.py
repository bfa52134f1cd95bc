"""Ten times as many clients as the pool can serve: who is admitted hardly notices, who is not is told at once, and nothing grows.

Arrivals come at a fixed rate whatever becomes of them (an open loop). A lease that is given is held for `HOLD_S`, then released.
First at half of what the pool can serve, then at ten times.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from grpc import aio

from benchmarks import pools
from benchmarks.harness import mark_run
from cupool.v1 import pool_pb2, pool_pb2_grpc

TITLE = "overload at ten times capacity: admitted p99 <= 2x unloaded, refusals <= 10 ms, memory bounded"
SLOTS = 8
HOLD_S = 0.2
#: Leases a second that the slots can give.
CAPACITY = SLOTS / HOLD_S
REFUSAL_MS, SLOWER, GROWTH_BYTES = 10.0, 2.0, 32 << 20


@dataclass(slots=True)
class Load:
    """What became of the arrivals. Milliseconds."""

    given_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    without_retry: int = 0
    other: dict[str, int] = field(default_factory=dict)
    late_ms: list[float] = field(default_factory=list)  # how late this generator itself was


def cases(full: bool) -> list[str]:
    """How many milliseconds an Acquire may queue, and how many seconds the load lasts."""
    return ["0-60", "500-60"] if full else ["0-2"]


@contextmanager
def setup() -> Iterator[pools.Pool]:
    mark_run()
    with pools.up("--devices", "cpu:1:512MiB", "--warm", str(SLOTS), "--max-sessions", str(SLOTS)) as pool:
        pool.wait_warm(SLOTS)
        yield pool


def run_case(pool: pools.Pool, case: str) -> dict[str, Any]:
    deadline_ms, seconds = map(int, case.split("-"))
    calm = asyncio.run(load(pool, CAPACITY / 2, max(1.5, seconds / 4), 0))
    before = pool.resident_bytes()
    storm = asyncio.run(load(pool, CAPACITY * 10, seconds, deadline_ms))
    after = pool.resident_bytes()
    unexpected = {k: v for k, v in storm.other.items() if k not in ("DEADLINE_EXCEEDED",)} | calm.other
    figures = {
        "offered_per_s": CAPACITY * 10,
        "admitted": len(storm.given_ms),
        "refused": len(storm.refused_ms),
        "expired": storm.other.get("DEADLINE_EXCEEDED", 0),
        "unexpected": unexpected,
        "unloaded_p50_ms": _percentile(calm.given_ms, 50),
        "unloaded_p99_ms": _percentile(calm.given_ms, 99),
        "admitted_p50_ms": _percentile(storm.given_ms, 50),
        "admitted_p99_ms": _percentile(storm.given_ms, 99),
        "refused_p50_ms": _percentile(storm.refused_ms, 50),
        "refused_p99_ms": _percentile(storm.refused_ms, 99),
        "without_retry_time": storm.without_retry,
        "generator_late_p99_ms": _percentile(storm.late_ms, 99),
        "growth_bytes": {role: after[role] - before[role] for role in before},
    }
    # Times are judged where the figures are read: this machine may be busy. Counts are judged here.
    if unexpected or storm.without_retry:
        raise AssertionError(f"statuses that no overload explains, or refusals without a time to retry: {figures}")
    if not storm.given_ms or len(storm.refused_ms) + figures["expired"] < len(storm.given_ms):
        raise AssertionError(f"it was no overload: {figures}")
    if any(growth > GROWTH_BYTES for growth in figures["growth_bytes"].values()):
        raise AssertionError(f"memory grew by more than {GROWTH_BYTES} bytes: {figures}")
    return figures


async def load(pool: pools.Pool, per_s: float, seconds: float, deadline_ms: int) -> Load:
    """Offer `per_s` Acquires a second for so long."""
    found = Load()
    metadata = (("authorization", f"Bearer {pool.token}"),)
    request = pool_pb2.AcquireRequest(function="overload", deadline_ms=deadline_ms)
    async with aio.insecure_channel(pool.addr) as channel:
        stub: Any = pool_pb2_grpc.PoolServiceStub(channel)
        running: set[asyncio.Task[None]] = set()

        async def arrive() -> None:
            start = time.perf_counter()
            try:
                lease = await stub.Acquire(request, metadata=metadata, timeout=60)
            except aio.AioRpcError as error:
                took_ms = (time.perf_counter() - start) * 1e3
                if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                    found.refused_ms.append(took_ms)
                    trailers = dict(error.trailing_metadata() or ())
                    found.without_retry += "cupool-retry-after-ms" not in trailers
                else:
                    name = error.code().name
                    found.other[name] = found.other.get(name, 0) + 1
                return
            found.given_ms.append((time.perf_counter() - start) * 1e3)
            await asyncio.sleep(HOLD_S)
            release = pool_pb2.ReleaseRequest(session=lease.session, session_token=lease.session_token)
            await stub.Release(release, metadata=metadata, timeout=60)

        begin = time.perf_counter()
        for i in range(int(per_s * seconds)):
            due = begin + i / per_s
            wait_s = due - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            else:
                found.late_ms.append(-wait_s * 1e3)
                if i % 64 == 0:
                    await asyncio.sleep(0)
            task = asyncio.create_task(arrive())
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)
    return found


def _percentile(samples: list[float], percent: float) -> float | None:
    return round(float(np.percentile(samples, percent)), 2) if samples else None


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for case, figures in done.items():
        is_waiting = not case.startswith("0-")
        slower = (figures["admitted_p99_ms"] or 0) / (figures["unloaded_p99_ms"] or 1)
        found[case] = {
            "admitted_p99_over_unloaded": round(slower, 2),
            "refused_p99_ms": figures["refused_p99_ms"],
            # Who may wait in the queue waits: its own time is no slowness.
            "met": {
                "admitted": is_waiting or slower <= SLOWER,
                "refusals": (figures["refused_p99_ms"] or 0) <= REFUSAL_MS,
            },
        }
    return {"cores": os.cpu_count(), **found}
