"""An operator's pool and 32 programs of three tenants at once: shares by weight, quotas to the byte, nothing left afterwards."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from benchmarks import pools
from benchmarks.harness import ROOT, environment, mark_run
from cupool.v1 import admin_pb2, pool_pb2

TITLE = (
    "cupool up --devices cpu:4 --warm 2, 32 clients of 3 tenants at once: fair shares, quotas to the byte, nothing left"
)
MIB = 1 << 20
DEVICES, PER_DEVICE, MEMORY = 4, 2, 64 * MIB
#: Tenant -> (weight, clients). Every tenant has more clients than its share of the slots: all of them wait all the time.
TENANTS = {"small": (1.0, 11), "same": (1.0, 11), "double": (2.0, 10)}
#: How far a tenant's part of the leases may be from its weight's.
UNFAIR = 0.25

#: A client: sessions one after the other until told to stop; each computes something that it checks.
PROGRAM = """
import json, sys, threading
from cupool import cupy as cp
from cupool.shim import session
seed = int(sys.argv[1])
stop = threading.Event()
print("ready", flush=True)
sys.stdin.readline()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
done = 0
while not stop.is_set():
    a = cp.arange(1000, dtype=cp.float64) + seed
    value = float((a * a).sum())
    expected = float(sum((i + seed) ** 2 for i in range(1000)))
    if value != expected:
        raise SystemExit(f"{value} is not {expected}")
    done += 1
    del a
    session.close()
print(json.dumps({"sessions": done}), flush=True)
"""

#: A client that takes exactly what it leased, then one byte.
FILL = """
import json, sys
from cupool import cupy as cp
size = int(sys.argv[1])
a = cp.zeros(size, cp.uint8)
a[-1] = 7
answer = {"last": int(a[-1])}
try:
    b = cp.zeros(1, cp.uint8)
    b.get()
    answer["one_more"] = "given"
except cp.cuda.memory.OutOfMemoryError:
    answer["one_more"] = "refused"
