"""The interface between the executor and a device. The executor is single-threaded: calls never overlap, except `running_op` and
`staging`, which bulk transfers call from threads of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from cupool.contract.spec import Spec

#: What is compared, and copied again, at a time where pages are not tracked: one hash of `Device.hashes`.
PIECE_BYTES = 256 << 10


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
    #: whether results may be written over operands that die right behind, see `lastuse.py`
    reuses: bool

    @property
    def select(self) -> Callable[[int, int], None] | None:
        """Makes a device and stream number current for the calls that follow; None when order is total anyway (the CPU device)."""

    @property
    def graphs(self) -> Any:
        """What runs rounds of a plan at once (`run`, see `devices/cuda/graphs.py`); None where each is run by itself."""

    def chains(self, executor: Any, threads: int, waves: bool) -> Any:
        """What runs chains of an executor's elementwise commands at once (`join_of`, `take`, `inner`, as `fusion/` has), or None.

        Args:
            threads: of the CPU that they run on, see `Fusion`.
            waves: segments run together where they follow one another, on a CPU.
        """

    def fault_of(self, error: BaseException) -> str:
        """Why no session of this process can go on after an error, one sentence; empty: it can."""
        ...

    def open(self, accounting: Any, handles: Any) -> None:
        """The session begins: its `accounting.Accounting` (charge memory there before allocating it) and its `handles.Handles`
        (`rebind` puts every alias of a buffer onto other memory)."""

    def enter(self) -> None:
        """Called in each thread before it executes its first batch: thread-bound settings of libraries."""

    def describe(self) -> Any:
        """A `cupool.v1.DeviceInfo`, complete but for the session's own limits."""

    def spare(self) -> Device | None:
        """Another device of this kind, to be thrown away after a rehearsal; None where one more costs something."""

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

    # -- for whoever copies the session: tracking.py, document/ ----------------------------------------------------------

    @property
    def arena(self) -> Any:
        """The session's address range: `base`, `nbytes`, `open_end` (no memory lies beyond it). None where there is none."""

    def fixed(self) -> str:
        """Why a session of this device cannot be written down, one sentence; empty when it can."""
        ...

    @property
    def tracks_pages(self) -> bool:
        """Whether the arena is memory of this process, whose pages the system watches."""
        ...

    @property
    def verifies(self) -> bool:
        """Whether a document has a digest of each buffer, and who restores it compares: memory that only the device can read."""
        ...

    def hashes(self, data: Any) -> list[bytes]:
        """One for each PIECE_BYTES of what `bytes_of` gave, or of the same bytes on the host (uint8), which begin where a piece does."""
        ...

    def digest(self, root: Any) -> bytes:
        """Of all bytes of a root array, as they are."""
        ...

    def bytes_of(self, root: Any) -> Any:
        """The memory of a root array, as uint8 in address order: in place, or with slices that are read when they are asked for, as of
        this moment. Of memory in the CPU device's arena it holds nothing: the block may be freed, and is readable all the same. Of a root
        of `place` it can be written to, until it has `landed`."""

    def arena_address(self, root: Any) -> int:
        """Where a root array lies in the arena; 0: elsewhere."""
        ...

    def offset_in(self, array: Any, root: Any) -> int:
        """Where an array's first element is in its root's memory, bytes."""
        ...

    def offset_of_bytes(self, data: memoryview, root: Any) -> int:
        """The same of bytes that an export shows."""
        ...

    def object_state(self, value: Any, number_of: Callable[[Any], int]) -> tuple[str, Any]:
        """(kind, plain values) of a remote object; objects in it by their number. Raises TypeError for one that cannot be written down."""
        ...

    def object_of(self, kind: str, plain: Any, object_at: Callable[[int], Any]) -> Any:
        """The object again. Raises ValueError."""

    def write_state(self, message: Any, known: set[int]) -> None:
        """What the device has of the session beside arrays and objects, into a `SessionDocument`. `known`: addresses in the arena of the
        document's buffers. Raises LookupError."""

    def read_state(self, message: Any) -> None:
        """The reverse, once all buffers are placed. Raises ValueError, OSError, CupoolError."""

    def place(self, nbytes: int, address: int) -> Any:
        """Memory for a buffer that comes from elsewhere, as a root array of bytes: at an address of the arena, or anywhere (0).
        Raises ValueError, MemoryError."""

    def landed(self, root: Any) -> None:
        """Everything that a root of `place` holds has been written to it."""

    def shaped(self, root: Any, spec: Spec) -> bool:
        """Make a root of `place` an array of `spec`, itself and in place; False where it cannot be, and stays bytes."""
        ...

    def staged(self, root: Any) -> Any:
        """The memory of a root of `place` as `staging` gives it, charged in the same way."""

    def array_over(self, root: Any, offset: int, spec: Spec) -> Any:
        """An array over a root's memory. Raises ValueError where it does not lie in it."""

    def place_in(self, array: Any, root: Any) -> tuple[int, int]:
        """First byte and end of what an array covers in its root's memory."""
        ...

    def synchronize(self) -> None:
        """Wait for everything issued."""

    def memory(self) -> MemoryInfo: ...

    def close(self) -> None:
        """Free everything. Called once, at the session's end."""
