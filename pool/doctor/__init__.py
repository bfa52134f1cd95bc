"""`cupool doctor`: what is wrong, with evidence and a cure. Works with the base install: only what a check needs is imported, by the check.

    client.py   what a program needs: this Python and its environment (program.py), and the way to its pool (reach.py)
    host.py     what a pool's host needs: devices, sandbox, limits, and the pool that runs here
    bundle.py   all of it in one archive, without secrets

A check is a function that yields verdicts. It changes nothing, and a check that fails itself is a verdict too.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cupool.contract import redaction

SCHEMA = "cupool.doctor/1"
OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """
    Attributes:
        check: what was looked at, in one or two words; stable.
        verdict: "ok", "warning" (works, and should not stay so), "failed" (does not work), "skipped" (does not apply here).
        evidence: what was seen.
        cure: what to do; empty for "ok" and "skipped".
        code: exit code of a failed one.
    """

    check: str
    verdict: str
    evidence: str
    cure: str = ""
    code: int = 1


Check = Callable[[], Iterable[Verdict]]


def ok(check: str, evidence: str) -> Verdict:
    return Verdict(check, OK, evidence)


def warning(check: str, evidence: str, cure: str) -> Verdict:
    return Verdict(check, WARNING, evidence, cure)


def failed(check: str, evidence: str, cure: str, code: int = 1) -> Verdict:
    return Verdict(check, FAILED, evidence, cure, code)


def skipped(check: str, evidence: str) -> Verdict:
    return Verdict(check, SKIPPED, evidence)


def examine(checks: Iterable[tuple[str, Check]]) -> Iterator[Verdict]:
    """The verdicts of checks, each as soon as it is known; without secrets."""
    for name, check in checks:
        try:
            for verdict in check():
                yield dataclasses.replace(
                    verdict, evidence=redaction.redact(verdict.evidence), cure=redaction.redact(verdict.cure)
                )
        except Exception as error:
            what = redaction.redact(f"the check itself failed: {type(error).__name__}: {error}")
            yield warning(name, what, "Please report it.")


def exit_code(verdicts: Iterable[Verdict], is_strict: bool = False) -> int:
    """0: nothing is broken. Else the code of the first that failed; with `is_strict` 1 where there is a warning."""
    seen = list(verdicts)
    for verdict in seen:
        if verdict.verdict == FAILED:
            return verdict.code
    return int(is_strict and any(v.verdict == WARNING for v in seen))


def document(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """As `--json` prints it."""
    rows = [dataclasses.asdict(v) for v in verdicts]
    for row in rows:
        del row["code"]
    order = (FAILED, WARNING, OK)
    worst = next((w for w in order if any(r["verdict"] == w for r in rows)), OK)
    return {"schema": SCHEMA, "worst": worst, "checks": rows}


def line(verdict: Verdict) -> str:
    """For people: the verdict, the check, what was seen; and below, what to do."""
    mark = {OK: "ok     ", WARNING: "warning", FAILED: "FAILED ", SKIPPED: "-      "}[verdict.verdict]
    text = f"{mark}  {verdict.check:<14} {verdict.evidence}"
    return text + (f"\n{'':<25}try: {verdict.cure}" if verdict.cure else "")


def as_json(found: dict[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False, indent=1)
