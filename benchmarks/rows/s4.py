"""S4: distance. The same program at 0.2, 1, 5 and 30 ms of round trip, against what its data flow needs."""

from __future__ import annotations

import numpy as np

from benchmarks.harness import Ratio, peer, script
from benchmarks.rows import _tcp
from benchmarks.rows._product import pool

ROW = "S4"
TITLE = "wall at a distance / (local wall + needed waits x round trip + 3 round trips of set-up)"
ROUND_TRIPS_MS = (0.2, 1.0, 5.0, 30.0)

#: k-means as examples write it: the convergence check of each step is the one wait that its data flow needs, and the labels at the end.
STEPS = 20
PROGRAM = f"""
import time
import numpy as np
from cupool import cupy as cp
from cupool.shim import session
start = time.perf_counter()
points = cp.asarray(np.random.default_rng(0).normal(size=(2000, 3)))
centres = points[:8].copy()
for step in range({STEPS}):
    distances = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
    labels = distances.argmin(axis=1)
    member = labels[:, None] == cp.arange(8)[None, :]
    moved = (member[:, :, None] * points[:, None, :]).sum(axis=0) / cp.maximum(member.sum(axis=0), 1)[:, None]
    shift = float(abs(moved - centres).max())
    centres = moved
labels = labels.get()
print(time.perf_counter() - start, session.statistics().waits)
"""
NEEDED_WAITS = STEPS + 1


def wall_s(address: str, token: str) -> float:
    """Seconds of the program, from its first array to its last result, set-up of the session included."""
    text = script(PROGRAM, env={"CUPOOL_ADDR": address, "CUPOOL_TOKEN": token, "CUPOOL_LANE": "0"})
    return float(text.split()[0])


def run(quick: bool) -> list[Ratio]:
    repeats = 2 if quick else 5
    results = []
    with pool("cpu:1:1GiB") as (address, token), peer("tcp-echo") as echo:
        target = address if address.startswith("unix:") else address.rpartition(":")[2]
        near = [wall_s(address, token) for _ in range(repeats + 1)][1:]
        for rtt_ms in ROUND_TRIPS_MS:
            with peer("relay", str(echo.port), str(rtt_ms)) as relay, _tcp.connection(relay.port) as sock:
                trip = _tcp.ping_s(sock, 30)  # what the relay really adds, its own two hops included
            with peer("far-pool", target, str(rtt_ms), token) as far:
                walls = [wall_s(f"127.0.0.1:{far.port}", token) for _ in range(repeats)]
            floor = [float(np.median(near)) + (NEEDED_WAITS + 3) * trip] * repeats
            note = f"{STEPS} steps, measured round trip {trip * 1e3:.2f} ms"
            results.append(Ratio(f"k-means at {rtt_ms:g} ms", walls, floor, "s", 1.05, note=note))
    return results
