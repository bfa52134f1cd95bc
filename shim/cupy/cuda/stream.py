"""`cupy.cuda.stream`: streams and events.

A stream is a number in a command's header. Its `ptr` is a number of ours: nothing in this process can use it as a CUDA handle.
Leaving `with stream` restores the stream of the enclosing block and forgets an earlier `.use()` inside it, as CuPy does.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Self

from cupool.contract.codec import header
from cupool.contract.errors import Unsupported

from ... import dispatch, session, streams
from ...dispatch import HANDLE, INTEGER
from ...objects import RemoteObject
from ...pending import COMMANDS, extend
from . import runtime

#: Added to stream numbers to make `ptr`, so that no stream looks like CUDA's reserved handles 0, 1 and 2.
_PTR_BASE = 0x1000


class _Current(threading.local):
    """The Stream objects of a thread: the current one, and those of the enclosing `with` blocks."""

    def __init__(self) -> None:
        self.stack: list[Any] = [Stream.null]
        self.stream: Any = Stream.null


class Event:
    """A point in a stream. Made on the server when it is first used."""

    __module__ = "cupy.cuda.stream"

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        if interprocess:
            if not disable_timing:
                raise ValueError("Timing must be disabled for interprocess events")
            raise Unsupported(
                "Events for other processes are not supported: they live in the server's process.",
                "Leave interprocess out.",
            )
        self._flags = (runtime.eventBlockingSync if block else 0) | (
            runtime.eventDisableTiming if disable_timing else 0
        )
        (handle,) = dispatch.send("@event_create", (self._flags,), (), ("object",))
        self._remote = RemoteObject(handle)

    @property
    def ptr(self) -> int:
        """A number that identifies the event."""
        return self._remote.handle

    @property
    def done(self) -> bool:
        """Whether everything recorded has completed. Waits for the answer, not for the event."""
        return bool(dispatch.ask("@event_query", (HANDLE,), (self._remote.handle,)))

    def record(self, stream: Any = None) -> None:
        """Mark the current point of a stream."""
        with streams.using(stream):
            dispatch.send("@event_record", (HANDLE,), (self._remote.handle,))

    def synchronize(self) -> None:
        """Wait until the event has happened."""
        dispatch.ask("@event_wait", (HANDLE,), (self._remote.handle,))


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Milliseconds between two recorded events."""
    handles = (start_event._remote.handle, end_event._remote.handle)
    return float(dispatch.ask("@event_elapsed", (HANDLE, HANDLE), handles))


