"""Fingerprints of memory, one for each piece of 256 KiB: the same number on the host and on the GPU.

Whether a piece has changed, and whether it has arrived, are asked of every byte of a session; the GPU answers at the speed of its memory,
and only the numbers come to the host. They find faults, not forgers: 64 bits of a sum, each word mixed with its place, so that words that
changed places are found too. A sum is the same in whatever order it is made.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..base import PIECE_BYTES

_WORDS = PIECE_BYTES // 8
#: Pieces that are looked at together on the GPU.
_TOGETHER = 64
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


@functools.cache
def _places() -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A number for each word of a piece."""
    return np.arange(1, _WORDS + 1, dtype=np.uint64) * np.uint64(0xD1342543DE82EF95)


def _mixed(words: Any, places: Any) -> Any:
    """(pieces, words) of uint64 -> one number for each piece."""
    mixed = words ^ places
    mixed *= _FIRST
    mixed ^= mixed >> np.uint64(29)
    mixed *= _SECOND
    mixed ^= mixed >> np.uint64(32)
    return mixed.sum(axis=1, dtype=np.uint64)


def of_host(data: Any) -> list[int]:
    """Of bytes in host memory (uint8), which begin where a piece does."""
    data = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
    whole = data.nbytes // PIECE_BYTES * PIECE_BYTES
    found: list[int] = []
    for at in range(0, whole, PIECE_BYTES):
        words = (
            data[at : at + PIECE_BYTES].view(np.uint64)
            if data.ctypes.data % 8 == 0
            else _copied(data[at : at + PIECE_BYTES])
        )
        found += _mixed(words.reshape(1, _WORDS), _places()).tolist()
    if whole < data.nbytes:
        padded = np.zeros(PIECE_BYTES, np.uint8)
        padded[: data.nbytes - whole] = data[whole:]
        found += _mixed(padded.view(np.uint64).reshape(1, _WORDS), _places()).tolist()
    return found


def _copied(piece: Any) -> Any:
    return np.frombuffer(piece.tobytes(), np.uint64)


class OnDevice:
    """Of memory of the GPU. Everything that was issued must be done; nothing of it is the session's: its own memory, its own stream."""

    def __init__(self, cupy: Any, allocator: Any, stream: Any) -> None:
        """
        Args:
            allocator: for `cupy.cuda.using_allocator`, not the session's.
        """
        self._cupy = cupy
        self._allocator = allocator
        self._stream = stream
        self._there: Any = None

    def of(self, pointer: Any, nbytes: int, read: Any) -> list[int]:
        """
        Args:
            pointer: a `cupy.cuda.MemoryPointer`, its address a multiple of 8.
            read: (offset, nbytes) -> these bytes on the host: what is no whole piece.
        """
        cupy, whole = self._cupy, nbytes // PIECE_BYTES
        found: list[int] = []
        with cupy.cuda.using_allocator(self._allocator), self._stream:
            if whole and self._there is None:
                self._there = cupy.asarray(_places())
            for at in range(0, whole, _TOGETHER):
                count = min(_TOGETHER, whole - at)
                words = cupy.ndarray((count, _WORDS), np.uint64, pointer + at * PIECE_BYTES)
                found += cupy.asnumpy(_mixed(words, self._there)).tolist()
        if whole * PIECE_BYTES < nbytes:
            found += of_host(read(whole * PIECE_BYTES, nbytes - whole * PIECE_BYTES))
        return found


__all__ = ["OnDevice", "of_host"]
