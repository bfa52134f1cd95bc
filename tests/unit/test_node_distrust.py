"""What an agent does not believe of a server: its client's native code may speak in its name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cupool.pool import states
from cupool.pool.config import DeviceConfig, PoolConfig
from cupool.pool.node import host as host_module
from cupool.pool.node.host import Host
from cupool.pool.node.loop import Loop
from cupool.pool.node.server import Server

from cupool.v1 import server_pb2

DEVICE = DeviceConfig("cpu", 0, 1 << 30)
Change = server_pb2.SessionChange


class Told:
    """Keeps the states that were told."""

    def __init__(self) -> None:
        self.states: list[int] = []

    def server_news(self, news: Any) -> None:
        self.states.append(news.state)


@pytest.fixture
def leased(tmp_path: Path) -> Iterator[tuple[Host, Server, subprocess.Popen[bytes], Told]]:
    """A host, and a server of it whose client has come; the process only waits to be killed."""
    loop = Loop()
    host, told = Host(PoolConfig(devices=(DEVICE,)), tmp_path, loop), Told()
    host.telling.sink = told  # type: ignore[assignment]
    process = subprocess.Popen(["sleep", "60"], process_group=0)
    server = Server("s1", DEVICE, tmp_path / "s1", tmp_path / "log")
    server.pidfd = os.pidfd_open(process.pid)
    server.pid, server.endpoint, server.state = process.pid, "unix:/mine", states.LEASED
    server.assignment, server.attached_before = server_pb2.AssignRequest(session="x"), True
    host._servers["s1"] = server
    yield host, server, process, told
    os.close(server.pidfd)
    process.kill()
    process.wait()
    loop.close()


def test_a_server_whose_client_had_come_is_never_warm_again(leased: Any) -> None:
    host, server, process, told = leased
    host._session_changed(server, Change(session="x", kind=Change.UNASSIGNED))
    assert process.wait(10) == -9, "it is ended instead"
    assert states.WARM not in told.states and server.state != states.WARM and "not believed" in server.wish


def test_a_server_without_a_client_is_warm_again(leased: Any) -> None:
    host, server, process, told = leased
    server.attached_before = False
    host._session_changed(server, Change(session="x", kind=Change.UNASSIGNED))
    assert told.states == [states.WARM] and process.poll() is None


def test_a_server_says_only_once_where_it_is(leased: Any) -> None:
    host, server, process, _ = leased
    host._ready(server, server_pb2.ServerReady(endpoint="10.0.0.66:1"))
    assert server.endpoint == "unix:/mine" and process.wait(10) == -9


@pytest.mark.parametrize("kind", [Change.UNASSIGNED, Change.ATTACHED, Change.PARKED, Change.ASSIGNED])
def test_a_server_speaks_of_its_own_session_alone(leased: Any, kind: Any) -> None:
    host, server, process, told = leased
    host._session_changed(server, Change(session="another", kind=kind))
    assert not told.states and server.assignment.session == "x" and process.poll() is None


def test_a_servers_word_of_its_move_is_of_bounded_length_and_its_numbers_are_numbers(leased: Any) -> None:
    host, server, process, told = leased
    heard: list[Any] = []
    told.move_news = lambda news, must_arrive: heard.append(news.report)
    server.move_out = "m"
    host._move_changed(
        server,
        server_pb2.MoveReport(
            session="x", move="m", phase=server_pb2.MoveReport.FAILED, reason="x" * 100_000, pause_ms=float("nan")
        ),
    )
    (report,) = heard
    assert len(report.reason) == 1000 and report.pause_ms == 0.0 and process.poll() is None


def test_a_server_that_floods_its_agent_with_reports_is_ended(leased: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would be news for the controller."""
    host, server, process, told = leased
    change = server_pb2.ServerReport(session=Change(session="x", kind=Change.PARKED))
    now = [1000.0]
    monkeypatch.setattr(host_module.time, "monotonic", lambda: now[0])
    batches: list[list[Any]] = [[change] * 100] * 25
    monkeypatch.setattr(Server, "read_reports", lambda self: batches.pop())
    for _ in range(4):
        host._read(server)
        now[0] += 1.0
    assert process.poll() is None, "a hundred a second"
    for _ in range(21):
        host._read(server)
    assert process.wait(10) == -9 and "not believed" in server.wish
    assert len(told.states) <= 2500
