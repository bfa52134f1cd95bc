"""A connection cut at any byte of a run of the k-means example: the same picture, no error.

A relay in front of a real pool puts a fault proxy before the server of every lease. Cut points lie densely over the first kilobytes
(hellos, forms, first batches) and then evenly over all that the run sends, in both directions, with and without the shared-memory lane.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, environment, mark_run
from benchmarks.relay import Relay
from tests.system.faultproxy import DOWN, UP, FaultProxy

TITLE = "the k-means example, its connection cut at 200 and more bytes: the same result, no error"
EXAMPLE = ROOT / "examples" / "colour_quantisation.py"
#: Runs the example on every sixth pixel of a row and column: the sample is about cuts, not pictures.
SMALLER = """
import runpy, sys
import sklearn.datasets as d
load = d.load_sample_image
d.load_sample_image = lambda name: load(name)[::6, ::6].copy()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
LIMIT_S = 120.0


class CuttingRelay(Relay):
    """Puts a proxy before each leased server."""

    def __init__(self, addr: str) -> None:
        self.proxies: list[FaultProxy] = []
        #: (direction, byte) at which the next lease's connection is cut.
        self.cut: tuple[str, int] | None = None
        super().__init__(addr)

    def leased(self, lease: Any) -> None:
        proxy = FaultProxy(lease.endpoint)
        if self.cut is not None:
            proxy.strike("cut", *self.cut)
        self.proxies.append(proxy)
        lease.endpoint = proxy.endpoint

    def close(self) -> None:
        super().close()
        for proxy in self.proxies:
            proxy.__exit__()


@dataclass(slots=True)
class Shared:
    """What all cases use: the relay, and what an uncut run printed, drew and sent."""

    relay: CuttingRelay
    token: str
    folder: Path
    small: bool
    reference: dict[str, str] = field(default_factory=dict)
    totals: dict[str, dict[str, int]] = field(default_factory=dict)


def cases(full: bool) -> list[str]:
    """ "small-lane-up-003of60": program, transport of bulk bytes, direction, point. The sample cuts either transport once, at one of two
    points."""
    points = 60 if full else 2
    program = "whole" if full else "small"
    return [
        f"{program}-{lane}-{direction}-{k:03d}of{points}"
        for k in range(points)
        for lane in ("lane", "grpc")
        for direction in (UP, DOWN)
        if full or (lane, direction, k) in (("lane", UP, 0), ("grpc", DOWN, 1))
    ]


@contextmanager
def setup() -> Iterator[Shared]:
    mark_run()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pool = subprocess.Popen(
            [sys.executable, "-P", "-m", "cupool.pool", "--listen", "127.0.0.1:0", "--devices", "cpu:1:2GiB", "--sessions-per-device", "4"],
            stdout=subprocess.PIPE, env=environment(),
        )  # fmt: skip
        stack.callback(_end, pool)
        assert pool.stdout is not None
        said = json.loads(pool.stdout.readline())
        relay = CuttingRelay(said["addr"])
        stack.callback(relay.close)
        yield Shared(relay, said["token"], folder, True)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def run_example(shared: Shared, program: str, lane: str) -> tuple[dict[str, str], FaultProxy, int]:
    """(what it printed and drew, its proxy, its reconnects). Raises when it failed."""
    picture, stats = shared.folder / "picture.png", shared.folder / "stats.json"
    words = [sys.executable, "-m", "cupool", "run", "--stats-json", str(stats)]
    words += ["-c", SMALLER, str(EXAMPLE)] if program == "small" else [str(EXAMPLE)]
    env = {
        **environment(),
        "CUPOOL_ADDR": shared.relay.addr,
        "CUPOOL_TOKEN": shared.token,
        "CUPOOL_LANE": "1" if lane == "lane" else "0",
    }
    done = subprocess.run(
        [*words, "--out", str(picture)], capture_output=True, text=True, timeout=LIMIT_S, check=False, env=env
    )
    if done.returncode or done.stderr:
        raise AssertionError(f"exit status {done.returncode}: {done.stderr[-2000:]}")
    seen = {"output": done.stdout, "picture": hashlib.sha256(picture.read_bytes()).hexdigest()}
    return seen, shared.relay.proxies[-1], int(json.loads(stats.read_text())["reconnects"])


def run_case(shared: Shared, case: str) -> dict[str, Any]:
    program, lane, direction, point = case.split("-")
    kind = f"{program}-{lane}"
    if kind not in shared.totals:
        shared.relay.cut = None
        shared.reference, proxy, reconnects = run_example(shared, program, lane)
        assert reconnects == 0
        shared.totals[kind] = dict(proxy.passed)
    k, _, points = point.partition("of")
    at = position(int(k), int(points), shared.totals[kind][direction])
    shared.relay.cut = (direction, at)
    seen, proxy, reconnects = run_example(shared, program, lane)
    if seen != shared.reference:
        raise AssertionError(f"cut at byte {at}: {seen}, without it {shared.reference}")
    if not proxy.struck:
        raise AssertionError(f"byte {at} never passed: nothing was cut")
    return {"at": at, "reconnects": reconnects}


def position(k: int, points: int, total: int) -> int:
    """Half of the points over the first 4 KiB, the others over everything; never the last bytes, which may not come again."""
    early = points // 2
    if k < early:
        return min(k * 4096 // max(early, 1) + 7 * k, total - 600)
    return (
        min(4096 + (k - early) * (total - 8192) // (points - early), total - 600)
        if total > 12_000
        else (k * (total - 600)) // points
    )


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"cuts": len(done), "reconnects": sum(result["reconnects"] for result in done.values())}
