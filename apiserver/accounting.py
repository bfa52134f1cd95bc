"""What a session holds, counted as CuPy's memory pool counts it, and refused before it is allocated.

A buffer is charged once, rounded up to 512 bytes, from its first array to its last. Freed blocks stay in `total` until
`free_blocks`, as a pool shows them, although the memory itself is given back at once.

Raw memory (`runtime.malloc`, device memory pools) is the session's but not its pool's: it counts against the lease alone.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from cupool.contract.errors import OutOfMemoryError

from .devices.base import MemoryInfo

#: CuPy rounds every allocation up to this.
BLOCK_BYTES = 512


def rounded(nbytes: int) -> int:
    """What a buffer of `nbytes` is charged."""
    return (nbytes + BLOCK_BYTES - 1) & -BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class Usage:
    """A session's account, for status and metrics."""

    used_bytes: int
    peak_bytes: int
    limit_bytes: int
    handles: int
    modules: int
    kernel_s: float


class Accounting:
    """The account of one session. Only the executing thread changes it, but for `stage` and `unstage`."""

    __slots__ = (
        "_lock",
        "_staged",
        "asked_limit",
        "ceiling",
        "kernel_s",
        "lease_limit",
        "modules",
        "peak",
        "raw",
        "total",
        "used",
    )

    def __init__(self, lease_limit: int) -> None:
        #: bytes charged now
        self.used = 0
        #: most bytes ever charged at once
        self.peak = 0
        #: bytes the pool shows as its own: the most charged since the last `free_blocks`
        self.total = 0
        #: bytes of raw memory charged now
        self.raw = 0
        #: what the lease allows, bytes
        self.lease_limit = lease_limit
        #: what the program asked for with MemoryPool.set_limit, 0: nothing
        self.asked_limit = 0
        #: compiled kernels and modules made
        self.modules = 0
        #: seconds spent executing
        self.kernel_s = 0.0
        #: bytes of transfers that no array owns yet; charged by other threads
        self._staged = 0
        self._lock = threading.Lock()
        #: charging beyond this needs `grow`: it is either a new peak or too much
        self.ceiling = 0

    @property
    def limit(self) -> int:
        """The bytes this session's pool may hold now."""
        room = self.lease_limit - self.raw
        return min(room, self.asked_limit) if self.asked_limit else room

    def _settle(self) -> None:
        self.ceiling = min(self.total, self.limit - self._staged)

    def charge(self, nbytes: int) -> None:
        """Charge a buffer of `nbytes` (rounded here).

        Raises:
            OutOfMemoryError: it would not fit; nothing is charged.
        """
        size = rounded(nbytes)
        if self.used + size > self.ceiling:
            self.grow(size)
        self.used += size

    def grow(self, size: int) -> None:
        """Make room in the books for `size` more bytes (already rounded), without charging them. Raises OutOfMemoryError."""
        if not size:
            return  # a call that takes no memory goes on also where a limit was set below what is used
        wanted = self.used + size
        if wanted > self.limit - self._staged:
            raise OutOfMemoryError(size, self.used, self.limit)
        self.total = max(self.total, wanted)
        self.peak = max(self.peak, wanted)
        self._settle()

    def has_room(self, size: int) -> bool:
        """Whether `size` more bytes (already rounded) may be charged."""
        return self.used + size <= self.limit - self._staged

    def reached(self, size: int) -> None:
        """`size` bytes (already rounded) more than now were charged for a moment."""
        self.total = max(self.total, self.used + size)
        self.peak = max(self.peak, self.used + size)
        self._settle()

    def rewind(self, used: int, peak: int, total: int) -> None:
        """What was charged since these were the books has not happened. What other threads have staged meanwhile stays."""
        with self._lock:
            self.used, self.peak, self.total = used, peak, total
            self._settle()

    def refund(self, nbytes: int) -> None:
        """The buffer of `nbytes` is gone."""
        self.used -= rounded(nbytes)

    def charge_raw(self, nbytes: int) -> None:
        """Charge raw memory (rounded here). Raises OutOfMemoryError; nothing is charged then."""
        size = rounded(nbytes)
        if self.used + self._staged + self.raw + size > self.lease_limit:
            raise OutOfMemoryError(size, self.used + self._staged + self.raw, self.lease_limit)
        self.raw += size
        self.peak = max(self.peak, self.used + self.raw)
        self._settle()

    def refund_raw(self, nbytes: int) -> None:
        """Raw memory of `nbytes` is gone."""
        self.raw -= rounded(nbytes)
        self._settle()

    def stage(self, nbytes: int) -> None:
        """Charge memory for a transfer to come; from any thread. Raises OutOfMemoryError."""
        size = rounded(nbytes)
        with self._lock:
            if self.used + self._staged + size > self.limit:
                raise OutOfMemoryError(size, self.used + self._staged, self.limit)
            self._staged += size
            self._settle()

    def unstage(self, nbytes: int) -> None:
        """A transfer's memory was taken by an array, or dropped; from any thread."""
        with self._lock:
            self._staged -= rounded(nbytes)
            self._settle()

    def restore(self, used: int, peak: int, total: int, raw: int, asked_limit: int) -> None:
        """The books of a session that comes from elsewhere; what is staged is charged apart."""
        self.used, self.peak, self.total, self.raw, self.asked_limit = used, peak, total, raw, asked_limit
        self._settle()

    def free_blocks(self) -> None:
        """MemoryPool.free_all_blocks."""
        self.total = self.used
        self._settle()

    def set_limit(self, size: int | None, fraction: float | None) -> None:
        """MemoryPool.set_limit, with CuPy's errors. A limit above the lease is accepted and the lease stays."""
        if size is None and fraction is None:
            size = 0
        if size is not None and fraction is not None:
            raise ValueError("size and fraction cannot be specified at one time")
        if fraction is not None:
            if not 0 <= fraction <= 1:
                raise ValueError(f"memory limit fraction out of range: {fraction}")
            size = int(self.lease_limit * fraction)
        assert size is not None
        if size < 0:
            raise ValueError(f"memory limit size out of range: {size}")
        self.asked_limit = size
        self._settle()

    def memory(self) -> MemoryInfo:
        """As `@memory` replies it. The device's total is the lease: more is not this session's to see."""
        used = self.used + self._staged
        total = max(self.total, used)
        return MemoryInfo(
            used=used,
            total=total,
            free=total - used,
            limit=self.asked_limit,
            device_free=max(self.lease_limit - total - self.raw, 0),
            device_total=self.lease_limit,
        )
