"""`cupyx.allow_synchronize(False)`: where a thread has asked for it, what would wait for the server raises instead.

Boundary: numbers of waits are the session's; here only the question whether this thread may wait.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class DeviceSynchronized(RuntimeError):
    """A wait where none was allowed."""

    __module__ = "cupyx"

    def __init__(self, message: str | None = None) -> None:
        super().__init__("Device was synchronized" if message is None else message)


class _Local(threading.local):
    is_allowed = True


_local = _Local()


@contextmanager
def allow_synchronize(allow: bool) -> Iterator[None]:
    """Within, waits of this thread are allowed or raise DeviceSynchronized."""
    before, _local.is_allowed = _local.is_allowed, allow
    try:
        yield
    finally:
        _local.is_allowed = before


def declare() -> None:
    """This thread is about to wait. Raises DeviceSynchronized where it must not."""
    if not _local.is_allowed:
        raise DeviceSynchronized
