"""A pool of three hosts is upgraded under load: each drained, taken out, brought back; the controller killed. No program sees an error."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from benchmarks import pools
from benchmarks.harness import ROOT, environment, mark_run
from cupool.v1 import admin_pb2

TITLE = "A rolling upgrade under load: hosts drained, taken out and brought back one after the other, the controller restarted: 0 errors"
DEVICE, SESSIONS = "cpu:1:512MiB", 8
JOINED = ("b", "c")

#: A client: one session after the other until told to stop; each computes something that it checks.
PROGRAM = """
import json, sys, threading
from cupool import cupy as cp
from cupool.shim import session
stop = threading.Event()
print("ready", flush=True)
sys.stdin.readline()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
done = 0
while not stop.is_set():
    a = cp.arange(1000, dtype=cp.float64)
    for _ in range(20):
        a = a + 1
        value = float(a.sum())
    if value != 499500.0 + 20000.0:
        raise SystemExit(f"{value} is wrong")
    done += 1
    del a
    session.close()
print(json.dumps({"sessions": done}), flush=True)
"""


def cases(full: bool) -> list[str]:
    """Rounds of an upgrade of so many joined hosts and the controller's, each with so many clients."""
    return [f"round-{i}-8-{len(JOINED)}" for i in range(20)] if full else ["round-0-1-1"]


@dataclass(slots=True)
class Shared:
    pool: pools.Pool
    folders: dict[str, Path]
    token_file: Path
    agent_addr: str

    def join(self, node: str) -> None:
        words = [
            "--token-file",
            str(self.token_file),
            "--node",
            node,
            "--folder",
            str(self.folders[node]),
            "--devices",
            DEVICE,
        ]
        pools.cupool("join", self.agent_addr, *words)
        self.wait(lambda: self.nodes().get(node, False))

    def nodes(self) -> dict[str, bool]:
        """Node -> whether it is connected."""
        return {n.node: n.connected for n in self.pool.admin("ListNodes", admin_pb2.ListNodesRequest()).nodes}

    def operate(self, *words: str) -> str:
        return pools.cupool(*words, "--folder", str(self.pool.folder), timeout_s=300)

    def answers(self) -> bool:
        try:
            return all(self.nodes().get(node, False) for node in ("a", *JOINED))
        except grpc.RpcError:
            return False  # it starts

    def record(self) -> dict[str, Any]:
        """The pool's `pool.json`, as it is now."""
        found: dict[str, Any] = json.loads((self.pool.folder / "pool.json").read_text())
        return found

    @staticmethod
    def wait(is_true: Callable[[], bool], limit_s: float = 120.0) -> None:
        deadline = time.monotonic() + limit_s
        while not is_true():
            if time.monotonic() > deadline:
                raise RuntimeError(f"what was waited for did not come in {limit_s:g} s")
            time.sleep(0.05)


@contextmanager
def setup() -> Iterator[Shared]:
    mark_run()
    with pools.up("--devices", DEVICE, "--node", "a", "--warm", "1", "--max-sessions", str(SESSIONS)) as pool:
        said = json.loads((pool.folder / "pool.json").read_text())
        shared = Shared(
            pool, {n: pool.folder / f"joined-{n}" for n in JOINED}, pool.folder / "agents", said["agent_addr"]
        )
        shared.operate("token", "create", "--role", "agent", "--out", str(shared.token_file))
        try:
            for node in JOINED:
                shared.join(node)
            yield shared
        finally:
            for folder in shared.folders.values():
                with contextlib.suppress(RuntimeError):  # it was taken out
                    pools.cupool("down", "--folder", str(folder))


def run_case(shared: Shared, case: str) -> dict[str, Any]:
    clients = [_start(shared.pool) for _ in range(int(case.split("-")[2]))]
    began = time.monotonic()
    try:
        for process in clients:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(process.communicate()[1])
            _say(process)
        steps = upgrade(shared, JOINED[: int(case.split("-")[3])])
        for process in clients:
            _say(process)
        done = []
        for process in clients:
            out, errors = process.communicate(timeout=120)
            if process.returncode:
                raise AssertionError(f"a program saw an error: {errors.strip()[-600:]}")
            done.append(json.loads(out)["sessions"])
    finally:
        for process in clients:
            if process.poll() is None:
                process.kill()
            process.communicate()
    if min(done) < 1:
        raise AssertionError(f"a program got no session in all this time: {done}")
    return {
        "clients": len(clients),
        "sessions": sum(done),
        "errors": 0,
        "seconds": round(time.monotonic() - began, 1),
        "steps": steps,
    }


def upgrade(shared: Shared, joined: Sequence[str]) -> list[str]:
    """These hosts, the controller's own, then the controller."""
    steps = []
    for node in joined:
        shared.operate("drain", node, "--reason", "upgrade")
        pools.cupool("down", "--folder", str(shared.folders[node]))
        shared.join(node)
        shared.operate("uncordon", node)
        steps.append(node)
    # The controller's own host: its agent is told to end when it is empty, and the supervisor starts the new one.
    shared.operate("drain", "a", "--reason", "upgrade")
    before = shared.record()["agent_pid"]
    os.kill(before, signal.SIGTERM)
    shared.wait(lambda: shared.record()["agent_pid"] != before and shared.answers())
    shared.operate("uncordon", "a")
    before = shared.record()["controller_pid"]
    os.kill(before, signal.SIGKILL)
    shared.wait(lambda: shared.record()["controller_pid"] != before and shared.answers())
    return [*steps, "a", "controller"]


def _start(pool: pools.Pool) -> subprocess.Popen[str]:
    env = environment() | {
        "CUPOOL_ADDR": pool.addr,
        "CUPOOL_TOKEN": pool.token,
        "CUPOOL_DEADLINE_S": "60",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-c", PROGRAM],
        cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it ended; its status says why
        process.stdin.write("\n")
        process.stdin.flush()


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "rounds": len(done),
        "sessions": sum(d["sessions"] for d in done.values()),
        "errors": sum(d["errors"] for d in done.values()),
    }
