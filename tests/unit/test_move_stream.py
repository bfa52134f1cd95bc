"""How a move's bytes are packed: whatever the sizes, every byte arrives once and where it belongs; what is malformed is refused."""

from __future__ import annotations

import random

import numpy as np
import pytest
from cupool.apiserver.moving import stream

from cupool.contract.errors import ProtocolError


def _random_parts(rng: random.Random) -> list[stream.Part]:
    source = np.random.default_rng(rng.randrange(1 << 30))
    sizes = [rng.choice((0, 1, 7, 4095, 4096, 100_000, rng.randrange(1, 3000))) for _ in range(rng.randrange(1, 60))]
    return [(k + 1, 3 * k, source.integers(0, 256, size, np.uint8)) for k, size in enumerate(sizes)]


@pytest.mark.parametrize("room", [8192, 65_536, 1 << 20])
def test_every_byte_arrives_once(room: int) -> None:
    for seed in range(20):
        parts = _random_parts(random.Random(seed))
        slot = np.empty(room, np.uint8)
        for way in ("slot", "frame"):
            got = {buffer: np.zeros(offset + len(data), np.uint8) for buffer, offset, data in parts}
            arrived = 0
            for chunk in stream.chunks(parts, room):
                if way == "slot":
                    length = stream.fill(slot, chunk)
                    assert length <= room
                    found = list(stream.parts(len(chunk), slot[:length]))
                else:
                    frame = stream.frame(chunk)
                    assert stream.has_bytes(frame)
                    found = list(stream.parts_of_frame(frame))
                for buffer, offset, data in found:
                    got[buffer][offset : offset + len(data)] = data
                    arrived += len(data)
            assert arrived == sum(len(data) for _, _, data in parts)
            for buffer, offset, data in parts:
                assert np.array_equal(got[buffer][offset:], data)


def test_what_is_malformed_is_refused() -> None:
    data = np.arange(100, dtype=np.uint8)
    frame = stream.frame([(1, 0, data), (2, 8, data)])
    assert [b for b, _, _ in stream.parts_of_frame(frame)] == [1, 2]
    for cut in range(1, len(frame) - 1, 7):
        with pytest.raises(ProtocolError):
            list(stream.parts_of_frame(frame[:cut]))
    slot = np.zeros(256, np.uint8)
    length = stream.fill(slot, [(1, 0, data)])
    for count in (0, 1 << 40):
        with pytest.raises(ProtocolError):
            list(stream.parts(count, slot[:length]))
    for wrong in (length - 1, length + 1):
        with pytest.raises(ProtocolError):
            list(stream.parts(1, slot[:wrong]))
