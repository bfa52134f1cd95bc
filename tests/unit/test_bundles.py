"""Several frames in one message: what goes together, and that nothing changes its order."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from cupool.shim import bundles
from cupool.shim.bundles import BUNDLED_BYTES
from cupool.shim.http2 import Call

from cupool.v1 import session_pb2

#: The ends of streams: of grpcio's core, and our own.
ENDS = [b"", None]


def taken(frames: deque[Any], end: bytes | None) -> list[list[bytes]]:
    """What goes into message after message, until the stream's end or the last frame."""
    found = []
    while frames and frames[0] is not end:
        before = list(frames)
        message = bundles.taken(frames, end)
        if message is before[0]:
            found.append([message])
        else:
            found.append(list(session_pb2.ClientFrame.FromString(message).bundle.frames))
    return found


@pytest.mark.parametrize("end", ENDS)
def test_small_frames_go_together_and_large_ones_alone(end: bytes | None) -> None:
    small, half, large = b"s" * 100, b"h" * (BUNDLED_BYTES // 2), b"l" * (BUNDLED_BYTES + 1)
    assert taken(deque([small] * 3), end) == [[small] * 3]
    assert taken(deque([small, large, small, small]), end) == [[small], [large], [small, small]]
    assert taken(deque([half, half, half]), end) == [[half, half], [half]]
    assert taken(deque([large, large]), end) == [[large], [large]]


@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_the_stream_is_in_no_bundle(end: bytes | None) -> None:
    frames = deque([b"a", b"b", end])
    assert taken(frames, end) == [[b"a", b"b"]]
    assert bundles.taken(frames, end) is end
    assert not frames


def test_a_call_of_our_own_sends_what_waits_in_one_message() -> None:
    call = Call("http", "localhost", "/x", (), 1 << 20)
    call.take()
    for k in range(3):
        call.put(b"%d" % k)
    assert len(call.take()) == 6  # a head and a body each
    call.may_bundle = True
    for k in range(3):
        call.put(b"%d" % k)
    call.put(None)
    head, body, end = call.take()
    assert session_pb2.ClientFrame.FromString(bytes(body)).bundle.frames == [b"0", b"1", b"2"]
    assert len(head) == 9 + 5 and len(end) == 9
