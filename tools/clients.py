"""Other people's programs: the CuPy-facing tests of opt_einsum, einops, dask.array and scikit-learn through the shim. `make clients`.

    python tools/clients.py                 all of them; writes benchmarks/results/clients.json
    python tools/clients.py einops --show   one of them, with what failed

Runs with a Python that has the packages of tests/clients/requirements.txt (the make target makes one): their own tests, as installed,
unmodified. `import cupy` in them is the shim, with an embedded pool. The exit status is 0 when every failure was expected
(tests/clients/expected_failures.toml) and every expected failure failed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import sysconfig
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "clients"
RESULT = ROOT / "benchmarks" / "results" / "clients.json"
EXPECTED = ROOT / "tests" / "clients" / "expected_failures.toml"
sys.path[:0] = [str(ROOT / "tests" / "cupy_suite"), str(ROOT / "tools")]

import suite_data  # noqa: E402
from link_tree import make as link_tree  # noqa: E402

TEST_TIMEOUT_S = 300
LIMIT_S = 1800
INI = """[pytest]
markers =
    array_expr
    gpu
    network
    slow
xfail_strict = false
filterwarnings =
    ignore
"""


@dataclass(frozen=True, slots=True)
class Client:
    """A program: its distribution, the pytest arguments for its tests that use CuPy, and the environment that they want."""

    name: str
    distribution: str
    arguments: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)


_DASK = "core creation gufunc linalg overlap percentile random reductions routines slicing sparse"
CLIENTS = (
    Client("opt_einsum", "opt_einsum", ("-k", "cupy", "--pyargs", "opt_einsum.tests.test_backends")),
    Client("einops", "einops", ("--pyargs", "einops.tests"), {"EINOPS_TEST_BACKENDS": "cupy"}),
    Client(
        "scikit-learn",
        "scikit-learn",
        ("-k", "cupy", "--pyargs", "sklearn.utils.tests.test_array_api"),
        {"SCIPY_ARRAY_API": "1"},
    ),
    Client("dask.array", "dask", ("--pyargs", *(f"dask.array.tests.test_cupy_{part}" for part in _DASK.split()))),
)


def environment(client: Client) -> dict[str, str]:
    """The shim in CuPy's place, by PYTHONPATH alone."""
    tree = link_tree()
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTEST_ADDOPTS", "CUPOOL_ADDR", "CUPOOL_TOKEN")}
    path = os.pathsep.join((str(tree), str(tree / "cupool" / "dropin")))
    return kept | client.env | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def command(client: Client) -> list[str]:
    """What runs its tests."""
    return [
        "python", "-m", "pytest", "-c", "pytest.ini", "-p", "no:cacheprovider", "-q", f"--timeout={TEST_TIMEOUT_S}", *client.arguments,
    ]  # fmt: skip


def run(client: Client, show: bool) -> dict[str, Any]:
    """Run one client's tests; returns its record. Raises SystemExit when nothing ran."""
    report = WORK / f"{client.distribution}.xml"
    report.unlink(missing_ok=True)
    start = time.monotonic()
    # Tests are named by their files below the folder that the package is in.
    arguments = [*command(client)[1:], f"--junit-xml={report}", f"--rootdir={sysconfig.get_path('purelib')}"]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=WORK, env=environment(client), capture_output=True, text=True, timeout=LIMIT_S
    )
    if not report.exists():
        raise SystemExit(
            f"{client.name}: pytest ended with status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
    outcomes = _outcomes(report)
    if not outcomes:
        raise SystemExit(f"{client.name}: no test ran\n{done.stdout[-3000:]}")
    expected, counts, wrong = suite_data.read(EXPECTED), Counter[str](), []
    for test, (outcome, text) in sorted(outcomes.items()):
        reason = expected.reason(f"{client.name} {test}")
        if reason is not None:
            outcome = {"failed": "expected_failures", "passed": "failed"}.get(outcome, outcome)
            text = text or f"passes, but was expected to fail: {reason}"
        counts[outcome] += 1
        if outcome == "failed":
            wrong.append((test, text))
    for test, text in wrong if show else wrong[:20]:
        print(f"FAILED {client.name} {test}\n    {text}")
    return {
        "client": client.name,
        "version": importlib.metadata.version(client.distribution),
        "command": " ".join([*(f"{k}={v}" for k, v in client.env.items()), *command(client)]),
        **{name: counts[name] for name in ("passed", "failed", "expected_failures", "skipped")},
        "seconds": round(time.monotonic() - start, 1),
    }


def _outcomes(report: Path) -> dict[str, tuple[str, str]]:
    """ "module::test[parameters]" -> (outcome, first line of what was raised), from pytest's own report."""
    found: dict[str, tuple[str, str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        module = (case.get("classname") or "").rpartition(".")[2]
        name, outcome, text = f"{module}::{case.get('name')}", "passed", ""
        for tag in ("failure", "error", "skipped"):
            for child in case.iter(tag):
                outcome = "skipped" if tag == "skipped" else "failed"
                text = (child.get("message") or "").strip().partition("\n")[0][:300]
        found[name] = (outcome, text)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "clients", nargs="*", help=f"of {', '.join(c.name for c in CLIENTS)}; default: all, and the result is written"
    )
    parser.add_argument("--show", action="store_true", help="print what failed")
    options = parser.parse_args()
    chosen = [c for c in CLIENTS if not options.clients or c.name in options.clients]
    if not chosen:
        parser.error(f"no client {options.clients}")
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / "pytest.ini").write_text(INI, encoding="utf-8")
    rows = []
    print(f"{'client':12s} {'version':10s} {'passed':>7s} {'failed':>7s} {'expected':>9s} {'skipped':>8s} {'s':>7s}")
    for client in chosen:
        row = run(client, options.show)
        rows.append(row)
        print(f"{row['client']:12s} {row['version']:10s} {row['passed']:7d} {row['failed']:7d} {row['expected_failures']:9d} "
              f"{row['skipped']:8d} {row['seconds']:7.1f}", flush=True)  # fmt: skip
    if not options.clients:
        versions = {
            "python": platform.python_version(),
            **{n: importlib.metadata.version(n) for n in ("numpy", "scipy", "pytest")},
        }
        RESULT.write_text(
            json.dumps({"command": "make clients", "versions": versions, "clients": rows}, indent=1) + "\n",
            encoding="utf-8",
        )
    return int(any(row["failed"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
