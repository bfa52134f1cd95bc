"""Batches that were cut before the server had said what it takes, cut again for one that takes less.

Before its hello a session's first batches are cut by the default limits (Note [Early] in `link.py`). What a server with smaller ones has
not executed of them is told again in more and smaller batches, of the same commands in the same places.

Boundary: `outbox.Batch`es in, `outbox.Batch`es out. The words of a command that name values of the batch's side table are found by its
form; everything else travels as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

from cupool.contract import codec, loops
from cupool.contract.errors import SessionLost
from cupool.contract.limits import DEFAULT_LIMITS, Limits
from cupool.v1 import session_pb2, value_pb2

from . import forms

#: Bytes of a frame beside its forms, words and values.
_AROUND = 1024


def again(frames: list[tuple[int, bytes]], first_seq: int, limits: Limits) -> list[tuple[int, int, int, bytes]]:
    """Cut batches again.

    Args:
        frames: per batch the highest form that it leaves defined, and its frame; in order.
        first_seq: the number of the first of the new ones.

    Returns:
        per new batch: its number, the commands of the session up to its end, the highest form that it leaves defined, its frame.

    Raises:
        SessionLost: one command or one form is more than the server takes in a frame.
    """
    made: list[tuple[int, int, int, bytes]] = []
    known: dict[int, Any] = {}
    for highest, frame in frames:
        batch = session_pb2.ClientFrame.FromString(frame).batch
        if batch.loops:
            batch.commands = loops.written_out(batch, DEFAULT_LIMITS)
            del batch.loops[:]
        known |= {form.id: form for form in batch.forms}
        for position, count, defined, words, values in _pieces(batch, known, limits):
            seq = first_seq + len(made)
            told = codec.encode_batch(seq, position, count, defined, words, values, batch.received, [])
            made.append((seq, position + count, _highest(defined, made, highest), codec.batch_frame(told)))
        seq, end, _, last = made[-1]
        made[-1] = (seq, end, highest, last)
    return made


def _highest(defined: list[bytes], made: list[Any], highest: int) -> int:
    """The last form of a piece; where it defines none, that of the piece before."""
    if defined:
        return int(session_pb2.Form.FromString(defined[-1]).id)
    return made[-1][2] if made else highest


_Piece = tuple[int, int, list[bytes], bytes, list[bytes]]


def _pieces(batch: Any, known: dict[int, Any], limits: Limits) -> Iterator[_Piece]:
    """(position, commands, forms, words, side table) of each part of a batch: its forms first."""
    room = limits.frame_bytes - _AROUND
    defined: list[bytes] = []
    size = 0
    for form in batch.forms:
        data = form.SerializeToString()
        _check(len(data) + 16, room, f"The form of {form.op}")
        if size + len(data) + 16 > room:
            yield batch.position, 0, defined, b"", []
            defined, size = [], 0
        defined.append(data)
        size += len(data) + 16
    words = memoryview(batch.commands).cast("q").tolist()
    position = batch.position
    taken: list[int] = []
    values: list[bytes] = []
    count = at = 0
    while at < len(words):
        number = words[at] & codec.FORM_MASK
        width, named = 2, []
        if number != codec.FREE:
            if number not in known:
                known[number] = session_pb2.Form.FromString(forms.encoded[number])
            width, named = forms.words_of(known[number]), value_words(known[number])
        command = words[at : at + width]
        table = [batch.values[command[k]].SerializeToString() for k in named]
        more = 8 * len(command) + sum(len(data) + 16 for data in table)
        _check(more, room, "One call")
        if (count or defined) and (size + more > room or count >= limits.batch_commands):
            yield position, count, defined, struct.pack(f"<{len(taken)}q", *taken), values
            position += count
            defined, taken, values, count, size = [], [], [], 0, 0
        for k, data in zip(named, table, strict=True):
            command[k] = len(values)
            values.append(data)
        taken += command
        count += 1
        size += more
        at += len(command)
    if count or defined or not words:
        yield position, count, defined, struct.pack(f"<{len(taken)}q", *taken), values


def _check(size: int, room: int, what: str) -> None:
    if size > room:
        raise SessionLost(
            f"{what} takes {size:,} bytes; the server takes {room:,} in a frame.",
            "Pass large data as arrays, or have the server take larger frames.",
        )


def value_words(form: Any) -> list[int]:
    """Which words of a command of this `cupool.v1.Form` name values of the batch's side table."""
    kinds: list[int] = []
    for value in (*form.args, *(item.value for item in form.kwargs)):
        _kinds(value, kinds.append)
    first = 1 + len(form.results)
    return [first + k for k, kind in enumerate(kinds) if kind == value_pb2.SLOT_VALUE]


def _kinds(value: Any, found: Callable[[int], None]) -> None:
    """The slots of an argument in the order of their words, as `forms.words_of` counts them."""
    kind = value.WhichOneof("kind")
    if kind == "slot":
        found(value.slot)
    elif kind in ("tuple", "list"):
        for item in getattr(value, kind).items:
            _kinds(item, found)
    elif kind == "mapping":
        for item in value.mapping.items:
            _kinds(item.value, found)
    elif kind == "slice":
        for part in (value.slice.start, value.slice.stop, value.slice.step):
            _kinds(part, found)
