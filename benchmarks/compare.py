"""Two reports of `make bench`: what got slower, what got faster, and what is too noisy to tell.

A figure has changed when its medians lie further apart than a band: half of what the middle halves of the two spread over, together, and at
least `LEAST` of the older figure. Ratios are compared as ratios, so that another machine's speed does not count; plain figures
(milliseconds, bytes) only between runs on machines of one kind.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT

#: Nothing less counts as a change, as a share of the older figure.
LEAST = 0.08
Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in both reports.

    Attributes:
        factor: how many times as slow (as large, as bad) as it was; below 1: better.
        band: a factor up to 1 + band, or down to 1 / (1 + band), is noise.
    """

    row: str
    what: str
    before: float
    now: float
    unit: str
    factor: float
    band: float

    @property
    def is_worse(self) -> bool:
        return self.factor > 1 + self.band

    @property
    def is_better(self) -> bool:
        return self.factor < 1 / (1 + self.band)

    def __str__(self) -> str:
        return (
            f"{self.row:<9} {self.what:<70} {self.before:.4g} -> {self.now:.4g} {self.unit}  "
            f"({self.factor:.2f} times; noise ±{100 * self.band:.0f} %)"
        )


def figures(report: Report) -> dict[tuple[str, str], dict[str, Any]]:
    """Every measured result by (row, what)."""
    return {
        (row["row"], result["what"]): result
        for row in report["rows"]
        for result in row["results"]
        if result["kind"] in ("ratio", "value")
    }


def value(result: dict[str, Any]) -> float:
    return float(result["ratio"] if result["kind"] == "ratio" else result["value"])


def changes(before: Report, now: Report) -> Iterator[Change]:
    """Every figure that both reports have and that can be compared."""
    is_same_machine = kind_of_machine(before) == kind_of_machine(now)
    old = figures(before)
    for key, result in figures(now).items():
        was = old.get(key)
        if was is None or was["kind"] != result["kind"] or (result["kind"] == "value" and not is_same_machine):
            continue
        a, b = value(was), value(result)
        if a <= 0 or b <= 0:
            continue  # counts of failures: their goal judges them
        factor = a / b if result.get("more_is_better") else b / a
        spread = sum((r["spread"][1] - r["spread"][0]) / abs(value(r)) for r in (was, result)) / 2
        unit = "x" if result["kind"] == "ratio" else result["unit"]
        yield Change(*key, a, b, unit, factor, max(LEAST, spread))


def kind_of_machine(report: Report) -> tuple[Any, ...]:
    machine = report["machine"]
    return tuple(machine.get(name) or "" for name in ("cpu", "cores", "memory_gib", "gpu"))


def committed(path: Path) -> Report | None:
    """The report at `path` as the last commit has it; None where there is none, or no repository."""
    name = path.resolve().relative_to(ROOT).as_posix()
    try:
        done = subprocess.run(["git", "show", f"HEAD:{name}"], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return None
    if done.returncode:
        return None
    report: Report = json.loads(done.stdout)
    return report


def text(before: Report, now: Report) -> str:
    """What a reader wants to know of the comparison, as lines."""
    found = list(changes(before, now))
    worse = sorted((c for c in found if c.is_worse), key=lambda c: -c.factor)
    better = sorted((c for c in found if c.is_better), key=lambda c: c.factor)
    lines = [f"Against the last committed result: {len(found)} figures compared."]
    if kind_of_machine(before) != kind_of_machine(now):
        lines.append("    It was measured on another kind of machine: ratios alone are compared.")
    for title, those in (("SLOWER", worse), ("faster", better)):
        lines.append(f"{title}: {len(those)}")
        lines.extend(f"    {change}" for change in those)
    rows = {row["row"]: row for row in now["rows"]}
    gone = [key for key in figures(before) if key not in figures(now) and key[0] in rows]
    if gone:
        lines.append("no longer measured:")
        lines.extend(f"    {row}  {what}" for row, what in gone)
    return "\n".join(lines)
