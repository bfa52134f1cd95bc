"""Streams and events of the CPU device. Commands run one after the other, so a stream is a number and an event a time stamp."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from cupool.contract.errors import CUDARuntimeError

_DISABLE_TIMING = 2
_INVALID_HANDLE = 400


class Event:
    """When everything before it had completed: `at_ns`, None until it is recorded."""

    __slots__ = ("at_ns", "timed")

    def __init__(self, flags: int) -> None:
        self.at_ns: int | None = None
        self.timed = not flags & _DISABLE_TIMING


class Timeline:
    """The streams of one session."""

    def __init__(self) -> None:
        #: numbers of those that exist
        self.streams = {0}

    def ops(self) -> dict[str, Callable[..., Any]]:
        """Op name -> implementation."""
        return {
            "@stream_create": self.stream_create,
            "@stream_destroy": self.stream_destroy,
            "@stream_query": lambda stream: True,
            "@event_create": Event,
            "@event_record": event_record,
            "@event_query": lambda event: True,
            "@event_wait": lambda event: None,
            "@event_elapsed": event_elapsed,
            "@stream_wait_event": lambda event: None,
        }

    def stream_create(self, stream: int, non_blocking: bool = False, priority: int = 0) -> None:
        self.streams.add(stream)

    def stream_destroy(self, stream: int) -> None:
        self.streams.discard(stream)


def event_record(event: Event) -> None:
    event.at_ns = time.perf_counter_ns()


def event_elapsed(start: Event, end: Event) -> float:
    """Milliseconds between two recorded events, as CUDA gives them: a 32-bit float."""
    if start.at_ns is None or end.at_ns is None or not (start.timed and end.timed):
        raise CUDARuntimeError(_INVALID_HANDLE)
    return (end.at_ns - start.at_ns) / 1e6
