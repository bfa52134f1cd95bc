"""Random loops on a GPU that is memory of the process: command by command, and by captured graphs."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import ROOT

TITLE = "2 000 random programs of loops by captured graphs leave what they leave command by command, over a CuPy that is played"
PROGRAMS = 50
LIMIT_S = 300.0
_SUPPORT = str(ROOT / "tests" / "support")


def cases(full: bool) -> list[str]:
    return [f"seed-{seed:03d}" for seed in range(40 if full else 1)]


@contextmanager
def played() -> Iterator[tuple[Any, Any]]:
    """A patch that lasts as long, and the CUDA device's module over a CuPy that is played."""
    import pytest

    sys.path.insert(0, _SUPPORT)
    import fakecupy

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of NumPy, about values: results are what is compared
        yield patch, fakecupy.install(patch)


@contextmanager
def setup() -> Iterator[Any]:
    with played() as (patch, cuda):
        from cupool.apiserver.devices.cuda import graphs
        from cupool.apiserver.plans import plans
        from graph_programs import check

        patch.setattr(plans, "MANY_COMMANDS", 0)  # at once, however short a loop is
        patch.setattr(graphs, "AFTER_COMMANDS", 0)
        patch.setattr(graphs, "KERNELS", 6)
        yield lambda seed: check(cuda, seed)


def run_case(shared: Any, case: str) -> dict[str, Any]:
    first = 100_000 + int(case.partition("-")[2]) * PROGRAMS
    found = [shared(seed) for seed in range(first, first + PROGRAMS)]
    return {
        "programs": len(found),
        "captured": sum(s.captured for s in found),
        "launches": sum(s.launches for s in found),
        "commands_by_graphs": sum(s.commands for s in found),
    }


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if not done:
        return {}
    return {key: sum(case[key] for case in done.values()) for key in next(iter(done.values()))}
