"""The names that the pool takes."""

from __future__ import annotations

SERVICE_NAME = "grpc.health.v1.Health"


class _Servicer:
    async def set(self, name: str, status: int) -> None:
        """Nobody asks."""

    async def enter_graceful_shutdown(self) -> None:
        """Nobody asks."""


class aio:
    """As `grpc_health.v1.health.aio`."""

    HealthServicer = _Servicer
