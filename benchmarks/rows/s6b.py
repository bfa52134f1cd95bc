"""S6b: how late a command reaches the server while the caller runs pure Python, against an idle round trip."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.harness import Ratio
from benchmarks.rows._product import open_session, settle
from benchmarks.rows.s6a import median_us

ROW = "S6b"
TITLE = "delay until a command runs while the caller is busy / idle round trip"
BUSY_S = 0.012


def busy(seconds: float) -> None:
    """Pure Python that never lets go of the interpreter by itself."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(50))


def delays_s(cp: Any, times: int) -> list[float]:
    """Of events recorded in the middle of pure Python: how much later than expected each was executed.

    The server's clock is read through the events themselves: the distance of two records on the server, less their distance here.
    The first of the two is recorded while everything is idle and is taken as half a round trip late.
    """
    found = []
    for _ in range(times):
        first, second = cp.cuda.Event(), cp.cuda.Event()
        settle()
        t1 = time.perf_counter()
        first.record()
        time.sleep(0.005)  # it has long arrived
        busy(BUSY_S)
        t2 = time.perf_counter()
        second.record()
        busy(BUSY_S)
        settle()
        found.append(cp.cuda.get_elapsed_time(first, second) / 1000 - (t2 - t1))
    return found


def run(quick: bool) -> list[Ratio]:
    cp = open_session()
    scalar = cp.arange(3.0).sum()
    late, idle = [], []
    for _ in range(3 if quick else 9):
        trip = median_us(lambda: float(scalar), 100)
        late.append(float(np.median(delays_s(cp, 10))) * 1e6 + trip / 2)
        idle.append(trip)
    return [Ratio("command sent while the caller runs pure Python", late, idle, "us", 4.0)]
