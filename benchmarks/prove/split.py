"""Source, destination, controller and client of a move parted from each other, in every combination, at every step of the move.

Four hosts (network namespaces): the controller's, a client's, and two with an agent each. A program counts and checks each result. Its
session is moved; the server that comes to the step stops itself there (SIGSTOP), the network falls apart, the server goes on, and
after a while the network is whole again. Packets between parted hosts vanish without a word. `STEP` has all combinations at that step:
the 14 ways to part four, and each of the six links alone. For how long is drawn: shorter than a connection takes to be given up,
longer, and longer than an abandoned session is kept.

Each time: the program goes on with right numbers, or ends with `SessionLost`; its epoch never falls; by the servers' own logs no two had
the session at once; in the end one has it, the books say so, and no other server is left that had a copy.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
from cupool.apiserver.moving.steps import DESTINATION_STEPS, SOURCE_STEPS
from cupool.pool.config import DeviceConfig, PoolConfig
from cupool.pool.settings import write_record

from benchmarks import netns
from benchmarks.harness import environment, mark_run
from cupool.v1 import admin_pb2, admin_pb2_grpc, pool_pb2, server_pb2

TITLE = "source, destination, controller and client parted in every combination at every step of a move: one owner, one epoch, nothing left"
#: At the lane two hosts never meet.
STEPS = tuple(s for s in SOURCE_STEPS + DESTINATION_STEPS if s != "destination.lane")
PARTIES = ("client", "controller", "source", "destination")
#: Seconds: for a moment; longer than until a connection is given up; longer than an abandoned session is kept.
TIMES_S = (1.5, 1.5, 5.0, 15.0)
GRACE_S = 6.0
LIMIT_S = 90.0
#: Steps after which the program begins anew: what a lost session did is done again, and that is not what this is about.
LONGEST = 800
#: Pools beside each other: nearly all of the time is waiting.
POOLS = 8
PROGRAM = """
import json, sys, time
import cupy as cp
from cupool.contract.errors import SessionLost
from cupool.shim import session
a = cp.arange(20_000, dtype=cp.float64)
total, n = float(a.sum()), 0
try:
    while True:
        a += 1
        n += 1
        seen = float(a.sum())
        assert seen == total + n * a.size, (seen, total + n * a.size, n)
        link = session.current().link
        now = {"n": n, "session": link.lease.session, "epoch": link.lease.epoch, "moves": link.moves, "recoveries": link.recoveries}
        print(json.dumps(now), flush=True)
        time.sleep(0.05)
except SessionLost as lost:
    print(json.dumps({"lost": str(lost)}), flush=True)
