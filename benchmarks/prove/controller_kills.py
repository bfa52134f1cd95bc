"""The controller is killed at a random moment under load and started again: running sessions lose nothing, and the books agree afterwards.

Load: programs of two tenants compute all the time in sessions of their own; beside them, clients take leases one after the other,
some of which attach. After each kill every program has the session it had and goes on, with the right numbers. When the other clients
rest, the controller's sessions, its tenants' counts and the directory are what the programs have; a quota that is full is still full.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from benchmarks.harness import environment, mark_run
from benchmarks.prove.cycles import attached, unattached
from cupool.v1 import admin_pb2, admin_pb2_grpc, pool_pb2, pool_pb2_grpc

TITLE = "the controller killed at 200 random moments under load: running sessions lose nothing, books agree afterwards"
MIB = 1 << 20
#: Tenant -> programs that keep a session. Each tenant's quota is what its programs have, and not a byte more.
PROGRAMS = {"first": 2, "second": 1}
SESSION_BYTES = 32 * MIB
CLIENTS = 3
LIMIT_S = 60.0
LEASE_S = 3

#: A program with one session: computes until told to stop, and says how far it is when asked.
PROGRAM = """
import json, sys, threading, time
from cupool import cupy as cp
from cupool.shim import session
done, stop = 0, threading.Event()
def answer():
    for line in sys.stdin:
        if line.strip() == "stop":
            stop.set()
            return
        print(json.dumps({"done": done}), flush=True)
a = cp.arange(1000, dtype=cp.float64)
assert float(a.sum()) == 499500.0
threading.Thread(target=answer, daemon=True).start()
while not stop.is_set():
    a = a + 1.0
    done += 1
    if done % 16 == 0:
        value = float(a.sum())
        if value != 499500.0 + 1000.0 * done:
            raise SystemExit(f"{value} after {done} steps")
        time.sleep(0.002)  # the processors are for the kills and the leases too
