"""Loops by captured graphs leave what they leave command by command, whatever goes wrong: over a GPU that is memory of this process."""

from __future__ import annotations

import logging
import threading
from typing import Any

import fakecupy
import numpy as np
import pytest
from cupool.apiserver.executor import Executor
from cupool.apiserver.plans import plans as plans_module
from graph_programs import check
from loop_programs import LoopProgram
from wire import H, I, V, Writer, form, spec, value

from cupool.contract import codec
from cupool.contract.codec import STREAM_SHIFT
from cupool.contract.limits import DEFAULT_LIMITS
from cupool.v1 import session_pb2 as pb

LIMIT = 32 << 20
DATA = np.arange(4.0)
FORMS = [
    form(1, "@array", [V], [spec((4,))]), form(2, "add", [H, H], [spec((4,))]), form(3, "multiply", [H, H], [], out=H),
    form(4, "@stream_create", [I, False, 0], []), form(5, "sort", [H], [spec((4,))]), form(6, "@view", [H, I], [spec((2,))]),
    form(7, "add", [H, H], [spec((2,))]),
]  # fmt: skip


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(plans_module, "MANY_COMMANDS", 0)
    device = fakecupy.install(monkeypatch)
    import cupool.apiserver.devices.cuda.graphs as graphs

    monkeypatch.setattr(graphs, "AFTER_COMMANDS", 0)
    monkeypatch.setattr(graphs, "KERNELS", 6)
    return device


class Session:
    """One session on the GPU: arrays 1 (`DATA`) and 2 (ones), and loops that go on with what the last one left."""

    def __init__(self, cuda: Any, graphs: bool = True) -> None:
        self.device = cuda.CudaDevice(0, LIMIT, 0, False, graphs)
        self.executor = Executor(self.device, LIMIT, DEFAULT_LIMITS)
        self.writer = Writer()
        self.last = 100
        words = [1, 1, value(DATA.tobytes()), 1, 2, value(np.ones(4).tobytes()), 1, self.last, value(DATA.tobytes())]
        self.executor.run(self.writer.batch(words, 3, *FORMS))

    def loop(self, words: list[int], steps: list[int], rounds: int) -> None:
        executor = self.executor
        count = rounds * sum(1 for _ in commands(words))
        batch = pb.Batch(
            seq=executor.executed_seq + 1, position=executor.executed_commands, count=count, commands=codec.pack_words(words)[0],
            loops=[pb.Loop(at=0, rounds=rounds, steps=codec.pack_words(steps)[0])],
        )  # fmt: skip
        outcome = executor.run(batch)
        assert not outcome.failures
        self.writer.seq, self.writer.position = executor.executed_seq, executor.executed_commands

    def chain(self, rounds: int, operand: int = 2, stream: int = 0) -> None:
        """`c = c + operand`, the old `c` freed."""
        last = self.last
        self.loop([2 | stream << STREAM_SHIFT, last + 1, last, operand, 0, last], [0, 1, 1, 0, 0, 1], rounds)
        self.last += rounds

    def get(self, handle: int) -> list[float]:
        return self.executor.handles.table[handle].get().tolist()  # type: ignore[no-any-return]

    @property
    def graphs(self) -> Any:
        return self.device.graphs.statistics()


def commands(words: list[int]) -> Any:
    """The first word of each command of `FORMS`."""
    arity = {0: 2, 1: 3, 2: 4, 3: 4, 4: 2, 5: 3, 6: 4, 7: 4}
    at = 0
    while at < len(words):
        yield at
        at += arity[words[at] & codec.FORM_MASK]


def test_a_chain_runs_by_graphs_and_leaves_what_it_leaves(cuda: Any) -> None:
    session = Session(cuda)
    for rounds in (20, 9, 31):
        session.chain(rounds)
    assert session.get(session.last) == (DATA + 60).tolist()
    # Of 20 rounds one is walked, 18 are three launches of six, one is the plan's; of 9 one launch; of 31 five.
    assert (session.graphs.captured, session.graphs.launches, session.graphs.commands) == (1, 9, 54)
    assert session.executor.plans.statistics().commands == 114
    assert sorted(session.executor.handles.table) == [1, 2, session.last]
    assert session.executor.accounting.used == 3 * 512


def test_arrays_that_stay_are_written_where_they_are(cuda: Any) -> None:
    """`x *= y` in place: the addresses of the session's own arrays are in the graph."""
    session = Session(cuda)
    session.executor.run(session.writer.batch([1, 3, value(np.full(4, 2.0).tobytes())], 1))
    session.loop([3, 1, 3, 1], [0] * 4, 12)
    assert session.get(1) == (DATA * 2**12).tolist()
    assert session.graphs.launches == 2
    # The array is another one now, elsewhere: the graph is of no use for it.
    kept = session.executor.handles.table[1]
    session.executor.run(session.writer.batch([0, 1, 1, 1, value(DATA.tobytes())], 2))
    assert session.executor.handles.table[1].data.ptr != kept.data.ptr
    session.loop([3, 1, 3, 1], [0] * 4, 12)
    assert session.get(1) == (DATA * 2**12).tolist()
    assert kept.get().tolist() == (DATA * 2**12).tolist(), "memory that is no array's of the session was written"
    assert session.graphs.captured == 2


