"""S7: a session from a warm pool, in an interpreter that runs already: Acquire, attach, first result; beside a bare unary call."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from cupool.shim import config, session

from benchmarks import pools
from benchmarks.harness import Ratio, Value, peer

ROW = "S7"
TITLE = "a session of a warm pool: acquire + attach + first result / a bare stock grpcio unary call of the same run"
#: Servers that are warm before each lease: the next one does not wait for a start, which is another row's.
WARM = 3
#: A server rehearses once it is said to be warm, and the one before ends: some 15 ms of a core that are of the start, and of the end.
AT_REST_S = 0.05
GOAL_RATIO, GOAL_MS = 15.0, 5.0


@contextmanager
def bare_call(port: int) -> Iterator[Callable[[], float]]:
    """A function that makes a stock unary call of 64 bytes and returns the milliseconds it took."""
    import grpc

    message = bytes(64)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/bench.Echo/Call")

        def sample() -> float:
            start = time.perf_counter()
            call(message)
            return (time.perf_counter() - start) * 1e3

        yield sample


def session_ms() -> float:
    """One session: the milliseconds from nothing to its first result."""
    from cupool import cupy as cp

    start = time.perf_counter()
    value = cp.arange(3).get()
    took_ms = (time.perf_counter() - start) * 1e3
    if value.tolist() != [0, 1, 2]:
        raise RuntimeError(f"a session gave {value}")
    session.close()
    return took_ms


def run(quick: bool) -> list[Ratio | Value]:
    results: list[Ratio | Value] = []
    for name, listen in (("unix socket", ()), ("TCP", ("--listen", "127.0.0.1:0"))):
        options = ("--devices", "cpu:1:1GiB", "--max-sessions", "8", "--warm", str(WARM), *listen)
        with peer("grpc-echo") as echo, bare_call(echo.port) as bare, pools.up(*options) as pool:
            os.environ["CUPOOL_ADDR"], os.environ["CUPOOL_TOKEN"] = pool.addr, pool.token
            config.config.cache_clear()
            ours, calls = [], []
            for round_ in range((10 if quick else 200) + 3):
                pool.wait_warm(WARM)
                time.sleep(AT_REST_S)
                call_ms = float(np.median([bare() for _ in range(20)]))
                took_ms = session_ms()
                if round_ >= 3:  # the first ones import what a running interpreter has
                    ours.append(took_ms)
                    calls.append(call_ms)
        p99 = float(np.percentile(ours, 99))
        results += [
            Ratio(f"{name}: p50 / bare unary call over TCP", ours, calls, "ms", GOAL_RATIO),
            Value(f"{name}: p50", ours, "ms", GOAL_MS),
            Value(f"{name}: p99", [p99], "ms"),
        ]
    return results
