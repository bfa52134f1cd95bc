"""Chains of a GPU leave what their commands leave one by one, whatever goes wrong: over a GPU that is memory of this process."""

from __future__ import annotations

import queue
import sys
import threading
import types
from typing import Any

import chain_programs
import fakecupy
import numpy as np
import pytest
from chain_programs import CudaSide
from fakecontroller import wait_until
from wire import H, I, R, V, form, spec, value

from cupool.contract.codec import STREAM_SHIFT, real_bits

N = 512


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Any:
    device = fakecupy.install(monkeypatch)
    chain_programs.small_sizes(monkeypatch)
    return device


@pytest.mark.parametrize("first", range(0, 6, 3))
def test_random_programs_leave_the_same_bytes_answers_and_books(cuda: Any, first: int) -> None:
    found = [chain_programs.make(seed).check_on(cuda) for seed in range(first, first + 3)]
    assert not sum(chains.kernels.refused for chains in found) and sum(chains.windows for chains in found)


def test_of_a_loop_whole_rounds_run_together(cuda: Any) -> None:
    from cupool.apiserver.devices.cuda.chains import _whole_rounds

    assert _whole_rounds([], 7, True) == 7
    # Rounds of three commands; a part of one is left for the next window.
    assert _whole_rounds([3, 6, 9, 12, 15, 18, 21], 22, False) == 12
    assert _whole_rounds([3, 6, 9], 10, True) == 6
    assert _whole_rounds([3, 6, 9], 12, True) == 12
    assert _whole_rounds([3], 5, False) == 3


# -- by hand ------------------------------------------------------------------------------------------------------------

A, B, C = np.linspace(-1, 2, N), np.linspace(3, 4, N), np.arange(float(N))
ARRAY = spec((N,))
FORMS = [
    form(1, "@array", [V], [ARRAY]), form(2, "add", [H, H], [ARRAY]), form(3, "multiply", [H, H], [ARRAY]), form(4, "sqrt", [H], [ARRAY]),
    form(5, "multiply", [H, R], [], out=H), form(6, "@view", [H, I], [spec((N - 1,))]), form(7, "add", [H, H], [spec((N - 1,))]),
    form(8, "add", [H, R], [], out=H), form(9, "@stream_create", [I, False, 0], []), form(10, "exp", [H], [ARRAY]),
    form(11, "add", [H, R], [ARRAY]), form(12, "multiply", [H, H], [spec((N - 1,))]),
]  # fmt: skip


class Session:
    """One session on the GPU, with arrays 1, 2 and 3 (`A`, `B`, `C`)."""

    def __init__(self, cuda: Any, limit: int = 1 << 20, waits: bool = True) -> None:
        self.side = CudaSide(cuda, True, limit)
        self.executor, self.writer = self.side.executor, self.side.writer
        self.chains: Any = self.executor.fusion
        self.chains.kernels._waits = waits
        words = [w for k, data in enumerate((A, B, C)) for w in (1, k + 1, value(data.tobytes()))]
        self.executor.run(self.writer.batch(words, 3, *FORMS))

    def run(self, *commands: tuple[int, ...]) -> Any:
        return self.executor.run(self.writer.batch([w for c in commands for w in c], len(commands)))

    def get(self, handle: int) -> Any:
        return self.executor.handles.table[handle].get()

    def chain(self, first: int, keep: bool = True) -> int:
        """sqrt((a + b) * c), its steps dropped; returns its handle."""
        x, y, z = first, first + 1, first + 2
        self.run((2, x, 1, 2), (3, y, x, 3), (0, x), (4, z, y), (0, y), *([] if keep else [(0, z)]))
        return z

    @property
    def counts(self) -> tuple[int, int, int]:
        """Windows that a kernel ran, commands in them, kernels tried beside their commands."""
        return self.chains.windows, self.chains.joined, self.chains.tried


