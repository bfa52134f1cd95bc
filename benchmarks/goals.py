# ruff: noqa: E501 - a table reads better with a row in a line
"""The goals of speed, and where each one's figure comes from: what `docs/performance.md` lists and the README's table wants.

A `Shown` points at one result of a report: of `make bench` (`bench.json`), of `make bench-full` (`full/<name>.json`), of a campaign
(`prove-<part>.json`), or of `make gpu` (`gpu.json`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Shown:
    """One figure that a goal is about.

    Attributes:
        goal: its name: "S1a".
        words: what is measured, for people.
        source: "bench", "full", "prove" or "gpu".
        row: the row's name in the report; of a campaign: the part.
        what: the result's `what`; of a campaign: its figure.
        limit: the goal.
        at_least: more is better.
        unit: of a campaign's figure; a result has its own.
    """

    goal: str
    words: str
    source: str
    row: str
    what: str | Callable[[dict[str, Any]], float]
    limit: float
    at_least: bool = False
    unit: str = ""


GOALS: tuple[Shown, ...] = (
    Shown("S1a", "caller's time per asynchronous small op, sends apart / NumPy's own add of 8 elements", "bench", "S1a", "c = a + b, its free included", 1.5),
    Shown("S1b", "the same with sends, 256 and more commands a batch", "bench", "S1b", "c = a + b, its free and its share of sending included", 3),
    Shown("S1b", "GPU: the same / local CuPy's launch", "gpu", "GPU", "S1b: caller's time per small op / local launch", 0.2),
    Shown("S2", "GPU: a launch-bound loop, wall / local CuPy", "gpu", "GPU", "S2: launch-bound loop, wall", 1.0),
    *(
        Shown("S3", f"GPU: {name}, 10^7 elements, by chains / local CuPy", "gpu", "S3", f"S3: {name}, 1e+07 elements, by chains", 0.5)
        for name in ("Black-Scholes", "Monte-Carlo option", "logistic map")
    ),
    Shown("S2b", "pipelined small ops end to end / the same loop in NumPy", "bench", "S2b", "a + b, a * b in a chain, 8 elements", 4),
    Shown("S2b", "commands a second, 512 a batch / raw TCP with the same codec", "bench", "S2b", "512 commands a batch, two words each", 0.5, True),
    *(
        Shown("S4", f"k-means at {ms} ms / (local wall + needed waits × round trip + 3 round trips)", "bench", "S4", f"k-means at {ms} ms", 1.05)
        for ms in ("0.2", "1", "5", "30")
    ),
    *(
        Shown("S4", f"{example.replace('_', ' ')} at 30 ms / the same", "full", "DISTANCE", f"{example}, 30 ms of round trip", 1.05)
        for example in (
            "black_scholes", "colour_quantisation", "conjugate_gradient", "gaussian_mixture", "monte_carlo", "neural_network", "stencil",
            "streams_and_events", "tiled_matmul",
        )
    ),
    Shown("S5a", "256 MiB up on one host, shared-memory ring / memcpy into warm memory", "bench", "S5a", "up, 256 MiB", 0.7, True),
    Shown("S5a", "256 MiB down to a fresh array / the same", "bench", "S5a", "down to a fresh array, 256 MiB", 0.4, True),
    Shown("S5b", "256 MiB up over gRPC / raw TCP", "bench", "S5b", "up, 256 MiB", 0.75, True),
    Shown("S5b", "256 MiB down over gRPC / raw TCP", "bench", "S5b", "down to a warm array, 256 MiB", 0.75, True),
    Shown("S6a", "one wait / bare grpcio stream ping-pong, both on one core", "bench", "S6a", "float(a), one core", 0.9),
    Shown("S6a", "the same, on two cores", "bench", "S6a", "float(a), two cores", 0.9),
    Shown("S6b", "delay of a command while the caller runs pure Python / idle round trip", "bench", "S6b", "command sent while the caller runs pure Python", 4),
    Shown("S7", "a session of a warm pool, lease to first result, p50", "bench", "S7", "unix socket: p50", 5),
    Shown("S7", "the same over TCP, p50", "bench", "S7", "TCP: p50", 5),
    Shown("S7", "the same / bare unary calls", "bench", "S7", "unix socket: p50 / bare unary call over TCP", 15),
    Shown("S8", "process start → first remote result / `import numpy` alone", "bench", "S8", "process start → first result / `import numpy` alone", 1.1),
    Shown("S8", "GPU: local CuPy / cupool, from process start", "gpu", "S8", "local CuPy / cupool, from process start", 15, True),
    Shown("S8", "GPU: local CuPy / cupool with imports done", "gpu", "S8", "local CuPy / cupool with imports done", 40, True),
    *(
        Shown("S9", f"a live move of {size}: the program's longest pause, p50", "bench", "S9", f"{size}: the client's longest pause", 50)
        for size in ("16 MiB", "128 MiB", "1 GiB", "4 GiB")
    ),
    Shown("S9", "GPU: a live move of 1 GiB: the program's longest pause", "gpu", "S9", "S9: 1 GiB, the client's longest pause", 50),
    Shown("S9", "bytes of a move of 4 GiB, order to release / memcpy", "bench", "S9", "4 GiB: bytes of a whole move, order to release / memcpy", 0.8, True),
    Shown("S10", "memory back after a client is killed, p99", "prove", "dead_clients", lambda s: float(s["killed"]["p99_s"]), 1, unit="s"),
    Shown("S10", "a hung client is noticed after, p99", "prove", "dead_clients", lambda s: float(s["hung"]["p99_s"]), 10, unit="s"),
    Shown("S12", "a lease and its release without attach, one controller", "bench", "S12", "a cycle, 8 at once", 2),
    Shown("S12", "a decision at 10,000 servers, simulated", "bench", "S12", "a decision at 10,000 servers", 10),
    Shown("S13", "memory of the client after import, above NumPy", "bench", "S13", "memory after import, above NumPy", 60),
    Shown("S13", "memory of a living array in the client", "bench", "S13", "memory of a live handle", 300),
    Shown("S13", "wire bytes of a small op, its free included", "bench", "S13", "wire bytes of a small op, its free included", 48),
    Shown("S14", "a pool's refill by the zygote / by a cold process", "bench", "S14", "zygote / cold process, CPU device", 0.1),
)  # fmt: skip
#: Rows of which every result that has a goal is shown, besides those above.
WHOLE_ROWS = ("S3", "S11", "PEERS", "HANDLES")


def limit_of(row: str, what: str) -> Shown | None:
    """What the goals want of a result of `make bench`; None: nothing, or only what the row itself says."""
    return next((g for g in GOALS if g.source == "bench" and (g.row, g.what) == (row, what)), None)
