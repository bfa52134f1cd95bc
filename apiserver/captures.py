"""Captures: commands of a stream are recorded instead of run, and a graph of them runs again and again.

While a stream is part of a capture its *plain* commands (new arrays of known spec, or writes) are recorded; everything else (views,
uploads, objects, addresses) is done at once, as it has no work on the device. A recorded command's results exist at once, with
undefined contents. Each launch runs the commands in order and copies what they give into those results.

Note [Recorded handles]. A graph must survive its operands' handles, and buffers may move meanwhile (`Handles.rebind`). So every array
that a recorded command names gets a second handle of the graph's own, beyond the numbers that clients can send; commands are kept
with those. They count as any handle: a graph's arrays stay charged until it is dropped.

Boundary: knows forms, handles and the executor's walk; what may be captured is decided by the client (`shim/captures.py`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cupool.contract.errors import CUDARuntimeError, ProtocolError

from .faults import Propagated, StoredError
from .forms import ARRAY, SLOT_HANDLE, SLOT_INTEGER, SLOT_REAL, SLOT_VALUE, Form

if TYPE_CHECKING:
    from .executor import Executor

#: Handles from here on are the graphs': no client's number is as large.
OWN_HANDLES = 1 << 63
_INVALID_VALUE = 1
#: Ops that are done at once although they look plain.
_AT_ONCE = frozenset({"@array", "@upload", "@view", "@alias", "@from_pointer"})


class Node:
    """One recorded command.

    Attributes:
        words: the command, operands under handles of the graph's own; its result handles are filled in for each run.
        values: the side-table entries that it names.
        targets: own handles of its results.
        written: own handles of what it changes in place.
    """

    __slots__ = ("form", "reals", "targets", "values", "words", "written")

    def __init__(self, form: Form, words: list[int], values: list[Any], targets: list[int], written: list[int]) -> None:
        self.form = form
        self.words = words
        self.values = values
        self.targets = targets
        self.written = written
        raw = array("q", [w if -(1 << 63) <= w < 1 << 63 else 0 for w in words])
        self.reals = memoryview(raw.tobytes()).cast("d")


class Numbers:
    """Gives handles of our own, rising."""

    def __init__(self, first: int) -> None:
        self.next = first

    def __next__(self) -> int:
        self.next += 1
        return self.next - 1


class Graph:
    """What a capture recorded. Dropped by the handle table, which calls `on_dropped`."""

    def __init__(self, recorder: Recorder) -> None:
        self.nodes = recorder.nodes
        self.recorder = recorder

    def on_dropped(self) -> None:
        """Its own handles go."""
        self.nodes = []
        self.recorder.drop()


class Recorder:
    """One capture under way, later the owner of its graph's handles."""

    def __init__(self, executor: Executor, numbers: Numbers) -> None:
        self._executor = executor
        self._numbers = numbers
        #: client's handle -> ours
        self.own: dict[int, int] = {}
        #: all of ours
        self.owned: list[int] = []
        self.nodes: list[Node] = []

    @staticmethod
    def takes(form: Form) -> bool:
        """Whether a command is recorded, or done at once."""
        if form.row.name in _AT_ONCE or form.raw or any(plan.kind != ARRAY for plan in form.results):
            return False
        return bool(form.results or form.written or form.row.writes)

    def record(self, form: Form, words: list[int], i: int) -> None:
        """Record the command at `i`; its results come into being. Raises what an operand is poisoned with, or OutOfMemoryError."""
        executor, handles = self._executor, self._executor.handles
        kept = [words[i], *([0] * len(form.results))]
        values: list[Any] = []
        written: list[int] = []
        for slot in form.slots:
            word = words[i + slot.offset]
            if slot.kind == SLOT_HANDLE:
                word = self._named(word)
                if slot.written:
                    written.append(word)
            elif slot.kind == SLOT_VALUE:
                values.append(self._rewritten(executor.value(word), written if slot.written else None))
                word = len(values) - 1
            elif slot.kind not in (SLOT_INTEGER, SLOT_REAL):
                raise ProtocolError(f"Slot kind {slot.kind} cannot be recorded.")
            kept.append(word)
        targets = []
        for k, plan in enumerate(form.results):
            handle = words[i + 1 + k]
            handles.refuse_known(handle)
            assert plan.spec is not None
            handles.put_admitted(handle, executor.device.empty(plan.spec))
            targets.append(self._named(handle))
        self.nodes.append(Node(form, kept, values, targets, written))

    def _named(self, handle: int) -> int:
        """Our own handle of an array or object."""
        handles = self._executor.handles
        value = handles.get(handle)
        own = self.own.get(handle)
        if own is not None and handles.table.get(own) is value:
            return own
        own = self.own[handle] = next(self._numbers)
        self.owned.append(own)
        if isinstance(value, handles.array_type):
            handles.put_view(own, value, handle)
        else:
            handles.put_object(own, value)
        return own

    def _rewritten(self, value: Any, written: list[int] | None) -> Any:
        """A copy of a `cupool.v1.Value` with our handles. They do not fit a field of the wire, so such values are refused."""
        kind = value.WhichOneof("kind")
        if kind == "handle":
            raise NotImplementedError(
                "A command with very many arrays in one argument cannot be captured. Join the arrays first."
            )
        if kind in ("tuple", "list"):
            for item in getattr(value, kind).items:
                self._rewritten(item, written)
        elif kind == "mapping":
            for item in value.mapping.items:
                self._rewritten(item.value, written)
        copied = type(value)()
        copied.CopyFrom(value)
        return copied

    def drop(self) -> None:
        """Free the handles."""
        owned, self.owned = self.owned, []
        self.own.clear()
        self.nodes = []
        for own in owned:
            self._executor.handles.free(own)


