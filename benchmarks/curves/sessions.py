"""Small operations a second with 1 to 64 sessions at once, each a process with a server of its own, beside as many NumPy processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks import pools
from benchmarks.harness import ROOT, Point, environment

ROW = "SESSIONS"
TITLE = "small operations a second by sessions at once, all together / as many processes of NumPy"
AT_ONCE = (1, 2, 4, 8, 16, 32, 64)
TIMEOUT_S = 900

#: Waits for a line, works for so many seconds, says how many operations a second it did, results in hand.
PROGRAM = """
import sys, time
where, seconds = sys.argv[1], float(sys.argv[2])
if where == "numpy":
    import numpy as xp
    settle = lambda: None
else:
    from cupool import cupy as xp
    from cupool.shim import session
    settle = session.wait_all
a, b = xp.arange(8.0), xp.ones(8)
def work(rounds):
    c = a
    for _ in range(rounds):
        c = c + b
        c = c * b
    return c
assert float(work(200)[0]) == 200.0
settle()
print("ready", flush=True)
sys.stdin.readline()
start, done = time.perf_counter(), 0
while time.perf_counter() - start < seconds:
    c = work(500)
    done += 1000
settle()
print(done / (time.perf_counter() - start), flush=True)
assert float(c[0]) == 500.0
"""


def together(where: str, count: int, seconds: float, env: dict[str, str]) -> float:
    """Millions of operations a second of `count` processes that begin at one moment. Raises RuntimeError when one fails."""
    with ExitStack() as stack:
        processes = []
        for _ in range(count):
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, where, str(seconds)],
                cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"one of {count} programs did not start; see its error above")
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        rates = []
        for process in processes:
            assert process.stdin is not None and process.stdout is not None
            rates.append(float(process.stdout.readline()))
            process.stdin.close()
            process.wait()
            process.stdout.close()
    return sum(rates) / 1e6


def points(counts: Sequence[int], rounds: int, seconds: float) -> list[Point]:
    """The curve, by sessions at once."""
    found = []
    for count in counts:
        # A pool for each point, as small as it may be: spare servers of a larger one would take its cores.
        options = ("--devices", "cpu:1:16GiB", "--max-sessions", str(count), "--warm", str(count))
        with pools.up(*options) as pool:
            pool.wait_warm(count)
            env = {**environment(), "CUPOOL_ADDR": pool.addr, "CUPOOL_TOKEN": pool.token, "CUPOOL_MEMORY": "64MiB"}
            env |= {"CUPOOL_DEADLINE_S": "120"}
            ours, numpy = [], []
            for _ in range(rounds):
                ours.append(together("cupool", count, seconds, env))
                numpy.append(together("numpy", count, seconds, env))
        found.append(Point("a + b, a * b in a chain", count, "sessions", ours, "M/s", numpy, more_is_better=True))
    return found


def run(quick: bool) -> list[Point]:
    return points(AT_ONCE[:3] if quick else AT_ONCE, 1 if quick else 3, 0.3 if quick else 1.5)


if __name__ == "__main__":
    for point in run("--quick" in sys.argv):
        print(json.dumps(point.record()))
