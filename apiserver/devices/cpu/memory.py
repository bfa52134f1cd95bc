"""Arrays of the CPU device as pieces of memory: views with bounds, strides as promised, copies of one's own.

See Note [Buffers] in `apiserver/handles.py`.
"""

from __future__ import annotations

import contextlib
import mmap
from typing import Any

import numpy as np

from cupool.contract.limits import MIB
from cupool.contract.spec import Spec, is_packed

Array = np.ndarray[Any, Any]

#: Of a huge page, as x86-64 and arm64 with small pages of 4 KiB have it; elsewhere the advice covers less, and nothing else changes.
_HUGE_BYTES = 2 * MIB
#: From here on memory that comes with a session lies in huge pages.
_FRESH_BYTES = 4 * MIB


def root_of(array: Array) -> Array:
    """The last array on the `.base` chain: it stands for the memory."""
    base = array.base
    while isinstance(base, np.ndarray):
        array, base = base, base.base
    return array


def address_of(array: Array) -> int:
    """The address of an array's first element."""
    return int(array.__array_interface__["data"][0])


def flat_bytes(root: Array) -> Array:
    """The memory of a packed root as uint8, in address order, sharing it."""
    flat = root.ravel(order="K")
    if flat.size and address_of(flat) != address_of(root):
        raise ValueError("the array's memory is not in one piece")
    return np.ndarray((root.nbytes,), np.uint8, flat.data if root.dtype.kind not in "Mm" else flat.view(np.int64).data)


def raw_bytes(root: Array) -> Array:
    """As `flat_bytes`, of any dtype, also one that the buffer protocol does not know. Raises ValueError."""
    if not root.nbytes:
        return root.reshape(-1)[:0].view(np.uint8) if root.itemsize else np.empty(0, np.uint8)
    flat = root.ravel(order="K")
    if address_of(flat) != address_of(root):
        raise ValueError("the array's memory is not in one piece")
    return flat.view(np.uint8)


def array_over(root: Array, offset: int, spec: Spec) -> Array:
    """An array of `spec` over a root's memory, its first element at `offset`. Raises ValueError where it does not lie in it."""
    low, high = extent(spec)
    if spec.size == 0:
        return np.ndarray(spec.shape, spec.dtype, raw_bytes(root), 0, spec.strides)
    if offset + low < 0 or offset + high > root.nbytes:
        raise ValueError(
            f"an array of {spec.shape} {spec.dtype} at byte {offset} does not lie in its buffer of {root.nbytes} bytes"
        )
    return np.ndarray(spec.shape, spec.dtype, raw_bytes(root), offset, spec.strides)


def fresh(nbytes: int) -> Array:
    """Memory that is about to be filled: uint8 of shape (nbytes,), contents undefined, in huge pages from 4 MiB on.

    The allocator's blocks of that size begin anywhere, so that a sixth of them lies in small pages, which are cleared at a third of the
    speed. A mapping of whole huge pages begins at one (Linux 6.7), and goes back to the system when the array dies.

    Raises:
        MemoryError: there is no room.
    """
    if nbytes < _FRESH_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.empty(nbytes, np.uint8)
    try:
        # Rounded up only to be placed: what lies behind the bytes is never touched.
        mapped = mmap.mmap(-1, -(-nbytes // _HUGE_BYTES) * _HUGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"no room for {nbytes} bytes: {error}") from error
    with contextlib.suppress(OSError):  # a kernel without them: small pages do
        mapped.madvise(mmap.MADV_HUGEPAGE, 0, nbytes // _HUGE_BYTES * _HUGE_BYTES)
    return np.frombuffer(mapped, np.uint8, nbytes)


def view(array: Array, offset: int, spec: Spec) -> Array:
    """A view of `spec`, its first element `offset` bytes from the first one of `array`.

    Raises:
        ValueError: an element would lie outside of the array's buffer.
    """
    try:
        if array.flags.c_contiguous and offset >= 0 and array.nbytes:
            # The common case: within the array itself. NumPy checks the bounds, but not of memory of no bytes.
            return np.ndarray(spec.shape, spec.dtype, array, offset, spec.strides)
    except (ValueError, TypeError):
        pass  # outside of the array, perhaps inside of its buffer
    root = root_of(array)
    at = address_of(array) - address_of(root) + offset
    low, high = extent(spec)
    if spec.size and (at + low < 0 or at + high > root.nbytes):
        raise ValueError(
            f"a view of {spec.shape} {spec.dtype} at byte {at} does not lie in its buffer of {root.nbytes} bytes"
        )
    if spec.size == 0:
        return np.ndarray(spec.shape, spec.dtype, flat_bytes(root), 0, spec.strides)
    return np.ndarray(spec.shape, spec.dtype, flat_bytes(root), at, spec.strides)


def extent(of: Spec | Array) -> tuple[int, int]:
    """First byte and end of the memory that an array, or one of this spec, touches, counted from its first element."""
    low, high = 0, of.itemsize
    for n, stride in zip(of.shape, of.strides, strict=True):
        if n == 0:
            return 0, 0
        if stride < 0:
            low += (n - 1) * stride
        else:
            high += (n - 1) * stride
    return low, high


def empty(spec: Spec) -> Array:
    """A new array with the strides of `spec`, alone in its memory."""
    if spec.c_contiguous:
        made = np.empty(spec.shape, spec.dtype)
    elif spec.f_contiguous:
        made = np.empty(spec.shape, spec.dtype, order="F")
    else:
        made = _empty_strided(spec)
    if made.strides != spec.strides:
        # A dimension of length 0 or 1 may have any stride.
        made = (
            np.ndarray(spec.shape, spec.dtype, made, 0, spec.strides)
            if _fits(spec, made.nbytes)
            else _empty_strided(spec)
        )
    return made


def _fits(spec: Spec, nbytes: int) -> bool:
    low, high = extent(spec)
    return low == 0 and high <= nbytes


def _empty_strided(spec: Spec) -> Array:
    order = sorted(range(spec.ndim), key=lambda k: abs(spec.strides[k]))
    packed = is_packed([(spec.shape[k], abs(spec.strides[k])) for k in order], spec.itemsize)
    low, high = extent(spec)
    memory = np.empty(spec.nbytes if packed else max(high - low, 1), np.uint8)
    return np.ndarray(spec.shape, spec.dtype, memory, -low, spec.strides)


def conform(array: Array, spec: Spec) -> Array:
    """The elements of `array` with the strides of `spec`."""
    made = empty(spec)
    made[...] = array
    return made
