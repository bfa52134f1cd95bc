"""Bulk bytes over gRPC: the handlers of `SessionService.Put` and `Get`. Raw frames in and out; `lane.py` is the faster way on one host.

Boundary: `transfers.py` holds what is on its way; these functions only move bytes and turn its errors into statuses. Authentication
and the choice of session are `service.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from cupool.contract.codec import get_chunk, read_chunk
from cupool.contract.compressions import COMPRESSIONS
from cupool.contract.deflate import Packer, unpacked
from cupool.contract.errors import CupoolError, ProtocolError, error_to_wire
from cupool.contract.limits import MIB, OUR_LIMITS
from cupool.contract.malloc import tune_allocator
from cupool.v1 import session_pb2

from .transfers import ExportFailed, Inbound, TransferEnded, Transfers

#: How often a Put is acknowledged, bytes. What a client must send again after a cut is at most this and what was in flight.
ACK_EVERY_BYTES = 8 * MIB

#: Trailing metadata that carries a serialised `cupool.v1.Error`.
ERROR_KEY = "cupool-error-bin"

_TRANSFER, _TOTAL, _OFFSET, _EPOCH, _AFTER_SEQ, _UNPACKED = 1, 2, 3, 5, 6, 7


class EpochMismatch(Exception):
    """The call names another epoch than the session's."""


def put(
    transfers: Transfers, epoch: int, frames: Iterator[bytes], stop: Callable[[], bool], arrived: Callable[[], None]
) -> Iterator[bytes]:
    """Serve one Put: serialised PutChunks in, serialised PutAcks out. The first ack says where to go on.

    Args:
        stop: whether the call is over: asked by waits, so that a client that went away releases its thread.
        arrived: called when a client has come at the session's epoch, before anything is acknowledged.

    Raises:
        FAILURES: see `status_of`.
    """
    tune_allocator()
    inbound: Inbound | None = None
    ticket = acknowledged = 0
    for frame in frames:
        fields, data = read_chunk(frame)
        transfer, offset = fields.get(_TRANSFER, 0), fields.get(_OFFSET, 0)
        if inbound is None:
            _check_epoch(fields.get(_EPOCH, 0), epoch)
            arrived()
            inbound, ticket = transfers.begin(transfer, fields.get(_TOTAL, 0), fields.get(_AFTER_SEQ, 0), stop)
            acknowledged = inbound.received
            yield _ack(inbound)
        elif transfer != inbound.transfer:
            raise ProtocolError("A chunk of another transfer; open one Put for each transfer.")
        if _UNPACKED in fields:
            most = min(OUR_LIMITS.chunk_bytes, inbound.total - inbound.received)
            data = memoryview(unpacked(data, fields[_UNPACKED], most))
        if data:
            inbound.write(ticket, offset, np.frombuffer(data, np.uint8))
            received = inbound.received
            if received == inbound.total or received - acknowledged >= ACK_EVERY_BYTES:
                acknowledged = received
                yield _ack(inbound)


def collected(frames: Iterator[bytes], most: int) -> bytearray:
    """All bytes of a Put that is no session's yet. Raises ProtocolError."""
    data = bytearray()
    total = 0
    for frame in frames:
        fields, piece = read_chunk(frame)
        total = total or fields.get(_TOTAL, 0)
        if not 0 < total <= most or fields.get(_OFFSET, 0) != len(data) or len(data) + len(piece) > total:
            raise ProtocolError(f"A chunk that does not fit into {total} bytes; {most} are the most.")
        data += piece
    if len(data) != total:
        raise ProtocolError(f"{len(data)} of {total} bytes came.")
    return data


def get(
    transfers: Transfers, epoch: int, request: bytes, stop: Callable[[], bool], chunk_bytes: int = MIB
) -> Iterator[bytes]:
    """Serve one Get: a serialised GetRequest in, serialised GetChunks out. Waits for the export that names the transfer.

    Raises:
        FAILURES: see `status_of`.
    """
    tune_allocator()
    try:
        message = session_pb2.GetRequest.FromString(request)
    except (DecodeError, RecursionError):
        raise ProtocolError("Get: the request is not a GetRequest.") from None
    _check_epoch(message.epoch, epoch)
    out = transfers.outbound(message.transfer, stop)
    total = len(out)
    if message.offset > total:
        raise ProtocolError(f"Get: offset {message.offset} is beyond the transfer's {total} bytes.")
    packer = Packer() if message.compression in COMPRESSIONS else None
    for at in range(message.offset, max(total, message.offset + 1), chunk_bytes):
        said = total if at == message.offset else 0
        with out.lock:
            data = out.data[at : at + chunk_bytes]
            packed = packer.pack(data) if packer is not None and data else None
            frame = get_chunk(at, data, said) if packed is None else get_chunk(at, packed, said, len(data))
        yield frame


def _check_epoch(given: int, epoch: int) -> None:
    if given != epoch:
        raise EpochMismatch(
            f"The session is at epoch {epoch}, the call says {given}. Attach again and take the epoch from the hello."
        )


def _ack(inbound: Inbound) -> bytes:
    return session_pb2.PutAck(transfer=inbound.transfer, received_bytes=inbound.received).SerializeToString()


#: Class -> status, most special first. What is not here is a bug and becomes UNKNOWN with its text.
_STATUS: tuple[tuple[type[BaseException], grpc.StatusCode], ...] = (
    (TransferEnded, grpc.StatusCode.ABORTED),
    (ExportFailed, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (ProtocolError, grpc.StatusCode.INVALID_ARGUMENT),
    (EpochMismatch, grpc.StatusCode.FAILED_PRECONDITION),
    (CupoolError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (MemoryError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (RuntimeError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (ValueError, grpc.StatusCode.RESOURCE_EXHAUSTED),
)
#: What `put` and `get` raise when there is nothing more to be served.
FAILURES = tuple(cls for cls, _ in _STATUS)


def status_of(error: BaseException) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """What a failure tells the client: status, sentence and trailing metadata."""
    status = next(status for cls, status in _STATUS if isinstance(error, cls))
    if isinstance(error, ExportFailed):
        error = error.error
    trailing: tuple[tuple[str, bytes], ...] = ()
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        trailing = ((ERROR_KEY, error_to_wire(error).SerializeToString()),)
    return status, f"{type(error).__name__}: {error}", trailing
