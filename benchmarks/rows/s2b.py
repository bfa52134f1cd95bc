"""S2b: small ops end to end, pipelined, against local NumPy; and commands a second against raw TCP with the same codec."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.harness import Ratio, alternate, peer
from benchmarks.rows import _tcp
from benchmarks.rows._product import open_session, settle

ROW = "S2b"
TITLE = "pipelined small ops end to end / the same loop in NumPy; commands a second / raw TCP"


def chain(a: Any, b: Any, ops: int) -> Any:
    """Ops that need each other's results, so that nothing may be skipped."""
    c = a
    for _ in range(ops // 2):
        c = c + b
        c = c * b
    return c


def run(quick: bool) -> list[Ratio]:
    cp = open_session()
    x, y = np.arange(8.0), np.ones(8)
    a, b = cp.asarray(x), cp.asarray(y)
    ops = 20_000 if quick else 100_000

    def ours() -> float:
        settle()
        start = time.perf_counter()
        c = chain(a, b, ops)
        settle()
        took = time.perf_counter() - start
        assert float(c[0]) == ops // 2
        return took / ops * 1e9

    def local() -> float:
        start = time.perf_counter()
        chain(x, y, ops)
        return (time.perf_counter() - start) / ops * 1e9

    samples = alternate(3 if quick else 7, ours, local)
    return [Ratio("a + b, a * b in a chain, 8 elements", *samples, unit="ns an op", goal=6.0), *commands(quick)]


def commands(quick: bool) -> list[Ratio]:
    """Commands that do nothing on the server (frees of unknown handles), 512 a batch, through the whole product; and the same words
    packed, framed and decoded over a raw socket."""
    from cupool.shim import session
    from cupool.shim.pending import GATE, extend

    batches = 100 if quick else 400
    words = [word for k in range(512) for word in (0, (1 << 40) + k)]

    def ours() -> float:
        settle()
        GATE.words = 1 << 60
        start = time.perf_counter()
        for _ in range(batches):
            extend(words)
            session.flush()
        settle()
        return batches * 512 / (time.perf_counter() - start) / 1e6

    with peer("tcp-commands") as other, _tcp.connection(other.port) as sock:
        samples = alternate(
            3 if quick else 7, ours, lambda: batches * 512 / _tcp.commands_s(sock, words, batches) / 1e6
        )
    return [Ratio("512 commands a batch, two words each", *samples, unit="M/s", goal=0.5, more_is_better=True)]
