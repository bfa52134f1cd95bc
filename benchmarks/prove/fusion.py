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
SMALL, REAL, WAVES = 400, 40, 200


def cases(full: bool) -> list[str]:
    if not full:
        return ["small-900", "real-901", "waves-902"]
    return [f"real-{k:03d}" if k % 4 == 3 else f"small-{k:03d}" for k in range(40)] + [
        f"waves-{k}" for k in range(40, 46)
    ]


#: Runs so many programs from a seed on; prints how many had chains, how many commands joined, segments, how many the driver ran, and
#: results that were written over operands, in chains and one by one.
SCRIPT = """
import contextlib, sys
sys.path.insert(0, sys.argv[1])
import fusion_programs
first, programs, real = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "real"
with contextlib.nullcontext() if real else fusion_programs.small_sizes():
    done = [fusion_programs.check(seed, real) for seed in range(first, first + programs)]
names = ("joined", "segments", "lowered", "over", "over_alone")
print(sum(d.joined > 0 for d in done), *(sum(getattr(d, n) for d in done) for n in names))
"""
#: The same of stencils; prints how many waves there were.
STENCILS = """
import sys
sys.path.insert(0, sys.argv[1])
import fusion_programs, stencil_programs
first, programs = int(sys.argv[2]), int(sys.argv[3])
with fusion_programs.small_sizes():
    print(sum(stencil_programs.check(seed) for seed in range(first, first + programs)))
"""
LIMIT_S = 600.0


@contextmanager
def setup() -> Iterator[None]:
    yield


def run_case(shared: Any, case: str) -> dict[str, Any]:
    kind, _, number = case.partition("-")
    programs = {"real": REAL, "waves": WAVES}.get(kind, SMALL)
    words = [
        sys.executable,
        "-c",
        STENCILS if kind == "waves" else SCRIPT,
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
    if kind == "waves":
        assert int(run.stdout), "no segments ran together: this case shows nothing"
        return {"programs": programs, "waves": int(run.stdout)}
    chained, joined, segments, lowered, over, alone = map(int, run.stdout.split())
    assert joined, "nothing was joined: this case shows nothing"
    assert lowered, "the driver ran nothing: this case shows nothing of it"
    return {
        "programs": programs, "programs_with_chains": chained, "commands_joined": joined, "segments": segments,
        "segments_run_by_the_driver": lowered, "results_over_operands": over, "results_over_operands_alone": alone,
    }  # fmt: skip


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    names = (
        "programs", "programs_with_chains", "commands_joined", "segments", "segments_run_by_the_driver", "results_over_operands",
        "results_over_operands_alone", "waves",
    )  # fmt: skip
    return {name: sum(case.get(name, 0) for case in done.values()) for name in names}
