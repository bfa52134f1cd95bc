"""The balancer at work against a scripted controller: it acts once, tells what is new, and outlives a controller that is away."""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import subprocess
import sys
import threading
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from cupool.balancer import messages
from cupool.balancer.driver import Driver
from cupool.balancer.monitor import INTERVAL_S, WEIGHT, Monitor
from cupool.balancer.snapshot import Device, Session, Snapshot
from cupool.balancer.tuning import Tuning

from cupool.v1 import admin_pb2, admin_pb2_grpc

CROWDED = Snapshot(
    100.0,
    (Device("a", sessions=2), Device("b")),
    (Session("s", "a", utilisation=0.5, age_s=30.0), Session("t", "a", utilisation=0.5, age_s=30.0)),
)


class Failed(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


class Controller:
    """A stub of AdminService. A move ends when the test says how."""

    def __init__(self, snapshot: Snapshot = CROWDED) -> None:
        self.snapshot = snapshot
        self.failure: Failed | None = None
        self.said: list[admin_pb2.BalanceDecision] = []
        self.moves: queue.Queue[admin_pb2.MoveSessionRequest] = queue.Queue()
        self.ends: queue.Queue[str] = queue.Queue()

    def GetSnapshot(self, request: Any, timeout: float, metadata: Any) -> admin_pb2.Snapshot:
        assert request.balancer == "balancer-1" and metadata == (("authorization", "Bearer its-token"),)
        if self.failure is not None:
            raise self.failure
        return messages.snapshot_message(self.snapshot)

    def ReportDecision(self, request: Any, timeout: float, metadata: Any) -> admin_pb2.ReportDecisionReply:
        self.said.append(request)
        return admin_pb2.ReportDecisionReply()

    def MoveSession(self, request: Any, metadata: Any) -> Any:
        self.moves.put(request)
        yield admin_pb2.MoveProgress(phase="copying")
        why = self.ends.get(timeout=30)
        if why == "gone":
            raise Failed(grpc.StatusCode.UNAVAILABLE, "The controller is gone.")
        if why != "cut":
            yield admin_pb2.MoveProgress(done=True, error=why)


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def begin(controller: Controller, **more: Any) -> tuple[Driver, Clock]:
    clock = Clock()
    # One move at once: what is submitted after it runs after it.
    return Driver(controller, "its-token", "balancer-1", clock, tuning=Tuning(most_moves=1), **more), clock


def ended(driver: Driver, controller: Controller, how: str) -> None:
    """A move that is asked for ends so, and the driver has seen it."""
    controller.ends.put(how)
    done = threading.Event()
    driver._pool.submit(done.set)
    assert done.wait(30)


def test_a_move_is_asked_for_once_while_it_is_under_way_and_told() -> None:
    controller = Controller()
    driver, _ = begin(controller)
    driver.once()
    request = controller.moves.get(timeout=30)
    assert (request.session, request.device) == ("s", "b") and request.reason
    assert not driver.once().moves, "the snapshot does not show it yet, and it was asked for again"
    assert [m.session for m in controller.said[0].moves] == ["s"]
    assert {s.session for s in controller.said[0].sessions} == {"s", "t"}
    assert controller.moves.empty()
    ended(driver, controller, "")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("The link is slow.", "The link is slow."),
        ("gone", "UNAVAILABLE: The controller is gone."),
        ("cut", "nobody said"),
    ],
)
def test_a_move_that_fails_is_told_and_rests(how: str, why: str) -> None:
    controller = Controller()
    driver, _ = begin(controller)
    driver.once()
    controller.moves.get(timeout=30)
    ended(driver, controller, how)
    assert [m.session for m in driver.once().moves] == ["t"], "the other one is not tried"
    (failed,) = controller.said[-1].failed
    assert failed.session == "s" and why in failed.reason
    controller.moves.get(timeout=30)
    ended(driver, controller, "")
    assert [m.session for m in driver.once().moves] == ["t"]
    ended(driver, controller, "")
    controller.snapshot = dataclasses.replace(CROWDED, at_s=106.0)
    assert [m.session for m in driver.once().moves] == ["s"], "it rests for ever"
    ended(driver, controller, "")


def test_a_dry_run_asks_for_nothing() -> None:
    for snapshot, own in ((dataclasses.replace(CROWDED, dry_run=True), False), (CROWDED, True)):
        controller = Controller(snapshot)
        driver, _ = begin(controller, dry_run=own)
        assert driver.once().moves and controller.said[0].dry_run
        assert controller.moves.empty()


