"""Functions frozen for a while, whose network flow is forgotten meanwhile: the first call after the thaw is answered soon.

Each case freezes several programs at once (SIGSTOP), each for a time of its own; the router between them and their servers then drops what
belongs to their connections, in both directions and without a word, as NAT does. After the thaw (SIGCONT) the program makes a call:
a small one, an upload or a download. The time is taken by the program.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks import netns
from benchmarks.harness import mark_run

TITLE = "200 freezes of 1-30 s with the network flow forgotten: first call after the thaw <= 1.5 s p99, no error"

PROGRAMS = 10
KINDS = ("small", "upload", "download")
LIMIT_S = 1.5

PROGRAM = """
import json, sys, time
import numpy as np
from cupool.shim import session
from cupool.shim import cupy as cp
from cupool.shim.config import Config
from cupool.shim.lease import Lease

class Pool:
    def acquire(self, config): return Lease("s", "t", sys.argv[1], 1, "", "")
    def release(self, lease, reason, timeout_s=2.0): pass
    def fate(self, lease, timeout_s=1.0): return None
    def close(self): pass

session.open_at(Pool(), Config())
host = np.arange(200_000.0)  # 1.6 MB: by the bulk calls
x = cp.asarray(host)
expected = float(host.sum())
calls = {
    "small": lambda: float((cp.arange(100.0) + 1).sum()) == 5050,
    "upload": lambda: float(cp.asarray(host).sum()) == expected,
    "download": lambda: float(x.get().sum()) == expected,
}
assert all(call() for call in calls.values())
print("ready", flush=True)
for line in sys.stdin:
    started = time.perf_counter()
    try:
        right, error = calls[line.strip()](), ""
    except Exception as failure:
        right, error = False, f"{type(failure).__name__}: {failure}"
    took = time.perf_counter() - started
    print(json.dumps({"s": took, "right": right, "error": error, "reconnects": session.statistics().reconnects}), flush=True)
"""


@dataclass
class Frozen:
    """A program that can be frozen, and its server."""

    program: subprocess.Popen[str]
    pid: int
    reconnects: int = 0

    def ask(self, kind: str) -> None:
        assert self.program.stdin is not None
        self.program.stdin.write(kind + "\n")
        self.program.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.program.stdout is not None
        said: dict[str, Any] = json.loads(self.program.stdout.readline())
        return said


def cases(full: bool) -> list[str]:
    return [f"round-{i:02d}" for i in range(200 // PROGRAMS)] if full else ["sample"]


class Hosts:
    """The network, and the programs on it: started for the first case, and again after one that failed."""

    def __init__(self, network: netns.Network) -> None:
        self.network = network
        self._stack = ExitStack()
        self._programs: list[Frozen] = []

    def programs(self, count: int) -> list[Frozen]:
        if len(self._programs) != count:
            self.close()
            self._programs = self._stack.enter_context(started(self.network, count))
        return self._programs

    def close(self) -> None:
        self._programs = []
        self._stack.close()


@contextmanager
def setup() -> Iterator[Hosts]:
    why = netns.missing()
    if why:
        raise RuntimeError(f"This campaign needs network namespaces: {why}.")
    mark_run()
    with netns.two_hosts() as network:
        hosts = Hosts(network)
        try:
            yield hosts
        finally:
            hosts.close()


@contextmanager
def started(network: netns.Network, count: int) -> Iterator[list[Frozen]]:
    """So many programs, each with a server of its own."""
    with ExitStack() as stack:
        servers = []
        for _ in range(count):
            command = [sys.executable, "-P", "-m", "cupool.apiserver", "--assign", "s:t", "--listen", f"{netns.SERVER}:0",
                       "--insecure", "--park-grace", "300", "--memory-limit", "256MiB"]  # fmt: skip
            servers.append(_start(stack, network.on_server(command)))
        endpoints = [json.loads(_line(server))["endpoint"] for server in servers]
        programs = [
            _start(stack, network.on_client([sys.executable, "-P", "-c", PROGRAM, endpoint])) for endpoint in endpoints
        ]
        for program in programs:
            if _line(program) != "ready\n":
                raise RuntimeError("a program ended before it was ready; its stderr says why")
        yield [Frozen(program, program.pid) for program in programs]


def _start(stack: ExitStack, command: list[str]) -> subprocess.Popen[str]:
    # `ip netns exec` replaces itself by the command: the process is ours.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def run_case(shared: Hosts, case: str) -> dict[str, Any]:
    count, longest_s = (PROGRAMS, 30.0) if case != "sample" else (3, 2.0)
    try:
        results = _round(shared.network, shared.programs(count), random.Random(case), longest_s)
    except BaseException:
        shared.close()
        raise
    wrong = [
        f"{kind} after {asleep_s:.1f} s: {said}"
        for kind, asleep_s, said in results
        if said["error"] or not said["right"]
    ]
    if wrong:
        shared.close()
        raise AssertionError("; ".join(wrong))
    return {"calls": [[kind, round(asleep_s, 1), round(said["s"], 4)] for kind, asleep_s, said in results]}


def _round(
    network: netns.Network, programs: list[Frozen], chance: random.Random, longest_s: float
) -> list[tuple[str, float, dict[str, Any]]]:
    """Freeze all, thaw each in its time: (kind of call, seconds frozen, what the program said)."""
    plan = sorted((chance.uniform(1.0, longest_s), k) for k in range(len(programs)))
    shift = chance.randrange(len(KINDS))
    forgotten: dict[int, set[int]] = {}
    begun = time.monotonic()
    for _, k in plan:
        os.kill(programs[k].pid, signal.SIGSTOP)
        forgotten[k] = network.flows_of(programs[k].pid)
        if not forgotten[k]:
            raise AssertionError("a program has no connection to forget")
        network.forget(forgotten[k])
    results = []
    for asleep_s, k in plan:
        time.sleep(max(begun + asleep_s - time.monotonic(), 0.0))
        kind, frozen = KINDS[(k + shift) % len(KINDS)], programs[k]
        os.kill(frozen.pid, signal.SIGCONT)
        frozen.ask(kind)
        said = frozen.answer()
        network.remember(forgotten[k])
        if said["reconnects"] <= frozen.reconnects and not said["error"]:
            raise AssertionError("a program went on with its old connection: it was not forgotten")
        frozen.reconnects = said["reconnects"]
        results.append((kind, asleep_s, said))
    return results


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    calls = [call for result in done.values() for call in result["calls"]]
    times = sorted(call[2] for call in calls)
    if not times:
        return {"freezes": 0}
    at = {
        name: times[min(int(len(times) * q), len(times) - 1)] for name, q in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }
    return {
        "freezes": len(times),
        **{f"first_call_{name}_s": value for name, value in at.items()},
        "worst_by_kind_s": {kind: max((c[2] for c in calls if c[0] == kind), default=0.0) for kind in KINDS},
        "within_limit": at["p99"] <= LIMIT_S,
    }
