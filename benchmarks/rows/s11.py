"""S11: how long a program waits for its next right result when its server is killed; what the session did is done again by another one."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from benchmarks import pools
from benchmarks.harness import Result, Value
from benchmarks.rows._product import close, open_session, settle
from cupool.v1 import admin_pb2

ROW = "S11"
TITLE = "server killed → next right result, by the commands that another one does again"
WARM = 2
GOAL_S = 1.0
COMMANDS = (100, 10_000)


def killed_s(cp: Any, pool: pools.Pool, commands: int) -> float:
    """Seconds from the kill to the next right result of a session that has done so many commands."""
    from cupool.shim import session

    x = cp.zeros(8)
    for _ in range(commands // 2):
        x = x + 1.0
    settle()
    server = session.current().link.lease.server
    servers = pool.admin("ListServers", admin_pb2.ListServersRequest()).servers
    os.kill(next(s.pid for s in servers if s.server == server), signal.SIGKILL)
    start = time.perf_counter()
    value = float(x[3])
    took = time.perf_counter() - start
    if value != commands // 2:
        raise RuntimeError(f"a wrong number after a kill: {value}")
    return took


def run(quick: bool) -> list[Result]:
    results: list[Result] = []
    with pools.up("--devices", "cpu:1:2GiB", "--max-sessions", "8", "--warm", str(WARM)) as pool:
        for commands in COMMANDS:
            samples = []
            for _ in range(2 if quick else 7):
                pool.wait_warm(WARM)
                cp = open_session(True, pool.addr, pool.token)
                try:
                    samples.append(killed_s(cp, pool, commands))
                finally:
                    close()
            # The goal leaves the replay's own time out; for a hundred commands there is none to speak of.
            goal = GOAL_S if commands == COMMANDS[0] else None
            results.append(Value(f"killed after {commands:,} commands: next right result", samples, "s", goal))
    return results
