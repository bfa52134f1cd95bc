"""Servers killed at random moments under every example: the same output, bit for bit, or one clear SessionLost; never another number.

A relay in front of a real pool notes which server each lease names; a thread kills that process at a moment drawn from the case's seed.
Every third case is killed twice. Of five cases two run with the durability "replay", two with "node" and one with "none"; with "node" every
one must finish. `long` is a program that does ten times what its window holds; with "node" every program does.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness import ROOT, environment, mark_run
from benchmarks.relay import Relay

TITLE = "servers killed at random moments: the same output as undisturbed, or one SessionLost; 0 wrong numbers"
#: Without g++ runs that take a second each only to compile.
EXAMPLES = (
    "black_scholes", "colour_quantisation", "conjugate_gradient", "gaussian_mixture", "monte_carlo", "neural_network", "stencil",
    "streams_and_events", "tiled_matmul",
)  # fmt: skip
#: Runs an example with its generators seeded: two runs print the same.
SEEDED = """
import runpy, sys
import numpy
import cupy
numpy.random.seed(1)
cupy.random.seed(1)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
#: More commands than ten windows hold; prints what it has at the end.
LONG = """
import cupy as cp
x = cp.arange(8.0)
for k in range(10):
    for _ in range(150_000):
        x = x * 0.5 + 1
    print(k, x.sum(), flush=True)
"""
LIMIT_S = 240.0
#: Of each fifth case in turn; a word more than "none" and "replay" says that none may be lost.
DURABILITIES = ("replay", "node", "replay", "node", "none")
#: Windows: the default where nothing is said.
WINDOWS = {("long", "replay"): "6MiB", ("long", "node"): "6MiB", ("", "node"): "256KiB"}


class Watcher(Relay):
    """Remembers the servers of its leases."""

    def __init__(self, addr: str) -> None:
        self.servers: list[str] = []
        self.changed = threading.Condition()
        super().__init__(addr)

    def leased(self, lease: Any) -> None:
        with self.changed:
            self.servers.append(lease.server)
            self.changed.notify_all()


@dataclass(slots=True)
class Shared:
    """What all cases use: the relay, the pool's process, and what undisturbed runs printed and drew."""

    watcher: Watcher
    pool: int
    token: str
    folder: Path
    references: dict[str, tuple[dict[str, str], float]] = field(default_factory=dict)


def cases(full: bool) -> list[str]:
    """ "neural_network-017": program and seed."""
    programs = (*EXAMPLES, "long")
    if not full:
        return ["conjugate_gradient-000", "neural_network-003"]
    return [
        f"{program}-{k:03d}" for k in range(45) for program in programs
    ]  # about 7 in 10 meet a server that is there


@contextmanager
def setup() -> Iterator[Shared]:
    mark_run()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        words = ["--listen", "127.0.0.1:0", "--devices", "cpu:1:2GiB", "--sessions-per-device", "4"]
        pool = subprocess.Popen(
            [sys.executable, "-P", "-m", "cupool.pool", *words], stdout=subprocess.PIPE, env=environment()
        )
        stack.callback(_end, pool)
        assert pool.stdout is not None
        said = json.loads(pool.stdout.readline())
        watcher = Watcher(said["addr"])
        stack.callback(watcher.close)
        yield Shared(watcher, pool.pid, said["token"], folder)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def kill_server(pool: int, server: str) -> bool:
    """SIGKILL the pool's server of that id; whether it was there."""
    for child in psutil.Process(pool).children(recursive=True):
        try:
            if server in child.cmdline():
                os.kill(child.pid, signal.SIGKILL)
                return True
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return False


class Killer(threading.Thread):
    """Kills the server of each of the next leases, `moments` seconds after each lease was given."""

    def __init__(self, shared: Shared, moments: list[float]) -> None:
        super().__init__(name="killer", daemon=True)
        self._shared, self._moments = shared, moments
        self._first = len(shared.watcher.servers)
        self.over = threading.Event()
        self.kills = 0

    def run(self) -> None:
        watcher = self._shared.watcher
        for k, moment in enumerate(self._moments):
            with watcher.changed:
                if not watcher.changed.wait_for(
                    lambda k=k: len(watcher.servers) > self._first + k or self.over.is_set(), LIMIT_S
                ):  # type: ignore[misc]
                    return
            if self.over.wait(moment):
                return
            self.kills += kill_server(self._shared.pool, watcher.servers[self._first + k])


