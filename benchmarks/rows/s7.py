"""S7: a session from a warm pool, in an interpreter that runs already: Acquire, attach, first result; beside a bare unary call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.harness import Ratio, Value, peer
from benchmarks.rows._product import admin, pool

ROW = "S7"
TITLE = "a session of a warm pool: acquire + attach + first result / a bare stock grpcio unary call of the same run"
#: Servers that are warm before each lease: the next one does not wait for a start, which is another row's.
WARM = 3
MUST_RATIO, GOAL_MS = 15.0, 5.0
READY_S = 60.0


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


def wait_warm(stub: Any, count: int) -> None:
    """Wait until so many servers are warm and none is about to be: a start beside a lease would take its processor."""
    from cupool.v1 import admin_pb2, server_pb2

    deadline = time.monotonic() + READY_S
    while True:
        states = [s.state for s in stub("ListServers", admin_pb2.ListServersRequest()).servers]
        warm = states.count(server_pb2.SERVER_STATE_WARM)
        if warm >= count and len(states) == warm:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{warm} of {count} servers were warm after {READY_S:g} s")
        time.sleep(0.02)


def session_ms() -> float:
    """One session: the milliseconds from nothing to its first result."""
    from cupool.shim import session

    from cupool import cupy as cp

    start = time.perf_counter()
    value = cp.arange(3).get()
    took_ms = (time.perf_counter() - start) * 1e3
    if value.tolist() != [0, 1, 2]:
        raise RuntimeError(f"a session gave {value}")
    session.close()
    return took_ms


def run(quick: bool) -> list[Ratio | Value]:
    import os

    results: list[Ratio | Value] = []
    for name, listen in (("unix socket", ""), ("TCP", "127.0.0.1:0")):
        with (
            peer("grpc-echo") as echo,
            bare_call(echo.port) as bare,
            pool("cpu:1:1GiB", listen, "--sessions-per-device", "8", "--spare", str(WARM)) as (address, token),
            admin() as stub,
        ):
            os.environ["CUPOOL_ADDR"], os.environ["CUPOOL_TOKEN"] = address, token
            from cupool.shim import config

            config.config.cache_clear()
            ours, calls = [], []
            for round_ in range((10 if quick else 200) + 3):
                wait_warm(stub, WARM)
                call_ms = float(np.median([bare() for _ in range(20)]))
                took_ms = session_ms()
                if round_ >= 3:  # the first ones import what a running interpreter has
                    ours.append(took_ms)
                    calls.append(call_ms)
        p99 = float(np.percentile(ours, 99))
        results += [
            Ratio(f"{name}: p50 / bare unary call over TCP", ours, calls, "ms", MUST_RATIO),
            Value(f"{name}: p50", ours, "ms", GOAL_MS),
            Value(f"{name}: p99", [p99], "ms"),
        ]
    return results
