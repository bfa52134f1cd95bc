"""The bytes of a checkpoint: an index that is checked by a hash, and parts of buffers that each are. See checkpoint.proto.

Boundary: bytes and messages; no sessions, no threads. Whatever is read is taken for a stranger's.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from cupool.v1 import checkpoint_pb2

#: Version of the index, and what it is called. One that is newer is refused.
VERSION, VERSION_NAME = 1, "parts"
MAGIC = b"CUPOOLCK"
PART_BYTES = 1 << 20
HASH_BYTES = 16
#: An index larger than this is none.
MAX_INDEX_BYTES = 1 << 30
_HEAD = struct.Struct("<8sQ")
_SEAL_BYTES = 32


class CheckpointError(Exception):
    """A checkpoint cannot be written or read. The text is one sentence."""


def hash_of(data: Any) -> bytes:
    """Of one part."""
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def parts_of(nbytes: int, part_bytes: int = PART_BYTES) -> int:
    """How many parts a buffer has."""
    return -(-nbytes // part_bytes)


def sealed(index: Any) -> bytes:
    """A `CheckpointIndex` as it lies in a file."""
    data: bytes = index.SerializeToString()
    return _HEAD.pack(MAGIC, len(data)) + data + hashlib.blake2b(data, digest_size=_SEAL_BYTES).digest()


def head_bytes(start: bytes) -> int:
    """How many bytes index and seal take, by a file's first 16. Raises CheckpointError."""
    if len(start) < _HEAD.size or start[:8] != MAGIC:
        raise CheckpointError("It is no checkpoint of cupool, or its beginning is damaged.")
    length = _HEAD.unpack(start[: _HEAD.size])[1]
    if length > MAX_INDEX_BYTES:
        raise CheckpointError("The checkpoint's beginning is damaged.")
    return int(_HEAD.size + length + _SEAL_BYTES)


def opened(data: bytes) -> Any:
    """The `CheckpointIndex` of what `sealed` gave, checked.

    Raises:
        CheckpointError: truncated, damaged, of a newer version, or inconsistent.
    """
    if len(data) < head_bytes(data[: _HEAD.size]):
        raise CheckpointError("The checkpoint is truncated.")
    body, seal = data[_HEAD.size : -_SEAL_BYTES], data[-_SEAL_BYTES:]
    if hashlib.blake2b(body, digest_size=_SEAL_BYTES).digest() != seal:
        raise CheckpointError("The checkpoint is damaged: its index does not have its hash.")
    try:
        index = checkpoint_pb2.CheckpointIndex.FromString(body)
    except DecodeError:
        raise CheckpointError("The checkpoint is damaged: its index cannot be read.") from None
    if index.version > VERSION:
        raise CheckpointError(
            f"The checkpoint is of version {index.version} ({index.version_name[:40]!r}), and this server reads up to {VERSION} "
            f"({VERSION_NAME!r}). Restore it with a newer cupool."
        )
    sizes, part = index.nbytes, index.part_bytes
    if not part or not len(index.buffer) == len(sizes) == len(index.address):
        raise CheckpointError("The checkpoint's index is inconsistent.")
    count = sum(parts_of(n, part) for n in sizes)
    if not count == len(index.file) == len(index.offset) or len(index.hash) != count * HASH_BYTES:
        raise CheckpointError("The checkpoint's index is inconsistent.")
    return index


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of one buffer, and where its bytes are."""

    buffer: int
    start: int
    nbytes: int
    file: int
    offset: int
    hash: bytes


def parts(index: Any) -> Iterator[Part]:
    """Of an index, in its order."""
    k, size = 0, index.part_bytes
    for buffer, nbytes in zip(index.buffer, index.nbytes, strict=True):
        for start in range(0, nbytes, size):
            seal = index.hash[k * HASH_BYTES : (k + 1) * HASH_BYTES]
            yield Part(buffer, start, min(size, nbytes - start), index.file[k], index.offset[k], seal)
            k += 1
