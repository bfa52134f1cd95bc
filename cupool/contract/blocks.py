"""Large host buffers that are used again: a fresh one costs more in page faults than in copying.

The allocator keeps blocks of up to 32 MiB (`cupool.contract.malloc`); this keeps a few larger ones. A block goes back by itself when
the last array over it dies. Any thread.
"""

from __future__ import annotations

import mmap
import threading
import weakref
from typing import Any

import numpy as np

from cupool.contract.limits import MIB

#: Smaller blocks are the allocator's.
SMALLEST_BYTES = 32 * MIB
#: Bytes kept unused, at most.
KEPT_BYTES = 512 * MIB

#: Smaller ones are not mapped by themselves.
SMALLEST_MAPPED_BYTES = 32 << 10

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class BlockCache:
    """Blocks without a user, up to a bound."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        # Re-entrant, and `_put` only appends: a finalizer may run anywhere in these methods.
        self._lock = threading.RLock()
        self._free: list[Bytes] = []
        self._kept = 0

    def take(self, nbytes: int) -> Bytes:
        """A uint8 array of shape (nbytes,), contents undefined. Raises MemoryError."""
        if nbytes < SMALLEST_BYTES:
            return np.empty(nbytes, np.uint8)
        block = self._pop(nbytes)
        if block is None:
            block = np.empty(nbytes, np.uint8)
        # Over the block's buffer, not a view of the array: NumPy would make views of views refer to the block itself, and the block
        # would be back here while they live.
        lent: Bytes = np.frombuffer(block.data, np.uint8, nbytes)
        weakref.finalize(lent, self._put, block).atexit = False
        return lent

    def _pop(self, nbytes: int) -> Bytes | None:
        with self._lock:
            fitting = [
                (block.nbytes, i) for i, block in enumerate(self._free) if nbytes <= block.nbytes <= nbytes * 5 // 4
            ]
            if not fitting:
                return None
            block = self._free.pop(min(fitting)[1])
            self._kept -= block.nbytes
            return block

    def _put(self, block: Bytes) -> None:
        with self._lock:
            if block.nbytes > self._kept_bytes:
                return
            self._kept += block.nbytes
            self._free.append(block)
            # The oldest make room: sizes that nobody asks for any more would keep out those that are.
            while self._kept > self._kept_bytes:
                self._kept -= self._free.pop(0).nbytes

    def clear(self) -> None:
        """Give all unused blocks back to the system."""
        with self._lock:
            self._free.clear()
            self._kept = 0


class MappedBlocks:
    """Blocks that stay for long and go together, as a redo window's do, each of them a mapping of its own.

    Within the allocator's heap the holes that they leave are cut up by what is small, so that the next ones do not fit: a heap of
    30 MiB in use took 100. What is lent and what is kept unused are together no more than a bound, or than what is lent.
    """

    def __init__(self, bound_bytes: int) -> None:
        self._bound = bound_bytes
        # Re-entrant: a finalizer may run anywhere in these methods.
        self._lock = threading.RLock()
        #: Without a user, the oldest first.
        self._free: list[mmap.mmap] = []
        self._kept = self._lent = 0

    @property
    def kept_bytes(self) -> int:
        """Mapped and unused."""
        return self._kept

    def take(self, nbytes: int) -> Bytes:
        """A uint8 array of shape (nbytes,), contents undefined. Raises MemoryError."""
        if nbytes < SMALLEST_MAPPED_BYTES:
            return np.empty(nbytes, np.uint8)
        size = _stepped(nbytes)
        block = self._taken(size)
        if block is None:
            try:
                block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            except OSError as error:
                with self._lock:
                    self._lent -= size
                raise MemoryError(f"no memory for {nbytes:,} bytes: {error}") from None
        lent: Bytes = np.frombuffer(block, np.uint8, nbytes)
        weakref.finalize(lent, self._put, block).atexit = False
        return lent

    def _taken(self, size: int) -> mmap.mmap | None:
        """A block of that size, or room in the account for one."""
        with self._lock:
            self._lent += size
            for i in range(len(self._free) - 1, -1, -1):  # what was used last is in the caches
                if len(self._free[i]) == size:
                    self._kept -= size
                    return self._free.pop(i)
            self._shrink()
            return None

    def _put(self, block: mmap.mmap) -> None:
        with self._lock:
            self._lent -= len(block)
            self._kept += len(block)
            self._free.append(block)
            self._shrink()

    def _shrink(self) -> None:
        while self._free and self._kept + self._lent > self._bound:
            self._kept -= len(self._free.pop(0))  # unmapped with its last reference

    def clear(self) -> None:
        """Give all that is unused back to the system, and whatever comes back from now on."""
        with self._lock:
            self._bound = 0
            self._shrink()


def _stepped(nbytes: int) -> int:
    """`nbytes` or a little more: a few sizes fit all. Pages that nobody writes take no memory."""
    step = 1 << max(nbytes - 1, 1).bit_length() - 3
    return -(-nbytes // step) * step
