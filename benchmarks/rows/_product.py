"""The product as rows see it: the shim in this process, an embedded pool with a CPU device beside it."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.harness import marked_processes


def open_session(lane: bool = True) -> Any:
    """Start everything; returns the `cupy` namespace of the shim."""
    os.environ["CUPOOL_LANE"] = "1" if lane else "0"
    from cupool import cupy as cp

    cp.arange(1).get()
    return cp


def servers() -> list[int]:
    """The processes of the embedded pool, the API server among them."""
    return marked_processes()


def settle() -> None:
    """Everything sent, everything executed, nothing in flight."""
    from cupool.shim import session

    session.wait_all()


def close() -> None:
    from cupool.shim import session

    session.close()
