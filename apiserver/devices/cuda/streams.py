"""Streams and events of the CUDA device: a session's stream numbers are CuPy streams; 0 is the default stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy

from cupool.contract.errors import CUDARuntimeError

_INVALID_DEVICE = 101
_INVALID_HANDLE = 400
# Flags of cudaEventCreateWithFlags.
_BLOCKING, _NO_TIMING = 1, 2


class Streams:
    """The streams of one session, and which is current. Used by the executing thread alone."""

    def __init__(self, device: int) -> None:
        self._device = cupy.cuda.Device(device)
        self._streams: dict[int, Any] = {0: cupy.cuda.Stream.null}
        self._current = 0

    def ops(self) -> dict[str, Callable[..., Any]]:
        """Op name -> implementation."""
        return {
            "@stream_create": self.create,
            "@stream_destroy": self.destroy,
            "@stream_query": lambda stream: bool(self.get(stream).done),
            "@event_create": lambda flags: cupy.cuda.Event(
                block=bool(flags & _BLOCKING), disable_timing=bool(flags & _NO_TIMING)
            ),
            "@event_record": lambda event: event.record(self.get(self._current)),
            "@event_query": lambda event: bool(event.done),
            "@event_wait": lambda event: event.synchronize(),
            "@event_elapsed": lambda start, end: float(cupy.cuda.get_elapsed_time(start, end)),
            "@stream_wait_event": lambda event: self.get(self._current).wait_event(event),
        }

    def get(self, stream: int) -> Any:
        try:
            return self._streams[stream]
        except KeyError:
            raise CUDARuntimeError(_INVALID_HANDLE) from None

    def create(self, stream: int, non_blocking: bool = False, priority: int = 0) -> None:
        self._streams[stream] = cupy.cuda.Stream(non_blocking=bool(non_blocking), priority=priority or None)

    def destroy(self, stream: int) -> None:
        if stream:
            self._streams.pop(stream, None)

    def select(self, device: int, stream: int) -> None:
        """Make a stream current for the calls that follow. The session sees one device, number 0."""
        if device:
            raise CUDARuntimeError(_INVALID_DEVICE)
        self.get(stream).use()
        self._current = stream

    def enter(self) -> None:
        """In a thread that is about to execute: CUDA's current device and stream are per thread."""
        self._device.use()
        self.get(self._current).use()

    def synchronize(self) -> None:
        self._device.synchronize()
