"""S5b: bulk bytes over gRPC, as between hosts, against raw TCP."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness import Ratio, alternate, peer, touch_memory
from benchmarks.rows import _tcp
from benchmarks.rows._product import close, open_session, pool
from benchmarks.rows.s5a import MIB, bandwidths

ROW = "S5b"
TITLE = "bulk over gRPC / raw TCP into a warm buffer"


def run(quick: bool) -> list[Ratio]:
    touch_memory()
    # Over TCP, as between hosts: a unix socket's small buffer would be another measure.
    with pool("cpu:1:4GiB", "127.0.0.1:0") as (address, token):
        try:
            return _measured(open_session(False, address, token), quick)
        finally:
            close()


def _measured(cp: Any, quick: bool) -> list[Ratio]:
    results = []
    with peer("tcp-bulk") as other, _tcp.connection(other.port) as sock:
        for mib in (1, 16, 64, 256):
            size = mib * MIB
            up, down, down_warm = bandwidths(cp, size)
            source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
            ups, downs, warms, tcp_ups, tcp_downs = alternate(
                3 if quick else 9,
                up,
                down,
                down_warm,
                lambda size=size, source=source: size / _tcp.up_s(sock, source.data) / 1e9,
                lambda size=size, target=target: size / _tcp.down_s(sock, target.data) / 1e9,
                warm=2,
            )
            goal = 0.6 if mib == 256 else None
            results += [
                Ratio(f"up, {mib} MiB", ups, tcp_ups, "GB/s", goal, more_is_better=True),
                Ratio(f"down to a fresh array, {mib} MiB", downs, tcp_downs, "GB/s", None, more_is_better=True),
                Ratio(f"down to a warm array, {mib} MiB", warms, tcp_downs, "GB/s", goal, more_is_better=True),
            ]
    return results
