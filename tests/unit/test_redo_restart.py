"""The window that restarts at a checkpoint: what stays is exactly what comes after it, whenever the answer arrives."""

from __future__ import annotations

import random

import numpy as np
from cupool.shim.outbox import Batch, Outbox
from cupool.shim.redo import Base, Redo, Upload

from cupool.contract import codec
from cupool.v1 import session_pb2


def batch(seq: int, size: int = 0) -> Batch:
    frame = codec.batch_frame(codec.encode_batch(seq, seq - 1, 0, [], b"", [], 0))
    return Batch(seq, seq, seq * len(frame), 0, 0, frame.ljust(size, b"\0") if size else frame)


def base(redo: Redo, seq: int) -> Base:
    assert redo.wish is not None
    last = redo.last_of(seq, [])
    assert last is not None
    return Base("s", "t", "server", redo.where, redo.wish.checkpoint, last, 0)


def upload(number: int, nbytes: int = 10) -> Upload:
    return Upload(number, np.zeros(nbytes, np.uint8), 0)


def test_what_comes_after_the_checkpoint_stays_at_any_moment_of_the_answer() -> None:
    draw = random.Random(3)
    for _ in range(300):
        redo, executed, delivered = Redo(where="node"), 0, 0
        kept_from = 0
        for _ in range(draw.randrange(1, 6)):
            for _ in range(draw.randrange(1, 6)):
                executed += 1
                redo.executed(batch(executed))
                delivered += 1
                redo.delivered[delivered] = delivered
            redo.wished()
            at_wish = executed
            for _ in range(draw.randrange(5)):
                executed += 1
                redo.executed(batch(executed))
                delivered += 1
                redo.delivered[delivered] = delivered
            if draw.random() < 0.3:
                redo.failed("no room")
            else:
                kept_from = draw.randint(at_wish, executed)
                redo.restarted(base(redo, kept_from))
                assert min(redo.delivered, default=at_wish + 1) == at_wish + 1
        assert [b.seq for b in redo.again([])] == list(range(kept_from + 1, executed + 1))
        assert redo.is_whole


class Reading(dict[int, int | None]):
    """Delivered answers to which another thread adds one while the window restarts."""

    def copy(self) -> dict[int, int | None]:
        found = dict(self)
        self[99] = 99
        return found


def test_an_answer_that_comes_while_the_window_restarts_stays() -> None:
    redo = Redo(where="node")
    redo.executed(batch(1))
    redo.delivered = Reading({1: 1, 2: 2})
    redo.wished()
    redo.delivered[3] = 3
    redo.restarted(base(redo, 1))
    assert redo.delivered == {3: 3, 99: 99}


def test_uploads_that_were_there_at_the_wish_go_and_later_ones_stay() -> None:
    redo = Redo(where="node")
    redo.executed(batch(1))
    for number in (1, 2):
        assert redo.reserve(10)
        redo.uploaded(upload(number))
    redo.wished()
    assert redo.reserve(10)
    redo.uploaded(upload(3))
    before = redo.nbytes
    redo.restarted(base(redo, 1))
    assert [u.transfer for u in redo.uploads()] == [3]
    assert redo.nbytes == before - 20 - len(batch(1).frame)


def test_an_answer_to_an_older_wish_changes_nothing() -> None:
    redo = Redo(where="node")
    redo.executed(batch(1))
    redo.wished()
    old = base(redo, 1)
    redo.failed("the connection broke")
    redo.executed(batch(2))
    redo.wished()
    redo.restarted(old)
    assert redo.base is None and [b.seq for b in redo.again([])] == [1, 2]


def test_whoever_asked_for_checkpoints_waits_and_others_lose_the_window() -> None:
    for where, is_waiting in (("node", True), ("file", True), ("client", False)):
        redo = Redo(budget=1000, where=where)
        for k in range(1, 12):
            redo.executed(batch(k, 100))
        assert redo.is_full(0) is is_waiting and redo.is_whole is is_waiting


def test_when_none_can_be_made_nobody_waits_and_the_reason_is_said() -> None:
    redo = Redo(budget=1000, where="node")
    for k in range(1, 12):
        redo.executed(batch(k, 100))
    redo.wished()
    redo.failed("The disk is full.")
    assert not redo.is_full(0) and "The disk is full" in redo.why


def test_an_upload_larger_than_the_window_is_its_callers_until_a_checkpoint_has_it() -> None:
    redo = Redo(budget=1000, where="node")
    redo.executed(batch(1))
    assert not redo.reserve(5000) and redo.is_whole
    redo.uploaded(upload(7, 5000))
    assert redo.has_upload(7) and redo.wants_checkpoint
    redo.wished()
    redo.restarted(base(redo, 1))
    assert not redo.has_upload(7) and not redo.wants_checkpoint
    redo.discard(7)
    assert redo.is_whole
    redo.uploaded(upload(8, 5000))
    redo.discard(8)
    assert "larger" in redo.why


def test_no_checkpoint_is_asked_for_before_a_replay_is_over() -> None:
    redo = Redo(budget=8 * len(batch(1).frame), where="node")
    for k in range(1, 8):
        redo.executed(batch(k))
    assert redo.wants_checkpoint
    again = redo.again([])
    for one in again[:-1]:
        redo.executed(one)
        assert not redo.wants_checkpoint
    redo.executed(again[-1])
    assert redo.wants_checkpoint


def test_a_new_server_begins_where_the_checkpoint_ends() -> None:
    redo = Redo(where="node")
    outbox = Outbox(redo=redo)
    outbox.window.extend(batch(k) for k in range(1, 6))
    outbox.acknowledge(4)
    redo.wished()
    redo.restarted(base(redo, 3))
    outbox.restart()
    assert [b.seq for b in outbox.window] == [4, 5]
    assert [session_pb2.ClientFrame.FromString(b.frame).batch.seq for b in outbox.window] == [4, 5]
