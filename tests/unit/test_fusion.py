"""Fusion on the CPU device: what is joined gives the bits, errors and accounts that it would have given command by command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.executor import BrokenOff
from cupool.apiserver.fusion import driver, programs, proof, segments
from cupool.apiserver.fusion.kinds import Operation
from cupool.apiserver.fusion.programs import Scratch, compile_segment
from cupool.apiserver.fusion.proof import added, halves
from cupool.apiserver.fusion.segments import Node, Segment, Value
from cupool.apiserver.fusion.window import Window
from fusion_programs import THREADS, Side, check, small_sizes
from wire import REPLY, H, I, R, V, form, spec, value

from cupool.contract.codec import real_bits
from cupool.contract.errors import OutOfMemoryError

N = 1000


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with np.errstate(all="ignore"), small_sizes():
        yield


@pytest.mark.parametrize("seed", range(120))
def test_random_programs_are_bit_equal(seed: int) -> None:
    check(seed)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", [8, 127, 128, 129, 255, 256, 257, 1000, 1024, 4097, 100_003, 262_144])
@pytest.mark.parametrize("most", [128, 200, 1024])
def test_sums_are_added_up_in_numpys_order(dtype: str, n: int, most: int) -> None:
    x = np.random.default_rng(n).standard_normal(n).astype(dtype) * 1e3
    at, parts = 0, []
    for size in halves(n, most):
        parts.append(np.add.reduce(x[at : at + size]))
        at += size
    assert at == n
    assert added(iter(parts), n, most).tobytes() == np.add.reduce(x).tobytes()


def test_a_loop_whose_bits_depend_on_the_place_is_found() -> None:
    """Whatever NumPy's loops do here: the trial agrees with a longer one."""
    rng = np.random.default_rng(3)
    for name in ("add", "exp", "log", "sin", "fmax", "maximum", "tanh"):
        ufunc = getattr(np, name)
        dtypes = (np.dtype("f8"),) * ufunc.nin
        if not proof.can_be_cut(ufunc, dtypes):
            continue
        operands = [proof.values(rng, np.dtype("f8"), 10_007) for _ in dtypes]
        parts = [ufunc(*[x[k : k + 1024] for x in operands]) for k in range(0, 10_007, 1024)]
        assert np.concatenate(parts).tobytes() == ufunc(*operands).tobytes()


ARRAY = form(1, "@array", [V], [spec((N,))])
ADD = form(2, "add", [H, H], [spec((N,))])
MUL = form(3, "multiply", [H, R], [spec((N,))])
EXP = form(4, "exp", [H], [spec((N,))])
SUM = form(5, "sum", [H], [spec(())])
FETCH = form(6, "@fetch", [H], [REPLY])
INTO = form(7, "add", [H, H], [], out=H)
VIEW = form(8, "@view", [H, I], [spec((N - 1,))])
ADD_VIEWS = form(9, "add", [H, H], [spec((N - 1,))])
INTO_VIEW = form(10, "add", [H, R], [], out=H)
WRONG = form(11, "add", [H, H], [spec((N + 1,))])


def _pair(limit_bytes: int = 1 << 30, threads: int = THREADS) -> tuple[Side, Side]:
    return Side(False, limit_bytes), Side(True, limit_bytes, threads)


def _run(commands: list[Any], limit_bytes: int = 1 << 30, threads: int = THREADS) -> tuple[Side, Side]:
    """The same commands one by one, and as one batch."""
    plain, fused = _pair(limit_bytes, threads)
    known: set[int] = set()
    for command in commands:
        plain.run([command], known)
    fused.run(commands, set())
    assert plain.state() == fused.state()
    assert sorted(plain.told) == sorted(fused.told)
    return plain, fused


def _data(seed: int = 0) -> bytes:
    return value(np.random.default_rng(seed).standard_normal(N).tobytes())


def _joined(side: Side) -> int:
    fusion = side.executor.fusion
    assert fusion is not None
    return fusion.joined


