"""Segments that run together as the stages of a wave: never before what they read is written, nor over what is still to be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.config import parse
from cupool.apiserver.devices.cpu.kernels.compiler import Compiler
from cupool.apiserver.fusion import driver, waves
from cupool.apiserver.fusion.kinds import Operation, copy_into
from cupool.apiserver.fusion.lowering import lower
from cupool.apiserver.fusion.programs import Scratch, compile_segment
from cupool.apiserver.fusion.segments import Node, Segment, Value
from cupool.apiserver.fusion.trials import Trials
from fusion_programs import small_sizes
from stencil_programs import KINDS, compared, stencils

pytestmark = pytest.mark.skipif(not Compiler().version, reason="there is no compiler for the driver")


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    driver.prepare(waits=True)
    with np.errstate(all="ignore"), small_sizes():
        yield


@pytest.mark.parametrize(("shape", "reach"), KINDS)
def test_steps_of_a_stencil_run_as_waves(shape: tuple[int, ...], reach: int) -> None:
    assert sum(compared(stencils(seed, shape, 9, reach)) for seed in range(2)) > 0


def test_more_steps_than_a_wave_has_stages() -> None:
    assert compared(stencils(1, (6000,), 2 * driver.MOST_STAGES + 3, 1)) >= 2


def test_off_means_off() -> None:
    assert parse([]).waves and not parse(["--waves", "off"]).waves
    assert compared(stencils(1, (6000,), 8, 1), waves=False) == 0


def test_few_stages_for_many_threads_are_no_wave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waves, "STAGES_A_THREAD", 4)
    assert compared(stencils(1, (6000,), 8, 1)) == 0


# -- the lag ------------------------------------------------------------------------------------------------------------


def _copying(source: Any, target: Any, scratch: Scratch) -> Any:
    """A program of `target[...] = source * 2`, in blocks of 128 elements."""
    native = driver.current()
    assert native is not None
    segment = Segment(0, source.shape)
    double = Value(source.shape, source.dtype)
    twice = Operation(np.multiply, source.dtype, np.multiply, inputs=(source.dtype, source.dtype))
    segment.add(Node(twice, [Value(source.shape, source.dtype, source), 2.0], double, None, False))
    place = Value(target.shape, target.dtype, target)
    segment.add(Node(Operation(copy_into, target.dtype, copies=True), [double], place, target, False))
    program = compile_segment(segment, scratch)
    program.lowered = lower(program, scratch, 2, Trials(native))
    assert program.lowered is not None
    assert program.block == 128
    return program


def _lag(*moves: tuple[Any, Any]) -> int:
    scratch = Scratch()
    return waves._lag([_copying(source, target, scratch) for source, target in moves])


def test_how_far_a_stage_stays_behind() -> None:
    x, y, z = np.ones(6400), np.ones(6400), np.ones(6400)
    n = 5120
    assert _lag((x[:n], y[:n]), (y[:n], z[:n])) == 1  # the same elements at the same places
    assert _lag((x[:n], y[:n]), (y[1 : n + 1], z[:n])) == 2  # one ahead: in the next block
    assert _lag((x[:n], y[:n]), (y[129 : n + 129], z[:n])) == 3
    assert _lag((x[:n], y[:n]), (z[:n], x[200 : n + 200])) == 3  # written before it has been read
    assert _lag((x[:n], y[:n]), (x[640 : n + 640], z[:n])) == 1  # read by both
    assert _lag((x[:n], y[:n]), (y[1000 : n + 1000], z[:n])) == 0  # too far


def test_memory_that_is_gone_through_at_another_pace_is_no_wave() -> None:
    x, y, z = np.ones(6400), np.ones(6400), np.ones(6400)
    assert _lag((x[:3200], y[:3200]), (y[::2], z[:3200])) == 0