def test_a_view_within_a_round_is_in_the_graph(cuda: Any) -> None:
    session = Session(cuda)
    executor = session.executor
    executor.run(session.writer.batch([6, 99, 1, 0], 1))
    # r = view(1, 8); s = r + s_before; both old ones freed
    words, steps = [6, 101, 1, 8, 7, 102, 101, 99, 0, 101, 0, 99], [0, 3, 0, 0, 0, 3, 3, 3, 0, 3, 0, 3]
    session.loop(words, steps, 16)
    assert session.get(102 + 45) == [0 + 16 * 1.0, 1 + 16 * 2.0]
    assert session.graphs.captured <= 1


def test_a_graph_of_one_stream_is_not_launched_on_another(cuda: Any) -> None:
    session = Session(cuda)
    session.executor.run(session.writer.batch([4, 5], 1))
    for stream in (0, 5, 0, 5):
        session.chain(20, stream=stream)
    assert session.get(session.last) == (DATA + 80).tolist()
    assert session.graphs.captured == 2


def test_what_is_no_ufunc_is_not_captured(cuda: Any) -> None:
    session = Session(cuda)
    last = session.last
    session.loop([5, last + 1, last, 0, last], [0, 1, 1, 0, 1], 20)
    assert session.executor.plans.statistics().planned == 1
    assert (session.graphs.captured, session.graphs.refused) == (0, 1)


@pytest.mark.parametrize("broken", [{"capture": True}, {"node": 1}, {"launch": 0}, {"launch": 2}])
def test_what_fails_runs_uncaptured_and_is_said_once(
    cuda: Any, caplog: pytest.LogCaptureFixture, broken: dict[str, Any]
) -> None:
    session = Session(cuda)
    fakecupy.BROKEN.update(broken)
    with caplog.at_level(logging.WARNING):
        session.chain(20)
        session.chain(20)
        fakecupy.BROKEN.update(broken)
        session.chain(20, operand=1)
    assert session.get(session.last) == (DATA + 40 + 20 * DATA).tolist()
    assert len([r for r in caplog.records if "graph-refused" in r.message]) == 1
    assert session.graphs.refused == 2
    assert session.graphs.kept == 0
    assert sorted(session.executor.handles.table) == [1, 2, session.last]


def test_an_allocation_that_fails_leaves_the_loop_to_the_plan(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import cupool.apiserver.devices.cuda.graphs as graphs

    def like(array: Any) -> Any:
        raise MemoryError

    session = Session(cuda)
    monkeypatch.setattr(graphs, "_like", like)
    session.chain(20)
    assert session.get(session.last) == (DATA + 20).tolist()
    assert session.graphs.launches == 0


def test_who_waits_for_the_whole_device_waits_for_a_capture_first(cuda: Any) -> None:
    """A finalizer of another thread gives a block back to the arena, for which the device must be done."""
    session = Session(cuda)
    captured = threading.Event()
    failed: list[BaseException] = []

    def elsewhere() -> None:
        captured.wait(10)
        try:
            session.device.synchronize()
        except BaseException as error:
            failed.append(error)

    other = threading.Thread(target=elsewhere)
    other.start()
    begin = fakecupy.Stream.begin_capture

    def and_tell(stream: Any, mode: Any = None) -> None:
        begin(stream, mode)
        captured.set()
        other.join(0.2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fakecupy.Stream, "begin_capture", and_tell)
        session.chain(20)
    other.join()
    assert not failed
    assert session.graphs.captured == 1


def test_a_block_that_a_finalizer_frees_while_we_capture_is_freed_afterwards(cuda: Any) -> None:
    session = Session(cuda)
    placed = session.device.place(512, session.device.arena.base + (1 << 22))
    session.device.landed(placed)
    address = int(placed.data.ptr)
    begin = fakecupy.Stream.begin_capture

    def and_drop(stream: Any, mode: Any = None) -> None:
        nonlocal placed
        begin(stream, mode)
        placed = None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fakecupy.Stream, "begin_capture", and_drop)
        session.chain(20)
    assert session.graphs.captured == 1
    assert not session.device.arena.covers(address, 1)


def test_old_graphs_go_and_the_session_ends_without_any(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import cupool.apiserver.devices.cuda.graphs as graphs

    monkeypatch.setattr(graphs, "MAX_GRAPHS", 2)
    session = Session(cuda)
    for handle in range(3, 8):
        session.executor.run(session.writer.batch([1, handle, value(np.ones(4).tobytes())], 1))
        session.chain(20, operand=handle)
    assert (session.graphs.captured, session.graphs.kept) == (5, 2)
    assert session.get(session.last) == (DATA + 100).tolist()
    session.executor.close()
    assert session.graphs.kept == 0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_random_closed_loops_leave_the_same(cuda: Any) -> None:
    found = [check(cuda, seed) for seed in range(8)]
    assert sum(s.captured for s in found) > 5
    assert sum(s.launches for s in found) > 15


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_random_loops_of_any_kind_leave_the_same(cuda: Any) -> None:
    for seed in range(3):
        program = LoopProgram(seed)
        fakecupy.again()
        plain, _ = program.run("plain", cuda.CudaDevice(0, program.limit_bytes, 0, False, False))
        fakecupy.again()
        by_graphs, _ = program.run("plans", cuda.CudaDevice(0, program.limit_bytes, 0, False, True))
        assert repr(by_graphs) == repr(plain), seed


def test_off_means_off(cuda: Any) -> None:
    session = Session(cuda, graphs=False)
    assert session.device.graphs is None
    session.chain(20)
    assert session.get(session.last) == (DATA + 20).tolist()
