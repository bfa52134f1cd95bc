"""A call on HTTP/2 as bytes: what is sent within the server's windows, what is read however it is cut, and what is refused."""

from __future__ import annotations

import random
import struct

import pytest
from cupool.shim import http2
from cupool.shim.http2 import MAX_FRAME, WINDOW, Call, Unread, frame, header_block, header_fields

HEADERS, DATA, RST, SETTINGS, PUSH, PING, GOAWAY, UPDATE, CONTINUATION = 1, 0, 3, 4, 5, 6, 7, 8, 9
#: `:status 200` and `content-type` by the static table, as servers write them.
ANSWER = bytes((0x88, 0x5F, 16)) + b"application/grpc"


def taken(call: Call) -> bytes:
    return b"".join(call.take())


def made() -> Call:
    call = Call("http", "host", "/s/M", (("authorization", "Bearer t"),), 1 << 20)
    taken(call)
    return call


def message(data: bytes) -> bytes:
    return struct.pack(">BI", 0, len(data)) + data


def trailers(*fields: tuple[str, str]) -> bytes:
    return frame(HEADERS, 5, 1, header_block([("grpc-status", "0"), *fields]))


def frames_of(data: bytes) -> list[tuple[int, int, int, bytes]]:
    found = []
    while data:
        size = int.from_bytes(data[:3])
        found.append((data[3], data[4], int.from_bytes(data[5:9]), data[9 : 9 + size]))
        data = data[9 + size :]
    return found


def test_what_opens_a_call() -> None:
    call = Call("https", "host", "/s/M", (("authorization", "Bearer t"),), 1 << 20, timeout_s=1.5)
    data = taken(call)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    assert data.startswith(preface)
    settings, update, headers = frames_of(data[len(preface) :])
    assert settings[0] == SETTINGS and update == (UPDATE, 0, 0, struct.pack(">I", WINDOW - 65_535))
    assert headers[:3] == (HEADERS, 4, 1)
    assert dict(header_fields(headers[3])) == {
        ":method": "POST", ":scheme": "https", ":path": "/s/M", ":authority": "host", "te": "trailers", "user-agent": "cupool",
        "content-type": "application/grpc", "grpc-timeout": "1500m", "authorization": "Bearer t",
    }  # fmt: skip
    assert not call.is_ready and not taken(call)


def test_an_answer_is_read_however_it_is_cut() -> None:
    said = b"".join(
        (
            frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 20)),
            frame(HEADERS, 0, 1, ANSWER[:2]),
            frame(CONTINUATION, 4, 1, ANSWER[2:]),
            frame(DATA, 8, 1, b"\3" + message(b"one")[:6] + bytes(3)),
            frame(99, 255, 7, b"unknown"),
            frame(DATA, 0, 1, message(b"one")[6:] + message(b"") + message(b"three")),
            frame(PING, 0, 0, b"01234567"),
            frame(
                HEADERS, 5, 1, header_block([("grpc-status", "5"), ("grpc-message", "no %E2%82%AC %zz"), ("a", "b")])
            ),
        )
    )
    for seed in range(200):
        call, messages, at = made(), [], 0
        dice = random.Random(seed)
        while at < len(said):
            size = dice.choice((1, 2, 9, 30, len(said)))
            messages += call.feed(said[at : at + size])
            at += size
        assert messages == [b"one", b"", b"three"]
        assert call.end is not None and call.end[:2] == ("NOT_FOUND", "no € %zz") and call.end[2]["a"] == "b"
        assert frames_of(taken(call)) == [(SETTINGS, 1, 0, b""), (PING, 1, 0, b"01234567")]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (frame(HEADERS, 4, 1, ANSWER) + trailers(), "OK"),
        (trailers(), "OK"),
        (frame(HEADERS, 5, 1, header_block([(":status", "503")])), "UNAVAILABLE"),
        (frame(HEADERS, 4, 1, header_block([(":status", "404")])), "UNIMPLEMENTED"),
        (frame(HEADERS, 4, 1, header_block([(":status", "103")])) + trailers(), "OK"),
        (frame(HEADERS, 5, 1, header_block([(":status", "200")])), "UNKNOWN"),
        (frame(HEADERS, 5, 1, header_block([("grpc-status", "77")])), "UNKNOWN"),
        (frame(RST, 0, 1, struct.pack(">I", 8)), "CANCELLED"),
        (frame(RST, 0, 1, struct.pack(">I", 7)), "UNAVAILABLE"),
        (frame(RST, 0, 1, struct.pack(">I", 2)), "INTERNAL"),
        (frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0)), "UNAVAILABLE"),
        (frame(GOAWAY, 0, 0, struct.pack(">II", 1, 0)) + trailers(), "OK"),
        (frame(HEADERS, 4, 1, ANSWER) + frame(DATA, 1, 1, message(b"x")), "INTERNAL"),
    ],
)
def test_how_a_call_ends(said: bytes, status: str) -> None:
    call = made()
    call.feed(said)
    assert call.end is not None and call.end[0] == status


