"""S4 for every example: its wall at 0.2 to 30 ms of round trip over local wall + needed waits x round trip + set-up + bytes / bandwidth.

`NEEDED` pins how often each example has to wait by its data flow, by reading it: each look at data that a decision or a print needs.
Nothing else may wait, so a wait that creeps in shows at 30 ms.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.harness import ROOT, Point, peer, script
from benchmarks.rows import _tcp
from benchmarks.rows._product import pool

ROW = "DISTANCE"
TITLE = "every example at a distance / (local wall + needed waits x round trip + 3 round trips of set-up + bytes / bandwidth)"
ROUND_TRIPS_MS = (0.2, 1.0, 5.0, 30.0)
GOAL = 1.05
SET_UP_TRIPS = 3
TIMEOUT_S = 1800
MIB = 1 << 20


def _checks(pattern: str) -> Callable[[str], int]:
    """One wait for each check that the example tells of, and one for the result."""

    def count(output: str) -> int:
        found = re.search(pattern, output)
        if found is None:
            raise RuntimeError(f"the example does not tell its checks any more: {output!r}")
        return int(found[1]) + 1

    return count


#: Example -> waits that its data flow needs, from what it prints.
NEEDED: dict[str, Callable[[str], int]] = {
    "black_scholes": lambda output: 2,  # the prices, and the parity
    "colour_quantisation": _checks(r"after (\d+) convergence checks"),
    "conjugate_gradient": _checks(r"steps, (\d+) checks"),
    "gaussian_mixture": _checks(r"points, (\d+) checks"),
    "monte_carlo": lambda output: 1,
    "neural_network": lambda output: 5,  # the loss four times, and the scores
    "stencil": lambda output: 1,
    "streams_and_events": lambda output: 3,  # the event, the time between two, the result
    "tiled_matmul": lambda output: 1,
}
#: Every sixth pixel of a row and a column: distance is measured here, not pictures.
_SMALLER = """
import sklearn.datasets as datasets
load = datasets.load_sample_image
datasets.load_sample_image = lambda name: load(name)[::6, ::6].copy()
"""
PROGRAM = """
import contextlib, io, json, runpy, sys, tempfile, time
import numpy, sklearn.datasets, PIL.Image
import cupool
cupool.install()
import cupy
from cupool.shim import session
{before}
sys.argv = [{path!r}] + {words!r}
output = io.StringIO()
start = time.perf_counter()
with contextlib.redirect_stdout(output):
    runpy.run_path(sys.argv[0], run_name="__main__")
took = time.perf_counter() - start
s = session.statistics()
print(json.dumps({{"s": took, "waits": s.waits, "up": s.bytes_up, "down": s.bytes_down, "output": output.getvalue()}}))
"""


@dataclass(frozen=True, slots=True)
class Way:
    """To a server at a distance: seconds of a round trip, bytes a second up and down."""

    addr: str
    trip_s: float
    up: float
    down: float


def ran(example: str, addr: str, token: str) -> dict[str, Any]:
    """One run, its imports done before: seconds, waits, bytes, what it printed."""
    is_picture = example == "colour_quantisation"
    words = ["--out", "/dev/null.png"] if is_picture else []
    before = _SMALLER if is_picture else ""
    if is_picture:
        before += "folder = tempfile.TemporaryDirectory()\n"
    source = PROGRAM.format(before=before, path=str(ROOT / "examples" / f"{example}.py"), words=words)
    if is_picture:
        source = source.replace("'/dev/null.png'", "folder.name + '/picture.png'")
    env = {"CUPOOL_ADDR": addr, "CUPOOL_TOKEN": token, "CUPOOL_LANE": "0"}
    found: dict[str, Any] = json.loads(script(source, env=env, timeout_s=300).splitlines()[-1])
    return found


@contextmanager
def away(address: str, token: str, rtt_ms: float) -> Iterator[Way]:
    """The pool at `address`, so far away; and what the way there is like."""
    target = address if address.startswith("unix:") else address.rpartition(":")[2]
    with (
        peer("tcp-echo") as echo,
        peer("relay", str(echo.port), str(rtt_ms)) as relay,
        _tcp.connection(relay.port) as sock,
    ):
        trip_s = _tcp.ping_s(sock, 30)  # what the relay really adds, its own two hops included
    with (
        peer("tcp-bulk") as bulk,
        peer("relay", str(bulk.port), str(rtt_ms)) as relay,
        _tcp.connection(relay.port) as sock,
    ):
        data = np.ones(16 * MIB, np.uint8)
        up = [data.nbytes / (_tcp.up_s(sock, data.data) - trip_s) for _ in range(3)]
        down = [data.nbytes / (_tcp.down_s(sock, data.data) - trip_s) for _ in range(3)]
    with peer("far-pool", target, str(rtt_ms), token) as far:
        yield Way(f"127.0.0.1:{far.port}", trip_s, statistics.median(up), statistics.median(down))


def points(examples: Sequence[str], trips_ms: Sequence[float], rounds: int) -> list[Point]:
    """The curves: an example each, by the round trip."""
    found = []
    with pool("cpu:1:4GiB") as (address, token):
        for example in examples:
            for rtt_ms in trips_ms:
                with away(address, token, rtt_ms) as way:
                    near, far, waits = [], [], 0
                    for _ in range(rounds):  # in turns: the machine's speed changes
                        near.append(ran(example, address, token)["s"])
                        seen = ran(example, way.addr, token)
                        far.append(seen["s"])
                        needed, waits = NEEDED[example](seen["output"]), seen["waits"]
                bytes_s = seen["up"] / way.up + seen["down"] / way.down
                floor = [s + (needed + SET_UP_TRIPS) * way.trip_s + bytes_s for s in near]
                note = f"needs {needed} waits, has {waits}; measured round trip {way.trip_s * 1e3:.2f} ms"
                found.append(Point(example, rtt_ms, "ms of round trip", far, "s", floor, GOAL, note=note))
    return found


def run(quick: bool) -> list[Point]:
    return points(list(NEEDED)[:2], (30.0,), 1) if quick else points(list(NEEDED), ROUND_TRIPS_MS, 3)
