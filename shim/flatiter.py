"""`a.flat`: an array seen as one-dimensional, in C order."""

from __future__ import annotations

from typing import Any, Self

import numpy as np


class flatiter:
    """Iterator and one-dimensional indexer over an array. Indices: integers, slices and Ellipsis, as in CuPy."""

    __module__ = "cupy"

    def __init__(self, a: Any) -> None:
        self._base = a
        self._index = 0

    @property
    def base(self) -> Any:
        """The array that is iterated over."""
        return self._base

    def copy(self) -> Any:
        """The elements as a one-dimensional array."""
        return self._base.flatten()

    def __len__(self) -> int:
        return int(self._base.size)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if self._index == len(self):
            raise StopIteration
        self._index += 1
        return self[self._index - 1]

    def __getitem__(self, ind: Any) -> Any:
        return self._base.flatten()[self._checked(ind)].copy()

    def __setitem__(self, ind: Any, value: Any) -> None:
        from ._generated import functions
        from .convert import asarray
        from .local import may_share_memory

        base, ind = self._base, self._checked(ind)
        flat = base.reshape(-1)
        shared = flat.base is not None and may_share_memory(flat, base)
        if isinstance(ind, slice):
            value = functions.resize(asarray(value, dtype=base.dtype), flat[ind].shape)
        flat[ind] = value
        if not shared:
            base[...] = flat.reshape(base.shape)

    def _checked(self, ind: Any) -> Any:
        if ind is Ellipsis:
            return slice(None)
        if isinstance(ind, slice) or (np.isscalar(ind) and not isinstance(ind, (bool, str))):
            return ind if isinstance(ind, slice) else int(ind)  # type: ignore[arg-type]
        raise IndexError("unsupported iterator index")
