"""A session moves between two servers, real processes and sockets, while a program uses it; and everything that can come between."""

from __future__ import annotations

import hashlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from cupool.pool.security import certs
from cupool.shim import session as sessions
from cupool.shim.config import Config
from cupool.shim.lease import Fate, Lease, Place

from benchmarks import netns
from benchmarks.moving import TOKEN, MoveServer, MovingPool, Phase, World, wait_until, world
from cupool.contract.errors import SessionLost
from cupool.contract.statusfile import create as create_status
from cupool.contract.tlsnames import server_name
from cupool.v1 import move_pb2
from cupool.v1 import server_pb2 as pb
from tools.prove import campaign

from .faultproxy import FaultProxy

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def moving() -> Iterator[tuple[World, Any]]:
    with world("--allow-faults") as found:
        yield found


class Busy:
    """A thread that goes on with a step of a program while the session moves."""

    def __init__(self, step: Callable[[], None]) -> None:
        self._step = step
        self._stop = threading.Event()
        self.steps = 0
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._step()
                self.steps += 1
        except BaseException as error:
            self.error = error

    def __enter__(self) -> Busy:
        self._thread.start()
        wait_until(lambda: self.steps > 0 or self.error is not None)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error


class Stalls:
    """How long this machine let a thread wait beyond what it had asked for, at most: bounds on a pause count it in."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self.longest_ms = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        before = time.monotonic()
        while not self._stop.wait(0.005):
            now = time.monotonic()
            self.longest_ms = max(self.longest_ms, (now - before) * 1000 - 5)
            before = now

    def __enter__(self) -> Stalls:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)


def test_a_session_moves_twice_and_its_client_does_not_notice(moving: tuple[World, Any]) -> None:
    from cupool.shim import cupy as cp

    there, session = moving
    x = cp.arange(100_000, dtype="f8")
    view = x[::2]
    first = there.move()
    assert first.rounds >= 1 and first.copied_bytes >= 800_000 and first.is_source
    x += 1
    assert float(view.sum()) == float(np.arange(1, 100_001, dtype="f8")[::2].sum())
    there.move()
    # The program does not call meanwhile: its link goes there by itself.
    assert there.here.wait_phase("m2", Phase.OWNER).epoch == 3
    assert view.get().tolist() == np.arange(1, 100_001, dtype="f8")[::2].tolist()
    assert session.link.moves == 2 and session.link.reconnects == 0 and session.link.recoveries == 0
    assert there.here.wait_phase("m2", Phase.OWNER).epoch == 3


def test_what_is_in_a_session_moves_with_it(moving: tuple[World, Any]) -> None:
    """Generators, pending errors, raw pointers in device memory, kernels, graphs, in-place loops: as if nothing had been."""
    from cupool.shim import cupy as cp

    there, _ = moving
    modern = cp.random.default_rng(3)
    cp.random.seed(7)
    drawn = [float(cp.random.rand(1)[0])]
    numbers = [modern.standard_normal(3).get().tolist()]
    target = cp.zeros(4)
    pointer = cp.array([target.data.ptr], "u8")
    store = cp.RawKernel(
        'extern "C" __global__ void store(double** p) { p[0][threadIdx.x] += threadIdx.x + 1; }', "store"
    )
    store((1,), (4,), (pointer,))
    fine = cp.arange(3.0)
    broken = cp.zeros(1 << 36)
    there.move()
    with pytest.raises(cp.cuda.memory.OutOfMemoryError):
        fine.get()  # what failed is told at the next wait, wherever that is
    store((1,), (4,), (pointer,))
    assert target.get().tolist() == [2.0, 4.0, 6.0, 8.0]
    assert target.data.ptr == int(pointer.get()[0])
    drawn.append(float(cp.random.rand(1)[0]))
    numbers.append(modern.standard_normal(3).get().tolist())
    with pytest.raises(cp.cuda.memory.OutOfMemoryError):
        broken[:2].get()
    assert fine.get().tolist() == [0.0, 1.0, 2.0]
    there.move()
    drawn.append(float(cp.random.rand(1)[0]))
    store((1,), (4,), (pointer,))
    assert target.get().tolist() == [3.0, 6.0, 9.0, 12.0]
    again = cp.random.default_rng(3)
    assert numbers == [again.standard_normal(3).get().tolist() for _ in range(2)]
    cp.random.seed(7)
    assert drawn == [float(cp.random.rand(1)[0]) for _ in range(3)]


def test_an_in_place_loop_goes_on_under_many_moves(moving: tuple[World, Any]) -> None:
    from cupool.shim import cupy as cp

    there, session = moving
    x, y = cp.zeros(200_000), cp.ones(50_000)

    def step() -> None:
        nonlocal y
        for _ in range(20):
            x.__iadd__(1.0)
        y = y * 1.0
        assert float(x[5]) == float(x[-1])

    with Busy(step) as busy:
        for _ in range(3):
            there.move()
            before = busy.steps
            wait_until(lambda before=before: busy.steps > before + 1 or busy.error is not None)
    assert x.get().tolist() == [20.0 * busy.steps] * 200_000
    assert session.link.moves == 3 and session.link.reconnects == 0


@pytest.mark.parametrize("lane", ["1", "0"])
def test_uploads_and_downloads_go_on_at_the_destination(lane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from cupool.shim import cupy as cp

    monkeypatch.setenv("CUPOOL_LANE", lane)
    data = np.random.default_rng(1).random(1_000_000)
    with world() as (there, session):

        def step() -> None:
            sent = cp.asarray(data)
            assert np.array_equal(sent.get(), data)

        with Busy(step) as busy:
            for _ in range(2):
                there.move()
                before = busy.steps
                wait_until(lambda before=before: busy.steps > before + 1 or busy.error is not None)
        assert session.link.moves == 2 and session.link.recoveries == 0


def test_an_open_capture_is_waited_for(moving: tuple[World, Any]) -> None:
    from cupool.shim import cupy as cp

    there, _ = moving
    x = cp.zeros(8)
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        x += 1
        assert stream.is_capturing
        to = there.server()
        move = there.begin(to)
        there.here.wait(lambda r: r.HasField("move") and r.move.phase in (Phase.COPYING, Phase.STOPPED))
        assert Phase.STOPPED not in there.here.phases(move)
        graph = stream.end_capture()
    there.finish(move, to)
    graph.launch(stream)
    graph.launch(stream)
    stream.synchronize()
    assert x.get().tolist() == [2.0] * 8


def test_a_parked_session_moves_and_its_client_finds_it(moving: tuple[World, Any]) -> None:
    """The connection is gone while it moves: the source answers MOVED, and the pool knows too."""
    from cupool.shim import cupy as cp

    there, session = moving
    x = cp.arange(10.0)
    assert float(x.sum()) == 45
    session.pause(5.0)
    there.move()
    session.link.resume()
    assert float((x + 1).sum()) == 55
    assert session.link.moves == 1
    session.pause(5.0)
    there.move()
    there.old.kill()  # the source cannot say it any more
    session.link.resume()
    assert float((x + 2).sum()) == 65
    assert session.link.moves == 2 and session.link.recoveries == 0


def test_after_a_move_a_lost_server_is_replaced_from_the_first_batch() -> None:
    from cupool.shim import cupy as cp

    with world() as (there, session):
        x = cp.arange(1000.0)
        x *= 2
        there.move()
        x += 1
        assert float(x[3]) == 7
        fresh = there.server()
        fresh.assign(epoch=1, session="again")
        there.pool.lost = Fate("Its server was lost.", True)
        old = there.pool.lease
        there.pool.lease = type(old)("again", old.token, fresh.endpoint, 1, "", "")
        there.here.kill()
        assert float(x.sum()) == float((np.arange(1000.0) * 2 + 1).sum())
        assert session.link.recoveries == 1


STEPS = ["ordered", "came", "planned", "copying", "copied", "stopping", "stopped", "rest", "sent", "ready"]
DESTINATION = ["ordered", "connected", "planned", "copying", "stopped", "restoring", "ready"]


def fails_and_goes_on(there: World, session: Any, source: str = "", destination: str = "", **out: Any) -> Any:
    """A move that fails; the session works at the source, and the next move works."""
    from cupool.shim import cupy as cp

    x = cp.arange(300_000.0)
    to = there.server(*(("--move-fault", destination) if destination else ()))
    move = there.begin(to, **out)
    report = there.here.wait_phase(move, Phase.FAILED, Phase.RELEASED)
    assert report.phase == Phase.FAILED, report
    x += 1
    assert float(x[-1]) == 300_000
    to.wait_end()
    assert session.link.moves == 0
    return report


@pytest.mark.parametrize("step", ["planned", "copying", "restoring", "ready"])
def test_a_destination_that_dies_leaves_the_session_where_it_is(moving: tuple[World, Any], step: str) -> None:
    there, session = moving
    report = fails_and_goes_on(there, session, destination=f"destination.{step}:kill")
    assert "destination broke off" in report.reason or "lane" in report.reason
    there.move()
    assert session.link.moves <= 1


def test_a_destination_that_says_no_is_named(moving: tuple[World, Any]) -> None:
    there, session = moving
    report = fails_and_goes_on(there, session, destination="destination.restoring:fail")
    assert "a test made step destination.restoring fail" in report.reason


@pytest.mark.parametrize("step", ["copied", "rest"])
def test_a_source_that_gives_up_goes_on(step: str) -> None:
    with world("--allow-faults", first=("--move-fault", f"source.{step}:fail")) as (there, session):
        report = fails_and_goes_on(there, session)
        assert f"source.{step}" in report.reason


def test_a_destination_that_stops_half_way_costs_no_more_than_the_longest_pause(moving: tuple[World, Any]) -> None:
    from cupool.shim import cupy as cp

    there, session = moving
    x = cp.arange(10.0)
    assert float(x.sum()) == 45
    to = there.server("--move-fault", "destination.restoring:freeze")
    move = there.begin(to, max_pause_ms=400)
    report = there.here.wait_phase(move, Phase.FAILED)
    assert "stood still for more than 0.4 s" in report.reason
    assert report.pause_ms >= 400
    assert float((x * 2).sum()) == 90
    to.process.send_signal(signal.SIGCONT)
    to.wait_end()
    assert to.phases(move)[-1] == Phase.FAILED
    assert session.link.moves == 0


def test_a_move_can_be_cancelled_before_its_release(moving: tuple[World, Any]) -> None:
    from cupool.shim import cupy as cp

    there, session = moving
    x = cp.arange(2_000_000.0)
    assert float(x[-1]) == 1_999_999
    to = there.server()
    move = there.begin(to, incoming={"limit_bytes_a_s": 4_000_000})
    there.here.wait_phase(move, Phase.COPYING)
    # Both are told; the one that is told first says why.
    there.here.order(cancel_move=pb.CancelMove(session="s", move=move, reason="somebody changed his mind"))
    assert there.here.wait_phase(move, Phase.FAILED).reason == "somebody changed his mind"
    to.order(cancel_move=pb.CancelMove(session="s", move=move, reason="somebody changed his mind"))
    to.wait_end()
    assert float(x.sum()) == float(np.arange(2_000_000.0).sum())
    there.move()
    there.here.order(cancel_move=pb.CancelMove(session="s", move="m2"))  # of no effect
    assert float(x[7]) == 7 and session.link.moves == 1


@pytest.mark.parametrize("step", ["copied", "stopped", "rest"])
def test_a_move_is_cancelled_wherever_it_is(step: str) -> None:
    """The order comes while the source is at this step of it; the destination is not asked."""
    from cupool.shim import cupy as cp

    with world("--allow-faults", spare=0, first=("--move-fault", f"source.{step}:freeze")) as (there, session):
        x = cp.arange(300_000.0)
        assert float(x[-1]) == 299_999
        state = Path(f"/proc/{there.here.process.pid}/stat")
        to = there.server()
        move = there.begin(to)
        wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T")
        there.here.order(cancel_move=pb.CancelMove(session="s", move=move, reason="somebody changed his mind"))
        there.here.process.send_signal(signal.SIGCONT)
        assert there.here.wait_phase(move, Phase.FAILED, Phase.RELEASED).reason == "somebody changed his mind"
        x += 1
        assert float(x[-1]) == 300_000 and session.link.moves == 0
        to.wait_end()
        there.move()
        assert float(x.sum()) == float(np.arange(1, 300_001.0).sum()) and session.link.moves == 1


def test_what_was_released_can_be_taken_back(moving: tuple[World, Any]) -> None:
    """The destination dies after the release, before the client came to it."""
    from cupool.shim import cupy as cp

    there, session = moving
    x = cp.arange(10.0)
    assert float(x.sum()) == 45
    to = there.server("--move-fault", "destination.claimed:kill")
    move = there.begin(to)
    there.here.wait_phase(move, Phase.RELEASED)
    to.wait_end()
    there.here.order(take_back=pb.TakeBack(session="s", move=move, epoch=3))
    report = there.here.wait_phase(move, Phase.TAKEN_BACK)
    assert report.epoch == 3
    there.pool.place = Place(there.here.endpoint, 3)
    there.epoch = 3
    x += 1
    assert float(x.sum()) == 55
    assert session.link.recoveries == 0
    there.here.order(take_back=pb.TakeBack(session="s", move=move, epoch=9))
    assert "not given away" in there.here.wait_phase(move, Phase.FAILED).reason
    there.move()
    assert float(x.sum()) == 55


def test_a_ready_destination_waits_for_the_client_when_its_source_dies() -> None:
    """It cannot know whether the source had released: whoever comes at its epoch knows."""
    from cupool.shim import cupy as cp

    with world("--allow-faults", first=("--move-fault", "source.released:kill")) as (there, session):
        x = cp.arange(10.0)
        x += 1
        assert float(x.sum()) == 55
        to = there.server()
        move = there.begin(to)
        to.wait_phase(move, Phase.READY)
        there.here.wait_end()
        there.pool.place = Place(to.endpoint, 2)  # the controller: its death is proven, and the destination is whole
        assert float((x * 2).sum()) == 110
        to.wait_phase(move, Phase.OWNER)
        assert session.link.moves == 1


def test_an_abandoned_copy_ends_by_itself() -> None:
    with world("--allow-faults", first=("--move-fault", "source.ready:kill"), redo_bytes=0) as (there, _):
        from cupool.shim import cupy as cp

        assert float(cp.arange(10.0).sum()) == 45
        to = there.server()
        there.begin(to, assign={"park_grace_ms": 700})
        there.here.wait_end()
        to.wait_end(15)
        ended = to.wait(lambda r: r.HasField("session") and r.session.kind == pb.SessionChange.ENDED)
        assert ended.session.expired
        there.pool.lost = Fate("Its server was lost.", True)


BAD = {
    "another fingerprint": ({}, ["--arena-base", "0x7e0000000000"], "arena begins"),
    "too little memory": ({"limit_bytes": 1000}, [], "bytes"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_destination_that_does_not_fit_is_refused_before_anything_is_copied(
    moving: tuple[World, Any], case: str
) -> None:
    from cupool.shim import cupy as cp

    there, _ = moving
    x = cp.arange(100_000.0)
    assert float(x[1]) == 1
    assign, options, text = BAD[case]
    to = there.server(*options)
    move = there.begin(to, assign=assign)
    report = there.here.wait_phase(move, Phase.FAILED)
    assert text in report.reason and report.copied_bytes == 0
    to.wait_end()
    assert float(x.sum()) == float(np.arange(100_000.0).sum())


def test_orders_that_cannot_be_followed(moving: tuple[World, Any]) -> None:
    from cupool.shim import cupy as cp

    there, _ = moving
    assert float(cp.arange(3.0).sum()) == 3
    orders = {
        "another session": ({"session": "other"}, "does not have the session"),
        "an old epoch": ({"epoch": 1}, "not above"),
        "no token": ({"token_sha256": b""}, "no token"),
    }
    for name, (fields, text) in orders.items():
        go = {"session": "s", "move": name, "token_sha256": b"x" * 32, "endpoint": "127.0.0.1:1", "epoch": 2, **fields}
        there.here.order(move_out=pb.MoveOut(**go))
        assert text in there.here.wait_phase(name, Phase.FAILED).reason
    there.here.order(move_out=pb.MoveOut(
        session="s", move="alone", token_sha256=b"x" * 32, endpoint="127.0.0.1:1", epoch=2, timeout_ms=300
    ))  # fmt: skip
    assert "did not come within 0.3 s" in there.here.wait_phase("alone", Phase.FAILED).reason


def test_a_wrong_token_pulls_nothing(moving: tuple[World, Any]) -> None:
    from cupool.shim import cupy as cp

    there, _ = moving
    x = cp.arange(3.0)
    assert float(x.sum()) == 3
    to = there.server()
    to.assign(2, incoming=pb.Incoming(move="m", endpoint=there.here.endpoint, token="guessed"))
    there.here.order(move_out=pb.MoveOut(
        session="s", move="m", token_sha256=b"x" * 32, endpoint=to.endpoint, epoch=2, timeout_ms=4000
    ))  # fmt: skip
    assert "its token is wrong" in to.wait_phase("m", Phase.FAILED).reason
    to.wait_end()
    there.here.wait_phase("m", Phase.FAILED)
    assert float(x.sum()) == 3


def test_across_hosts_the_bytes_come_in_the_stream_and_a_cut_link_is_a_return(moving: tuple[World, Any]) -> None:
    """A proxy stands between the two, and the lane is not tried: the destination believes that it is on another host."""
    from cupool.shim import cupy as cp

    there, session = moving
    x = cp.arange(1_000_000.0)
    assert float(x[-1]) == 999_999
    with FaultProxy(there.here.endpoint) as proxy:
        to = there.server("--move-fault", "destination.lane:fail")
        move = there.begin(to, endpoint=proxy.endpoint, incoming={"limit_bytes_a_s": 8_000_000})
        there.here.wait_phase(move, Phase.COPYING)
        proxy.cut_now()
        assert there.here.wait_phase(move, Phase.FAILED).reason
        to.wait_end()
        assert float(x.sum()) == float(np.arange(1_000_000.0).sum())
        to = there.server("--move-fault", "destination.lane:fail")
        there.finish(there.begin(to, endpoint=proxy.endpoint), to)
    assert float((x + 1).sum()) == float(np.arange(1, 1_000_001.0).sum())
    assert session.link.moves == 1


#: At which step the link to the destination becomes slow -> whether the move may be made all the same.
SLOWED = {"source.came": True, "source.stopped": False, "source.rest": True}
#: One megabit.
SLOW_BYTES_A_S = 125_000


@pytest.mark.parametrize("step", SLOWED)
def test_a_link_that_slows_down_to_a_megabit_delays_a_move_or_ends_it(step: str) -> None:
    """Never longer than the pause that was allowed, and the program goes on at the source or at the destination."""
    from cupool.shim import cupy as cp

    with world("--allow-faults", spare=0, first=("--move-fault", f"{step}:freeze")) as (there, session):
        # What is copied at first takes 1.3 s so; what is left at the stop as well, where the program writes all the time.
        x = cp.zeros(20_000)
        state = Path(f"/proc/{there.here.process.pid}/stat")

        def is_stopped() -> bool:
            return state.read_text().rpartition(")")[2].split()[0] == "T"

        def write() -> None:
            x.__iadd__(1.0)
            assert float(x[0]) == float(x[-1])

        with FaultProxy(there.here.endpoint) as link, Stalls() as stalls, Busy(write) as busy:
            to = there.server("--move-fault", "destination.lane:fail")
            move = there.begin(to, endpoint=link.endpoint, max_pause_ms=600)
            wait_until(is_stopped)
            link.bytes_a_s = SLOW_BYTES_A_S
            there.here.process.send_signal(signal.SIGCONT)
            report = there.here.wait_phase(move, Phase.FAILED, Phase.RELEASED, timeout_s=60)
            if report.phase == Phase.FAILED:
                assert "allowed" in report.reason or "stood still" in report.reason, report
                to.wait_end()
            else:
                there.finish(move, to)
            before = busy.steps
            wait_until(lambda: busy.steps > before + 3 or busy.error is not None)
        assert report.pause_ms < 1000 + 10 * stalls.longest_ms and session.link.recoveries == 0
        # A program that got no processor between the last round and the stop has left nothing to send: the move is made then.
        if not SLOWED[step] and report.dirty_bytes:
            assert report.phase == Phase.FAILED and session.link.moves == 0
        assert x.get().tolist() == [float(busy.steps)] * 20_000


def test_a_move_while_a_kernel_is_compiled_waits_for_it_and_takes_it_along(moving: tuple[World, Any]) -> None:
    from cupool.shim import cupy as cp

    there, session = moving
    x = cp.arange(8.0)
    assert float(x[3]) == 3
    # A source that nobody has compiled before, and that takes a while.
    lines = "\n".join(
        f"static __device__ double f{k}(double v) {{ return v * {k + 1} + {time.time_ns()}e-30; }}" for k in range(200)
    )
    source = lines + '\nextern "C" __global__ void add(double* x) { x[threadIdx.x] += 1 + 0 * f7(x[0]); }'
    add = cp.RawKernel(source, "add")
    to = there.server()
    add((1,), (8,), (x,))
    session.outbox.flush()
    server = psutil.Process(there.here.process.pid)

    def compiles() -> bool:
        return any("cc1plus" in child.name() or "g++" in child.name() for child in server.children(recursive=True))

    wait_until(compiles)
    began = time.monotonic()
    move = there.begin(to, max_pause_ms=20_000)
    report = there.finish(move, to)
    assert report.pause_ms < 500 * (time.monotonic() - began), "it waited for the compiler before its pause"
    add((1,), (8,), (x,))
    assert x.get().tolist() == (np.arange(8.0) + 2).tolist() and session.link.moves == 1


def test_a_server_that_has_executed_less_is_not_taken(moving: tuple[World, Any]) -> None:
    from cupool.shim import cupy as cp

    there, session = moving
    x = cp.arange(10.0)
    for _ in range(3):
        x += 1
        assert float(x[0]) > 0
    session.outbox.redo.end("a test says so")
    to: MoveServer = there.server()
    to.assign(epoch=2)
    # Or it would be refused for these.
    session.link._nonces = (b"", session.link._nonces[1])
    session.inbox.received = 0
    there.pool.place = Place(to.endpoint, 2)
    there.here.kill()
    with pytest.raises(SessionLost, match="not the session's"):
        x.get()


@pytest.mark.parametrize("knows", [True, False])
def test_between_hosts_with_tls_each_asks_for_the_others_name(tmp_path: Path, knows: bool) -> None:
    """The destination asks for the source's own name, the client for the destination's, which MOVED says."""
    from cupool.shim import cupy as cp

    certs.init(tmp_path)
    node = certs.issue_node(tmp_path, "node-1")
    authority = str(tmp_path / "trust.pem")

    def options(server: str) -> tuple[str, ...]:
        files = certs.NodeAuthority(node.cert, node.key).issue(server, "node-1", tmp_path / server)
        own = ("--tls-cert", str(files.cert), "--tls-key", str(files.key), "--server-id", server)
        return (*own, "--tls-ca", authority) if knows else own

    there = World("--listen", "127.0.0.1:0", spare=0, first=options("a"))
    try:
        to = there.server(*options("b"))
        pool = there.pool = MovingPool(there.here.endpoint)
        pool.lease = Lease("s", TOKEN, there.here.endpoint, 1, "a", "", server_name("a", "node-1"))
        sessions.open_at(pool, Config(ca=authority))
        try:
            x = cp.arange(1000.0)
            assert float(x[5]) == 5
            move = there.begin(to, incoming={"tls_name": server_name("a", "node-1")}, tls_name=server_name("b", "node-1"),
                               timeout_ms=3000)  # fmt: skip
            if not knows:
                assert "no authority" in to.wait_phase(move, Phase.FAILED).reason
                there.here.wait_phase(move, Phase.FAILED)
            else:
                there.finish(move, to)
                to_name = sessions.current().link
                assert float(x.sum()) == 499500.0
                assert to_name.moves == 1 and to_name.lease.tls_name == server_name("b", "node-1")
            assert float(x[7]) == 7
        finally:
            sessions._close("the test ended", 2.0)
    finally:
        there.close()


def test_a_session_that_writes_faster_than_the_link_stays_and_the_figures_say_why(moving: tuple[World, Any]) -> None:
    from cupool.shim import cupy as cp

    there, session = moving
    x = cp.zeros(20_000)
    with Busy(lambda: float(x.__iadd__(1.0)[0])) as busy:
        to = there.server()
        move = there.begin(to, incoming={"limit_bytes_a_s": 400_000}, max_pause_ms=100)
        report = there.here.wait_phase(move, Phase.FAILED, Phase.RELEASED)
        assert report.phase == Phase.FAILED
        assert "MB/s" in report.reason and "0.1 s are allowed" in report.reason
        assert report.rounds == 10 and report.pause_ms == 0
        to.wait_end()
    assert float(x[-1]) == busy.steps
    assert session.link.moves == 0


def test_a_long_kernel_delays_a_move_and_does_not_lengthen_its_pause(moving: tuple[World, Any]) -> None:
    from cupool.shim import cupy as cp

    there, session = moving
    x = cp.zeros(8)
    spin = cp.RawKernel(
        'extern "C" __global__ void spin(double* x, long n) { double s = x[0]; '
        "for (long k = 0; k < n; ++k) s = s * 1.0000001 + 1e-9; x[threadIdx.x] = s; }",
        "spin",
    )
    spin((1,), (1,), (x, 10))
    assert float(x[1]) == 0
    spin((1,), (1,), (x, 300_000_000))
    session.outbox.flush()
    to = there.server()
    began = time.monotonic()
    move = there.begin(to, max_pause_ms=20_000)
    report = there.finish(move, to)
    assert report.pause_ms < 500 * (time.monotonic() - began), "it waited for the kernel before its pause"
    assert float(x[0]) > 0 and session.link.moves == 1


ESCAPES = """
extern "C" { __device__ double held; __device__ double* kept; }
extern "C" __global__ void keep() { kept = &held; }
extern "C" __global__ void forget() { kept = 0; }
"""


def test_why_a_session_cannot_be_moved_is_told_and_when_it_can_again(moving: tuple[World, Any]) -> None:
    """The address of a kernel's variable is kept in the session: a move finds out, and the pool is told, until it is gone."""
    from cupool.shim import cupy as cp

    there, session = moving
    module = cp.RawModule(code=ESCAPES)
    x = cp.arange(8.0)
    module.get_function("keep")((1,), (1,), ())
    assert float(x[3]) == 3
    to = there.server()
    move = there.begin(to)
    report = there.here.wait_phase(move, Phase.FAILED)
    fixed = there.here.wait(lambda r: r.HasField("fixed")).fixed
    assert fixed.session == "s" and fixed.reason == report.reason and "cannot be moved" in fixed.reason
    to.wait_end()
    module.get_function("forget")((1,), (1,), ())
    assert float(x.sum()) == 28
    there.here.wait(lambda r: r.HasField("fixed") and not r.fixed.reason)
    there.move()
    assert float(x[3]) == 3 and session.link.moves == 1


