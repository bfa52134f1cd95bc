"""S12: leases a second of one controller, without attaching; and how long it decides where it has ten thousand servers."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from grpc import aio

from benchmarks import pools
from benchmarks.harness import ROOT, Value
from cupool.v1 import pool_pb2, pool_pb2_grpc

ROW = "S12"
TITLE = "leases of one controller: acquire + release without attach; a decision at 10,000 servers (simulated)"
#: Milliseconds of a cycle where 500 go into a second, and of a decision.
GOAL_CYCLE_MS, GOAL_DECISION_MS = 2.0, 10.0
#: Clients at once, of one event loop; warm servers and slots are more.
CLIENTS, WARM = 8, 16
DEVICES, PER_DEVICE, LEASED = 1250, 8, 200


async def cycles_ms(pool: pools.Pool, count: int) -> float:
    """Milliseconds of wall time for each of `count` cycles, several at once."""
    metadata = (("authorization", f"Bearer {pool.token}"),)
    left = iter(range(count))
    async with aio.insecure_channel(pool.addr) as channel:
        stub: Any = pool_pb2_grpc.PoolServiceStub(channel)

        async def client() -> None:
            for _ in left:
                request = pool_pb2.AcquireRequest(function="s12", deadline_ms=30_000)
                lease = await stub.Acquire(request, metadata=metadata)
                release = pool_pb2.ReleaseRequest(session=lease.session, session_token=lease.session_token)
                await stub.Release(release, metadata=metadata)

        start = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        return (time.perf_counter() - start) / count * 1e3


def decisions_ms(rounds: int) -> list[float]:
    """Milliseconds that a controller over a host in memory takes for an Acquire, with 10,000 warm servers and some leases."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from cupool.pool.config import PoolConfig
    from cupool.pool.controller import Controller
    from cupool.pool.directory import Directory
    from fakehost import FakeHost

    host = FakeHost(devices={f"cpu:{i}": 1 << 40 for i in range(DEVICES)})
    config = PoolConfig(max_sessions=PER_DEVICE, warm=PER_DEVICE, lease_s=3600)
    controller = Controller(config, host, Directory())  # type: ignore[arg-type]
    controller.open()
    host.connect()
    host.deliver()

    def acquire() -> Any:
        return controller.acquire(pool_pb2.AcquireRequest(memory_bytes=1 << 20), "default")

    for _ in range(LEASED):
        acquire()
        host.deliver()
    if len(host.servers) < DEVICES * PER_DEVICE:
        raise RuntimeError(f"{len(host.servers)} servers")
    samples = []
    for _ in range(rounds):
        start = time.perf_counter()
        lease = acquire()
        samples.append((time.perf_counter() - start) * 1e3)
        controller.release(lease.session, lease.session_token, "", "default")
        host.deliver()
    return samples


def run(quick: bool) -> list[Value]:
    decisions = decisions_ms(20 if quick else 300)
    options = ("--devices", "cpu:1:1GiB", "--warm", str(WARM), "--max-sessions", str(2 * WARM))
    with pools.up(*options) as pool:
        pool.wait_warm(WARM)
        asyncio.run(cycles_ms(pool, 100))
        cycles = [asyncio.run(cycles_ms(pool, 200 if quick else 2000)) for _ in range(3 if quick else 10)]
    return [
        Value(
            f"a cycle, {CLIENTS} at once", cycles, "ms", GOAL_CYCLE_MS, note=f"{1e3 / min(cycles):.0f} a second at best"
        ),
        Value(f"a decision at {DEVICES * PER_DEVICE:,} servers", decisions, "ms", GOAL_DECISION_MS),
    ]
