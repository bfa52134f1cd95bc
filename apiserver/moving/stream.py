"""The bytes of a move: pieces of buffers packed into a slot of the lane or a frame, see `MoveBytes` in move.proto.

Boundary: layout alone. Who sends, and what, is `source.py`'s; where it goes is `destination.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from cupool.contract.codec import read_chunk, varint
from cupool.contract.errors import ProtocolError

#: Of a piece in a chunk's table: buffer, offset, bytes.
ENTRY_BYTES = 24
ALIGN = 64
#: A piece is not cut for less than this: the rest of a chunk stays empty instead.
SMALLEST_CUT = 4096
#: The tag of MoveFrame.bytes, and MoveBytes' fields.
_BYTES_TAG, _COUNT, _DATA_TAG = 0x1A, 1, b"\x12"

Bytes = np.ndarray[Any, Any]
#: (buffer, offset, bytes)
Part = tuple[int, int, Bytes]


def _head(count: int) -> int:
    """Where the bytes of a chunk with `count` pieces begin."""
    return (count * ENTRY_BYTES + ALIGN - 1) & -ALIGN


def chunks(parts: Iterable[Part], room: int) -> Iterator[list[Part]]:
    """Group pieces into chunks of at most `room` bytes, table included; large pieces are cut."""
    chunk: list[Part] = []
    used = 0
    for buffer, offset, data in parts:
        at, size = 0, data.shape[0]
        while at < size:
            free = room - _head(len(chunk) + 1) - used
            take = min(free, size - at)
            if take < size - at and take < SMALLEST_CUT:
                yield chunk
                chunk, used = [], 0
                continue
            chunk.append((buffer, offset + at, data[at : at + take]))
            used += take
            at += take
    if chunk:
        yield chunk


def _table(chunk: list[Part]) -> Bytes:
    return (
        np.array([(buffer, offset, data.shape[0]) for buffer, offset, data in chunk], "<u8").reshape(-1).view(np.uint8)
    )


def fill(slot: Bytes, chunk: list[Part]) -> int:
    """Put a chunk into a slot; returns its length."""
    table, at = _table(chunk), _head(len(chunk))
    slot[: table.shape[0]] = table
    for _, _, data in chunk:
        end = at + data.shape[0]
        slot[at:end] = data  # large copies let other threads run
        at = end
    return at


def frame(chunk: list[Part]) -> bytes:
    """A serialised `cupool.v1.MoveFrame` with a chunk, its bytes copied once."""
    table, head = _table(chunk), _head(len(chunk))
    size = head + sum(data.shape[0] for _, _, data in chunk)
    inner = b"\x08" + varint(len(chunk)) + _DATA_TAG + varint(size)
    outer = b"\x1a" + varint(len(inner) + size)
    parts: list[Any] = [outer, inner, table.data, b"\0" * (head - table.shape[0])]
    parts += [data.data for _, _, data in chunk]
    return b"".join(parts)


def has_bytes(data: bytes) -> bool:
    """Whether a serialised MoveFrame is one of bytes: those are not parsed as messages."""
    return bool(data) and data[0] == _BYTES_TAG


def parts_of_frame(data: bytes) -> Iterator[Part]:
    """What such a frame holds, without a copy. Raises ProtocolError for one that is malformed."""
    _, inner = read_chunk(data)
    fields, body = read_chunk(inner)  # type: ignore[arg-type]  # it reads any bytes
    return parts(fields.get(_COUNT, 0), np.frombuffer(body, np.uint8))


def parts(count: int, data: Bytes) -> Iterator[Part]:
    """The pieces of a chunk. Raises ProtocolError where the table says more than there is."""
    head = _head(count)
    if not 0 < count <= data.shape[0] // ENTRY_BYTES or head > data.shape[0]:
        raise ProtocolError(f"A move's chunk of {data.shape[0]} bytes cannot have {count} pieces.")
    table = data[: count * ENTRY_BYTES].view("<u8").reshape(count, 3).tolist()
    at = head
    for buffer, offset, size in table:
        if size > data.shape[0] - at:
            raise ProtocolError("A move's chunk is cut off.")
        yield buffer, offset, data[at : at + size]
        at += size
    if at != data.shape[0]:
        raise ProtocolError("A move's chunk is longer than its pieces.")
