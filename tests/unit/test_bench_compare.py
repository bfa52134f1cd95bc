"""What `make bench` says of two reports: worse, better, noise; and what it leaves out."""

from __future__ import annotations

from typing import Any

from benchmarks import compare
from benchmarks.harness import Missing, Point, Ratio, Value, plain

MACHINE = {"cpu": "one", "cores": 2, "memory_gib": 8, "gpu": ""}


def report(*results: Any, machine: dict[str, Any] = MACHINE) -> compare.Report:
    return {"machine": machine, "rows": [{"row": "S1", "title": "", "results": plain(results)}]}


def around(middle: float, half: float) -> list[float]:
    return [middle - half, middle - half, middle, middle + half, middle + half]


def verdicts(before: compare.Report, now: compare.Report) -> dict[str, str]:
    return {
        c.what: "worse" if c.is_worse else "better" if c.is_better else "noise" for c in compare.changes(before, now)
    }


def test_a_change_is_more_than_both_spreads() -> None:
    quiet = report(Value("a", around(100, 1), "ms"), Value("b", around(100, 30), "ms"))
    later = report(Value("a", around(120, 1), "ms"), Value("b", around(120, 30), "ms"))
    assert verdicts(quiet, later) == {"a": "worse", "b": "noise"}
    assert verdicts(later, quiet) == {"a": "better", "b": "noise"}
    assert verdicts(quiet, quiet) == {"a": "noise", "b": "noise"}


def test_more_is_better_turns_it_round() -> None:
    before = report(Ratio("up", around(5, 0.1), around(10, 0), "GB/s", more_is_better=True))
    after = report(Ratio("up", around(8, 0.1), around(10, 0), "GB/s", more_is_better=True))
    assert verdicts(before, after) == {"up": "better"}
    assert verdicts(after, before) == {"up": "worse"}


def test_plain_figures_of_another_machine_are_not_compared() -> None:
    before = report(Value("a", [1.0], "ms"), Ratio("r", [1.0], [1.0], "ms"))
    after = report(Value("a", [9.0], "ms"), Ratio("r", [9.0], [1.0], "ms"), machine={**MACHINE, "cpu": "another"})
    assert verdicts(before, after) == {"r": "worse"}
    assert "another kind of machine" in compare.text(before, after)


def test_what_is_gone_missing_or_zero() -> None:
    before = report(Value("a", [1.0], "ms"), Value("hangs", [0.0], "exits"), Missing("gpu", "no GPU"))
    after = report(Value("hangs", [0.0], "exits"), Missing("gpu", "no GPU"), Point("grow", 10, "sessions", [1.0], "s"))
    assert verdicts(before, after) == {}
    assert "no longer measured:\n    S1  a" in compare.text(before, after)


def test_a_value_that_should_be_high_is_met_when_it_is() -> None:
    assert Value("a", [3.0], "x", goal=2.0, more_is_better=True).is_met
    assert not Value("a", [1.0], "x", goal=2.0, more_is_better=True).is_met
    assert Point("grow", 10, "sessions", [3.0], "s", goal=2.0).record()["met"] is False
