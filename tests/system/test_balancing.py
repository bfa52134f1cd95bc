"""A pool that balances itself, with real processes: two busy programs on one device of two; a balancer that first tells, and then moves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from benchmarks import pools
from benchmarks.harness import environment, mark_run
from cupool.v1 import admin_pb2

pytestmark = pytest.mark.timeout(180)

#: Adds one again and again until a file is there; then says how often, and what the sum is.
PROGRAM = """
import os, sys
import cupy
x, n = cupy.zeros(1 << 20), 0
while not os.path.exists(sys.argv[1]):
    for _ in range(20):
        x += 1
        n += 1
    cupy.cuda.get_current_stream().synchronize()
print(n, float(x.sum()))
"""


@pytest.fixture
def pool() -> Iterator[pools.Pool]:
    mark_run()
    options = ["--max-sessions", "4", "--session-memory", "32MiB", "--balance-dry-run"]
    with pools.up("--devices", "cpu:2:256MiB", *options) as found:
        yield found


def until(condition: Callable[[], Any]) -> Any:
    """Wait for what other processes do; the test's time limit ends it."""
    while not (found := condition()):
        time.sleep(0.05)
    return found


def there(pool: pools.Pool) -> dict[str, str]:
    """The device of each session."""
    reply = pool.admin("ListAllSessions", admin_pb2.ListAllSessionsRequest())
    return {s.session: s.device for s in reply.sessions}


def balance(pool: pools.Pool) -> admin_pb2.GetBalanceReply:
    reply: admin_pb2.GetBalanceReply = pool.admin("GetBalance", admin_pb2.GetBalanceRequest(last=100))
    return reply


def answers(pool: pools.Pool) -> admin_pb2.GetBalanceReply | None:
    """None while the controller is away."""
    try:
        return balance(pool)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        return None


def test_two_busy_sessions_part_when_the_balancer_may(pool: pools.Pool, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    env = environment() | {"CUPOOL_ADDR": pool.addr, "CUPOOL_TOKEN": pool.token, "CUPOOL_DEADLINE_S": "60"}
    words = [sys.executable, "-P", "-m", "cupool", "run", "-c", PROGRAM, str(stop)]
    programs = []
    for count in (1, 2):
        programs.append(subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True))
        before = until(lambda count=count: len(found := there(pool)) == count and found)
    try:
        assert len(set(before.values())) == 1, "the pool fills one device first"
        # It tells what it would do, and does nothing.
        told = until(lambda: next((d for d in balance(pool).decisions if d.moves), None))
        assert told.dry_run and told.moves[0].session in before and told.moves[0].gain_s > told.moves[0].cost_s > 0
        assert there(pool) == before and "is shared by 2 sessions" in told.moves[0].reason
        # A controller that is started again has the same policy, and the balancer finds it.
        os.kill(pool.pids["controller"], signal.SIGKILL)
        until(lambda: (found := answers(pool)) is not None and found.is_running and found.dry_run)
        until(lambda: len(there(pool)) == 2)
        said = pools.cupool("balance", "dry-run", "off", "--folder", str(pool.folder))
        assert "cost-aware" in said and "dry run" not in said
        after = until(lambda: len(set((found := there(pool)).values())) == 2 and found)
        assert after.keys() == before.keys()
        gone = next(s for s in after if after[s] != before[s])
        explained = pools.cupool("balance", "explain", gone, "--folder", str(pool.folder))
        assert explained.count(gone) >= 2, "why it stays now, and the move that was made"
    finally:
        stop.touch()
        said_by = [p.communicate()[0] for p in programs]
    for program, text in zip(programs, said_by, strict=True):
        assert program.returncode == 0
        count, total = text.split()
        assert float(total) == int(count) * (1 << 20)
