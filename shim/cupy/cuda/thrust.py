"""`cupy.cuda.thrust`: sorting by device addresses, along the last axis of packed arrays. On arrays: `cupy.sort`, `argsort`, `lexsort`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cupool.contract.spec import spec_of

from ._memories import array_at

available = False
_SORTABLE = "?bBhHiIlLqQefdFD"


def get_build_version() -> int:
    """0: there is none in this process."""
    return 0


def _at(address: int, shape: Sequence[int], dtype: Any) -> Any:
    return array_at(int(address), spec_of(tuple(int(n) for n in shape), np.dtype(dtype)))


def _refuse(dtype: Any, error: type[Exception], what: str) -> None:
    if np.dtype(dtype).char not in _SORTABLE:
        raise error(f"Sorting {what} with dtype '{dtype}' is not supported")


def sort(dtype: Any, data_start: int, keys_start: int, shape: Sequence[int]) -> None:
    """Sort an array in its place. `keys_start` is Thrust's room for segments and is not used."""
    _refuse(dtype, NotImplementedError, "arrays")
    data = _at(data_start, shape, dtype)
    data.sort(axis=-1)


def argsort(dtype: Any, idx_start: int, data_start: int, keys_start: int, shape: Sequence[int]) -> None:
    """Sort an array in its place, and write the places where its elements were, as integers of a pointer's size."""
    _refuse(dtype, NotImplementedError, "arrays")
    data, places = _at(data_start, shape, dtype), _at(idx_start, shape, np.uintp)
    places[...] = data.argsort(axis=-1).astype(np.uintp)
    data.sort(axis=-1)


def lexsort(dtype: Any, idx_start: int, keys_start: int, k: int, n: int) -> None:
    """Write the order of `n` items by `k` keys, of which the last one is the first to compare by."""
    _refuse(dtype, TypeError, "keys")
    from ... import cupy

    keys, places = _at(keys_start, (k, n), dtype), _at(idx_start, (n,), np.uintp)
    places[...] = cupy.lexsort(keys).astype(np.uintp)


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.thrust", name)
