"""Batches that are cut again say the same in smaller ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from cupool.shim import forms, refit
from cupool.shim.outbox import Outbox
from cupool.shim.pending import extend
from pending_commands import nothing_pending

from cupool.contract import codec, values
from cupool.contract.errors import SessionLost
from cupool.contract.limits import DEFAULT_LIMITS, Limits
from cupool.v1 import session_pb2, value_pb2

SMALL = Limits(frame_bytes=4096, batch_commands=50)
KINDS = {"h": value_pb2.SLOT_HANDLE, "i": value_pb2.SLOT_INTEGER, "r": value_pb2.SLOT_REAL, "v": value_pb2.SLOT_VALUE}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with nothing_pending(monkeypatch):
        yield


def form_of(slots: str, results: int = 1) -> int:
    """One argument per letter; "(" and ")" make a tuple of what is between."""

    def build(number: int) -> Any:
        made = session_pb2.Form(id=number, op=f"test {slots}", results=[session_pb2.ResultSpec()] * results)
        into = made.args
        for letter in slots:
            if letter == "(":
                into = made.args.add().tuple.items
            elif letter == ")":
                into = made.args
            else:
                into.add(slot=KINDS[letter])
        return made

    return forms.form(("refit", slots, results), build)


def told(frames: list[bytes]) -> list[tuple[Any, ...]]:
    """What batches say: each form before its first use, each command with its values in place."""
    said: list[tuple[Any, ...]] = []
    known: dict[int, Any] = {}
    for frame in frames:
        batch = session_pb2.ClientFrame.FromString(frame).batch
        for form in batch.forms:
            assert form.id not in known
            known[form.id] = form
        words = memoryview(batch.commands).cast("q").tolist()
        at = count = 0
        while at < len(words):
            number = words[at] & codec.FORM_MASK
            width = forms.arity[number]
            command: list[Any] = words[at : at + width]
            for k in refit.value_words(known[number]) if number else ():
                command[k] = values.decode(batch.values[command[k]])
            said.append(tuple(command))
            at += width
            count += 1
        assert count == batch.count
    return said


@pytest.mark.parametrize("seed", range(6))
def test_what_is_cut_again_says_the_same(seed: int) -> None:
    rng = random.Random(seed)
    box, sent = Outbox(), []
    box.attach(sent.append)
    shapes = [form_of(rng.choice(["h", "hv", "vi", "(hv)r", "v(vh)v", "ii", ""]) + "i" * k, k % 3) for k in range(60)]
    for _ in range(rng.randint(1, 4)):
        for _ in range(rng.randint(1, 400)):
            number = rng.choice(shapes)
            if rng.random() < 0.2:
                extend((0, rng.randint(1, 1 << 60)))
                continue
            form = session_pb2.Form.FromString(forms.encoded[number])
            named = refit.value_words(form)
            command: list[Any] = [number | rng.randint(0, 1 << 20) << 40]
            command += [rng.randint(-(1 << 63), (1 << 63) - 1) for _ in range(forms.arity[number] - 1)]
            for k in named:
                command[k] = values.encode(rng.randbytes(rng.randint(0, 300))).SerializeToString()
            extend(tuple(command))
        box.flush()
    window = list(box.window)
    assert box.takes_less(SMALL) and not box.takes_less(DEFAULT_LIMITS)
    box.limits = SMALL
    box.detach()
    box.refit()
    assert not box.takes_less(SMALL)
    assert told([b.frame for b in box.window]) == told([b.frame for b in window])
    assert [b.seq for b in box.window] == list(range(1, len(box.window) + 1))
    assert (box.commands, box.window[-1].forms, box.window[-1].base) == (
        window[-1].end,
        window[-1].forms,
        window[-1].base,
    )
    position = 0
    for batch in box.window:
        message = session_pb2.ClientFrame.FromString(batch.frame).batch
        assert (message.seq, message.position, message.position + message.count) == (batch.seq, position, batch.end)
        assert message.forms == [] or message.forms[-1].id == batch.forms
        position = batch.end
    # What comes next goes on behind it, within the limits.
    again: list[bytes] = []
    assert box.attach(again.append) == len(box.window)
    for k in range(200):
        extend((shapes[0], *range(forms.arity[shapes[0]] - 1)) if not refit.value_words(
            session_pb2.Form.FromString(forms.encoded[shapes[0]])) else (0, k + 1))  # fmt: skip
    box.flush()
    assert not box.takes_less(SMALL)
    assert [session_pb2.ClientFrame.FromString(frame).batch.seq for frame in again] == list(range(1, box.seq + 1))


def test_a_loop_is_written_out() -> None:
    box, sent = Outbox(), []
    box.attach(sent.append)
    box.may_loop = True
    number = form_of("hi")
    for k in range(2000):
        extend((number, 10 + k, 5, 7 * k))
    box.flush()
    assert any(session_pb2.ClientFrame.FromString(b.frame).batch.loops for b in box.window)
    box.limits = SMALL
    box.detach()
    box.refit()
    assert told([b.frame for b in box.window]) == [(number, 10 + k, 5, 7 * k) for k in range(2000)]


def test_a_call_that_no_frame_takes_is_one_clear_error() -> None:
    box = Outbox()
    extend((form_of("v", 0), values.encode(bytes(5000)).SerializeToString()))
    box.flush()
    box.limits = SMALL
    with pytest.raises(SessionLost, match=r"One call takes 5,0.. bytes; the server takes 3,072 in a frame"):
        box.refit()
