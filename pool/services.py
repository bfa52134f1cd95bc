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

from cupool.v1 import admin_pb2_grpc, pool_pb2, pool_pb2_grpc

from .access import Access
from .admin_service import AdminServicer
from .config import PoolConfig
from .controller import Controller
from .logs import LogRing
from .operations import Audit, Operations
from .pool_service import PoolServicer

#: How lines of the log look to operators.
LOG_FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"
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
#: How often the controller looks at what time has brought.
_TICK_S = 0.25


def _audit(who: str, what: str, subject: str, why: str) -> None:
    """Where there is no audit log: the log."""
    _log.info("event=%s who=%r subject=%s why=%r", what, who, subject, why)


def _bind(server: aio.Server, address: str) -> str:
    """Listen; returns the address with the port that was given for port 0."""
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"The pool cannot listen at {address}: {error}. Is something else there?") from error
    return f"{address.rpartition(':')[0]}:{port}" if address.endswith(":0") else address


class Serving:
    """The services, listening."""

    def __init__(
        self,
        controller: Controller,
        config: PoolConfig,
        stop: Callable[[], None] = lambda: None,
        folders: Sequence[Path] = (),
        audit: Audit = _audit,
    ) -> None:
        """
        Args:
            stop: ends this process, when an operator says so; any thread.
            folders: where logs of agents and servers may lie.
            audit: told of all that operators do.

        Raises:
            OSError: it cannot listen there.
        """
        self._controller = controller
        self._folders = list(folders)
        self._ring = LogRing()
        self._operations = Operations(controller, audit)
        self._stop_process = stop
        self._config = config
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cupool-pool", daemon=True)
        self._thread.start()
        self._servers: list[aio.Server] = []
        self._ticking: asyncio.Task[None] | None = None
        try:
            self.address, self.admin_address = self._do(self._listen())
        except OSError:
            self.stop(0)
            raise

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> tuple[str, str]:
        access = Access(self._config, self._controller.directory)
        pool, admin = aio.server(options=_OPTIONS), aio.server(options=_OPTIONS)
        self._servers = [pool, admin]
        pool_pb2_grpc.add_PoolServiceServicer_to_server(PoolServicer(self._controller, access), pool)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(self._admin_servicer(access), admin)
        await _add_health_and_reflection(pool)
        addresses = _bind(pool, self._config.listen), _bind(admin, self._config.admin_listen)
        return addresses

    def _admin_servicer(self, access: Access) -> AdminServicer:
        return AdminServicer(self._controller, access, self._operations, self._ring, self._folders, self._stop_process)

    def start(self) -> None:
        """Begin to answer. This process's log is kept for operators from now on."""
        self._ring.setFormatter(logging.Formatter(LOG_FORMAT))
        logging.getLogger().addHandler(self._ring)
        self._do(self._start())

    async def _start(self) -> None:
        for server in self._servers:
            await server.start()
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                self._controller.tick()
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
        for server in self._servers:
            await server.stop(grace_s)


async def _add_health_and_reflection(server: aio.Server) -> None:
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection

    name = pool_pb2.DESCRIPTOR.services_by_name["PoolService"].full_name
    servicer = health.aio.HealthServicer()
    await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    reflection.enable_server_reflection((name, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
