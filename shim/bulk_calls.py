"""One call of a bulk transfer: `SessionService.Put` and `Get`, on grpcio's core where it is as known, else on its public API.

Boundary: one call, which may break; whoever makes another one is `bulk_tries.py`'s matter, what is transferred `bulk.py`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cupool.contract.codec import put_chunk, read_chunk
from cupool.contract.deflate import Packer, unpacked
from cupool.contract.errors import ProtocolError
from cupool.contract.limits import OUR_LIMITS
from cupool.v1 import session_pb2

from . import session
from .core_call import CoreCall
from .lane import Reader
from .redo import Redo
from .transit import wishes

_PUT = "/cupool.v1.SessionService/Put"
GET = "/cupool.v1.SessionService/Get"
#: Fields of a chunk.
_TOTAL, OFFSET, _UNPACKED = 3, 1, 4


@dataclass(slots=True)
class Job:
    """One upload. `read` reads the caller's array, or our copy when `retained` is not 0."""

    transfer: int
    total: int
    read: Reader
    after_seq: int
    retained: int = 0
    #: What chunks may be packed with; empty: nothing.
    compression: str = ""
    #: Bytes that the server has acknowledged; whether a call has been made, so that the next one asks where to go on.
    received: int = 0
    resume: bool = False
    error: BaseException | None = None
    #: The session's window, and the bytes for it, where there was room.
    redo: Redo = field(default_factory=Redo)
    copy: np.ndarray[Any, Any] | None = None
    #: `copy` is the caller's array.
    is_bare: bool = False
    #: Who still needs the transfer's id when it goes up in the background: the call that sends it, and the command that names it.
    users: int = 2
    done: threading.Event = field(default_factory=threading.Event)


class PutCall:
    """One Put call: chunks out, acknowledgements in."""

    def __init__(self, job: Job) -> None:
        self._job = job
        #: An earlier call was cut: the server says first where to go on.
        self._resume = job.resume
        job.resume = True
        self._target = session.link_target()

    def run(self) -> None:
        """Raises CallFailed, or grpc.RpcError, when the call broke."""
        core = session.bulk_core()
        channel = session.bulk_channel()
        if core is not None:
            self._run_on_core(core, channel)
        else:
            self._run(channel)
        job = self._job
        if job.received != job.total:
            raise ProtocolError(f"The server ended a Put of {job.total} bytes after {job.received}.")

    def _run_on_core(self, core: Any, channel: Any) -> None:
        with CoreCall(core, channel, _PUT, self._target.metadata) as call:
            start = 0
            if self._resume:
                call.send(self._opening())
                data = call.receive()
                if data is not None:
                    self._acknowledged(data)
                start = self._job.received
            for chunk, is_last in self._chunks(start):
                call.send(chunk, is_last)
                while call.messages:
                    self._acknowledged(call.messages.popleft())
            while self._job.received < self._job.total and (data := call.receive()) is not None:
                self._acknowledged(data)

    def _run(self, channel: Any) -> None:
        """By the public API: chunks from a generator in a thread of grpcio's, acknowledgements here."""
        started = threading.Event()
        is_over = False
        if not self._resume:
            started.set()

        def requests() -> Iterator[bytes]:
            if self._resume:
                yield self._opening()
                started.wait()
            for chunk, _ in self._chunks(self._job.received if self._resume else 0):
                if is_over:
                    return
                yield chunk

        call = channel.stream_stream(_PUT, None, None)(requests(), metadata=self._target.metadata)
        try:
            for data in call:
                self._acknowledged(data)
                started.set()
        finally:
            is_over = True
            started.set()
            call.cancel()

    def _acknowledged(self, data: bytes) -> None:
        self._job.received = session_pb2.PutAck.FromString(data).received_bytes

    def _first(self) -> dict[str, int]:
        """What the first chunk of a call says beside its bytes."""
        return {"total_bytes": self._job.total, "epoch": self._target.epoch, "after_seq": self._job.after_seq}

    def _opening(self) -> bytes:
        return put_chunk(self._job.transfer, 0, b"", **self._first())

    def _chunks(self, start: int) -> Iterator[tuple[bytes, bool]]:
        """Messages from byte `start` on, and whether it is the last."""
        job, target = self._job, self._target
        size = min(target.limits.chunk_bytes, OUR_LIMITS.chunk_bytes)
        first = {} if self._resume else self._first()
        packer = Packer() if job.compression in target.features else None
        for at in range(start, job.total, size):
            data = job.read(at, min(size, job.total - at)).data
            is_last = at + size >= job.total
            packed = packer.pack(data) if packer is not None else None
            if packed is not None:
                yield put_chunk(job.transfer, at, packed, unpacked_bytes=len(data), **first), is_last
            else:
                yield put_chunk(job.transfer, at, data, **first), is_last
            first = {}


class GetCall:
    """Bytes of one transfer, as far as they have come."""

    def __init__(self, transfer: int, target: np.ndarray[Any, Any]) -> None:
        self.transfer = transfer
        self.target = target
        #: Bytes in place, contiguous from 0.
        self.have = 0

    def reached(self, have: int) -> None:
        self.have = have

    def run(self) -> None:
        """One Get call, for what has not come yet. Raises CallFailed, or grpc.RpcError, when it broke."""
        link = session.link_target()
        request = session_pb2.GetRequest(
            transfer=self.transfer, offset=self.have, epoch=link.epoch, compression=wishes().compression
        ).SerializeToString()
        core = session.bulk_core()
        channel = session.bulk_channel()
        if core is not None:
            with CoreCall(core, channel, GET, link.metadata, request) as on_core:
                while (frame := on_core.receive()) is not None:
                    self._store(frame)
        else:
            call = channel.unary_stream(GET, None, None)(request, metadata=link.metadata)
            try:
                for frame in call:
                    self._store(frame)
            finally:
                call.cancel()
        total = self.target.shape[0]
        if self.have != total:
            raise ProtocolError(f"The server ended a Get of {total} bytes after {self.have}.")

    def _store(self, frame: bytes) -> None:
        total = self.target.shape[0]
        fields, data = read_chunk(frame)
        if _UNPACKED in fields:
            most = min(OUR_LIMITS.chunk_bytes, total - self.have)
            data = memoryview(unpacked(data, fields[_UNPACKED], most))
        at, size = fields.get(OFFSET, 0), len(data)
        if at != self.have or size > total - at or fields.get(_TOTAL, total) != total:
            raise ProtocolError(f"The server sent {size} bytes at {at}; expected at {self.have}, of {total} in all.")
        self.target[at : at + size] = np.frombuffer(data, np.uint8)
        self.have = at + size


def reader_of(array: np.ndarray[Any, Any]) -> Reader:
    """Reads pieces of the array's bytes in C order, without a copy of the whole."""
    if array.flags.c_contiguous:
        flat = array.reshape(-1).view(np.uint8)
        return lambda at, size: flat[at : at + size]
    # flatiter copies what a slice of it names, in C order whatever the layout.
    elements, itemsize = array.flat, array.itemsize

    def gather(at: int, size: int) -> np.ndarray[Any, Any]:
        first, last = at // itemsize, -(-(at + size) // itemsize)
        piece = elements[first:last].view(np.uint8)
        return piece[at - first * itemsize : at - first * itemsize + size]

    return gather
