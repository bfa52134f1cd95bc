"""A device with streams: each command runs where its header says, whatever walks it, and a place that there is not fails each time."""

from __future__ import annotations

from typing import Any

import pytest
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.plans import plans as plans_module
from executing import DATA, Client
from loop_programs import check
from wire import value

from cupool.contract import codec
from cupool.contract.codec import STREAM_SHIFT
from cupool.contract.errors import CUDARuntimeError
from cupool.v1 import session_pb2 as pb

NO_STREAM = 9


@pytest.fixture
def selected(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What was selected, in order, on a CPU device that tells streams apart."""
    seen: list[tuple[int, int]] = []

    def select(self: Any, device: int, stream: int) -> None:
        if stream == NO_STREAM:
            raise CUDARuntimeError(400)
        seen.append((device, stream))

    monkeypatch.setattr(CpuDevice, "select", select)
    return seen


def test_a_place_is_selected_when_it_changes_and_only_then(selected: list[tuple[int, int]]) -> None:
    client = Client()
    client.array(1)
    client.array(2)
    for stream in (0, 0, 3, 3, 5, 3):
        client.run(("iadd", 1, 2, 1), ("iadd", 1, 2, 1), stream=stream)
    client.run(("free", 2), stream=5)  # frees have no place
    assert selected == [(0, 3), (0, 5), (0, 3)]
    assert client.fetch(1).tolist() == (13 * DATA).tolist()
    assert selected == [(0, 3), (0, 5), (0, 3), (0, 0)]


def test_each_command_of_a_stream_that_there_is_not_fails(selected: list[tuple[int, int]]) -> None:
    client = Client()
    client.array(1)
    for handle in (10, 11):
        client.run(("add", handle, 1, 1), stream=NO_STREAM)
        assert [failure.handles for failure in client.failures] == [[handle]]
    for handle in (10, 11):
        with pytest.raises(CUDARuntimeError, match="InvalidResourceHandle"):
            client.fetch(handle)
    client.run(("free", 10), ("free", 11))
    assert client.fetch(1).tolist() == DATA.tolist()
    assert selected == []


def test_a_form_that_is_defined_anew_is_found_on_every_stream(selected: list[tuple[int, int]]) -> None:
    client = Client()
    client.array(1)
    client.run(("mul_i", 10, 1, 2), stream=3)
    client.run(("reset",))
    client.sent.clear()
    number = client.forms["mul_i"].id
    client.forms = {**client.forms, "mul_i": pb.Form.FromString(client.forms["add"].SerializeToString())}
    client.forms["mul_i"].id = number
    client.run(("mul_i", 11, 1, 1), stream=3)
    assert client.fetch(11).tolist() == (2 * DATA).tolist()


def loop(client: Client, streams: tuple[int, int], rounds: int) -> None:
    """A loop of two additions, each on a stream of its own."""
    executor = client.executor
    add = client.forms["add"].id
    a, b = (add | stream << STREAM_SHIFT for stream in streams)
    words = [a, 201, 200, 2, b, 202, 201, 2, 0, 200, 0, 201]
    steps = [0, 2, 2, 0, 0, 2, 2, 0, 0, 2, 0, 2]
    batch = pb.Batch(
        seq=executor.executed_seq + 1, position=executor.executed_commands, count=4 * rounds,
        commands=codec.pack_words(words)[0], loops=[pb.Loop(at=0, rounds=rounds, steps=codec.pack_words(steps)[0])],
    )  # fmt: skip
    executor.run(batch)
    client.writer.seq, client.writer.position = executor.executed_seq, executor.executed_commands


@pytest.mark.parametrize(("streams", "planned"), [((4, 4), 1), ((4, 6), 0)])
def test_a_loop_has_a_plan_where_all_of_it_runs_at_one_place(
    selected: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch, streams: tuple[int, int], planned: int
) -> None:
    monkeypatch.setattr(plans_module, "MANY_COMMANDS", 0)
    client = Client()
    client.run(("array", 200, value(DATA.astype("<f8").tobytes())), ("array", 2, value(DATA.astype("<f8").tobytes())))
    client.run(("add", 3, 2, 2), ("free", 3))
    loop(client, streams, 8)
    assert client.executor.plans.statistics().planned == planned
    assert selected == ([(0, 4)] if planned else [(0, 4), (0, 6)] * 8)
    assert client.fetch(216).tolist() == (17 * DATA).tolist()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_random_loops_leave_the_same_where_streams_are_told_apart(
    selected: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans_module, "MANY_COMMANDS", 0)
    found = [check(seed) for seed in range(1000, 1012)]
    assert sum(s.planned for s in found) > 1