def test_what_has_been_told_is_told_again_only_after_a_while() -> None:
    controller = Controller(dataclasses.replace(CROWDED, policy="none"))
    driver, clock = begin(controller)
    for _ in range(3):
        driver.once()
    assert len(controller.said) == 1
    clock.now += 6
    driver.once()
    controller.snapshot = dataclasses.replace(CROWDED, policy="pack")
    driver.once()
    assert [d.policy for d in controller.said] == ["none", "none", "pack"]


def test_it_outlives_a_controller_that_is_away_another_balancer_and_nonsense() -> None:
    controller = Controller(dataclasses.replace(CROWDED, policy="none"))
    driver, _ = begin(controller, interval_s=0.001)
    unknown, dry = (dataclasses.replace(CROWDED, policy=p, dry_run=True) for p in ("of tomorrow", "spread"))
    steps = [
        {"failure": Failed(grpc.StatusCode.UNAVAILABLE, "It is gone.")},
        {"failure": Failed(grpc.StatusCode.FAILED_PRECONDITION, "Another balancer acts.")},
        {"failure": None, "snapshot": unknown},
        {"snapshot": dry},
    ]
    ask, troubles = controller.GetSnapshot, []

    def get(request: Any, timeout: float, metadata: Any) -> Any:
        if not steps:
            driver.end()
        else:
            vars(controller).update(steps.pop(0))
        driver.now()  # no pause in a test
        troubles.append(driver._said)
        return ask(request, timeout, metadata)

    controller.GetSnapshot = get  # type: ignore[method-assign]
    driver.run()
    assert [d.policy for d in controller.said] == ["spread"]
    assert {t.partition(":")[0] for t in troubles if t} >= {
        "UNAVAILABLE",
        "FAILED_PRECONDITION",
        "the snapshot was not used",
    }


# ---- smoothing


def test_a_moment_is_forgotten_and_a_new_device_begins_anew() -> None:
    monitor = Monitor()
    quiet = dataclasses.replace(
        CROWDED, sessions=(Session("s", "a", utilisation=0.0),), devices=(Device("a"), Device("b"))
    )
    busy = dataclasses.replace(
        quiet, sessions=(Session("s", "a", utilisation=1.0),), devices=(Device("a", utilisation=1.0), Device("b"))
    )
    seen = []
    for n, snapshot in enumerate((quiet, busy, quiet, quiet)):
        taken = monitor.take(dataclasses.replace(snapshot, at_s=100.0 + n * INTERVAL_S))
        assert taken.devices[0].utilisation == taken.sessions[0].utilisation
        seen.append(taken.sessions[0].utilisation)
    assert seen == pytest.approx([0.0, WEIGHT, WEIGHT * (1 - WEIGHT), WEIGHT * (1 - WEIGHT) ** 2])
    moved = dataclasses.replace(busy, at_s=101.0, sessions=(Session("s", "b", utilisation=1.0),))
    assert monitor.take(moved).sessions[0].utilisation == 1.0
    late = dataclasses.replace(moved, at_s=111.0, sessions=(Session("s", "b", utilisation=0.5),))
    assert monitor.take(late).sessions[0].utilisation == pytest.approx(0.5)
    other_clock = dataclasses.replace(moved, at_s=1.0, sessions=(Session("s", "b", utilisation=0.25),))
    assert monitor.take(other_clock).sessions[0].utilisation == 0.25


# ---- as a process


class Served(admin_pb2_grpc.AdminServiceServicer):
    def __init__(self) -> None:
        self.told = threading.Event()

    def GetSnapshot(self, request: Any, context: Any) -> Any:
        return messages.snapshot_message(dataclasses.replace(CROWDED, dry_run=True))

    def ReportDecision(self, request: Any, context: Any) -> Any:
        self.told.set()
        return admin_pb2.ReportDecisionReply()


def test_the_process_waits_for_its_controller_and_ends_when_told(tmp_path: Path) -> None:
    addr = f"unix:{tmp_path / 'admin.sock'}"
    (tmp_path / "token").write_text("its-token\n")
    words = [
        sys.executable,
        "-P",
        "-m",
        "cupool.balancer",
        "--controller",
        addr,
        "--token-file",
        str(tmp_path / "token"),
    ]
    served = Served()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    admin_pb2_grpc.add_AdminServiceServicer_to_server(served, server)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert json.loads(process.stdout.readline()) == {"ready": True}
        server.add_insecure_port(addr)
        server.start()
        assert served.told.wait(60)
        once = subprocess.run([*words, "--once"], capture_output=True, text=True, timeout=60)
        assert [m["session"] for m in json.loads(once.stdout)["moves"]] == ["s"] and once.returncode == 0
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
        server.stop(0).wait()
    bad = subprocess.run([*words[:-1], str(tmp_path / "nothing")], capture_output=True, text=True, timeout=60)
    assert bad.returncode == 2 and "nothing" in json.loads(bad.stdout)["error"]
