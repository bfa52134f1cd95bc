"""The section of docs/coverage.md about CuPy's own tests, from the committed results of `tools/cupy_suite.py --save`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
SUITE = ROOT / "tests" / "cupy_suite"

_WORDS = {
    "passed": "passed", "failed": "failed", "xfailed": "failed as expected", "private": "private", "skipped": "skipped",
    "upstream-xfail": "expected by upstream", "excluded": "left out",
}  # fmt: skip


def _rate(row: dict[str, int]) -> str:
    passed = row.get("passed", 0) + row.get("xpassed", 0)
    ran = passed + row.get("failed", 0) + row.get("xfailed", 0)
    return f"{100 * passed / ran:.2f}" if ran else "–"


def _table(record: dict[str, Any]) -> list[str]:
    rows = record["folders"]
    columns = [o for o in _WORDS if any(o in row for row in rows.values())]
    lines = [
        f"| folder | {' | '.join(_WORDS[c] for c in columns)} | rate % |\n",
        f"|---|{'---:|' * (len(columns) + 1)}\n",
    ]
    for folder, row in rows.items():
        lines.append(f"| {folder} | {' | '.join(str(row.get(c, 0)) for c in columns)} | {_rate(row)} |\n")
    return lines


def section() -> list[str]:
    """Markdown lines; none where no result is committed."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("cupy-suite-*.json"))]
    if not records:
        return []
    lines = [
        "\n## CuPy's own tests\n\n",
        "CuPy's test-suite, unmodified, through the shim and a server with the CPU device. *rate*: passed of those that ran. "
        "*private*: the test died in a private module of CuPy that is not here; not counted. *failed as expected* counts as failed. "
        "*left out*: needs what no CPU device has; a file left out whole counts once.\n",
    ]
    for record in records:
        machine = record["machine"]
        lines += [
            f"\n`{record['command']}`, CuPy {record['cupy']}, {record['seconds']:.0f} s on {machine['cpus']} cores "
            f"({machine['memory_gib']} GiB, Python {machine['python']}):\n\n",
            *_table(record),
        ]
    sys.path.insert(0, str(SUITE))
    import suite_data

    for title, path in (("Left out", suite_data.EXCLUDED), ("Expected failures", suite_data.EXPECTED_FAILURES)):
        lines += [f"\n{title}, with the reason:\n\n", *(f"- {g.reason}\n" for g in suite_data.read(path).groups)]
    return lines
