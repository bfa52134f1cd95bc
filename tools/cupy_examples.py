"""CuPy's own examples, from a checkout, unmodified, through the shim: `make cupy-examples CUPY=<checkout>`.

    python tools/cupy_examples.py --cupy ../cupy              all of them; writes benchmarks/results/cupy_examples.json
    python tools/cupy_examples.py --cupy ../cupy stream jit   those whose path begins so

tests/clients/cupy_examples.toml says how each program is run, or why it is not. A program passes when it ends with status 0: most
check their own results. Runs with a Python that has matplotlib and SciPy (the make target makes one).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "clients" / "cupy_examples.toml"
RESULT = ROOT / "benchmarks" / "results" / "cupy_examples.json"
sys.path[:0] = [str(ROOT / "tests" / "cupy_suite"), str(ROOT / "tools")]

from cupy_suite import checkout  # noqa: E402
from link_tree import make as link_tree  # noqa: E402

LIMIT_S = 300


def listed(upstream: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Programs with their arguments, and those that are not run with the reason. Exits when a program is in neither or in both."""
    data = tomllib.loads(LIST.read_text(encoding="utf-8"))
    programs: dict[str, list[str]] = data["programs"]
    excluded = {name: group["reason"] for group in data["excluded"] for name in group["programs"]}
    there = {str(path.relative_to(upstream / "examples")) for path in (upstream / "examples").rglob("*.py")}
    accounted = [*programs, *excluded]
    if sorted(accounted) != sorted(there):
        sys.exit(f"{LIST.name}: not listed once: {sorted(there ^ set(accounted)) or 'a program is listed twice'}")
    return programs, excluded


def run(upstream: Path, name: str, arguments: list[str]) -> tuple[bool, float, str]:
    """(whether it passed, seconds, its output)."""
    env = {k: v for k, v in os.environ.items() if k not in ("CUPOOL_ADDR", "CUPOOL_TOKEN")}
    env |= {"PYTHONPATH": str(link_tree()), "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg"}
    script = upstream / "examples" / name
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cupool", "run", str(script), *arguments], cwd=script.parent, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        return False, time.monotonic() - start, f"not over after {LIMIT_S} s\n{late.output or ''}"
    return done.returncode == 0, time.monotonic() - start, done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cupy", default="", help="the checkout of CuPy")
    parser.add_argument("programs", nargs="*", help="beginnings of paths below examples/")
    options = parser.parse_args()
    upstream = checkout(options.cupy)
    programs, excluded = listed(upstream)
    chosen = {n: a for n, a in programs.items() if not options.programs or n.startswith(tuple(options.programs))}
    rows: list[dict[str, Any]] = []
    for name, arguments in chosen.items():
        passed, seconds, output = run(upstream, name, arguments)
        rows.append({"program": name, "arguments": arguments, "passed": passed, "seconds": round(seconds, 1)})
        print(f"{'ok    ' if passed else 'FAILED'} {seconds:6.1f} s  {name} {' '.join(arguments)}", flush=True)
        if not passed:
            print("    " + "\n    ".join(output.strip().splitlines()[-12:]))
    good = sum(row["passed"] for row in rows)
    print(f"{good} of {len(rows)} programs run unmodified; {len(excluded)} are not run:")
    for reason in dict.fromkeys(excluded.values()):
        print(f"  {reason}: {', '.join(name for name, why in excluded.items() if why == reason)}")
    if not options.programs:
        record = {"command": "make cupy-examples CUPY=<checkout>", "programs": rows, "not run": excluded}
        RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return int(good != len(rows))


if __name__ == "__main__":
    sys.exit(main())
