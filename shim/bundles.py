"""Frames that go in one message, `ClientFrame.bundle`: docs/decisions/025.

Each message costs the server a turn of its core, and this end a turn of the thread that reads, which has to get the interpreter from the
one that makes frames.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from cupool.contract import codec

#: Frames that go together have so many bytes, at most.
BUNDLED_BYTES = 64 << 10


def taken(frames: deque[Any], finish: bytes | None) -> Any:
    """Take what goes together from the front: the frames that have waited for the one before them. `finish`, the stream's end, goes alone.

    Raises IndexError: nothing is left.
    """
    first = frames.popleft()
    if first is finish or not frames:
        return first
    size, found = len(first), [first]
    while frames and frames[0] is not finish and size + len(frames[0]) <= BUNDLED_BYTES:
        size += len(frames[0])
        found.append(frames.popleft())
    return first if len(found) == 1 else codec.bundle_frame(found)