class _Callbacks:
    """Runs `launch_host_func` callbacks in this process, in order, when the stream's earlier work is done."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[int, Callable[[], Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, callback: Callable[[], Any]) -> None:
        (reply,) = dispatch.send("@barrier", (), (), ("reply",))
        session.flush()
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="cupool-callbacks", daemon=True)
                self._thread.start()
        self._queue.put((reply, callback))

    def _work(self) -> None:
        while True:
            reply, callback = self._queue.get()
            session.wait_reply(reply)
            callback()


_callbacks = _Callbacks()


class _BaseStream:
    """What all streams can do.

    Attributes:
        device_id: the device; -1 for the default streams, which are every device's.
    """

    _number = 0
    device_id = -1

    @property
    def ptr(self) -> int:
        """A number that identifies the stream; 0 and 2 are CUDA's default streams."""
        return self._number + _PTR_BASE

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BaseStream) and self.ptr == other.ptr

    def __hash__(self) -> int:
        return self.ptr

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.ptr} (device {self.device_id})>"

    def __cuda_stream__(self) -> tuple[int, int]:
        return (0, self.ptr)

    def __enter__(self) -> Self:
        current = _current()
        current.stack.append(self)
        _make_current(self)
        return self

    def __exit__(self, *exc: object) -> None:
        current = _current()
        current.stack.pop()
        _make_current(current.stack[-1])

    def use(self) -> Self:
        """Make this the thread's current stream."""
        _make_current(self)
        return self

    @property
    def done(self) -> bool:
        """Whether everything on the stream has completed. Waits for the answer."""
        return bool(dispatch.ask("@stream_query", (self._number,), ()))

    def synchronize(self) -> None:
        """Wait until everything on the stream has completed."""
        with streams.using(self):
            session.wait_all()

    def record(self, event: Event | None = None) -> Event:
        """Record an event on this stream; a new one when none is given."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """What is issued on this stream from here on waits for the event."""
        with streams.using(self):
            dispatch.send("@stream_wait_event", (HANDLE,), (event._remote.handle,))

    def add_callback(self, callback: Callable[[Any, int, Any], Any], arg: Any) -> None:
        """Call `callback(stream, status, arg)` in this process when earlier work is done."""
        with streams.using(self):
            _callbacks.add(lambda: callback(self, 0, arg))

    def launch_host_func(self, callback: Callable[[Any], Any], arg: Any) -> None:
        """Call `callback(arg)` in this process when earlier work is done. Later work of the stream does not wait for it."""
        with streams.using(self):
            _callbacks.add(lambda: callback(arg))

    def begin_capture(self, mode: Any = None) -> None:
        """Graphs are not supported."""
        raise Unsupported(
            "Stream.begin_capture is not supported yet: graphs of commands.", "Run the commands without capturing them."
        )

    def end_capture(self) -> Any:
        """Graphs are not supported."""
        raise Unsupported(
            "Stream.end_capture is not supported yet: graphs of commands.", "Run the commands without capturing them."
        )

    def is_capturing(self) -> bool:
        """False."""
        return False

    @property
    def is_non_blocking(self) -> bool:
        """Whether it does not wait for the default stream."""
        return False

    @property
    def priority(self) -> int:
        """0, or what it was made with."""
        return 0


class Stream(_BaseStream):
    """A stream of commands. `null` and `ptds` are the default stream."""

    __module__ = "cupy.cuda.stream"
    null: Stream
    ptds: Stream

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None
    ) -> None:
        self._non_blocking = bool(non_blocking) and not (null or ptds)
        self._priority = 0 if priority is None else int(priority)
        self._ptr: int | None = 0 if null else 2 if ptds else None
        if null or ptds:
            return
        # The destructor may not define a form, so it is done here.
        self._destroy = header(dispatch.define("@stream_destroy", (INTEGER,), {}, ()))
        self._number = streams.mint_stream()
        self.device_id = 0
        dispatch.send("@stream_create", (INTEGER, self._non_blocking, self._priority), (self._number,))

    @property
    def ptr(self) -> int:
        return self._ptr if self._ptr is not None else super().ptr

    @property
    def is_non_blocking(self) -> bool:
        return self._non_blocking

    @property
    def priority(self) -> int:
        return self._priority

    @classmethod
    def from_external(cls, stream: Any) -> Self:
        """A stream of another library cannot be used: it is a handle of this process."""
        raise Unsupported(
            "Stream.from_external is not supported: streams of this process are not on the server.",
            "Make a cupy.cuda.Stream.",
        )

    def __del__(self, extend: Any = extend, retire: Any = streams.retire) -> None:
        number = self._number
        if number and COMMANDS is not None:
            extend((self._destroy, number))
            retire(number)


class ExternalStream(_BaseStream):
    """A stream of another library cannot be used."""

    def __init__(self, ptr: int, device_id: int = -1) -> None:
        raise Unsupported(
            "ExternalStream is not supported: streams of this process are not on the server.",
            "Make a cupy.cuda.Stream.",
        )


Stream.null = Stream(null=True)
Stream.ptds = Stream(ptds=True)
_thread: _Current | None = None


def _current() -> _Current:
    global _thread
    if _thread is None:
        _thread = _Current()
    return _thread


def _make_current(stream: Any) -> None:
    _current().stream = stream
    streams.set_current(stream._number)


def get_current_stream(device_id: int = -1) -> Any:
    """This thread's current stream."""
    return _current().stream


def is_ptds_enabled() -> bool:
    """False."""
    return False