def run_program(
    shared: Shared, program: str, durability: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, str], int]:
    """(the finished process, what it printed and drew, its recoveries)."""
    picture, stats = shared.folder / "picture.png", shared.folder / "stats.json"
    picture.unlink(missing_ok=True)
    stats.unlink(missing_ok=True)
    words = [sys.executable, "-m", "cupool", "run", "--stats-json", str(stats)]
    if program == "long":
        words += ["-c", LONG]
    else:
        words += ["-c", SEEDED, str(ROOT / "examples" / f"{program}.py")]
        words += ["--out", str(picture)] if program == "colour_quantisation" else []
    env = {
        **environment(),
        "CUPOOL_ADDR": shared.watcher.addr,
        "CUPOOL_TOKEN": shared.token,
        "CUPOOL_DURABILITY": durability,
    }
    env["CUPOOL_DEADLINE_S"] = "120"
    if program == "long":
        env["CUPOOL_LOOPS"] = "0"  # as a loop it would never fill its window
    window = WINDOWS.get((program, durability)) or WINDOWS.get(("", durability))
    if window:
        env["CUPOOL_REDO"] = window
    done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=env)
    seen = {"output": done.stdout}
    if picture.exists():
        seen["picture"] = hashlib.sha256(picture.read_bytes()).hexdigest()
    return done, seen, int(json.loads(stats.read_text())["recoveries"]) if stats.exists() else 0


def run_case(shared: Shared, case: str) -> dict[str, Any]:
    program, _, seed = case.partition("-")
    if program not in shared.references:
        started = time.monotonic()
        done, seen, _ = run_program(shared, program, "replay")
        if done.returncode:
            raise AssertionError(f"undisturbed: exit status {done.returncode}: {done.stderr[-2000:]}")
        shared.references[program] = seen, time.monotonic() - started
    reference, took = shared.references[program]
    draw = random.Random(case)
    k = int(seed)
    durability = DURABILITIES[k % 5]
    killer = Killer(shared, [draw.uniform(0, took) for _ in range(2 if k % 3 == 0 else 1)])
    killer.start()
    try:
        done, seen, recoveries = run_program(shared, program, durability)
    finally:
        killer.over.set()
        with shared.watcher.changed:
            shared.watcher.changed.notify_all()
        killer.join()
    result = {"kills": killer.kills, "recoveries": recoveries, "durability": durability, "outcome": "same"}
    if done.returncode == 0:
        if seen != reference:
            raise AssertionError(f"{killer.kills} kills, {recoveries} recoveries: {seen}, undisturbed {reference}")
        return result
    last = done.stderr.strip().splitlines()[-1:] or [""]
    allowed = {"none": "durability='none'", "replay": "that are kept for that"}.get(durability)
    if (
        not allowed
        or "SessionLost" not in last[0]
        or allowed not in last[0]
        or not reference["output"].startswith(seen["output"])
    ):
        raise AssertionError(f"exit status {done.returncode}, {killer.kills} kills: {done.stderr[-2000:]}")
    return {**result, "outcome": "lost"}


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Killed runs by durability and outcome; "lost" is a SessionLost that says that the window was exceeded, or that there was none."""

    def count(durability: str, outcome: str) -> int:
        return sum(
            r["durability"] == durability and r["outcome"] == outcome and bool(r["kills"]) for r in done.values()
        )

    return {
        "runs": len(done),
        "kills": sum(r["kills"] for r in done.values()),
        "recoveries": sum(r["recoveries"] for r in done.values()),
        "replay_same": count("replay", "same"),
        "replay_lost": count("replay", "lost"),
        "node_same": count("node", "same"),
        "node_lost": count("node", "lost"),
        "none_same": count("none", "same"),
        "none_lost": count("none", "lost"),
    }
