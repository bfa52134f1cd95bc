"""What the shim tells of its sessions, where somebody has asked for it: CUPOOL_LOG=info, or the program's own `logging` at that level.

A session is told of when it is asked for, given, attached, reconnected, lost and closed; nothing is told for each call. Until there is a
session `request` names it, in the pool's logs too. Where logging is off, an event costs a look into a dict.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_NAME = "cupool.shim"
_INFO = 20
_written: set[str] = set()


def new_request() -> str:
    """A name for what is asked of a pool."""
    return f"request-{os.urandom(8).hex()}"


def start(level: str, form: str) -> None:
    """Write to standard error what is at least as severe as `level`; "": as the program's own logging says. Twice is once."""
    if level and not _written:
        import logging

        from cupool.contract import logs

        logger = logging.getLogger(_NAME)
        logger.addHandler(logs.handler("shim", form))
        logger.setLevel(level.upper())
        logger.propagate = False
        _written.add(level)


def say(event: str, **fields: Any) -> None:
    """Tell of an event at the level info. Texts with anything but letters, digits and `-:./_` are written by repr."""
    if "logging" not in sys.modules:
        return  # who has not imported it cannot have turned it on
    import logging  # waits for a thread that is in the middle of importing it

    logger = logging.getLogger(_NAME)
    if logger.isEnabledFor(_INFO):
        logger.info("event=%s%s", event, "".join(f" {key}={_text(value)}" for key, value in fields.items()))


def _text(value: Any) -> str:
    text = str(value)
    plain = text.replace("-", "").replace(":", "").replace(".", "").replace("/", "").replace("_", "")
    return text if plain.isalnum() and plain.isascii() else repr(text)
