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


_ONE = [bytes((n,)) for n in range(128)]


def varint(value: int) -> bytes:
    """A number as protobuf has it on the wire; `value` is not negative."""
    if value < 0x80:
        return _ONE[value]
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if value < 0x200000:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    if value < 0x10000000:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14 & 0x7F | 0x80, value >> 21))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _delimited(tag: bytes, data: bytes) -> bytes:
    return tag + varint(len(data)) + data


def encode_batch(
    seq: int, position: int, count: int, forms: list[bytes], commands: bytes, values: list[bytes], received: int,
    loops: list[bytes] | tuple[()] = (),
) -> bytes:  # fmt: skip
    """A serialised `cupool.v1.Batch`. `forms`, `values` and `loops` are serialised messages."""
    parts = [b"\x08", varint(seq), b"\x10", varint(position), b"\x18", varint(count)]
    if position == 0:
        del parts[2:4]
    for form in forms:
        parts += (b"\x22", varint(len(form)), form)
    if commands:
        parts += (b"\x2a", varint(len(commands)), commands)
    for value in values:
        parts += (b"\x32", varint(len(value)), value)
    if received:
        parts += (b"\x38", varint(received))
    for loop in loops:
        parts += (b"\x42", varint(len(loop)), loop)
    return b"".join(parts)


def batch_frame(batch: bytes) -> bytes:
    """A serialised `cupool.v1.ClientFrame` holding a serialised Batch."""
    return _delimited(b"\x12", batch)


def plain_batch_frame(seq: int, position: int, count: int, commands: bytes, received: int) -> bytes:
    """As `batch_frame(encode_batch(…))` for a batch without forms and values: most are."""
    batch = b"".join((
        b"\x08", varint(seq), b"\x10", varint(position), b"\x18", varint(count), b"\x2a", varint(len(commands)), commands,
        b"\x38", varint(received),
    ))  # fmt: skip
    return b"".join((b"\x12", varint(len(batch)), batch))


def put_chunk(
    transfer: int,
    offset: int,
    data: Any,
    total_bytes: int = 0,
    epoch: int = 0,
    after_seq: int = 0,
    unpacked_bytes: int = 0,
) -> bytes:
    """A serialised `cupool.v1.PutChunk`, `data` copied once. `data` is bytes or a memoryview of bytes."""
    head = b"\x08" + varint(transfer)
    if total_bytes:
        head += b"\x10" + varint(total_bytes)
    if offset:
        head += b"\x18" + varint(offset)
    tail = b"\x28" + varint(epoch) if epoch else b""
    if after_seq:
        tail += b"\x30" + varint(after_seq)
    if unpacked_bytes:
        tail += b"\x38" + varint(unpacked_bytes)
    if not data:
        return head + tail
    return b"".join((head, b"\x22", varint(len(data)), data, tail))


def get_chunk(offset: int, data: Any, total_bytes: int = 0, unpacked_bytes: int = 0) -> bytes:
    """A serialised `cupool.v1.GetChunk`, `data` copied once."""
    head = b"\x08" + varint(offset) if offset else b""
    tail = b"\x18" + varint(total_bytes) if total_bytes else b""
    if unpacked_bytes:
        tail += b"\x20" + varint(unpacked_bytes)
    return b"".join((head, b"\x12", varint(len(data)), data, tail)) if data else head + tail


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


def result_of_array(reply_id: int, array: Any) -> bytes:
    """A serialised `cupool.v1.Result` whose value is a host array, its bytes copied once.

    Args:
        reply_id: of the reply.
        array: a numpy.ndarray of a dtype that travels, in any layout.

    Raises:
        ValueError: a dtype that does not travel.
    """
    dtype = array.dtype
    known = _array_heads.get((dtype, array.shape))
    if known is None:
        from cupool.contract.values import dtype_to_wire
        from cupool.v1 import value_pb2

        known = value_pb2.ArrayValue(dtype=dtype_to_wire(dtype), shape=array.shape).SerializeToString()
        if len(_array_heads) >= MAX_HEADS:
            _array_heads.clear()
        _array_heads[dtype, array.shape] = known
    data = array.tobytes()
    if data:
        known = b"".join((known, b"\x1a", varint(len(data)), data))
    value = b"".join((b"\x4a", varint(len(known)), known))
    return b"".join((b"\x08", varint(reply_id), b"\x12", varint(len(value)), value))


def bundle_frame(frames: list[bytes]) -> bytes:
    """A serialised `cupool.v1.ClientFrame` of serialised ones."""
    parts = [part for frame in frames for part in (b"\x0a", varint(len(frame)), frame)]
    return b"".join((b"\x3a", varint(sum(map(len, parts))), *parts))


def server_frame(ordinal: int, executed_seq: int, results: list[bytes], failures: list[bytes]) -> bytes:
    """A serialised `cupool.v1.ServerFrame` of serialised Results and Failures."""
    parts = [b"\x08", varint(ordinal), b"\x10", varint(executed_seq)]
    for result in results:
        parts += (b"\x1a", varint(len(result)), result)
    for failure in failures:
        parts += (b"\x22", varint(len(failure)), failure)
    return b"".join(parts)


#: (dtype, shape) -> a serialised ArrayValue without its data.
_array_heads: dict[Any, bytes] = {}
MAX_HEADS = 4096


def read_words(batch: Any, limits: Limits) -> list[int]:
    """The words of a parsed Batch, after the checks that need no knowledge of forms.

    Raises:
        ProtocolError: not a multiple of 8 bytes, or more commands than the limit, or a count that cannot be.
    """
    return list(memoryview(command_bytes(batch, limits)).cast("q"))


def command_bytes(batch: Any, limits: Limits) -> bytes:
    """As `read_words`, but the bytes that hold them, loops not written out (see `loops.parts`)."""
    data: bytes = batch.commands
    count = batch.count
    if len(data) % 8:
        raise ProtocolError(f"Batch {batch.seq}: commands are {len(data)} bytes, not a multiple of 8.")
    if count > limits.batch_commands:
        raise ProtocolError(f"Batch {batch.seq}: {count} commands, the limit is {limits.batch_commands}.")
    if count > len(data) // 8 and not batch.loops:
        raise ProtocolError(f"Batch {batch.seq}: {count} commands cannot fit in {len(data) // 8} words.")
    return data
