"""Hashes of a session's last batches, by which one that comes again is compared.

A session of a day executes millions of batches. The hashes of those that its client is known to have been told of are forgotten but for a
few; what is kept lies in one piece of memory, 16 bytes each.

Boundary: numbers and bytes; what they are hashes of is `session.py`'s.
"""

from __future__ import annotations

#: Of one hash.
HASH_BYTES = 16
#: Kept also of batches that the client has been told of.
KEPT_ANYWAY = 1024
_FIRST_ROOM = 4096


class Hashes:
    """Those of consecutive batches, up to the last one that was added."""

    def __init__(self, most: int) -> None:
        """`most`: how many are kept at most, the oldest go."""
        self._most = most
        self._room = min(most, _FIRST_ROOM)
        self._ring = bytearray()
        self._first, self._end = 1, 1

    def __len__(self) -> int:
        return self._end - self._first

    @property
    def first(self) -> int:
        """The sequence number of the oldest that is kept; 0: none is."""
        return self._first if self else 0

    def add(self, seq: int, digest: bytes | memoryview) -> None:
        """Keep one. Where `seq` does not follow the last one, those before it go."""
        if seq != self._end:
            self._first = self._end = seq
        if len(self) == self._room or not self._ring:
            self._make_room()
        at = seq % self._room * HASH_BYTES
        self._ring[at : at + HASH_BYTES] = digest
        self._end = seq + 1

    def _make_room(self) -> None:
        if not self._ring:
            self._ring = bytearray(self._room * HASH_BYTES)
        elif self._room == self._most:
            self._first += 1
        else:
            first, kept = self._first, self.joined()
            self._room = min(self._most, 4 * self._room)
            self._ring = bytearray(self._room * HASH_BYTES)
            self._first = self._end = first
            self.restore(first, kept)

    def get(self, seq: int) -> bytes | None:
        """The hash of that batch; None: it is not kept."""
        if not self._first <= seq < self._end:
            return None
        at = seq % self._room * HASH_BYTES
        return bytes(self._ring[at : at + HASH_BYTES])

    def told(self, seq: int) -> None:
        """The client knows that the batches up to this one have been executed, and sends none of them again."""
        self._first = max(self._first, min(seq + 1, self._end - KEPT_ANYWAY))

    def joined(self) -> bytes:
        """All, the oldest first."""
        if not self:
            return b""
        at, end = self._first % self._room * HASH_BYTES, self._end % self._room * HASH_BYTES
        return bytes(self._ring[at:end]) if at < end else bytes(self._ring[at:]) + bytes(self._ring[:end])

    def restore(self, first: int, joined: bytes) -> None:
        """What `joined` gave, the first of which is of batch `first`."""
        view, count = memoryview(joined), len(joined) // HASH_BYTES
        for k in range(max(0, count - self._most), count):
            self.add(first + k, view[k * HASH_BYTES : (k + 1) * HASH_BYTES])
