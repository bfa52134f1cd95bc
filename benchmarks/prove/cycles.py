"""Leases by the ten thousand: acquired and released without a client, and attached for a moment each; the pool's memory stays flat."""

from __future__ import annotations

import queue
import secrets
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc

from benchmarks import pools
from benchmarks.harness import mark_run
from cupool.v1 import pool_pb2, session_pb2, session_pb2_grpc

TITLE = "100,000 leases without attach (>= 500 a second) and 10,000 attached (>= 25 a second): memory flat"
#: Clients at once.
CLIENTS = 4
WARM = 8
#: In a case. Growth is looked at from the end of its first fifth to its end.
UNATTACHED, ATTACHED = 10_000, 1_000
#: A pool that keeps one more kilobyte for each lease would grow by more.
GROWTH_BYTES = 8 << 20


def cases(full: bool) -> list[str]:
    if full:
        return [f"unattached-{UNATTACHED}-{i}" for i in range(10)] + [f"attached-{ATTACHED}-{i}" for i in range(10)]
    return ["unattached-400-0", "attached-12-0"]


@contextmanager
def setup() -> Iterator[pools.Pool]:
    mark_run()
    with pools.up("--devices", "cpu:1:1GiB", "--warm", str(WARM), "--max-sessions", "16") as pool:
        pool.wait_warm(WARM)
        yield pool


def run_case(pool: pools.Pool, case: str) -> dict[str, Any]:
    kind, count, _ = case.split("-")
    cycle = {"unattached": unattached, "attached": attached}[kind]
    total, first = int(count), int(count) // 5
    with futures.ThreadPoolExecutor(CLIENTS) as clients:
        start = time.perf_counter()
        list(clients.map(lambda _: cycle(pool), range(first)))
        before = pool.resident_bytes()
        list(clients.map(lambda _: cycle(pool), range(total - first)))
        took_s = time.perf_counter() - start
    after = pool.resident_bytes()
    growth = {role: after[role] - before[role] for role in before}
    pool.wait_warm(WARM)
    if any(grown > GROWTH_BYTES for grown in growth.values()):
        raise AssertionError(f"memory grew over {total - first} leases: {growth}")
    pool.wait_no_session()
    return {
        "kind": kind,
        "cycles": total,
        "seconds": round(took_s, 2),
        "per_s": round(total / took_s, 1),
        "growth_bytes": growth,
        "resident_bytes": after,
    }


def acquire(pool: pools.Pool) -> Any:
    return pool.call("Acquire", pool_pb2.AcquireRequest(function="cycles", deadline_ms=30_000))


def release(pool: pools.Pool, lease: Any) -> None:
    pool.call(
        "Release", pool_pb2.ReleaseRequest(session=lease.session, session_token=lease.session_token, reason="done")
    )


def unattached(pool: pools.Pool) -> None:
    """A lease that nobody uses."""
    release(pool, acquire(pool))


def attached(pool: pools.Pool) -> None:
    """A lease whose client says hello and goodbye."""
    lease = acquire(pool)
    metadata = (("authorization", f"Bearer {lease.session_token}"), ("cupool-session", lease.session))
    frames: queue.SimpleQueue[Any] = queue.SimpleQueue()
    hello = session_pb2.ClientHello(
        versions=[1], client="cycles", epoch=lease.epoch, nonce_next=secrets.token_bytes(16)
    )
    frames.put(session_pb2.ClientFrame(hello=hello))
    with grpc.insecure_channel(lease.endpoint, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub: Any = session_pb2_grpc.SessionServiceStub(channel)
        answers = stub.Attach(iter(frames.get, None), metadata=metadata, timeout=60)
        try:
            if not next(answers).HasField("hello"):
                raise RuntimeError("the server did not say hello first")
            frames.put(session_pb2.ClientFrame(goodbye=session_pb2.Goodbye(reason="done")))
        finally:
            frames.put(None)  # also where the call broke: grpc's thread that takes frames would wait for ever
        for _ in answers:
            pass
    release(pool, lease)


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, goal in (("unattached", 500), ("attached", 25)):
        chosen = [figures for figures in done.values() if figures["kind"] == kind]
        if chosen:
            per_s = sum(f["cycles"] for f in chosen) / sum(f["seconds"] for f in chosen)
            first, last = chosen[0]["resident_bytes"], chosen[-1]["resident_bytes"]
            found[kind] = {
                "cycles": sum(f["cycles"] for f in chosen),
                "per_s": round(per_s, 1),
                "goal_per_s": goal,
                "met": per_s >= goal,
                "growth_bytes": {role: last[role] - first[role] for role in first if role in last},
            }
    return found
