"""The stream, event and graph calls of `cupy.cuda.runtime`: the objects of `stream.py` and `graph.py`, by number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cupool.contract.errors import CUDARuntimeError

from ...pending import extend
from . import _constants as c
from . import _streams
from ._streams import PTR_BASE, stream_at

_INVALID_VALUE, _INVALID_HANDLE, _NOT_READY = 1, 400, 600


def _stream(ptr: int) -> Any:
    from .stream import Stream, _Borrowed

    return Stream.null if 0 <= ptr <= 1 else Stream.ptds if ptr == 2 else _Borrowed(ptr)


# -- streams -----------------------------------------------------------------------------------------------------------------


def streamCreate() -> int:
    """A new stream, by its number."""
    return streamCreateWithFlags(c.streamDefault)


def streamCreateWithFlags(flags: int) -> int:
    """A new stream: streamDefault or streamNonBlocking."""
    return streamCreateWithPriority(flags, 0)


def streamCreateWithPriority(flags: int, priority: int) -> int:
    """A new stream with a priority."""
    if flags not in (c.streamDefault, c.streamNonBlocking):
        raise CUDARuntimeError(_INVALID_VALUE)
    return _streams.create(flags == c.streamNonBlocking, int(priority)) + PTR_BASE


def streamDestroy(stream: int) -> None:
    """Destroy a stream made by its number."""
    number = stream_at(stream)._number
    if not number:
        raise CUDARuntimeError(_INVALID_HANDLE)
    extend((_streams.facts_of(number).destroy, number))
    _streams.forget(number)


def streamGetFlags(stream: int) -> int:
    """What it was made with."""
    number = stream_at(stream)._number
    return c.streamNonBlocking if _streams.facts_of(number).is_non_blocking else c.streamDefault


def streamGetPriority(stream: int) -> int:
    """What it was made with."""
    return _streams.facts_of(stream_at(stream)._number).priority


def streamSynchronize(stream: int) -> None:
    """Wait for a stream."""
    _stream(stream).synchronize()


def streamQuery(stream: int) -> int:
    """0 when everything on it has completed, else cudaErrorNotReady. Waits for the answer."""
    return 0 if _stream(stream).done else _NOT_READY


def streamWaitEvent(stream: int, event: int, flags: int = 0) -> None:
    """What is issued on a stream from here on waits for an event."""
    _stream(stream).wait_event(_event(event))


def streamAddCallback(stream: int, callback: Callable[[int, int, Any], Any], arg: Any, flags: int = 0) -> None:
    """Call `callback(stream, status, arg)` in this process when earlier work is done."""
    _stream(stream).add_callback(lambda s, status, a: callback(stream, status, a), arg)


def launchHostFunc(stream: int, callback: Callable[[Any], Any], arg: Any) -> None:
    """Call `callback(arg)` in this process when earlier work is done."""
    _stream(stream).launch_host_func(callback, arg)


def streamBeginCapture(stream: int, mode: int = c.streamCaptureModeRelaxed) -> None:
    """Record what is issued on a stream."""
    _stream(stream).begin_capture(mode)


def streamIsCapturing(stream: int) -> bool:
    """Whether a stream is part of a capture."""
    return bool(_stream(stream).is_capturing())


# -- graphs ------------------------------------------------------------------------------------------------------------------

_graphs: dict[int, Any] = {}


def _graph(number: int) -> Any:
    if number not in _graphs:
        raise CUDARuntimeError(_INVALID_VALUE)
    return _graphs[number]


def streamEndCapture(stream: int) -> int:
    """What was recorded, by a number; `graphDestroy` frees it."""
    graph = _stream(stream).end_capture()
    _graphs[graph.graph] = graph
    return int(graph.graph)


def graphInstantiate(graph: int) -> int:
    """The same graph: it can be launched as it is."""
    return int(_graph(graph).graph)


def graphLaunch(graphExec: int, stream: int) -> None:
    """Run a graph on a stream."""
    _graph(graphExec).launch(_stream(stream))


def graphUpload(graphExec: int, stream: int) -> None:
    """Nothing to do: recorded commands are at the server."""
    _graph(graphExec).upload(_stream(stream))


def graphDebugDotPrint(graph: int, path: str, flags: int) -> None:
    """Write a graph as DOT to a file on this machine. Waits."""
    text = _graph(graph).debug_dot_str(flags)
    with open(path, "w") as file:
        file.write(text)


def graphDestroy(graph: int) -> None:
    """Free a graph."""
    _graph(graph)
    del _graphs[graph]


def graphExecDestroy(graphExec: int) -> None:
    """Nothing: the graph itself is what is launched."""


# -- events ------------------------------------------------------------------------------------------------------------------

_events: dict[int, Any] = {}


def _event(number: int) -> Any:
    if number not in _events:
        raise CUDARuntimeError(_INVALID_HANDLE)
    return _events[number]


def eventCreate() -> int:
    """A new event, by its number."""
    return eventCreateWithFlags(c.eventDefault)


def eventCreateWithFlags(flags: int) -> int:
    """A new event."""
    from .stream import Event

    event = Event(
        bool(flags & c.eventBlockingSync), bool(flags & c.eventDisableTiming), bool(flags & c.eventInterprocess)
    )
    _events[event.ptr] = event
    return event.ptr


def eventDestroy(event: int) -> None:
    """Free an event."""
    _event(event)
    del _events[event]


def eventRecord(event: int, stream: int) -> None:
    """Mark the current point of a stream."""
    _event(event).record(_stream(stream))


def eventQuery(event: int) -> int:
    """0 when it has happened, else cudaErrorNotReady. Waits for the answer."""
    return 0 if _event(event).done else _NOT_READY


def eventSynchronize(event: int) -> None:
    """Wait until an event has happened."""
    _event(event).synchronize()


def eventElapsedTime(start: int, end: int) -> float:
    """Milliseconds between two recorded events."""
    from .stream import get_elapsed_time

    return get_elapsed_time(_event(start), _event(end))


__all__ = [
    "eventCreate",
    "eventCreateWithFlags",
    "eventDestroy",
    "eventElapsedTime",
    "eventQuery",
    "eventRecord",
    "eventSynchronize",
    "graphDebugDotPrint",
    "graphDestroy",
    "graphExecDestroy",
    "graphInstantiate",
    "graphLaunch",
    "graphUpload",
    "launchHostFunc",
    "streamAddCallback",
    "streamBeginCapture",
    "streamCreate",
    "streamCreateWithFlags",
    "streamCreateWithPriority",
    "streamDestroy",
    "streamEndCapture",
    "streamGetFlags",
    "streamGetPriority",
    "streamIsCapturing",
    "streamQuery",
    "streamSynchronize",
    "streamWaitEvent",
]
