"""A checkpoint in one piece: index, then the bytes of all buffers. What a client keeps, and what `cupool session save` writes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from cupool.contract.blocks import MappedBlocks
from cupool.v1 import checkpoint_pb2

from .layout import PART_BYTES, VERSION, VERSION_NAME, hash_of, sealed

#: What a checkpoint needs for a moment, some MiB once in a while: within the heap each would leave a hole.
_blocks = MappedBlocks(0)


def copied(memory: Any) -> Any:
    """A copy of a uint8 array."""
    copy = _blocks.take(memory.nbytes)
    copy[...] = memory
    return copy


def packed(
    session: str, checkpoint: int, document: bytes, buffers: Iterable[tuple[int, int, int, Any]], executed_seq: int,
    ordinal: int, info: Any,
) -> memoryview:  # fmt: skip
    """The bytes of a checkpoint.

    Args:
        buffers: (id, size, arena address, uint8 array) of each.
        info: the device's `DeviceInfo`.
    """
    index = checkpoint_pb2.CheckpointIndex(
        version=VERSION, version_name=VERSION_NAME, session=session, checkpoint=checkpoint, document=document,
        part_bytes=PART_BYTES, executed_seq=executed_seq, ordinal=ordinal, kind=info.kind, fingerprint=info.fingerprint,
        written=time.time(),
    )  # fmt: skip
    pieces: list[Any] = []
    hashes: list[bytes] = []
    at = 0
    for buffer, nbytes, address, data in buffers:
        index.buffer.append(buffer)
        index.nbytes.append(nbytes)
        index.address.append(address)
        for start in range(0, nbytes, PART_BYTES):
            part = data[start : start + PART_BYTES]
            index.file.append(0)
            index.offset.append(at)
            hashes.append(hash_of(part))
            pieces.append(part.data)
            at += len(part)
    index.hash = b"".join(hashes)
    pieces.insert(0, sealed(index))
    whole, start = _blocks.take(sum(map(len, pieces))), 0
    for piece in pieces:
        whole[start : start + len(piece)] = np.frombuffer(piece, np.uint8)
        start += len(piece)
    return whole.data