def test_a_chain_that_comes_again_becomes_one_kernel_which_is_tried_before_it_is_used(cuda: Any) -> None:
    session, wanted = Session(cuda), np.sqrt((A + B) * C)
    for k, counts in enumerate([(0, 0, 0), (0, 0, 1), (1, 5, 1), (2, 10, 1)]):
        handle = session.chain(10 * (k + 1))
        assert session.get(handle).tolist() == wanted.tolist()
        assert session.counts == counts
    assert sorted(session.executor.handles.table) == [1, 2, 3, 12, 22, 32, 42]
    assert session.executor.accounting.used == 7 * 8 * N
    # Of the chain's three results one is stored; where nobody keeps it, another kernel, of which nothing is.
    (chain,) = session.chains.kernels._known
    assert chain.stored == (2,) and [operand[1] for operand in chain.operands] == [0, 0, 0]
    for k in range(5, 9):
        session.chain(10 * k, keep=False)
    assert session.executor.accounting.used == 7 * 8 * N and session.executor.accounting.peak == 9 * 8 * N


def test_what_dies_on_the_way_takes_no_memory(cuda: Any) -> None:
    session = Session(cuda)
    for k in range(1, 3):
        session.chain(10 * k)
    sizes: list[int] = []
    malloc = session.executor.device._pool.malloc
    fakecupy.set_allocator(lambda size: (sizes.append(size), malloc(size))[1])
    session.chain(30)
    assert sizes == [8 * N] and session.chains.windows == 1


def test_an_array_is_written_where_it_lies(cuda: Any) -> None:
    """x *= 0.5; y = x + b; x += 1: y is of the x between, and x has one address."""
    session = Session(cuda)
    address = session.executor.handles.table[1].data.ptr
    x = A.copy()
    for k in range(10, 14):
        half, one = real_bits(0.5), real_bits(1.0)
        session.run((5, 1, half, 1), (2, k, 1, 2), (8, 1, one, 1))
        x *= 0.5
        y = x + B
        x += 1
        assert (session.get(1).tolist(), session.get(k).tolist()) == (x.tolist(), y.tolist())
    assert session.counts == (2, 6, 1) and session.executor.handles.table[1].data.ptr == address


def test_memory_that_is_looked_at_elsewhere_is_not_written_in_the_same_kernel(cuda: Any) -> None:
    """Two views, an element apart: what a thread writes another one reads."""
    session = Session(cuda)
    session.run((6, 5, 1, 0), (6, 6, 1, 8))
    x = A.copy()
    for k in range(10, 40, 10):
        # t = x[:-1] + x[1:]; u = t * t; x *= 0.5; v = x[1:] + u
        session.run((7, k, 5, 6), (12, k + 1, k, k), (5, 1, real_bits(0.5), 1), (7, k + 2, 6, k + 1), (0, k))
        t = x[:-1] + x[1:]
        x *= 0.5
        assert session.get(1).tolist() == x.tolist()
        assert session.get(k + 1).tolist() == (t * t).tolist()
        assert session.get(k + 2).tolist() == (x[1:] + t * t).tolist()
    assert session.chains.windows


