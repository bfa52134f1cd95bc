"""Leases that go on from a checkpoint: who may have one, and where it is. Decisions over the books; with the lock held."""

from __future__ import annotations

import hashlib
import hmac

from cupool.v1 import pool_pb2, server_pb2

from .directory import Directory
from .leases import Books
from .placement import Wish
from .refusals import Code, Refused

_AGAIN = "Run the program again; its arrays are gone."


def wish_of(request: pool_pb2.AcquireRequest, tenant: str, books: Books, directory: Directory) -> Wish:
    """What a lease asks for.

    Raises:
        Refused: the checkpoint that it asks for is not the caller's, or cannot be had.
    """
    if not request.HasField("restore"):
        return Wish(request.device_kind, request.memory_bytes)
    lost = request.restore
    session = books.find(lost.session)
    record = directory.end(lost.session) or directory.lease(lost.session)
    if session is not None:
        owner, token, node, device = (
            session.tenant.name,
            session.token_sha256,
            session.device.node.id,
            session.device.name,
        )
    elif record is not None:
        owner, token, node, device = record.tenant, record.token_sha256, record.node, record.device
    else:
        raise _gone("the pool does not know the session that it was made of any more")
    given = hashlib.sha256(lost.session_token.encode()).digest()
    if owner != tenant or not hmac.compare_digest(token, given):
        raise _gone("the session that it was made of is not yours")
    if lost.where not in ("node", "file") or not lost.server or "/" in lost.server:
        raise _gone("it is kept nowhere that the pool knows")
    kind = device.partition(":")[0]
    if lost.where == "file":
        return Wish(kind, request.memory_bytes)
    known = books.nodes.get(node)
    if known is None or not known.is_connected:
        why = f"the host that has it ({known.host if known is not None else node}) is away"
        raise _gone(why, "CUPOOL_DURABILITY=file keeps checkpoints where other hosts see them.")
    return Wish(kind, request.memory_bytes, node)


def _gone(why: str, cure: str = _AGAIN) -> Refused:
    return Refused(Code.FAILED_PRECONDITION, f"The checkpoint cannot be had: {why}.", cure, word="checkpoint")


def incoming_of(request: pool_pb2.AcquireRequest) -> server_pb2.Incoming | None:
    """What a server is told of the checkpoint that its session goes on from."""
    if not request.HasField("restore"):
        return None
    lost = request.restore
    return server_pb2.Incoming(checkpoint=f"{lost.where}/{lost.server}/{lost.checkpoint}", session=lost.session)
