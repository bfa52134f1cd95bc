"""`ndarray.mdspan`: an array as a kernel's parameter of type `cuda::std::mdspan`."""

from __future__ import annotations

from typing import Any

import numpy as np

_INT32_MAX = 2**31 - 1


class mdspan:
    """A description of an array for kernels: address, extents, strides in elements. Keeps the array alive.

    Attributes:
        array: the array.
    """

    __module__ = "cupy"

    def __init__(self, array: Any, index_type: Any, allow_unsafe: bool) -> None:
        if index_type not in (np.int32, np.int64):
            raise ValueError(f"Unsupported index_type: {index_type}. Must be cupy.int32 or cupy.int64.")
        if index_type is np.int32 and array.size > _INT32_MAX:
            raise ValueError(
                f"Array size {array.size} exceeds int32 maximum ({_INT32_MAX}). Use index_type=cupy.int64 instead."
            )
        itemsize = array.itemsize
        for what, values in (("size zero", array.shape), ("non-positive stride", array.strides)):
            for d, value in enumerate(values):
                if value <= 0 and not allow_unsafe:
                    raise RuntimeError(
                        f"{d}-th dimension has {what}; pass allow_unsafe=True if the kernel is prepared for it"
                    )
        for d, stride in enumerate(array.strides):
            if stride % itemsize:
                raise RuntimeError(f"{d}-th dimension has a stride that is no multiple of the element's size")
        self.array = array
        self._words = np.array([*array.shape, *(s // itemsize for s in array.strides)], index_type)

    def as_argument(self) -> Any:
        """The bytes of the parameter. Waits for the array's address the first time."""
        data = int(self.array.data.ptr).to_bytes(8, "little") + self._words.tobytes()
        return np.void(data)


def of(array: Any, index_type: Any, allow_unsafe: bool) -> mdspan:
    """The array as an mdspan.

    Raises:
        ValueError: an index type other than int32 and int64, or an array too large for it.
        RuntimeError: dimensions without elements or with strides that are not positive, unless `allow_unsafe`.
    """
    return mdspan(array, index_type, allow_unsafe)
