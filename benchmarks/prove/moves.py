"""Sessions moved at random moments under every example, and with source, destination or controller killed at every step of a move.

`load-PROGRAM-NNN` moves the program's session again and again while it runs; what it prints and draws is that of an undisturbed run, bit
for bit. `counter` checks each of its own results: a command that was lost, doubled or reordered is a wrong number at once.
`crash-STEP-NNN` has a server end itself at that step of a move (see `apiserver/moving/steps.py`); `controller-NNN` kills the controller
within a move. The program goes on each time: from the other server where it was whole, else by a replay. In the end one server had the
session, and none is left.
"""

from __future__ import annotations

import contextlib
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

import grpc
from cupool.apiserver.moving.steps import DESTINATION_STEPS, SOURCE_STEPS

from benchmarks import pools
from benchmarks.harness import ROOT, environment, mark_run
from benchmarks.pools import Pool
from benchmarks.prove.kills import EXAMPLES, SEEDED
from cupool.v1 import admin_pb2, pool_pb2, server_pb2

TITLE = "sessions moved under load and with each part killed at each step: the same output, one owner, nothing lost, doubled or reordered"
COUNTER = """
import select, sys, time
import cupy as cp
a = cp.arange(300_000, dtype=cp.float64)
total, n, ends = float(a.sum()), 0, time.monotonic() + float(sys.argv[1])
while time.monotonic() < ends and not (sys.argv[1] == "inf" and select.select([sys.stdin], [], [], 0)[0]):
    for _ in range(5):
        a += 1
    n += 5
    seen = float(a.sum())
    assert seen == total + n * a.size, (seen, total + n * a.size, n)
    b = a * 2
    assert float(b[7]) == 2 * (7 + n)
print("counted")
"""
STEPS = SOURCE_STEPS + DESTINATION_STEPS
DEVICES = "cpu:3:1GiB"
LIMIT_S = 240.0
#: At which phases of a move the controller is killed; "" at once.
PHASES = ("", "copying", "ready", "released")


@dataclass(slots=True)
class Shared:
    """The pool of `load` cases, and what undisturbed runs printed and drew."""

    pool: Pool
    folder: Path
    references: dict[str, dict[str, str]] = field(default_factory=dict)


def cases(full: bool) -> list[str]:
    programs = ("counter", *EXAMPLES)
    if not full:
        return ["load-counter-000", "crash-source.released-000"]
    found = []
    for k in range(8):  # an interrupted campaign has some of each
        found += [f"load-{p}-{k:03d}" for p in programs]
        found += [
            f"crash-{step}-{n:03d}" for n in range(2) for i, step in enumerate(STEPS) if (i + n * len(STEPS)) % 8 == k
        ]
        found += [f"controller-{2 * k + n:03d}" for n in range(2)]
    # What fills up the 2,000 moves.
    return found + [
        f"load-{p}-{k:03d}" for k in range(8, 12) for p in ("counter", "colour_quantisation", "neural_network")
    ]


@contextmanager
def setup() -> Iterator[Shared]:
    mark_run()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pool = stack.enter_context(pools.up("--devices", DEVICES, "--balance", "none"))
        yield Shared(pool, folder)


def start(pool: Pool, program: str, folder: Path, seconds: float = 6.0) -> subprocess.Popen[str]:
    """Start a program; `counter` runs so long, or, where that is infinite, until `finish`."""
    words = [sys.executable, "-m", "cupool", "run"]
    if program == "counter":
        words += ["-c", COUNTER, str(seconds)]
    else:
        words += ["-c", SEEDED, str(ROOT / "examples" / f"{program}.py")]
        words += ["--out", str(folder / "picture.png")] if program == "colour_quantisation" else []
    env = {**environment(), "CUPOOL_ADDR": pool.addr, "CUPOOL_TOKEN": pool.token, "CUPOOL_DEADLINE_S": "30"}
    return subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )


def finish(process: subprocess.Popen[str], folder: Path) -> dict[str, str]:
    """What the program printed and drew. Raises AssertionError when it failed."""
    out, err = process.communicate(timeout=LIMIT_S)
    if process.returncode:
        raise AssertionError(f"exit status {process.returncode}: {err[-2000:]}")
    seen = {"output": out}
    picture = folder / "picture.png"
    if picture.exists():
        seen["picture"] = hashlib.sha256(picture.read_bytes()).hexdigest()
        picture.unlink()
    return seen


def attached(pool: Pool, ends: threading.Event) -> str:
    """The one session whose client is attached, when there is one; "" when the program has ended before."""
    while not ends.is_set():
        with contextlib.suppress(grpc.RpcError):  # the controller may be starting again
            for status in pool.admin("ListAllSessions", admin_pb2.ListAllSessionsRequest()).sessions:
                if status.state == pool_pb2.SESSION_STATE_ATTACHED:
                    return str(status.session)
        ends.wait(0.01)
    return ""


class Mover(threading.Thread):
    """Moves the session of the program that runs, again and again, `rest_s` at most after each move."""

    def __init__(self, pool: Pool, seed: str, rest_s: float = 0.2) -> None:
        super().__init__(name="mover", daemon=True)
        self._pool, self._random, self._rest_s = pool, random.Random(seed), rest_s
        self.over = threading.Event()
        self.moved = self.refused = 0
        self.given_up: list[str] = []
        self.pauses_ms: list[float] = []

    def run(self) -> None:
        while not self.over.wait(self._random.uniform(0, self._rest_s)):
            session = attached(self._pool, self.over)
            if not session:
                return
            try:
                last = self._pool.move(session, reason="campaign")
            except grpc.RpcError:
                self.refused += 1  # it ended meanwhile, or no device is free yet
                continue
            if last.done and not last.error:
                self.moved += 1
                self.pauses_ms.append(last.pause_ms)
            else:
                self.given_up.append(last.error)