def test_functions_in_the_servers_process_hold_a_session_there() -> None:
    import cupool

    with world("--allow-faults", spare=1, assign={"allow_offload": True}) as (there, _):
        assert cupool.offload(lambda a: a + 1)(41) == 42
        fixed = there.here.wait(lambda r: r.HasField("fixed")).fixed
        assert "cupool.offload" in fixed.reason
        to = there.server()
        assert "cupool.offload" in there.here.wait_phase(there.begin(to), Phase.FAILED).reason
        to.wait_end()
        assert cupool.offload(lambda a: a + 1)(1) == 2


def test_two_threads_of_a_program_move_with_it(moving: tuple[World, Any]) -> None:
    from cupool.shim import cupy as cp

    there, session = moving

    def work() -> Callable[[], None]:
        x, done = cp.zeros(5_000), 0

        def step() -> None:
            nonlocal done
            x.__iadd__(1.0)
            done += 1
            assert float(x[-1]) == done

        return step

    with Busy(work()) as one, Busy(work()) as two:
        for _ in range(2):
            there.move()
            before = one.steps, two.steps
            wait_until(lambda before=before: one.steps > before[0] and two.steps > before[1])
    assert session.link.moves == 2 and session.link.recoveries == 0


@pytest.mark.parametrize("address", ["tcp", "unix"])
def test_confined_servers_move_a_session_over_the_lane(tmp_path: Path, address: str) -> None:
    """The destination connects before it is sealed, and is sealed before anything of the session runs in it."""
    from cupool.shim import cupy as cp

    def options(name: str) -> tuple[str, ...]:
        folder = tmp_path / name
        folder.mkdir()
        create_status(folder / "status")
        listen = ("--listen", f"unix:{folder}/s.sock") if address == "unix" else ()
        return ("--sandbox", "auto", "--status-file", str(folder / "status"), "--log-level", "info", *listen)

    there = World(spare=0, first=options("a"))
    try:
        to = there.server(*options("b"))
        sessions.open_at(there.pool, Config())
        try:
            x = cp.arange(300_000.0)
            add = cp.RawKernel('extern "C" __global__ void add(double* x) { x[threadIdx.x] += 1; }', "add")
            add((1,), (64,), (x,))
            assert float(x[5]) == 6
            move = there.begin(to)
            there.finish(move, to)
            add((1,), (64,), (x,))
            assert float(x[5]) == 7 and float(x[-1]) == 299_999
            add2 = cp.RawKernel('extern "C" __global__ void add2(double* x) { x[threadIdx.x] += 2; }', "add2")
            add2((1,), (64,), (x,))
            assert float(x[5]) == 9
            there.settle(move)
        finally:
            sessions._close("the test ended", 2.0)
    finally:
        there.close()


