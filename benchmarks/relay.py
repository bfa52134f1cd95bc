"""A PoolService that passes everything to a real pool, for campaigns that want to know or change the leases that a program gets."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc

from cupool.v1 import pool_pb2_grpc


class Relay(pool_pb2_grpc.PoolServiceServicer):
    """Listens at `addr`, and asks the pool at the address that it is made with. `leased` is for subclasses."""

    def __init__(self, addr: str) -> None:
        self._channel = grpc.insecure_channel(addr)
        self._pool = pool_pb2_grpc.PoolServiceStub(self._channel)
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        pool_pb2_grpc.add_PoolServiceServicer_to_server(self, self._server)
        self.addr = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def leased(self, lease: Any) -> None:
        """A `cupool.v1.Lease` is about to be passed on; it may be changed."""

    def _pass(self, method: Any, request: Any, context: Any) -> Any:
        metadata = [(k, v) for k, v in context.invocation_metadata() if k == "authorization"]
        try:
            return method(request, metadata=metadata, timeout=60)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())

    def Acquire(self, request: Any, context: Any) -> Any:
        lease = self._pass(self._pool.Acquire, request, context)
        self.leased(lease)
        return lease

    def Release(self, request: Any, context: Any) -> Any:
        return self._pass(self._pool.Release, request, context)

    def WatchSession(self, request: Any, context: Any) -> Iterator[Any]:
        yield from self._pass(self._pool.WatchSession, request, context)

    def close(self) -> None:
        self._server.stop(0).wait()
        self._channel.close()
