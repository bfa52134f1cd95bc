"""Several frames in one message: what goes together, and that nothing changes its order."""

from __future__ import annotations

from collections import deque

from cupool.shim import core_stream
from cupool.shim.core_stream import _FINISH, BUNDLED_BYTES, CoreStream

from cupool.v1 import session_pb2


def taken(frames: deque[bytes]) -> list[list[bytes]]:
    """What goes into message after message, until the stream's end or the last frame."""
    found = []
    while frames and frames[0] is not _FINISH:
        before = list(frames)
        message = CoreStream._bundle(frames)
        if message is before[0]:
            found.append([message])
        else:
            found.append(list(session_pb2.ClientFrame.FromString(message).bundle.frames))
    return found


def test_small_frames_go_together_and_large_ones_alone() -> None:
    small, half, large = b"s" * 100, b"h" * (BUNDLED_BYTES // 2), b"l" * (BUNDLED_BYTES + 1)
    assert taken(deque([small] * 3)) == [[small] * 3]
    assert taken(deque([small, large, small, small])) == [[small], [large], [small, small]]
    assert taken(deque([half, half, half])) == [[half, half], [half]]
    assert taken(deque([large, large])) == [[large], [large]]


def test_the_end_of_the_stream_is_in_no_bundle() -> None:
    frames = deque([b"a", b"b", _FINISH])
    assert taken(frames) == [[b"a", b"b"]]
    assert CoreStream._bundle(frames) is core_stream._FINISH
    assert not frames
