"""Random programs of commands, where elementwise chains are run in blocks and where each command runs by itself: the same bits."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import ROOT

TITLE = "random programs, joined and one by one: results, answers, errors and accounts bit-equal"
#: Programs of one case; every fourth case has arrays and blocks of the sizes that are used in service.
SMALL, REAL = 400, 40


def cases(full: bool) -> list[str]:
    if not full:
        return ["small-900", "real-901"]
    return [f"real-{k:03d}" if k % 4 == 3 else f"small-{k:03d}" for k in range(40)]


@contextmanager
def setup() -> Iterator[None]:
    support = str(ROOT / "tests" / "support")
    if support not in sys.path:
        sys.path.insert(0, support)
    yield


def run_case(shared: Any, case: str) -> dict[str, Any]:
    import fusion_programs

    kind, _, number = case.partition("-")
    programs, first, joined, chained = (REAL if kind == "real" else SMALL), int(number) * 10_000, 0, 0
    for seed in range(first, first + programs):
        if kind == "real":
            found = fusion_programs.check(seed, real_sizes=True)
        else:
            with fusion_programs.small_sizes():
                found = fusion_programs.check(seed)
        joined += found
        chained += found > 0
    assert joined, "nothing was joined: this case shows nothing"
    return {"programs": programs, "programs_with_chains": chained, "commands_joined": joined}


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    names = ("programs", "programs_with_chains", "commands_joined")
    return {name: sum(case[name] for case in done.values()) for name in names}
