"""Sessions that move between servers under load, and moves that are killed, cut and failed at every step: the same numbers, one owner.

Two kinds of cases. `many-<program>-<k>`: a program goes on while its session moves twenty times, at random moments.
`<what>-<step>`: one move, in which at that step its source or destination is killed, made to fail, cut from the other or from the
client, or no longer hears the other (dark);
what a controller does then is decided as docs/decisions/012 says. Every result that the program saw is compared with those of a run
without moves.
"""

from __future__ import annotations

import hashlib
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cupool.apiserver.moving.steps import DESTINATION_STEPS, SOURCE_STEPS
from cupool.shim import session
from cupool.shim.lease import Fate, Lease, Place

from benchmarks.harness import mark_run
from benchmarks.moving import TOKEN, MoveServer, Phase, World, wait_until, world
from cupool.v1 import server_pb2 as pb
from tests.system.faultproxy import FaultProxy

TITLE = "sessions that move under load, and moves killed, cut or failed at every step: the same numbers, one owner left"
MOVES = 20
LIMIT_S = 60.0
#: Steps after which the source has given the session away, or the destination has it: they cannot be made to fail, only killed or cut.
_GIVEN = SOURCE_STEPS[SOURCE_STEPS.index("source.released") :]
_TAKEN = DESTINATION_STEPS[DESTINATION_STEPS.index("destination.said") :]
_NOT_A_STEP = ("destination.lane",)


# -- programs: (state) -> the numbers of one step ---------------------------------------------------------------------------


def in_place() -> Callable[[int], bytes]:
    from cupool.shim import cupy as cp

    x, y = cp.arange(60_000.0), cp.ones(60_000)

    def step(k: int) -> bytes:
        nonlocal y
        for _ in range(5):
            x.__imul__(1.0000001)
            x.__iadd__(y)
            y = cp.sqrt(x[::-1] + k)
        return bytes(cp.stack([x.sum(), y.sum(), x[k % 1000]]).get())

    return step


def drawing() -> Callable[[int], bytes]:
    from cupool.shim import cupy as cp

    cp.random.seed(11)
    generator = cp.random.default_rng(12)

    def step(k: int) -> bytes:
        a, b = cp.random.rand(500), generator.standard_normal(700)
        return bytes(a.get()) + bytes(b.get()) + bytes(cp.random.permutation(50).get())

    return step


def loading() -> Callable[[int], bytes]:
    from cupool.shim import cupy as cp

    kept: list[Any] = []

    def step(k: int) -> bytes:
        sent = cp.asarray(np.full(400_000, float(k)))
        kept.append(sent)
        del kept[:-3]
        return bytes(kept[0].get()[:100]) + bytes(sent.get())

    return step


def pointing() -> Callable[[int], bytes]:
    from cupool.shim import cupy as cp

    blocks = [cp.zeros(3_000) for _ in range(4)]
    table = cp.array([b.data.ptr for b in blocks], "u8")
    kernel = cp.RawKernel(
        'extern "C" __global__ void add(double** p, double by) { double* b = p[blockIdx.x]; b[threadIdx.x] += by + b[threadIdx.x + 1]; }',
        "add",
    )

    def step(k: int) -> bytes:
        kernel((4,), (256,), (table, float(k) * 1e-3))
        return bytes(cp.concatenate(blocks).get())

    return step


def failing() -> Callable[[int], bytes]:
    from cupool.shim import cupy as cp

    x = cp.arange(100.0)

    def step(k: int) -> bytes:
        x.__iadd__(1.0)
        broken = cp.zeros(1 << 36)
        told = 0
        for look in (lambda: x.get(), lambda: broken[:1].get()):
            try:
                look()
            except cp.cuda.memory.OutOfMemoryError:
                told += 1
        return bytes(x.get()) + bytes([told])

    return step


PROGRAMS = {"in_place": in_place, "drawing": drawing, "loading": loading, "pointing": pointing, "failing": failing}


