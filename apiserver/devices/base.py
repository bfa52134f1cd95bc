"""The interface between the executor and a device. The executor is single-threaded: calls never overlap, except `running_op` and
`staging`, which bulk transfers call from threads of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from cupool.contract.spec import Spec


@dataclass(frozen=True, slots=True)
class MemoryInfo:
    """Bytes. `used`, `total`, `free` and `limit` are the session's pool (as CuPy's MemoryPool); the others are the device's."""

    used: int
    total: int
    free: int
    limit: int
    device_free: int
    device_total: int


class Device(Protocol):
    """One device of one kind. `Array` below is numpy.ndarray on the CPU device and cupy.ndarray on CUDA."""

    kind: str  # "cpu" or "cuda"
    array_type: type[Any]

    @property
    def select(self) -> Callable[[int, int], None] | None:
        """Makes a device and stream number current for the calls that follow; None when order is total anyway (the CPU device)."""

    def open(self, accounting: Any, handles: Any) -> None:
        """The session begins: its `accounting.Accounting` (charge memory there before allocating it) and its `handles.Handles`
        (`rebind` puts every alias of a buffer onto other memory)."""

    def enter(self) -> None:
        """Called in each thread before it executes its first batch: thread-bound settings of libraries."""

    def describe(self) -> Any:
        """A `cupool.v1.DeviceInfo`, complete but for the session's own limits."""

    def warm(self) -> None:
        """Create the context and run one op of each library; before the server says READY."""

    def resolve(self, impl: str) -> Callable[..., Any]:
        """The implementation of `row.impl`. Raises KeyError when this device has none: the server then refuses to start, or,
        for rows that the device declares missing, answers OpMissing when called."""
        ...

    def missing(self) -> dict[str, str]:
        """impl name -> reason, for ops this device cannot have (no library, no compiler)."""
        ...

    def as_array(self, value: Any) -> Any:
        """A device array of what an implementation returned instead of one (a NumPy or Python scalar). TypeError for anything else."""

    def host_value(self, value: Any) -> Any:
        """What a reply sends for a value that `contract.values.encode` does not know: device arrays as numpy arrays."""

    def copy(self, array: Any, spec: Spec | None) -> Any:
        """A new array with the same elements in memory of its own (`.base` is None), strides as in `spec` (None: packed, C order)."""

    def from_bytes(self, spec: Spec, data: bytes) -> Any:
        """A new array of `spec` from bytes in C order. Already charged."""

    def free_blocks(self) -> None:
        """Give memory that is kept for reuse back to the system."""

    def empty(self, spec: Spec) -> Any:
        """A new array of this spec (packed), accounted. Raises OutOfMemoryError before allocating."""

    def raw(self, nbytes: int, pooled: bool) -> Any:
        """Device memory as a uint8 array that is its own root, at an address that stays until it is dropped; already charged.
        `pooled`: from the session's memory pool. Raises OutOfMemoryError."""

    def address(self, array: Any) -> int:
        """The device address of an array's first element."""
        ...

    def upload(self, spec: Spec, staging: Any) -> Any:
        """An array of `spec` (C order) from the host buffer that `staging` returned; takes ownership where it can."""

    def staging(self, nbytes: int) -> Any:
        """Where a transfer to come is put, accounted: writable host memory as a memoryview (on the CPU device it becomes the array
        itself), or an object with `write(offset, data)` for uint8 arrays in rising order. Called from threads of transfers."""

    def download(self, array: Any) -> memoryview:
        """The bytes of an array in C order; a copy, or a view that stays valid and unchanged while referenced."""
        ...

    def pin(self, array: Any) -> memoryview | None:
        """The bytes of an array in C order, in place, if they stay where they are while referenced and only commands write to them;
        else None: then `download` copies. The executor copies them before a command writes."""

    def view(self, array: Any, offset: int, spec: Spec) -> Any:
        """A view `offset` bytes from the first element of `array`; every element must lie in array's buffer, else ValueError."""

    def conform(self, array: Any, spec: Spec) -> Any:
        """`array` (a fresh result of right shape and dtype) with the strides of `spec`; a copy where they differ."""

    def buffer_of(self, array: Any) -> Any:
        """The object that stands for the memory an array lives in; equal identity for all arrays that share it."""

    def synchronize(self) -> None:
        """Wait for everything issued."""

    def memory(self) -> MemoryInfo: ...

    def close(self) -> None:
        """Free everything. Called once, at the session's end."""