def run_case(shared: Shared, case: str) -> dict[str, Any]:
    kind, _, rest = case.partition("-")
    return _KINDS[kind](shared, case, rest.rpartition("-")[0])


def _load(shared: Shared, case: str, program: str) -> dict[str, Any]:
    if program not in shared.references:
        shared.references[program] = finish(start(shared.pool, program, shared.folder, 1.0), shared.folder)
    mover = Mover(shared.pool, case)
    # The sample's case is short; the others' are where most moves of the campaign come from.
    process = start(shared.pool, program, shared.folder, 6.0 if case.endswith("-000") else 40.0)
    mover.start()
    try:
        seen = finish(process, shared.folder)
    finally:
        mover.over.set()
        mover.join()
    if seen != shared.references[program]:
        raise AssertionError(f"{mover.moved} moves: {seen}, undisturbed {shared.references[program]}")
    wait_nothing_is_left(shared.pool)
    return {"moves": mover.moved, "refused": mover.refused, "given_up": mover.given_up, "pauses_ms": mover.pauses_ms}


def _crash(shared: Shared, case: str, step: str) -> dict[str, Any]:
    """A pool of its own, whose servers end themselves at the step, until the file of the fault is empty."""
    fault = shared.folder / "fault"
    wrapper = ["sh", "-c", f'exec "$@" $(cat {fault})', "sh"]
    settings = shared.folder / "pool.toml"
    settings.write_text(f"[security]\nlaunch_wrapper = {json.dumps(wrapper)}\n")
    fault.write_text(f"--allow-faults --move-fault {step}:kill")
    with pools.up("--config", str(settings), "--devices", DEVICES, "--balance", "none", "--warm", "1") as pool:
        process = start(pool, "counter", shared.folder, 4.0)
        ends = threading.Event()
        try:
            session = attached(pool, ends)
            time.sleep(random.Random(case).uniform(0.1, 0.6))
            fault.write_text("")
            with contextlib.suppress(grpc.RpcError):
                last = pool.move(session, reason=step, timeout_ms=3000)
            seen = finish(process, shared.folder)
        finally:
            ends.set()
        if seen != {"output": "counted\n"}:
            raise AssertionError(str(seen))
        wait_nothing_is_left(pool)
        return {"phase": last.phase, "error": last.error}


def _controller(shared: Shared, case: str, _: str) -> dict[str, Any]:
    """The controller is killed when a move is at a phase, and started again by the pool's supervisor."""
    number = int(case.rpartition("-")[2])
    phase, draw = PHASES[number % len(PHASES)], random.Random(case)
    pool, killed = shared.pool, []
    process = start(pool, "counter", shared.folder, float("inf"))
    ends = threading.Event()

    def kill(progress: Any) -> None:
        if not killed and (not phase or progress.phase == phase):
            pid = json.loads((pool.folder / "pool.json").read_text())["controller_pid"]
            time.sleep(draw.uniform(0, 0.03))
            os.kill(pid, signal.SIGKILL)
            killed.append(progress.phase)

    try:
        deadline = time.monotonic() + 20
        while not killed and time.monotonic() < deadline:  # a phase may be too short to be seen
            session = attached(pool, ends)
            with contextlib.suppress(grpc.RpcError):
                pool.move(session, on_progress=kill)
        session = attached(pool, ends)  # the controller is back
        pool.move(session)
        seen = finish(process, shared.folder)
    finally:
        ends.set()
    if seen != {"output": "counted\n"}:
        raise AssertionError(str(seen))
    wait_nothing_is_left(pool)
    return {"killed": killed[0] if killed else ""}


def wait_nothing_is_left(pool: Pool) -> None:
    """No session, no move, and no server that has one: one owner at most was left, and it has ended with its program."""
    deadline = time.monotonic() + 40
    while True:
        left: list[Any] = []
        with contextlib.suppress(grpc.RpcError):
            left = [*pool.admin("ListAllSessions", admin_pb2.ListAllSessionsRequest()).sessions]
            left += pool.admin("ListMoves", admin_pb2.ListMovesRequest()).moves
            left += [s for s in pool.admin("ListServers", admin_pb2.ListServersRequest()).servers if s.session]
            warm = [
                s
                for s in pool.admin("ListServers", admin_pb2.ListServersRequest()).servers
                if s.state == server_pb2.SERVER_STATE_WARM
            ]
            if not left and len(warm) >= 3:
                return
        if time.monotonic() > deadline:
            raise AssertionError(f"left behind: {left}")
        time.sleep(0.05)


_KINDS = {"load": _load, "crash": _crash, "controller": _controller}


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    loads = {c: r for c, r in done.items() if c.startswith("load")}
    pauses = sorted(p for r in loads.values() for p in r["pauses_ms"])
    given_up = [why for r in loads.values() for why in r["given_up"]]
    return {
        "moves": sum(r["moves"] for r in loads.values()),
        "given_up": len(given_up),
        "why": sorted(set(given_up))[:5],
        "pause_ms_p50": pauses[len(pauses) // 2] if pauses else 0.0,
        "pause_ms_p99": pauses[len(pauses) * 99 // 100] if pauses else 0.0,
        "crashes": sum(c.startswith("crash") for c in done),
        "controller_kills": sum(bool(r.get("killed")) for r in done.values()),
        "wrong": 0,  # a wrong number fails its case
    }
