"""`cupy.cuda.stream`: streams and events.

A stream is a number in a command's header (see `_streams.py`). Leaving `with stream` restores the stream of the enclosing block and
forgets an earlier `.use()` inside it, as CuPy does.
"""

from __future__ import annotations

import queue
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Any, Self

from cupool.contract.errors import CUDARuntimeError, Unsupported

from ... import captures, dispatch, session, streams
from ...dispatch import HANDLE, INTEGER
from ...objects import RemoteObject
from ...pending import COMMANDS, extend
from . import _streams, runtime
from ._streams import PTR_BASE


class _Current(threading.local):
    """The Stream objects of a thread: the current one, and those of the enclosing `with` blocks."""

    def __init__(self) -> None:
        self.stack: list[Any] = [Stream.null]
        self.stream: Any = Stream.null


class Event:
    """A point in a stream."""

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
        #: The capture in which it was last recorded, and on which stream.
        self._capture: tuple[captures.Capture, int] | None = None
        #: How often it was recorded, and up to which time it is known to have happened.
        self._recorded, self._happened = 0, -1

    @property
    def ptr(self) -> int:
        """A number that identifies the event."""
        return self._remote.handle

    @property
    def done(self) -> bool:
        """Whether everything recorded has completed. Waits for the answer, not for the event, and not where that is known."""
        recorded = self._recorded
        if self._happened == recorded:
            return True
        is_done = bool(dispatch.ask("@event_query", (HANDLE,), (self._remote.handle,)))
        if is_done:
            self._happens(recorded)
        return is_done

    def _happens(self, recorded: int) -> None:
        """The server has said that what was recorded up to then is done. A graph records again without a call of ours."""
        if self._capture is None:
            self._happened = recorded

    def record(self, stream: Any = None) -> None:
        """Mark the current point of a stream."""
        with streams.using(stream):
            number = streams.current()
            capture = captures.of_stream(number)
            self._capture = None if capture is None else (capture, number)
            self._recorded += 1
            dispatch.send("@event_record", (HANDLE,), (self._remote.handle,))

    def synchronize(self) -> None:
        """Wait until the event has happened."""
        if self._capture is not None and self._capture[0].is_open:
            self._capture[0].is_invalid = True
            raise CUDARuntimeError(captures.UNSUPPORTED)
        recorded = self._recorded
        dispatch.ask("@event_wait", (HANDLE,), (self._remote.handle,))
        self._happens(recorded)


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
        self._waiting = threading.Condition()
        self._left = 0

    def add(self, callback: Callable[[], Any]) -> None:
        (reply,) = dispatch.send("@barrier", (), (), ("reply",))
        session.flush()
        with self._waiting:
            self._left += 1
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="cupool-callbacks", daemon=True)
                self._thread.start()
        self._queue.put((reply, callback))

    def _work(self) -> None:
        while True:
            reply, callback = self._queue.get()
            try:
                session.wait_reply(reply)
                callback()
            except Exception:
                # Nobody is there to raise it to, and the callbacks behind this one are to run.
                traceback.print_exc()
            finally:
                with self._waiting:
                    self._left -= 1
                    self._waiting.notify_all()

    def wait(self) -> None:
        """Until every callback added so far has run. Not from a callback itself."""
        if not self._left or threading.current_thread() is self._thread:
            return
        with self._waiting:
            while self._left and self._thread is not None and self._thread.is_alive():
                self._waiting.wait(0.1)


_callbacks = _Callbacks()


def wait_all() -> None:
    """Wait for everything issued, callbacks included."""
    session.wait_all()
    _callbacks.wait()


