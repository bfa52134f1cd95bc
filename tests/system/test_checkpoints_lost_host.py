"""An agent is killed, and its servers with it: a session kept in a file goes on, one kept in the host's memory says what was lost."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import pools
from benchmarks.harness import environment, mark_run
from cupool.v1 import admin_pb2

pytestmark = pytest.mark.timeout(180)

#: Outgrows its window, tells when it has a checkpoint, and goes on when it is told to.
PROGRAM = """
import sys
import time
import cupy as cp
from cupool.contract.errors import SessionLost
from cupool.shim import session

x, n = cp.zeros(1000), 0
redo = session.current().outbox.redo
while redo.base is None or redo.checkpoints < 2:
    for _ in range(100):
        x += 1
    n += 100
    assert float(x[0]) == n
print("kept", flush=True)
sys.stdin.readline()
try:
    x += 1
    right = bool((x == n + 1).all())
    print(right, session.statistics().recoveries)
except SessionLost as lost:
    print("lost:", lost)
"""


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[pools.Pool]:
    mark_run()
    settings = tmp_path / "pool.toml"
    settings.write_text(f'[checkpoints]\nfolder = "{tmp_path / "kept"}"\n')
    with pools.up("--config", str(settings), "--devices", "cpu:1:1GiB", "--balance", "none") as made:
        yield made


def test_what_an_agent_that_is_killed_takes_with_it(pool: pools.Pool) -> None:
    for durability, expected in (("file", "True 1\n"), ("node", "lost: ")):
        env = {
            **environment(), "CUPOOL_ADDR": pool.addr, "CUPOOL_TOKEN": pool.token, "CUPOOL_DEADLINE_S": "60",
            "CUPOOL_REDO": "16KiB", "CUPOOL_DURABILITY": durability,
        }  # fmt: skip
        program = subprocess.Popen(
            [sys.executable, "-P", "-m", "cupool", "run", "-c", PROGRAM],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert program.stdout is not None
        assert program.stdout.readline() == "kept\n"
        _wait_told(pool, 8000)
        (server,) = (s.pid for s in pool.admin("ListServers", admin_pb2.ListServersRequest()).servers if s.session)
        gone = os.pidfd_open(server)
        os.kill(_agent(pool), signal.SIGKILL)
        assert select.select([gone], [], [], 30)[0], "its server lives on"
        os.close(gone)
        out, err = program.communicate("go on\n", timeout=90)
        assert out.startswith(expected), (out, err)
        if durability == "node":
            assert "checkpoint" in out and program.returncode == 0


def _wait_told(pool: pools.Pool, nbytes: int) -> None:
    """Until the pool says that checkpoints hold so much: numbers are told four times a second."""
    deadline = time.monotonic() + 30
    while not any(n.checkpoint_bytes >= nbytes for n in pool.admin("ListNodes", admin_pb2.ListNodesRequest()).nodes):
        assert time.monotonic() < deadline, "nobody tells of the checkpoint"
        time.sleep(0.05)


def _agent(pool: pools.Pool) -> int:
    """The agent of now: its supervisor starts another one."""
    return int(json.loads((pool.folder / "pool.json").read_text())["agent_pid"])
