"""Arrays of the CUDA device as pieces of memory: views that name their root, strides as promised, staging by pinned chunks."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import cupy
import numpy as np

from cupool.contract.errors import ProtocolError
from cupool.contract.limits import MIB
from cupool.contract.spec import Spec

#: Pinned host memory of one upload: two pieces, so that one fills while the other goes to the device.
PIECE_BYTES = 4 * MIB


class View(cupy.ndarray):  # type: ignore[misc]
    """An array over memory of another one that CuPy itself would not connect with it: `base` says whose memory it is.

    CuPy has no public way to make a view of any strides that knows its base, and the handle table counts memory by bases.
    """

    _root: Any = None

    @property
    def base(self) -> Any:
        root = self._root
        # An op's fresh result of this class copies attributes from its operand; then the memory is another.
        return root if root is not None and root.data.mem is self.data.mem else None

    def __array_finalize__(self, obj: Any) -> None:
        root = getattr(obj, "_root", None)
        self._root = obj if root is None else root


def root_of(array: Any) -> Any:
    """The last array on the `.base` chain: it stands for the memory."""
    while array.base is not None:
        array = array.base
    return array


def plain(array: Any) -> Any:
    """The same array as an exact `cupy.ndarray`."""
    if type(array) is cupy.ndarray:
        return array
    return cupy.ndarray(array.shape, array.dtype, array.data, array.strides)


def extent(spec: Spec) -> tuple[int, int]:
    """First byte and end of what an array of this spec touches, counted from its first element."""
    if spec.size == 0:
        return 0, 0
    steps = [(n - 1) * stride for n, stride in zip(spec.shape, spec.strides, strict=True)]
    return sum(s for s in steps if s < 0), spec.itemsize + sum(s for s in steps if s > 0)


def view(array: Any, offset: int, spec: Spec) -> Any:
    """A view of `spec`, its first element `offset` bytes from the first one of `array`.

    Raises:
        ValueError: an element would lie outside of the array's buffer.
    """
    root = root_of(array)
    at = array.data.ptr - root.data.ptr + offset
    low, high = extent(spec)
    root_low, root_high = range_of(root)
    if spec.size and (at + low < root_low or at + high > root_high):
        raise ValueError(
            f"a view of {spec.shape} {spec.dtype} at byte {at} does not lie in its buffer of {root.nbytes} bytes"
        )
    made = View(spec.shape, spec.dtype, array.data + (offset if spec.size else 0), spec.strides)
    made._root = root
    return made


def range_of(array: Any) -> tuple[int, int]:
    steps = [(n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True) if n]
    return sum(s for s in steps if s < 0), array.dtype.itemsize + sum(s for s in steps if s > 0) if array.size else 0


def empty(spec: Spec) -> Any:
    """A new array with the strides of `spec`, alone in its memory. Where these leave gaps, or go backwards, its root is the bytes."""
    low, high = extent(spec)
    nbytes = max(high - low, spec.nbytes)
    memory = cupy.cuda.alloc(nbytes)
    if not low and high == spec.nbytes:
        return cupy.ndarray(spec.shape, spec.dtype, memory, spec.strides)
    made = View(spec.shape, spec.dtype, memory + -low if low else memory, spec.strides)
    made._root = cupy.ndarray((nbytes,), np.uint8, memory)
    return made


def conform(array: Any, spec: Spec) -> Any:
    """The elements of `array` in new memory with the strides of `spec`."""
    made = empty(spec)
    made[...] = array
    return made


class Staging:
    """An upload on its way: pieces go through a little pinned memory to the array's own device memory, so that an upload of any size
    needs no second copy of itself on the host. Written by one thread at a time, not the executor's.

    Attributes:
        root: device memory of `nbytes` as an array of bytes; its memory becomes the array.
    """

    def __init__(self, device: int, nbytes: int, root: Any = None) -> None:
        """
        Args:
            root: memory that is there already; None: new one.
        """
        self.nbytes = nbytes
        self._pieces: list[Piece] = []
        self._device = cupy.cuda.Device(device)
        with self._device:
            self.root = cupy.ndarray((nbytes,), np.uint8, cupy.cuda.alloc(nbytes)) if root is None else root
            self._stream = cupy.cuda.Stream(non_blocking=True)
            self._pieces = [Piece(min(PIECE_BYTES, nbytes)) for _ in range(2)]
            # The memory may be a block that an earlier kernel still uses.
            self._stream.wait_event(cupy.cuda.Stream.null.record())
        self._turn = 0
        self._lock = threading.Lock()

    def write(self, offset: int, data: np.ndarray[Any, Any]) -> None:
        """Put `data` (uint8) at `offset`."""
        with self._lock, self._device:
            for at in range(0, len(data), PIECE_BYTES):
                part = data[at : at + PIECE_BYTES]
                piece = self._pieces[self._turn]
                self._turn ^= 1
                piece.free.synchronize()
                piece.host[: len(part)] = part
                target = self.root.data + offset + at
                target.copy_from_host_async(piece.pointer, len(part), self._stream)
                piece.free.record(self._stream)

    def finish(self) -> Any:
        """All bytes are written: the memory, a `cupy.cuda.MemoryPointer`, usable on the current stream."""
        with self._lock, self._device:
            self._stream.synchronize()
            self._pieces.clear()
        return self.root.data

    def __del__(self) -> None:
        # Given up: its memory goes back to the pool, which knows nothing of our stream. A copy under way would land in what is there then.
        if self._pieces:
            # A device that refuses everything after a fault copies nothing either.
            with self._device, contextlib.suppress(cupy.cuda.runtime.CUDARuntimeError):
                self._stream.synchronize()


class Piece:
    """Pinned host memory with an event that says when it is free again."""

    def __init__(self, nbytes: int) -> None:
        self._pinned = cupy.cuda.alloc_pinned_memory(nbytes)
        self.host = np.frombuffer(self._pinned, np.uint8, nbytes)
        self.pointer = self._pinned.ptr
        self.free = cupy.cuda.Event(disable_timing=True)


def download(array: Any) -> memoryview:
    """A host copy of an array's bytes in C order, by way of pinned pieces."""
    packed = plain(array) if array.flags.c_contiguous else cupy.ascontiguousarray(array)
    pieces = [Piece(min(PIECE_BYTES, max(packed.nbytes, 1))) for _ in range(2)]
    return copied(packed.data, packed.nbytes, cupy.cuda.get_current_stream(), pieces).data


def copied(pointer: Any, nbytes: int, stream: Any, pieces: list[Piece]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Device memory in new host memory. `pieces`: two, each as large as PIECE_BYTES or as `nbytes`."""
    result = np.empty(nbytes, np.uint8)
    waiting: list[tuple[int, int, Piece]] = []
    for k, at in enumerate(range(0, nbytes, PIECE_BYTES)):
        if len(waiting) == 2:
            _land(result, *waiting.pop(0))
        piece, size = pieces[k & 1], min(PIECE_BYTES, nbytes - at)
        (pointer + at).copy_to_host_async(piece.pointer, size, stream)
        piece.free.record(stream)
        waiting.append((at, size, piece))
    for landing in waiting:
        _land(result, *landing)
    return result


def _land(result: np.ndarray[Any, Any], at: int, size: int, piece: Piece) -> None:
    piece.free.synchronize()
    result[at : at + size] = piece.host[:size]


def check_bytes(nbytes: int, spec: Spec) -> None:
    """Raises ProtocolError when an upload is too short for its array."""
    if nbytes < spec.nbytes:
        raise ProtocolError(f"{nbytes} bytes were uploaded for an array of {spec.nbytes}.")
