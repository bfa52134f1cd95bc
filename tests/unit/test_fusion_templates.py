"""Tables that are filled in again: for programs that differ in where their arrays lie, and for no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.devices.cpu.kernels.compiler import Compiler
from cupool.apiserver.fusion import driver, templates
from fusion_programs import THREADS, Side, small_sizes
from wire import REPLY, H, R, V, form, spec, value

from cupool.contract.codec import real_bits

pytestmark = pytest.mark.skipif(not Compiler().version, reason="there is no compiler for the driver")
N = 3000
ARRAY = form(1, "@array", [V], [spec((N,))])
ADD = form(2, "add", [H, H], [spec((N,))])
TIMES = form(3, "multiply", [H, R], [spec((N,))])
SUM = form(4, "sum", [H], [spec(())])
FETCH = form(5, "@fetch", [H], [REPLY])


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    driver.prepare(waits=True)
    with np.errstate(all="ignore"), small_sizes():
        yield


def _round(first: int, factor: float, a: int = 1, b: int = 2) -> list[Any]:
    """`((a + b) * factor).sum()`, the product kept."""
    x, y, z = first, first + 1, first + 2
    return [
        (ADD, x, a, b),
        (TIMES, y, x, real_bits(factor)),
        (None, x),
        (SUM, z, y),
        (FETCH, (1 << 40) + first, z),
        (FETCH, (2 << 40) + first, y),
    ]


def _pair(rounds: list[list[Any]]) -> Side:
    plain, fused = Side(False), Side(True, threads=THREADS)
    rng = np.random.default_rng(5)
    arrays = [(ARRAY, k, value(rng.standard_normal(N).tobytes())) for k in (1, 2, 3)]
    known: dict[Side, set[int]] = {plain: set(), fused: set()}
    for side in (plain, fused):
        side.run(arrays, known[side])
        for commands in rounds:
            side.run(commands, known[side])
    assert plain.state() == fused.state()
    assert sorted(plain.told) == sorted(fused.told)
    return fused


def _taken(side: Side) -> int:
    fusion = side.executor.fusion
    assert fusion is not None
    assert fusion.lowered == fusion.segments > 0
    return fusion.templates.taken


def test_rounds_over_other_arrays_take_the_same_tables() -> None:
    side = _pair([_round(10 * k, 0.5, a, b) for k, (a, b) in enumerate([(1, 2), (3, 1), (2, 3), (3, 2)], 1)])
    assert _taken(side) == 3


@pytest.mark.parametrize(
    "factors",
    [(0.5, 0.25), (0.0, -0.0), (float("nan"), float(np.copysign(np.nan, -1))), (1.0, float(np.nextafter(1.0, 2.0)))],
)
def test_another_number_is_another_program(factors: tuple[float, float]) -> None:
    assert _taken(_pair([_round(10 * k, factor) for k, factor in enumerate(factors, 1)])) == 0


def test_templates_hold_no_array_of_a_program() -> None:
    side = _pair([_round(10, 0.5)])
    fusion = side.executor.fusion
    assert fusion is not None
    (made,) = [made for made, _ in fusion.templates._known.values()]
    assert made is not None and not made.kept and not any(part.size for part in made.parts)


def test_they_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MOST_TEMPLATES", 3)
    side = _pair([_round(10 * k, float(k)) for k in range(1, 9)])
    fusion = side.executor.fusion
    assert fusion is not None
    assert len(fusion.templates._known) <= 3
