"""`python -m benchmarks [--quick] [ROW ...]`: run rows, each in a process of its own, print the tables, write `benchmarks/results/`."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import rows
from benchmarks.harness import ROOT, environment, machine, mark_run, marked_processes, plain, versions

RESULTS = ROOT / "benchmarks" / "results"
#: A row that takes longer is stopped and reported as failed, seconds.
ROW_TIMEOUT_S = 180


def names() -> list[str]:
    """All rows, in the order of goals."""
    return sorted(info.name for info in pkgutil.iter_modules(rows.__path__) if not info.name.startswith("_"))


def run_row(name: str, quick: bool) -> dict[str, Any]:
    """In this process: the row's record."""
    mark_run()
    module = importlib.import_module(f"benchmarks.rows.{name}")
    start = time.perf_counter()
    results = plain(module.run(quick))
    return {
        "row": module.ROW,
        "title": module.TITLE,
        "seconds": round(time.perf_counter() - start, 1),
        "results": results,
    }


def run_apart(name: str, quick: bool) -> dict[str, Any]:
    """In a fresh process; a row that fails or hangs is a record with `error`, and the others go on."""
    mark_run()
    command = [sys.executable, "-m", "benchmarks", "--in-process", name] + (["--quick"] if quick else [])
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=ROW_TIMEOUT_S, env=environment()
        )
    except subprocess.TimeoutExpired:
        # A pool that the row started outlives it.
        for pid in marked_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return {"row": name, "title": "", "results": [], "error": f"not done after {ROW_TIMEOUT_S} s"}
    if done.returncode:
        return {
            "row": name,
            "title": "",
            "results": [],
            "error": f"ended with status {done.returncode}; see its error above",
        }
    record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return record


def table(record: dict[str, Any]) -> str:
    """A row as text."""
    lines = [f"{record['row']}  {record['title']}"]
    if "error" in record:
        lines.append(f"    FAILED: {record['error']}")
    elif not record["results"]:
        lines.append("    nothing to measure on this machine")
    for result in record["results"]:
        lines.append("    " + line(result))
    return "\n".join(lines)


def line(result: dict[str, Any]) -> str:
    is_ratio = result["kind"] == "ratio"
    value = f"{result['ratio']:.3g}x" if is_ratio else f"{result['value']:.4g} {result['unit']}"
    low, high = result["spread"]
    against = ""
    if is_ratio:
        against = f"{result['ours']['median']:.3g} / {result['baseline']['median']:.3g} {result['unit']}"
    verdict = ""
    if result["goal"] is not None:
        sign = "≥" if result.get("more_is_better") else "≤"
        verdict = f"goal {sign} {result['goal']:g}: {'met' if result['met'] else 'NOT MET'}"
    note = f"  ({result['note']})" if result["note"] else ""
    return f"{result['what']:<64} {value:>11}  [{low:.3g}, {high:.3g}]  {against:<28} {verdict}{note}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(names())}; none: all")
    parser.add_argument("--quick", action="store_true", help="fewer repeats: to see that it runs, not what it gives")
    parser.add_argument("--in-process", metavar="ROW", help=argparse.SUPPRESS)
    parser.add_argument(
        "--out", type=Path, help="where to write the JSON; default benchmarks/results/bench.json, quick: nowhere"
    )
    arguments = parser.parse_args()
    if arguments.in_process:
        print(json.dumps(run_row(arguments.in_process, arguments.quick)))
        return 0
    unknown = set(arguments.rows) - set(names())
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    records = []
    for name in arguments.rows or names():
        record = run_apart(name, arguments.quick)
        records.append(record)
        print(table(record), flush=True)
    out = arguments.out or (None if arguments.quick or arguments.rows else RESULTS / "bench.json")
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        report = {
            "command": "python -m benchmarks " + " ".join(sys.argv[1:]),
            "machine": machine(),
            "versions": versions(),
            "rows": records,
        }
        out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
        print(f"written to {out}")
    return 1 if any("error" in record for record in records) else 0


if __name__ == "__main__":
    sys.exit(main())