@pytest.mark.parametrize("n", [1024 + 1, 1024 + 3, 1024 + 63, 1024 + 65, 4099])
def test_which_of_two_nans_is_kept_at_the_end(n: int) -> None:
    """NumPy keeps the first in whole vectors, the second in what is left; and the first again in an array shorter than a vector."""
    add = form(50, "add", [H, H], [spec((n,))])
    double = form(51, "multiply", [H, R], [spec((n,))])
    data = [value(np.full(n, sign * np.nan).tobytes()) for sign in (1, -1)]
    made = form(52, "@array", [V], [spec((n,))])
    _run(
        [
            (made, 1, data[0]),
            (made, 2, data[1]),
            (add, 3, 1, 2),
            (double, 4, 3, real_bits(1.0)),
            (add, 5, 2, 1),
            (double, 6, 5, real_bits(1.0)),
        ]
    )


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "arctan2"])
def test_which_of_two_nans_is_kept_where_one_is_an_array_of_one_element(name: str, is_first: bool, dtype: str) -> None:
    """Of the same dtype, or of one that is converted: it stays one element for all, for which NumPy's loops have ways of their own."""
    driver.prepare(waits=True)
    n = 4099
    many, one = np.full(n, np.nan), np.array([np.nan], dtype)
    many.view("u8")[:] |= np.arange(n, dtype="u8") % 200 + 1
    one.view(f"u{one.itemsize}")[:] |= 1234
    both = [2, 1] if is_first else [1, 2]
    commands = [
        (form(60, "@array", [V], [spec((n,))]), 1, value(many.tobytes())),
        (form(61, "@array", [V], [spec((), dtype)]), 2, value(one.tobytes())),
        (form(62, name, [H, H], [spec((n,))]), 3, *both),
        (form(63, "multiply", [H, R], [spec((n,))]), 4, 3, real_bits(1.0)),
    ]
    _, fused = _run(commands)
    assert _joined(fused) == 2


