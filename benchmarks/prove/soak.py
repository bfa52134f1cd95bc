"""Ten million commands through one session: small ops of every family, kernels, transfers, waits and errors, a hundred thousand a case.

After each case nothing of it may be left: the device's memory is back to the byte, and descriptors and threads of the client and of all
behind it are no more than in the first cases. Resident memory is compared over thirds of the run: the first fills the redo window, which is
bounded; `is_flat` says whether the last is above the second by more than noise. One table fills up meanwhile, and is bounded: specs of
arrays that only the data can tell and nobody asked for in the client (`MAX_UNASKED` of about 200 bytes; a round leaves one). A case may
find less than those before it: protobuf gives all that the C library keeps free back to the system each time that it has freed 10,000
blocks (docs/decisions/028).
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import mark_run, marked_processes
from benchmarks.rows._product import close, open_session, pool, settle

TITLE = (
    "10^7 commands through one session: memory, descriptors and threads stay, the device's memory is back to the byte"
)
CASES, COMMANDS = 100, 100_000
#: A run's first cases open what stays open: they may hold less than those that follow.
WARM = 0.3
#: Links of a round's chain: most of a program's commands are small.
CHAIN = 600
#: What the last third of a full run may be above the middle one, MiB.
NOISE_MIB = 4.0
PAGE = os.sysconf("SC_PAGE_SIZE")

SOURCE = """
extern "C" __global__ void saxpy(const double* x, double* y, double a, int n) {
    int i = blockDim.x * blockIdx.x + threadIdx.x;
    if (i < n) y[i] += a * x[i];
}
"""


@dataclass(slots=True)
class Use:
    """What some processes hold."""

    rss_mib: float = 0.0
    descriptors: int = 0
    threads: int = 0

    @staticmethod
    def of(pids: list[int]) -> Use:
        use = Use()
        for pid in pids:
            here = Path(f"/proc/{pid}")
            use.rss_mib += int((here / "statm").read_text().split()[1]) * PAGE / 2**20
            use.descriptors += len(os.listdir(here / "fd"))
            use.threads += len(os.listdir(here / "task"))
        return use

    def record(self) -> dict[str, float]:
        return {"rss_mib": round(self.rss_mib, 2), "descriptors": self.descriptors, "threads": self.threads}


@dataclass(slots=True)
class Shared:
    """The session, and what was left after each case so far."""

    cp: Any
    kernels: dict[str, Any]
    behind: list[int]
    started: float
    left: list[dict[str, Any]] = field(default_factory=list)


def cases(full: bool) -> list[str]:
    """ "000-of-10000000": case, commands in all; the sample is short."""
    count, commands = (CASES, COMMANDS) if full else (4, 5_000)
    return [f"{k:03d}-of-{count * commands}-in-{count}" for k in range(count)]


@contextmanager
def setup() -> Iterator[Shared]:
    mark_run()
    with ExitStack() as stack:
        address, token = stack.enter_context(pool("cpu:1:2GiB"))
        cp = open_session(True, address, token)
        stack.callback(close)
        kernels = {
            "scale": cp.ElementwiseKernel("float64 x, float64 s", "float64 y", "y = x * s", "scale"),
            "total": cp.ReductionKernel("float64 x", "float64 y", "x", "a + b", "y = a", "0", "total"),
            "saxpy": cp.RawKernel(SOURCE, "saxpy"),
        }
        one_round(cp, kernels, np.random.default_rng(0))  # compiles
        settle()
        yield Shared(cp, kernels, marked_processes(), time.time())


def one_round(cp: Any, kernels: dict[str, Any], rng: np.random.Generator) -> None:
    """Some hundred commands of every kind. Raises AssertionError where a number is wrong, or an error does not come."""
    n = int(rng.integers(4, 64))
    host, other = rng.normal(size=n), rng.normal(size=n)
    a, b = cp.asarray(host), cp.asarray(other)
    c, expected = a, host
    for _ in range(CHAIN):  # its middle is dropped
        c = c * 0.5 + b
        expected = expected * 0.5 + other
    c -= a
    cp.sqrt(cp.abs(c), out=c)
    expected = np.sqrt(np.abs(expected - host))
    np.testing.assert_allclose(c.get(), expected, rtol=1e-12)
    square = cp.arange(64.0).reshape(8, 8) + cp.eye(8)
    views = [square[1:], square.T, square[:, None], square.reshape(4, 16), square[2, 3]]
    kept = [view.sum() for view in views for _ in range(3)] + [square.max(axis=0), square.mean(axis=1), cp.cumsum(a)]
    kept += [
        square @ square,
        cp.dot(a, b),
        cp.linalg.solve(square, square),
        cp.concatenate((a, b)),
        cp.where(a > 0, a, b),
    ]
    kept += [cp.sort(a), a[a > 0], a[cp.arange(3)], cp.fft.fft(a), cp.random.random(n), a.astype("f4")]
    a[1:3] = 0.0
    a[b > 0] = 1.0
    scaled = kernels["scale"](b, 3.0)
    kernels["saxpy"]((1,), (64,), (b, scaled, 2.0, n))
    total = kernels["total"](scaled)
    np.testing.assert_allclose(float(total), 5.0 * other.sum(), rtol=1e-9, atol=1e-9)
    event = cp.cuda.Event()
    event.record()
    event.synchronize()
    _errors(cp, a, n)


def _errors(cp: Any, a: Any, n: int) -> None:
    try:
        a + cp.zeros(n + 1)
    except ValueError:
        pass  # at its own line, as NumPy's
    else:
        raise AssertionError("shapes that do not fit were no error")
    try:
        lost = cp.zeros(1 << 38)
        float(lost[0])
    except cp.cuda.memory.OutOfMemoryError:
        pass  # at the wait
    else:
        raise AssertionError("more memory than the device has was no error")


def bulk_round(cp: Any, rng: np.random.Generator) -> None:
    """Some MiB up and down, through the ring and in one message."""
    for size in (1 << 10, 1 << 16, 1 << 22):
        data = rng.integers(0, 255, size, np.uint8)
        assert np.array_equal((cp.asarray(data) ^ cp.uint8(0)).get(), data)


def run_case(shared: Shared, case: str) -> dict[str, Any]:
    from cupool.shim import session

    name, _, words = case.partition("-of-")
    total, _, count = words.partition("-in-")
    wanted, number = int(total) // int(count), int(name)
    rng, cp = np.random.default_rng(number), shared.cp
    before, started, rounds = session.statistics(), time.perf_counter(), 0
    while session.statistics().commands - before.commands < wanted:
        one_round(cp, shared.kernels, rng)
        if rounds % 50 == 0:
            bulk_round(cp, rng)
        rounds += 1
    settle()
    took_s = time.perf_counter() - started
    after = session.statistics()
    gc.collect()
    settle()
    left = {
        "device_bytes": int(cp.get_default_memory_pool().used_bytes()),
        "client": Use.of([os.getpid()]).record(),
        "behind": Use.of(shared.behind).record(),
    }
    _compare(shared.left, left, round(WARM * int(count)))
    shared.left.append(left)
    return {
        **left,
        "run": round(shared.started),
        "commands": after.commands - before.commands,
        "waits": after.waits - before.waits,
        "bytes": after.bytes_up + after.bytes_down - before.bytes_up - before.bytes_down,
        "seconds": round(took_s, 3),
    }


def _compare(before: list[dict[str, Any]], left: dict[str, Any], warm: int) -> None:
    if left["device_bytes"]:
        raise AssertionError(f"{left['device_bytes']} bytes of device memory were not given back")
    if len(before) < 2 * warm:
        return
    for who in ("client", "behind"):
        for what in ("descriptors", "threads"):
            most = max(past[who][what] for past in before[: 2 * warm])
            if left[who][what] > most:
                raise AssertionError(f"{what} of the {who}: {left[who][what]}, never above {most} in the first cases")


def summary(done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    found = [done[case] for case in sorted(done)]
    third = len(found) // 3
    if not found:
        return {}
    figures: dict[str, Any] = {
        "commands": sum(f["commands"] for f in found),
        "waits": sum(f["waits"] for f in found),
        "gib_moved": round(sum(f["bytes"] for f in found) / 2**30, 2),
        "seconds": round(sum(f["seconds"] for f in found), 1),
        "device_bytes_left": sorted({f["device_bytes"] for f in found}),
        "most_descriptors": {who: max(f[who]["descriptors"] for f in found) for who in ("client", "behind")},
        "most_threads": {who: max(f[who]["threads"] for f in found) for who in ("client", "behind")},
    }
    if third:
        for who in ("client", "behind"):
            first, middle, last = (
                statistics.median(f[who]["rss_mib"] for f in found[k * third : (k + 1) * third]) for k in range(3)
            )
            figures[f"{who}_rss_mib_by_thirds"] = [round(first, 1), round(middle, 1), round(last, 1)]
            figures[f"{who}_grows_mib"] = round(last - middle, 2)
        figures["is_flat"] = all(figures[f"{who}_grows_mib"] <= NOISE_MIB for who in ("client", "behind"))
    return figures