print(json.dumps(answer))
"""


def cases(full: bool) -> list[str]:
    """Shares over so many seconds with a part of the clients, and quotas."""
    return ["shares-60-1", "quotas"] if full else ["shares-4-2", "quotas"]


@dataclass(slots=True)
class Shared:
    pool: pools.Pool
    tokens: dict[str, str] = field(default_factory=dict)


@contextmanager
def setup() -> Iterator[Shared]:
    mark_run()
    options = ["--devices", f"cpu:{DEVICES}:{PER_DEVICE * MEMORY}", "--warm", "2", "--max-sessions", str(PER_DEVICE)]
    with pools.up(*options) as pool:
        shared = Shared(pool)
        for name, (weight, _) in TENANTS.items():
            shared.tokens[name] = pool.tenant(name, weight=weight)
        pool.wait_warm(DEVICES)
        yield shared


def run_case(shared: Shared, case: str) -> dict[str, Any]:
    kind, *rest = case.split("-")
    return quotas(shared) if kind == "quotas" else shares(shared, float(rest[0]), int(rest[1]))


def _start(pool: pools.Pool, token: str, program: str, *words: str, memory: int = MEMORY) -> subprocess.Popen[str]:
    env = environment() | {
        "CUPOOL_ADDR": pool.addr,
        "CUPOOL_TOKEN": token,
        "CUPOOL_DEADLINE_S": "60",
        "CUPOOL_MEMORY": str(memory),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-c", program, *words],
        cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def shares(shared: Shared, seconds: float, divide: int) -> dict[str, Any]:
    """All clients at once for so long."""
    pool = shared.pool
    clients: list[tuple[str, subprocess.Popen[str]]] = []
    try:
        for name, (_, count) in TENANTS.items():
            clients += [(name, _start(pool, shared.tokens[name], PROGRAM, str(i))) for i in range(-(-count // divide))]
        for _, process in clients:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(process.communicate()[1])
        for _, process in clients:
            _say(process)
        # Counted while all wait: from when each tenant has had a lease, to before the first is told to stop.
        _until(lambda: all(t.leases_given > 0 for t in tenants(pool).values()))
        before = tenants(pool)
        peaks = _watch(pool, seconds)
        after = tenants(pool)
        for _, process in clients:
            _say(process)
        done: dict[str, int] = dict.fromkeys(TENANTS, 0)
        for name, process in clients:
            out, errors = process.communicate(timeout=120)
            if process.returncode:
                raise AssertionError(f"a client of {name} failed: {errors.strip()[-500:]}")
            done[name] += json.loads(out)["sessions"]
    finally:
        for _, process in clients:
            if process.poll() is None:
                process.kill()
            process.communicate()
    leases = {name: after[name].leases_given - before[name].leases_given for name in TENANTS}
    weights = {name: weight for name, (weight, _) in TENANTS.items()}
    share = {n: leases[n] / max(1, sum(leases.values())) * sum(weights.values()) / weights[n] for n in TENANTS}
    figures = {
        "clients": len(clients),
        "seconds": seconds,
        "leases": leases,
        "share_over_weight": {name: round(value, 3) for name, value in share.items()},
        "sessions": done,
        "peaks": peaks,
    }
    if sum(leases.values()) >= 40 and any(abs(s - 1) > UNFAIR for s in share.values()):
        raise AssertionError(f"shares are not as the weights: {figures}")
    if peaks["sessions"] > DEVICES * PER_DEVICE or peaks["leased_bytes"] > DEVICES * PER_DEVICE * MEMORY:
        raise AssertionError(f"more than there is was leased: {figures}")
    return figures


def _say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it ended; its status says why
        process.stdin.write("\n")
        process.stdin.flush()


def tenants(pool: pools.Pool) -> dict[str, Any]:
    found = {t.tenant: t for t in pool.admin("ListTenants", admin_pb2.ListTenantsRequest()).tenants}
    return {name: found[name] for name in TENANTS if name in found}


def _until(is_true: Any, limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not is_true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"what was waited for did not come in {limit_s:g} s")
        time.sleep(0.05)


def _watch(pool: pools.Pool, seconds: float) -> dict[str, int]:
    """The most that devices held together, over so long."""
    peaks = {"sessions": 0, "leased_bytes": 0}
    end, wait = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < end:
        devices = pool.admin("ListDevices", admin_pb2.ListDevicesRequest()).devices
        peaks["sessions"] = max(peaks["sessions"], sum(d.sessions for d in devices))
        peaks["leased_bytes"] = max(peaks["leased_bytes"], sum(d.leased_bytes for d in devices))
        wait.wait(0.1)
    return peaks


def quotas(shared: Shared) -> dict[str, Any]:
    """A session gets the bytes that it leased and not one more; a tenant leases the bytes of its quota and not one more."""
    pool = shared.pool
    token = pool.tenant("metered", memory_bytes=MEMORY, sessions=2)
    client = _start(pool, token, FILL, str(MEMORY))
    out, errors = client.communicate(timeout=120)
    if client.returncode:
        raise AssertionError(f"it could not take what it leased: {errors.strip()[-500:]}")
    filled = json.loads(out)
    if filled != {"last": 7, "one_more": "refused"}:
        raise AssertionError(f"{MEMORY} bytes were leased: {filled}")
    results = {"session": filled}
    results["tenant_exact"] = _lease_and_count(pool, token, [MEMORY - 1, 1])
    results["tenant_over"] = _lease_and_count(pool, token, [MEMORY - 1, 2])
    results["sessions_over"] = _lease_and_count(pool, token, [1, 1, 1])
    expected = {"tenant_exact": [True, True], "tenant_over": [True, False], "sessions_over": [True, True, False]}
    if any(results[key] != value for key, value in expected.items()):
        raise AssertionError(f"quotas do not hold: {results}")
    return results


def _lease_and_count(pool: pools.Pool, token: str, sizes: list[int]) -> list[bool]:
    """Which of these leases were given, all held at once."""
    pool.wait_no_session(token)
    leases: list[Any] = []
    given = []
    try:
        for size in sizes:
            try:
                leases.append(pool.call("Acquire", pool_pb2.AcquireRequest(memory_bytes=size), token))
                given.append(True)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                given.append(False)
    finally:
        for lease in leases:
            pool.call(
                "Release", pool_pb2.ReleaseRequest(session=lease.session, session_token=lease.session_token), token
            )
    return given


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {case: {k: f[k] for k in ("leases", "share_over_weight") if k in f} or f for case, f in done.items()}
