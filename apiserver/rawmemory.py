"""Device memory that the program itself asked for: `runtime.malloc`, `cupy.cuda.Memory`, the blocks of its memory pools.

Each piece is one uint8 array under a handle, at an address that stays. Which account it goes to is its *source*: RAW (the device's
own memory, beside every pool), POOL (the session's default memory pool), or a device memory pool (`cudaMemPool_t`), which takes the
device's memory in granules and shows what of it is used.

Boundary: accounts and handles. Where memory comes from is `Device.raw`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cupool.contract.errors import CUDARuntimeError
from cupool.contract.memory import (
    ATTR_RELEASE_THRESHOLD,
    ATTR_RESERVED,
    ATTR_RESERVED_HIGH,
    ATTR_USED,
    ATTR_USED_HIGH,
    DEFAULT_MEMPOOL,
    POOL,
    RAW,
)

from .accounting import Accounting, rounded
from .handles import Handles

#: What a device memory pool takes from the device at a time.
GRANULE_BYTES = 2 << 20
_INVALID_VALUE = 1


@dataclass(slots=True)
class MemPool:
    """One device memory pool. Bytes; `threshold` is stored for the program and decides nothing: reserved memory is kept until trimmed."""

    used: int = 0
    used_high: int = 0
    reserved: int = 0
    reserved_high: int = 0
    threshold: int = 0
    destroyed: bool = False


class RawFree:
    """Gives the charge of a piece back when its last handle is gone.

    Attributes:
        source: 1 the session's memory pool (a record's own charge: nothing is left to do), 2 the device, 3 a device memory pool.
        nbytes: what was asked for.
        pool: of source 3.
    """

    __slots__ = ("_memory", "nbytes", "pool", "source")

    def __init__(self, memory: RawMemory, source: int, nbytes: int, pool: MemPool | None = None) -> None:
        self._memory = memory
        self.source = source
        self.nbytes = nbytes
        self.pool = pool

    def __call__(self) -> None:
        self._memory.give(self)


class RawMemory:
    """The raw memory of one session."""

    def __init__(self, device: Any, accounting: Accounting, handles: Handles) -> None:
        self._device = device
        self._accounting = accounting
        self._handles = handles
        self.pools: dict[int, MemPool] = {DEFAULT_MEMPOOL: MemPool()}
        #: the reuse attributes of pools
        self.flags = {1: 1, 2: 1, 3: 1}
        #: the number given last
        self.last = DEFAULT_MEMPOOL

    def allocate(self, handle: int, nbytes: int, source: int) -> int:
        """Make memory under `handle`; returns its address.

        Raises:
            OutOfMemoryError: it does not fit; nothing is charged.
            CUDARuntimeError: no such source, or a size that is none.
        """
        if nbytes <= 0:
            raise CUDARuntimeError(_INVALID_VALUE)
        if source == POOL:
            self._accounting.charge(nbytes)
            root = self._made(nbytes, True, lambda: self._accounting.refund(nbytes))
            self._handles.put_root(handle, root, nbytes, RawFree(self, 1, nbytes))
        elif source == RAW:
            self._accounting.charge_raw(nbytes)
            root = self._made(nbytes, False, lambda: self._accounting.refund_raw(nbytes))
            self._handles.put_root(handle, root, 0, RawFree(self, 2, nbytes))
        else:
            pool = self._pool(source)
            self._take(pool, rounded(nbytes))
            root = self._made(nbytes, False, lambda: self._give(pool, rounded(nbytes)))
            self._handles.put_root(handle, root, 0, RawFree(self, 3, nbytes, pool))
        return int(self._device.address(root))

    def _made(self, nbytes: int, pooled: bool, undo: Any) -> Any:
        try:
            return self._device.raw(nbytes, pooled)
        except BaseException:
            undo()
            raise

    def give(self, free: RawFree) -> None:
        """A piece is gone."""
        if free.source == 2:
            self._accounting.refund_raw(free.nbytes)
        elif free.pool is not None:
            self._give(free.pool, rounded(free.nbytes))

    def number_of(self, pool: MemPool) -> int:
        """A device memory pool's number; 0 when it is destroyed."""
        return next((number for number, one in self.pools.items() if one is pool), 0)

    def _take(self, pool: MemPool, size: int) -> None:
        missing = pool.used + size - pool.reserved
        if missing > 0:
            growth = -(-missing // GRANULE_BYTES) * GRANULE_BYTES
            self._accounting.charge_raw(growth)
            pool.reserved += growth
            pool.reserved_high = max(pool.reserved_high, pool.reserved)
        pool.used += size
        pool.used_high = max(pool.used_high, pool.used)

    def _give(self, pool: MemPool, size: int) -> None:
        pool.used -= size
        if pool.destroyed:
            self._trim(pool, 0)

    def _trim(self, pool: MemPool, keep: int) -> None:
        needed = max(pool.used, keep)
        kept = min(pool.reserved, -(-needed // GRANULE_BYTES) * GRANULE_BYTES)
        self._accounting.refund_raw(pool.reserved - kept)
        pool.reserved = kept

    def _pool(self, number: int) -> MemPool:
        pool = self.pools.get(number)
        if pool is None:
            raise CUDARuntimeError(_INVALID_VALUE)
        return pool

    # -- device memory pools ------------------------------------------------------------------------------------------

    def mempool(self, what: str, pool: int, attribute: int, value: int) -> int:
        """`@mempool`: "create", "destroy", "get", "set" or "trim"; returns the pool's number, the attribute's value, or 0."""
        action = {
            "create": self._create, "destroy": self._destroy, "get": self._get, "set": self._set, "trim": self._trim_to,
        }.get(what)  # fmt: skip
        if action is None:
            raise CUDARuntimeError(_INVALID_VALUE)
        return action(pool, attribute, value)

    def _create(self, pool: int, attribute: int, value: int) -> int:
        self.last += 1
        self.pools[self.last] = MemPool()
        return self.last

    def _destroy(self, number: int, attribute: int, value: int) -> int:
        if number == DEFAULT_MEMPOOL:
            raise CUDARuntimeError(_INVALID_VALUE)
        pool = self._pool(number)
        del self.pools[number]
        pool.destroyed = True
        self._trim(pool, 0)
        return 0

    def _get(self, number: int, attribute: int, value: int) -> int:
        pool = self._pool(number)
        found = {
            ATTR_RELEASE_THRESHOLD: pool.threshold, ATTR_RESERVED: pool.reserved, ATTR_RESERVED_HIGH: pool.reserved_high,
            ATTR_USED: pool.used, ATTR_USED_HIGH: pool.used_high, **self.flags,
        }.get(attribute)  # fmt: skip
        if found is None:
            raise CUDARuntimeError(_INVALID_VALUE)
        return found

    def _set(self, number: int, attribute: int, value: int) -> int:
        pool = self._pool(number)
        if attribute == ATTR_RELEASE_THRESHOLD:
            pool.threshold = value
        elif attribute == ATTR_RESERVED_HIGH and value == 0:
            pool.reserved_high = pool.reserved
        elif attribute == ATTR_USED_HIGH and value == 0:
            pool.used_high = pool.used
        elif attribute in self.flags:
            self.flags[attribute] = int(bool(value))
        else:
            raise CUDARuntimeError(_INVALID_VALUE)
        return 0

    def _trim_to(self, number: int, attribute: int, value: int) -> int:
        self._trim(self._pool(number), value)
        return 0
