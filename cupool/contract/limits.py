"""Bounds that both hellos state, and their defaults. Checked before anything is allocated."""

from __future__ import annotations

from typing import Any

from cupool.contract.records import Record, as_dict

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

#: Words of one command, at most. Longer lists of arrays go as one SLOT_VALUE.
MAX_WORDS = 4096


class Limits(Record):
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
        return cls(**{name: getattr(message, name) or stated for name, stated in as_dict(unstated).items()})

    def to_wire(self, kinds: Any = None) -> Any:
        """As a `cupool.v1.Limits`; `kinds` as in `values.py`."""
        if kinds is None:
            from cupool.v1 import session_pb2 as kinds
        return kinds.Limits(**as_dict(self))


#: What a side that states nothing can take.
DEFAULT_LIMITS = Limits()
#: What our sides state. A message of a Put or Get costs a hand-off between threads on either side, so few large ones are faster, until
#: their copies no longer fit the cache: 4 MiB is slower again. A value of half a MiB in a frame holds up what is behind it for 5 ms at
#: 100 MB/s, and is spared a call of its own, which takes a round trip more.
OUR_LIMITS = Limits(chunk_bytes=2 * MIB, inline_bytes=512 * KIB)

#: Channel arguments of both ends. A chunk in few HTTP/2 frames is put together in fewer steps; a stream may be sent this far ahead of
#: its reader from the start, where grpc would find out over several round trips.
BULK_OPTIONS = (("grpc.http2.max_frame_size", 4 * MIB), ("grpc.http2.lookahead_bytes", 8 * MIB))
