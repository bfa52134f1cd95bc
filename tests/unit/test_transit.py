"""Bulk bytes in transit: packed chunks come out as they were, a bomb is refused by what it says; float32 as 16 bits keeps its bounds."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from cupool.shim import transit

from cupool.contract import codec
from cupool.contract.compressions import COMPRESSIONS
from cupool.contract.deflate import Packer, unpacked
from cupool.contract.errors import ProtocolError
from cupool.contract.versions import FEATURES
from cupool.v1 import session_pb2


@pytest.mark.parametrize("size", [1, 100, 65_536, 1 << 20])
def test_a_packed_chunk_comes_out_as_it_was(size: int) -> None:
    data = (np.arange(size) // 7 % 251).astype(np.uint8).tobytes() if size > 1 else b"x"
    packed = zlib.compress(data, 1)
    assert unpacked(packed, size, size) == data
    assert unpacked(memoryview(packed), size, 4 * size) == data


def test_what_does_not_become_smaller_is_sent_as_it_is_and_tried_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0).integers(0, 256, 1 << 16, np.uint8).tobytes()
    tries = []
    compress = zlib.compress
    monkeypatch.setattr(zlib, "compress", lambda data, level: tries.append(1) or compress(data, level))
    packer = Packer()
    assert all(packer.pack(random) is None for _ in range(100))
    assert len(tries) < 12
    packed = next(p for p in (packer.pack(bytes(1 << 16)) for _ in range(20)) if p is not None)
    assert unpacked(packed, 1 << 16, 1 << 16) == bytes(1 << 16)
    assert packer.pack(bytes(1 << 16)) is not None  # at once again


@pytest.mark.parametrize(
    ("data", "says", "most", "why"),
    [
        (zlib.compress(bytes(1 << 24)), 1 << 24, 1 << 21, "are the most"),
        (zlib.compress(bytes(1 << 24)), 1 << 20, 1 << 21, "has more of them"),
        (zlib.compress(bytes(100)), 101, 1000, "says 101"),
        (zlib.compress(bytes(100)), 99, 1000, "has more of them"),
        (zlib.compress(bytes(100)), 0, 1000, "are the most"),
        (zlib.compress(bytes(100))[:-1], 100, 1000, "100"),
        (zlib.compress(bytes(100)) + b"more", 100, 1000, "says 100"),
        (b"not zlib at all", 100, 1000, "damaged"),
        (b"", 100, 1000, "cut off"),
    ],
)
def test_a_bomb_or_damage_is_refused(data: bytes, says: int, most: int, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        unpacked(data, says, most)


def test_the_bytes_of_packed_chunks() -> None:
    put = codec.put_chunk(5, 300, b"abc", total_bytes=1000, epoch=2, after_seq=7, unpacked_bytes=400)
    assert put.hex() == "080510e80718ac02220361626328023007389003"
    message = session_pb2.PutChunk(
        transfer=5, offset=300, data=b"abc", total_bytes=1000, epoch=2, after_seq=7, unpacked_bytes=400
    )
    assert session_pb2.PutChunk.FromString(put) == message
    get = codec.get_chunk(300, b"abc", 1000, 400)
    assert get.hex() == "08ac02120361626318e807209003"
    assert session_pb2.GetChunk.FromString(get) == session_pb2.GetChunk(
        offset=300, data=b"abc", total_bytes=1000, unpacked_bytes=400
    )
    assert session_pb2.GetRequest(transfer=5, compression="zlib").SerializeToString().hex() == "080522047a6c6962"
    assert set(COMPRESSIONS) <= set(FEATURES)


def _floats() -> np.ndarray:  # type: ignore[type-arg]
    rng = np.random.default_rng(3)
    exponents = rng.integers(-60, 16, 200_000)
    values = np.ldexp(rng.uniform(-2, 2, exponents.shape), exponents).astype(np.float32)
    return np.clip(values, -65504, 65504)


@pytest.mark.parametrize(
    ("float32_as", "relative", "absolute"), [("float16", 2.0**-11, 2.0**-25), ("bfloat16", 2.0**-8, 2.0**-134)]
)
def test_rounding_keeps_its_bound(float32_as: str, relative: float, absolute: float) -> None:
    values = _floats()
    half = transit.rounded(values, float32_as)
    assert half is not None
    assert half.itemsize == 2
    back = transit.whole(half)
    assert back is not None
    assert back.dtype == np.float32
    error = np.abs(back.astype(np.float64) - values)
    assert (error <= np.maximum(relative * np.abs(values.astype(np.float64)), absolute)).all()
    assert error.max() > 0


def test_bfloat16_rounds_to_nearest_and_ties_to_even() -> None:
    bits = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x7F800001, 0xFFFFFFFF], np.uint32)
    half = transit.rounded(bits.view(np.float32), "bfloat16")
    assert half is not None
    assert [hex(h) for h in half] == ["0x3f80", "0x3f82", "0x3f81", "0x3f80", "0x7fc0", "0x7fc0"]


@pytest.mark.parametrize("float32_as", ["float16", "bfloat16"])
def test_nothing_becomes_an_infinity(float32_as: str) -> None:
    large = np.array([1.0, np.finfo(np.float32).max], np.float32)
    assert transit.rounded(large, float32_as) is None
    special = np.array([np.nan, 0.0, -0.0, 1.5], np.float32)
    half = transit.rounded(special, float32_as)
    assert half is not None
    back = transit.whole(half)
    assert back is not None
    assert np.isnan(back[0])
    assert back[1:].tobytes() == special[1:].tobytes()
    infinite = transit.rounded(np.array([np.inf, -np.inf], np.float32), float32_as)
    assert infinite is not None  # it was one before
    assert transit.whole(infinite) is None  # whoever fetches cannot know, and fetches the whole


def test_a_word_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="float32_as='float8'"), transit.transit(float32_as="float8"):
        pass
    with pytest.raises(ValueError, match="compression='brotli'"), transit.transit(compression="brotli"):
        pass


def test_blocks_nest() -> None:
    assert transit.wishes() == transit.Transit("", "")
    with transit.transit(float32_as="float16"):
        with transit.transit(compression="zlib"):
            assert transit.wishes() == transit.Transit("zlib", "float16")
        assert transit.wishes() == transit.Transit("", "float16")
    assert transit.wishes() == transit.Transit("", "")
