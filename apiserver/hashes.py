"""Hashes of a session's last batches, by which one that comes again is compared.

A session of a day executes millions of batches, and keeps 100,000 hashes: in one piece of memory 16 bytes each, in a dict two hundred.

Boundary: numbers and bytes; what they are hashes of is `session.py`'s.
"""

from __future__ import annotations

#: Of one hash.
HASH_BYTES = 16


class Hashes:
    """Those of consecutive batches, up to the last one that was added."""

    def __init__(self, most: int) -> None:
        """`most`: how many are kept."""
        self._most = most
        self._ring = bytearray()
        self._first, self._end = 1, 1

    def __len__(self) -> int:
        return self._end - self._first

    @property
    def first(self) -> int:
        """The sequence number of the oldest that is kept; 0: none is."""
        return self._first if self else 0

    def add(self, seq: int, digest: bytes) -> None:
        """Keep one, the oldest goes. Where `seq` does not follow the last one, those before it go, too."""
        if seq != self._end or not self._ring:
            if not self._ring:
                self._ring = bytearray(self._most * HASH_BYTES)  # pages that were never written take no memory
            if seq != self._end:
                self._first = seq
        at = seq % self._most * HASH_BYTES
        self._ring[at : at + HASH_BYTES] = digest
        self._end = seq + 1
        if self._end - self._first > self._most:
            self._first += 1

    def get(self, seq: int) -> bytes | None:
        """The hash of that batch; None: it is not kept."""
        if not self._first <= seq < self._end:
            return None
        at = seq % self._most * HASH_BYTES
        return bytes(self._ring[at : at + HASH_BYTES])

    def joined(self) -> bytes:
        """All, the oldest first."""
        if not self:
            return b""
        at, end = self._first % self._most * HASH_BYTES, self._end % self._most * HASH_BYTES
        return bytes(self._ring[at:end]) if at < end else bytes(self._ring[at:]) + bytes(self._ring[:end])

    def restore(self, first: int, joined: bytes) -> None:
        """What `joined` gave, the first of which is of batch `first`."""
        view, count = memoryview(joined), len(joined) // HASH_BYTES
        for k in range(max(0, count - self._most), count):
            self.add(first + k, view[k * HASH_BYTES : (k + 1) * HASH_BYTES])
