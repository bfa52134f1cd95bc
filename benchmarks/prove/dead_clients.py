"""Clients that die: killed beside an agent, their memory is back within a second; hung, they are noticed within ten, and parked."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks import pools
from benchmarks.harness import ROOT, environment, mark_run
from cupool.v1 import admin_pb2, pool_pb2

TITLE = "clients killed: memory back <= 1 s p99 of 200; hung: noticed <= 10 s, then parked"
BACK_S, NOTICED_S, PATIENCE_S = 1.0, 10.0, 60.0
#: In a case, so that an interrupted campaign loses little.
KILLS = 20
HELD_BYTES = 64 << 20
PROGRAM = f"""
import time, cupy
a = cupy.ones({HELD_BYTES} // 8)
assert float(a.sum()) == {HELD_BYTES} // 8
print("holds", flush=True)
while True:
    a += 1
    cupy.cuda.get_current_stream().synchronize()
    time.sleep(0.01)
"""


def cases(full: bool) -> list[str]:
    return [f"killed-{KILLS}-{i}" for i in range(10)] + [f"hung-1-{i}" for i in range(5)] if full else ["killed-2-0"]


@contextmanager
def setup() -> Iterator[pools.Pool]:
    mark_run()
    with pools.up("--devices", "cpu:1:1GiB", "--warm", "2", "--max-sessions", "8") as pool:
        pool.wait_warm(2)
        yield pool


@contextmanager
def client(pool: pools.Pool) -> Iterator[subprocess.Popen[str]]:
    """A program that holds memory of the device and works."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cupool", "run", "-c", PROGRAM],
        cwd=ROOT, env={**environment(), "CUPOOL_ADDR": pool.addr, "CUPOOL_TOKEN": pool.token}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "holds\n":
            raise RuntimeError("the client did not get its memory")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
        process.kill()
        process.wait()
        process.stdout.close()


def device(pool: pools.Pool) -> Any:
    (found,) = pool.admin("ListDevices", admin_pb2.ListDevicesRequest()).devices
    return found


def seconds_until(condition: Any, what: str) -> float:
    """How long it takes until `condition`, looked at every few milliseconds, is true."""
    begun = time.perf_counter()
    while not condition():
        if time.perf_counter() - begun > PATIENCE_S:
            raise AssertionError(f"not within {PATIENCE_S:g} s: {what}")
        time.sleep(0.005)
    return time.perf_counter() - begun


def sessions(pool: pools.Pool) -> list[Any]:
    return list(pool.call("ListSessions", pool_pb2.ListSessionsRequest()).sessions)


def run_case(pool: pools.Pool, case: str) -> dict[str, Any]:
    kind, count, _ = case.split("-")
    return {"kind": kind, "seconds": [{"killed": killed, "hung": hung}[kind](pool) for _ in range(int(count))]}


def killed(pool: pools.Pool) -> float:
    """Seconds from the kill until the server's process, which holds the memory, is gone, and the pool's books say so."""
    with client(pool) as process:
        (session,) = [s for s in sessions(pool) if s.client_pid == process.pid]
        seconds_until(lambda: device(pool).used_bytes >= HELD_BYTES, "the memory in the books")
        process.kill()

        def is_back() -> bool:
            if device(pool).leased_bytes or any(s.session == session.session for s in sessions(pool)):
                return False
            servers = pool.admin("ListServers", admin_pb2.ListServersRequest()).servers
            return all(s.server != session.server for s in servers)

        took_s = seconds_until(is_back, "memory back")
    seconds_until(lambda: not device(pool).used_bytes, "nothing used in the books")
    return round(took_s, 4)


def hung(pool: pools.Pool) -> float:
    """Seconds from the stop until the session is parked."""
    with client(pool) as process:
        (session,) = [s.session for s in sessions(pool) if s.client_pid == process.pid]

        def is_parked() -> bool:
            return any(s.session == session and s.state == pool_pb2.SESSION_STATE_PARKED for s in sessions(pool))

        os.kill(process.pid, signal.SIGSTOP)
        took_s = seconds_until(is_parked, "parked")
        if took_s > NOTICED_S:
            raise AssertionError(f"a client that hangs was noticed after {took_s:.1f} s")
    seconds_until(lambda: not sessions(pool), "its session's end")
    return round(took_s, 3)


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, goal_s in (("killed", BACK_S), ("hung", NOTICED_S)):
        seconds = [s for figures in done.values() if figures["kind"] == kind for s in figures["seconds"]]
        if seconds:
            p50, p99 = np.percentile(seconds, [50, 99])
            found[kind] = {
                "clients": len(seconds),
                "p50_s": round(float(p50), 4),
                "p99_s": round(float(p99), 4),
                "most_s": max(seconds),
                "goal_s": goal_s,
                "met": bool(p99 <= goal_s),
            }
    return found
