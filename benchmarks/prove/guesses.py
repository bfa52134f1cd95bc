"""A million guesses at handles, and a million at sessions and their tokens: not one hits."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import ROOT, mark_run

TITLE = "10^6 guessed handles and 10^6 guessed session ids and tokens hit nothing"
HANDLES, SESSIONS = 50_000, 10_000


def cases(full: bool) -> list[str]:
    handles, sessions = (1_000_000 // HANDLES, 1_000_000 // SESSIONS) if full else (1, 1)
    return [f"handles-{HANDLES}-{i}" for i in range(handles)] + [f"sessions-{SESSIONS}-{i}" for i in range(sessions)]


@contextmanager
def setup() -> Iterator[None]:
    mark_run()
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    try:
        yield
    finally:
        sys.path.remove(str(ROOT / "tests" / "support"))


def run_case(shared: Any, case: str) -> dict[str, Any]:
    import guessing
    import wire

    kind, count, seed = case.split("-")
    with wire.server("--park-grace", "3600") as server:
        if kind == "handles":
            return guessing.guess_handles(server, int(count), int(seed))
        with server.attach() as stream:
            stream.next()
            return guessing.guess_sessions(server.endpoint, int(count), int(seed))


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    total = {
        f"{kind}_guesses": sum(r["guesses"] for case, r in done.items() if case.startswith(kind))
        for kind in ("handles", "sessions")
    }
    return {**total, "hits": sum(r["hits"] for r in done.values())}
