"""Streams by number: made, destroyed, found by the address-like numbers (`ptr`) that programs see.

A stream's `ptr` is its number plus a base: nothing in this process can use it as a CUDA handle. 0, 1 and 2 are CUDA's default streams,
all of which are stream number 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cupool.contract.codec import header
from cupool.contract.errors import CUDARuntimeError

from ... import captures, dispatch, streams
from ...dispatch import INTEGER

#: Added to stream numbers to make `ptr`, so that no stream looks like CUDA's reserved handles 0, 1 and 2.
PTR_BASE = 0x1000
_INVALID_HANDLE = 400


class Place:
    """A stream as `streams.using` takes it."""

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number


_DEFAULT = Place(0)


class Facts(NamedTuple):
    """What a stream was made with."""

    is_non_blocking: bool
    priority: int
    destroy: int  # header of the command that destroys it


#: number -> facts of the streams that are alive.
_alive: dict[int, Facts] = {}


def create(is_non_blocking: bool, priority: int) -> int:
    """A new stream's number."""
    # A destructor may not define a form, so it is done here.
    destroy = header(dispatch.define("@stream_destroy", (INTEGER,), {}, ()))
    number = streams.mint_stream()
    left = captures.of_stream(number)
    if left is not None:  # of a stream that was dropped while it captured
        captures.close(left)
        dispatch.send("@capture_abort", (INTEGER,), (left.number,))
    dispatch.send("@stream_create", (INTEGER, is_non_blocking, priority), (number,))
    _alive[number] = Facts(is_non_blocking, priority, destroy)
    return number


def facts_of(number: int) -> Facts:
    """What a stream was made with."""
    return _alive.get(number) or Facts(False, 0, 0)


def forget(number: int, pop: Any = _alive.pop, retire: Any = streams.retire) -> None:
    """A stream is gone: its number may be used again."""
    pop(number, None)
    retire(number)


def stream_at(ptr: int) -> Place:
    """The stream that a `ptr` means. Raises CUDARuntimeError when there is none."""
    if 0 <= ptr <= 2:
        return _DEFAULT
    number = int(ptr) - PTR_BASE
    if number not in _alive:
        raise CUDARuntimeError(_INVALID_HANDLE)
    return Place(number)
