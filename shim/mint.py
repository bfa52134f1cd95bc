"""The minter of handles for modules that are not hot: always the current one, also after a fork."""

from __future__ import annotations

from . import dispatch


def mint() -> int:
    """The next handle, reply id or transfer id."""
    return dispatch.mint()
