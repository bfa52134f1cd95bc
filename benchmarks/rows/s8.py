"""S8: from the start of a process to its first result of a warm pool, beside a process that imports numpy and does nothing else."""

from __future__ import annotations

from cupool.pool.cli import coldstart

from benchmarks import pools
from benchmarks.harness import Missing, Ratio, Result, Value, alternate, environment

ROW = "S8"
TITLE = "process start → first result of a warm pool / `import numpy` alone; its parts; local CuPy on the same host"
WARM = 3
GOAL = 1.1
#: Of the parts: what a platform does before a request comes, where its functions are initialised ahead.
IMPORTS = ("the interpreter starts", "import numpy", "import cupy: the shim")


def run(quick: bool) -> list[Result]:
    options = ("--devices", "cpu:1:1GiB", "--max-sessions", "8", "--warm", str(WARM))
    with pools.up(*options) as pool:
        env = environment() | {"CUPOOL_ADDR": pool.addr, "CUPOOL_TOKEN": pool.token}
        parts: dict[str, list[float]] = {}

        def whole() -> float:
            pool.wait_warm(WARM)
            return coldstart.wall_ms(coldstart.WHOLE, env)

        def by_parts() -> float:
            pool.wait_warm(WARM)
            last = 0.0
            for name, at in coldstart.moments(coldstart.PARTS, env):
                parts.setdefault(name, []).append(at - last)
                last = at
            return last

        works = [whole, lambda: coldstart.wall_ms(coldstart.NUMPY, env), by_parts]
        is_local = coldstart.has_local_cupy()
        if is_local:
            works.append(lambda: coldstart.wall_ms(coldstart.LOCAL, env))
        ours, numpy, _, *local = alternate(3 if quick else 15, *works)
    imported = [sum(row) for row in zip(*(s for n, s in parts.items() if n not in IMPORTS), strict=True)][1:]
    results: list[Result] = [
        Ratio("process start → first result / `import numpy` alone", ours, numpy, "ms", GOAL),
        Value("first result with imports done", imported, "ms"),
        *(Value(f"part: {name}", samples[1:], "ms") for name, samples in parts.items()),
    ]
    if is_local:
        results.append(
            Ratio("local CuPy / cupool, from process start", local[0], ours, "ms", 15.0, more_is_better=True)
        )
        results.append(
            Ratio("local CuPy / cupool with imports done", local[0], imported, "ms", 40.0, more_is_better=True)
        )
    else:
        results.append(Missing("local CuPy / cupool, from process start", "needs a GPU: `make gpu`"))
    return results
