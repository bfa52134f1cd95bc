"""What the end of a stream means: another connection, another place, another server, or a lost session.

Cases when a stream ends:
  - we are closing: done.
  - the server refused (STATUS table): the session is lost, or could never be opened; no retry.
  - the connection broke, the server went away, a frame arrived damaged, a newer stream of ours fenced this one: a new
    connection, attach, resend; until `reconnect_s` have passed without an attach, or the pool says that the session is gone.
  - the link is silent while something waits: probe after 1 s; no answer 1 s later: a new connection (a frozen and thawed
    process, a peer that vanished). Each such round without progress doubles the patience: the server may just be busy.
  - the session has moved: the server says so (MOVED), or the pool does to a client that lost its connection. Another connection, there, at
    the next epoch, and the ordinary resend; never back to a lower epoch, and to no server that has executed less than it has acknowledged.
  - the server is lost, by a fault that is not the session's own: another lease, and everything again from the first batch, or from the
    last checkpoint (`redo.py`). What was delivered before is not delivered twice; where the replay contradicts it the session is lost.
  - the server never heard of the session (its host cannot be reached by the pool): another lease, for as long as `reconnect_s`.

Boundary: decides, and asks the pool; the link does it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeGuard

from cupool.contract.errors import (
    AGENT_GONE,
    MOVED_AWAY,
    SAVED_AS,
    STALE_NONCE,
    CupoolError,
    SessionCloned,
    SessionLost,
)

from .lease import Lease, Place, status_error
from .turns import Disconnected

#: Statuses after which a new connection may help. DATA_LOSS and INVALID_ARGUMENT: bytes were damaged on the way, or a bug; the
#: number of rounds without progress tells them apart.
RETRIED = frozenset(
    {
        "OK",
        "CANCELLED",
        "UNAVAILABLE",
        "INTERNAL",
        "UNKNOWN",
        "DEADLINE_EXCEEDED",
        "ABORTED",
        "DATA_LOSS",
        "INVALID_ARGUMENT",
    }
)
DAMAGED = frozenset({"DATA_LOSS", "INVALID_ARGUMENT", "ABORTED"})
MAX_DAMAGED = 5
#: Replays that end where the server was lost before: more would end there too.
MAX_FUTILE = 2


def judge(
    end: Disconnected,
    lease: Lease,
    fate_of: Callable[[Lease], str | Place | None],
    *,
    is_served: bool,
    is_again: bool,
    damaged: int,
    broken_for_s: float,
    reconnect_s: float,
) -> Place | None:
    """What follows from a stream's end: a new connection, at the returned place or (None) where it was.

    Args:
        fate_of: what the pool says of the session.
        is_served: the server of this lease has answered a hello.
        is_again: the connection was tried before in vain.
        damaged: how often frames came damaged since the last progress, this end counted.
        broken_for_s: how long there has been no stream that was attached.

    Raises:
        CupoolError: what the session is lost of.
    """
    at = f"the server at {lease.endpoint}"
    if end.code == "FAILED_PRECONDITION" and MOVED_AWAY in end.details:
        end = Disconnected("UNAVAILABLE", end.details)
        is_again = True
    if end.code == "NOT_FOUND" and end.details.endswith(f": {AGENT_GONE}"):
        # The server ends in a moment; what that means for the session the pool finds out.
        end = Disconnected("UNAVAILABLE", end.details)
        is_again = True
    if end.code == "FAILED_PRECONDITION" and STALE_NONCE in end.details:
        raise SessionCloned(f"The session is another process's ({at}): {end.details}", "Make the arrays again.")
    if end.code not in RETRIED:
        error = status_error(end.code, end.details, at)
        fate = fate_of(lease) if isinstance(error, SessionLost) else None
        if _leads_on(fate, lease):
            return fate
        # The pool knows better than the server why a session is not there.
        if isinstance(fate, str):
            raise _gone(fate, error.cure)
        if end.code == "NOT_FOUND" and isinstance(error, SessionLost) and not is_served:
            # Its assignment never came there. Nothing was done that could not be done elsewhere.
            error.is_server_lost = error.is_unserved = True
        raise error
    if damaged > MAX_DAMAGED:
        raise status_error(end.code, end.details, at)
    if is_again and end.code == "UNAVAILABLE":
        fate = fate_of(lease)
        if _leads_on(fate, lease):
            return fate
        if isinstance(fate, str):
            raise _gone(fate, "Run the program again; its arrays are gone.")
    if broken_for_s > reconnect_s:
        unreachable = SessionLost(
            f"The connection to {at} is lost and could not be made again for {reconnect_s:g} s: {end.details or end.code}.",
            "Check the network and the server; CUPOOL_RECONNECT_S sets how long to try.",
        )
        unreachable.is_server_lost = True
        raise unreachable
    return None


def _leads_on(fate: str | Place | None, lease: Lease) -> TypeGuard[Place]:
    """Whether the session is somewhere else now; never back to a lower epoch."""
    return isinstance(fate, Place) and fate.epoch > lease.epoch


def _gone(fate: str, cure: str) -> SessionLost:
    """What the pool says of a session that is gone."""
    if SAVED_AS in fate:
        cure = "That serves a program that was away while it was saved. This one's arrays are in the file, not here: run it again."
    elif "Start the program again" in fate:
        cure = "Its arrays are gone."
    error = SessionLost(f"The session is gone: {fate.rstrip('.')}.", cure)
    error.is_server_lost = getattr(fate, "is_server_lost", False)
    return error


def not_again(error: CupoolError, why: str) -> SessionLost:
    """A lost server's session cannot be had from another one."""
    return SessionLost(f"{error.what} The session could not be made again on another server: {why}.", error.cure)


class Replays:
    """How a session's replays went: whether one more may help."""

    def __init__(self) -> None:
        self._count = 0
        self._reached = 0
        self._futile = 0
        self._unserved_s = 0.0

    def may_begin(self, error: CupoolError, reached: int, reconnect_s: float) -> None:
        """Another server was lost, or was never served by one.

        Args:
            reached: the last batch that was acknowledged.

        Raises:
            CupoolError: what the session is lost of.
        """
        if not getattr(error, "is_unserved", False):
            self._futile = self._futile + 1 if self._count and reached <= self._reached else 0
            self._unserved_s = 0.0
        elif time.monotonic() - (self._unserved_s or time.monotonic()) > reconnect_s:
            raise error
        else:
            self._unserved_s = self._unserved_s or time.monotonic()
        self._reached = max(self._reached, reached)
        if self._futile >= MAX_FUTILE:
            raise SessionLost(f"{error.what} On another server it ended at the same place.", error.cure)
        self._count += 1
