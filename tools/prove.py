"""Campaigns: `make prove PART=name` runs one in full, `--sample` the seeded sample that `make test` runs.

A part is a module `benchmarks/prove/<name>.py` with

    TITLE: str                                  one line: what it shows
    def cases(full: bool) -> list[str]          ids of the cases, deterministic
    def setup() -> ContextManager[Any]          what all cases share (a pool, a reference result)
    def run_case(shared, case: str) -> dict     figures of one case; raises on failure
    def summary(done: dict[str, dict]) -> dict  figures over all cases

Finished cases are kept under `build/prove/<name>.json`, so an interrupted campaign goes on where it stopped; `--fresh` starts anew.
The result goes to `benchmarks/results/prove-<name>.json`, with its command and machine.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / "build" / "prove"
RESULTS = ROOT / "benchmarks" / "results"


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 30)
    return {
        "cpus": os.cpu_count(),
        "memory_gib": memory,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def load(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return state


def campaign(part: str, *, full: bool, fresh: bool = False, budget_s: float = 1200.0) -> dict[str, Any]:
    """Run a part and return its result record.

    Args:
        part: module name under `benchmarks.prove`.
        full: all cases; else the sample.
        fresh: forget finished cases.
        budget_s: stop after this time, keeping what is done; `complete` in the record says whether all cases ran.
    """
    module = importlib.import_module(f"benchmarks.prove.{part}")
    cases = module.cases(full)
    path = STATE / f"{part}{'' if full else '-sample'}.json"
    done = {} if fresh or not full else {c: r for c, r in load(path).items() if c in set(cases)}
    failures: dict[str, str] = {}
    started = time.monotonic()
    with module.setup() as shared:
        for case in cases:
            if case in done:
                continue
            if time.monotonic() - started > budget_s:
                break
            try:
                done[case] = module.run_case(shared, case)
            except Exception as error:  # every failure is reported below and fails the campaign
                failures[case] = f"{type(error).__name__}: {error}"
                print(f"FAILED {case}: {failures[case]}", file=sys.stderr)
            if full:
                STATE.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(done))
    record = {
        "part": part,
        "title": module.TITLE,
        "command": f"make prove PART={part}" if full else f"python tools/prove.py {part} --sample",
        "machine": machine(),
        "cases": len(cases),
        "passed": len(done),
        "failed": failures,
        "complete": len(done) + len(failures) == len(cases),
        "summary": module.summary(done),
    }
    if full:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"prove-{part}.json").write_text(json.dumps(record, indent=1) + "\n")
    return record


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", help="module under benchmarks/prove; none: list them")
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--budget-s", type=float, default=1150.0)
    args = parser.parse_args()
    sys.path.append(str(ROOT))  # behind PYTHONPATH, which may say which code is meant
    if not args.part:
        for path in sorted((ROOT / "benchmarks" / "prove").glob("[a-z]*.py")):
            print(f"{path.stem:12} {importlib.import_module(f'benchmarks.prove.{path.stem}').TITLE}")
        return 0
    importlib.import_module("benchmarks.harness").end_well_on_sigterm()
    record = campaign(args.part, full=not args.sample, fresh=args.fresh, budget_s=args.budget_s)
    print(json.dumps(record, indent=1))
    return 0 if record["complete"] and not record["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
