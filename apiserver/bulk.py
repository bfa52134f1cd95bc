"""Bulk bytes over gRPC: the handlers of `SessionService.Put` and `Get`. Raw frames in and out; `lane.py` is the faster way on one host.

Boundary: `transfers.py` holds what is on its way; these functions only move bytes and turn its errors into statuses. Authentication
and the choice of session are `service.py`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np

from cupool.contract.codec import get_chunk, read_chunk
from cupool.contract.errors import CupoolError, ProtocolError, SessionLost, error_to_wire
from cupool.contract.limits import MIB
from cupool.contract.malloc import tune_allocator
from cupool.v1 import session_pb2

from .transfers import Transfers

#: How often a Put is acknowledged, bytes. What a client must send again after a cut is at most this and what was in flight.
ACK_EVERY_BYTES = 8 * MIB

#: Trailing metadata that carries a serialised `cupool.v1.Error`.
ERROR_KEY = "cupool-error-bin"

#: How often a wait looks whether its caller is still there, seconds.
_LOOK_S = 0.2

_TRANSFER, _TOTAL, _OFFSET, _EPOCH, _AFTER_SEQ = 1, 2, 3, 5, 6


class CallEnded(Exception):
    """The caller went away, or a newer call took the transfer over."""


class EpochMismatch(Exception):
    """The call names another epoch than the session's."""


class Upload:
    """One call that writes a transfer: a Put, or the lane's. A newer call takes the transfer over from an older one.

    Args:
        after_seq: see PutChunk.after_seq; `executed_seq` tells how far the session is.
        stop: whether the caller has gone.

    Raises:
        ProtocolError: an id or a size that cannot be, or another size than before.
        OutOfMemoryError: no memory for it; "@upload" will raise it too.

    Attributes:
        total, received: bytes in all, and contiguous from 0.
    """

    def __init__(
        self, transfers: Transfers, transfer: int, total: int, after_seq: int, executed_seq: Callable[[], int],
        stop: Callable[[], bool],
    ) -> None:  # fmt: skip
        if not 0 < transfer < 1 << 63 or not 0 < total < 1 << 62:
            raise ProtocolError(f"Transfer {transfer} of {total} bytes is out of bounds.")
        self._transfers = transfers
        self.transfer = transfer
        self.total = total
        while True:
            is_late = executed_seq() >= after_seq
            try:
                self._incoming = transfers.incoming(transfer, total)
                break
            except MemoryError as error:
                if is_late:
                    transfers.fail(transfer, error)
                    raise
            if stop():
                raise CallEnded(f"Transfer {transfer}: the caller went away.")
            time.sleep(0.002)  # rare: memory is short, and what the client freed before this is still being executed
        self._ticket = transfers.claim(self._incoming)
        self._target = np.frombuffer(self._incoming.view, np.uint8)

    @property
    def received(self) -> int:
        return self._incoming.received

    def write(self, offset: int, data: np.ndarray[Any, Any]) -> None:
        """Store `data` (uint8), which must begin where the bytes received so far end.

        Raises:
            ProtocolError: it begins elsewhere or goes beyond the end.
            CallEnded: a newer call writes this transfer.
        """
        size = data.shape[0]
        if self._incoming.ticket != self._ticket or self._incoming.taken:
            raise CallEnded(f"Transfer {self.transfer} was taken over by a newer call.")
        if offset != self.received or size > self.total - offset:
            raise ProtocolError(
                f"Transfer {self.transfer}: {size} bytes at {offset}; expected at {self.received}, of {self.total} in all."
            )
        self._target[offset : offset + size] = data
        self._transfers.advance(self.transfer, offset + size, self._ticket)


def exported(transfers: Transfers, transfer: int, stop: Callable[[], bool]) -> memoryview:
    """The bytes of an export, as soon as "@export" has run. Raises its error, or CallEnded when the caller went away."""
    while True:
        data = transfers.wait_outgoing(transfer, _LOOK_S)
        if data is not None:
            return data.cast("B") if data.nbytes else memoryview(b"")
        if stop():
            raise CallEnded(f"Transfer {transfer}: the caller went away.")


