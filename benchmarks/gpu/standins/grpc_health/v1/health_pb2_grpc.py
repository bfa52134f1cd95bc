"""The names that the pool takes."""

from __future__ import annotations

from typing import Any


def add_HealthServicer_to_server(servicer: Any, server: Any) -> None:
    """Adds none."""