class Run:
    """A program in a thread of its own; the hash of what each step saw is kept."""

    def __init__(self, program: str, steps: int = 0) -> None:
        self.seen: list[str] = []
        self.error: BaseException | None = None
        self._program = program
        self._steps = steps
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            step = PROGRAMS[self._program]()
            while not self._stop.is_set() and not (self._steps and len(self.seen) >= self._steps):
                self.seen.append(hashlib.blake2b(step(len(self.seen)), digest_size=16).hexdigest())
        except BaseException as error:
            self.error = error

    def wait_steps(self, more: int) -> None:
        target = len(self.seen) + more
        wait_until(lambda: len(self.seen) >= target or self.error is not None, LIMIT_S)
        if self.error is not None:
            raise self.error

    def finish(self) -> list[str]:
        if not self._steps:
            self._stop.set()
        self._thread.join(LIMIT_S)
        if self._thread.is_alive():
            raise AssertionError("the program hangs")
        if self.error is not None:
            raise self.error
        return self.seen


@dataclass(slots=True)
class Shared:
    """Results of programs without a move, by name, as far as they were needed."""

    undisturbed: dict[str, list[str]] = field(default_factory=dict)

    def check(self, program: str, seen: list[str]) -> None:
        """Raises AssertionError where a move changed a result."""
        known = self.undisturbed.get(program, [])
        if len(known) < len(seen):
            with world(spare=0):
                known = self.undisturbed[program] = Run(program, len(seen) + 200).finish()
        for k, (ours, theirs) in enumerate(zip(seen, known, strict=False)):
            if ours != theirs:
                raise AssertionError(f"step {k} of {program} gave something else than without a move")


def cases(full: bool) -> list[str]:
    """Names of cases."""
    if not full:
        return ["few-in_place-00", "kill-source.released", "cutclient-source.told"]
    faults = [
        f"{what}-{step}"
        for step in SOURCE_STEPS + DESTINATION_STEPS
        for what in ("kill", "fail", "cutlink", "darklink", "cutclient", "darkclient")
        if step not in _NOT_A_STEP and not (what == "fail" and step in _GIVEN + _TAKEN)
    ]
    return faults + [f"many-{program}-{k:02d}" for k in range(1) for program in PROGRAMS]


@contextmanager
def setup() -> Iterator[Shared]:
    mark_run()
    yield Shared()


def run_case(shared: Shared, case: str) -> dict[str, Any]:
    what, _, where = case.partition("-")
    if what in ("many", "few"):
        program, _, k = where.rpartition("-")
        return _many(shared, program, int(k), MOVES if what == "many" else 4)
    return _one(shared, what, where)


