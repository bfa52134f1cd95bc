"""An agent and the servers of a move: orders are passed on, turns are kept until acknowledged, and a copy's end is no session's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cupool.pool import states
from cupool.pool.config import DeviceConfig, PoolConfig
from cupool.pool.node.host import Host
from cupool.pool.node.loop import Loop
from cupool.pool.node.outbox import Outbox
from cupool.pool.node.server import Server
from cupool.pool.node.telling import server_news

from cupool.contract.framing import Unpacker, delimited
from cupool.v1 import agent_pb2, server_pb2

DEVICE = DeviceConfig("cpu", 0, 1 << 30)
Report = server_pb2.MoveReport


class Told:
    """Keeps what was told, in its order: ("end" | "dead" | phase, must it arrive)."""

    def __init__(self) -> None:
        self.order: list[Any] = []

    def server_news(self, news: Any) -> None:
        self.order.append("dead" if news.state == states.DEAD else "news")

    def session_ended(self, end: Any) -> None:
        self.order.append("end")

    def move_news(self, news: Any, must_arrive: bool) -> None:
        self.order.append((Report.Phase.Name(news.report.phase), must_arrive))


class Place:
    """A host with one server, whose process only waits to be ended; and the ends of its pipes."""

    def __init__(self, folder: Path, incoming: bool) -> None:
        self.loop, self.told = Loop(), Told()
        self.host = Host(PoolConfig(devices=(DEVICE,)), folder, self.loop)
        self.host.telling.sink = self.told  # type: ignore[assignment]
        self.process = subprocess.Popen(["sleep", "60"], process_group=0)
        self.server = server = Server("s1", DEVICE, folder / "s1", folder / "log")
        self.orders, server.commands = os.pipe()
        server.reports, self.reports = os.pipe()
        os.set_blocking(server.reports, False)
        server.pidfd, server.pid, server.endpoint, server.state = (
            os.pidfd_open(self.process.pid),
            self.process.pid,
            "unix:/s1",
            states.LEASED,
        )
        server._popen = self.process
        assignment = server_pb2.AssignRequest(session="x", tenant="t")
        if incoming:
            assignment.incoming.move = "m"
        self.host._servers["s1"] = server
        self.host._has(server, agent_pb2.ServerOrder(server="s1", command=server_pb2.ServerCommand(assign=assignment)))

    def order(self, **command: Any) -> list[Any]:
        """Give an order; what the server reads."""
        self.host.order(agent_pb2.ServerOrder(server="s1", command=server_pb2.ServerCommand(**command)))
        return [server_pb2.ServerCommand.FromString(m) for m in Unpacker().feed(os.read(self.orders, 65536))]

    def says(self, phase: str, move: str = "m") -> None:
        """The server writes a report, which the agent has not read yet."""
        report = Report(session="x", move=move, phase=phase)
        os.write(self.reports, delimited(server_pb2.ServerReport(move=report).SerializeToString()))

    def dies(self) -> None:
        self.process.kill()
        self.host._dead(self.server)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for descriptor in (self.orders, self.reports, self.server.pidfd, self.server.commands, self.server.reports):
            if descriptor >= 0:
                os.close(descriptor)
        self.loop.close()


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, incoming=False)
    yield place
    place.close()


@pytest.fixture
def destination(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, incoming=True)
    yield place
    place.close()


def test_orders_of_a_move_are_passed_on(source: Place) -> None:
    (out,) = source.order(move_out=server_pb2.MoveOut(session="x", move="m", epoch=2))
    (cancel,) = source.order(cancel_move=server_pb2.CancelMove(session="x", move="m"))
    (back,) = source.order(take_back=server_pb2.TakeBack(session="x", move="m", epoch=3))
    assert (out.move_out.epoch, cancel.cancel_move.move, back.take_back.epoch) == (2, "m", 3)


def test_a_move_of_which_the_source_never_heard_is_given_up_for_it(source: Place) -> None:
    """The order to begin it was lost with a broken stream; whoever asks for its end would wait for ever."""
    source.order(move_out=server_pb2.MoveOut(session="x", move="before"))
    source.host.order(agent_pb2.ServerOrder(server="s1", command=server_pb2.ServerCommand(cancel_move=server_pb2.CancelMove(
        session="x", move="m", reason="Its host was away.",
    ))))  # fmt: skip
    assert source.told.order == [("FAILED", True)]
    os.set_blocking(source.orders, False)
    with pytest.raises(BlockingIOError):
        os.read(source.orders, 1)


@pytest.mark.parametrize(
    ("phases", "told"),
    [
        (["COPYING"], ["end"]),
        (["COPYING", "FAILED"], ["end"]),
        (["RELEASED"], []),  # its session is another server's
        (["RELEASED", "TAKEN_BACK"], ["end"]),
    ],
)
def test_the_death_of_a_source_is_its_sessions_end_where_it_has_it(
    source: Place, phases: list[str], told: list[str]
) -> None:
    source.order(move_out=server_pb2.MoveOut(session="x", move="m"))
    for phase in phases:
        source.says(phase)
    source.dies()
    turns = [(p, p != "COPYING") for p in phases]
    assert source.told.order == [*turns, *told, "dead"], "what it wrote comes before its death"


@pytest.mark.parametrize(
    ("phases", "told"), [(["COPYING", "READY"], []), (["FAILED"], []), (["READY", "OWNER"], ["end"])]
)
def test_the_death_of_a_copy_is_no_end(destination: Place, phases: list[str], told: list[str]) -> None:
    for phase in phases:
        destination.says(phase)
    destination.dies()
    assert destination.told.order == [*((p, p in ("FAILED", "OWNER")) for p in phases), *told, "dead"]


def test_why_a_session_cannot_be_moved_is_passed_on_and_is_that_sessions(source: Place) -> None:
    def says(session: str, reason: str) -> None:
        report = server_pb2.SessionFixed(session=session, reason=reason)
        os.write(source.reports, delimited(server_pb2.ServerReport(fixed=report).SerializeToString()))
        source.host._read(source.server)

    says("another", "of no concern")
    assert source.told.order == []
    says("x", "It has run functions. " * 100)
    assert source.told.order == ["news"]
    told = server_news(source.server).fixed
    assert told.startswith("It has run functions.") and len(told) == 1000
    says("x", "")
    assert server_news(source.server).fixed == ""


def test_a_hello_has_the_last_word_of_a_move(destination: Place) -> None:
    destination.says("READY")
    destination.host._read(destination.server)
    (news,) = destination.host.hello().servers
    assert (news.move.move, news.move.phase, news.assignment.incoming.move) == ("m", Report.READY, "m")


def test_a_server_that_is_gone_takes_nothing_over(destination: Place) -> None:
    given = server_pb2.AssignRequest(session="y", incoming=server_pb2.Incoming(move="n"))
    destination.host.order(agent_pb2.ServerOrder(server="gone", command=server_pb2.ServerCommand(assign=given)))
    assert destination.told.order == [("FAILED", True)], "the session goes on elsewhere: it is not over"


def test_a_server_that_tells_of_a_move_that_nobody_ordered_is_ended(source: Place) -> None:
    source.says("RELEASED", "another")
    source.host._read(source.server)
    assert source.process.wait(10) == -9 and not source.server.has_released and "not believed" in source.server.wish


def test_an_order_that_meets_a_server_which_has_just_died_is_nobodys_wish(source: Place) -> None:
    """Its death has not been seen yet: it is a fault all the same, and its session is made again."""
    ends: list[agent_pb2.SessionEnd] = []
    source.told.session_ended = ends.append  # type: ignore[method-assign]
    source.process.kill()
    os.close(source.orders)
    source.orders = -1
    out = server_pb2.MoveOut(session="x", move="m")
    source.host.order(agent_pb2.ServerOrder(server="s1", command=server_pb2.ServerCommand(move_out=out)))
    source.dies()
    (end,) = ends
    assert end.lost and end.replayable and "SIGKILL" in end.reason


def test_turns_are_kept_until_they_are_acknowledged(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "outbox")
    turn = agent_pb2.MoveNews(server="s1", report=Report(move="m", phase="RELEASED"))
    told = [first.add(move=turn), first.add(end=agent_pb2.SessionEnd(session="x"))]
    first.close()
    again = Outbox(tmp_path / "outbox")
    assert list(again) == told and told[0].moves[0] == turn and told[0].ordinal < told[1].ordinal
    again.received(told[0].ordinal)
    assert list(again) == told[1:]
    again.close()
