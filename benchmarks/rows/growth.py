"""How cost grows, in short: a few points of the curves that `make bench-full` has in full."""

from __future__ import annotations

from benchmarks.curves import handles, sessions, sizes
from benchmarks.harness import Result

ROW = "GROWTH"
TITLE = "how cost grows, some points: elements, living arrays, sessions"


def run(quick: bool) -> list[Result]:
    rounds = 1 if quick else 3
    return [
        *sizes.points((1, 10_000, 1_000_000), rounds),
        *handles.points((100, 10_000), rounds),
        *sessions.points((1, 4), rounds, 0.5),
    ]
