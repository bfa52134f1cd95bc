"""Moves as operators make them, in a pool as they start it: by command, by a drain, and with a controller that is killed meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from pathlib import Path

import grpc
import pytest

from benchmarks import pools
from benchmarks.prove import moves
from cupool.v1 import admin_pb2, pool_pb2


@pytest.fixture(scope="module")
def running():
    with pools.up("--devices", "cpu:3:1GiB", "--balance", "none") as made:
        yield made


@pytest.fixture
def pool(running: pools.Pool):
    yield running
    running.close()  # each test leaves no connection


def session_of(pool: pools.Pool) -> pool_pb2.SessionStatus:
    whole = moves.attached(pool, threading.Event())
    return next(
        s for s in pool.admin("ListAllSessions", admin_pb2.ListAllSessionsRequest()).sessions if s.session == whole
    )


def test_a_program_does_not_notice_that_an_operator_moves_it(pool: pools.Pool, tmp_path: Path) -> None:
    process = moves.start(pool, "counter", tmp_path, float("inf"))
    before = session_of(pool)
    to = "cpu:2" if before.device != "cpu:2" else "cpu:1"
    said = pools.cupool("move", before.session[8:16], "--to", to, "--reason", "new fan", "--folder", str(pool.folder))
    after = session_of(pool)
    assert said == f"{to}\n" and (after.device, after.epoch, after.moves) == (to, before.epoch + 1, 1)
    seen = json.loads(pools.cupool("move", "--status", "--json", "--folder", str(pool.folder)))
    (row,) = [m for m in seen["moves"] if m["session"] == before.session]
    assert (row["phase"], row["source"], row["destination"], row["reason"]) == ("done", before.device, to, "new fan")
    assert moves.finish(process, tmp_path) == {"output": "counted\n"}
    moves.wait_nothing_is_left(pool)
    audit = (pool.folder / "audit.log").read_text()
    assert '"kind":"move"' in audit.replace(" ", "") and "new fan" in audit


def test_a_drain_moves_away_what_runs(pool: pools.Pool, tmp_path: Path) -> None:
    process = moves.start(pool, "counter", tmp_path, float("inf"))
    before = session_of(pool)
    said = pools.cupool("drain", before.device, "--reason", "upgrade", "--json", "--folder", str(pool.folder))
    (row,) = json.loads(said)["devices"]
    assert row["done"] and row["moved"] == [before.session] and not row["remaining_sessions"]
    after = session_of(pool)
    assert after.session == before.session and after.device != before.device
    pools.cupool("uncordon", before.device, "--folder", str(pool.folder))
    assert moves.finish(process, tmp_path) == {"output": "counted\n"}
    moves.wait_nothing_is_left(pool)


@pytest.mark.parametrize("phase", ["copying", "ready"])
def test_a_controller_that_is_killed_within_a_move_goes_on_with_it(
    pool: pools.Pool, tmp_path: Path, phase: str
) -> None:
    process = moves.start(pool, "counter", tmp_path, float("inf"))
    before = session_of(pool)
    killed: list[str] = []

    def kill(progress: admin_pb2.MoveProgress) -> None:
        if not killed and (progress.phase == phase or progress.done):
            killed.append(progress.phase)
            os.kill(json.loads((pool.folder / "pool.json").read_text())["controller_pid"], signal.SIGKILL)

    with contextlib.suppress(grpc.RpcError):  # that controller is gone
        pool.move(before.session, on_progress=kill)
    after = session_of(pool)
    assert killed and after.session == before.session and after.epoch in (before.epoch, before.epoch + 1)
    assert moves.finish(process, tmp_path) == {"output": "counted\n"}
    moves.wait_nothing_is_left(pool)
