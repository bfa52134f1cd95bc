"""Interpreters that end with a session open: none may hang."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import mark_run
from benchmarks.rows.s13 import exit_hangs

TITLE = "interpreter exits with a session open: 0 of 500 hang"


def cases(full: bool) -> list[str]:
    return [f"exit-{i:03d}" for i in range(500 if full else 3)]


@contextmanager
def setup() -> Iterator[None]:
    mark_run()
    yield


def run_case(shared: Any, case: str) -> dict[str, Any]:
    if exit_hangs():
        raise AssertionError("the interpreter did not end; see its threads with py-spy")
    return {"hangs": 0}


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"exits": len(done), "hangs": sum(result["hangs"] for result in done.values())}
