"""Whoever waits gets its reply, however threads interleave."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from cupool.shim import deferred
from cupool.shim import inbox as module
from cupool.shim.deferred import Deferred
from cupool.shim.inbox import Inbox
from cupool.shim.session import Session
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


def unasked(ordinal: int, number: int) -> bytes:
    """A frame with a spec that nobody waits for."""
    result = session_pb2.Result(id=number)
    result.spec.shape.append(3)
    data: bytes = session_pb2.ServerFrame(ordinal=ordinal, results=[result]).SerializeToString()
    return data


def test_specs_that_nobody_asks_for_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The older half goes, and is told by its numbers from what has not come yet."""
    monkeypatch.setattr(module, "MAX_UNASKED", 8)
    inbox = Inbox(lambda seq: None, lambda frame: None)
    for number in range(1, 10):
        inbox.on_frame(unasked(number, number))
    assert [number for number in range(12) if inbox.has(number)] == [5, 6, 7, 8, 9]
    assert inbox.dropped_to == 4


def test_a_result_may_be_taken_while_specs_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage is collected whenever something is made, and what that finalizes lets other threads run."""
    monkeypatch.setattr(module, "MAX_UNASKED", 64)
    inbox = Inbox(lambda seq: None, lambda frame: None)
    for number in range(1, 65):
        inbox.on_frame(unasked(number, number))
    taken: list[int] = []

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            number = len(taken) + 1
            taken.append(number)
            inbox.take(number)
            if number < 32:
                Garbage()

    drop = inbox._drop_unasked

    def drop_with_garbage() -> None:
        Garbage()
        gc.set_threshold(3)
        gc.enable()
        drop()
        gc.disable()

    monkeypatch.setattr(inbox, "_drop_unasked", drop_with_garbage)
    before = gc.get_threshold()
    gc.disable()
    try:
        inbox.on_frame(unasked(65, 65))
    finally:
        gc.set_threshold(*before)
        gc.enable()
    assert taken and inbox.has(65)


def test_specs_that_were_asked_for_later_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNASKED", 8)
    inbox = Inbox(lambda seq: None, lambda frame: None)
    inbox.on_frame(unasked(1, 1))
    for number in range(2, 100):
        inbox.on_frame(unasked(number, number))
        assert inbox.wait(number, inbox.expect(number)).id == number
    assert inbox.has(1)
    assert inbox.dropped_to == 0


def test_a_program_that_ends_waits_for_what_is_sent_again_after_a_hello() -> None:
    """The hello says that all was executed; the frames that say what came of it follow."""
    inbox = Inbox(lambda seq: None, lambda frame: None)
    inbox.due, inbox.executed_seq = 2, 5
    late = [frame(1, 7), frame(2, 8)]
    ending: Any = object.__new__(Session)
    ending.outbox = SimpleNamespace(lost=None, flush_within=lambda timeout_s: 5)
    ending.inbox = inbox
    ending.link = SimpleNamespace(ring=lambda: late and inbox.on_frame(late.pop(0)))
    ending._drain(30.0)
    assert not late and inbox.received == 2 and inbox.has(8)
    inbox.restart(2)
    assert not inbox.is_owed  # another server owes nothing of that


def test_a_signal_handler_that_waits_while_its_thread_takes_a_frame_is_told_so() -> None:
    refused: list[str] = []

    def control(_: Any) -> None:
        """In the middle of a frame."""
        with pytest.raises(RuntimeError, match="signal handler") as caught:
            inbox.wait(9, inbox.expect(9))
        refused.append(str(caught.value))

    inbox = Inbox(lambda seq: None, control)
    hello = session_pb2.ServerFrame(hello=session_pb2.ServerHello())
    inbox.on_frame(hello.SerializeToString())
    assert refused and not inbox.is_awaited
    inbox.on_frame(frame(1, 7))
    assert inbox.wait(7, inbox.expect(7)).value.integer == 7


def test_a_signal_handler_that_sorts_failures_while_they_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is told once, and none is lost."""
    failures = Deferred()
    failures.arrived.extend(session_pb2.Failure(position=k, op=f"op{k}") for k in range(3))
    describe, told = deferred.sites.describe, []

    def interrupted(tag: int) -> Any:
        found = describe(tag)
        if not told:
            told.append(None)
            told.append(failures.take(found[2]))
        return found

    monkeypatch.setattr(deferred.sites, "describe", interrupted)
    assert failures.take(0) is None
    assert "and 2 more" in str(told[1].__notes__) or len(told[1].__notes__) == 3
    assert not failures and failures.unreported() == []
