"""`cupool bench coldstart`: each millisecond from the start of a process to its first result from a pool.

Boundary: it runs programs in fresh interpreters and reads the moments that they print; nothing of the shim is imported here. The parts come
from a program that imports one thing after another; the whole from one that is written as users write it, and from one that imports numpy
alone, in turns.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .exits import CliError, Exit

if TYPE_CHECKING:
    from .show import Document

SCHEMA = "cupool.bench.coldstart/1"
#: A program that takes longer has failed, seconds.
LIMIT_S = 120.0
_WHOLE, _NUMPY = "process start → first result", "`import numpy` alone"

_MARK = """
import time
clock = time.monotonic_ns
marks = [("the interpreter starts", clock())]
def mark(name): marks.append((name, clock()))
"""
_SAY = "\nimport json, sys; sys.stdout.write(json.dumps(marks))\n"
#: Each thing apart, so that a part's milliseconds are its own. What is told of a session gives the moments in the first call.
PARTS = (
    _MARK
    + """
import numpy; mark("import numpy")
from cupool import cupy as cp; mark("import cupy: the shim")
from cupool.shim import trace
names = {"session-asked": "settings", "session-leased": "the lease", "session-attached": "attaching"}
said = trace.say
def say(event, **fields):
    if event in names: mark(names[event])
    said(event, **fields)
trace.say = say
value = cp.arange(8).sum(); mark("the first command")
assert float(value) == 28.0; mark("its result")
"""
    + _SAY
)
#: As users write it: the first import that `cupy` needs is its own affair.
WHOLE = (
    _MARK
    + 'import numpy\nfrom cupool import cupy as cp\nassert float(cp.arange(8).sum()) == 28.0; mark("done")\n'
    + _SAY
)
NUMPY = _MARK + 'import numpy; mark("done")\n' + _SAY
PYTHON = _MARK + 'mark("done")\n' + _SAY
LOCAL = _MARK + 'import cupy as cp\nassert float(cp.arange(8).sum()) == 28.0; mark("done")\n' + _SAY


def moments(source: str, environment: Mapping[str, str]) -> list[tuple[str, float]]:
    """Run a program in a fresh interpreter: (what ended, milliseconds since just before the process was made).

    Raises:
        CliError: the program failed.
    """
    began_ns = time.monotonic_ns()
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", source],
            env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=LIMIT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CliError(
            Exit.FAILURE, f"A program on the pool was not done after {LIMIT_S:g} s.", "`cupool doctor` looks for why."
        ) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise CliError(Exit.FAILURE, f"A program on the pool failed: {last}", "`cupool doctor` looks for why.")
    return [(name, (at_ns - began_ns) / 1e6) for name, at_ns in json.loads(done.stdout)]


def wall_ms(source: str, environment: Mapping[str, str]) -> float:
    """Milliseconds from the start of a process to the last moment that it prints."""
    return moments(source, environment)[-1][1]


def has_local_cupy() -> bool:
    """Whether the real CuPy is installed here and sees a GPU."""
    if importlib.util.find_spec("cupy_backends") is None:
        return False
    runtime = importlib.import_module("cupy_backends.cuda.api.runtime")
    try:
        return bool(runtime.getDeviceCount())
    except RuntimeError:  # no driver, or none that fits
        return False


def measure(environment: Mapping[str, str], rounds: int) -> Document:
    """Measure everything in turns, `rounds` times each after one that fills caches.

    Args:
        environment: of the programs; CUPOOL_ADDR and CUPOOL_TOKEN say which pool.
        rounds: how often.

    Returns:
        `parts`: in order, each with its own milliseconds and its share; `wholes`: milliseconds from process start, beside each
        other; `over_numpy`: the whole over `import numpy` alone, by round.
    """
    # What is measured is a program as installed: with its bytecode cached.
    environment = {k: v for k, v in environment.items() if k != "PYTHONDONTWRITEBYTECODE"}
    sources = {_WHOLE: WHOLE, _NUMPY: NUMPY, "an empty program": PYTHON}
    if has_local_cupy():
        sources["the same with local CuPy"] = LOCAL
    parts: dict[str, list[float]] = {}
    wholes: dict[str, list[float]] = {name: [] for name in sources}
    for round_ in range(rounds + 1):
        taken = {name: wall_ms(source, environment) for name, source in sources.items()}
        steps, last = [], 0.0
        for name, at in moments(PARTS, environment):
            steps.append((name, at - last))
            last = at
        if round_:
            for name, took in taken.items():
                wholes[name].append(took)
            for name, took in steps:
                parts.setdefault(name, []).append(took)
    total = sum(statistics.median(samples) for samples in parts.values())
    ratios = [a / b for a, b in zip(wholes[_WHOLE], wholes[_NUMPY], strict=True)]
    return {
        "schema": SCHEMA,
        "rounds": rounds,
        "parts": [_row(name, samples, total) for name, samples in parts.items()],
        "wholes": [_row(name, samples) for name, samples in wholes.items()],
        "over_numpy": round(statistics.median(ratios), 4),
    }


def _row(what: str, samples: list[float], total: float = 0.0) -> dict[str, Any]:
    row = {
        "what": what,
        "p50_ms": round(statistics.median(samples), 3),
        "least_ms": round(min(samples), 3),
        "most_ms": round(max(samples), 3),
    }
    return row | ({"share": round(statistics.median(samples) / total, 4)} if total else {})


def environment_for(addr: str, token: str, ca: str) -> dict[str, str]:
    """This process's, with the pool in it."""
    return dict(os.environ) | {"CUPOOL_ADDR": addr, "CUPOOL_TOKEN": token, "CUPOOL_CA": ca}
