"""Messages on a pipe, one after the other: each behind its length, a varint, as protobuf's delimited streams have it.

Boundary: bytes. Who writes and reads them, and what they mean, is `server.proto`'s.
"""

from __future__ import annotations

import os

from .errors import ProtocolError

#: What one message may have at most, in bytes: orders and reports are small, and a broken length must not make a reader wait for ever.
LARGEST_BYTES = 1 << 20


def delimited(message: bytes) -> bytes:
    """A serialised message behind its length."""
    size, head = len(message), bytearray()
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + message


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data` to a blocking descriptor. Raises OSError: BrokenPipeError when the other side is gone."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class Unpacker:
    """Takes bytes as they come, gives whole messages."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes.

        Raises:
            ProtocolError: a message longer than LARGEST_BYTES is announced, or no length can be read.
        """
        self._data += data
        found: list[bytes] = []
        at = 0
        while (head := self._length(at)) is not None:
            start, size = head
            if start + size > len(self._data):
                break
            found.append(bytes(self._data[start : start + size]))
            at = start + size
        del self._data[:at]
        return found

    def _length(self, at: int) -> tuple[int, int] | None:
        """Where the message behind the length at `at` begins, and its size; None when the length is not all there."""
        size = shift = 0
        for i in range(at, len(self._data)):
            byte = self._data[i]
            size |= (byte & 0x7F) << shift
            shift += 7
            if size > LARGEST_BYTES or shift > 28:
                raise ProtocolError(
                    f"A message of more than {LARGEST_BYTES} bytes on a pipe: it carries something else."
                )
            if byte < 0x80:
                return i + 1, size
        return None
