"""Who must know of every new array: allocators other than the default pool's, memory hooks, captures of a stream.

Boundary: dispatch and uploads call `born` for each array whose memory is new (views are not), while `watched` is True. While anyone
watches, no call takes the hot path (Note [Hot tables]), which makes arrays without telling.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from . import operators

#: Whether anybody watches.
watched = False

_watchers: dict[str, list[Any]] = {}  # name -> [handler, how many times it was started]
_lock = threading.RLock()


class _Busy(threading.local):
    now = False


#: Set while handlers run in this thread: what they make themselves is not announced.
_busy = _Busy()


def watch(name: str, handler: Callable[[Any], None]) -> None:
    """Call `handler(array)` for each new array from here on. Nested calls of one name count."""
    global watched
    with _lock:
        _watchers.setdefault(name, [handler, 0])[1] += 1
        watched = True
        operators.set_hot("births", False)


def unwatch(name: str) -> None:
    """Take one `watch` back."""
    global watched
    with _lock:
        entry = _watchers[name]
        entry[1] -= 1
        if not entry[1]:
            del _watchers[name]
        if not _watchers:
            watched = False
            operators.set_hot("births", True)


def born(a: Any) -> None:
    """An array with memory of its own was made. May raise what an allocator raises."""
    if _busy.now:
        return
    _busy.now = True
    try:
        for handler, _ in list(_watchers.values()):
            handler(a)
    finally:
        _busy.now = False


def reset_lock() -> None:
    """In a forked child: the lock may have been held by a thread that is not here."""
    global _lock
    _lock = threading.RLock()
