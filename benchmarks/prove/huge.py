"""Arrays of 4 GiB up and down, by the ring and over gRPC: neither side needs another 4 GiB beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import mark_run, script
from benchmarks.rows._product import pool

TITLE = "an array of 4 GiB up and down: what client and server need beside it"
GIB = 1 << 30
#: What either side may need beside the array, as a part of it.
BESIDE = 0.25

#: The client's array, and what comes back into it; peaks are of resident memory, which for both includes what is shared.
PROGRAM = """
import json, os, sys, time
from pathlib import Path
import numpy as np
from cupool import cupy as cp
from cupool.shim import bulk

def peak(pid):
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) << 10

def server():
    found = [p.name for p in Path("/proc").iterdir() if p.name.isdigit() and b"cupool.apiserver" in (p / "cmdline").read_bytes()
             and os.environ["CUPOOL_BENCH_RUN"].encode() in (p / "environ").read_bytes()]
    return max(found, key=peak)

size = int(sys.argv[1]) if len(sys.argv) > 1 else SIZE
cp.arange(1).get()
# A pattern that no chunk repeats, made in place.
source = np.arange(size // 8, dtype=np.uint64)
source *= np.uint64(0x9E3779B97F4A7C15)
total = int(source.sum(dtype=np.uint64))
before = peak(os.getpid()) - source.nbytes
start = time.perf_counter()
held = cp.asarray(source)
assert int(held.sum(dtype=cp.uint64)) == total
up_s = time.perf_counter() - start
source[:] = 0
start = time.perf_counter()
held.get(out=source)
down_s = time.perf_counter() - start
assert int(source.sum(dtype=np.uint64)) == total
print(json.dumps({"client_peak_bytes": peak(os.getpid()), "client_before_bytes": before, "server_peak_bytes": peak(server()),
                  "up_s": up_s, "down_s": down_s, "lane_bytes": bulk.statistics().lane_bytes}))
"""


def cases(full: bool) -> list[str]:
    """ "lane-4GiB": the way, the size."""
    return [f"{way}-{'4GiB' if full else '256MiB'}" for way in ("lane", "grpc")]


@contextmanager
def setup() -> Iterator[None]:
    mark_run()
    yield


def run_case(shared: Any, case: str) -> dict[str, Any]:
    way, _, text = case.partition("-")
    size = 4 * GIB if text == "4GiB" else 256 << 20
    with pool(f"cpu:1:{2 * size}", "127.0.0.1:0") as (address, token):
        env = {"CUPOOL_ADDR": address, "CUPOOL_TOKEN": token, "CUPOOL_LANE": "1" if way == "lane" else "0"}
        seen: dict[str, Any] = json.loads(script(PROGRAM.replace("SIZE", str(size)), env=env, timeout_s=600))
    assert (seen["lane_bytes"] > 0) == (way == "lane"), seen
    seen["client_beside_bytes"] = seen["client_peak_bytes"] - size
    # The array itself, and the temporary of its sum where NumPy makes one, are the server's own business; another copy is not.
    seen["server_beside_bytes"] = seen["server_peak_bytes"] - size
    for side in ("client", "server"):
        if seen[f"{side}_beside_bytes"] > BESIDE * size + (256 << 20):
            raise AssertionError(
                f"the {side} needed {seen[f'{side}_beside_bytes']} bytes beside an array of {size}: {seen}"
            )
    return seen


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        case: {
            "client_beside_mib": round(figures["client_beside_bytes"] / (1 << 20)),
            "server_beside_mib": round(figures["server_beside_bytes"] / (1 << 20)),
            "up_s": round(figures["up_s"], 2),
            "down_s": round(figures["down_s"], 2),
        }
        for case, figures in done.items()
    }
