"""What the controller needs of the hosts that have devices: the one interface to them. See docs/decisions/007.

Nothing above an engine may assume one host, a path or a process: it knows ids. An engine decides nothing and keeps no books; what it is
told to do it passes on, in order and without waiting, and what happens it tells its listener.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from cupool.v1 import admin_pb2, agent_pb2, server_pb2


class Listener(Protocol):
    """Who is told what happens. Called from one thread at a time for each node, never with a lock of the engine held. It does not wait."""

    def node_here(self, hello: agent_pb2.AgentHello) -> None:
        """A node has come, or come back, with all that it has. What its hello does not name is gone."""

    def node_gone(self, node: str, reason: str) -> None:
        """The node cannot be reached. Its servers and sessions go on: nothing is known of them until it comes back."""

    def server_news(self, node: str, news: agent_pb2.ServerNews) -> None:
        """A server is there, has changed, or is gone."""

    def session_ended(self, node: str, end: agent_pb2.SessionEnd, kept: Callable[[], None]) -> None:
        """A session is over, with what it used; told before its server is dead. `kept` is called, from any thread, when that is in the
        directory: the node may forget it."""

    def move_news(self, node: str, news: agent_pb2.MoveNews, kept: Callable[[], None]) -> None:
        """A move's server told how far it is; in the order in which it did, and before its death. `kept`: as of `session_ended`."""

    def checkpointed(self, node: str, report: server_pb2.CheckpointReport) -> None:
        """A session was saved, or could not be."""

    def server_use(self, node: str, use: Iterable[agent_pb2.ServerUse]) -> None:
        """Numbers of sessions, about every 250 ms."""

    def device_news(self, node: str, devices: Iterable[admin_pb2.DeviceStatus], host: agent_pb2.HostUse | None) -> None:
        """What a node measures, about every 250 ms."""


class Engine(Protocol):
    """Hosts, and servers on them."""

    def open(self, listener: Listener) -> None:
        """Begin to tell `listener` of nodes."""

    def close(self) -> None:
        """Tell nobody any more. Servers go on where they outlive this process."""

    def nodes(self) -> list[str]:
        """The nodes that can be reached now."""
        ...

    def start(self, node: str, server: str, device: str) -> None:
        """Start a server process on a device. What becomes of it is told by `server_news`.

        Raises:
            LookupError: the node cannot be reached.
        """

    def order(
        self, node: str, server: str, command: server_pb2.ServerCommand, client_pid: int = 0, client_host: str = ""
    ) -> None:
        """Pass an order on to a server: assign, unassign, end, those of a move. Orders to one server arrive in the order of these calls.

        Args:
            client_pid, client_host: with `assign`, the client's process and its host's boot id, as AcquireRequest has them.

        Raises:
            LookupError: the node cannot be reached.
        """

    def settings(self, settings: agent_pb2.PoolSettings) -> None:
        """What every node needs to know of the pool, now and for nodes that come later."""
