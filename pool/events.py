"""What happens in the pool, for whoever watches: one sentence each, told to all who listen. Nobody who is slow holds up the pool."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from cupool.v1 import admin_pb2

_log = logging.getLogger("cupool.pool.events")


class Events:
    """Any thread may emit; a listener is called there and does not wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[int, Callable[[admin_pb2.Event], object]] = {}
        self._count = 0

    def emit(
        self, kind: str, subject: str, text: str, tenant: str = "", request: str = "", level: int = logging.INFO
    ) -> None:
        """Tell of something: "session-leased", "device-cordoned", ...

        Args:
            subject: an id of what `kind` begins with: a session's, a device's, ...
            level: of its line in the log.
            request: the client's own name of what it asked for, in the line that first names the session.
        """
        if _log.isEnabledFor(level):
            what = kind.partition("-")[0]
            about = f" tenant={tenant}" if tenant else ""
            about += f" request={request!r}" if request else ""
            _log.log(level, "event=%s %s=%s%s text=%r", kind, what, subject, about, text)
        if not self._listeners:
            return
        event = admin_pb2.Event(time=time.time(), kind=kind, subject=subject, tenant=tenant, text=text)
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            listener(event)

    def listen(self, listener: Callable[[admin_pb2.Event], object]) -> Callable[[], None]:
        """Have `listener` called for each event from now on. Returns what ends that."""
        with self._lock:
            self._count += 1
            key = self._count
            self._listeners[key] = listener

        def stop() -> None:
            with self._lock:
                self._listeners.pop(key, None)

        return stop