class Captures:
    """The captures and graphs of one session."""

    def __init__(self, executor: Executor, beside: Captures | None = None) -> None:
        """`beside`: others over the same handles."""
        self._executor = executor
        self.numbers: Numbers = Numbers(OWN_HANDLES) if beside is None else beside.numbers
        #: captures under way
        self.recorders: dict[int, Recorder] = {}
        #: stream number -> the capture that it is part of; empty while there is none
        self.by_stream: dict[int, Recorder] = {}

    def begin(self, capture: int, stream: int) -> None:
        """`@capture_begin`"""
        if capture in self.recorders or stream in self.by_stream:
            raise CUDARuntimeError(_INVALID_VALUE)
        self.by_stream[stream] = self.recorders[capture] = Recorder(self._executor, self.numbers)

    def join(self, capture: int, stream: int) -> None:
        """`@capture_join`"""
        self.by_stream[stream] = self._known(capture)

    def end(self, capture: int) -> Graph:
        """`@capture_end`"""
        return Graph(self._close(capture))

    def abort(self, capture: int) -> None:
        """`@capture_abort`"""
        self._close(capture).drop()

    def _known(self, capture: int) -> Recorder:
        recorder = self.recorders.get(capture)
        if recorder is None:
            raise CUDARuntimeError(_INVALID_VALUE)
        return recorder

    def _close(self, capture: int) -> Recorder:
        recorder = self._known(capture)
        del self.recorders[capture]
        for stream in [s for s, r in self.by_stream.items() if r is recorder]:
            del self.by_stream[stream]
        return recorder

    # -- launching ----------------------------------------------------------------------------------------------------

    def launch(self, graph: Graph) -> None:
        """`@graph_launch`: run every command in order. The first failure poisons what it and the rest were to write."""
        executor = self._executor
        values, reals = executor.values, executor.reals
        try:
            for k, node in enumerate(graph.nodes):
                try:
                    self._run(node)
                except Exception as error:
                    self._poison(graph.nodes[k:], error)
                    raise
        finally:
            executor.values, executor.reals = values, reals

    def _run(self, node: Node) -> None:
        executor, handles = self._executor, self._executor.handles
        executor.values, executor.reals = node.values, node.reals
        words = node.words
        scratch = [next(self.numbers) for _ in node.targets]
        words[1 : 1 + len(scratch)] = scratch
        executor.stepper.careful(node.form, words, 0)
        for handle, target in zip(scratch, node.targets, strict=True):
            kept = handles.raw(target)
            kept[...] = handles.table[handle]
            handles.cleanse(kept)
            handles.free(handle)

    def _poison(self, nodes: list[Node], error: Exception) -> None:
        stored = error.stored if isinstance(error, Propagated) else StoredError(error)
        for node in nodes:
            for handle in (*node.targets, *node.written):
                self._executor.handles.poison(handle, stored)

    def nodes(self, graph: Graph) -> list[tuple[str, str]]:
        """`@graph_nodes`: per command the kernel's name and its results' specs."""
        return [(_kernel_name(node.form), _specs(node.form)) for node in graph.nodes]


def _kernel_name(form: Form) -> str:
    return f"cupy_{form.row.name}" if form.row.family == "ufunc" else form.row.name


def _specs(form: Form) -> str:
    return ", ".join(f"{plan.spec.dtype} {plan.spec.shape}" for plan in form.results if plan.spec is not None)


#: Op name -> (method of Captures, kind of its argument, whether it gives an object or a reply).
_CALLS: dict[str, Callable[[Captures], Callable[..., Any]]] = {
    "@capture_begin": lambda c: c.begin,
    "@capture_join": lambda c: c.join,
    "@capture_end": lambda c: c.end,
    "@capture_abort": lambda c: c.abort,
    "@graph_launch": lambda c: c.launch,
    "@graph_nodes": lambda c: c.nodes,
}


def implementation(captures: Captures, name: str) -> Callable[..., Any] | None:
    """What runs one of the ops above; None for other ops."""
    call = _CALLS.get(name)
    if call is None:
        return None
    method = call(captures)
    if not name.startswith("@graph_"):
        return method

    def with_graph(graph: Any) -> Any:
        if not isinstance(graph, Graph):
            raise CUDARuntimeError(_INVALID_VALUE)
        return method(graph)

    return with_graph


OPS = frozenset(_CALLS)
__all__ = ["OPS", "Captures", "Graph", "implementation"]
