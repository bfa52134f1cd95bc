"""The checks of what a program needs: this Python, its environment, and a pool that answers. Base install only."""

from __future__ import annotations

from . import Check
from .program import client_settings, fork, freeze, libraries, python, shadowing, shared_memory, temporary
from .reach import address, proxy, session, tls, token


def checks() -> list[tuple[str, Check]]:
    """In order; what one needs, an earlier one has looked at."""
    return [
        ("python", python),
        ("libraries", libraries),
        ("shadowing", shadowing),
        ("fork", fork),
        ("proxy", proxy),
        ("temporary", temporary),
        ("shared memory", shared_memory),
        ("freeze", freeze),
        ("settings", client_settings),
        ("address", address),
        ("tls", tls),
        ("token", token),
        ("session", session),
    ]
