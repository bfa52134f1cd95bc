"""Bulk bytes of a session that begins again on another server: what had gone up goes up again, and checkpoints that are kept here.

Loaded when a server is lost, or a checkpoint comes down.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from cupool.contract.blocks import MappedBlocks
from cupool.contract.codec import put_chunk, read_chunk
from cupool.contract.errors import CupoolError, ProtocolError, SessionLost
from cupool.contract.limits import DEFAULT_LIMITS
from cupool.v1 import session_pb2

from . import session
from .bulk import came_by_lane, count_again
from .bulk_calls import GET, OFFSET, Job, PutCall, reader_of
from .bulk_tries import STALLED_S, retry
from .redo import Upload
from .transport import disconnected, import_grpc
from .turns import Disconnected

#: What checkpoints lie in, of any size: none is kept for the next one.
_blocks = MappedBlocks(0)

_RESTORE = "/cupool.v1.SessionService/Restore"


class _Overtaken(Exception):
    """That server is lost too, and its successor has a thread of its own."""


def put_again(lost: Any, uploads: list[Upload]) -> None:
    """Send uploads to the server that took a lost one's place, in a thread: it is waited for by the commands that name them.

    Args:
        lost: the session.
    """

    which = lost.link.recoveries
    # What a checkpoint has need not go up again, and what it has used must not.
    resume = lost.outbox.redo.base is not None

    def attempt(job: Job) -> None:
        if lost.link.recoveries != which:
            raise _Overtaken
        PutCall(job).run()

    def work() -> None:
        session.is_background()
        try:
            for upload in uploads:
                job = Job(upload.transfer, upload.data.nbytes, reader_of(upload.data), upload.after_seq, resume=resume)
                retry(partial(attempt, job), partial(getattr, job, "received"), count_again)
            if lost.link.recoveries == which:
                lost.outbox.redo.put_again()
        except _Overtaken:
            return
        except Exception as error:
            lost.link.lose(
                SessionLost(
                    f"The server was lost, and what had gone up could not go up again: {error}.",
                    "Run the program again.",
                )
            )

    threading.Thread(target=work, name="cupool-put-again", daemon=True).start()


def fetch(kept: Any, transfer: int, nbytes: int) -> np.ndarray[Any, Any]:
    """The bytes of a transfer of that size, in one try. Raises what came between."""
    data = _blocks.take(nbytes)
    if came_by_lane(kept, transfer, data):
        return data
    grpc = import_grpc()
    target = kept.target()
    have = 0
    request = session_pb2.GetRequest(transfer=transfer, offset=0, epoch=target.epoch).SerializeToString()
    call = kept.bulk_channel().unary_stream(GET, None, None)(request, metadata=target.metadata)
    try:
        for frame in call:
            fields, piece = read_chunk(frame)
            at, size = fields.get(OFFSET, 0), len(piece)
            if at != have or size > nbytes - at:
                raise ProtocolError(f"The server sent {size} bytes at {at} of a checkpoint of {nbytes}.")
            data[at : at + size] = np.frombuffer(piece, np.uint8)
            have += size
    except grpc.RpcError as error:
        raise CupoolError(f"{error.code().name}: {error.details()}") from None
    finally:
        call.cancel()
    if have != nbytes:
        raise ProtocolError(f"The server ended a checkpoint of {nbytes} bytes after {have}.")
    return data


def restore(lost: Any, lease: Any, data: np.ndarray[Any, Any]) -> Disconnected | None:
    """Begin a lease's session with a checkpoint; returns why it could not be begun."""
    grpc = import_grpc()
    size = DEFAULT_LIMITS.chunk_bytes  # this server has stated nothing yet

    def chunks() -> Iterator[bytes]:
        first = {"total_bytes": data.nbytes, "epoch": lease.epoch}
        for at in range(0, data.nbytes, size):
            yield put_chunk(1, at, data[at : at + size].data, **first)
            first = {}

    call = lost.bulk_channel(lease).stream_unary(_RESTORE, None, None)
    try:
        call(chunks(), metadata=lease.metadata, timeout=STALLED_S)
    except grpc.RpcError as error:
        return disconnected(error)
    return None
