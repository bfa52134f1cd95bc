"""S6a: one wait (a scalar fetched through the whole product) against a bare stock grpcio stream, same placement."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from cupool.shim import config

from benchmarks.harness import Ratio, alternate, peer, placed, placements
from benchmarks.rows import _tcp
from benchmarks.rows._product import close, open_session, servers, settle

ROW = "S6a"
TITLE = "one wait / ping-pong of a bare stock grpcio stream; both pinned to cores"
GOAL = 0.9


@contextmanager
def stock_stream(port: int) -> Iterator[Callable[[], None]]:
    """A function that makes one round trip of 64 bytes on a stock bidirectional stream."""
    import grpc

    requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    message = bytes(64)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        replies = channel.stream_stream("/bench.Echo/Stream")(iter(requests.get, None))

        def ping() -> None:
            requests.put(message)
            next(replies)

        yield ping
        requests.put(None)
        for _ in replies:
            pass


def median_us(work: Callable[[], object], trips: int) -> float:
    times = []
    for _ in range(trips):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e6


def placed_waits(cp: Any, how: str, goal: float | None, quick: bool) -> list[Ratio]:
    """`how`: frames travel, in words."""
    scalar = cp.arange(3.0).sum()
    trips = 100 if quick else 400
    results = []
    with (
        peer("grpc-echo") as echo,
        peer("tcp-echo") as tcp,
        stock_stream(echo.port) as ping,
        _tcp.connection(tcp.port) as sock,
    ):
        for placement in placements():
            with placed(placement, servers):
                settle()
                waits, pings, raw = alternate(
                    4 if quick else 12,
                    lambda: median_us(lambda: float(scalar), trips),
                    lambda: median_us(ping, trips),
                    lambda: _tcp.ping_s(sock, trips) * 1e6,
                )
            results.append(Ratio(f"float(a), {placement.name}{how}", waits, pings, "us", goal))
            if goal is not None:
                results.append(Ratio(f"float(a) / raw TCP ping-pong, {placement.name}", waits, raw, "us"))
    return results


def run(quick: bool) -> list[Ratio]:
    results = placed_waits(open_session(), "", GOAL, quick)
    if not quick:
        # Through grpcio's core, as in a program that has loaded it; and both ends through its public API: what they fall back to.
        for transport in ("core", "grpc"):
            close()
            os.environ["CUPOOL_TRANSPORT"] = transport
            config.config.cache_clear()
            results += placed_waits(open_session(), f", CUPOOL_TRANSPORT={transport}", None, quick)
    return results
