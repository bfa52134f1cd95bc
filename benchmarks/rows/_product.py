"""The product as rows see it: the shim in this process, an embedded pool with a CPU device beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.harness import ROOT, environment, marked_processes


@contextmanager
def pool(devices: str, listen: str = "") -> Iterator[tuple[str, str]]:
    """A pool of a row's own: (address, token).

    Args:
        devices: as `--devices`.
        listen: as `--listen`; empty: unix sockets for it and its servers, else TCP for both.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "token"
        file.write_text("benchmark")
        file.chmod(0o600)
        words = [sys.executable, "-m", "cupool.embedded", "--token-file", str(file), "--devices", devices]
        process = subprocess.Popen(
            [*words, *(["--listen", listen] if listen else [])],
            cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["addr"], "benchmark"
        finally:
            process.stdin.close()
            process.wait(10)
            process.stdout.close()


def open_session(lane: bool = True, address: str = "", token: str = "") -> Any:
    """Start everything, or use the pool at `address`; returns the `cupy` namespace of the shim."""
    os.environ["CUPOOL_LANE"] = "1" if lane else "0"
    if address:
        os.environ["CUPOOL_ADDR"], os.environ["CUPOOL_TOKEN"] = address, token
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