class Stranger:
    """Somebody who has a move's token and speaks its protocol badly."""

    def __init__(self, there: World, move: str, **out: Any) -> None:
        token = "known"
        go = {"session": "s", "move": move, "token_sha256": hashlib.sha256(token.encode()).digest(),
              "endpoint": "127.0.0.1:1", "epoch": there.epoch + 1, "timeout_ms": 4_000, **out}  # fmt: skip
        there.here.order(move_out=pb.MoveOut(**go))
        self._channel = grpc.insecure_channel(there.here.endpoint)
        self._metadata = (("authorization", f"Bearer {token}"), ("cupool-session", "s"), ("cupool-move", move))

    def says(self, *controls: bytes) -> list[Any]:
        """The frames that come back, up to the end of the stream."""
        call = self._channel.stream_stream("/cupool.v1.MoveService/Pull")(iter(controls), metadata=self._metadata)
        found = []
        try:
            found += [move_pb2.MoveFrame.FromString(frame) for frame in call]
        except grpc.RpcError as error:
            found.append(error)
        return found

    def close(self) -> None:
        self._channel.close()


CONTROLS = {
    "what is no message": (lambda move: [b"\xff\xff\xff"], "no MoveControl"),
    "nothing": (lambda move: [], "broke off"),
    "ready before it has anything": (lambda move: [_control(ready={})], "before it had everything"),
    "another move": (lambda move: [_control(hello={"move": "other", "epoch": 2})], "came for move 'other'"),
    "another epoch": (lambda move: [_control(hello={"move": move, "epoch": 7})], "at epoch 7"),
    "other numbers": (
        lambda move: [_control(hello={"move": move, "epoch": 2, "fingerprint": "abacus"})],
        "numbers could differ",
    ),
}


