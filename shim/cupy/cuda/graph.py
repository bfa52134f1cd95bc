"""`cupy.cuda.graph`: what a capture recorded. The server keeps the commands and replays them; see `shim/captures.py`."""

from __future__ import annotations

from typing import Any, Self

from ... import captures, dispatch, session, streams
from ...dispatch import HANDLE, INTEGER
from ...objects import RemoteObject


class Graph:
    """Recorded commands. Each launch runs them again, on the same memory.

    Attributes:
        graph, graphExec: numbers that identify it.
        host_funcargs: the host functions recorded and their arguments.
    """

    __module__ = "cupy.cuda.graph"
    _remote: RemoteObject
    host_funcargs: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "currently this class cannot be initiated by the user and must be created via stream capture"
        )

    @classmethod
    def of_capture(cls, capture: captures.Capture) -> Self:
        """What a capture that just ended has recorded."""
        self = cls.__new__(cls)
        (handle,) = dispatch.send("@capture_end", (INTEGER,), (capture.number,), ("object",))
        self._remote = RemoteObject(handle)
        self.host_funcargs = list(capture.callbacks)
        return self

    @property
    def graph(self) -> int:
        """A number that identifies it."""
        return self._remote.handle

    graphExec = graph

    def launch(self, stream: Any = None) -> None:
        """Run what was recorded, on a stream; then its host functions."""
        with streams.using(stream):
            session.check_handle(self._remote.handle)
            dispatch.send("@graph_launch", (HANDLE,), (self._remote.handle,))
            if self.host_funcargs:
                from .stream import enqueue

                for function, argument in self.host_funcargs:
                    enqueue(lambda f=function, a=argument: f(a))  # type: ignore[misc]

    def upload(self, stream: Any = None) -> None:
        """Nothing to do: the recorded commands are at the server."""
        session.check_handle(self._remote.handle)

    def debug_dot_str(self, flags: int = 0) -> str:
        """The commands as a DOT graph, in the order in which they run. Waits."""
        names = dispatch.ask("@graph_nodes", (HANDLE,), (self._remote.handle,))
        lines = ["digraph dot {", "subgraph cluster_1 {"]
        for i, (name, results) in enumerate(names):
            label = f"{i}\\n{name}" + (f"\\n{results}" if flags else "")
            lines.append(
                f'"graph_1_node_{i}"[style="bold" shape="{"record" if flags else "octagon"}" label="{label}"];'
            )
        lines += [f'"graph_1_node_{i}" -> "graph_1_node_{i + 1}";' for i in range(len(names) - 1)]
        return "\n".join([*lines, "}", "}", ""])


__all__ = ["Graph"]
