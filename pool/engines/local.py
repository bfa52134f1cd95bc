"""The engine of an embedded pool: the agent of this process, reached by calls. Orders and news are the same as a remote agent's."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable

from cupool.v1 import agent_pb2, server_pb2

from .. import reasons, states
from ..agent import Agent
from ..config import DeviceConfig, PoolConfig, host_id
from ..engine import Listener
from ..server_process import ServerProcess

_log = logging.getLogger(__name__)

#: The id of the one node.
NODE = "local"


class LocalEngine:
    """One node: this process's agent. What the agent tells comes from its loop."""

    def __init__(self, config: PoolConfig, agent: Agent, started: Iterable[ServerProcess] = ()) -> None:
        """`started`: servers that the agent has started already."""
        self._agent = agent
        self._devices: dict[str, DeviceConfig] = {d.id: d for d in config.devices}
        self._servers = {server.id: server for server in started}
        self._by_session: dict[str, ServerProcess] = {}
        self._listener: Listener | None = None
        self._boot_id = host_id()

    # ---- Engine

    def open(self, listener: Listener) -> None:
        self._listener = listener
        hello = agent_pb2.AgentHello(node=NODE, host=socket.gethostname(), boot_id=self._boot_id)
        for device in self._devices.values():
            hello.devices.add(device=device.id, kind=device.kind, memory_bytes=device.memory_bytes)
        for server in self._servers.values():
            hello.servers.append(_news(server))
        listener.node_here(hello)
        self._agent.listener = self

    def close(self) -> None:
        """The agent ends its servers by itself."""

    def nodes(self) -> list[str]:
        return [NODE]

    def start(self, node: str, server: str, device: str) -> None:
        record = self._agent.new_server(self._devices[device], server)
        self._servers[server] = record
        self._agent.post(lambda: self._agent.start(record))

    def order(
        self, node: str, server: str, command: server_pb2.ServerCommand, client_pid: int = 0, client_host: str = ""
    ) -> None:
        record = self._servers.get(server)
        if record is None:
            return  # it is dead, and that has been told or will be
        kind = command.WhichOneof("kind")
        if kind == "assign":
            self._assign(record, command.assign, client_pid if client_host == self._boot_id else 0)
        else:
            reason = command.end.reason if kind == "end" else "Its session was given back."
            self._agent.post(lambda: self._agent.end(record, reason))

    def settings(self, settings: agent_pb2.PoolSettings) -> None:
        """The agent has the same configuration."""

    def _assign(self, server: ServerProcess, request: server_pb2.AssignRequest, client_pid: int) -> None:
        import grpc

        server.session, server.state = request.session, states.LEASED
        self._by_session[request.session] = server
        try:
            server.assign(request)
        except grpc.RpcError as error:
            text = f"Its server did not take it ({error.code().name}: {error.details()})."
            _log.warning("event=not-assigned session=%s server=%s reason=%r", request.session, server.id, text)
            self._agent.post(lambda: self._agent.end(server, text))
            return
        if client_pid > 0 and self._boot_id:
            self._agent.post(lambda: self._agent.watch_client(request.session, client_pid))

    # ---- what the agent tells, from its loop

    def server_ready(self, server: ServerProcess) -> None:
        assert self._listener is not None
        if server.state == states.STARTING:
            server.state = states.WARM
        self._listener.server_news(NODE, _news(server))

    def server_dead(self, server: ServerProcess, returncode: int) -> None:
        assert self._listener is not None
        was, server.state = server.state, states.DEAD
        self._servers.pop(server.id, None)
        news = _news(server)
        news.exit_status, news.start_failed = returncode, was == states.STARTING
        if news.start_failed:
            why = reasons.start_sentence(returncode, server.status_file(), server.log_tail())
            news.reason = f"{why} {server.wish}".strip()
        else:
            news.reason = server.wish or reasons.death_sentence(returncode, server.status_file())
        if server.session:
            self._by_session.pop(server.session, None)
            self._agent.forget_client(server.session)
            end = agent_pb2.SessionEnd(
                session=server.session, reason=news.reason, lost=returncode != 0 and not server.wish,
                server=server.id, device=server.device.id,
            )  # fmt: skip
            self._listener.session_ended(NODE, end, lambda: None)
        self._listener.server_news(NODE, news)

    def client_dead(self, session: str) -> None:
        server = self._by_session.get(session)
        if server is not None:
            self._agent.end(server, "Its client's process ended.")


def _news(server: ServerProcess) -> agent_pb2.ServerNews:
    return agent_pb2.ServerNews(
        server=server.id,
        device=server.device.id,
        state=server.state,  # type: ignore[arg-type]
        endpoint=server.endpoint,
    )