@pytest.mark.parametrize("fault", ["other bits", "no compiler", "cannot be compared"])
def test_a_kernel_that_is_not_right_is_not_used(
    cuda: Any, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    chains = sys.modules["cupool.apiserver.devices.cuda.chains"]
    kernels = sys.modules["cupool.apiserver.devices.cuda.chains.kernels"]
    if fault == "other bits":
        source = kernels.source
        monkeypatch.setattr(
            kernels, "source", lambda chain: source(chain).replace("in0 * in1", "in0 * in1 * 1.0000000000000002")
        )
    elif fault == "no compiler":
        fakecupy.BROKEN["compile"] = "nvrtc is not there"
    else:

        def fails(a: Any, b: Any) -> bool:
            raise MemoryError

        monkeypatch.setattr(chains, "_is_same", fails)
    caplog.set_level("WARNING")  # whatever level another test has set
    session, wanted = Session(cuda), np.sqrt((A + B) * C)
    for k in range(1, 6):
        assert session.get(session.chain(10 * k)).tolist() == wanted.tolist()
    assert session.chains.windows == 0 and session.chains.kernels.refused == 1
    assert "event=chain-refused" in caplog.text


def test_a_chain_for_which_there_is_no_memory_in_one_piece_runs_one_by_one(cuda: Any) -> None:
    limit = 6 * 8 * N
    session, wanted = Session(cuda, limit), np.sqrt((A + B) * C)
    for k in range(1, 4):
        handle = session.chain(10 * k)
        assert session.get(handle).tolist() == wanted.tolist()
        session.run((0, handle))
    windows = session.chains.windows
    assert windows
    session.run((11, 50, 1, real_bits(1.0)), (11, 51, 1, real_bits(2.0)))  # room for one more
    outcome = session.run((2, 60, 1, 2), (3, 61, 60, 3), (0, 60), (4, 62, 61), (0, 61))
    assert [f.error.type for f in outcome.failures] == ["cupy.cuda.memory.OutOfMemoryError"]
    assert session.chains.windows == windows and session.executor.accounting.used == 5 * 8 * N


def test_another_stream_or_another_operation_ends_a_chain(cuda: Any) -> None:
    session = Session(cuda)
    session.run((9, 5))
    other = 5 << STREAM_SHIFT
    for k in range(10, 60, 10):
        session.run(
            (2, k, 1, 2),
            (3, k + 1, k, 3),
            (2 | other, k + 2, k + 1, 1),
            (3 | other, k + 3, k + 2, 2),
            (10, k + 4, k + 1),
        )
        x = (A + B) * C
        with np.errstate(over="ignore"):
            exp = np.exp(x)
        assert session.get(k + 1).tolist() == x.tolist()
        assert session.get(k + 3).tolist() == ((x + A) * B).tolist()
        assert session.get(k + 4).tolist() == exp.tolist()
    # One kernel for both: the first time it runs by itself, the second time it is tried.
    assert session.counts == (8, 16, 1)


def test_commands_run_while_their_kernel_is_compiled(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go, wanted = threading.Event(), threading.Event(), np.sqrt((A + B) * C)
    compiles = fakecupy.RawKernel.compile

    def slowly(self: Any) -> None:
        began.set()
        assert go.wait(20)
        compiles(self)

    monkeypatch.setattr(fakecupy.RawKernel, "compile", slowly)
    session = Session(cuda, waits=False)
    session.chain(10)
    session.chain(20)
    assert began.wait(20)
    assert session.get(session.chain(30)).tolist() == wanted.tolist()
    assert session.counts == (0, 0, 0)
    go.set()
    (entry,) = session.chains.kernels._known.values()
    wait_until(lambda: entry.kernel is not None, "the kernel")
    session.chain(40)
    assert session.get(session.chain(50)).tolist() == wanted.tolist()
    assert session.counts == (1, 5, 1)
    session.executor.close()


SINGLES = spec((N,), "<i4")
INTEGERS = [
    form(20, "@array", [V], [SINGLES]), form(21, "add", [H, I], [SINGLES]), form(22, "greater", [H, H], [spec((N,), "?")]),
    form(23, "copy", [H], [spec((N,), "<f4")]), form(24, "ndarray.astype", [H, np.dtype("f4")], [ARRAY]),
    form(25, "@view", [H, I], [ARRAY]),
]  # fmt: skip


def test_a_compiler_knows_nothing_of_overflows(cuda: Any) -> None:
    """y = x + n; y > x: proven with numbers that do not overflow, and used with others. Compilers make `n > 0` of it."""
    session, least = Session(cuda), np.arange(N, dtype=np.int32)
    for k, first in enumerate((0, 0, 0, np.iinfo(np.int32).max - N // 2)):
        x, at = first + least, 30 + 10 * k
        session.executor.run(session.writer.batch([20, at, value(x.tobytes())], 1, *([] if k else INTEGERS)))
        session.run((21, at + 1, at, 5), (22, at + 2, at + 1, at), (0, at + 1))
        with np.errstate(over="ignore"):
            assert session.get(at + 2).tolist() == (x + np.int32(5) > x).tolist()
    assert session.counts == (2, 6, 1)


@pytest.mark.parametrize("op", [23, 24])
def test_a_copy_that_is_not_what_was_promised_fails_as_ever(cuda: Any, op: int) -> None:
    session = Session(cuda)
    session.executor.run(session.writer.batch([], 0, *INTEGERS))
    for k in range(10, 40, 10):
        outcome = session.run((2, k, 1, 2), (op, k + 1, k), (3, k + 2, k, 3), (0, k + 1))
        assert ["expected" in f.error.message for f in outcome.failures] == [True]
        assert session.get(k + 2).tolist() == ((A + B) * C).tolist()


@pytest.mark.parametrize("what", ["memory", "launch"])
def test_a_trial_that_cannot_be_leaves_the_commands_and_the_books(
    cuda: Any, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, wanted = Session(cuda), np.sqrt((A + B) * C)

    def fails(*_: Any) -> Any:
        raise fakecupy.CUDARuntimeError("cudaErrorMemoryAllocation", 2 if what == "memory" else 701)

    if what == "memory":
        monkeypatch.setattr(session.executor.device._cleared, "_runtime", types.SimpleNamespace(malloc=fails))
    else:
        monkeypatch.setattr(fakecupy.RawKernel, "_launch", fails)
    for k in range(1, 5):
        assert session.get(session.chain(10 * k)).tolist() == wanted.tolist()
    account = session.executor.accounting
    assert session.executor.failed_commands == 0 and session.counts == (0, 0, 0)
    assert (account.used, account.peak) == (7 * 8 * N, 8 * 8 * N)
    assert session.chains.kernels.refused == (what == "launch")


def test_memory_that_is_written_and_freed_is_compared_too(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = sys.modules["cupool.apiserver.devices.cuda.chains.kernels"]
    source = kernels.source
    monkeypatch.setattr(kernels, "source", lambda chain: source(chain).replace("in0 * in1", "in0 * in1 * 1.5"))
    session = Session(cuda)
    session.executor.run(session.writer.batch([], 0, *INTEGERS))
    x = A.copy()
    for k in range(10, 50, 10):
        session.run((25, k, 1, 0), (25, k + 1, 1, 0))
        session.run((5, k, real_bits(0.5), k), (8, k, real_bits(1.0), k), (0, k))
        x = x * 0.5 + 1
        assert session.get(1).tolist() == session.get(k + 1).tolist() == x.tolist()
    assert session.chains.windows == 0 and session.chains.kernels.refused == 1


def test_nobody_waits_for_a_compiler_but_the_end(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go = threading.Event(), threading.Event()

    def slowly(self: Any) -> None:
        began.set()
        assert go.wait(20)

    monkeypatch.setattr(fakecupy.RawKernel, "compile", slowly)
    session = Session(cuda, waits=False)
    session.chain(10)
    session.chain(20)
    assert began.wait(20)
    try:
        waiting = threading.Thread(target=session.executor.device.synchronize)
        waiting.start()
        waiting.join(10)
        assert not waiting.is_alive()
    finally:
        go.set()
        waiting.join()
        session.executor.close()


def test_a_refused_chain_is_hardly_looked_at_any_more(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    chains = sys.modules["cupool.apiserver.devices.cuda.chains"]
    made: list[Any] = []
    window = chains.Window
    monkeypatch.setattr(chains, "Window", lambda executor: made.append(0) or window(executor))
    fakecupy.BROKEN["compile"] = "nvrtc is not there"
    session = Session(cuda)
    for k in range(1, 50):
        session.run((0, session.chain(10 * k)))
    # Of 49 the second one is refused; then 1, 3, 7, 15 are not looked at, and 20 more.
    assert session.chains.kernels.refused == 1 and 5 <= len(made) <= 14


def test_a_session_has_so_many_kernels_compiled_and_no_more(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["cupool.apiserver.devices.cuda.chains.kernels"], "MOST_COMPILED", 0)
    session = Session(cuda)
    for k in range(1, 4):
        session.chain(10 * k)
    assert session.counts == (0, 0, 0) and not session.chains.kernels.compiled


def test_the_end_may_come_while_the_compiling_thread_takes_the_last_one(cuda: Any) -> None:
    kernels = Session(cuda).chains.kernels

    class Taken(queue.Queue[Any]):
        """Empty as soon as somebody has looked."""

        def empty(self) -> bool:
            return False

    kernels._queue, kernels._thread = Taken(), threading.Thread(target=lambda: None)
    kernels._thread.start()
    kernels.close()
    assert kernels._queue.get_nowait() is None


def test_places_that_lie_one_in_another_are_one_dimension(cuda: Any) -> None:
    from cupool.apiserver.devices.cuda.chains.window import collapse

    assert collapse((4, 5, 6), [[240, 48, 8]]) == ((120,), [[8]])
    assert collapse((4, 5, 6), [[0, 48, 8]]) == ((4, 30), [[0, 8]])
    assert collapse((4, 5, 6), [[240, 48, 8], [8, 0, 0]]) == ((4, 30), [[240, 8], [8, 0]])
    assert collapse((4, 1, 6), [[8, 0, 32]]) == ((4, 6), [[8, 32]])
    assert collapse((1, 1), [[0, 0]]) == ((), [[]])