print(json.dumps({"done": done, "end": True}), flush=True)
"""


def cases(full: bool) -> list[str]:
    return [f"kill-{i}" for i in range(200 if full else 1)]


@dataclasses.dataclass(eq=False)
class Pool:
    """A controller that can be killed, an agent that lives on, programs and clients."""

    folder: Path
    stack: contextlib.ExitStack
    controller: subprocess.Popen[str] | None = None
    addr: str = ""
    admin_addr: str = ""
    token: str = ""
    admin_token: str = ""
    channels: dict[str, grpc.Channel] = dataclasses.field(default_factory=dict)
    programs: list[tuple[str, subprocess.Popen[str]]] = dataclasses.field(default_factory=list)
    tokens: dict[str, str] = dataclasses.field(default_factory=dict)
    resting: threading.Event = dataclasses.field(default_factory=threading.Event)
    ending: threading.Event = dataclasses.field(default_factory=threading.Event)
    idle: threading.Semaphore = dataclasses.field(default_factory=lambda: threading.Semaphore(0))
    go: threading.Semaphore = dataclasses.field(default_factory=lambda: threading.Semaphore(0))
    leases: int = 0
    refusals: int = 0
    errors: list[str] = dataclasses.field(default_factory=list)

    def call(self, method: str, request: Any, token: str = "", timeout_s: float = 30.0) -> Any:
        stub: Any = pool_pb2_grpc.PoolServiceStub(self._channel(self.addr))
        return getattr(stub, method)(
            request, timeout=timeout_s, metadata=(("authorization", f"Bearer {token or self.token}"),)
        )

    def admin(self, method: str, request: Any) -> Any:
        stub: Any = admin_pb2_grpc.AdminServiceStub(self._channel(self.admin_addr))
        return getattr(stub, method)(
            request, timeout=30, wait_for_ready=True, metadata=(("authorization", f"Bearer {self.admin_token}"),)
        )

    def _channel(self, address: str) -> grpc.Channel:
        if address not in self.channels:
            options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 200)]
            self.channels[address] = grpc.insecure_channel(address, options=options)
        return self.channels[address]

    def start_controller(self) -> None:
        words = ["controller", "--folder", str(self.folder / "pool"), "--warm", "2", "--max-sessions", "8"]
        # A lease whose answer a kill cut off is nobody's until it expires: the books are waited for that long.
        words += ["--lease-s", str(LEASE_S)]
        for flag, name in (("listen", "pool.sock"), ("admin-listen", "admin.sock"), ("agent-listen", "agents.sock")):
            words += [f"--{flag}", f"unix:{self.folder / name}"]
        for flag in ("token", "admin-token", "agent-token"):
            words += [f"--{flag}-file", str(self.folder / flag)]
        self.controller, said = self._start(words)
        self.addr, self.admin_addr = said["addr"], said["admin"]

    def start_agent(self) -> None:
        words = ["agent", "--folder", str(self.folder / "agent"), "--controller", f"unix:{self.folder / 'agents.sock'}"]
        words += ["--token-file", str(self.folder / "agent-token"), "--devices", "cpu:2:512MiB"]
        process, _ = self._start(words)
        self.stack.callback(_end, process)

    def _start(self, words: list[str]) -> tuple[subprocess.Popen[str], dict[str, str]]:
        with open(self.folder / f"{words[0]}.log", "a") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "cupool.pool", *words], stdout=subprocess.PIPE, stderr=log, text=True,
                env=environment(), stdin=subprocess.DEVNULL,
            )  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        if "error" in line or not line:
            process.kill()
            process.wait()
            raise RuntimeError(
                f"{words[0]} did not start: {line} {(self.folder / f'{words[0]}.log').read_text()[-2000:]}"
            )
        return process, json.loads(line)

    def kill_controller(self) -> None:
        assert self.controller is not None and self.controller.stdout is not None
        self.controller.send_signal(signal.SIGKILL)
        self.controller.wait()
        self.controller.stdout.close()
        self.controller = None

    def start_program(self, tenant: str) -> None:
        env = environment() | {
            "CUPOOL_ADDR": self.addr, "CUPOOL_TOKEN": self.tokens[tenant], "CUPOOL_MEMORY": str(SESSION_BYTES),
            "CUPOOL_DEADLINE_S": "60",
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        self.programs.append((tenant, process))

    def progress(self) -> list[int]:
        """How far each program is. Raises when one has ended."""
        found = []
        for tenant, process in self.programs:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("?\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                raise AssertionError(f"a program of the tenant {tenant} ended with {process.wait()}")
            found.append(int(json.loads(line)["done"]))
        return found

    # ---- clients that take leases one after the other

    def client(self, cycle: Callable[[Any], None]) -> None:
        """Until the end; rests when told to. A controller that is away is the only trouble that is expected."""
        while not self.ending.is_set():
            if self.resting.is_set():
                self.idle.release()
                self.go.acquire()
                continue
            try:
                cycle(self)
                self.leases += 1
            except grpc.RpcError as error:
                code = error.code()  # type: ignore[attr-defined]
                if code not in _EXPECTED:
                    self.errors.append(f"{cycle.__name__}: {code.name}: {error.details()}")  # type: ignore[attr-defined]
                self.refusals += 1
                self.ending.wait(0.02)

    def rest(self) -> None:
        self.resting.set()
        for _ in range(CLIENTS):
            if not self.idle.acquire(timeout=LIMIT_S):
                raise AssertionError("a client is still busy after a minute")

    def work(self) -> None:
        self.resting.clear()
        for _ in range(CLIENTS):
            self.go.release()


#: While the controller is away, and of a lease that it forgot before its server had the session.
_EXPECTED = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(LIMIT_S)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


@contextmanager
def setup() -> Iterator[Pool]:
    mark_run()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cupool-kills-")))
        pool = Pool(folder, stack)
        for name in ("token", "admin-token", "agent-token"):
            (folder / name).write_text(secrets.token_urlsafe(32))
        pool.token, pool.admin_token = ((folder / n).read_text() for n in ("token", "admin-token"))
        stack.callback(lambda: [c.close() for c in pool.channels.values()])
        pool.start_controller()
        stack.callback(lambda: _end(pool.controller) if pool.controller is not None else None)
        pool.start_agent()
        for tenant, count in PROGRAMS.items():
            quota = admin_pb2.SetQuotaRequest(
                tenant=tenant, fields=["sessions", "memory_bytes", "queue_places"], sessions=count,
                memory_bytes=count * SESSION_BYTES, queue_places=count,
            )  # fmt: skip
            pool.admin("SetQuota", quota)
            pool.tokens[tenant] = pool.admin(
                "CreateToken", admin_pb2.CreateTokenRequest(role="client", tenant=tenant)
            ).token
            for _ in range(count):
                pool.start_program(tenant)
        stack.callback(_stop_programs, pool)
        _wait(lambda: _living(pool) == len(pool.programs), "every program has its session")
        pool.progress()
        cycles = [attached, unattached, unattached]
        threads = [threading.Thread(target=pool.client, args=(cycles[i],), name=f"client-{i}") for i in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield pool
        finally:
            pool.ending.set()
            pool.work()
            for thread in threads:
                thread.join(LIMIT_S)


def _stop_programs(pool: Pool) -> None:
    for _, process in pool.programs:
        with contextlib.suppress(OSError):
            assert process.stdin is not None
            process.stdin.write("stop\n")
            process.stdin.flush()
    for _, process in pool.programs:
        try:
            process.wait(LIMIT_S)
        finally:
            process.kill()
            _end(process)


def _sessions(pool: Pool) -> dict[str, Any]:
    reply = pool.admin("ListAllSessions", admin_pb2.ListAllSessionsRequest())
    return {s.session: s for s in reply.sessions}


def _living(pool: Pool) -> int:
    attached_now = [s for s in _sessions(pool).values() if s.state == pool_pb2.SESSION_STATE_ATTACHED]
    return len(attached_now)


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {LIMIT_S:g} s: {what}")
        time.sleep(0.02)


def run_case(pool: Pool, case: str) -> dict[str, Any]:
    chance = random.Random(case)
    before_leases = pool.leases
    mine = {s: status.tenant for s, status in _sessions(pool).items() if status.tenant in PROGRAMS}
    kernel_s = {t.tenant: t.kernel_s for t in pool.admin("ListTenants", admin_pb2.ListTenantsRequest()).tenants}
    time.sleep(chance.uniform(0.0, 0.4))
    pool.kill_controller()
    at_kill = pool.progress()
    time.sleep(chance.uniform(0.0, 0.3))
    without = pool.progress()
    started = time.monotonic()
    pool.start_controller()
    # A moment of load on the new one, then everything that it says is compared with what is.
    given = pool.leases
    _wait(lambda: pool.leases > given, "leases are given again")
    back_s = time.monotonic() - started
    pool.rest()
    try:
        _wait(
            lambda: set(_sessions(pool)) == set(mine),
            f"the sessions are those of the programs, {sorted(mine)}: {_sessions(pool)}",
        )
        _compare(pool, mine, kernel_s)
    finally:
        pool.work()
    after = pool.progress()
    if not all(a >= b >= c for a, b, c in zip(after, without, at_kill, strict=True)) or after == at_kill:
        raise AssertionError(f"programs stood still: {at_kill}, {without}, {after}")
    if pool.errors:
        raise AssertionError(f"clients had other trouble: {pool.errors[:3]}")
    return {"leases": pool.leases - before_leases, "back_s": round(back_s, 3), "steps": sum(after) - sum(at_kill)}


def _compare(pool: Pool, mine: dict[str, str], kernel_s: dict[str, float]) -> None:
    """Controller, quotas and directory against what the programs have."""
    found = _sessions(pool)
    if {s: status.tenant for s, status in found.items()} != mine:
        raise AssertionError(f"sessions are {found}, not {mine}")
    states = {status.state for status in found.values()}
    if states != {pool_pb2.SESSION_STATE_ATTACHED}:
        raise AssertionError(f"not all sessions are attached: {found}")
    tenants = {t.tenant: t for t in pool.admin("ListTenants", admin_pb2.ListTenantsRequest()).tenants}
    for tenant, count in PROGRAMS.items():
        has = tenants[tenant]
        if (has.sessions, has.memory_bytes) != (count, count * SESSION_BYTES):
            raise AssertionError(f"the tenant {tenant} has {has}")
    for tenant, used in kernel_s.items():
        if tenants[tenant].kernel_s < used - 1e-6:
            raise AssertionError(f"kernel seconds of {tenant} went from {used} to {tenants[tenant].kernel_s}")
    try:
        pool.call("Acquire", pool_pb2.AcquireRequest(memory_bytes=MIB), pool.tokens["first"])
    except grpc.RpcError as error:
        if "sessions" not in error.details():  # type: ignore[attr-defined]
            raise
    else:
        raise AssertionError("a full quota gave one more lease")
    _wait(lambda: _leases_on_disk(pool.folder) == set(mine), "the directory has the leases that there are")


def _leases_on_disk(folder: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(folder / "pool" / "directory.sqlite", timeout=5)) as db:
        return {row[0] for row in db.execute("SELECT session FROM leases")}


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    back = sorted(d["back_s"] for d in done.values())
    if not back:
        return {}
    return {
        "kills": len(done),
        "leases": sum(d["leases"] for d in done.values()),
        "steps_of_programs": sum(d["steps"] for d in done.values()),
        "until_leases_are_given_again_s": {"p50": back[len(back) // 2], "worst": back[-1]},
        "sessions_lost": 0,
    }
