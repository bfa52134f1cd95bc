"""`python -m benchmarks [--quick | --full] [ROW ...]`: run rows, each in a process of its own, print the tables, write results.

Without a name: all rows, into `benchmarks/results/bench.json`, and what has changed against the last committed one. With `--full` also the
curves, each row's record into a file of its own under `full/`; a run that was interrupted goes on where it stopped, `--fresh` starts anew.
"""

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
from types import ModuleType
from typing import Any

from benchmarks import compare, curves, rows
from benchmarks.harness import (
    ROOT,
    end_well_on_sigterm,
    environment,
    machine,
    mark_run,
    marked_processes,
    plain,
    versions,
)

RESULTS = ROOT / "benchmarks" / "results"
FULL = RESULTS / "full"
#: Names of what an interrupted full run has finished.
STATE = ROOT / "build" / "bench-full.json"
#: A row that takes longer is stopped and reported as failed, seconds. A module may say `TIMEOUT_S` itself.
ROW_TIMEOUT_S = 180
#: How long a row that is told to end may take to take its pool down.
END_S = 20.0


def names(package: ModuleType = rows) -> list[str]:
    """All rows, in the order of goals; or all curves."""
    return sorted(info.name for info in pkgutil.iter_modules(package.__path__) if not info.name.startswith("_"))


def find(name: str) -> ModuleType:
    """The module of a row or a curve."""
    package = "rows" if name in names(rows) else "curves"
    return importlib.import_module(f"benchmarks.{package}.{name}")


def run_row(name: str, quick: bool) -> dict[str, Any]:
    """In this process: the row's record."""
    mark_run()
    # What a program gets that has not loaded grpcio. A row has loaded it, for what it compares with.
    os.environ.setdefault("CUPOOL_TRANSPORT", "light")
    module = find(name)
    start, load = time.perf_counter(), os.getloadavg()[0]
    results = plain(module.run(quick))
    return {
        "row": module.ROW,
        "title": module.TITLE,
        "seconds": round(time.perf_counter() - start, 1),
        # Of the minute before it: what else the machine did. The row's own processes come on top.
        "load_before": round(load, 2),
        "results": results,
    }


def run_apart(name: str, quick: bool) -> dict[str, Any]:
    """In a fresh process; a row that fails or hangs is a record with `error`, and the others go on."""
    mark_run()
    limit_s = getattr(find(name), "TIMEOUT_S", ROW_TIMEOUT_S)
    command = [sys.executable, "-m", "benchmarks", "--in-process", name] + (["--quick"] if quick else [])
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment()) as row:
        try:
            said, _ = row.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            _end(row)
            return {"row": name, "title": "", "results": [], "error": f"not done after {limit_s} s"}
        except BaseException:  # we are told to end: so is it
            _end(row)
            raise
    if row.returncode:
        return {
            "row": name,
            "title": "",
            "results": [],
            "error": f"ended with status {row.returncode}; see its error above",
        }
    record: dict[str, Any] = json.loads(said.splitlines()[-1])
    return record


def _end(row: subprocess.Popen[str]) -> None:
    """End a row and what it started: by itself, which takes its pool down, else all of them at once."""
    row.terminate()
    try:
        row.wait(END_S)
    except subprocess.TimeoutExpired:
        row.kill()
    for pid in marked_processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


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
    if result["kind"] == "missing":
        return f"{result['what']:<64} {'-':>11}  {result['note']}"
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


def report(records: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
        "machine": machine(),
        "versions": versions(),
        "rows": records,
    }


def write(path: Path, records: list[dict[str, Any]]) -> dict[str, Any]:
    made = report(records)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    return made


def bench(chosen: list[str], quick: bool, out: Path | None) -> int:
    """Rows into one report, compared with the last committed one."""
    records = []
    for name in chosen or names():
        record = run_apart(name, quick)
        records.append(record)
        print(table(record), flush=True)
    default = RESULTS / "bench.json"
    before = compare.committed(default)
    if before is not None and not quick:
        print(compare.text(before, report(records)))
    target = out or (None if quick or chosen else default)
    if target:
        write(target, records)
        print(f"written to {target}")
    return 1 if any("error" in record for record in records) else 0


def bench_full(chosen: list[str], quick: bool, fresh: bool) -> int:
    """Rows and curves, each into a file of its own as soon as it is measured."""
    done: list[str] = [] if fresh or chosen or not STATE.exists() else json.loads(STATE.read_text())
    failed = False
    for name in chosen or [*names(), *names(curves)]:
        if name in done:
            continue
        record = run_apart(name, quick)
        print(table(record), flush=True)
        if "error" in record:
            failed = True
            continue
        if not quick:
            write(FULL / f"{name}.json", [record])
        if not chosen:
            done.append(name)
            STATE.parent.mkdir(parents=True, exist_ok=True)
            STATE.write_text(json.dumps(done))
    if not failed and not chosen:
        STATE.unlink(missing_ok=True)
    return int(failed)


def main() -> int:
    there = [*names(), *names(curves)]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(there)}; none: all")
    parser.add_argument("--quick", action="store_true", help="fewer repeats: to see that it runs, not what it gives")
    parser.add_argument("--full", action="store_true", help="curves too, a file each under benchmarks/results/full/")
    parser.add_argument("--fresh", action="store_true", help="of --full: nothing is done yet")
    parser.add_argument("--in-process", metavar="ROW", help=argparse.SUPPRESS)
    parser.add_argument(
        "--out", type=Path, help="where to write the JSON; default benchmarks/results/bench.json, quick: nowhere"
    )
    arguments = parser.parse_args()
    end_well_on_sigterm()
    if arguments.in_process:
        print(json.dumps(run_row(arguments.in_process, arguments.quick)))
        return 0
    unknown = set(arguments.rows) - set(there)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(there)}")
    if arguments.full:
        return bench_full(arguments.rows, arguments.quick, arguments.fresh)
    return bench(arguments.rows, arguments.quick, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
