"""The current stream of each thread, as the bits it has in a command's header.

Boundary: numbers only; `cupy.cuda.Stream` is in `shim/cupy/cuda/stream.py`. While no thread has a current stream other than the
default one, hot paths need not look here: `ON_USE` callbacks tell them when that changes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from cupool.contract.codec import STREAM_MASK, STREAM_SHIFT


class _Local(threading.local):
    bits = 0
    presence: _Presence | None = None


_local = _Local()
_lock = threading.RLock()
_next = 1
_recycled: list[int] = []

#: Threads whose current stream is not the default one.
_users = 0

#: Called with True when the first thread leaves the default stream (before it does), with False when the last one is back.
ON_USE: list[Callable[[bool], None]] = []


def bits() -> int:
    """The stream field of a command that this thread issues now, shifted into place."""
    return _local.bits


def current() -> int:
    """The number of this thread's current stream; 0 is the default stream."""
    return _local.bits >> STREAM_SHIFT


def set_current(number: int) -> None:
    """Make a stream this thread's current one."""
    if number and not _local.bits:
        _count(1)
        _local.presence = _Presence()
    _local.bits = number << STREAM_SHIFT
    if not number:
        _local.presence = None


def _count(change: int) -> None:
    """One thread more, or less, whose current stream is not the default one."""
    global _users
    with _lock:
        _users += change
        if change > 0 and _users == 1:
            for callback in ON_USE:
                callback(True)
        elif not _users:
            for callback in ON_USE:
                callback(False)


class _Presence:
    """That a thread uses a stream. It goes when the thread leaves the stream, or with the thread."""

    __slots__ = ()

    def __del__(self, count: Callable[[int], None] = _count, is_over: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_over():
            count(-1)


def mint_stream() -> int:
    """A stream number that is not in use. Raises RuntimeError when the header has no room for more."""
    global _next
    with _lock:
        if _recycled:
            return _recycled.pop()
        number, _next = _next, _next + 1
    if number > STREAM_MASK:
        raise RuntimeError(
            f"More than {STREAM_MASK} streams are alive at once. Destroy some, or share them between threads."
        )
    return number


def retire(number: int, give_back: Callable[[int], None] = _recycled.append) -> None:
    """Give a destroyed stream's number back. Commands already queued keep their order, so it can be used again at once.

    `give_back` is bound now: at the interpreter's end this module's names are gone before the last stream is.
    """
    give_back(number)


class using:  # reads as a statement
    """`with using(stream):` commands go to `stream` (an object with a number, or None for the current one)."""

    __slots__ = ("_before", "_stream")

    def __init__(self, stream: object) -> None:
        self._stream = stream

    def __enter__(self) -> None:
        self._before = current()
        if self._stream is not None:
            set_current(getattr(self._stream, "_number", 0))

    def __exit__(self, *exc: object) -> None:
        set_current(self._before)


def reset_lock() -> None:
    """In a forked child: the lock may have been held by a thread that is not here."""
    global _lock
    _lock = threading.RLock()
