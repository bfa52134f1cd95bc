"""gRPC's own health and reflection services on the pool's listeners: for probes, load balancers and `grpcurl`.

A listener is SERVING from its start, and NOT_SERVING from when the pool gives no more leases (it drains or ends). What operators call is
SERVING to the end: that is when they call it most. Neither service asks for a credential, and neither tells more than `proto/` does.
"""

from __future__ import annotations

from typing import Any

from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
#: The name by which a probe asks for the whole listener.
_WHOLE = ""


class Health:
    """The health of one listener, and the names of its services. From the loop that serves it."""

    def __init__(self, server: aio.Server, service: Any) -> None:
        """
        Args:
            service: descriptor of the listener's service.
        """
        self._names = (_WHOLE, service.full_name)
        self._servicer = health.aio.HealthServicer()  # pyright: ignore[reportAttributeAccessIssue]
        self._is_serving: bool | None = None
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)
        reflection.enable_server_reflection((service.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME), server)

    async def tell(self, is_serving: bool) -> None:
        """Say so to those who ask and those who watch, if it is news."""
        if is_serving != self._is_serving:
            self._is_serving = is_serving
            for name in self._names:
                await self._servicer.set(name, _SERVING if is_serving else _NOT_SERVING)

    async def end(self) -> None:
        """NOT_SERVING for good: the listener is about to close."""
        await self._servicer.enter_graceful_shutdown()
