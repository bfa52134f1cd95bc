"""The names that the pool takes."""

from __future__ import annotations

from typing import Any

SERVICE_NAME = "grpc.reflection.v1alpha.ServerReflection"


def enable_server_reflection(names: Any, server: Any) -> None:
    """Enables none."""