@pytest.mark.parametrize("shape", [(1100, 61), (300, 585), (90, 2047), (40, 5, 349), (700, 9, 13), (5, 4097)], ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_which_of_two_nans_is_kept_in_rows_that_are_apart(shape: tuple[int, ...], dtype: str) -> None:
    """Without the driver blocks are calls of NumPy's own: they end where its chunks do. See Note [Rows that are apart] in trials.py."""
    rng = np.random.default_rng(len(shape))
    room = (*shape[:-1], shape[-1] + 3)
    wide = np.full((2, *room), np.nan, dtype)
    wide.view(f"u{dtype[1]}")[...] |= rng.integers(1, 1000, wide.shape).astype(f"u{dtype[1]}")
    a, b = wide[0][..., : shape[-1]], wide[1][..., 2 : 2 + shape[-1]]
    how = Operation(np.add, np.dtype(dtype), np.add, inputs=(np.dtype(dtype),) * 2)
    for operands in ((a, b), (a, b[..., :1]), (a[..., :1], b), (a, b[:1])):
        expected = np.add(*operands)
        segment = Segment(0, shape)
        values = [Value(x.shape, x.dtype, x) for x in operands]
        made = np.zeros_like(expected)
        segment.add(Node(how, values, Value(shape, made.dtype, made), None, False))
        compile_segment(segment, Scratch()).run()
        assert made.tobytes() == expected.tobytes()


def test_a_chain_joins_and_its_dead_results_are_never_stored() -> None:
    commands = [
        (ARRAY, 1, _data()),
        (ADD, 2, 1, 1),
        (EXP, 3, 2),
        (None, 2),
        (MUL, 4, 3, real_bits(0.5)),
        (None, 3),
        (SUM, 5, 4),
    ]
    _, fused = _run(commands)
    assert _joined(fused) == 6
    assert list(fused.executor.handles.table) == [1, 4, 5]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("threads", [1, 3], ids=["interpreter", "driver"])
@pytest.mark.parametrize("shape", [(40, 25), (7, 301), (3, 11, 40), (600, 2)], ids=str)
def test_rows_are_centred_by_their_means_in_one_segment(shape: tuple[int, ...], threads: int, dtype: str) -> None:
    data = np.random.default_rng(4).standard_normal(shape).astype(dtype)
    data[1, 0], data[2, ..., 1] = np.nan, np.inf
    rows = (*shape[:-1], 1)
    of, means = spec(shape, dtype), spec(rows, dtype)
    array, mean = form(60, "@array", [V], [of]), form(61, "mean", [H], [means], axis=-1, keepdims=True)
    subtract, square = form(62, "subtract", [H, H], [of]), form(63, "square", [H], [of])
    commands = [
        (array, 1, value(data.tobytes())), (mean, 2, 1), (subtract, 3, 1, 2), (None, 2), (square, 4, 3), (mean, 5, 4), (None, 4),
    ]  # fmt: skip
    has_driver = threads > 1 and driver.prepare(waits=True)
    _, fused = _run(commands, threads=threads)
    fusion = fused.executor.fusion
    assert fusion is not None
    assert (fusion.windows, fusion.joined) == (1, 6)
    assert fusion.segments == fusion.lowered == has_driver


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("threads", [1, 3], ids=["interpreter", "driver"])
def test_sums_of_negative_zeros_are_numpys_zero(threads: int, dtype: str) -> None:
    shape = (40, 30)
    of, rows = spec(shape, dtype), spec((40, 1), dtype)
    array, copy = form(60, "@array", [V], [of]), form(61, "negative", [H], [of])
    forms = [
        form(
            62 + k, op, [H], [rows if by_row else spec((), dtype)], **({"axis": 1, "keepdims": True} if by_row else {})
        )
        for k, (op, by_row) in enumerate([("sum", True), ("mean", True), ("sum", False), ("mean", False)])
    ]
    commands = [(array, 1, value(np.zeros(shape, dtype).tobytes())), (copy, 2, 1)]
    commands += [(which, 3 + k, 2) for k, which in enumerate(forms)]
    has_driver = threads > 1 and driver.prepare(waits=True)
    _, fused = _run(commands, threads=threads)
    fusion = fused.executor.fusion
    assert fusion is not None
    assert fusion.joined == 5 and bool(fusion.lowered) == has_driver


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("threads", [1, 3], ids=["interpreter", "driver"])
@pytest.mark.parametrize("axis", [None, -1])
@pytest.mark.parametrize("corner", [0.5, np.nan, np.inf, -0.0])
def test_variances_are_chains_by_themselves(corner: float, axis: int | None, threads: int, dtype: str) -> None:
    shape = (50, 31)
    data = np.random.default_rng(4).standard_normal(shape).astype(dtype)
    data[1, 0], data[2] = corner, -np.abs(corner)
    has_driver = threads > 1 and driver.prepare(waits=True)
    options: dict[str, Any] = {} if axis is None else {"axis": axis}
    of = spec(() if axis is None else shape[:1], dtype)
    forms = [
        form(60, "@array", [V], [spec(shape, dtype)]),
        *(form(61 + k, op, [H], [of], **options) for k, op in enumerate(("var", "std"))),
    ]
    plain, fused = Side(False), Side(True, threads=threads)
    known: tuple[set[int], set[int]] = set(), set()
    for command in [(forms[0], 1, value(data.tobytes())), (forms[1], 2, 1), (forms[2], 3, 1)]:
        plain.run([command], known[0])
        fused.run([command], known[1])
    assert plain.state() == fused.state()
    fusion = fused.executor.fusion
    assert fusion is not None
    assert (fusion.windows, fusion.joined) == (2, 2)
    assert fusion.segments == fusion.lowered == (0 if not has_driver else 4 if axis is None else 2)


@pytest.mark.parametrize("threads", [1, 3], ids=["interpreter", "driver"])
@pytest.mark.parametrize(
    "limits", [((R, -0.5), (R, 0.5)), ((I, -1), (I, 1)), ((R, 0.0), (I, 0)), ((I, 2), (R, -2.0)), ((R, np.nan), (I, 1))]
)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_limits_of_two_numbers_are_part_of_a_chain(dtype: str, limits: Any, threads: int) -> None:
    data = proof.values(np.random.default_rng(6), np.dtype(dtype), N)
    of = spec((N,), dtype)
    slots, numbers = zip(*limits, strict=True)
    double, clip = form(60, "add", [H, H], [of]), form(61, "clip", [H, *slots], [of])
    words = [n if slot is I else real_bits(n) for slot, n in limits]
    commands = [
        (form(62, "@array", [V], [of]), 1, value(data.tobytes())),
        (double, 2, 1, 1),
        (clip, 3, 2, *words),
        (double, 4, 3, 1),
        (None, 2),
    ]
    has_driver = threads > 1 and driver.prepare(waits=True)
    _, fused = _run(commands, threads=threads)
    fusion = fused.executor.fusion
    assert fusion is not None
    assert fusion.joined == (4 if not any(n != n for n in numbers) else 0)
    assert fusion.segments == fusion.lowered == (has_driver and fusion.windows)


def test_off_means_off() -> None:
    side = Side(False)
    side.run([(ARRAY, 1, _data()), (ADD, 2, 1, 1), (EXP, 3, 2)], set())
    assert side.executor.fusion is None


def test_writing_through_an_overlapping_view_keeps_the_order() -> None:
    """u[1:] = u[:-1] + u[1:], in memory that each block of the sum also reads."""
    commands = [
        (ARRAY, 1, _data()), (VIEW, 2, 1, 0), (VIEW, 3, 1, 8), (ADD_VIEWS, 4, 2, 3), (INTO_VIEW, 4, real_bits(1.0), 3), (ADD, 5, 1, 1),
        (ADD_VIEWS, 6, 2, 3), (EXP, 7, 5),
    ]  # fmt: skip
    _run(commands)
    _run([*commands, (form(20, "add", [H, H], [], out=H), 2, 2, 3), (ADD, 8, 1, 1), (EXP, 9, 8)])


@pytest.mark.parametrize("shape", [(3000,), (70, 50), (9, 10, 40)])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("reach", [1, 2])
def test_stencils_write_over_what_they_read(shape: tuple[int, ...], steps: int, reach: int) -> None:
    data = np.random.default_rng(5).standard_normal(shape)
    inner = tuple(slice(reach, -reach) for _ in shape)
    size = tuple(n - 2 * reach for n in shape)
    strides, origin = data.strides, sum(reach * s for s in data.strides)
    view = form(41, "@view", [H, I], [spec(size, strides=strides)])
    add, half = form(42, "add", [H, H], [spec(size)]), form(43, "multiply", [H, R], [spec(size)])
    put = form(44, "ndarray.__setitem__", [H, inner, H], [])
    commands: list[Any] = [(form(40, "@array", [V], [spec(shape)]), 1, value(data.tobytes()))]
    handle = 10
    for _ in range(steps):
        for stride in strides:
            left, right, mid, total, new = range(handle, handle + 5)
            handle += 5
            commands += [
                (view, left, 1, origin - reach * stride), (view, right, 1, origin + reach * stride),
                (view, mid, 1, origin), (add, total, left, right), (None, left), (None, right),
                (half, new, total, real_bits(0.5)), (None, total), (None, mid), (put, 1, new), (None, new),
            ]  # fmt: skip
    _, fused = _run(commands)
    assert _joined(fused) >= len(commands) - 4  # all but the upload and the first views


def test_an_operand_that_is_overwritten_later_is_read_before() -> None:
    _run(
        [
            (ARRAY, 1, _data()),
            (ARRAY, 2, _data(1)),
            (ADD, 3, 1, 2),
            (INTO, 1, 2, 1),
            (ADD, 4, 1, 3),
            (INTO, 4, 4, 3),
            (EXP, 5, 3),
        ]
    )


def test_a_failure_in_the_middle_names_its_command() -> None:
    commands = [
        (ARRAY, 1, _data()),
        (ADD, 2, 1, 1),
        (EXP, 3, 2),
        (WRONG, 4, 2, 3),
        (ADD, 5, 3, 2),
        (EXP, 6, 5),
        (FETCH, 1 << 40, 4),
        (ADD, 7, 4, 1),
    ]
    plain, _ = _run(commands)
    assert plain.executor.failed_commands == 1


def test_a_copy_into_another_dtype_than_its_own_fails_as_ever() -> None:
    copy = form(12, "copy", [H], [spec((N,), "<f4")])
    plain, _ = _run([(ARRAY, 1, _data()), (ADD, 2, 1, 1), (copy, 3, 2), (ADD, 4, 2, 1), (EXP, 5, 4)])
    assert plain.executor.failed_commands == 1


def test_a_window_that_is_given_up_leaves_what_was_staged_meanwhile() -> None:
    side = Side(True, 16 * 512)
    account = side.executor.accounting
    account.charge(12 * 512)
    account.refund(12 * 512)
    assert side.executor.fusion is not None
    window = Window(side.executor.fusion)
    account.charge(512)
    account.stage(8 * 512)  # as another thread does
    window.undo()
    assert (account.used, account.peak, account.total) == (0, 12 * 512, 12 * 512)
    with pytest.raises(OutOfMemoryError):
        account.charge(9 * 512)


def test_a_handle_is_known_again_after_its_free() -> None:
    _run([(ARRAY, 1, _data()), (ADD, 2, 1, 1), (EXP, 3, 2), (None, 2), (EXP, 4, 2), (ADD, 5, 3, 3), (EXP, 6, 5)])


@pytest.mark.parametrize("arrays", [3, 4, 5, 6, 9])
def test_memory_is_refused_where_it_would_have_been(arrays: int) -> None:
    """A limit of a few arrays: what fits one by one fits joined, and what does not is refused at the same command."""
    commands: list[Any] = [(ARRAY, 1, _data())]
    for k in range(2, 9):
        commands += [(ADD, 10 * k, 1, 1), (EXP, 10 * k + 1, 10 * k), (None, 10 * k)]
    commands += [(None, 21), (None, 31), (ADD, 200, 1, 1), (EXP, 201, 200)]
    plain, fused = _run(commands, arrays * 8192)
    assert fused.executor.accounting.peak <= arrays * 8192
    assert (plain.executor.failed_commands > 0) == (arrays < 9)


def test_operands_freed_on_the_way_count_until_the_chain_has_run() -> None:
    """Each step frees its operand: two arrays at a time are enough, joined too."""
    commands: list[Any] = [(ARRAY, 1, _data()), (ARRAY, 2, _data(1))]
    for k in range(2, 12):
        commands += [(ADD, k + 1, k, 1), (None, k)]
    _run(commands, 3 * 8192)


def test_a_machine_without_memory_runs_each_command_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    from cupool.apiserver.fusion import window

    def none(spec: Any) -> Any:
        raise MemoryError

    _, fused = _pair()
    fused.run([(ARRAY, 1, _data())], set())
    monkeypatch.setattr(window.memory, "empty", none)
    used = fused.executor.accounting.used
    fused.run([(ADD, 2, 1, 1), (EXP, 3, 2)], {1})
    assert _joined(fused) == 0
    assert fused.executor.accounting.used == used + 2 * 8192
    assert sorted(fused.executor.handles.table) == [1, 2, 3]


def test_what_is_written_while_a_session_is_copied_is_known() -> None:
    plain, fused = _pair()
    marked = []
    for side in (plain, fused):
        known: set[int] = set()
        side.run([(ARRAY, 1, _data()), (ARRAY, 2, _data(1))], known)
        tracker = side.executor.tracking()
        tracker.start()
        tracker.look()
        side.run([(INTO, 1, 2, 1), (INTO, 1, 2, 1), (EXP, 3, 1)], known)
        look = tracker.look()
        marked.append((len(look.new), look.gone, look.written))
        tracker.stop()
    assert marked[0] == marked[1]
    assert marked[0][2]


@pytest.mark.parametrize("op", ["max", "min"])
@pytest.mark.parametrize("corner", [0.0, -0.0, float("nan")])
def test_the_sign_of_zero_and_the_kind_of_nan_of_an_extremum(op: str, corner: float) -> None:
    data = np.where(np.arange(N) % 3 == 0, corner, np.where(np.arange(N) % 3 == 1, -corner, corner))
    reduce = form(30, op, [H], [spec(())])
    _run([(ARRAY, 1, value(data.tobytes())), (ARRAY, 2, value(np.full(N, -0.0).tobytes())), (ADD, 3, 1, 2), (MUL, 4, 3, real_bits(1.0)),
          (reduce, 5, 4), (ADD, 6, 4, 4)])  # fmt: skip


def test_an_operand_that_was_freed_is_unknown() -> None:
    commands = [
        (ARRAY, 1, _data()),
        (ARRAY, 2, _data(1)),
        (ADD, 3, 1, 2),
        (EXP, 4, 3),
        (None, 1),
        (ADD, 5, 1, 2),
        (EXP, 6, 5),
    ]
    plain, _ = _run(commands)
    assert plain.executor.failed_commands == 1


def test_a_result_that_was_read_before_something_looks_into_its_memory() -> None:
    """Its first half is seen as numbers of half the size, of the shape of what it was broadcast to."""
    row, both, halved = spec((1, N)), spec((2, N)), spec((2, N), "f4")
    data = np.random.default_rng(3).standard_normal((2, N))
    into = form(60, "multiply", [H, H], [], out=H)
    commands = [
        (form(61, "@array", [V], [row]), 1, value(data[:1].tobytes())), (form(62, "@array", [V], [both]), 2, value(data.tobytes())),
        (form(63, "@array", [V], [halved]), 3, value(data.astype("f4").tobytes())), (form(64, "exp", [H], [row]), 4, 1),
        (form(65, "add", [H, H], [both]), 5, 2, 4), (form(66, "@view", [H, I], [halved]), 6, 4, 0), (into, 3, 3, 6),
        (form(67, "exp", [H], [halved]), 7, 6),
    ]  # fmt: skip
    _, fused = _run(commands)
    assert _joined(fused) == 5


def _losses(rounds: int) -> list[Any]:
    commands: list[Any] = []
    for h in range(10, 10 + 3 * rounds, 3):
        commands += [(ADD, h, 1, 2), (EXP, h + 1, h), (None, h), (SUM, h + 2, h + 1), (None, h + 1)]
    return commands


def test_many_sums_of_nan_are_each_computed_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What their operands take is given back, and a second look costs no more than the first."""
    nan = np.full(N, 1.0)
    nan[7] = np.nan
    before = [(ARRAY, 1, value(nan.tobytes())), (ARRAY, 2, _data())]
    _run(before + _losses(50))
    compiled, nodes = programs.compile_segment, []

    def counting(segment: Any, scratch: Any) -> Any:
        nodes.append(len(segment.nodes))
        return compiled(segment, scratch)

    monkeypatch.setattr(programs, "compile_segment", counting)
    _, fused = _run(before + _losses(50))
    assert _joined(fused) == 250
    assert 0 < sum(nodes) <= 100  # operands that cross segments are stored anyway


def test_many_commands_on_the_same_memory_are_compared_with_few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    clashes = segments._clashes

    def counting(place: Any, others: Any) -> bool:
        nonlocal compared
        others = list(others)
        compared += len(others)
        return clashes(place, others)

    monkeypatch.setattr(segments, "_clashes", counting)
    rounds = 200
    _, fused = _run([(ARRAY, 1, _data()), (ARRAY, 2, _data(1)), *[(INTO, 1, 2, 1)] * rounds])
    assert _joined(fused) == rounds
    assert compared < 10 * rounds


def test_commands_that_do_not_join_are_looked_at_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two shapes by turns."""
    from cupool.apiserver.fusion import window

    looks = 0
    taken = window.Window.map_into

    def counting(self: Any, *of: Any) -> bool:
        nonlocal looks
        looks += 1
        return taken(self, *of)

    monkeypatch.setattr(window.Window, "map_into", counting)
    other, rounds = form(70, "@array", [V], [spec((N // 2,))]), 100
    data = value(np.random.default_rng(2).standard_normal(N // 2).tobytes())
    _, fused = _run([(ARRAY, 1, _data()), (other, 2, data), *[(INTO, 1, 1, 1), (INTO, 2, 2, 2)] * rounds])
    assert _joined(fused) == 0
    assert looks < 4 * rounds + 32


def test_without_memory_behind_a_write_the_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has written is not run twice."""
    nan = np.full(N, np.nan)
    _, fused = _pair()
    known: set[int] = set()
    fused.run([(ARRAY, 1, value(nan.tobytes())), (ARRAY, 2, _data()), (ARRAY, 3, _data(1))], known)

    def none(segment: Any, totals: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(programs, "store_operands", none)
    half = form(71, "add", [H, H], [], out=H)
    with pytest.raises(BrokenOff, match="out of memory"):
        fused.run([(half, 2, 3, 2), (ADD, 4, 1, 3), (EXP, 5, 4), (SUM, 6, 5)], known)


def test_sums_stay_whole_where_numpy_adds_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_sums", {"d": False})
    _, fused = _run([(ARRAY, 1, _data()), (ADD, 2, 1, 1), (EXP, 3, 2), (SUM, 4, 3)])
    assert _joined(fused) == 2
