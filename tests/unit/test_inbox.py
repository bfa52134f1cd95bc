"""Whoever waits gets its reply, however threads interleave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from cupool.shim.inbox import Inbox
from cupool.shim.transport import GrpcStream
from cupool.shim.turns import ABANDONED, Disconnected, Turns

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


class Silent(Turns):
    """A stream on which nothing ever comes."""

    def _next(self) -> Disconnected | None:
        raise AssertionError("would wait for a frame that may never come")


def test_a_stream_reads_nothing_for_a_caller_that_is_done() -> None:
    stream = Silent()
    assert stream.help(lambda: True)
    assert not stream._turn.locked()


def test_a_stream_that_a_caller_left_in_the_middle_ends() -> None:
    """A signal handler raised between two lines of `help`: the turn stays taken, and the link must not wait for it for ever."""
    stream = Silent()
    stream._turn.acquire()
    stream._is_over = True
    assert stream.read(lambda: False) is ABANDONED


def test_grpcios_public_api_is_not_read_by_the_main_thread() -> None:
    """Signal handlers run there; one that raises inside grpcio's own Python code leaves its locks locked."""
    stream: Any = object.__new__(GrpcStream)
    assert not stream._may_help()
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(stream._may_help()))
    thread.start()
    thread.join()
    assert seen == [True]
