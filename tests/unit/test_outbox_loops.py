"""The outbox sends what a loop leaves as one round, to a server that takes that; what it says is what was pending, word for word."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from cupool.shim import forms, outbox
from cupool.shim.outbox import Outbox
from cupool.shim.pending import COMMANDS, extend
from cupool.shim.redo import Redo
from pending_commands import nothing_pending

from cupool.contract import codec, loops
from cupool.contract.limits import DEFAULT_LIMITS
from cupool.v1 import session_pb2, value_pb2


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with nothing_pending(monkeypatch):
        yield


def form_of(slots: int) -> int:
    def build(number: int) -> Any:
        slot = value_pb2.Value(slot=value_pb2.SLOT_HANDLE)
        return session_pb2.Form(id=number, op=f"loop{slots}", args=[slot] * slots)

    return forms.form(("loop", slots), build)


def opened(may_loop: bool = True, **options: Any) -> tuple[Outbox, list[bytes]]:
    box, frames = Outbox(**options), []
    box.may_loop = may_loop
    box.attach(frames.append)
    return box, frames


def sent(frames: list[bytes]) -> tuple[list[Any], bytes]:
    """The batches, and all their words."""
    batches = [session_pb2.ClientFrame.FromString(frame).batch for frame in frames]
    return batches, b"".join(loops.written_out(batch, DEFAULT_LIMITS) for batch in batches)


def flushed(box: Outbox) -> tuple[bytes, int]:
    """Flush what is pending; its words, and how many commands they are."""
    words, before = codec.pack_words(list(COMMANDS))[0], box.commands
    box.flush()
    return words, box.commands - before


def rounds_of(form: int, rounds: int, first: int = 1000) -> None:
    for k in range(first, first + rounds):
        extend((form, k + 1, k, 5))
        extend((0, k))


def test_a_loop_goes_as_one_round() -> None:
    box, frames = opened()
    rounds_of(form_of(3), 500)
    words, commands = flushed(box)
    (batch,), told = sent(frames)
    assert told == words and commands == batch.count == 1000
    assert len(batch.commands) == 6 * 8 and batch.loops[0].rounds == 500
    # The first batch tells all that this process knows of forms.
    assert len(frames[0]) - sum(form.ByteSize() + 4 for form in batch.forms) < 250


def test_what_comes_before_and_after_a_loop_goes_as_it_is() -> None:
    box, frames = opened()
    three, two = form_of(3), form_of(2)
    for k in range(20):
        extend((two, k * k, -k))
    rounds_of(three, 400)
    extend((two, 7, 7, three, 1, 2, 3))
    words, commands = flushed(box)
    (batch,), told = sent(frames)
    assert told == words and commands == batch.count == 20 + 800 + 2
    assert batch.loops and len(batch.commands) < len(words) // 3


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_pending_is_what_is_told(seed: int) -> None:
    """Loops of random bodies, interrupted at random."""
    rng = random.Random(seed)
    box, frames = opened()
    known = [form_of(n) for n in (1, 2, 3, 5)]
    widths = dict(zip(known, (1, 2, 3, 5), strict=True))
    expected, count, following = b"", 0, 1000
    for _ in range(12):
        body = [rng.choice([0, *known]) for _ in range(rng.randint(1, 6))]
        offsets = [[rng.choice((-1, 0, 1, 40_000)) for _ in range(widths.get(form, 1))] for form in body]
        moving = rng.random() < 0.9
        for _ in range(rng.choice((0, 3, 50, 300))):
            for form, places in zip(body, offsets, strict=True):
                extend((form, *[following + place if place < 40_000 else 7 for place in places]))
                count += 1
            following += len(body) if moving else rng.randint(1, 3)
            if rng.random() < 0.004:
                extend((known[0], rng.randrange(1 << 62)))
                count += 1
        if rng.random() < 0.3:
            expected += codec.pack_words(list(COMMANDS))[0]
            box.flush()
            box.acknowledge(box.seq)
    expected += codec.pack_words(list(COMMANDS))[0]
    box.flush()
    batches, told = sent(frames)
    assert told == expected
    assert sum(batch.count for batch in batches) == box.commands == count


def test_headers_that_differ_are_no_loop() -> None:
    """A form that happens to be one more in every round."""
    box, frames = opened()
    made = [form_of(n) for n in range(10, 500)]
    for form, n in zip(made, range(10, 500), strict=True):
        extend((form, *range(n)))
        if len(COMMANDS) > 20_000:
            break
    words, _ = flushed(box)
    batches, told = sent(frames)
    assert told == words and not any(batch.loops for batch in batches)


def test_a_server_that_takes_no_loops_is_sent_none() -> None:
    box, frames = opened(may_loop=False)
    rounds_of(form_of(3), 500)
    words, _ = flushed(box)
    batches, told = sent(frames)
    assert told == words and not any(batch.loops for batch in batches)


def test_loops_are_written_out_for_another_server_that_takes_none() -> None:
    """A session begun on a newer server goes on, or is made again, on an older one."""
    box, frames = opened()
    rounds_of(form_of(3), 500)
    words, _ = flushed(box)
    again: list[bytes] = []
    box.may_loop = False
    assert box.attach(again.append) == 1
    (batch,) = [session_pb2.ClientFrame.FromString(frame).batch for frame in again]
    assert batch.commands == words and not batch.loops
    (first,), _ = sent(frames)
    assert (batch.seq, batch.position, batch.count, list(batch.forms)) == (
        first.seq, first.position, first.count, list(first.forms),
    )  # fmt: skip


def test_a_loop_counts_in_the_redo_window_by_its_commands() -> None:
    redo = Redo()
    box, frames = opened(redo=redo)
    rounds_of(form_of(3), 5000)
    _, commands = flushed(box)
    box.acknowledge(box.seq)
    assert sum(map(len, frames)) < 4000
    assert redo.nbytes == outbox.LOOPED_COMMAND_BYTES * commands
    assert len(redo.again([])) == box.seq
