"""S9: what a live move costs the program: its longest pause by session size, beside stop-and-copy; and how fast the bytes go."""

from __future__ import annotations

import statistics
import threading
import time
from typing import Any

import numpy as np

from benchmarks.harness import Ratio, Value, touch_memory
from benchmarks.moving import Phase, World, world
from cupool.contract.limits import GIB, MIB

ROW = "S9"
TITLE = "a live move: the client's longest pause by session size, stop-and-copy beside it; bytes of a move / memcpy"

SIZES = {"16 MiB": 16 * MIB, "128 MiB": 128 * MIB, "1 GiB": GIB, "4 GiB": 4 * GIB}
QUICK = ("16 MiB", "128 MiB")
BLOCK = 16 * MIB


class Program:
    """A thread that writes a little and waits, again and again, as fast as it gets answers; the longest wait is the pause."""

    def __init__(self) -> None:
        from cupool.shim import cupy as cp

        self._x = cp.zeros(1024)
        self._stop = threading.Event()
        self.longest_s = 0.0
        self.count = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        expected = 0.0
        try:
            while not self._stop.is_set():
                started = time.perf_counter()
                self._x += 1.0
                expected += 1.0
                if float(self._x[3]) != expected:
                    raise AssertionError("a wrong number")
                self.longest_s = max(self.longest_s, time.perf_counter() - started)
                self.count += 1
                self._stop.wait(0.001)
        except BaseException as error:
            self._error = error

    def wait_steps(self, more: int) -> None:
        target = self.count + more
        while self.count < target:
            if self._error is not None:
                raise self._error
            time.sleep(0.001)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error


def move_once(there: World, program: Program, is_cold: bool, size: int) -> tuple[float, float, Any]:
    """(the client's longest pause in ms, seconds from order to release without the stop, the source's report) of one move."""
    to = there.server()
    assert to.endpoint  # it is ready
    touch_memory(2 * size)  # a host takes back within seconds what its guest has freed
    program.wait_steps(20)
    program.longest_s = 0.0
    started = time.perf_counter()
    move = there.begin(to, is_cold=is_cold, timeout_ms=120_000)
    report = there.finish(move, to, timeout_s=170.0)
    took_s = time.perf_counter() - started
    program.wait_steps(20)
    pause_s = program.longest_s
    there.here.wait_phase(move, Phase.OWNER)
    there.settle(move)
    return pause_s * 1000, took_s, report


def _rest(program: Program, seconds: float) -> float:
    """The client's longest wait, in ms, in so long a time without a move: what the machine does by itself."""
    program.longest_s = 0.0
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        program.wait_steps(1)
    return program.longest_s * 1000


def memcpy_s(size: int) -> float:
    """Seconds to copy `size` bytes into memory that is there already."""
    source = np.ones(min(size, GIB), np.uint8)
    target = np.zeros_like(source)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        np.copyto(target, source)
        times.append((time.perf_counter() - started) * size / source.nbytes)
    return statistics.median(times)


def fresh_memcpy_s(size: int) -> float:
    """The same into memory that is not there yet, as a destination's is not: the system gives and clears each page first."""
    source = np.ones(BLOCK, np.uint8)
    times = []
    for _ in range(3):
        kept = []
        started = time.perf_counter()
        for _ in range(size // BLOCK):
            kept.append(np.empty_like(source))
            np.copyto(kept[-1], source)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def run(quick: bool) -> list[Ratio | Value]:
    from cupool.shim import cupy as cp

    results: list[Ratio | Value] = []
    names = QUICK if quick else tuple(SIZES)
    medians = {}
    for name in names:
        size = SIZES[name]
        repeats = 3 if quick or size > GIB else 5
        touch_memory(min(2 * size, 8 * GIB))
        with world("--memory-limit", str(size + GIB), spare=0) as (there, _):
            kept = [cp.full(BLOCK // 8, float(k)) for k in range(size // BLOCK)]
            cp.cuda.Device().synchronize()
            program = Program()
            pauses, rests, took, stops = [], [], [], []
            for _ in range(repeats):
                pause_ms, seconds, report = move_once(there, program, False, size)
                pauses.append(pause_ms)
                took.append(report.copied_bytes / seconds / 1e9)
                stops.append(report.pause_ms)
                rests.append(_rest(program, seconds))
            cold = [move_once(there, program, True, size)[0] for _ in range(1 if size > GIB else 3)]
            program.close()
            assert float(kept[-1][-1]) == len(kept) - 1
        medians[name] = statistics.median(pauses)
        results.append(Value(f"{name}: the client's longest pause", pauses, "ms", goal=100.0))
        results.append(Value(f"{name}: of it the server's stop, from the last batch to the release", stops, "ms"))
        results.append(Value(f"{name}: the client's longest wait in as long a time without a move", rests, "ms"))
        results.append(Value(f"{name}: the pause of stop-and-copy", cold, "ms"))
        if size >= GIB or quick:
            for what, seconds, goal in (
                ("memcpy", memcpy_s(size), 0.6),
                ("memcpy into fresh memory", fresh_memcpy_s(size), None),
            ):
                label = f"{name}: bytes of a whole move, order to release / {what}"
                results.append(Ratio(label, took, [size / seconds / 1e9] * len(took), "GB/s", goal, True))
    smallest = min(medians.values())
    results.append(
        Value(
            "longest pause of the largest over that of the smallest size", [max(medians.values()) / smallest], "x", 2.0
        )
    )
    return results
