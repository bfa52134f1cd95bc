"""The driver that runs blocks on several cores: the bits that NumPy gives, within the memory that it was told, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.config import parse
from cupool.apiserver.devices.cpu.kernels.compiler import Compiler
from cupool.apiserver.devices.cpu.memory import address_of
from cupool.apiserver.fusion import driver, loops, lowering, proof, tables, trials, waves
from cupool.apiserver.fusion.kinds import Operation
from cupool.apiserver.fusion.programs import Program, Scratch, compile_segment
from cupool.apiserver.fusion.segments import Node, Segment, Value
from fusion_programs import BINARY, THREADS, UNARY, Done, Side, check, small_sizes
from wire import H, R, V, form, spec, value

from cupool.contract.codec import real_bits

pytestmark = pytest.mark.skipif(not Compiler().version, reason="there is no compiler for the driver")
N = 3000


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    driver.prepare(waits=True)
    with np.errstate(all="ignore"), small_sizes():
        yield


def _of(name: str, dtype: str) -> Operation | None:
    ufunc = getattr(np, name)
    try:
        *inputs, output = ufunc.resolve_dtypes((np.dtype(dtype),) * ufunc.nin + (None,))
    except TypeError:
        return None
    if any(d.kind not in "biuf" or (d.itemsize == 2 and d.kind == "f") for d in (*inputs, output)):
        return None
    return Operation(ufunc, output, ufunc, inputs=tuple(inputs))


@pytest.mark.parametrize("dtype", ["?", "i1", "u4", "i8", "f4", "f8"])
def test_each_loop_gives_numpys_bits(dtype: str) -> None:
    """So nothing of these is left to the interpreter here."""
    tried = trials.Trials(_driver())
    for name in UNARY + BINARY:
        how = _of(name, dtype)
        if how is not None and (name != "power" or dtype[0] == "f"):
            assert tried.flat(how, (np.dtype(dtype),) * len(how.inputs)), name


@pytest.mark.parametrize("width", [96, 128, 250, 998, 4097])
@pytest.mark.parametrize("name", ["add", "multiply", "subtract", "maximum"])
def test_rows_that_are_apart_give_numpys_bits(name: str, width: int) -> None:
    """Two NaNs in each element: which one is kept tells where NumPy's loops had their tails."""
    how = _of(name, "f8")
    assert how is not None
    rows = 3 * (8192 // width) + 20
    rng = np.random.default_rng(width)
    a, b = (_nans(rng, (rows, width + 3))[:, k : k + width] for k in (0, 2))
    for operands in ((a, b), (a, b[:, :1]), (a[:, :1], b), (a, b[:1]), (a, 0.5)):
        expected = how.call(*operands)
        made = np.zeros_like(expected)
        program, lowered = _program(how, operands, made)
        if lowered is None:
            assert name in ("add", "multiply") and width < 128, "it is the interpreter's without need"
            continue
        with _driver().team(3) as team:
            lowered.run(program, team)
        assert made.tobytes() == expected.tobytes()


@pytest.mark.parametrize("shape", [(40, 49), (23, 130), (7, 998), (90, 3), (3, 21)])
@pytest.mark.parametrize("name", ["add", "multiply", "subtract", "maximum"])
def test_blocks_that_end_within_vectors_give_numpys_bits(name: str, shape: tuple[int, int]) -> None:
    """As above, of packed rows: only the last elements of all are a loop's tail."""
    how = _of(name, "f8")
    assert how is not None
    rng = np.random.default_rng(shape[1])
    a, b = _nans(rng, shape), _nans(rng, shape)
    for operands in ((a, b), (a, 0.5), (0.5, b), (a, a)):
        expected = how.call(*operands)
        made = np.zeros_like(expected)
        program, lowered = _program(how, operands, made, is_ragged=True)
        assert lowered is not None
        assert program.is_ragged == (program.rows > program.block and program.block * shape[1] % 64 != 0)
        with _driver().team(3) as team:
            lowered.run(program, team)
        assert made.tobytes() == expected.tobytes()


def _nans(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    x = np.full(shape, np.nan)
    x.view("u8")[...] |= rng.integers(1, 1000, shape).astype("u8")
    return x


def _driver() -> driver.Driver:
    found = driver.current()
    assert found is not None, "the driver was not compiled"
    return found


def _program(
    how: Operation, operands: tuple[Any, ...], made: Any, is_ragged: bool = False
) -> tuple[Program, tables.Lowered | None]:
    segment = Segment(0, made.shape)
    values = [Value(x.shape, x.dtype, x) if isinstance(x, np.ndarray) else x for x in operands]
    segment.add(Node(how, values, Value(made.shape, made.dtype, made), None, False))
    scratch = Scratch()
    segment.is_flat = segment.is_flat and not is_ragged
    program = compile_segment(segment, scratch, may_be_ragged=is_ragged)
    return program, lowering.lower(program, scratch, 3, trials.Trials(_driver()))


# -- what it is told ----------------------------------------------------------------------------------------------------


def _check_tables(lowered: tables.Lowered) -> None:
    """Follow the tables as the driver does, and see that every byte of every step lies in an array that is kept, or in scratch."""
    slots, steps, blocks, late = lowered.slots, lowered.steps, lowered.blocks, lowered.late
    arrays = [
        (address_of(a), address_of(a) + sum((n - 1) * s for n, s in zip(a.shape, a.strides, strict=True)) + a.itemsize)
        for a in (*lowered.kept, *lowered.numbers)
        if a.size
    ]
    each, turning, runs, threads = lowered.head[6:]
    assert each * threads <= turning <= lowered.scratch.nbytes
    words = np.array([*steps, *late]).reshape(-1, driver.STEP_WORDS)
    for step in words:
        op, operands, rank, factor = step[:4]
        strides = step[24:].reshape(4, 8)
        for low, high, first, last in np.array(blocks).reshape(-1, 4):
            for o in range(operands):
                kind, base, move = slots[3 * step[12 + o] :][:3]
                if op in (lowering._TOTAL, lowering._COUNT):
                    begin, span = (first - low) * factor * strides[o, 0], ((last - first) * factor - 1) * strides[o, 0]
                else:
                    sizes = [(high - low) * factor, *step[17 : 16 + rank]]
                    begin, span = 0, sum((n - 1) * s for n, s in zip(sizes, strides[o], strict=False))
                assert span >= 0 and begin >= 0
                if kind == lowering._MEMORY:
                    at = base + low * move + begin
                    assert any(start <= at and at + span < end for start, end in arrays), "outside of all arrays"
                elif kind == lowering._TURNING:
                    assert begin + span < move and turning + 3 * runs * move <= lowered.scratch.nbytes, (
                        "outside of scratch"
                    )
                else:
                    assert base >= 0 and base + begin + span < each, "outside of scratch"


def _check_wave(wave: waves.Wave) -> None:
    """Each stage's tables, and that no thread's scratch and no stage's turning scratch lies in another's."""
    count, lag, each, threads, *stages = wave._words
    assert count == len(wave.programs) <= driver.MOST_STAGES and lag >= 1
    free = each * threads
    for k, program in enumerate(wave.programs):
        made = program.lowered
        assert made is not None
        _check_tables(made)
        assert made.each <= each and stages[2 * k] == made.head.buffer_info()[0]
        assert stages[2 * k + 1] >= free
        free = stages[2 * k + 1] + made.turning
    assert free <= wave._scratch.nbytes


@pytest.mark.parametrize("seed", range(1000, 1020))
def test_no_step_leaves_its_memory(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    run = tables.Lowered.run

    def checked(self: tables.Lowered, program: Program, team: driver.Team) -> None:
        _check_tables(self)
        seen.append(self)
        run(self, program, team)

    together = waves.Wave.run

    def checked_wave(self: waves.Wave, team: driver.Team | None) -> None:
        if len(self.programs) > 1:
            _check_wave(self)
            seen.extend(self.programs)
        together(self, team)

    monkeypatch.setattr(tables.Lowered, "run", checked)
    monkeypatch.setattr(waves.Wave, "run", checked_wave)
    done = check(seed)
    assert len(seen) >= done.lowered


# -- late writes --------------------------------------------------------------------------------------------------------

ARRAY = form(1, "@array", [V], [spec((N,))])


@pytest.mark.parametrize("reach", [1, 100, 129, 700, 1500])
@pytest.mark.parametrize("ahead", [True, False])
def test_threads_read_what_others_write_before_they_write_it(reach: int, ahead: bool) -> None:
    """u[:-reach] = u[reach:] + 0.5 and the other way round, for reaches within a block and beyond."""
    n = N - reach
    low, high = slice(0, n), slice(reach, N)
    read, written = (high, low) if ahead else (low, high)
    take = form(3, "@view", [H, 8 * (read.start or 0)], [spec((n,))])
    add = form(4, "add", [H, R], [spec((n,))])
    put = form(5, "ndarray.__setitem__", [H, written, H], [])
    commands: list[tuple[Any, ...]] = [(ARRAY, 1, value(np.random.default_rng(reach).standard_normal(N).tobytes()))]
    for k in range(3):
        at = 10 * (k + 1)
        commands += [(take, at, 1), (add, at + 1, at, real_bits(0.5)), (put, 1, at + 1), (None, at), (None, at + 1)]
    plain, fused = Side(False), Side(True)
    known: set[int] = set()
    for command in commands:
        plain.run([command], known)
    fused.run(commands, set())
    assert plain.state() == fused.state()
    assert fused.executor.fusion is not None
    assert fused.executor.fusion.lowered == fused.executor.fusion.segments


# -- without it ---------------------------------------------------------------------------------------------------------


def _several(threads: int = THREADS) -> Done:
    done = [check(seed, threads=threads) for seed in range(2000, 2006)]
    return Done(*(sum(getattr(d, name) for d in done) for name in ("joined", "segments", "lowered")))


def test_one_thread_is_the_interpreters() -> None:
    done = _several(threads=1)
    assert done.joined and not done.segments


def test_without_the_driver_the_interpreter_runs_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_driver", None)
    monkeypatch.setattr(driver, "prepare", lambda waits: False)
    done = _several()
    assert done.joined and not done.segments


def test_a_loop_that_fails_its_trial_is_the_interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials.Trials, "flat", lambda *_: False)
    monkeypatch.setattr(trials.Trials, "reduces", lambda *_: False)
    done = _several()
    assert done.joined and done.segments and not done.lowered


def test_a_numpy_that_gives_no_loops_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_NAME", b"numpy_9.9_ufunc_call_info")
    assert loops._ask(np.add, (np.dtype("f8"),) * 3, (8, 8, 8)) == (None, None)


def test_loops_that_need_the_interpreter_are_none() -> None:
    o = np.dtype("O")
    assert loops.loop_of(np.add, (o, o, o), (8, 8, 8)) is None


def test_the_trial_finds_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that computes something else: here, one that is told another loop."""
    monkeypatch.setattr(trials, "_known", {})
    ask = loops.loop_of
    monkeypatch.setattr(lowering, "loop_of", lambda ufunc, *rest: ask(np.subtract, *rest))
    how = _of("add", "f8")
    assert how is not None
    tried = trials.Trials(_driver())
    assert not tried.flat(how, (np.dtype("f8"),) * 2)
    assert not tried.rows(how, ((np.dtype("f8"), True, True),) * 2, 998)


def test_the_number_of_threads_is_a_setting() -> None:
    assert parse(["--fusion-threads", "2"]).fusion_threads == 2
    with pytest.raises(SystemExit):
        parse(["--fusion-threads", "many"])


def test_values_of_the_trial_have_corners() -> None:
    x = proof.values(np.random.default_rng(0), np.dtype("f8"), 2000)
    assert np.isnan(x).any() and np.isinf(x).any() and np.signbit(x[x == 0]).any()


def test_numbers_of_two_kinds_are_two_loops() -> None:
    """`i > 1` compares integers, `i > 0.5` real numbers: one is no trial of the other."""
    trials._known.clear()
    tried = trials.Trials(_driver())
    for number in ("i8", "f8"):
        inputs = (np.dtype(number),) * 2
        how = Operation(np.greater, np.dtype("?"), np.greater, casts=number == "f8", inputs=inputs)
        assert tried.flat(how, (np.dtype("i8"), None))
    assert len(trials._known) == 2


def test_a_compiler_that_fails_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise PermissionError(13, "no")

    monkeypatch.setattr(driver, "_driver", None)
    monkeypatch.setattr(Compiler, "cached", fail)
    assert not driver.prepare()
