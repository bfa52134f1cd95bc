"""Random programs of commands, where elementwise chains are run in blocks and where each command runs by itself: the same bits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import ROOT, environment

TITLE = "random programs, joined and one by one: results, answers, errors and accounts bit-equal"
#: Programs of one case; every fourth case has arrays and blocks of the sizes that are used in service.
SMALL, REAL = 400, 40


def cases(full: bool) -> list[str]:
    if not full:
        return ["small-900", "real-901"]
    return [f"real-{k:03d}" if k % 4 == 3 else f"small-{k:03d}" for k in range(40)]


#: Runs so many programs from a seed on; prints how many had chains, how many commands joined, segments, and how many the driver ran.
SCRIPT = """
import contextlib, sys
sys.path.insert(0, sys.argv[1])
import fusion_programs
first, programs, real = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "real"
with contextlib.nullcontext() if real else fusion_programs.small_sizes():
    done = [fusion_programs.check(seed, real) for seed in range(first, first + programs)]
print(sum(d.joined > 0 for d in done), *(sum(getattr(d, n) for d in done) for n in ("joined", "segments", "lowered")))
"""
LIMIT_S = 600.0


@contextmanager
def setup() -> Iterator[None]:
    yield


def run_case(shared: Any, case: str) -> dict[str, Any]:
    kind, _, number = case.partition("-")
    programs = REAL if kind == "real" else SMALL
    words = [
        sys.executable,
        "-c",
        SCRIPT,
        str(ROOT / "tests" / "support"),
        str(int(number) * 10_000),
        str(programs),
        kind,
    ]
    run = subprocess.run(
        words, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=environment(), cwd=ROOT
    )
    if run.returncode:
        raise AssertionError(run.stderr[-2000:])
    chained, joined, segments, lowered = map(int, run.stdout.split())
    assert joined, "nothing was joined: this case shows nothing"
    assert lowered, "the driver ran nothing: this case shows nothing of it"
    return {
        "programs": programs, "programs_with_chains": chained, "commands_joined": joined, "segments": segments,
        "segments_run_by_the_driver": lowered,
    }  # fmt: skip


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    names = ("programs", "programs_with_chains", "commands_joined", "segments", "segments_run_by_the_driver")
    return {name: sum(case[name] for case in done.values()) for name in names}
