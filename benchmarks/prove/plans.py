"""Random loops written out, as loops, and by plans: the same arrays, errors, poison and books."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import ROOT

TITLE = (
    "12 000 random loops by plans leave what they leave command by command, bit for bit, errors and accounts included"
)
PROGRAMS = 200
LIMIT_S = 300.0
_SUPPORT = str(ROOT / "tests" / "support")


def cases(full: bool) -> list[str]:
    return [f"seed-{seed:03d}" for seed in range(60 if full else 1)]


@contextmanager
def setup() -> Iterator[Any]:
    from cupool.apiserver.plans import plans

    sys.path.insert(0, _SUPPORT)
    from loop_programs import check

    before, plans.MANY_COMMANDS = plans.MANY_COMMANDS, 0  # at once, however short a loop is
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of NumPy, about values: results are what is compared
            yield check
    finally:
        plans.MANY_COMMANDS = before


def run_case(shared: Any, case: str) -> dict[str, Any]:
    first = 100_000 + int(case.partition("-")[2]) * PROGRAMS
    found = [shared(seed) for seed in range(first, first + PROGRAMS)]
    return {
        "programs": len(found),
        "loops": sum(s.loops for s in found),
        "planned": sum(s.planned for s in found),
        "stopped": sum(s.stopped for s in found),
        "commands_by_plans": sum(s.commands for s in found),
    }


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if not done:
        return {}
    return {key: sum(case[key] for case in done.values()) for key in next(iter(done.values()))}
