"""Batches that run as one (apiserver/together.py): which are kept, what joins them, and that nobody can tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.apiserver import together
from cupool.apiserver.config import Assignment
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.executor import Executor
from cupool.apiserver.frames import Refused
from cupool.apiserver.session import Session
from fusion_programs import small_sizes
from wire import REPLY, H, I, R, V, Writer, form, hello, spec, value

from cupool.contract import codec
from cupool.contract.errors import ProtocolError
from cupool.contract.limits import Limits
from cupool.contract.values import decode
from cupool.v1 import session_pb2 as pb

N = 5000
SHAPE = (50, 100)
FORMS = (
    form(1, "@array", [V], [spec(SHAPE)]),
    form(2, "multiply", [H, R], [spec(SHAPE)]),
    form(3, "add", [H, H], [spec(SHAPE)]),
    form(4, "@fetch", [H], [REPLY]),
    form(5, "max", [H], [spec((50, 1))], axis=1, keepdims=True),
    form(6, "subtract", [H, H], [spec(SHAPE)]),
    form(7, "sum", [H], [spec(())]),
    form(8, "sort", [H], [spec(SHAPE)]),
    form(9, "@view", [H, I], [spec((100,))]),
    form(11, "@free_blocks", [], []),
)
DATA = np.linspace(-3.0, 5.0, N).reshape(SHAPE)


class Stream:
    """What comes on it is given beforehand; what was waited for is counted."""

    def __init__(self, *frames: bytes) -> None:
        self.frames = list(frames)
        self.sent: list[Any] = []
        self.peeks = 0

    def send(self, frame: bytes) -> bool:
        self.sent.append(pb.ServerFrame.FromString(frame))
        return True

    def close(self, status: str, sentence: str) -> None:
        pass

    def peek(self, wait_s: float) -> bytes | None:
        assert wait_s == 0.5
        self.peeks += 1
        return self.frames[0] if self.frames else None

    def skip(self) -> None:
        del self.frames[0]


class Client:
    """A session, its stream, and what the client sends."""

    def __init__(self, wait_s: float = 0.5, fuses: bool = True) -> None:
        self.executor = Executor(CpuDevice(0, 1 << 30), 1 << 30, Limits(), fuses=fuses)
        self.session = Session(Assignment("s", b"", 1), self.executor, Limits(), (b"", {}), dict, lambda reason: None,
                               fusion_wait_s=wait_s)  # fmt: skip
        self.stream = Stream()
        self.writer = Writer()
        self.session.attach(self.stream, hello().hello)
        self.stream.sent.clear()
        self.send(self.writer.batch([1, 1, value(DATA)], 1, *FORMS))

    def send(self, *batches: Any) -> None:
        """All batches, the later ones there already when the first is read."""
        self.stream.frames += [pb.ClientFrame(batch=batch).SerializeToString() for batch in batches]
        while self.stream.frames:
            self.session.receive(self.stream, self.stream.frames.pop(0))

    @property
    def told(self) -> list[int]:
        """Of each frame, the batch that it says is executed."""
        return [frame.executed_seq for frame in self.stream.sent]

    def result(self) -> Any:
        return decode(self.stream.sent[-1].results[0].value)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(together, "LEAST_ELEMENTS", N)
    with small_sizes():
        yield


def test_a_first_operation_runs_with_what_joins_it() -> None:
    client = Client()
    first = client.writer.batch([2, 2, 1, codec.real_bits(0.5)], 1)
    client.send(first, client.writer.batch([3, 3, 2, 1, 0, 2, 4, 4, 3, 0, 3], 4))
    assert client.told == [1, 3] and client.executor.executed_commands == 6
    assert np.array_equal(client.result(), DATA * 0.5 + DATA)
    assert (client.executor.fusion.windows, client.executor.fusion.joined) == (1, 3)  # type: ignore[union-attr]
    assert (client.session.together.kept, client.session.together.joined) == (1, 1)
    # Both are known: sent again, as after a cut, they are no others.
    client.send(first)
    assert client.told[-1] == 3


def test_rows_that_are_reduced_are_a_beginning() -> None:
    client = Client()
    client.send(client.writer.batch([5, 2, 1], 1), client.writer.batch([6, 3, 1, 2, 4, 4, 3], 2))
    assert np.array_equal(client.result(), DATA - DATA.max(axis=1, keepdims=True))
    assert client.session.together.joined == 1


@pytest.mark.parametrize(
    "first",
    [
        ([7, 2, 1], 1),  # a total
        ([8, 2, 1], 1),  # joins nothing
        ([4, 2, 1], 1),  # asks for an answer
        ([2, 2, 1, 0, 4, 5, 2], 2),  # and so does this
        ([9, 2, 1, 0], 1),  # a view alone
        ([0, 77], 1),  # nothing
        ([1, 2, value(DATA)], 1),
    ],
)
def test_what_is_not_kept(first: tuple[list[Any], int]) -> None:
    client = Client()
    client.send(client.writer.batch(*first), client.writer.batch([2, 30, 1, 0, 0, 30], 2))
    assert client.told[:3] == [1, 2, 3]
    assert client.stream.peeks == 1  # for the second batch, behind which there is nothing


def test_small_arrays_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    monkeypatch.setattr(together, "LEAST_ELEMENTS", N + 1)
    client.send(client.writer.batch([2, 2, 1, 0], 1))
    assert not client.stream.peeks and client.told == [1, 2]


def test_it_can_be_turned_off() -> None:
    for client in (Client(wait_s=0.0), Client(fuses=False)):
        client.send(client.writer.batch([2, 2, 1, 0], 1), client.writer.batch([3, 3, 2, 1], 1))
        assert not client.stream.peeks and client.told == [1, 2, 3]


def test_a_line_that_nothing_joins_is_kept_less_and_less() -> None:
    client = Client()
    kept = []
    for k in range(40):
        client.send(client.writer.batch([2, 10 + k, 1, 0], 1))
        kept.append(client.session.together.kept)
    assert [k for k in range(1, 40) if kept[k] > kept[k - 1]] == [2, 6, 14, 30]
    # Joined once it is kept again each time.
    client.session.together._lines.clear()
    for k in range(4):
        client.send(
            client.writer.batch([2, 100 + 2 * k, 1, 0], 1), client.writer.batch([3, 101 + 2 * k, 100 + 2 * k, 1], 1)
        )
    assert client.session.together.joined == 4


@pytest.mark.parametrize("how", ["asks", "gap", "loops", "new form", "no batch", "no frame", "other form", "waits"])
def test_what_does_not_join_runs_in_its_turn(how: str) -> None:
    client = Client()
    first = client.writer.batch([2, 2, 1, codec.real_bits(2.0)], 1)
    second = client.writer.batch({"asks": [4, 3, 2], "other form": [8, 3, 2]}.get(how, [3, 3, 2, 1]), 1)
    if how == "gap":
        second.position += 1
    elif how == "loops":
        second.loops.add(at=0, rounds=2, steps=np.array([0, 1, 0, 0]).tobytes())
        second.count = 2
    elif how == "new form":
        second = client.writer.batch([20, 3, 2, 1], 1, form(20, "hypot", [H, H], [spec(SHAPE)]))
        second.seq, second.position = 3, 2
    elif how == "waits":
        second = client.writer.batch([3, 3, 2, 1, 11], 2)  # as "@upload" would
        second.seq, second.position = 3, 2
    client.stream.frames.append(b"\xff" if how == "no frame" else pb.ClientFrame(batch=second).SerializeToString())
    if how == "no batch":
        client.stream.frames[0] = pb.ClientFrame(probe=pb.Probe(id=4)).SerializeToString()
    client.session.receive(client.stream, pb.ClientFrame(batch=first).SerializeToString())
    assert client.executor.executed_seq == 2 and len(client.stream.frames) == 1 and not client.session.together.joined
    following = client.stream.frames.pop(0)
    if how in ("gap", "no frame"):
        with pytest.raises(Refused):
            client.session.receive(client.stream, following)
        assert not client.session.over
    else:
        client.session.receive(client.stream, following)
        assert client.executor.executed_seq == (2 if how == "no batch" else 3)
    assert np.array_equal(client.executor.handles.get(2), DATA * 2.0)


def test_a_batch_that_cannot_run_is_refused_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    client, executed = Client(), Executor.run

    def run(self: Executor, batch: Any) -> Any:
        if batch.count > 1:
            raise ProtocolError("None of it.")
        return executed(self, batch)

    monkeypatch.setattr(Executor, "run", run)
    first = client.writer.batch([2, 2, 1, codec.real_bits(2.0)], 1)
    second = client.writer.batch([3, 3, 2, 1, 3, 4, 2, 1], 2)
    with pytest.raises(Refused, match="None of it"):
        client.send(first, second)
    assert client.executor.executed_seq == 2 and client.told == [1, 2] and not client.session.over


def test_failures_are_where_they_would_be() -> None:
    sides = []
    for wait_s in (0.5, 0.0):
        client = Client(wait_s)
        client.send(
            client.writer.batch([2, 2, 1, codec.real_bits(2.0)], 1),
            client.writer.batch([3, 3, 2, 1, 3, 4, 2, 99, 3, 5, 4, 1, 4, 6, 3], 4),
        )
        told: list[bytes] = []
        for frame in client.stream.sent[-1:]:
            for failure in frame.failures:
                failure.error.detail = ""
            told += [item.SerializeToString(deterministic=True) for item in (*frame.failures, *frame.results)]
        account = client.executor.accounting
        sides.append(
            (told, account.used, account.peak, sorted(client.executor.handles.table), client.executor.executed_commands)
        )
        assert client.session.together.joined == (wait_s > 0)
    assert sides[0] == sides[1] and sides[0][0]
