"""A session with checkpoints that is moved: its next ones are of where it is."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psutil

from benchmarks import pools

ROOT = Path(__file__).resolve().parents[2]


def test_a_kept_session_that_has_moved_survives_the_loss_of_its_new_server() -> None:
    program = (
        "import os, signal, sys, time\nimport cupy as cp\nfrom cupool.shim import session\n"
        "x = cp.zeros(1000)\n"
        "def work():\n"
        "    for k in range(3000): x.__iadd__(1)\n"
        "    return float(x[0])\n"
        "def redo(): return session.current().outbox.redo\n"
        "print(session.current().link.lease.session, flush=True)\n"
        "for line in sys.stdin:\n"
        "    was = redo().checkpoints; value = work()\n"
        "    while redo().checkpoints == was: value = work()\n"
        "    print(value % 3000, session.current().link.server_hello.server, session.statistics().recoveries, flush=True)\n"
    )
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(pools.up("--devices", "cpu:2:1GiB", "--balance", "none"))
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "cupool", "run", "-c", program],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                env={**os.environ, "CUPOOL_ADDR": pool.addr, "CUPOOL_TOKEN": pool.token,
                     "CUPOOL_DURABILITY": "node", "CUPOOL_REDO": "64KiB", "CUPOOL_DEADLINE_S": "60"},
            )
        )  # fmt: skip
        stack.callback(process.terminate)
        assert process.stdin is not None and process.stdout is not None

        def turn() -> list[str]:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().split()

        name = process.stdout.readline().strip()
        value, first, recoveries = turn()
        assert (value, recoveries) == ("0.0", "0")
        pools.cupool("move", name, "--folder", str(pool.folder))
        value, second, recoveries = turn()
        assert (value, recoveries) == ("0.0", "0") and second != first
        _kill(second)
        value, third, recoveries = turn()
        assert (value, recoveries) == ("0.0", "1") and third not in (first, second)


def _kill(server: str) -> None:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if server in process.cmdline():
                process.kill()
                return
    raise AssertionError("its server is not there")
