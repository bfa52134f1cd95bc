"""One Attach stream, as `session.Stream`, over the two ways in which grpcio lets a handler answer. See docs/decisions/002.

`CallbackStream`: grpcio passed a send callback; any thread sends. `QueueStream`: it did not; a generator sends what a queue holds.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc

#: How long a stream that is to be closed may still be busy sending, before its call is cancelled.
_CLOSE_WAIT_S = 0.5


class CallbackStream:
    """Sends from the calling thread."""

    def __init__(self, context: Any, send: Callable[[bytes | None], None]) -> None:
        self._context = context
        self._send = send
        #: Held while a frame is sent. An attaching stream holds it until its hello is out.
        self.order = threading.RLock()
        self._closed = False

    def send(self, frame: bytes) -> bool:
        with self.order:
            if self._closed:
                return False
            self._send(frame)
            return bool(self._context.is_active())

    def close(self, status: str, sentence: str) -> None:
        if not self.order.acquire(timeout=_CLOSE_WAIT_S):
            # The other end takes nothing: what is being sent will never be, and the status would not arrive either.
            self._closed = True
            self._context.cancel()
            return
        try:
            if self._closed:
                return
            self._closed = True
            self._context.set_code(grpc.StatusCode[status])
            self._context.set_details(sentence)
            self._send(None)
        finally:
            self.order.release()


class QueueStream:
    """Hands frames to the generator that grpcio reads."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._frames: queue.SimpleQueue[bytes | tuple[str, str]] = queue.SimpleQueue()
        self.order = threading.RLock()
        self._closed = False

    def send(self, frame: bytes) -> bool:
        with self.order:
            if self._closed:
                return False
            self._frames.put(frame)
        return bool(self._context.is_active())

    def close(self, status: str, sentence: str) -> None:
        with self.order:
            if not self._closed:
                self._closed = True
                self._frames.put((status, sentence))

    def frames(self) -> Iterator[bytes]:
        """What grpcio sends; ends the call with the status that `close` got."""
        while True:
            item = self._frames.get()
            if isinstance(item, bytes):
                yield item
                continue
            status, sentence = item
            if status != "OK":
                self._context.abort(grpc.StatusCode[status], sentence)
            return
