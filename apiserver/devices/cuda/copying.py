"""What copies a session on a GPU: its memory read in slices, put at the same addresses elsewhere, and checked there.

Every array of a session lies in its arena, so each has an address that the copy keeps. Bytes are read through pinned pieces on a stream
of their own; `tracking.py` waits for the device at each look, so what a look reports has been computed. Where they arrive they are
collected in host memory and go to the device at once when all are there (`landed`): whoever sends them sends some of them several times.

Note [Verified]: a document of a GPU has a digest of each buffer's memory, read from the device when the session stood still. The server
that restores it reads its own device's memory and compares, before it says that it is ready: a copy that went wrong, whatever the
reason, is a move that is refused and never a wrong number.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np

from cupool.contract.spec import Spec

from . import memory
from .fingerprints import OnDevice, of_host
from .memory import PIECE_BYTES, Staging

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class Placed(cupy.ndarray):  # type: ignore[misc]
    """Memory that came from elsewhere, as bytes: a root.

    Attributes:
        arriving: its contents while they come, in host memory; None once they are on the device.
    """

    arriving: Bytes | None = None

    @property
    def base(self) -> Any:
        return None


class WeakArrays:
    """Arrays, as long as they are there."""

    def __init__(self) -> None:
        self._known: list[weakref.ref[Any]] = []

    def add(self, array: Any) -> None:
        self._known.append(weakref.ref(array))

    def __bool__(self) -> bool:
        self._known = [known for known in self._known if known() is not None]
        return bool(self._known)


class DeviceBytes:
    """The bytes of a root on the device, read when they are asked for. Keeps the root."""

    def __init__(self, reader: Reader, root: Any) -> None:
        self._reader = reader
        self.root = root
        self.nbytes = int(root.nbytes)
        self.shape = (self.nbytes,)
        self._at = 0
        self._ahead = np.empty(0, np.uint8)

    def __len__(self) -> int:
        return self.nbytes

    def __getitem__(self, part: slice) -> Bytes:
        low, high, step = part.indices(self.nbytes)
        if step != 1:
            raise IndexError("bytes of a device are read in one piece")
        high = max(high, low)
        if low < self._at or high > self._at + self._ahead.nbytes:
            # Whoever reads on is spared a transfer for each of many small slices.
            end = max(high, min(low + PIECE_BYTES, self.nbytes)) if low == self._at + self._ahead.nbytes else high
            self._at, self._ahead = low, self._reader.read(self.root.data, low, end - low)
        return self._ahead[low - self._at : high - self._at]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Bytes:
        return self._reader.read(self.root.data, 0, self.nbytes)

    def __bytes__(self) -> bytes:
        return self.__array__().tobytes()


class Reader:
    """Copies device memory to the host, from any thread, beside what the session computes."""

    def __init__(self, device: Any) -> None:
        """
        Args:
            device: a `cupy.cuda.Device`.
        """
        self._device = device
        self._lock = threading.Lock()
        self._stream: Any = None
        self._pieces: list[Any] = []

    def read(self, pointer: Any, offset: int, nbytes: int) -> Bytes:
        with self._lock, self._device:
            if self._stream is None:
                self._stream = cupy.cuda.Stream(non_blocking=True)
                self._pieces = [memory.Piece(PIECE_BYTES) for _ in range(2)]
            return memory.copied(pointer + offset, nbytes, self._stream, self._pieces)


class Copying:
    """The part of the `Device` protocol that copies sessions. Its class has `_device`, `number`, `_arena`, `_pool`, `limit_bytes`,
    `_cleared` and `_whole`."""

    verifies = True
    tracks_pages = False

    _device: Any
    _arena: Any
    _pool: Any
    _cleared: Any
    _whole: Any
    number: int
    limit_bytes: int

    def _begin_copying(self) -> None:
        """Called once, when the device is made."""
        self._reader = Reader(self._device)
        self._fingerprints: OnDevice | None = None
        #: bytes of blocks that `place` has made, which no pool knows
        self._placed_bytes = 0
        self._placed_lock = threading.RLock()

    @property
    def arena(self) -> Any:
        return self._arena

    def arena_address(self, root: Any) -> int:
        if isinstance(root, np.ndarray) or not root.nbytes:
            return 0
        address = int(root.data.ptr)
        if self._arena is None or not self._arena.holds(address):
            raise LookupError("an array whose memory is not the session's own")
        if not _is_whole(root):
            raise LookupError("an array whose memory has gaps")
        return address

    def bytes_of(self, root: Any) -> Any:
        if isinstance(root, np.ndarray):
            return root.reshape(-1).view(np.uint8)
        if not root.nbytes:
            return np.empty(0, np.uint8)
        arriving = root.arriving if type(root) is Placed else None
        return DeviceBytes(self._reader, root) if arriving is None else arriving

    def offset_in(self, array: Any, root: Any) -> int:
        return int(array.data.ptr) - int(root.data.ptr) if array.size else 0

    def offset_of_bytes(self, data: memoryview, root: Any) -> int:
        return int(np.frombuffer(data, np.uint8).ctypes.data) - int(root.ctypes.data)

    def place_in(self, array: Any, root: Any) -> tuple[int, int]:
        if array is root:
            return 0, int(root.nbytes)
        low, high = memory.range_of(array)
        at = self.offset_in(array, root)
        return at + low, at + high

    # -- memory that comes from elsewhere -----------------------------------------------------------------------------

    def place(self, nbytes: int, address: int) -> Any:
        if not nbytes:
            return cupy.ndarray((0,), np.uint8)
        if not address:
            return np.empty(nbytes, np.uint8)
        if self._arena is None:
            raise ValueError("this server has no arena")
        arena = self._arena

        def malloc(size: int, device_id: int) -> int:
            placed: int = arena.place(address, size)
            return placed

        with self._device:
            pointer = cupy.cuda.PythonFunctionAllocator(malloc, self._freeing(nbytes)).malloc(nbytes)
        with self._placed_lock:
            self._count_placed(nbytes)
        made = Placed((nbytes,), np.uint8, pointer)
        made.arriving = np.empty(nbytes, np.uint8)
        return made

    def _freeing(self, nbytes: int) -> Callable[[int, int], None]:
        def free(address: int, device_id: int) -> None:
            self._free_block(address, device_id)
            with self._placed_lock:
                self._count_placed(-nbytes)

        return free

    def _free_block(self, address: int, device_id: int = 0) -> None:
        """Give a block back to the arena, which may hand it out at once, for use on another stream: what runs is waited for."""
        with self._device:
            self._whole.after_waiting(lambda: self._arena.free(address, device_id))

    def _count_placed(self, nbytes: int) -> None:
        self._placed_bytes += nbytes
        if self.limit_bytes:
            self._pool.set_limit(size=max(self.limit_bytes - self._placed_bytes, 1))

    def shaped(self, root: Any, spec: Spec) -> bool:
        return False  # an array of CuPy's cannot become one of another dtype in place

    def array_over(self, root: Any, offset: int, spec: Spec) -> Any:
        if isinstance(root, np.ndarray):
            raise ValueError("an array over memory of the host")
        return memory.view(root, offset, spec)

    def staged(self, root: Any) -> Any:
        if isinstance(root, np.ndarray):
            return root.data  # an export: a copy in host memory, which nobody is charged for
        return Staging(self.number, int(root.nbytes), root)

    def landed(self, root: Any) -> None:
        """All bytes of a root of `place` are there."""
        if type(root) is not Placed or root.arriving is None:
            return
        staging = Staging(self.number, int(root.nbytes), root)
        staging.write(0, root.arriving)
        staging.finish()
        root.arriving = None

    # -- what is where ------------------------------------------------------------------------------------------------

    def hashes(self, data: Any) -> list[bytes]:
        numbers = self._of_device(data.root) if isinstance(data, DeviceBytes) else of_host(data)
        return [number.to_bytes(8, "little") for number in numbers]

    def digest(self, root: Any) -> bytes:
        """Of a root's memory, as it is. See Note [Verified]."""
        memory_ = self.bytes_of(root)
        return hashlib.blake2b(b"".join(self.hashes(memory_)), digest_size=16, key=str(root.nbytes).encode()).digest()

    def _of_device(self, root: Any) -> list[int]:
        with self._device:
            if self._fingerprints is None:
                plain = cupy.cuda.PythonFunctionAllocator(self._cleared.malloc, self._cleared.free).malloc
                pool = cupy.cuda.MemoryPool(plain)
                self._fingerprints = OnDevice(cupy, pool.malloc, cupy.cuda.Stream(non_blocking=True))
            return self._fingerprints.of(
                root.data, int(root.nbytes), lambda offset, nbytes: self._reader.read(root.data, offset, nbytes)
            )


def _is_whole(root: Any) -> bool:
    """Whether an array is all of the memory between its first byte and its last, with its first element first."""
    low, high = memory.range_of(root)
    return low == 0 and high == root.nbytes


__all__ = ["Copying", "DeviceBytes", "Placed", "Reader", "WeakArrays"]
