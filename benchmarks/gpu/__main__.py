"""`python -m benchmarks.gpu [PART ...]`: run the parts, most valuable first, whatever becomes of each; write `benchmarks/results/gpu.json`
after every one of them.

A part is a process of its own with a limit; what it leaves running is ended. The status is 1 where a part failed, in the end.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, RUN_VARIABLE, machine, marked_processes, plain, versions

from .parts import BUDGET_S, PARTS, Part
from .rows import ROWS

STANDINS = Path(__file__).parent / "standins"
RESULT = "GPU-PART "
#: Of what a part printed that is kept.
_TAIL = 3000
#: A part is not begun with less.
_LEAST_S = 15.0


def measure(name: str) -> int:
    """In a process of its own: print what was measured."""
    from . import rows

    results: list[Any] = []
    for result in rows.MEASURED[name](False):
        results.append(result)
        print(RESULT + json.dumps(plain(results)), flush=True)
    return 0


def environment(part: Part, mark: str) -> dict[str, str]:
    """Of a part's process."""
    paths = [os.environ.get("PYTHONPATH", ""), str(ROOT)]
    if importlib.util.find_spec("grpc_health") is None or importlib.util.find_spec("grpc_reflection") is None:
        paths.append(str(STANDINS))
    return {
        **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1", "CUPOOL_DEADLINE_S": "60",
        RUN_VARIABLE: mark, **part.settings,
    }  # fmt: skip


def command(part: Part) -> list[str]:
    if not part.tests:
        return [sys.executable, "-m", "benchmarks.gpu", "--in-process", part.name]
    # A newer library that warns is no failure here.
    options = ["-q", "-p", "no:cacheprovider", "-o", "filterwarnings=default", "--tb=short", "-rfE"]
    return [sys.executable, "-m", "pytest", *options, *part.tests]


def run(part: Part, limit_s: float) -> dict[str, Any]:
    """A part's record."""
    record: dict[str, Any] = {"part": part.name, "what": part.what, "outcome": "not run", "seconds": 0.0}
    if limit_s < _LEAST_S:
        return {**record, "note": "no time was left"}
    mark, started = uuid.uuid4().hex, time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        process = subprocess.Popen(
            command(part), cwd=ROOT, env=environment(part, mark), stdout=said, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            status: int | None = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(process, mark)
        said.seek(0)
        text = said.read()
    record["seconds"] = round(time.monotonic() - started, 1)
    record["outcome"] = "passed" if status == 0 else "stopped" if status is None else "failed"
    if status is None:
        record["note"] = f"not done after {limit_s:.0f} s"
    results = [line for line in text.splitlines() if line.startswith(RESULT)]
    if results:
        record["results"] = json.loads(results[-1].removeprefix(RESULT))
    if part.tests:
        record["tests"] = counts(text)
        if status == 5 or (status == 0 and not record["tests"].get("passed")):
            record["outcome"] = "skipped"
    if record["outcome"] != "passed":
        record["tail"] = text[-_TAIL:]
    return record


def _end(process: subprocess.Popen[Any], mark: str) -> None:
    """A part and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pid in marked_processes(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def counts(text: str) -> dict[str, int]:
    """Of pytest's last line: passed, failed, …"""
    lines = [
        line
        for line in text.splitlines()
        if re.search(r"\b(passed|failed|skipped|error|deselected)", line) and " in " in line
    ]
    return (
        {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", lines[-1].partition(" in ")[0])}
        if lines
        else {}
    )


def report(records: list[dict[str, Any]], budget_s: float) -> dict[str, Any]:
    return {
        "command": " ".join(["python -m benchmarks.gpu", *sys.argv[1:]]),
        "is_dry": os.environ.get("CUPOOL_GPU_DRY") == "1",
        "budget_s": budget_s,
        "machine": _safely(machine),
        "versions": _safely(versions),
        "parts": records,
        # As the suite's own reports have them: what docs/performance.md is made of.
        "rows": [
            {"row": ROWS[r["part"]], "title": r["what"], "seconds": r["seconds"], "results": r["results"]}
            for r in records
            if r["part"] in ROWS and r.get("results")
        ],
    }


def _safely(tell: Any) -> Any:
    try:
        return tell()
    except Exception as error:  # what is measured is worth more than a line about the machine
        return f"not known: {type(error).__name__}: {error}"


def line(record: dict[str, Any]) -> str:
    """A record as text."""
    head = f"{record['part']:<10} {record['outcome']:<8} {record['seconds']:>6.1f} s  {record['what']}"
    lines = [head + "".join(f"; {n} {word}" for word, n in record.get("tests", {}).items())]
    for one in record.get("results", ()):
        figure = (
            f"{one['ratio']:.3g}x" if "ratio" in one else f"{one['value']:.4g} {one['unit']}" if "value" in one else "-"
        )
        lines.append(f"    {one['what']:<70} {figure} {one.get('note', '')}")
    return "\n".join([*lines, *(f"    | {text}" for text in record.get("tail", "").splitlines()[-25:])])


def main() -> int:
    names = [part.name for group in PARTS for part in group]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(names)}; none: all")
    parser.add_argument("--budget-s", type=float, default=BUDGET_S, help="of all parts together")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "gpu.json")
    parser.add_argument("--in-process", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.in_process:
        return measure(arguments.in_process)
    unknown = set(arguments.parts) - set(names)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    end = time.monotonic() + arguments.budget_s
    records: list[dict[str, Any]] = []
    for group in PARTS:
        chosen = [part for part in group if not arguments.parts or part.name in arguments.parts]
        done: dict[str, dict[str, Any]] = {}

        def one(part: Part, done: dict[str, dict[str, Any]] = done) -> None:
            done[part.name] = run(part, min(part.limit_s, end - time.monotonic()))

        threads = [threading.Thread(target=one, args=(part,)) for part in chosen]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for part in chosen:
            records.append(
                done.get(part.name) or {"part": part.name, "what": part.what, "outcome": "failed", "seconds": 0.0}
            )
            print(line(records[-1]), flush=True)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(report(records, arguments.budget_s), indent=1, ensure_ascii=False) + "\n")
    print(f"written to {arguments.out}")
    return int(any(record["outcome"] in ("failed", "stopped") for record in records))


if __name__ == "__main__":
    sys.exit(main())
