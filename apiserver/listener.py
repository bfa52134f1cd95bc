"""The data listener: SessionService and MoveService, on grpcio's core where it is as known, else on its public API.

Boundary: the address, its certificate and the threads of calls. What calls mean is theirs who handle them.
"""

from __future__ import annotations

import logging
from concurrent import futures
from typing import Any

import grpc

from cupool.contract.limits import BULK_OPTIONS, Limits

from . import core_stream
from .attach_calls import ATTACH, AttachCalls
from .bulk_calls import GET, PUT, BulkCalls
from .config import Config
from .doors import server_credentials

log = logging.getLogger(__name__)

#: Calls at once: the attached stream, streams that wind down, bulk transfers.
MAX_CALLS = 24


def server_options(limits: Limits) -> list[tuple[str, Any]]:
    """Channel arguments of the data listener, the settings measured for long-lived streams."""
    # A frame may be as large as the limit says, a chunk a little larger than its data.
    largest = max(limits.frame_bytes, limits.chunk_bytes * 4) + (1 << 16)
    return [
        ("grpc.keepalive_time_ms", 5_000),  # a client that hangs is noticed after this and the timeout
        ("grpc.keepalive_timeout_ms", 3_000),
        ("grpc.http2.ping_timeout_ms", 3_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.max_receive_message_length", largest),
        ("grpc.max_send_message_length", largest),
        ("grpc.max_metadata_size", 16 << 10),
        ("grpc.so_reuseport", 0),
        *BULK_OPTIONS,
    ]


class Listener:
    """The listener of one server.

    Args:
        restore: handles `SessionService.Restore`, as grpcio calls it.
        pull: handles `MoveService.Pull`, likewise.

    Attributes:
        calls: the threads that calls run in, once it is open.
    """

    def __init__(
        self, config: Config, limits: Limits, attaching: AttachCalls, bulk: BulkCalls, restore: Any, pull: Any
    ) -> None:
        self.calls: futures.ThreadPoolExecutor | None = None
        self._config = config
        self._limits = limits
        self._attaching = attaching
        self._bulk = bulk
        self._restore = restore
        self._pull = pull
        self._doors: list[core_stream.Door] = []

    def open(self) -> tuple[grpc.Server, str]:
        """Listen; returns the grpc server and the endpoint. Raises RuntimeError: the address cannot be had."""
        server, port = self._listen(self._config.transport == "core")
        if self._config.listen.startswith("unix:"):
            return server, self._config.listen
        return server, f"{self._config.listen.rpartition(':')[0]}:{port}"

    def look(self) -> None:
        """From time to time: what the doors do then."""
        for door in self._doors:
            door.look()

    def _handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """With raw bytes on both sides: frames are checked before they are parsed."""
        session = grpc.method_handlers_generic_handler("cupool.v1.SessionService", {
            "Attach": grpc.stream_stream_rpc_method_handler(self._attaching.attach),
            "Put": grpc.stream_stream_rpc_method_handler(self._bulk.put),
            "Get": grpc.unary_stream_rpc_method_handler(self._bulk.get),
            "Restore": grpc.stream_unary_rpc_method_handler(self._restore),
        })  # fmt: skip
        pull = grpc.stream_stream_rpc_method_handler(self._pull)
        return session, grpc.method_handlers_generic_handler("cupool.v1.MoveService", {"Pull": pull})

    def _listen(self, wants_core: bool) -> tuple[grpc.Server, int]:
        pool = self.calls = futures.ThreadPoolExecutor(MAX_CALLS, "cupool-call")
        server = grpc.server(pool, options=server_options(self._limits))
        server.add_generic_rpc_handlers(self._handlers())
        listen, tls = self._config.listen, self._config.tls
        # A unix socket is this machine's own: its traffic is not on a wire.
        if tls is None or listen.startswith(("unix:", "unix-abstract:")):
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(listen, server_credentials(tls))
        core = core_stream.usable(server) if wants_core else None
        if core is None:
            if wants_core:
                log.warning(
                    "event=core-unknown text='Streams go through the public API of this grpcio, which is slower.'"
                )
            server.start()
            return server, port
        try:
            self._doors = [
                core_stream.Door(core, server, method, pool, serve, ahead)
                for method, serve, ahead in (
                    (ATTACH, self._attaching.attach_on_core, False),
                    (PUT, self._bulk.put_on_core, True),
                    (GET, self._bulk.get_on_core, False),
                )
            ]
            server.start()
            for door in self._doors:
                door.open()
        except (AttributeError, TypeError, ValueError) as error:
            log.warning("event=core-refused reason=%r", str(error))
            self._doors = []
            server.stop(None).wait()
            pool.shutdown(wait=False)
            return self._listen(False)
        return server, port
