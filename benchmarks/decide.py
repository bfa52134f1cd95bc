"""`python -m benchmarks.decide [--devices N] [--sessions N] [--repeat N]`: how long the balancer's decision takes, by policy.

Random pools of one seed: eight devices on a host, most sessions light, half the devices twice as full as the others, a few hundred waiting.
The best and the median of the repetitions, in processor time of this process (other work on the machine does not count), go into
`benchmarks/results/balance-decide.json`.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections import Counter
from dataclasses import replace

from cupool.balancer.policy import POLICIES, decide
from cupool.balancer.snapshot import Device, Session, Snapshot, Waiting

from benchmarks.__main__ import RESULTS
from benchmarks.harness import machine

GIB = 1 << 30


def pool(devices: int, sessions: int, seed: int = 1) -> Snapshot:
    """A pool in which there is always something to do."""
    draw = random.Random(seed)
    there = [
        Session(
            f"session-{n}",
            f"device-{draw.randrange(devices if draw.random() < 0.7 else max(1, devices // 2))}",
            memory_bytes=GIB,
            used_bytes=draw.randrange(GIB),
            utilisation=draw.random() * 0.3,
            age_s=draw.random() * 100,
            dirty_bytes_a_s=draw.random() * 1e9,
        )
        for n in range(sessions)
    ]
    count = Counter(s.device for s in there)
    has = [
        Device(
            f"device-{n}",
            memory_bytes=16 * GIB,
            promised_bytes=count[f"device-{n}"] * GIB,
            sessions=count[f"device-{n}"],
            max_sessions=16,
            node=f"node-{n // 8}",
        )
        for n in range(devices)
    ]
    waiting = [Waiting(memory_bytes=draw.randrange(16 * GIB), waited_s=draw.random() * 5) for _ in range(200)]
    return Snapshot(1.0, tuple(has), tuple(there), tuple(waiting))


def measure(snapshot: Snapshot, repeat: int) -> dict[str, float | int]:
    took, moves = [], 0
    for _ in range(repeat):
        began = time.process_time()
        moves = len(decide(snapshot).moves)
        took.append((time.process_time() - began) * 1000)
    return {"best_ms": round(min(took), 2), "median_ms": round(statistics.median(took), 2), "moves": moves}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decide", description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=50_000)
    parser.add_argument("--repeat", type=int, default=15)
    options = parser.parse_args()
    snapshot = pool(options.devices, options.sessions)
    rows = {name: measure(replace(snapshot, policy=name), options.repeat) for name in POLICIES}
    for name, row in rows.items():
        print(f"{name:<12}{row['best_ms']:>9.2f} ms best{row['median_ms']:>9.2f} ms median{row['moves']:>6} moves")
    document = {"devices": options.devices, "sessions": options.sessions, "policies": rows, "machine": machine()}
    (RESULTS / "balance-decide.json").write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
