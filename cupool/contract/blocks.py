"""Large host buffers that are used again: a fresh one costs more in page faults than in copying.

The allocator keeps blocks of up to 32 MiB (`cupool.contract.malloc`); this keeps a few larger ones. A block goes back by itself when
the last array over it dies. Any thread.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np

from cupool.contract.limits import MIB

#: Smaller blocks are the allocator's.
SMALLEST_BYTES = 32 * MIB
#: Bytes kept unused, at most.
KEPT_BYTES = 512 * MIB

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
            if self._kept + block.nbytes <= self._kept_bytes:
                self._kept += block.nbytes
                self._free.append(block)

    def clear(self) -> None:
        """Give all unused blocks back to the system."""
        with self._lock:
            self._free.clear()
            self._kept = 0