def enqueue(callback: Callable[[], Any]) -> None:
    """Call `callback` in this process when what was issued on the current stream is done."""
    _callbacks.add(callback)


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
        return self._number + PTR_BASE

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
        """Whether everything on the stream has completed. Waits for the answer. Spoils a capture, as in CUDA."""
        capture = captures.of_stream(self._number)
        if capture is not None:
            capture.is_invalid = True
            return False
        return bool(dispatch.ask("@stream_query", (self._number,), ()))

    def synchronize(self) -> None:
        """Wait until everything on the stream has completed."""
        captures.forbid(self._number)
        with streams.using(self):
            wait_all()

    def record(self, event: Event | None = None) -> Event:
        """Record an event on this stream; a new one when none is given."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """What is issued on this stream from here on waits for the event. Takes it into the event's capture."""
        recorded = event._capture if event._capture is not None and event._capture[0].is_open else None
        if recorded is not None:
            capture, source = recorded
            if captures.join(capture, self._number):
                dispatch.send("@capture_join", (INTEGER, INTEGER), (capture.number, self._number))
            capture.unjoined.discard(source)
        elif captures.of_stream(self._number) is not None:
            raise CUDARuntimeError(captures.ISOLATION)
        with streams.using(self):
            dispatch.send("@stream_wait_event", (HANDLE,), (event._remote.handle,))

    def add_callback(self, callback: Callable[[Any, int, Any], Any], arg: Any) -> None:
        """Call `callback(stream, status, arg)` in this process when earlier work is done."""
        captures.forbid(self._number)
        with streams.using(self):
            enqueue(lambda: callback(self, 0, arg))

    def launch_host_func(self, callback: Callable[[Any], Any], arg: Any) -> None:
        """Call `callback(arg)` in this process when earlier work is done. Later work of the stream does not wait for it."""
        capture = captures.of_stream(self._number)
        if capture is not None:
            capture.callbacks.append((callback, arg))
            return
        with streams.using(self):
            enqueue(lambda: callback(arg))

    # -- captures -----------------------------------------------------------------------------------------------------

    def begin_capture(self, mode: int | None = None) -> None:
        """Record what is issued on this stream, until `end_capture`, instead of running it.

        Raises:
            RuntimeError: it is a default stream.
            CUDARuntimeError: it is capturing already.
        """
        if not self._number:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        capture = captures.begin(self._number)
        dispatch.send("@capture_begin", (INTEGER, INTEGER), (capture.number, self._number))

    def end_capture(self) -> Any:
        """End the capture that began on this stream; returns what was recorded, a `cupy.cuda.Graph`.

        Raises:
            CUDARuntimeError: none began here, something spoilt it, or a stream that joined was not waited for.
        """
        from .graph import Graph

        capture = captures.end(self._number)
        captures.close(capture)
        if capture.is_invalid or capture.unjoined:
            dispatch.send("@capture_abort", (INTEGER,), (capture.number,))
            raise CUDARuntimeError(captures.INVALIDATED if capture.is_invalid else captures.UNJOINED)
        return Graph.of_capture(capture)

    def is_capturing(self) -> bool:
        """Whether it is part of a capture. Raises where the answer would spoil one, or one is spoilt, as CUDA does."""
        if not self._number and any(not _streams.facts_of(n).is_non_blocking for n in captures.CAPTURING):
            raise CUDARuntimeError(captures.IMPLICIT)
        capture = captures.of_stream(self._number)
        if capture is not None and capture.is_invalid:
            raise RuntimeError("the stream was capturing, but an error has invalidated the capture sequence")
        return capture is not None

    @property
    def is_non_blocking(self) -> bool:
        """Whether it does not wait for the default stream."""
        return _streams.facts_of(self._number).is_non_blocking

    @property
    def priority(self) -> int:
        """0, or what it was made with."""
        return _streams.facts_of(self._number).priority


class Stream(_BaseStream):
    """A stream of commands. `null` and `ptds` are the default stream."""

    __module__ = "cupy.cuda.stream"
    null: Stream
    ptds: Stream

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None
    ) -> None:
        self._ptr: int | None = 0 if null else 2 if ptds else None
        if null or ptds:
            return
        self._number = _streams.create(bool(non_blocking), 0 if priority is None else int(priority))
        self._destroy = _streams.facts_of(self._number).destroy
        self.device_id = 0

    @property
    def ptr(self) -> int:
        return self._ptr if self._ptr is not None else super().ptr

    @classmethod
    def from_external(cls, foreign_stream: Any) -> Any:
        """A stream around another object's, which must be one of this session's: anything with `__cuda_stream__`.

        Raises:
            TypeError: it has no `__cuda_stream__`, or not one of version 0.
            CUDARuntimeError: it is not a stream of this session; those of other libraries are not on the server.
        """
        if not hasattr(foreign_stream, "__cuda_stream__"):
            raise TypeError(f"Object of type {type(foreign_stream)} does not implement __cuda_stream__")
        found = foreign_stream.__cuda_stream__()
        if not isinstance(found, tuple) or len(found) != 2:
            raise TypeError(f"__cuda_stream__ must return a 2-tuple (version, stream_ptr), got {found!r}")
        version, ptr = found
        if not isinstance(version, int) or not isinstance(ptr, int):
            raise TypeError(f"__cuda_stream__ must return (int, int), got ({type(version)}, {type(ptr)})")
        if version != 0:
            raise TypeError(f"__cuda_stream__ returned unsupported version {version} (expected version 0)")
        made = _Borrowed(ptr)
        made._foreign_stream_ref = foreign_stream
        return made

    def __del__(self, extend: Any = extend, forget: Any = _streams.forget) -> None:
        number = self._number
        if number and COMMANDS is not None:
            extend((self._destroy, number))
            forget(number)


class _Borrowed(Stream):
    """A stream of this session that something else keeps alive."""

    __module__ = "cupy.cuda.stream"
    _foreign_stream_ref: Any = None

    def __init__(self, ptr: int, device_id: int = -1) -> None:
        self._number = _streams.stream_at(ptr)._number
        self._ptr = int(ptr)
        self.device_id = device_id

    def __del__(self, *_: Any) -> None:
        """Not its own to destroy."""


class ExternalStream(_Borrowed):
    """A stream by its number, which must be of this session (`runtime.streamCreate`). Deprecated: `Stream.from_external`."""

    __module__ = "cupy.cuda.stream"

    def __init__(self, ptr: int, device_id: int = -1) -> None:
        warnings.warn(
            "ExternalStream is deprecated. Use Stream.from_external() instead.", DeprecationWarning, stacklevel=2
        )
        super().__init__(ptr, device_id)


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


def get_default_stream_ptr() -> int:
    """The default stream as other libraries are told it, which may not be 0."""
    return int(runtime.streamLegacy)


def is_ptds_enabled() -> bool:
    """False."""
    return False


session.on_change.append(captures.forget)
