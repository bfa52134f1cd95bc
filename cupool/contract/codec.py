"""The flat batch: header words, packing the client's pending list, framing, and the checks a reader makes first.

Layout and meaning: `proto/cupool/v1/session.proto`, "The flat batch". Frames are written by hand where that saves copies; they
are wire-identical to what protobuf writes (tested), and are read with protobuf.
"""

from __future__ import annotations

import struct
from typing import Any

from cupool.contract.errors import ProtocolError
from cupool.contract.limits import Limits

FORM_BITS = 24
DEVICE_SHIFT = 24
STREAM_SHIFT = 30
TAG_SHIFT = 40
FORM_MASK = (1 << FORM_BITS) - 1
DEVICE_MASK = (1 << 6) - 1
STREAM_MASK = (1 << 10) - 1
TAG_MASK = (1 << 23) - 1

#: The built-in form: header word 0, then one handle.
FREE = 0

_pack_double = struct.Struct("<d").pack
_unpack_long = struct.Struct("<q").unpack
_pack_long = struct.Struct("<q").pack
_unpack_double = struct.Struct("<d").unpack


def header(form: int, device: int = 0, stream: int = 0, tag: int = 0) -> int:
    """A command's first word."""
    return form | device << DEVICE_SHIFT | stream << STREAM_SHIFT | tag << TAG_SHIFT


def real_bits(value: float) -> int:
    """The SLOT_REAL word of a double."""
    return int(_unpack_long(_pack_double(value))[0])


def real_of(word: int) -> float:
    """The double in a SLOT_REAL word."""
    return float(_unpack_double(_pack_long(word))[0])


def pack_words(items: list[Any]) -> tuple[bytes, list[bytes]]:
    """Pack a pending list into words and side-table values.

    Args:
        items: ints are words as they are; a float is the double of a SLOT_REAL; bytes are an encoded `cupool.v1.Value` and
            become an index into the side table. A command with its side-table entries is thus one `extend` of one tuple.

    Returns:
        (words, values): the `commands` bytes and the encoded `values` of a Batch.
    """
    try:
        return struct.pack(f"<{len(items)}q", *items), []
    except struct.error:
        pass
    values: list[bytes] = []
    words: list[int] = []
    append = words.append
    for item in items:
        kind = type(item)
        if kind is int:
            append(item)
        elif kind is float:
            append(_unpack_long(_pack_double(item))[0])
        elif kind is bytes:
            append(len(values))
            values.append(item)
        else:
            append(int(item))
    return struct.pack(f"<{len(words)}q", *words), values


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _delimited(tag: bytes, data: bytes) -> bytes:
    return tag + _varint(len(data)) + data


def encode_batch(
    seq: int, position: int, count: int, forms: list[bytes], commands: bytes, values: list[bytes], received: int
) -> bytes:
    """A serialised `cupool.v1.Batch`. `forms` and `values` are serialised messages."""
    parts = [b"\x08", _varint(seq), b"\x10", _varint(position), b"\x18", _varint(count)]
    if position == 0:
        del parts[2:4]
    parts.extend(_delimited(b"\x22", form) for form in forms)
    if commands:
        parts.append(_delimited(b"\x2a", commands))
    parts.extend(_delimited(b"\x32", value) for value in values)
    if received:
        parts += (b"\x38", _varint(received))
    return b"".join(parts)


def batch_frame(batch: bytes) -> bytes:
    """A serialised `cupool.v1.ClientFrame` holding a serialised Batch."""
    return _delimited(b"\x12", batch)


def put_chunk(transfer: int, offset: int, data: Any, total_bytes: int = 0, epoch: int = 0, after_seq: int = 0) -> bytes:
    """A serialised `cupool.v1.PutChunk`, `data` copied once. `data` is bytes or a memoryview of bytes."""
    head = b"\x08" + _varint(transfer)
    if total_bytes:
        head += b"\x10" + _varint(total_bytes)
    if offset:
        head += b"\x18" + _varint(offset)
    tail = b"\x28" + _varint(epoch) if epoch else b""
    if after_seq:
        tail += b"\x30" + _varint(after_seq)
    if not data:
        return head + tail
    return b"".join((head, b"\x22", _varint(len(data)), data, tail))


def get_chunk(offset: int, data: Any, total_bytes: int = 0) -> bytes:
    """A serialised `cupool.v1.GetChunk`, `data` copied once."""
    head = b"\x08" + _varint(offset) if offset else b""
    tail = b"\x18" + _varint(total_bytes) if total_bytes else b""
    return b"".join((head, b"\x12", _varint(len(data)), data, tail)) if data else head + tail


def read_chunk(frame: bytes) -> tuple[dict[int, int], memoryview]:
    """Parse a PutChunk or GetChunk without copying its bytes.

    Returns:
        (fields, data): the integer fields by number, and a view of the one `bytes` field (empty when absent).

    Raises:
        ProtocolError: truncated, or a field of a kind that no chunk has.
    """
    fields: dict[int, int] = {}
    data = memoryview(b"")
    at = 0
    while at < len(frame):
        key, at = _read_varint(frame, at)
        value, at = _read_varint(frame, at)
        if key & 7 == 0:
            fields[key >> 3] = value
        elif key & 7 == 2 and value <= len(frame) - at:
            data = memoryview(frame)[at : at + value]
            at += value
        else:
            raise ProtocolError(f"Chunk: field {key >> 3} of wire type {key & 7} is malformed or cut off.")
    return fields, data


def _read_varint(frame: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(frame):
            raise ProtocolError("Chunk: cut off.")
        byte = frame[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise ProtocolError("Chunk: a number of more than 64 bits.")


def read_words(batch: Any, limits: Limits) -> list[int]:
    """The words of a parsed Batch, after the checks that need no knowledge of forms.

    Raises:
        ProtocolError: not a multiple of 8 bytes, or more commands than the limit, or a count that cannot be.
    """
    data = batch.commands
    if len(data) % 8:
        raise ProtocolError(f"Batch {batch.seq}: commands are {len(data)} bytes, not a multiple of 8.")
    if batch.count > limits.batch_commands:
        raise ProtocolError(f"Batch {batch.seq}: {batch.count} commands, the limit is {limits.batch_commands}.")
    if batch.count * 2 > len(data) // 8 + batch.count and batch.count > len(data) // 8:
        raise ProtocolError(f"Batch {batch.seq}: {batch.count} commands cannot fit in {len(data) // 8} words.")
    return list(memoryview(data).cast("q"))
