"""Random programs over all that a session can hold, written down at a random batch and gone on with in another process."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import ROOT

TITLE = (
    "1 200 sessions written down and restored elsewhere: every later byte, address and account as in an undisturbed run"
)
PROGRAMS = 30
LIMIT_S = 600.0
_SUPPORT = str(ROOT / "tests" / "support")


def cases(full: bool) -> list[str]:
    return [f"seed-{seed:03d}" for seed in range(40 if full else 1)]


@contextmanager
def setup() -> Iterator[Any]:
    sys.path.insert(0, _SUPPORT)
    from document_worker import Worker

    worker = Worker()
    try:
        yield worker
    finally:
        worker.close()


def run_case(shared: Any, case: str) -> dict[str, Any]:
    from document_programs import Program

    number = int(case.partition("-")[2])
    found = {"programs": 0, "batches": 0, "failed_commands": 0, "document_bytes": 0, "copied_bytes": 0, "buffers": 0}
    for k in range(PROGRAMS):
        seed = 10_000 + number * PROGRAMS + k
        rng = random.Random(seed)
        program = Program(seed, rng.randint(4, 40), with_kernels=bool(k % 3))
        n = len(program.batches)
        cut = rng.randint(1, max(1, n - 1))  # a program of one batch is written down at its end
        whole = shared.ask(batches=program.batches)
        first = shared.ask(batches=program.batches[:cut], track_from=rng.randint(0, cut), pages=bool(seed % 2))
        rest = shared.ask(batches=program.batches[cut:], document=first["document"], buffers=first["buffers"])
        if [*first["seen"], *rest["seen"]] != whole["seen"]:
            raise AssertionError(f"program {seed}, cut before batch {cut} of {n}: another result")
        if rest["end"] != whole["end"] and not program.has_variables:
            raise AssertionError(f"program {seed}, cut before batch {cut} of {n}: other bytes at the end")
        found["programs"] += 1
        found["batches"] += n
        found["failed_commands"] += sum(len(failures) for _, failures, _ in whole["seen"])
        found["document_bytes"] += len(first["document"])
        found["copied_bytes"] += first["reported"]
        found["buffers"] += len(first["buffers"])
    return found


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if not done:
        return {}
    return {key: sum(case[key] for case in done.values()) for key in next(iter(done.values()))}