def _many(shared: Shared, program: str, seed: int, moves: int) -> dict[str, Any]:
    rng = random.Random(f"{program} {seed}")
    pauses = []
    with world("--allow-faults", spare=3) as (there, opened):
        run = Run(program)
        run.wait_steps(1)
        for k in range(moves):
            to = there.server()
            there.ahead()
            run.wait_steps(1)
            time.sleep(rng.random() * 0.05)  # any moment of the program's step
            move = there.begin(to, is_cold=k % 7 == 6)
            pauses.append(there.finish(move, to, LIMIT_S).pause_ms)
            run.wait_steps(1)
            there.settle(move)
        seen = run.finish()
        assert opened.link.moves == moves and opened.link.recoveries == 0, (opened.link.moves, opened.link.recoveries)
    shared.check(program, seen)
    return {
        "moves": moves,
        "steps": len(seen),
        "pause_ms": sorted(pauses)[moves // 2],
        "reconnects": opened.link.reconnects,
    }


def _one(shared: Shared, what: str, step: str) -> dict[str, Any]:
    """One move with a fault at a step."""
    action = "freeze" if what in ("cutlink", "darklink", "cutclient", "darkclient") else what
    fault = ("--move-fault", f"{step}:{action}")
    is_source = step.startswith("source")
    made = World("--allow-faults", spare=1, first=fault if is_source else ())
    to = made.server(*(() if is_source else fault))
    faulty = made.here if is_source else to
    try:
        with FaultProxy(made.here.endpoint) as to_client, FaultProxy(made.here.endpoint) as link:
            made.pool.lease = Lease("s", TOKEN, to_client.endpoint, 1, "", "")
            opened = session.open_at(made.pool, _settings())
            try:
                run = Run("in_place")
                run.wait_steps(2)
                # Who is sealed off gives up before the case does.
                move = made.begin(
                    to, endpoint=link.endpoint, assign={"park_grace_ms": 8_000}, max_pause_ms=3_000, timeout_ms=8_000
                )
                if action == "freeze":
                    _cut_at(faulty, to_client if what.endswith("client") else link, what.startswith("dark"))
                owner = _control(made, to, move, is_doomed=(what, step) == ("kill", "destination.owned"))
                run.wait_steps(2)
                seen = run.finish()
                _one_is_left(made, to, owner)
                recoveries, moves = opened.link.recoveries, opened.link.moves
            finally:
                session._close("the case is over", 2.0)
        shared.check("in_place", seen)
    finally:
        made.close()
    return {"moves": moves, "owner": owner, "recoveries": recoveries, "steps": len(seen)}


def _settings() -> Any:
    from cupool.shim.config import Config

    return Config()


def _cut_at(server: MoveServer, proxy: FaultProxy, is_dark: bool) -> None:
    """When the server has stopped itself at the step: cut, and let it go on. A step that a faultless move never reaches is left out."""
    stat = Path(f"/proc/{server.process.pid}/stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", LIMIT_S)
    (proxy.blackhole_now if is_dark else proxy.cut_now)()
    server.process.send_signal(signal.SIGCONT)


def _control(there: World, to: MoveServer, move: str, is_doomed: bool) -> str:
    """What a controller does, from reports and proven deaths alone; returns who has the session: "source", "destination", or "replay"."""
    source = there.here

    def is_clear() -> bool:
        ours, theirs = source.phases(move), to.phases(move)
        if Phase.RELEASED in ours and there.pool.place is None:
            there.pool.place = Place(to.endpoint, 2)
        return (
            Phase.FAILED in ours
            or Phase.OWNER in theirs
            or (Phase.RELEASED in ours and to.has_ended)
            or (source.has_ended and (to.has_ended or Phase.READY in theirs))
        )

    wait_until(is_clear, LIMIT_S)
    if is_doomed:  # it dies right after it has said that it is the owner
        to.wait_end(LIMIT_S)
    ours, theirs = source.phases(move), to.phases(move)
    if Phase.FAILED in ours and not source.has_ended:
        return "source"
    if Phase.OWNER in theirs and not to.has_ended:
        return "destination"
    if Phase.RELEASED in ours and to.has_ended and not source.has_ended and Phase.OWNER not in theirs:
        source.order(take_back=pb.TakeBack(session="s", move=move, epoch=3))
        source.wait_phase(move, Phase.TAKEN_BACK)
        there.pool.place = Place(source.endpoint, 3)
        return "source"
    if source.has_ended and Phase.READY in theirs and not to.has_ended:
        there.pool.place = Place(to.endpoint, 2)
        to.wait_phase(move, Phase.OWNER)
        return "destination"
    source.order(end=pb.EndRequest(reason="the session is lost"))
    source.wait_end(LIMIT_S)
    fresh = there.server()
    fresh.assign(session="again")
    there.pool.lease = Lease("again", TOKEN, fresh.endpoint, 1, "", "")
    there.pool.lost = Fate("Its server was lost.", True)
    return "replay"


def _one_is_left(there: World, to: MoveServer, owner: str) -> None:
    """Whoever does not have the session is gone, or goes by itself; the source of a move that happened is ended by its controller."""
    if owner == "destination":
        there.here.order(end=pb.EndRequest(reason="moved"))
        there.here.wait_end(LIMIT_S)
        assert not to.has_ended
    else:
        to.wait_end(LIMIT_S)
        assert there.here.has_ended == (owner == "replay")


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    many = [r for case, r in done.items() if "owner" not in r]
    faults = [r for case, r in done.items() if "owner" in r]
    owners = [r["owner"] for r in faults]
    return {
        "moves": sum(r["moves"] for r in done.values()),
        "moves_under_load": sum(r["moves"] for r in many),
        "faults": len(faults),
        "left_at_the_source": owners.count("source"),
        "left_at_the_destination": owners.count("destination"),
        "done_again": owners.count("replay"),
        "stop_ms_p50": sorted(r["pause_ms"] for r in many)[len(many) // 2] if many else 0.0,
    }
