"""Bounds that both hellos state, and their defaults. Checked before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

#: Words of one command, at most. Longer lists of arrays go as one SLOT_VALUE.
MAX_WORDS = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """What one side can take. Same names as `cupool.v1.Limits`."""

    frame_bytes: int = 4 * MIB
    batch_commands: int = 65_536
    inflight_bytes: int = 64 * MIB
    inflight_commands: int = 100_000
    forms: int = 262_144
    inline_bytes: int = 64 * KIB
    chunk_bytes: int = MIB
    handles: int = 10_000_000

    @classmethod
    def from_wire(cls, message: Any, unstated: Limits | None = None) -> Limits:
        """From a `cupool.v1.Limits`; a zero field means the default, or what `unstated` has."""
        unstated = unstated or DEFAULT_LIMITS
        return cls(**{f.name: getattr(message, f.name) or getattr(unstated, f.name) for f in fields(cls)})

    def to_wire(self) -> Any:
        from cupool.v1 import session_pb2

        return session_pb2.Limits(**{f.name: getattr(self, f.name) for f in fields(self)})


#: What a side that states nothing can take.
DEFAULT_LIMITS = Limits()
#: What our sides state. A message of a Put or Get costs a hand-off between threads on either side, so few large ones are faster, until
#: their copies no longer fit the cache: 4 MiB is slower again. A value of half a MiB in a frame holds up what is behind it for 5 ms at
#: 100 MB/s, and is spared a call of its own, which takes a round trip more.
OUR_LIMITS = Limits(chunk_bytes=2 * MIB, inline_bytes=512 * KIB)

#: Channel arguments of both ends. A chunk in few HTTP/2 frames is put together in fewer steps; a stream may be sent this far ahead of
#: its reader from the start, where grpc would find out over several round trips.
BULK_OPTIONS = (("grpc.http2.max_frame_size", 4 * MIB), ("grpc.http2.lookahead_bytes", 8 * MIB))
