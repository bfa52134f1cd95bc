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


class Event:
    """An event, and when it was if that was before its session came here.

    Times between events are the GPU's. Of an event that was recorded on another one what is kept is how long before the session came
    that was; `_came` is an event that was recorded here when it did.
    """

    _came: Any = None
    _gone_ms = 0.0

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self._event = cupy.cuda.Event(block=bool(flags & _BLOCKING), disable_timing=bool(flags & _NO_TIMING))
        self._is_recorded = False
        #: milliseconds before the session was written down; None: it was not recorded then, or has been again
        self._before_ms: float | None = None

    @classmethod
    def begin_again(cls, gone_ms: float) -> None:
        """A session came here, so long after it was written down."""
        cls._came = cupy.cuda.Event()
        cls._came.record(cupy.cuda.Stream.null)
        cls._gone_ms = gone_ms

    @classmethod
    def restored(cls, flags: int, is_recorded: bool, before_ms: float | None) -> Event:
        made = cls(int(flags))
        made._is_recorded = bool(is_recorded)
        made._before_ms = None if before_ms is None else float(before_ms)
        return made

    def state(self) -> tuple[int, bool, float | None]:
        """(flags, whether it was recorded, how long ago in milliseconds). Nothing may run."""
        if not self._is_recorded or self.flags & _NO_TIMING:
            return self.flags, self._is_recorded, None
        now = cupy.cuda.Event()
        now.record(cupy.cuda.Stream.null)
        now.synchronize()
        return self.flags, True, now_after(self, now)

    def record(self, stream: Any) -> None:
        self._event.record(stream)
        self._is_recorded, self._before_ms = True, None

    @property
    def done(self) -> bool:
        return bool(self._event.done)

    @property
    def event(self) -> Any:
        """The library's. One of a session that has moved is done, as one that was never recorded is."""
        return self._event

    @property
    def before_ms(self) -> float | None:
        """How long before the session came here it was recorded, milliseconds; None: afterwards, or never."""
        return None if self._before_ms is None else self._before_ms + type(self)._gone_ms

    def synchronize(self) -> None:
        self._event.synchronize()


def now_after(start: Event, end: Any) -> float:
    """Milliseconds from an event to one of the library's, which was recorded here."""
    if start.before_ms is None:
        return float(cupy.cuda.get_elapsed_time(start.event, end))
    return start.before_ms + float(cupy.cuda.get_elapsed_time(Event._came, end))


def elapsed(start: Event, end: Event) -> float:
    """Milliseconds between two events."""
    if end.before_ms is None:
        return now_after(start, end.event)
    if start.before_ms is None:
        return -now_after(end, start.event)
    return start.before_ms - end.before_ms


class Streams:
    """The streams of one session, and which is current. Used by the executing thread alone."""

    def __init__(self, device: int) -> None:
        self._device = cupy.cuda.Device(device)
        self._streams: dict[int, Any] = {0: cupy.cuda.Stream.null}
        #: number -> (non_blocking, priority), as it was made
        self._made: dict[int, tuple[bool, int]] = {}
        #: streams that the program has destroyed and that may have work yet
        self._ending: list[Any] = []
        self._current = 0

    def ops(self) -> dict[str, Callable[..., Any]]:
        """Op name -> implementation."""
        return {
            "@stream_create": self.create,
            "@stream_destroy": self.destroy,
            "@stream_query": lambda stream: bool(self.get(stream).done),
            "@event_create": Event,
            "@event_record": lambda event: event.record(self.get(self._current)),
            "@event_query": lambda event: event.done,
            "@event_wait": lambda event: event.synchronize(),
            "@event_elapsed": elapsed,
            "@stream_wait_event": lambda event: self.get(self._current).wait_event(event.event),
        }

    def get(self, stream: int) -> Any:
        try:
            return self._streams[stream]
        except KeyError:
            raise CUDARuntimeError(_INVALID_HANDLE) from None

    def create(self, stream: int, non_blocking: bool = False, priority: int = 0) -> None:
        self._streams[stream] = cupy.cuda.Stream(non_blocking=bool(non_blocking), priority=priority or None)
        self._made[stream] = bool(non_blocking), int(priority or 0)

    def destroy(self, stream: int) -> None:
        if not stream or stream not in self._streams:
            return
        self._ending = [one for one in self._ending if not one.done]
        # Another stream may get its number at CUDA, and with it the memory that CuPy's pool keeps for that: not before its work is done.
        self._ending.append(self._streams.pop(stream))
        self._made.pop(stream, None)

    @property
    def apart(self) -> Any:
        """The current stream, where the default stream and it do not wait for each other; else None."""
        non_blocking, _ = self._made.get(self._current, (False, 0))
        return self._streams[self._current] if non_blocking else None

    # -- for whoever copies the session -------------------------------------------------------------------------------

    def numbers(self) -> list[int]:
        return sorted(self._streams)

    def state(self) -> tuple[tuple[int, bool, int], ...]:
        """(number, non_blocking, priority) of all but the default one."""
        return tuple((number, *self._made[number]) for number in sorted(self._made))

    def restore(self, state: Any) -> None:
        """Raises TypeError, ValueError."""
        for number, non_blocking, priority in state:
            if not 0 < int(number) < 1 << 16 or int(number) in self._streams:
                raise ValueError("a stream that cannot be")
            self.create(int(number), bool(non_blocking), int(priority))

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
