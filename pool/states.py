"""The states of servers and sessions, each in one sentence, and the changes that may happen.

A change that is not in its table is a bug of the pool and raises; nothing changes state in any other way.
"""

from __future__ import annotations

from cupool.v1 import pool_pb2, server_pb2

STARTING = server_pb2.SERVER_STATE_STARTING
WARM = server_pb2.SERVER_STATE_WARM
LEASED = server_pb2.SERVER_STATE_LEASED
PARKED = server_pb2.SERVER_STATE_PARKED
ENDING = server_pb2.SERVER_STATE_ENDING
DEAD = server_pb2.SERVER_STATE_DEAD

SERVER_STATES: dict[int, str] = {
    STARTING: "The process runs; its device is not warm yet.",
    WARM: "It waits for the one session of its life.",
    LEASED: "It has its session; a client is attached or may come.",
    PARKED: "It has its session; the client's connection is lost.",
    ENDING: "It was told to end, or to give its session back, and frees what it holds.",
    DEAD: "Its process is gone.",
}

SERVER_CHANGES: frozenset[tuple[int, int]] = frozenset(
    {
        (STARTING, WARM),
        (STARTING, ENDING),  # the pool ends while it starts
        (STARTING, DEAD),  # it could not start
        (WARM, LEASED),
        (WARM, ENDING),
        (WARM, DEAD),
        (LEASED, PARKED),
        (LEASED, ENDING),  # the lease ended
        (LEASED, DEAD),  # it crashed, or ended by itself because its client said goodbye
        (PARKED, LEASED),  # its client came back
        (PARKED, ENDING),
        (PARKED, DEAD),
        (ENDING, WARM),  # it gave back a session to which nobody had attached
        (ENDING, DEAD),
    }
)

SESSION_LEASED = pool_pb2.SESSION_STATE_LEASED
SESSION_ATTACHED = pool_pb2.SESSION_STATE_ATTACHED
SESSION_PARKED = pool_pb2.SESSION_STATE_PARKED
SESSION_ENDING = pool_pb2.SESSION_STATE_ENDING
SESSION_ENDED = pool_pb2.SESSION_STATE_ENDED
SESSION_LOST = pool_pb2.SESSION_STATE_LOST

SESSION_STATES: dict[int, str] = {
    SESSION_LEASED: "A server holds it for its client, who has not come yet.",
    SESSION_ATTACHED: "Its client is attached.",
    SESSION_PARKED: "Its client's connection is lost; it is kept for the tenant's grace time.",
    SESSION_ENDING: "Its lease ended; its server frees what it held.",
    SESSION_ENDED: "Gone by wish: released, expired, killed by an operator, or its client is gone.",
    SESSION_LOST: "Gone with its server; the reason says why.",
}

_ALIVE = (SESSION_LEASED, SESSION_ATTACHED, SESSION_PARKED)

SESSION_CHANGES: frozenset[tuple[int, int]] = frozenset(
    {
        (SESSION_LEASED, SESSION_ATTACHED),
        (SESSION_LEASED, SESSION_PARKED),  # attached and lost between two reports
        (SESSION_ATTACHED, SESSION_PARKED),
        (SESSION_PARKED, SESSION_ATTACHED),
        *((state, SESSION_ENDING) for state in _ALIVE),
        *((state, SESSION_ENDED) for state in _ALIVE),  # the server ended by itself, without a fault
        *((state, SESSION_LOST) for state in _ALIVE),
        (SESSION_ENDING, SESSION_ENDED),
    }
)

#: Session states after which nothing follows.
FINAL: frozenset[int] = frozenset({SESSION_ENDED, SESSION_LOST})


def server_change(old: int, new: int) -> int:
    """`new`, if a server may go there from `old`.

    Raises:
        RuntimeError: it may not.
    """
    if (old, new) not in SERVER_CHANGES:
        raise RuntimeError(
            f"a server cannot go from {_name(server_pb2.ServerState, old)} to {_name(server_pb2.ServerState, new)}"
        )
    return new


def session_change(old: int, new: int) -> int:
    """`new`, if a session may go there from `old`.

    Raises:
        RuntimeError: it may not.
    """
    if (old, new) not in SESSION_CHANGES:
        raise RuntimeError(
            f"a session cannot go from {_name(pool_pb2.SessionState, old)} to {_name(pool_pb2.SessionState, new)}"
        )
    return new


def _name(enum: type, value: int) -> str:
    return str(enum.Name(value))  # type: ignore[attr-defined]