"""


def partings() -> dict[str, list[tuple[str, str]]]:
    """By name: pairs of parties between which nothing passes."""
    found = {}
    for sides in itertools.product(range(4), repeat=3):
        sides = (0, *sides)
        if all(side <= 1 + max(sides[:n], default=-1) for n, side in enumerate(sides)) and max(sides):
            groups = ["+".join(p for p, s in zip(PARTIES, sides, strict=True) if s == g) for g in range(max(sides) + 1)]
            pairs = [(a, b) for (a, x), (b, y) in itertools.combinations(zip(PARTIES, sides, strict=True), 2) if x != y]
            found["|".join(groups)] = pairs
    for a, b in itertools.combinations(PARTIES, 2):
        found[f"{a}/{b}"] = [(a, b)]
    return found


def cases(full: bool) -> list[str]:
    return list(STEPS) if full else ["few-source.released"]


# ---- a pool on four hosts


class Program:
    """The counting program, in a process on the client's host."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.last: dict[str, Any] = {}
        self.fell = ""  #: what went backwards
        self._lines: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said, last = json.loads(line), self.last
            if "n" in said and last.get("session") == said["session"] and said["epoch"] < last["epoch"]:
                self.fell = f"{said} after {last}"
            self.last = said
            self._lines.put(None)

    def wait(self, condition: Callable[[dict[str, Any]], bool], limit_s: float = LIMIT_S) -> None:
        """Until the last line is so. Raises AssertionError: late, or the program ended with something else than a lost session."""
        deadline = time.monotonic() + limit_s
        while not condition(self.last) and "lost" not in self.last:
            if self.process.poll() is not None and self._lines.empty():
                self._thread.join()
                if condition(self.last) or "lost" in self.last:
                    return
                assert self.process.stderr is not None
                raise AssertionError(f"the program ended: {self.process.stderr.read()[-2000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"the program stands still at {self.last}")
            with contextlib.suppress(queue.Empty):
                self._lines.get(timeout=0.5)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._thread.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


class Pool:
    """A controller and two agents, each on a host of its own, and a client's host."""

    def __init__(self, name: str) -> None:
        self._stack = ExitStack()
        try:
            self._build(name)
        except BaseException:
            self._stack.close()
            raise

    def _build(self, name: str) -> None:
        self.net = self._stack.enter_context(netns.star(("client", "controller", "a", "b"), name))
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="cupool-split-")))
        self.faults = self.folder / "faults"
        self.arm("")
        for role in ("client", "admin", "agent"):
            (self.folder / role).write_text(f"secret-of-the-{role}")
        address = self.net.address["controller"]
        said = self._start(
            "controller", "cupool.controller", "--folder", str(self.folder / "pool"), "--listen", f"{address}:0", "--agent-listen",
            f"{address}:0", "--admin-listen", f"unix:{self.folder}/admin.sock", "--token-file", str(self.folder / "client"),
            "--admin-token-file", str(self.folder / "admin"), "--agent-token-file", str(self.folder / "agent"), "--insecure",
            "--max-sessions", "2", "--warm", "1", "--park-grace-ms", str(int(GRACE_S * 1000)), "--lease-s", "20", "--allow-faults",
            "--log-level", "info",
        )  # fmt: skip
        self._addr = said["addr"]
        for node in ("a", "b"):
            record = self.folder / f"{node}.json"
            config = PoolConfig(
                devices=(DeviceConfig("cpu", 0, 1 << 30),), folder=str(self.folder / node), listen=f"{self.net.address[node]}:0",
                controller=said["agent"], node=node, agent_token="secret-of-the-agent", insecure=True, sandbox="off",
                allow_faults=True, max_sessions=2, park_grace_ms=int(GRACE_S * 1000), log_level="info",
            )  # fmt: skip
            write_record(config, record)
            self._start(node, "cupool.pool", "agent", "--record", str(record))
        channel = self._stack.enter_context(grpc.insecure_channel(f"unix:{self.folder}/admin.sock"))
        self._admin: Any = admin_pb2_grpc.AdminServiceStub(channel)
        self.program: Program | None = None
        self._stack.callback(lambda: self.program and self.program.close())

    def _start(self, host: str, *words: str) -> dict[str, Any]:
        env = {**environment(), "CUPOOL_MOVE_FAULTS": str(self.faults)}
        with open(self.folder / f"{host}.err", "w") as err:
            process = subprocess.Popen(
                self.net.on(host, [sys.executable, "-P", "-m", *words]),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True, env=env,
            )  # fmt: skip

        def end() -> None:
            process.terminate()
            try:
                process.wait(20)
            finally:
                process.kill()
                assert process.stdout is not None
                process.stdout.close()

        self._stack.callback(end)
        assert process.stdout is not None
        said: dict[str, Any] = json.loads(process.stdout.readline() or "{}")
        if not said or "error" in said:
            raise RuntimeError(f"{words[0]} did not start: {said} {(self.folder / f'{host}.err').read_text()[-2000:]}")
        return said

    def close(self) -> None:
        self._stack.close()

    def arm(self, step: str) -> None:
        """Servers stop themselves at this step from now on; none, if it is empty. Their bytes go over the network each time."""
        new = self.faults.with_suffix(".new")
        new.write_text(f"destination.lane:fail {step}{':freeze' if step else ''}")
        new.replace(self.faults)

    def admin(self, method: str, request: Any, timeout_s: float = 20.0) -> Any:
        metadata = (("authorization", "Bearer secret-of-the-admin"),)
        return getattr(self._admin, method)(request, timeout=timeout_s, metadata=metadata)

    def run_program(self) -> Program:
        """The program that runs, or a new one."""
        last = self.program.last if self.program is not None else {"lost": ""}
        if self.program is None or self.program.process.poll() is not None or "lost" in last or last["n"] > LONGEST:
            if self.program is not None:
                self.program.close()
            env = {
                **environment(), "CUPOOL_ADDR": self._addr, "CUPOOL_TOKEN": "secret-of-the-client", "CUPOOL_DEADLINE_S": "60",
                "CUPOOL_LANE": "0", "CUPOOL_INSECURE": "1",
            }  # fmt: skip
            self.program = Program(
                self.net.on("client", [sys.executable, "-P", "-m", "cupool", "run", "-c", PROGRAM]), env
            )
        self.program.wait(lambda last: last.get("n", 0) >= 2)
        return self.program

    def sessions(self) -> list[Any]:
        return list(self.admin("ListAllSessions", admin_pb2.ListAllSessionsRequest()).sessions)

    def servers(self) -> list[Any]:
        return list(self.admin("ListServers", admin_pb2.ListServersRequest()).servers)

    def wait(self, what: str, condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
        """What the condition gives, when it is something. Raises AssertionError: late."""
        deadline, pause = time.monotonic() + limit_s, threading.Event()
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: sessions {self.sessions()}, servers {self.servers()}")
            pause.wait(0.02)
        return found

    def settled(self) -> Any:
        """The one session, when it is attached, nothing moves, one server has it, and each host has a warm one; else None."""
        sessions, servers = self.sessions(), self.servers()
        warm = [s for s in servers if s.state == server_pb2.SERVER_STATE_WARM]
        if len(sessions) != 1 or sessions[0].state != pool_pb2.SESSION_STATE_ATTACHED or len(warm) != 2:
            return None
        if len([s for s in servers if s.session]) != 1 or len(servers) != 3:
            return None
        return None if self.admin("ListMoves", admin_pb2.ListMovesRequest()).moves else sessions[0]


@contextmanager
def setup() -> Iterator[list[Pool]]:
    """Pools are started when a case needs them, and kept."""
    why = netns.missing()
    if why:
        raise RuntimeError(f"This campaign needs network namespaces: {why}.")
    mark_run()
    pools: list[Pool] = []
    try:
        yield pools
    finally:
        for pool in pools:
            pool.close()


# ---- a case


def run_case(pools: list[Pool], case: str) -> dict[str, Any]:
    few, _, step = case.rpartition("-")
    names = list(partings())
    if few:
        names = ["client+controller+source|destination"]
    while len(pools) < min(POOLS, len(names)):
        pools.append(Pool(f"w{len(pools)}"))
    free: queue.SimpleQueue[Pool] = queue.SimpleQueue()
    for pool in pools:
        free.put(pool)
    kept: list[Pool] = list(pools)

    def one(name: str) -> dict[str, Any]:
        pool = free.get()
        try:
            return _one(pool, step, name, 1.5 if few else 0.0)
        except BaseException as error:
            kept.remove(pool)
            with contextlib.suppress(OSError):
                pool.net.heal()
            evidence = _evidence(pool)
            pool.close()
            pool = Pool(f"w{id(error)}")
            kept.append(pool)
            raise AssertionError(f"{step} {name}: {error}\n{evidence}") from error
        finally:
            free.put(pool)

    with ThreadPoolExecutor(len(pools)) as workers:
        futures = [workers.submit(one, name) for name in names]
        found, failed = [], []
        for future in futures:
            try:
                found.append(future.result())
            except AssertionError as error:
                failed.append(str(error))
    pools[:] = kept
    if failed:
        raise AssertionError("; ".join(failed))
    counted = {key: sum(r[key] for r in found) for key in found[0] if key != "lost_because"}
    return {**counted, "lost_because": [why for r in found for why in r["lost_because"]]}


def _evidence(pool: Pool) -> str:
    lines = []
    for host in ("controller", "a", "b"):
        with contextlib.suppress(OSError):
            lines += (pool.folder / f"{host}.err").read_text().splitlines()[-15:]
    return "\n".join(lines)


def _one(pool: Pool, step: str, name: str, for_s: float) -> dict[str, Any]:
    rng = random.Random(f"{step} {name}")
    for_s = for_s or rng.choice(TIMES_S)
    program = pool.run_program()
    session = pool.wait("before the move nothing settles", pool.settled)
    before = dict(program.last)
    hosts = {"client": "client", "controller": "controller", "source": session.node}
    hosts["destination"] = "b" if session.node == "a" else "a"
    pids: set[int] = set()

    def frozen_ones() -> list[int]:
        pids.update(s.pid for s in pool.servers())
        return [p for p in pids if _state(p) == "T"]

    pool.arm(step)
    is_there = threading.Event()
    mover = threading.Thread(target=_move, args=(pool, session.session, is_there), daemon=True)
    mover.start()
    try:
        frozen = pool.wait(f"no server comes to {step}", frozen_ones, 30.0)
    finally:
        is_there.set()
        pool.arm("")
    try:
        pool.net.part([(hosts[a], hosts[b]) for a, b in partings()[name]])
        late = 0
        for pid in frozen:
            try:
                os.kill(pid, signal.SIGCONT)
            except (
                ProcessLookupError
            ):  # on a loaded machine the move's own limit ended it first: no parting at the step
                late = 1
        program.process.poll()
        threading.Event().wait(for_s)  # so long the hosts are parted: it is what the case is about
    finally:
        pool.net.heal()
    seen = program.last.get("n", 0)
    program.wait(lambda last: last.get("n", 0) >= seen + 3)
    mover.join(LIMIT_S)
    lost = "lost" in program.last
    after = dict(program.last)
    if not lost:
        pool.wait("after it nothing settles", pool.settled)
        known = {s.pid for s in pool.servers()}
        left = pool.wait("a copy is left", lambda: not [p for p in pids - known if _state(p) not in ("", "Z")] or None)
        assert left
    if program.fell:
        raise AssertionError(f"an epoch fell: {program.fell}")
    _one_owner(pool, session.session)
    return {
        "partings": 1,
        "lost": int(lost),
        "lost_because": [f"{step}, {name}, {for_s:g} s: {after['lost']}"] if lost else [],
        "moved": int(not lost and after["moves"] > before["moves"]),
        "done_again": int(not lost and after["recoveries"] > before["recoveries"]),
        "long": int(for_s > 10),
        "late": late,
    }


def _move(pool: Pool, session: str, is_there: threading.Event) -> None:
    """Ask for a move until one has come to the step: after the parting before, a host may not have come back yet."""
    request = admin_pb2.MoveSessionRequest(session=session, reason="campaign", timeout_ms=8_000, max_pause_ms=3_000)
    while True:
        with contextlib.suppress(grpc.RpcError):  # whatever becomes of it is looked at afterwards
            for _ in pool.admin("MoveSession", request, LIMIT_S):
                pass
        if is_there.wait(0.2):
            return


def _state(pid: int) -> str:
    """Of a process: "T" when it is stopped; "": there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


#: What a server says when it has the session from then on, and when it has it no more.
_HAS = ("session-attached", "session-claimed", "session-taken-back")
_GIVES = ("session-released", "session-ended")
_EVENT = re.compile(r"^(\S+) \w+ source=(\S+) event=(\S+) session=(\S+)")


def _one_owner(pool: Pool, session: str) -> None:
    """By the servers' logs: never two that have the session. Raises AssertionError."""
    told: list[tuple[str, str, str]] = []
    for file in [*pool.folder.glob("a/logs/*.log"), *pool.folder.glob("b/logs/*.log")]:
        for line in file.read_text().splitlines():
            found = _EVENT.match(line)
            if found and found[4] == session:
                told.append((found[1], found[2], found[3]))
    owners: set[str] = set()
    gone: set[str] = set()
    for at, server, event in sorted(told, key=lambda t: (t[0], t[2] not in _GIVES)):
        if event in _GIVES:
            owners.discard(server)
            gone.add(server)
        elif event in _HAS and (server not in gone or event == "session-taken-back"):
            gone.discard(server)
            owners.add(server)
            if len(owners) > 1:
                raise AssertionError(f"at {at} {session} was on {', '.join(sorted(owners))}: {sorted(told)}")
    if not any(event in _HAS for _, _, event in told):
        raise AssertionError(f"no server tells of {session}")


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    keys = ("partings", "moved", "done_again", "lost", "long")
    return {
        "steps": len(done),
        **{key: sum(r[key] for r in done.values()) for key in keys},
        "lost_because": [why for r in done.values() for why in r["lost_because"]],
        "two_owners": 0,
        "wrong": 0,
    }
