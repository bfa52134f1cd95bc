"""What comes on a stream before it means anything: frames, what one is recognised by, and how it is refused."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

from google.protobuf.message import DecodeError

from cupool.contract.limits import Limits
from cupool.v1 import session_pb2

from .hashes import HASH_BYTES


class Refused(Exception):
    """A stream or frame is refused. `status` is the name of a gRPC status."""

    def __init__(self, status: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Stream(Protocol):
    """One Attach stream, as the session sees it. Any thread may call these."""

    def send(self, frame: bytes) -> bool:
        """Send a serialised ServerFrame; False when the stream is over."""
        ...

    def close(self, status: str, sentence: str) -> None:
        """End the stream with a gRPC status; its reader gets no more frames."""


def fingerprint(data: bytes) -> bytes:
    """What a batch is recognised by when it comes again. The same in every process, so that it can move with the session."""
    return hashlib.blake2b(data, digest_size=HASH_BYTES).digest()


def parse_frame(data: bytes, limits: Limits) -> Any:
    """A `cupool.v1.ClientFrame`.

    Raises:
        Refused: too large, or not one.
    """
    if len(data) > limits.frame_bytes:
        raise Refused("RESOURCE_EXHAUSTED", f"A frame of {len(data)} bytes; the limit is {limits.frame_bytes}.")
    try:
        return session_pb2.ClientFrame.FromString(data)
    except (DecodeError, RecursionError):
        raise Refused("INVALID_ARGUMENT", "A frame that is not a ClientFrame.") from None
