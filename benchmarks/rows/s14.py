"""S14: a server from the agent's zygote, beside one started as a process of its own, both until they report that they are warm."""

from __future__ import annotations

import os
import select
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Ratio, alternate

ROW = "S14"
TITLE = "a pool's refill by the zygote / by a cold process"
GOAL = 0.1
READY_S = 120.0


def run(quick: bool) -> list[Ratio]:
    # What an agent is: it adopts the servers that its zygote forks.
    from cupool.pool.config import DeviceConfig, PoolConfig
    from cupool.pool.node.loop import Loop
    from cupool.pool.node.server import Server
    from cupool.pool.node.zygote import Zygote, adopt_orphans

    adopt_orphans()
    config = PoolConfig(devices=(DeviceConfig("cpu", 0, 1 << 30),))
    numbers = iter(range(1_000_000))
    with tempfile.TemporaryDirectory(prefix="cupool-") as folder:
        loop = Loop()
        zygote = Zygote(["cpu"], loop, set())

        def start(is_forked: bool) -> float:
            """Milliseconds until the server reports that it is warm."""
            name = f"s{next(numbers)}"
            server = Server(name, config.devices[0], Path(folder) / name, Path(folder) / f"{name}.log")
            begun = time.perf_counter()
            ends = server.prepare()
            words = ["--orders", "--device", "cpu:0", "--listen", f"unix:{server.folder}/session.sock"]
            words += ["--status-file", str(server.status_path), "--memory-limit", "1GiB"]
            if is_forked:
                forked: list[int | None] = []
                if not zygote.fork(words, ends, forked.append):
                    raise RuntimeError("the zygote was not asked")
                while not forked:
                    loop.turn()
                if forked[0] is None:
                    raise RuntimeError("the zygote did not fork")
                server.started(forked[0])
            else:
                server.start_cold((), words, ends, False)
            for end in ends:
                os.close(end)
            if not select.select([server.reports], [], [], READY_S)[0] or not server.read_reports():
                raise RuntimeError(f"a server was not warm after {READY_S:g} s: {server.log_tail()}")
            took_ms = (time.perf_counter() - begun) * 1e3
            server.kill()
            server.reap()
            server.close()
            return took_ms

        try:
            deadline = time.monotonic() + READY_S
            while not zygote.is_ready:
                loop.turn(1.0)
                if time.monotonic() > deadline:
                    raise RuntimeError("the zygote was not ready")
            start(True), start(False)
            forked, cold = alternate(3 if quick else 15, lambda: start(True), lambda: start(False))
        finally:
            zygote.close()
            loop.close()
    return [Ratio("zygote / cold process, CPU device", forked, cold, "ms", GOAL)]


if __name__ == "__main__":
    for result in run("--quick" in sys.argv):
        print(result.record())
