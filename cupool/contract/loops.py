"""Loops in a batch: finding them, writing them, and writing them out again. `cupool.v1.Loop` says what one is.

A program's loop leaves the same commands round after round; handles are minted in order, so each word of a round is a constant more
than in the round before. `find` looks for that in packed words and knows nothing of commands; who cuts batches gives it candidates.

Boundary: words. What commands mean, and that a round is whole commands, is the outbox's and the executor's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cupool.contract.codec import varint
from cupool.contract.errors import ProtocolError
from cupool.contract.limits import Limits
from cupool.contract.records import NamedTuple

#: Words of a round, at most. Longer ones repeat too seldom in a batch to be worth looking for.
MAX_ROUND = 1024
#: Rounds from which a loop is worth being one.
MIN_ROUNDS = 4
#: Rounds' lengths that are tried, at most.
_TRIES = 6

Words = np.ndarray[Any, np.dtype[np.int64]]
_WORD = np.dtype("<i8")


class Found(NamedTuple):
    """A loop in packed words.

    Attributes:
        at: word at which it begins.
        width: words of a round.
        rounds: how many.
        steps: `width` words, packed.
    """

    at: int
    width: int
    rounds: int
    steps: bytes

    @property
    def end(self) -> int:
        """The word behind the last round."""
        return self.at + self.width * self.rounds


class Part(NamedTuple):
    """A part of a batch, in order: `rounds` of `words`, `steps` more in each. Of words that are no loop: 1, None."""

    words: Words
    rounds: int
    steps: Words | None

    def written_out(self) -> Words:
        """All words of all rounds."""
        if self.steps is None:
            return self.words
        return (np.arange(self.rounds, dtype=np.int64)[:, None] * self.steps + self.words).ravel()


def find(items: list[Any], words: bytes, at: int, hint: int = 0) -> Found | None:
    """A loop that begins at word `at`, or None.

    Args:
        items: the words as a list, which `words` packs; those that packing changed may differ.
        hint: a round's length that is tried first.
    """
    n = len(words) // 8
    rows = np.frombuffer(words, _WORD)[at:]
    for width in _widths(items, at, n, hint):
        rounds = (n - at) // width
        steps = (rows[width : 2 * width] - rows[:width]).tobytes()
        if (rows[2 * width : 3 * width] - rows[width : 2 * width]).tobytes() != steps:
            continue
        # Flat, and the first difference found by C's own search: by rows it takes several times as long.
        end = rounds * width
        risen = rows[width:end] - rows[: end - width]
        differs = (risen[width:] != risen[:-width]).tobytes().find(1)
        if differs >= 0:
            rounds = differs // width + 2
        if rounds >= MIN_ROUNDS:
            return Found(at, width, rounds, steps)
    return None


def _widths(items: list[Any], at: int, n: int, hint: int) -> Iterator[int]:
    """Lengths that a round may have: where the word at `at` comes again, and the one after it as far away as in the next round."""
    limit = min(MAX_ROUND, (n - at) // MIN_ROUNDS)
    if 0 < hint <= limit:
        yield hint
    first, position, tries = items[at], at, 0
    try:
        while tries < _TRIES:
            position = items.index(first, position + 1, at + limit + 1)
            width = position - at
            if width != hint and items[position + width] == first and (
                items[position + 1] - items[at + 1] == items[position + width + 1] - items[position + 1]
            ):  # fmt: skip
                tries += 1
                yield width
    except (ValueError, IndexError, TypeError):  # no more of them; or an item that is no integer
        return


def encode(at: int, rounds: int, steps: bytes) -> bytes:
    """A serialised `cupool.v1.Loop`."""
    head = b"\x08" + varint(at) if at else b""
    return b"".join((head, b"\x10", varint(rounds), b"\x1a", varint(len(steps)), steps))


def shortened(words: bytes, found: Found) -> bytes:
    """`words` with the first round of the loop alone."""
    return words[: 8 * (found.at + found.width)] + words[8 * found.end :]


def parts(batch: Any, limits: Limits) -> list[Part]:
    """The parts of a parsed Batch, in order, after the checks that need no knowledge of forms. Nothing is written out yet.

    Raises:
        ProtocolError: a loop that cannot be, or more words in all than a frame could bring.
    """
    data = np.frombuffer(batch.commands, _WORD)
    found: list[Part] = []
    done, total = 0, len(data)
    for loop in batch.loops:
        packed = loop.steps
        width, at = len(packed) // 8, loop.at
        if len(packed) % 8 or not width or at < done or at + width > len(data) or not loop.rounds:
            raise ProtocolError(
                f"Batch {batch.seq}: a loop of {loop.rounds} rounds of {len(packed)} bytes at word {at} cannot be in {len(data)} words."
            )
        total += width * (loop.rounds - 1)
        if total * 8 > limits.frame_bytes:
            raise ProtocolError(
                f"Batch {batch.seq}: written out, its loops are more than {limits.frame_bytes} bytes, what a frame may have."
            )
        if at > done:
            found.append(Part(data[done:at], 1, None))
        found.append(Part(data[at : at + width], loop.rounds, np.frombuffer(packed, _WORD)))
        done = at + width
    if done < len(data):
        found.append(Part(data[done:], 1, None))
    if batch.count > total:
        raise ProtocolError(f"Batch {batch.seq}: {batch.count} commands cannot fit in {total} words.")
    return found


def written_out(batch: Any, limits: Limits) -> bytes:
    """The commands of a parsed Batch with its loops written out. Raises as `parts`."""
    if not batch.loops:
        return bytes(batch.commands)
    return b"".join(part.written_out().tobytes() for part in parts(batch, limits))


__all__ = ["MAX_ROUND", "MIN_ROUNDS", "Found", "Part", "encode", "find", "parts", "shortened", "written_out"]
