"""The redo window: what it holds, what ends it, and that a gap or a contradiction never passes for a replay."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from cupool.shim.inbox import Inbox
from cupool.shim.outbox import Batch
from cupool.shim.redo import RECORDED, Redo, Upload, digest

from cupool.contract import codec
from cupool.v1 import session_pb2, value_pb2


def batch(seq: int, size: int = 100) -> Batch:
    return Batch(seq, seq, seq * size, 0, 0, codec.plain_batch_frame(seq, seq - 1, 0, b"", 0).ljust(size, b"\0"))


def empty_batch(seq: int, forms: list[bytes] | None = None, words: bytes = b"", count: int = 0) -> Batch:
    frame = codec.batch_frame(codec.encode_batch(seq, 0, count, forms or [], words, [], 0))
    return Batch(seq, 0, 0, 0, 0, frame)


def test_batches_come_again_once_and_in_order_whatever_was_interrupted() -> None:
    """An interruption may leave a batch both in the window and unacknowledged."""
    draw = random.Random(1)
    for _ in range(200):
        redo, n = Redo(), draw.randrange(1, 20)
        batches = [empty_batch(k + 1) for k in range(n)]
        executed = draw.randrange(n + 1)
        for one in batches[:executed]:
            for _ in range(draw.choice((1, 1, 2))):
                redo.executed(one)
        left = batches[max(0, executed - draw.choice((0, 1))) :]
        assert redo.again(left) == batches
        assert redo.is_whole and redo.again(batches) == batches


def test_a_gap_ends_the_window() -> None:
    redo = Redo()
    redo.executed(empty_batch(1))
    redo.executed(empty_batch(3))
    assert redo.again([]) == [] and "gap" in redo.why


def test_what_does_not_fit_ends_it_and_frees_what_it_held() -> None:
    redo = Redo(budget=1000)
    for k in range(9):
        redo.executed(batch(k + 1))
    assert redo.is_whole and redo.nbytes == 900
    assert not redo.reserve(200) and not redo.is_whole
    assert redo.nbytes == 0 and redo.uploads() == []
    redo.executed(batch(10))
    redo.uploaded(Upload(1, np.zeros(3, np.uint8), 0))
    assert redo.nbytes == 0 and redo.uploads() == []
    assert "1,000 bytes" in redo.why


def test_delivered_results_count_too() -> None:
    redo = Redo(budget=1000)
    redo.delivered = {k: k for k in range(10)}
    redo.executed(batch(1, 1))
    assert not redo.is_whole


def form(number: int, op: str, reply: bool) -> bytes:
    slot = value_pb2.Value(slot=value_pb2.SLOT_HANDLE)
    data: bytes = session_pb2.Form(
        id=number, op=op, args=[slot], results=[session_pb2.ResultSpec(reply=reply)]
    ).SerializeToString()
    return data


def test_an_op_that_cannot_be_repeated_ends_it() -> None:
    redo = Redo()
    redo.defined([form(1, "add", False)])
    assert redo.is_whole
    redo.defined([form(2, "@fault", False)])
    assert "@fault" in redo.why


def test_answers_that_may_differ_are_known_by_their_op() -> None:
    redo = Redo()
    words = np.array([1, 7, 3, 2, 8, 3, 0, 3], "<i8").tobytes()  # 7 = @event_query(3), 8 = @fetch(3), free 3
    redo.executed(empty_batch(1, [form(1, "@event_query", True), form(2, "@fetch", True)], words, 3))
    redo.delivered = {7: 111, 8: 222}
    redo.again([])
    assert redo.delivered == {7: RECORDED, 8: 222}


def frame(ordinal: int, *results: tuple[int, float], failures: tuple[int, ...] = ()) -> bytes:
    made: Any = session_pb2.ServerFrame(ordinal=ordinal)
    for number, value in results:
        made.results.add(id=number).value.real = value
    for position in failures:
        made.failures.add(position=position, op="add").error.type = "ValueError"
    data: bytes = made.SerializeToString()
    return data


def inbox() -> tuple[Inbox, list[int]]:
    diverged: list[int] = []
    box = Inbox(lambda seq: None, lambda control: None, Redo())
    box.diverged = diverged.append
    return box, diverged


def test_a_replay_delivers_nothing_twice_and_what_is_new() -> None:
    box, diverged = inbox()
    box.on_frame(frame(1, (5, 1.0), failures=(3,)), 1)
    assert box.take(5).value.real == 1.0
    box.restart(2)
    box.on_frame(frame(1, (99, 9.0)), 1)  # of the server that is gone
    assert not box.has(99) and box.received == 0
    box.on_frame(frame(1, (5, 1.0), failures=(3,)), 2)
    box.on_frame(frame(2, (6, 2.0), failures=(8,)), 2)
    assert not box.has(5) and box.take(6).value.real == 2.0
    assert [failure.position for failure in box.deferred.arrived] == [3, 8]
    assert diverged == [] and box.received == 2


def test_a_contradiction_is_told_and_nothing_of_its_frame_is_taken() -> None:
    box, diverged = inbox()
    box.on_frame(frame(1, (5, 1.0)), 1)
    box.restart(2)
    box.on_frame(frame(1, (4, 7.0), (5, 1.5)), 2)
    assert diverged == [5] and not box.has(4)


def test_a_recorded_answer_may_differ_and_the_first_one_counts() -> None:
    box, diverged = inbox()
    box.on_frame(frame(1, (5, 1.0)), 1)
    box.redo.delivered[5] = RECORDED
    box.restart(2)
    box.on_frame(frame(1, (5, 1.5)), 2)
    assert diverged == [] and box.take(5).value.real == 1.0


def test_a_hash_tells_zeros_apart() -> None:
    results = [session_pb2.Result(id=1), session_pb2.Result(id=1)]
    results[0].value.real, results[1].value.real = 0.0, -0.0
    assert digest(results[0]) != digest(results[1])