def put(
    transfers: Transfers, epoch: int, executed_seq: Callable[[], int], frames: Iterator[bytes], context: Any
) -> Iterator[bytes]:
    """Serve one Put: serialised PutChunks in, serialised PutAcks out. The first ack says where to go on."""
    tune_allocator()
    try:
        yield from _put(transfers, epoch, executed_seq, frames, _stop_when_done(context))
    except _FAILURES as error:
        _abort(context, error)


def _put(
    transfers: Transfers, epoch: int, executed_seq: Callable[[], int], frames: Iterator[bytes], stop: Callable[[], bool]
) -> Iterator[bytes]:
    upload: Upload | None = None
    acknowledged = 0
    for frame in frames:
        fields, data = read_chunk(frame)
        transfer, offset = fields.get(_TRANSFER, 0), fields.get(_OFFSET, 0)
        if upload is None:
            _check_epoch(fields.get(_EPOCH, 0), epoch)
            upload = Upload(transfers, transfer, fields.get(_TOTAL, 0), fields.get(_AFTER_SEQ, 0), executed_seq, stop)
            acknowledged = upload.received
            yield _ack(upload)
        elif transfer != upload.transfer:
            raise ProtocolError("A chunk of another transfer; open one Put for each transfer.")
        if data:
            upload.write(offset, np.frombuffer(data, np.uint8))
            received = upload.received
            if received == upload.total or received - acknowledged >= ACK_EVERY_BYTES:
                acknowledged = received
                yield _ack(upload)


def get(transfers: Transfers, epoch: int, request: bytes, context: Any, chunk_bytes: int = MIB) -> Iterator[bytes]:
    """Serve one Get: a serialised GetRequest in, serialised GetChunks out. Waits for the export that names the transfer."""
    tune_allocator()
    message = session_pb2.GetRequest.FromString(request)
    try:
        _check_epoch(message.epoch, epoch)
        data = exported(transfers, message.transfer, _stop_when_done(context))
        total = len(data)
        if message.offset > total:
            raise ProtocolError(f"Get: offset {message.offset} is beyond the transfer's {total} bytes.")
        yield get_chunk(message.offset, data[message.offset : message.offset + chunk_bytes], total)
        for at in range(message.offset + chunk_bytes, total, chunk_bytes):
            yield get_chunk(at, data[at : at + chunk_bytes])
    except _FAILURES as error:
        _abort(context, error)


def _check_epoch(given: int, epoch: int) -> None:
    if given != epoch:
        raise EpochMismatch(f"The session is at epoch {epoch}, the call says {given}. Attach again and take the epoch from the hello.")


def _ack(upload: Upload) -> bytes:
    return session_pb2.PutAck(transfer=upload.transfer, received_bytes=upload.received).SerializeToString()


#: Class -> status, most special first. What is not here is a bug and becomes UNKNOWN with its text.
_STATUS: tuple[tuple[type[BaseException], grpc.StatusCode], ...] = (
    (CallEnded, grpc.StatusCode.ABORTED),
    (SessionLost, grpc.StatusCode.NOT_FOUND),
    (ProtocolError, grpc.StatusCode.INVALID_ARGUMENT),
    (EpochMismatch, grpc.StatusCode.FAILED_PRECONDITION),
    (CupoolError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (MemoryError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (RuntimeError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (ValueError, grpc.StatusCode.RESOURCE_EXHAUSTED),
)
_FAILURES = tuple(cls for cls, _ in _STATUS)


def _abort(context: Any, error: BaseException) -> None:
    status = next(status for cls, status in _STATUS if isinstance(error, cls))
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        context.set_trailing_metadata(((ERROR_KEY, error_to_wire(error).SerializeToString()),))
    context.abort(status, f"{type(error).__name__}: {error}")


def _stop_when_done(context: Any) -> Callable[[], bool]:
    """Whether the call is over: asked by waits, so that a client that went away releases its thread."""
    return lambda: not context.is_active()
