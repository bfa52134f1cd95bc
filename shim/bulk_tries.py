"""Tries of a bulk transfer: a call that broke is made again, until it succeeds, the session is lost, or nothing moves any more.

Boundary: the session finds the way to its server; what is transferred is the callers'.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from cupool.contract.errors import CupoolError, SessionLost, error_from_wire
from cupool.v1 import session_pb2

from . import session
from .core_call import CallFailed
from .transport import import_grpc

#: A connection that makes no progress for so long, while the session believes that it has one, is given up.
STALLED_S = 60.0

_ERROR_KEY = "cupool-error-bin"
#: Names of the statuses after which another try can help: the connection broke, or the session changed its server or epoch.
_RETRY = frozenset({"UNAVAILABLE", "CANCELLED", "ABORTED", "FAILED_PRECONDITION", "UNKNOWN", "INTERNAL"})


def retry(attempt: Callable[[], None], headway: Callable[[], int], again: Callable[[], None] = lambda: None) -> None:
    """Run `attempt` until it succeeds; the session finds the way to the server again, or raises SessionLost.

    Args:
        headway: bytes that have come over, in all tries.
        again: called before each further try.
    """
    with session.current().transferring():
        _attempts(attempt, headway, again)


def _attempts(attempt: Callable[[], None], headway: Callable[[], int], again: Callable[[], None]) -> None:
    grpc = import_grpc()
    pause_s = 0.0
    had = headway()
    deadline = time.monotonic() + STALLED_S
    while True:
        try:
            attempt()
            return
        except CallFailed as error:
            _raise_final(error.code, error.details, error.trailing)
            last: BaseException = error
        except grpc.RpcError as error:
            _raise_final(error.code().name, error.details(), error.trailing_metadata())
            last = error
        except ValueError as error:  # the channel was closed under us by a reconnect
            # "Cannot invoke RPC on closed channel!", "Cannot invoke RPC: Channel closed!"
            if not {"channel", "closed"} <= set(re.findall(r"\w+", str(error).lower())):
                raise
            last = error
        patience()
        if headway() > had:
            had, pause_s, deadline = headway(), 0.0, time.monotonic() + STALLED_S
        elif time.monotonic() > deadline:
            raise SessionLost(
                f"A bulk transfer made no headway for {STALLED_S:.0f} s: {last}.", "Check the link to the server."
            ) from last
        time.sleep(pause_s)
        pause_s = min(pause_s * 2 + 0.01, 1.0)
        again()


def told(error: BaseException) -> BaseException:
    """Mark an error that the server sent: it raises the same where the transfer is used."""
    error.is_told = True  # type: ignore[attr-defined]
    return error


def _raise_final(code: str, details: str, trailing: Any) -> None:
    """Raise what the status means when another try cannot help."""
    for key, value in trailing or ():
        if key == _ERROR_KEY:
            raise told(error_from_wire(session_pb2.Error.FromString(value))) from None
    if code not in _RETRY:
        raise CupoolError(f"A bulk transfer failed: {code}: {details}", "See the server's log.") from None


def patience() -> None:
    """Asked while nothing comes: raises when there is nothing more to wait for."""
    lost = session.lost()
    if lost is not None:
        raise lost
    if not session.is_open():
        raise SessionLost("The session was closed while bytes were on their way.", "Open a new one.")
