"""A session's batch boundaries: a move looks, stops and lets go at them, and a checkpoint is made there.

Note [Stopped]: a move looks and stops at batch boundaries, which it has while it holds `_executing`. A session that is stopped for a move
must not change at all, or the copy would be of what it was: no batch runs, no stream attaches (its nonce would change) and no
byte of a Put counts (its acknowledgement could be the last). All of these wait for the release, after which they are told where the
session is, or for the return.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from cupool.contract.errors import MOVED_AWAY

from .executor import Executor
from .frames import Refused, Stream


class Boundaries:
    """The part of a session that stands still, departs and comes back.

    Attributes:
        moved: the `cupool.v1.Moved` that says where the session is, once it has been released.
        over: why the session is over; empty while it lives.
        last_frame_at: when its client was last heard of, or it was last without one, on the monotonic clock.
    """

    def __init__(self, executor: Executor, epoch: int) -> None:
        self.executor = executor
        self.epoch = epoch
        self._lock = threading.Lock()
        #: held while a batch runs
        self._executing = threading.Lock()
        #: See Note [Stopped]. `_go` is clear while a move waits for a boundary: the next batch lets it go first.
        self._go = threading.Event()
        self._go.set()
        self._calm = threading.Condition(self._lock)
        self._is_stopped = False
        self.moved: Any = None
        self.over = ""
        self.last_frame_at = time.monotonic()
        self._stream: Stream | None = None

    def reach_boundary(self, stop: Callable[[], bool]) -> bool:
        """Wait until no batch runs, and keep it so until `leave_boundary`; False when `stop` said so, or the session is over."""
        self._go.clear()
        try:
            while not self._executing.acquire(timeout=0.05):
                if stop() or self.over:
                    return False
        finally:
            self._go.set()
        if self.over:
            self._executing.release()
            return False
        return True

    def try_boundary(self) -> bool:
        """A boundary, kept until `leave_boundary`, where there is one now; else False."""
        if not self._executing.acquire(blocking=False):
            return False
        if self.over:
            self._executing.release()
            return False
        return True

    def leave_boundary(self) -> None:
        """Batches run again."""
        self._executing.release()

    def stop(self) -> None:
        """Change nothing any more, see Note [Stopped]. At a boundary, which the caller keeps."""
        with self._calm:
            self._is_stopped = True
        self.executor.transfers.stop()

    def go_on(self, epoch: int = 0) -> None:
        """No move after all: what waited goes on.

        Args:
            epoch: of a session that is taken back; 0: as it was.
        """
        with self._calm:
            self._is_stopped = False
            self.moved = None
            self.epoch = epoch or self.epoch
            self.last_frame_at = time.monotonic()
            self._calm.notify_all()
        self.executor.transfers.go_on()

    def depart(self, moved: Any) -> Stream | None:
        """The session is elsewhere: what waited, and whatever comes, is told so. At the boundary, which the caller still keeps.

        Args:
            moved: a `cupool.v1.Moved`.

        Returns:
            the client's stream, which is to be told.
        """
        with self._calm:
            self.moved = moved
            self._is_stopped = False
            self._calm.notify_all()
            stream, self._stream = self._stream, None
            self.last_frame_at = time.monotonic()
        self.executor.transfers.depart(self.elsewhere().sentence)
        return stream

    def elsewhere(self) -> Refused:
        """What whoever comes here is refused with."""
        moved = self.moved
        return Refused(
            "FAILED_PRECONDITION",
            f"The session {MOVED_AWAY} to {moved.endpoint}, at epoch {moved.epoch}. Attach there.",
        )
