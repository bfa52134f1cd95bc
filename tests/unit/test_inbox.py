"""Whoever waits gets its reply, however threads interleave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from cupool.shim.inbox import Inbox
from cupool.shim.transport import GrpcStream

from cupool.v1 import session_pb2


def frame(ordinal: int, number: int) -> bytes:
    result = session_pb2.Result(id=number)
    result.value.integer = number
    data: bytes = session_pb2.ServerFrame(ordinal=ordinal, results=[result]).SerializeToString()
    return data


def test_a_reply_that_came_before_its_waiter_had_the_turn_to_read() -> None:
    inbox = Inbox(lambda seq: None, lambda frame: None)
    waiter = inbox.expect(7)
    asked = []

    def help_(is_done: Callable[[], bool]) -> bool:
        asked.append(is_done())
        # Another thread reads the reply after the look and before the turn.
        inbox.on_frame(frame(1, 7))
        asked.append(is_done())
        return True

    inbox.help = help_
    assert inbox.wait(7, waiter).value.integer == 7
    assert asked == [False, True]


def test_a_stream_reads_nothing_for_a_caller_that_is_done() -> None:
    def no_more_frames() -> Iterator[Any]:
        raise AssertionError("would wait for a frame that may never come")
        yield

    stream: Any = object.__new__(GrpcStream)
    stream._turn, stream._is_over, stream._helper, stream._helped = threading.Lock(), False, 0, 0
    stream._call = no_more_frames()
    assert stream.help(lambda: True)
    assert not stream._turn.locked()
