"""Addresses of one session: every device address that its program or kernels can have seen lies in one reserved range.

So that raw pointers, and pointers stored inside device memory, can stay valid after a move. The range is reserved once with CUDA's virtual
memory management and mapped granule by granule; CuPy's memory pool takes its blocks from here.

Boundary: `Space` is bookkeeping and knows no CUDA; `Arena` drives a `Mapper`, of which `DriverMapper` is the one that talks to the driver.
"""

from __future__ import annotations

import bisect
import threading
from typing import Any, Protocol

from .driver import Driver

#: Alignment of every block, as cudaMalloc gives.
BLOCK_BYTES = 512


class Space:
    """First-fit allocation in [base, base + size): the lowest address that fits, so that equal programs get equal addresses.

    Attributes:
        used: address -> bytes of live blocks.
    """

    def __init__(self, base: int, size: int) -> None:
        self.base = base
        self.size = size
        self.used: dict[int, int] = {}
        self._free: list[tuple[int, int]] = [(base, size)]  # (address, bytes), by address, never adjacent

    def take(self, size: int) -> int:
        """The address of a new block. Raises MemoryError when no gap is large enough."""
        size = -(-max(size, 1) // BLOCK_BYTES) * BLOCK_BYTES
        for i, (address, gap) in enumerate(self._free):
            if gap >= size:
                if gap == size:
                    del self._free[i]
                else:
                    self._free[i] = (address + size, gap - size)
                self.used[address] = size
                return address
        raise MemoryError(f"no gap of {size} bytes in an arena of {self.size}")

    def take_at(self, address: int, size: int) -> None:
        """A new block at an address. Raises ValueError where that is not free, or is none that `take` gives."""
        size = -(-max(size, 1) // BLOCK_BYTES) * BLOCK_BYTES
        i = bisect.bisect(self._free, (address, self.size + 1)) - 1
        start, gap = self._free[i] if i >= 0 else (0, 0)
        if address % BLOCK_BYTES or not start <= address or address + size > start + gap:
            raise ValueError(f"{size} bytes at {address:#x} are not free in the arena")
        pieces = [(start, address - start), (address + size, start + gap - address - size)]
        self._free[i : i + 1] = [piece for piece in pieces if piece[1]]
        self.used[address] = size

    def give(self, address: int) -> int:
        """Free a block; returns its bytes. Raises KeyError for an address that is none."""
        size = self.used.pop(address)
        i = bisect.bisect(self._free, (address, 0))
        start, end = address, address + size
        if i < len(self._free) and self._free[i][0] == end:
            end += self._free.pop(i)[1]
        if i and sum(self._free[i - 1]) == start:
            i -= 1
            start = self._free.pop(i)[0]
        self._free.insert(i, (start, end - start))
        return size

    def gaps(self) -> list[tuple[int, int]]:
        """(address, bytes) of what is free, by address."""
        return list(self._free)

    def covers(self, address: int, nbytes: int) -> bool:
        """Whether [address, address + nbytes) lies inside one live block."""
        starts = sorted(self.used)
        i = bisect.bisect(starts, address) - 1
        return i >= 0 and nbytes >= 0 and address + nbytes <= starts[i] + self.used[starts[i]]


class Mapper(Protocol):
    """Puts memory behind addresses."""

    granule: int

    def reserve(self, size: int, hint: int) -> int:
        """Reserve a range; returns its base, which is `hint` only if that was possible."""
        ...

    def map(self, address: int, size: int) -> None:
        """Put memory behind whole granules. Raises MemoryError when the device has none left."""

    def clear(self, runs: list[tuple[int, int]]) -> None:
        """Write zeros to these (address, size), and wait until they are there."""

    def unmap(self, address: int, size: int) -> None:
        """Take away what one `map` put there."""

    def release(self, base: int, size: int) -> None:
        """Give the range back."""


class Arena:
    """Memory of one session in one range. Thread-safe.

    Args:
        size: bytes of addresses to reserve; memory is taken only as blocks need it.
        hint: where the range should begin; 0: anywhere.
    """

    def __init__(self, mapper: Mapper, size: int, hint: int = 0) -> None:
        self._mapper = mapper
        self._granule = mapper.granule
        self.nbytes = -(-size // self._granule) * self._granule
        self.base = mapper.reserve(self.nbytes, hint)
        self._space = Space(self.base, self.nbytes)
        #: Start of each mapped run -> its bytes, by address.
        self._runs: dict[int, int] = {}
        #: Granules that have memory, by number from the base.
        self._mapped: set[int] = set()
        # Re-entrant: CuPy frees from finalizers, which may run inside of `malloc`.
        self._lock = threading.RLock()

    def malloc(self, size: int, device_id: int = 0) -> int:
        """For `cupy.cuda.PythonFunctionAllocator`. Raises MemoryError."""
        with self._lock:
            return self._backed(self._space.take(size))

    def place(self, address: int, size: int) -> int:
        """As `malloc`, at an address. Raises ValueError where that is not free, MemoryError."""
        with self._lock:
            self._space.take_at(address, size)
            return self._backed(address)

    def _backed(self, address: int) -> int:
        try:
            self._back(address, self._space.used[address])
        except BaseException:
            self._space.give(address)
            raise
        return address

    def free(self, address: int, device_id: int = 0) -> None:
        """For `cupy.cuda.PythonFunctionAllocator`. The memory stays mapped until `trim`."""
        with self._lock:
            self._space.give(address)

    def _back(self, address: int, size: int) -> None:
        """Map every granule of a block that has no memory yet, in runs."""
        first = (address - self.base) // self._granule
        last = (address + size - 1 - self.base) // self._granule
        start = None
        for number in range(first, last + 2):
            if number <= last and number not in self._mapped:
                start = number if start is None else start
            elif start is not None:
                at, nbytes = self.base + start * self._granule, (number - start) * self._granule
                self._mapper.map(at, nbytes)
                self._runs[at] = nbytes
                self._mapped.update(range(start, number))
                start = None

    def trim(self) -> int:
        """Clear and unmap every run that no live block touches; returns the bytes given back to the device."""
        with self._lock:
            gaps, idle = self._space.gaps(), []
            for at, nbytes in self._runs.items():
                i = bisect.bisect(gaps, (at, self.nbytes + 1)) - 1
                if i >= 0 and gaps[i][0] <= at and at + nbytes <= sum(gaps[i]):
                    idle.append((at, nbytes))
            if idle:
                self._mapper.clear(idle)
            for at, nbytes in idle:
                self._mapper.unmap(at, nbytes)
                del self._runs[at]
                first = (at - self.base) // self._granule
                self._mapped.difference_update(range(first, first + nbytes // self._granule))
        return sum(nbytes for _, nbytes in idle)

    def clear(self) -> None:
        """Write zeros to all memory of the arena, live blocks included: the session is over, and the next one may get this memory."""
        with self._lock:
            if self._runs:
                self._mapper.clear(list(self._runs.items()))

    def covers(self, address: int, nbytes: int) -> bool:
        """Whether these bytes lie inside one live block."""
        with self._lock:
            return self._space.covers(address, nbytes)

    def holds(self, address: int) -> bool:
        """Whether an address lies in the range."""
        return self.base <= address < self.base + self.nbytes

    @property
    def mapped_bytes(self) -> int:
        with self._lock:
            return len(self._mapped) * self._granule

    def close(self) -> None:
        """Clear and unmap everything and give the range back. Nothing may use it any more."""
        with self._lock:
            self.clear()
            for at, nbytes in self._runs.items():
                self._mapper.unmap(at, nbytes)
            self._runs.clear()
            self._mapped.clear()
            self._mapper.release(self.base, self.nbytes)


class DriverMapper:
    """CUDA's virtual memory management, for one device.

    Raises:
        OSError: there is no driver. RuntimeError: this device or driver has no virtual memory management.
    """

    def __init__(self, device: int, driver: Driver | None = None) -> None:
        self._driver, self._device = driver or Driver(), device
        self.granule = self._driver.granularity(device)
        self.reserve, self.release = self._driver.reserve, self._driver.release
        self.unmap, self.clear = self._driver.unmap, self._driver.clear

    def map(self, address: int, size: int) -> None:
        self._driver.map(self._device, address, size)


class ClearedMemory:
    """Device memory without an arena, for `cupy.cuda.PythonFunctionAllocator`: cleared before it is given back."""

    def __init__(self, runtime: Any) -> None:
        """
        Args:
            runtime: `cupy.cuda.runtime`.
        """
        self._runtime = runtime
        self._live: dict[int, int] = {}
        self._lock = threading.RLock()

    def malloc(self, size: int, device_id: int = 0) -> int:
        address = int(self._runtime.malloc(size))
        with self._lock:
            self._live[address] = size
        return address

    def free(self, address: int, device_id: int = 0) -> None:
        with self._lock:
            size = self._live.pop(address)
        self._runtime.memset(address, 0, size)
        self._runtime.free(address)  # waits for the device

    def clear(self) -> None:
        """Write zeros to what is live: the session is over."""
        with self._lock:
            for address, size in self._live.items():
                self._runtime.memset(address, 0, size)
        self._runtime.deviceSynchronize()
