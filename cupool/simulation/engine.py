"""The controller's `Engine`: orders go down the streams that agents opened, as `pool/engines/remote.py` does with gRPC.

Down a stream go ("settings", PoolSettings), ("start", server, device), ("order", ServerOrder), ("received", ordinal); up come
("hello", AgentHello), ("news", ServerNews), ("ended", SessionEnd, ordinal), ("moves", MoveNews, ordinal), ("numbers", uses, devices, host).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cupool.pool.engine import Listener
from cupool.v1 import agent_pb2, server_pb2

from .network import End

_NO_AGENT = "The node {} is not connected."


class VirtualEngine:
    """Nodes whose agents are connected."""

    def __init__(self, touched: Callable[[], object]) -> None:
        """`touched` is called before the listener is told of anything that changes its books."""
        self._touched = touched
        self._listener: Listener | None = None
        self._streams: dict[str, End] = {}
        self._settings = agent_pb2.PoolSettings()

    # ---- Engine

    def open(self, listener: Listener) -> None:
        self._listener = listener

    def close(self) -> None:
        self._listener = None

    def nodes(self) -> list[str]:
        return list(self._streams)

    def start(self, node: str, server: str, device: str) -> None:
        self._stream(node).send(("start", server, device))

    def order(
        self, node: str, server: str, command: server_pb2.ServerCommand, client_pid: int = 0, client_host: str = ""
    ) -> None:
        self._stream(node).send(("order", agent_pb2.ServerOrder(server=server, command=command)))

    def settings(self, settings: agent_pb2.PoolSettings) -> None:
        self._settings = settings
        for stream in self._streams.values():
            stream.send(("settings", settings))

    def _stream(self, node: str) -> End:
        found = self._streams.get(node)
        if found is None or not found.is_open:
            raise LookupError(_NO_AGENT.format(node))
        return found

    # ---- streams

    def accept(self, end: End) -> bool:
        """An agent's stream; its first message is a hello."""
        end.on_message = lambda message: self._first(end, message)
        return True

    def _first(self, end: End, message: Any) -> None:
        listener, hello = self._listener, message[1]
        if listener is None:
            end.close()
            return
        node = hello.node
        before = self._streams.pop(node, None)
        if before is not None:  # a second stream of the same node ends the first
            before.close()
        self._streams[node] = end
        self._touched()
        end.on_message = lambda m: self._tell(listener, node, end, m)
        end.on_closed = lambda: self._left(node, end)
        end.send(("settings", self._settings))
        listener.node_here(hello)

    def _left(self, node: str, end: End) -> None:
        if self._streams.get(node) is end:
            del self._streams[node]
            if self._listener is not None:
                self._touched()
                self._listener.node_gone(node, "Its stream broke.")

    def _tell(self, listener: Listener, node: str, end: End, message: Any) -> None:
        if self._streams.get(node) is end:
            if message[0] != "numbers":
                self._touched()
            HANDLERS[message[0]](listener, node, end, *message[1:])


def _news(listener: Listener, node: str, end: End, news: Any) -> None:
    listener.server_news(node, news)


def _ended(listener: Listener, node: str, end: End, what: Any, ordinal: int) -> None:
    listener.session_ended(node, what, lambda: end.send(("received", ordinal)))


def _moves(listener: Listener, node: str, end: End, what: Any, ordinal: int) -> None:
    listener.move_news(node, what, lambda: end.send(("received", ordinal)) if ordinal else None)


def _numbers(listener: Listener, node: str, end: End, use: Any, devices: Any, host: Any) -> None:
    if use:
        listener.server_use(node, use)
    if devices or host is not None:
        listener.device_news(node, devices, host)


#: Kind of a message from an agent -> what tells the listener.
HANDLERS: dict[str, Callable[..., None]] = {"news": _news, "ended": _ended, "moves": _moves, "numbers": _numbers}
