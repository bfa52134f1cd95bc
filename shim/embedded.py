"""The embedded pool: a subprocess with one warm server for this process, when no pool is configured.

Boundary: starts `python -m cupool.embedded` and reads one JSON line from it: {"addr", "token"} or {"error", "cure"}. The child
watches its stdin: end of file there means that this process is gone, however it ended. Imports no grpc and no numpy, so that
`cupool run` can start the pool before either is loaded.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from cupool.contract.records import NamedTuple

if TYPE_CHECKING:
    import subprocess

_lock = threading.Lock()
_pool: EmbeddedPool | None = None


class Address(NamedTuple):
    """Where the embedded pool listens, and the credential it accepts."""

    addr: str
    token: str


class EmbeddedPool:
    """The subprocess. `address` waits until it is ready."""

    def __init__(self) -> None:
        import subprocess  # 4 ms, which a program with a pool of its own configured need not pay

        self.owner = os.getpid()
        self._address: Address | None = None
        # Its stderr is ours, so that its own warnings reach the user.
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            [sys.executable, "-P", "-m", "cupool.embedded"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A Ctrl-C is for the program; the pool ends when the program does.
            start_new_session=True,
        )

    def address(self, timeout_s: float) -> Address:
        """The pool's address, once it is ready. Raises PoolUnreachable with its own words when it cannot be."""
        if self._address is None:
            said = self._read_line(timeout_s)
            if "addr" not in said:
                from cupool.contract.errors import PoolUnreachable

                self.close(0.0)
                what = said.get("error", "it ended without a word")
                raise PoolUnreachable(
                    f"CUPOOL_ADDR is not set, and an embedded pool could not start: {what.rstrip('.')}.",
                    said.get("cure", "Install the extra: pip install 'cupool[server]', or set CUPOOL_ADDR to a pool."),
                )
            self._address = Address(said["addr"], said.get("token", ""))
        return self._address

    def _read_line(self, timeout_s: float) -> Any:
        import json

        process = self._process
        if process is None or process.stdout is None:
            return {"error": "it was closed"}
        # No answer in time: end it, and the read below ends too.
        timer = threading.Timer(timeout_s, process.kill)
        timer.daemon = True
        timer.start()
        try:
            for line in process.stdout:
                try:
                    said = json.loads(line)
                except ValueError:
                    continue
                if isinstance(said, dict):
                    return said
        finally:
            timer.cancel()
        code = process.wait()
        return {"error": f"it ended with exit status {code} before it was ready"}

    def close(self, grace_s: float) -> None:
        """Tell it that we are done; wait for its end, then insist."""
        import subprocess

        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(1.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def has_ended(self) -> bool:
        """Whether its process is gone, and nobody told it to end."""
        return self._process is not None and self._process.poll() is not None

    def leave_to_parent(self) -> None:
        """In a forked child: the pool is the parent's. Close our copies of its pipes, so that the parent's end is its end."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.returncode = 0  # not our child: never wait for it, and no ResourceWarning


def start() -> EmbeddedPool:
    """Start the embedded pool of this process if it has none; returns at once."""
    global _pool
    with _lock:
        if _pool is not None and _pool.has_ended:
            _pool.close(0.0)
            _pool = None
        if _pool is None:
            _pool = EmbeddedPool()
        return _pool


def has_ended() -> bool:
    """Whether there was one, and its process is gone without having been told to."""
    pool = _pool
    return pool is not None and pool.has_ended


def has_started() -> bool:
    """Whether there is one, and it has said where it is."""
    pool = _pool
    return pool is not None and pool._address is not None and not pool.has_ended


def stop(grace_s: float = 3.0) -> None:
    """End the embedded pool that this process started."""
    global _pool
    with _lock:
        pool, _pool = _pool, None
    if pool is not None:
        pool.close(grace_s)


def after_fork_in_child() -> Address | None:
    """Forget the parent's pool; returns its address, where one is known: a child may lease from it while the parent lives."""
    global _pool, _lock
    _lock = threading.Lock()
    pool, _pool = _pool, None
    if pool is None:
        return None
    pool.leave_to_parent()
    return pool._address
