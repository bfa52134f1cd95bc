"""The engine of an embedded pool: the host of this process, reached by calls. Orders and news are the same as over an agent's stream."""

from __future__ import annotations

import socket

import cupool
from cupool.v1 import admin_pb2, agent_pb2, server_pb2

from ..engine import Listener
from ..node.host import Host

#: The id of the one node.
NODE = "local"


class LocalEngine:
    """One node: this process's host, whose loop runs in the main thread. It is the host's `Sink`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._listener: Listener | None = None

    # ---- Engine; orders come from any thread

    def open(self, listener: Listener) -> None:
        """Call before the loop runs, in its thread: what was started already is in the hello."""
        self._listener = listener
        hello = self._host.hello()
        hello.node, hello.host, hello.version = NODE, socket.gethostname(), cupool.__version__
        self._host.telling.sink = self
        listener.node_here(hello)

    def close(self) -> None:
        """The host ends its servers by itself."""

    def nodes(self) -> list[str]:
        return [NODE]

    def start(self, node: str, server: str, device: str) -> None:
        order = agent_pb2.StartServer(server=server, device=device)
        self._host.loop.post(lambda: self._host.start(order))

    def order(
        self, node: str, server: str, command: server_pb2.ServerCommand, client_pid: int = 0, client_host: str = ""
    ) -> None:
        order = agent_pb2.ServerOrder(server=server, command=command, client_pid=client_pid, client_host=client_host)
        self._host.loop.post(lambda: self._host.order(order))

    def settings(self, settings: agent_pb2.PoolSettings) -> None:
        """The host has the same configuration."""

    # ---- what the host tells, from its loop

    def server_news(self, news: agent_pb2.ServerNews) -> None:
        assert self._listener is not None
        self._listener.server_news(NODE, news)

    def session_ended(self, end: agent_pb2.SessionEnd) -> None:
        assert self._listener is not None
        self._listener.session_ended(NODE, end, lambda: None)

    def move_news(self, news: agent_pb2.MoveNews, must_arrive: bool) -> None:
        assert self._listener is not None
        self._listener.move_news(NODE, news, lambda: None)

    def checkpointed(self, report: server_pb2.CheckpointReport) -> None:
        assert self._listener is not None
        self._listener.checkpointed(NODE, report)

    def server_use(self, use: list[agent_pb2.ServerUse]) -> None:
        assert self._listener is not None
        self._listener.server_use(NODE, use)

    def device_news(self, devices: list[admin_pb2.DeviceStatus], host: agent_pb2.HostUse) -> None:
        assert self._listener is not None
        self._listener.device_news(NODE, devices, host)
