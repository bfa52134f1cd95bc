"""A result lies over an operand that dies right behind its command, where nobody can see it; else it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.apiserver import lastuse
from cupool.apiserver.config import parse
from cupool.apiserver.devices.cpu.memory import address_of
from fusion_programs import Side, small_sizes
from wire import REPLY, H, I, R, V, form, spec, value

from cupool.contract.codec import real_bits

N = 1000
ARRAY = form(1, "@array", [V], [spec((N,))])
ADD = form(2, "add", [H, H], [spec((N,))])
EXP = form(3, "exp", [H], [spec((N,))])
SUBTRACT = form(4, "subtract", [R, H], [spec((N,))])
VIEW = form(5, "@view", [H, I], [spec((N - 1,))])
FETCH = form(6, "@fetch", [H], [REPLY])
ADD_VIEWS = form(7, "add", [H, H], [spec((N - 1,))])
LESS = form(8, "less", [H, H], [spec((N,), "?")])
WRONG = form(9, "add", [H, H], [spec((N + 1,))])
INTO = form(10, "add", [H, H], [], out=H)
#: Of a result that was written elsewhere, and of one over an operand.
ELSEWHERE, OVER = 0, 1


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with np.errstate(all="ignore"), small_sizes():
        yield


def _data(seed: int) -> bytes:
    return value(np.random.default_rng(seed).standard_normal(N).tobytes())


def _run(commands: list[Any], fuses: bool) -> Side:
    """Two arrays, 1 and 2, and then these commands in one batch, beside a run command by command; returns the side that may reuse."""
    plain, side = Side(False, reuses=False), Side(fuses, threads=1)
    known: dict[Side, set[int]] = {plain: set(), side: set()}
    for one in (plain, side):
        one.run([(ARRAY, 1, _data(1)), (ARRAY, 2, _data(2))], known[one])
        # What a trial is worth is another matter.
        one.run([(ADD, 3, 1, 2), (None, 3)], known[one])
    for command in commands:
        plain.run([command], known[plain])
    side.run(commands, known[side])
    assert plain.state() == side.state()
    assert sorted(plain.told) == sorted(side.told)
    return side


BEFORE = [(EXP, 10, 1), (FETCH, 1 << 40, 10)]


@pytest.mark.parametrize("fuses", [False, True])
@pytest.mark.parametrize(
    "commands",
    [
        [(ADD, 11, 10, 2), (None, 10)],
        [(ADD, 11, 2, 10), (None, 10)],
        [(ADD, 11, 10, 10), (None, 10)],
        [(SUBTRACT, 11, real_bits(-0.0), 10), (None, 10)],
        [(EXP, 11, 10), (None, 2), (None, 10)],
        [(EXP, 11, 10), (None, 10), (WRONG, 12, 11, 11)],
    ],
)
def test_a_result_lies_over_an_operand_that_dies(commands: list[Any], fuses: bool) -> None:
    side = _run([*BEFORE, *commands], fuses)
    assert side.executor.last_uses == OVER
    assert 11 in side.executor.handles.table and 10 not in side.executor.handles.table


@pytest.mark.parametrize("fuses", [False, True])
@pytest.mark.parametrize(
    "commands",
    [
        [(ADD, 11, 10, 2)],  # it does not die
        [(ADD, 11, 10, 2), (FETCH, 2 << 40, 10), (None, 10)],  # somebody looks first
        [(VIEW, 12, 10, 8), (FETCH, 2 << 40, 12), (ADD, 11, 10, 2), (None, 10)],  # a view lives on
        [(LESS, 11, 10, 2), (None, 10)],  # another dtype
        [(WRONG, 11, 10, 2), (None, 10)],  # it fails
        [(INTO, 10, 2, 10), (FETCH, 2 << 40, 10), (ADD, 11, 2, 2), (None, 10)],  # no operand
    ],
)
def test_it_does_not_where_that_would_show(commands: list[Any], fuses: bool) -> None:
    assert _run([*BEFORE, *commands], fuses).executor.last_uses == ELSEWHERE


def test_the_memory_is_the_operands() -> None:
    side = Side(False)
    known: set[int] = set()
    side.run([(ARRAY, 1, _data(1)), (ARRAY, 2, _data(2)), (ADD, 3, 1, 2)], known)
    at = address_of(side.executor.handles.table[3])
    used = side.executor.accounting.used
    side.run([(EXP, 4, 3), (None, 3)], known)
    assert address_of(side.executor.handles.table[4]) == at
    assert side.executor.accounting.used == used


def test_what_a_copy_of_the_session_has_seen_stays_as_it_is() -> None:
    """A tracker knows arrays by themselves: the result must be another one, or its bytes would not be copied again."""
    side = Side(False)
    known: set[int] = set()
    side.run([(ARRAY, 1, _data(1)), (ADD, 3, 1, 1)], known)
    tracker = side.executor.tracking()
    tracker.start()
    first = tracker.look()
    assert len(first.new) == 2
    side.run([(EXP, 4, 3), (None, 3)], known)
    look = tracker.look()
    assert side.executor.last_uses == ELSEWHERE
    assert len(look.new) == len(look.gone) == 1
    tracker.stop()


@pytest.mark.parametrize("holds", ["a reference", "memory of another", "read only"])
def test_an_array_that_something_else_knows_is_left_alone(holds: str) -> None:
    array = np.ones(N)
    table: dict[int, Any] = {1: array if holds != "memory of another" else np.frombuffer(bytearray(8 * N))}
    if holds == "read only":
        array.flags.writeable = False
    if holds != "a reference":
        del array
    assert not lastuse.is_last(table, 1)
    assert lastuse.is_last({1: np.ones(N)}, 1)


def test_a_loop_is_tried_when_it_may_be_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lastuse, "WORTH_A_TRIAL", 3 * 8 * N)
    side = Side(False)
    known: set[int] = set()
    side.run([(ARRAY, 1, _data(1)), (EXP, 2, 1)], known)
    for k in range(2, 7):
        side.run([(EXP, k + 1, k), (None, k)], known)
    assert side.executor.last_uses == 2


def test_off_means_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse([]).reuses and not parse(["--reuse", "off"]).reuses
    side = Side(True, reuses=False)
    side.run([(ARRAY, 1, _data(1)), (EXP, 2, 1), (FETCH, 1 << 40, 2), (EXP, 3, 2), (None, 2)], set())
    assert side.executor.last_uses == 0
