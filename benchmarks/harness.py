"""What every row needs: samples, ratios, placements, processes beside us, and the product's own server processes.

A row is a module of `benchmarks.rows` with `ROW`, `TITLE` and `run(quick) -> list[Result]`. Its product and its baseline alternate
within one run, because machines are noisy and ratios are what is compared. A module of `benchmarks.curves` is the same, about how cost
grows; it runs in `make bench-full` alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: Marks every process that comes from this one, however it was started, so that placements and clean-up find it.
RUN_VARIABLE = "CUPOOL_BENCH_RUN"


def _meets(value: float, goal: float | None, more_is_better: bool) -> bool | None:
    """None: there is no goal."""
    if goal is None:
        return None
    return value >= goal if more_is_better else value <= goal


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours over a baseline.

    Attributes:
        what: what is divided by what.
        ours, baseline: samples, paired in time; `unit` of both.
        goal: what the ratio must reach, None: shown for the curve alone.
        more_is_better: of the ratio: bandwidths yes, times no.
    """

    what: str
    ours: Sequence[float]
    baseline: Sequence[float]
    unit: str
    goal: float | None = None
    more_is_better: bool = False
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        return [a / b for a, b in zip(self.ours, self.baseline, strict=True)]

    @property
    def value(self) -> float:
        return statistics.median(self.ratios)

    @property
    def is_met(self) -> bool | None:
        return _meets(self.value, self.goal, self.more_is_better)

    def record(self) -> dict[str, Any]:
        return {
            "what": self.what, "ratio": self.value, "spread": spread(self.ratios), "goal": self.goal, "met": self.is_met,
            "more_is_better": self.more_is_better, "unit": self.unit, "ours": summary(self.ours),
            "baseline": summary(self.baseline), "note": self.note,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Value:
    """A plain figure against a goal: bytes, counts."""

    what: str
    samples: Sequence[float]
    unit: str
    goal: float | None = None
    note: str = ""
    more_is_better: bool = False

    @property
    def value(self) -> float:
        return statistics.median(self.samples)

    @property
    def is_met(self) -> bool | None:
        return _meets(self.value, self.goal, self.more_is_better)

    def record(self) -> dict[str, Any]:
        return {
            "what": self.what, "value": self.value, "spread": spread(self.samples), "goal": self.goal, "met": self.is_met,
            "more_is_better": self.more_is_better, "unit": self.unit, "note": self.note,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve: how something grows.

    Attributes:
        curve: the line that it belongs to; `what` of a row's other results, without the point.
        x: where on the axis, in `axis`'s unit.
        axis: what the axis counts: "elements", "sessions".
        y: samples, in `unit`.
        baseline: samples of what it is compared with, paired in time; empty: a plain figure.
    """

    curve: str
    x: float
    axis: str
    y: Sequence[float]
    unit: str
    baseline: Sequence[float] = ()
    goal: float | None = None
    more_is_better: bool = False
    note: str = ""

    def record(self) -> dict[str, Any]:
        what = f"{self.curve}, {self.x:g} {self.axis}"
        kind = (
            Ratio(what, self.y, self.baseline, self.unit, self.goal, self.more_is_better, self.note)
            if self.baseline
            else Value(what, self.y, self.unit, self.goal, self.note, self.more_is_better)
        )
        return {
            "kind": type(kind).__name__.lower(),
            **kind.record(),
            "curve": self.curve,
            "x": self.x,
            "axis": self.axis,
        }


@dataclass(frozen=True, slots=True)
class Missing:
    """What cannot be measured on this machine, and what would: a GPU, a peer that is not installed."""

    what: str
    note: str

    def record(self) -> dict[str, Any]:
        return {"what": self.what, "note": self.note}


Result = Ratio | Value | Point | Missing


def spread(samples: Sequence[float]) -> list[float]:
    """Lower and upper quartile."""
    if len(samples) < 2:
        return [samples[0], samples[0]]
    quartiles = statistics.quantiles(samples, n=4, method="inclusive")
    return [quartiles[0], quartiles[2]]


def summary(samples: Sequence[float]) -> dict[str, Any]:
    return {"median": statistics.median(samples), "quartiles": spread(samples), "samples": len(samples)}


def timed(work: Callable[[], Any]) -> float:
    """Seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternate(repeats: int, *works: Callable[[], float], warm: int = 1) -> list[list[float]]:
    """Call each of `works` in turn, `repeats` times; each returns its own sample. The first `warm` rounds are not kept."""
    samples: list[list[float]] = [[] for _ in works]
    for round_ in range(repeats + warm):
        for kept, work in zip(samples, works, strict=True):
            sample = work()
            if round_ >= warm:
                kept.append(sample)
    return samples


# -- placement --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Placement:
    """Where client and server run. On one core only processor time counts; on two also waking a sleeping one."""

    name: str
    client: frozenset[int]
    server: frozenset[int]


def placements() -> list[Placement]:
    """Both on one core, and on two, where this machine has two."""
    cores = sorted(os.sched_getaffinity(0))
    one = [Placement("one core", frozenset(cores[:1]), frozenset(cores[:1]))]
    return one + ([Placement("two cores", frozenset(cores[:1]), frozenset(cores[1:2]))] if len(cores) > 1 else [])


def pin(pid: int, cores: frozenset[int]) -> None:
    """Pin every thread of a process; threads to come inherit it from the one that starts them."""
    for name in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(name), cores)


@contextlib.contextmanager
def placed(placement: Placement, servers: Callable[[], list[int]]) -> Iterator[None]:
    """Client and servers at their cores, and everywhere again afterwards."""
    everywhere = frozenset(os.sched_getaffinity(0))
    for pid in servers():
        pin(pid, placement.server)
    pin(os.getpid(), placement.client)
    try:
        yield
    finally:
        pin(os.getpid(), everywhere)
        for pid in servers():
            pin(pid, everywhere)


def marked_processes(mark: str = "") -> list[int]:
    """All processes but this one that come from it, as their environment says; or from whom `mark` was given to."""
    wanted = f"{RUN_VARIABLE}={mark or os.environ.get(RUN_VARIABLE, '')}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):  # it ended, or is not ours to look at
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return found


# -- processes beside us ----------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Peer:
    """A process of `benchmarks.peers`, by the port that it serves."""

    process: subprocess.Popen[str]
    port: int
    lines: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid


@contextlib.contextmanager
def peer(*arguments: str) -> Iterator[Peer]:
    """Run `python -m benchmarks.peers ARGUMENTS`, which prints its port; ended at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers", *arguments],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdin is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"benchmarks.peers {' '.join(arguments)} ended before it served; see its error above")
        yield Peer(process, int(line))
    finally:
        process.stdin.close()  # a peer ends when its standard input does, however we end
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        process.stdout.close()


def script(source: str, *, env: dict[str, str] | None = None, timeout_s: float = 60.0) -> str:
    """Run a Python program in a fresh interpreter; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=ROOT,
        env={**environment(), **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    if done.returncode:
        raise RuntimeError(f"a benchmark's program failed:\n{source}\n{done.stderr}")
    return done.stdout


def environment() -> dict[str, str]:
    """For processes beside us: `benchmarks` is importable; nothing that would change a product's behaviour (no address, so the pool is
    embedded, and no debugging switches), with bytecode cached as an installed package has it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CUPOOL_") or k == RUN_VARIABLE}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, (kept.get("PYTHONPATH"), str(ROOT))))}


def touch_memory(nbytes: int = 2 << 30) -> None:
    """Use and free so much memory once. A virtual machine gets pages that it never used from its host, at a fraction of the speed
    of memory; that is the machine's start, not what a transfer costs."""
    import numpy as np

    np.empty(nbytes, np.uint8)[:: os.sysconf("SC_PAGE_SIZE")] = 1


def mark_run() -> None:
    """Call once in a row's process, before it starts any other."""
    os.environ.setdefault(RUN_VARIABLE, uuid.uuid4().hex)


def end_well_on_sigterm() -> None:
    """Have SIGTERM end this process by SystemExit, so that what it started is taken down; the next one is ignored meanwhile."""

    def ended(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, ended)


# -- what a result is worth -------------------------------------------------------------------------------------------
def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import platform

    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30),
        "kernel": platform.release(),
        # Real-time priority keeps other programs of the machine out of a measurement.
        "priority": "real-time" if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR) else "normal",
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "gpu": gpu(),
    }


def gpu() -> str:
    """Model and driver of the first GPU; empty where there is none."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else ""


def versions() -> dict[str, str]:
    import platform
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in ("numpy", "grpcio", "protobuf", "cupool", "cupy-cuda12x", "cupy-cuda13x"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def plain(results: Sequence[Result]) -> list[dict[str, Any]]:
    return [{"kind": type(r).__name__.lower(), **r.record()} for r in results]


__all__ = [
    "ROOT", "Missing", "Peer", "Placement", "Point", "Ratio", "Result", "Value", "alternate", "end_well_on_sigterm",
    "environment", "gpu", "machine",
    "mark_run", "marked_processes", "peer", "pin", "placed", "placements", "plain", "script", "timed", "touch_memory", "versions",
]  # fmt: skip
