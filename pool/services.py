"""The pool over gRPC: PoolService for clients, AdminService for operators, AgentService for agents, each with a listener of its own.

All run in one event loop in a thread of its own: a client that waits or watches costs no thread, and a refusal never waits for one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from grpc import aio

from cupool.contract import logs as lines
from cupool.contract.listening import Door, ListenRefused, Tls, host_of
from cupool.v1 import admin_pb2, admin_pb2_grpc, agent_pb2_grpc, pool_pb2, pool_pb2_grpc

from .access import Access
from .admin_service import AdminServicer
from .auditing import Auditor
from .config import PoolConfig
from .controller import Controller
from .engines.remote import AgentServicer, RemoteEngine
from .health import Health
from .logs import LogRing
from .move_operations import MoveOperations
from .operations import Operations
from .pool_service import PoolServicer
from .saving import Saving
from .security import listen

_log = logging.getLogger(__name__)

_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    # A client's channel is idle between its lease and its end, and pings all the while.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
]
#: A hello names every server of a host.
_AGENT_OPTIONS = [*_OPTIONS, ("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
#: How often the controller looks at what time has brought.
_TICK_S = 0.25


def doors(config: PoolConfig) -> list[Door]:
    """The listeners of gRPC that a controller has, for `listen.check`; the last is for agents, where there is one."""
    tls = None
    if config.tls_cert:
        client_ca = Path(config.tls_ca) if config.tls_client_auth else None
        tls = Tls(Path(config.tls_cert), Path(config.tls_key), client_ca)
    found = [
        Door("clients", config.listen, tls, has_credentials=not config.anonymous),
        Door("operators", config.admin_listen, tls),
    ]
    if config.agent_listen:
        found.append(Door("agents", config.agent_listen, tls))
    return found


def cert_door(config: PoolConfig) -> Door:
    """The listener for clients that show certificates, where `config` has one.

    Raises:
        ListenRefused: the pool has no certificate of its own, or no authority to check theirs by.
    """
    lacks = [
        f"{flag} ({what})"
        for flag, value, what in (
            ("--tls-cert", config.tls_cert, "the pool's certificate"),
            ("--tls-key", config.tls_key, "its key"),
            ("--tls-ca", config.tls_ca, "the authority of its clients' certificates"),
        )
        if not value
    ]
    if lacks:
        raise ListenRefused(
            f"--cert-listen {config.cert_listen} asks programs for certificates, and there is no {', no '.join(lacks)}. "
            "Make them with `cupool certs init` and `cupool certs issue server`."
        )
    if not host_of(config.cert_listen):
        raise ListenRefused(
            f"--cert-listen {config.cert_listen} is a unix socket, where nobody can show a certificate. Write host:port."
        )
    tls = Tls(Path(config.tls_cert), Path(config.tls_key), Path(config.tls_ca))
    return Door("clients with certificates", config.cert_listen, tls, has_credentials=not config.anonymous)


def metrics_door(config: PoolConfig) -> Door:
    """The listener of /metrics, where `config` has one. Prometheus shows a token and no certificate."""
    tls = Tls(Path(config.tls_cert), Path(config.tls_key)) if config.tls_cert else None
    return Door("metrics", config.metrics_listen, tls, has_credentials=not config.anonymous, reads_only=True)


class Serving:
    """The services, listening.

    Attributes:
        operations: what operators see and do, for others in this process.
        address, cert_address, admin_address, agent_address: where, with the ports that were given for port 0; "" where there is none.
    """

    def __init__(
        self,
        controller: Controller,
        config: PoolConfig,
        stop: Callable[[], None] = lambda: None,
        folders: Sequence[Path] = (),
        auditor: Auditor | None = None,
        agents: RemoteEngine | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        """
        Args:
            stop: ends this process, when an operator says so; any thread.
            folders: where logs of agents and servers may lie.
            auditor: writes the audit log; None: what operators do is in the log only.
            agents: the engine that agents connect to; None: there is no door for them.
            warnings: what operators should know of this pool.

        Raises:
            OSError: it cannot listen there.
        """
        self._controller = controller
        self._config = config
        self._agents = agents
        self._ring = LogRing()
        self._ring.setFormatter(lines.Lines("controller", config.log_format))
        self._auditor = auditor or Auditor(None)
        self.operations = Operations(controller, self._auditor.operator, warnings)
        self._access = Access(config, controller.directory, self._auditor, controller.requires_cert)
        self.moves = MoveOperations(controller, self.operations, self._auditor.operator)
        self.saving = Saving(controller, self.operations, self._auditor.operator)
        self._admin = AdminServicer(
            controller, self._access, self.operations, self.moves, self.saving, self._ring, list(folders), stop, agents
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cupool-pool", daemon=True)
        self._thread.start()
        self._servers: list[aio.Server] = []
        self._healths: list[Health] = []
        self._ticking: asyncio.Task[None] | None = None
        self.address = self.admin_address = self.agent_address = self.cert_address = ""
        try:
            self._do(self._listen())
        except OSError:
            self.stop(0)
            raise

    def allows(self, token: str) -> bool:
        """Whether a token may read what viewers may."""
        return self._access.is_viewer(token)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        clients, operators, *agents = doors(self._config)
        pool, admin = aio.server(options=_OPTIONS), aio.server(options=_OPTIONS)
        self._servers = [pool, admin]
        pool_pb2_grpc.add_PoolServiceServicer_to_server(
            PoolServicer(self._controller, self._access, self._auditor), pool
        )
        admin_pb2_grpc.add_AdminServiceServicer_to_server(self._admin, admin)
        self._healths = [
            Health(pool, _service(pool_pb2, "PoolService")),
            Health(admin, _service(admin_pb2, "AdminService")),
        ]
        self.address, self.admin_address = listen.bind(pool, clients), listen.bind(admin, operators)
        if self._config.cert_listen:
            server = aio.server(options=_OPTIONS)
            self._servers.append(server)
            pool_pb2_grpc.add_PoolServiceServicer_to_server(
                PoolServicer(self._controller, self._access, self._auditor), server
            )
            self.cert_address = self._access.cert_address = listen.bind(server, cert_door(self._config))
        if self._agents is not None and agents:
            server = aio.server(options=_AGENT_OPTIONS)
            self._servers.append(server)
            agent_pb2_grpc.add_AgentServiceServicer_to_server(AgentServicer(self._agents, self._access), server)
            self.agent_address = listen.bind(server, agents[0])

    def start(self) -> None:
        """Begin to answer. This process's log is kept for operators from now on."""
        logging.getLogger().addHandler(self._ring)
        self._do(self._start())

    def is_serving(self) -> bool:
        """Whether the pool gives leases."""
        return not self._controller.closing

    async def _tell_health(self) -> None:
        clients, operators = self._healths
        await clients.tell(self.is_serving())
        await operators.tell(True)

    async def _start(self) -> None:
        await self._tell_health()
        for server in self._servers:
            await server.start()
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                self._controller.tick()
                await self._tell_health()
            except Exception:
                # The next look may go well; a pool that stops looking never gives a warm server again.
                _log.exception("event=tick-failed")

    def stop(self, grace_s: float) -> None:
        """End every call within `grace_s`, and the thread."""
        logging.getLogger().removeHandler(self._ring)
        self._do(self._stop(grace_s))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self, grace_s: float) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
        for health in self._healths:
            await health.end()
        for server in self._servers:
            await server.stop(grace_s)


def _service(module: Any, name: str) -> Any:
    return module.DESCRIPTOR.services_by_name[name]
