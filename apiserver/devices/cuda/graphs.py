"""Loops as captured CUDA graphs: several rounds of a plan in one launch. Docs/decisions/026.

A plan's function (`plans/source.py`) is run once while a stream captures: nothing happens on the GPU, and what would have been launched is
kept as a graph. A graph has addresses in it, so the memory of everything that a round makes is the graph's own: it lies in a pool that
nothing else allocates from, beside the arena. What a round takes from the round before comes in and goes out by copies:

    the session's arrays -> the graph's inputs;  launched n times: [per rounds; their results -> the inputs];  the inputs -> new arrays

Arrays that stay the same are used where they are: their addresses belong to the key, and a graph is not used for others.

Cases that are refused, and run by the plan as ever:
  - a body with anything but calls of CuPy's ufuncs, and views of the same place in each round. Ufuncs compute on the current stream, and
    give memory from the current allocator; other functions may wait, look at the data, or copy from host memory that is gone at the next
    launch;
  - a graph that turns out to have a node that is no kernel and no fill;
  - anything that fails while it is captured: nothing has been computed then.

Note [Whole device]
    Nobody may wait for the whole device while a stream captures: CUDA refuses that and breaks the capture. `Whole` keeps the two apart.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import cupy

from . import driver

log = logging.getLogger(__name__)

#: Kernels of a graph, at most: so many rounds are captured that there are about as many, and no more than half a loop. More would make a
#: capture dearer and a kernel hardly cheaper.
KERNELS = 64
#: Commands of loops of one plan after which it is captured: a capture costs about what so many cost one by one.
AFTER_COMMANDS = 2000
#: Graphs that are kept. Each has the memory of some rounds: results of at most 32 KiB each (`plans/analysis.py`).
MAX_GRAPHS = 32
#: Loops that are counted and have no graph yet.
MAX_SEEN = 256


@dataclass(frozen=True, slots=True)
class Statistics:
    """
    Attributes:
        captured: graphs that were made.
        refused: loops that have none and get none.
        launches: of graphs.
        commands: that ran in them.
        kept: graphs that are kept now.
    """

    captured: int = 0
    refused: int = 0
    launches: int = 0
    commands: int = 0
    kept: int = 0


class Whole:
    """Who waits for the whole device, and who captures: one at a time. See Note [Whole device]."""

    def __init__(self) -> None:
        # Re-entrant: finalizers run anywhere.
        self._lock = threading.RLock()
        #: taken before the other one. Not the same: whoever waits for the device shall not wait for a compiler.
        self._loading = threading.Lock()
        self._is_capturing = False
        self._later: list[Callable[[], None]] = []

    def wait(self) -> None:
        """Until the current device has done everything. Not while the calling thread captures."""
        with self._lock:
            cupy.cuda.runtime.deviceSynchronize()

    def after_waiting(self, act: Callable[[], None]) -> None:
        """Wait, then act; after the capture, where a finalizer comes by while the calling thread captures."""
        with self._lock:
            if self._is_capturing:
                self._later.append(act)
                return
            cupy.cuda.runtime.deviceSynchronize()
            act()

    @contextmanager
    def loading(self) -> Iterator[None]:
        """While another thread compiles and loads a module, which no stream may be capturing meanwhile."""
        with self._loading:
            yield

    @contextmanager
    def capturing(self) -> Iterator[None]:
        """While a stream captures."""
        with self._loading, self._lock:
            self._is_capturing = True
            try:
                yield
            finally:
                self._is_capturing = False
                later, self._later = self._later, []
                if later:
                    cupy.cuda.runtime.deviceSynchronize()
                for act in later:
                    act()


@dataclass(slots=True)
class _Entry:
    """A plan with certain addresses on a certain stream.

    Attributes:
        plan, stream: kept, so that nothing else gets their identities.
        seen: commands of its loops so far.
        per: rounds of a launch.
        inputs: what a launch takes from the one before, and leaves for the next.
        pool: where all memory of the graph is from.
    """

    plan: Any
    stream: Any
    seen: int = 0
    is_refused: bool = False
    graph: Any = None
    per: int = 0
    inputs: list[Any] = field(default_factory=list)
    pool: Any = None


class Graphs:
    """The graphs of one session. Used by the executing thread alone."""

    def __init__(self, allocator: Callable[[int], Any], whole: Whole) -> None:
        """
        Args:
            allocator: of memory that is not the session's, as `cupy.cuda.MemoryPool` takes one.
        """
        self._allocator, self._whole = allocator, whole
        self._entries: OrderedDict[Any, _Entry] = OrderedDict()
        self._stream: Any = None
        self._driver: driver.Driver | None = None
        self._copy: Any = None
        self._has_said = False
        self._captured = self._refused = self._launches = self._commands = 0

    def statistics(self) -> Statistics:
        kept = sum(entry.graph is not None for entry in self._entries.values())
        return Statistics(self._captured, self._refused, self._launches, self._commands, kept)

    def run(self, plan: Any, buffers: Any, fixed: list[Any], carried: list[Any], rounds: int) -> tuple[int, list[Any]]:
        """Run as many of `rounds` rounds as can be.

        Args:
            plan: a `plans.source.Written`, whose rounds differ in nothing but what they carry.
            buffers: the session's table of them.
            fixed, carried: arrays of the specs that the plan is for. Of `carried` nothing else refers to the memory.

        Returns:
            How many rounds ran, and what they carry to the next: `carried` itself where there were none.

        Raises:
            Exception: what the device says after some rounds have run. The session's arrays are lost.
        """
        stream = cupy.cuda.get_current_stream()
        key = (id(plan), int(stream.ptr), tuple([int(array.data.ptr) for array in fixed]))
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(plan, stream, is_refused=not _is_taken(plan))
            self._refused += entry.is_refused
            self._trim()
        self._entries.move_to_end(key)
        entry.seen += rounds * plan.calls
        if entry.is_refused or (entry.graph is None and entry.seen < AFTER_COMMANDS):
            return 0, carried
        launches = rounds // max(entry.per, 1) if entry.graph is not None else 1
        if not launches:
            return 0, carried
        try:
            made = [_like(array) for array in carried]
            if entry.graph is None:
                self._capture(entry, buffers, fixed, carried, rounds)
                launches = rounds // entry.per
            else:
                self._copied(carried, entry.inputs)
        except Exception as error:
            self._refuse(entry, error)
            return 0, carried
        return self._launched(entry, launches, carried, made)

    def _launched(self, entry: _Entry, launches: int, carried: list[Any], made: list[Any]) -> tuple[int, list[Any]]:
        failed: Exception | None = None
        for done in range(launches):
            try:
                entry.graph.launch()
            except Exception as error:
                launches, failed = done, error
                break
        if launches:
            self._copied(entry.inputs, made)
        self._launches += launches
        self._commands += launches * entry.per * entry.plan.calls
        rounds = launches * entry.per
        if failed is not None:
            self._refuse(entry, failed)
        return rounds, made if launches else carried

    def _copied(self, sources: list[Any], targets: list[Any]) -> None:
        """On the current stream."""
        if self._copy is None:
            # A kernel of ours and no assignment, which may be a copy that is no kernel.
            self._copy = cupy.ElementwiseKernel("T x", "T y", "y = x", "cupool_copy")
        for source, target in zip(sources, targets, strict=True):
            if source.size:
                self._copy(source, target)

    # -- capturing ----------------------------------------------------------------------------------------------------

    def _capture(self, entry: _Entry, buffers: Any, fixed: list[Any], carried: list[Any], rounds: int) -> None:
        """Make the entry's graph, and fill its inputs on the current stream. Raises whatever it fails by."""
        if self._stream is None:
            self._stream = cupy.cuda.Stream(non_blocking=True)
            self._driver = driver.Driver()
        assert self._driver is not None
        plan, pool = entry.plan, cupy.cuda.MemoryPool(self._allocator)
        per = max(1, min(KERNELS // plan.calls, rounds // 2))
        with cupy.cuda.using_allocator(pool.malloc), self._stream:
            inputs = [_like(array) for array in carried]
        self._copied(carried, inputs)  # with which the kernel of copies is there too
        with self._whole.capturing(), cupy.cuda.using_allocator(pool.malloc), self._stream:
            names: Any = None
            self._stream.begin_capture()
            try:
                done, line, names = plan.run(1, 1 + per, {}, buffers, fixed, list(inputs), [])
                if not line:
                    self._copied([names[f"p{i}"] for i in plan.carried], inputs)
            finally:
                del names
                graph = self._stream.end_capture()
        if line:
            raise NotImplementedError(f"its command {plan.commands[line]} cannot be captured, in round {done}")
        kinds = set(self._driver.node_types(int(graph.graph)))
        if kinds - {driver.KERNEL, driver.MEMSET}:
            raise NotImplementedError(f"it has nodes of kinds {sorted(kinds)}, and only kernels and fills are known")
        entry.graph, entry.per, entry.inputs, entry.pool = graph, per, inputs, pool
        self._captured += 1
        self._trim()

    def _refuse(self, entry: _Entry, error: Exception) -> None:
        """A loop runs by its plan from now on."""
        self._drop(entry)
        entry.is_refused = True
        self._refused += 1
        if not self._has_said:
            self._has_said = True
            log.warning(
                "event=graph-refused reason=%r text='A loop could not be captured as a CUDA graph; it runs command by command, as do "
                "others of which this is not said again.'", f"{type(error).__name__}: {error}",
            )  # fmt: skip

    # -- forgetting ---------------------------------------------------------------------------------------------------

    def _trim(self) -> None:
        with_graph = [key for key, entry in self._entries.items() if entry.graph is not None]
        without = [key for key, entry in self._entries.items() if entry.graph is None]
        for key in with_graph[: max(len(with_graph) - MAX_GRAPHS, 0)] + without[: max(len(without) - MAX_SEEN, 0)]:
            self._drop(self._entries.pop(key))

    def _drop(self, entry: _Entry) -> None:
        if entry.graph is None:
            return
        entry.stream.synchronize()  # it may be running
        entry.graph, entry.inputs = None, []
        entry.pool.free_all_blocks()
        entry.pool = None

    def clear(self) -> None:
        """The session is over, or its plans are forgotten."""
        for entry in self._entries.values():
            self._drop(entry)
        self._entries.clear()


def _is_taken(plan: Any) -> bool:
    """Whether all that a plan calls is known to be launches on the current stream and nothing else."""
    return bool(plan.is_closed and plan.calls and all(type(function) is cupy.ufunc for function in plan.functions))


def _like(array: Any) -> Any:
    """New memory for an array of the same spec, which has no gaps. Raises MemoryError, ValueError."""
    flags = array.flags
    if not (flags.c_contiguous or flags.f_contiguous):
        raise ValueError("an array with gaps")
    return cupy.ndarray(array.shape, array.dtype, cupy.cuda.alloc(max(array.nbytes, 1)), array.strides)


__all__ = ["Graphs", "Statistics", "Whole"]