@pytest.mark.parametrize(
    "said",
    [
        (MAX_FRAME + 1).to_bytes(3) + bytes(6),
        frame(PUSH, 4, 1, bytes(8)),
        frame(HEADERS, 4, 3, ANSWER),
        frame(HEADERS, 0, 1, ANSWER) + frame(DATA, 0, 1, b""),
        frame(CONTINUATION, 4, 1, ANSWER),
        frame(HEADERS, 4, 1, b"\xbe"),  # of a dynamic table
        frame(HEADERS, 4, 1, b"\x00\x81\xff\x01a"),  # in Huffman's code
        frame(HEADERS, 4, 1, b"\x00\x05ab"),
        frame(HEADERS, 4, 1, b"\x00\x7f\xff\xff\xff\xff\xff\x7f"),
        frame(HEADERS, 4, 1, ANSWER) + frame(DATA, 0, 1, b"\1\0\0\0\0"),  # compressed
        frame(DATA, 0, 1, struct.pack(">BI", 0, (1 << 20) + 1)),
        frame(DATA, 8, 1, b"\7abc"),
        frame(DATA, 8, 1),
        frame(PING, 0, 0, b"short"),
        frame(UPDATE, 0, 0, b"\0"),
        frame(SETTINGS, 0, 0, b"\0\4\0"),
        frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31)),
        frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 1)),
    ],
)
def test_what_makes_no_sense_is_refused(said: bytes) -> None:
    with pytest.raises(Unread):
        made().feed(said)


def test_random_bytes_are_read_or_refused_and_never_grow() -> None:
    dice = random.Random(7)
    refused = 0
    for _ in range(3000):
        call = made()
        try:
            for _ in range(4):
                body = dice.randbytes(dice.choice((0, 4, 8, 40)))
                call.feed(frame(dice.randrange(11), dice.randrange(256), dice.choice((0, 1, 1, 3)), body))
        except Unread:
            refused += 1
    assert 1000 < refused < 3000


def test_no_more_is_sent_than_the_server_takes() -> None:
    call = made()
    body = bytes(range(256)) * 1000
    call.put(body)
    call.put(None)
    sent = frames_of(taken(call))
    assert {kind for kind, *_ in sent} == {DATA} and all(len(data) <= 1 << 14 for *_, data in sent)
    assert sum(len(data) for *_, data in sent) == 65_535 and not call.is_ready and not taken(call)
    call.feed(frame(UPDATE, 0, 0, struct.pack(">I", 1 << 20)))
    assert not taken(call)  # the stream's own window is still closed
    call.feed(frame(SETTINGS, 0, 0, struct.pack(">HIHI", 4, 1 << 20, 5, 1 << 16)))
    assert call.is_ready
    rest = frames_of(taken(call))
    assert rest.pop(0) == (SETTINGS, 1, 0, b"") and rest[-1][1:3] == (1, 1)
    assert max(len(data) for *_, data in rest) == 1 << 16
    assert b"".join(data for *_, data in sent + rest) == message(body)


def test_windows_are_opened_as_they_are_used() -> None:
    call = Call("http", "host", "/s/M", (), WINDOW)
    taken(call)
    call.feed(frame(HEADERS, 4, 1, ANSWER))
    part = bytes(1 << 20)
    call.feed(frame(DATA, 0, 1, struct.pack(">BI", 0, 4 << 20) + part[5:]))
    assert not taken(call)
    call.feed(frame(DATA, 0, 1, part))
    more = struct.pack(">I", 2 << 20)
    assert frames_of(taken(call)) == [(UPDATE, 0, 0, more), (UPDATE, 0, 1, more)]


@pytest.mark.parametrize(
    "flood", [frame(PING, 0, 0, bytes(8)), frame(SETTINGS, 0, 0), frame(UPDATE, 0, 1, struct.pack(">I", 1))]
)
def test_a_server_that_asks_without_reading_the_answers_is_refused(
    monkeypatch: pytest.MonkeyPatch, flood: bytes
) -> None:
    monkeypatch.setattr(http2, "MAX_UNSENT", 1000)
    call = made()
    with pytest.raises(Unread, match="without taking"):
        for _ in range(4):
            call.feed(flood * 300)


def test_metadata_that_no_frame_takes_is_refused() -> None:
    with pytest.raises(Unread, match="metadata"):
        Call("http", "host", "/s/M", (("authorization", "x" * 20_000),), 1 << 20)
