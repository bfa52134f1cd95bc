"""Hostile frames against the codec and a session's server side: no crash, bounded memory, and books that add up after every frame."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import ROOT, environment

TITLE = "a million hostile frames: executed or refused, none crashes the server"
TARGET = ROOT / "tests" / "contract" / "fuzz_wire.py"
FRAMES = 50_000
LIMIT_S = 600.0


def cases(full: bool) -> list[str]:
    return [f"seed-{seed:03d}" for seed in range(20 if full else 1)]


@contextmanager
def setup() -> Iterator[None]:
    yield


def run_case(shared: Any, case: str) -> dict[str, Any]:
    words = [sys.executable, str(TARGET), "--runs", str(FRAMES), "--seed", case.partition("-")[2]]
    run = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=environment())
    if run.returncode:
        raise AssertionError(run.stderr[-2000:])
    frames, executed, refused, peak = (
        int(re.search(pattern, run.stdout)[1])  # type: ignore[index]
        for pattern in (r"(\d+) frames", r"(\d+) executed", r"(\d+) refused", r"peak (\d+) MiB")
    )
    return {"frames": frames, "executed": executed, "refused": refused, "peak_mib": peak}


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if not done:
        return {}
    total = {key: sum(case[key] for case in done.values()) for key in ("frames", "executed", "refused")}
    return {**total, "peak_mib": max(case["peak_mib"] for case in done.values())}
