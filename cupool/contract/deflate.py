"""Bulk bytes packed on their way, where both ends agreed on it: each chunk for itself, so that a transfer resumes at any of them.

What a chunk says that it unpacks to is checked before anything is allocated, and no more than that is ever unpacked.
"""

from __future__ import annotations

import zlib
from typing import Any

from .errors import ProtocolError

#: The fastest level: a link that is faster than this packs needs no packing.
_LEVEL = 1
#: A chunk travels as it is unless it becomes so much smaller, bytes in each byte.
_WORTH = 7 / 8
#: After chunks that did not become smaller, so many are not tried, at most.
_MOST_PASSED = 16


class Packer:
    """Packs the chunks of one transfer. What does not become smaller is passed on, and then tried less and less often."""

    def __init__(self) -> None:
        self._pass = self._passed = 0

    def pack(self, data: Any) -> bytes | None:
        """The packed bytes of a chunk; None: send it as it is."""
        if self._passed < self._pass:
            self._passed += 1
            return None
        packed = zlib.compress(data, _LEVEL)
        if len(packed) <= len(data) * _WORTH:
            self._pass = self._passed = 0
            return packed
        self._passed, self._pass = 0, min(2 * self._pass + 1, _MOST_PASSED)
        return None


def unpacked(data: Any, nbytes: int, most: int) -> bytes:
    """The bytes of a packed chunk.

    Args:
        nbytes: how many there are, as the chunk says.
        most: how many it may have.

    Raises:
        ProtocolError: it says more than `most`, or has more or fewer than it says, or is damaged.
    """
    if not 0 < nbytes <= most:
        raise ProtocolError(f"A packed chunk says that it has {nbytes} bytes; {most} are the most.")
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(data, nbytes)
        # At the exact size the end may not have been read yet; one byte more would show that there is more than was said.
        if not inflater.eof and (len(found) != nbytes or inflater.decompress(inflater.unconsumed_tail, 1)):
            raise ProtocolError(f"A packed chunk of {nbytes} bytes has more of them, or is cut off.")
    except zlib.error as error:
        raise ProtocolError(f"A packed chunk is damaged: {error}.") from None
    if len(found) != nbytes or not inflater.eof or inflater.unused_data:
        raise ProtocolError(f"A packed chunk has {len(found)} bytes and says {nbytes}.")
    return found
