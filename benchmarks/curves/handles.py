"""What living arrays cost: time of an operation and of a free, memory of client and server, with 10^2 to 10^6 arrays alive."""

from __future__ import annotations

import json
from collections.abc import Sequence

from benchmarks.harness import Point, script
from benchmarks.rows._product import pool

ROW = "HANDLES"
TITLE = "an operation's time and the client's memory by living arrays; no step"
COUNTS = (100, 1_000, 10_000, 100_000, 1_000_000)
TIMEOUT_S = 900
#: Below so many, pages are larger than what is measured.
LEAST_FOR_MEMORY = 10_000
GOAL_BYTES = 300

PROGRAM = """
import gc, json, os, time
import numpy as np
from cupool import cupy as cp
from cupool.shim import session
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
a = cp.arange(8.0)
warm = [a + a for _ in range(2000)]
session.wait_all()
del warm
session.wait_all()
gc.collect()
before = rss()
start = time.perf_counter()
kept = [a + a for _ in range({count})]
session.wait_all()
made = time.perf_counter() - start
after = rss()
times = []
for _ in range(5):
    start = time.perf_counter()
    for _ in range(2000):
        c = a + a
    session.wait_all()
    times.append((time.perf_counter() - start) / 2000)
assert float(kept[-1][3]) == 6.0 and float(kept[0][2]) == 4.0
start = time.perf_counter()
kept.clear()
session.wait_all()
freed = time.perf_counter() - start
assert int(cp.get_default_memory_pool().used_bytes()) < 4096
found = {{"bytes": (after - before) / {count}, "op_ns": min(times) * 1e9}}
print(json.dumps(found | {{"made_ns": made / {count} * 1e9, "freed_ns": freed / {count} * 1e9}}))
"""


def points(counts: Sequence[int], rounds: int) -> list[Point]:
    """The curves, by living arrays."""
    found = []
    with pool("cpu:1:8GiB") as (address, token):
        env = {"CUPOOL_ADDR": address, "CUPOOL_TOKEN": token, "CUPOOL_MEMORY": "4GiB"}
        for count in counts:
            runs = [json.loads(script(PROGRAM.format(count=count), env=env, timeout_s=300)) for _ in range(rounds)]
            for name, key in (
                ("an operation beside them", "op_ns"),
                ("making one", "made_ns"),
                ("freeing one", "freed_ns"),
            ):
                found.append(Point(name, count, "living arrays", [r[key] for r in runs], "ns"))
            if count >= LEAST_FOR_MEMORY:
                memory = [r["bytes"] for r in runs]
                found.append(
                    Point("the client's memory of one", count, "living arrays", memory, "bytes", goal=GOAL_BYTES)
                )
    return found


def run(quick: bool) -> list[Point]:
    return points(COUNTS[:3] if quick else COUNTS, 1 if quick else 3)