def _control(**fields: Any) -> bytes:
    made = move_pb2.MoveControl()
    for name, values in fields.items():
        target = getattr(made, name)
        target.SetInParent()
        for key, value in values.items():
            setattr(target, key, value)
    return made.SerializeToString()


def test_a_destination_that_speaks_badly_gets_a_reason_and_the_source_goes_on(moving: tuple[World, Any]) -> None:
    from cupool.shim import cupy as cp

    there, session = moving
    x = cp.arange(1000.0)
    assert float(x[3]) == 3
    for name, (controls, text) in CONTROLS.items():
        stranger = Stranger(there, name)
        frames = stranger.says(*controls(name))
        assert text in there.here.wait_phase(name, Phase.FAILED).reason, name
        assert any(getattr(frame, "failed", None) and text in frame.failed.reason for frame in frames) or not frames[1:]
        stranger.close()
        x += 1
        assert float(x[3]) > 3
    there.move()
    assert float(x[3]) == 3 + len(CONTROLS) and session.link.moves == 1


def test_a_move_has_one_destination(moving: tuple[World, Any]) -> None:
    from cupool.shim import cupy as cp

    there, _ = moving
    assert float(cp.arange(3.0).sum()) == 3
    stranger = Stranger(there, "one", timeout_ms=1500)
    first = threading.Thread(target=stranger.says, args=(), daemon=True)
    first.start()
    there.here.wait_phase("one", Phase.FAILED)
    first.join(30)
    (refused,) = stranger.says(_control(hello={"move": "one", "epoch": 2}))
    assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION and "has its destination" in refused.details()
    stranger.close()


@pytest.mark.skipif(bool(netns.missing()), reason=netns.missing())
def test_hosts_that_are_parted_in_a_move_leave_one_owner() -> None:
    """A sample of the campaign: everybody is cut off from the destination when the source has released the session."""
    result = campaign("split", full=False)
    assert result["complete"] and not result["failed"], result["failed"]
    assert result["summary"]["partings"] == 1


def test_moves_that_are_killed_and_cut_leave_one_owner_and_the_same_numbers() -> None:
    """A sample of the campaign."""
    result = campaign("move_faults", full=False)
    assert result["complete"] and not result["failed"], result["failed"]
    assert result["summary"]["faults"] == 2
