"""What an offloaded function sees on the CPU device: the shim, whose session is in this very process.

The function's `import cupy` is the shim, and its commands go to an executor over the handles, the account and the device of the session
that the function belongs to: without a wire, in the thread that issues them. So CuPy's semantics are the same inside and outside.

Boundary: composes the shim and the apiserver, which do not know each other; loaded in a server's process alone, by name
(apiserver/offload.py).
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cupool.apiserver.config import Assignment
from cupool.apiserver.executor import Executor
from cupool.apiserver.faults import Propagated
from cupool.apiserver.session import Session as ServerSession
from cupool.contract.limits import GIB, Limits
from cupool.contract.ops import row_hashes, table_digest
from cupool.contract.spec import Spec, spec_like
from cupool.shim import array, finder, session
from cupool.shim.config import Config
from cupool.shim.lease import Lease
from cupool.shim.pending import COMMANDS, GATE
from cupool.shim.turns import Disconnected

#: Words of commands that wait for others. Each batch costs some tens of µs, as it does on a wire.
GATE_WORDS = 512
#: Nothing here goes through memory that others have to size.
LIMITS = Limits(frame_bytes=GIB, inflight_bytes=GIB)


class Turn:
    """Who may run commands: whoever has the lock, while a function runs."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.is_open = True  # for the hello

    def check(self) -> None:
        if not self.is_open:
            raise RuntimeError(
                "The offloaded function has returned: a thread that it left behind cannot use arrays before the next call."
            )


class LocalStream:
    """An Attach stream to a session in this process. Frames are handled by whoever pushes them."""

    def __init__(self, server: ServerSession, turn: Turn, on_frame: Callable[[bytes], None]) -> None:
        self._server = server
        self._turn = turn
        self._on_frame = on_frame
        self._queue: deque[bytes] = deque()
        #: queues a frame of the client's; a C function
        self.put: Callable[[bytes], Any] = self._queue.append
        self._is_busy = False
        self._is_attached = False
        self._over = threading.Event()
        self.failure = Disconnected("OK", "")
        #: as the server's streams have it: held while a hello is answered
        self.order = threading.RLock()

    # -- the server's side
    def send(self, frame: bytes) -> bool:
        self._on_frame(frame)
        return True

    def close(self, status: str = "OK", sentence: str = "") -> None:
        self.failure = Disconnected(status, sentence)
        self._over.set()

    # -- the client's side
    def push(self) -> None:
        """Handle what is queued. A push from inside leaves it to the outer one."""
        with self._turn.lock:
            self._turn.check()
            if self._is_busy:
                return
            self._is_busy = True
            try:
                while self._queue and not self._over.is_set():
                    self._handle(self._queue.popleft())
            finally:
                self._is_busy = False
                GATE.words = GATE_WORDS

    def _handle(self, data: bytes) -> None:
        from cupool.apiserver.frames import Refused, parse_frame

        try:
            if self._is_attached:
                self._server.receive(self, data)
            else:
                self._is_attached = True
                self._server.attach(self, parse_frame(data, LIMITS).hello)
        except Refused as refusal:
            self.close(refusal.status, refusal.sentence)

    def read(self, may_park: Callable[[], bool]) -> Disconnected:
        self._over.wait()
        return self.failure

    def help(self, is_done: Callable[[], bool]) -> bool:
        self.push()
        if not is_done() and not self._over.is_set():
            raise RuntimeError(
                "A command inside a function was not answered. This is a bug of cupool: please report it."
            )
        return is_done()

    def ring(self) -> None:
        """Whoever sent something has pushed it."""

    def finish(self) -> None:
        """Nothing is kept."""

    def cancel(self) -> None:
        self._over.set()


class LocalTransport:
    """Attaches to a session in this process."""

    def __init__(self, server: ServerSession, turn: Turn) -> None:
        self._server = server
        self._turn = turn

    def attach(
        self,
        endpoint: str,
        metadata: tuple[tuple[str, str], ...],
        on_frame: Callable[[bytes], None],
        tls_name: str = "",
    ) -> Any:
        return LocalStream(self._server, self._turn, on_frame)


class LocalPool:
    """Leases the session in this process."""

    def acquire(self, config: Config) -> Lease:
        return Lease("inner", "", "this process", 1, "", "")

    def release(self, lease: Lease, reason: str, timeout_s: float = 2.0) -> None:
        """It ends with the process."""

    def fate(self, lease: Lease, timeout_s: float = 1.0) -> str | None:
        return None

    def close(self) -> None:
        """Nothing is open."""


class InnerSession(session.Session):
    """The shim's session in a server: no thread of its own sends anything, since commands run in the thread that sends them."""

    def _tick(self) -> None:
        """Nothing is left to send, and no link to look after. Views leave at once, since nobody would hold back who makes them alone."""
        GATE.is_behind = True


class Direct:
    """Bytes of arrays, in place."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def upload(self, host: np.ndarray[Any, Any], spec: Spec) -> int:
        session.flush()
        made = self._executor.device.empty(spec)
        made[...] = host
        handle = session.next_handle()
        self._executor.handles.put_own(handle, made)
        return handle

    def download(self, handle: int, spec: Spec, out: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any]:
        session.wait_all()
        try:
            found = self._executor.handles.get(handle)
        except Propagated as propagated:
            raise propagated.stored.error from None
        if out is None:
            return np.array(found, order="C")
        np.copyto(out, found)
        return out


class Nested:
    """The runtime of offloaded functions, see `cupool.apiserver.offload.Runtime`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._turn = Turn()
        inner = executor.inner()
        inner.limits = LIMITS
        server = ServerSession(
            Assignment("inner", b""), inner, LIMITS, (table_digest(), row_hashes()), self._hello, lambda reason: None
        )
        interval = sys.getswitchinterval()
        finder.install()
        opened = session.open_at(LocalPool(), Config(), LocalTransport(server, self._turn), InnerSession)
        opened.direct = Direct(inner)
        sys.setswitchinterval(interval)

    def _hello(self) -> dict[str, Any]:
        info = self._executor.device.describe()
        info.limit_bytes = self._executor.accounting.lease_limit
        return {"server": f"function-{os.getpid()}", "device": info, "lane": ""}

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self._turn.is_open = True
        yield
        # What failed and was never looked at is the function's own failure.
        session.wait_all()

    @contextlib.contextmanager
    def ended(self) -> Iterator[None]:
        with self._turn.lock:
            try:
                yield
            finally:
                send_frees()
                self._turn.is_open = False

    def wrap(self, handle: int, value: Any) -> Any:
        if not isinstance(value, self._executor.device.array_type):
            raise TypeError("Offloaded functions take arrays.")
        own = session.next_handle()
        self._executor.handles.put_view(own, value, handle)
        return array.new_array(own, spec_like(value))

    def unwrap(self, value: Any) -> tuple[Any, int] | None:
        if not isinstance(value, array.ndarray):
            return None
        session.check_handle(value._handle)
        session.flush()
        return self._executor.handles.get(value._handle), value._handle


def send_frees() -> None:
    """Send what the call has dropped: its arrays' memory is free when it has ended."""
    if COMMANDS:
        session.flush()


__all__ = ["Nested"]
