"""Errors of commands that nobody waited for: remembered by issuing thread, raised once at that thread's next wait.

Boundary: takes `cupool.v1.Failure` messages from the thread that reads, gives exceptions to waiting threads.

Cases at a wait of thread T:
  - the awaited value is itself an error: that is raised; an equal deferred error of any thread is thereby reported, and says which
    call it was;
  - else the first deferred error of T, or of nobody (tag 0), is raised, with the others of T in its notes;
  - else nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from cupool.contract.errors import error_from_wire, is_before_launch
from cupool.contract.records import NamedTuple

from . import sites

#: Ops of our own by what a program called for them; others are called what they are, without the sign.
_OURS = {
    "@view": "indexing",
    "@malloc": "alloc",
    "@kernel_raw": "RawModule",
    "@kernel_function": "get_function",
    "@kernel_elementwise": "ElementwiseKernel",
    "@kernel_reduction": "ReductionKernel",
    "@launch": "kernel launch",
    "@call_elementwise": "ElementwiseKernel",
    "@call_reduction": "ReductionKernel",
    "@graph_launch": "Graph.launch",
    "@offload_function": "offload",
    "@offload_result": "offload",
}
#: Entries kept per thread; more are only counted.
MAX_KEPT = 64


class Entry(NamedTuple):
    """A failure that was not reported yet. `error` is the `cupool.v1.Error`, `key` its bytes."""

    error: Any
    key: bytes
    op: str
    tag: int
    #: The program's own that it ran; empty: none.
    kernel: str = ""

    def note(self) -> str:
        place = sites.where(self.tag)
        what = f"kernel {self.kernel!r}" if self.kernel else f"op {_OURS.get(self.op, self.op.lstrip('@'))!r}"
        return f"cupool: {what} called at {place}" if place else f"cupool: {what}"


class _Queue:
    __slots__ = ("dropped", "entries")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.dropped = 0


class Deferred:
    """The unreported failures of one session."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._queues: dict[int, _Queue] = {}
        #: `cupool.v1.Failure` messages as they came; sorted to the threads they belong to when somebody looks.
        self.arrived: deque[Any] = deque()
        #: What was raised came before a kernel ran, and the server is to be told that the program knows.
        self.lifts = False

    def __bool__(self) -> bool:
        return bool(self.arrived or self._queues)

    def add(self, failure: Any) -> None:
        """Remember a `cupool.v1.Failure`."""
        self.arrived.append(failure)

    def settle(self) -> None:
        """Keep memory bounded: called when failures may have arrived."""
        if len(self.arrived) > MAX_KEPT:
            self._sort()

    def _sort(self) -> None:
        arrived = self.arrived
        with self._lock:
            while arrived:
                failure = arrived[0]
                thread = sites.describe(failure.tag)[2]
                if not arrived or arrived[0] is not failure:
                    continue  # a signal handler has waited meanwhile, and sorted it
                queue = self._queues.setdefault(thread, _Queue())
                if len(queue.entries) < MAX_KEPT:
                    key = failure.error.SerializeToString()
                    queue.entries.append(Entry(failure.error, key, failure.op, failure.tag, failure.kernel))
                else:
                    queue.dropped += 1
                arrived.popleft()

    def exception_for(self, error: Any) -> BaseException:
        """The exception of an awaited value's own error, with the note of the call that caused it where that is known."""
        exception = error_from_wire(error)
        self.lifts |= is_before_launch(exception)
        if self.arrived:
            self._sort()
        if self._queues:
            key = error.SerializeToString()
            with self._lock:
                for thread, queue in list(self._queues.items()):
                    same = [e for e in queue.entries if e.key == key]
                    if same:
                        exception.add_note(same[0].note())
                        self._keep(thread, queue, [e for e in queue.entries if e.key != key])
                        break
        return exception

    def _keep(self, thread: int, queue: _Queue, entries: list[Entry]) -> None:
        queue.entries = entries
        if not entries:
            del self._queues[thread]

    def take(self, thread: int) -> BaseException | None:
        """The exception that `thread` must raise at its wait, or None."""
        if self.arrived:
            self._sort()
        if not self._queues:
            return None
        with self._lock:
            for key in (thread, 0):
                queue = self._queues.pop(key, None)
                if queue is not None:
                    self.lifts |= bool(queue.dropped) or any(
                        is_before_launch(error_from_wire(entry.error)) for entry in queue.entries
                    )
                    return _combined(queue)
        return None

    def unreported(self) -> list[str]:
        """What was never raised, a text each; forgets it."""
        self._sort()
        with self._lock:
            queues = list(self._queues.values())
            self._queues.clear()
        lines = []
        for queue in queues:
            lines += [f"{_text(e.error)}\n  {e.note()}" for e in queue.entries]
            if queue.dropped:
                lines.append(f"... and {queue.dropped} more")
        return lines


def _text(error: Any) -> str:
    return f"{error.type}: {error.message}"


def _combined(queue: _Queue) -> BaseException:
    first, *others = queue.entries
    exception = error_from_wire(first.error)
    exception.add_note(first.note())
    for entry in others[:3]:
        exception.add_note(f"cupool: also failed: {_text(entry.error)} ({entry.note().removeprefix('cupool: ')})")
    rest = len(others[3:]) + queue.dropped
    if rest:
        exception.add_note(f"cupool: and {rest} more calls failed")
    return exception
