"""`cupy.cuda.profiler`: profilers attach to the server's process. Here they do nothing."""

from __future__ import annotations


def start() -> None:
    """Nothing."""


def stop() -> None:
    """Nothing."""
