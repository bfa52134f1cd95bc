"""Random programs on a GPU that is memory of the process: elementwise chains as one kernel, and each command by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .graphs import played, summary

TITLE = (
    "400 random programs with chains as kernels leave what they leave command by command, over a CuPy that is played"
)
PROGRAMS = 25
LIMIT_S = 300.0


def cases(full: bool) -> list[str]:
    return [f"seed-{seed:03d}" for seed in range(16 if full else 1)]


@contextmanager
def setup() -> Iterator[Any]:
    with played() as (patch, cuda):
        import chain_programs

        chain_programs.small_sizes(patch)
        yield lambda seed: chain_programs.make(seed).check_on(cuda)


def run_case(shared: Any, case: str) -> dict[str, Any]:
    first = 100_000 + int(case.partition("-")[2]) * PROGRAMS
    found = [shared(seed) for seed in range(first, first + PROGRAMS)]
    assert not sum(chains.kernels.refused for chains in found), "a kernel gave other bits than its commands"
    done = {
        "programs": len(found),
        "kernels": sum(chains.kernels.compiled for chains in found),
        "tried_beside_their_commands": sum(chains.tried for chains in found),
        "windows_by_kernels": sum(chains.windows for chains in found),
        "commands_by_kernels": sum(chains.joined for chains in found),
    }
    assert done["windows_by_kernels"], "no chain ran as a kernel: this case shows nothing"
    return done


__all__ = ["LIMIT_S", "TITLE", "cases", "run_case", "setup", "summary"]
