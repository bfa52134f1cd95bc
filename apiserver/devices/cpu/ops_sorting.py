"""Sorting, searching and sets on NumPy. CuPy's sorts are stable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: NumPy, for calls whose arguments only the command knows: its overloads want them literal.
xp: Any = np


#: Elements from which NumPy's vectorised sort is worth a look at the values.
_LARGE = 1 << 12
#: Elements that are looked at for equal ones before a whole array is sorted in the hope that it has none.
_SAMPLE = 1 << 10


def _is_zero(a: Array) -> Array:
    found: Array = a == 0
    return found


def sort(a: Array, axis: Any = -1, kind: Any = None) -> Any:
    if a.size < _LARGE or a.dtype.kind not in "iuf":
        return np.ascontiguousarray(np.sort(a, axis=axis, kind="stable"))
    if axis is None:
        a, axis = a.ravel(), -1
    result = np.ascontiguousarray(np.sort(a, axis=axis))
    if a.dtype.kind == "f":
        # Equal floats of different bits, the two zeros and NaN, are put into the order that they came in, as a stable sort leaves them:
        # each row has as many of them before as after.
        rows, ordered = np.moveaxis(a, axis, -1), np.moveaxis(result, axis, -1)
        for is_alike in (_is_zero, np.isnan):
            places = is_alike(ordered)
            if places.any():
                ordered[places] = rows[is_alike(rows)]
    return result


def _has_equals(ordered: Array) -> bool:
    """Whether neighbours along the last axis are equal, or not comparable."""
    return not bool((ordered[..., :-1] < ordered[..., 1:]).all())


def argsort(a: Array, axis: Any = -1, kind: Any = None) -> Any:
    a = np.atleast_1d(a)
    if axis is None:
        a, axis = a.ravel(), -1
    if a.size >= _LARGE and a.dtype in (np.float32, np.float64):
        rows = np.moveaxis(a, axis, -1)
        sample = rows[(0,) * (a.ndim - 1)][:_SAMPLE]
        if not _has_equals(np.sort(sample)):
            # Without equal elements there is one order, and NumPy's vectorised sort finds it in a third of the time.
            order = np.argsort(rows, axis=-1)
            if not _has_equals(np.take_along_axis(rows, order, -1)):
                return np.ascontiguousarray(np.moveaxis(order, -1, axis))
    return np.ascontiguousarray(np.argsort(a, axis=axis, kind="stable"))


def sort_in_place(self: Array, axis: int = -1, kind: Any = None) -> None:
    self[...] = sort(self, axis)


def partition_in_place(self: Array, kth: Any, axis: int = -1) -> None:
    self.partition(kth, axis=axis)


def lexsort(keys: Array) -> Any:
    return (
        np.asarray(np.lexsort(keys if keys.ndim == 2 else keys.reshape(-1, 1)))
        if keys.ndim == 2
        else np.array(0, np.int64)
    )


def argpartition(a: Array, kth: Any, axis: Any = -1) -> Any:
    if axis is None:
        a, axis = a.reshape(-1), -1
    if a.shape[axis] == 0:
        return np.empty(0, np.int64)
    return np.ascontiguousarray(np.argpartition(a, kth, axis=axis))


def sort_complex(a: Array) -> Any:
    return np.sort(a.astype(np.complex64 if a.dtype.char in "bhBHF" else np.complex128), kind="stable")


def searchsorted(a: Array, v: Any, side: str = "left", sorter: Any = None) -> Any:
    if a.size == 0:
        return np.zeros(np.shape(v), np.int64)
    return np.asarray(np.searchsorted(a, v, "right" if side == "right" else "left", sorter), np.int64)


def where(condition: Array, x: Any = None, y: Any = None) -> Any:
    if x is None:
        return nonzero(condition)
    if isinstance(x, np.ndarray) and (
        x.dtype == y.dtype if isinstance(y, np.ndarray) else type(y) is float and x.dtype.kind == "f"
    ):
        return np.where(condition, x, y)
    from cupool.contract.ops.rules.elementwise import choose

    from .ops_ufuncs import converted_to

    loop = choose("@where", (np.bool_(True), *(_typed(v) for v in (x, y))))
    _, first, second = loop.inputs
    return np.asarray(np.where(condition.astype(np.bool_), converted_to(x, first), converted_to(y, second)))


def _typed(value: Any) -> Any:
    from cupool.contract.spec import spec_like

    return spec_like(value) if isinstance(value, np.ndarray) else value


def nonzero(a: Array) -> tuple[Array, ...]:
    return tuple(np.nonzero(a)) if a.ndim else tuple(np.nonzero(np.atleast_1d(a)))[:0]


def unique(
    ar: Array, return_index: Any = False, return_inverse: Any = False, return_counts: Any = False, axis: Any = None, *,
    equal_nan: Any = True,
) -> Any:  # fmt: skip
    made = xp.unique(
        ar, return_index=bool(return_index), return_inverse=bool(return_inverse), return_counts=bool(return_counts), axis=axis,
        equal_nan=bool(equal_nan),
    )  # fmt: skip
    if not isinstance(made, tuple):
        return made
    parts = list(made)
    if return_inverse:
        place = 2 if return_index else 1
        parts[place] = parts[place].reshape(ar.shape if axis is None else -1)
    return tuple(parts)


def intersect1d(arr1: Array, arr2: Array, assume_unique: Any = False, return_indices: Any = False) -> Any:
    return xp.intersect1d(arr1, arr2, bool(assume_unique), bool(return_indices))


def in1d(ar1: Array, ar2: Array, assume_unique: Any = False, invert: Any = False) -> Any:
    return np.isin(ar1.ravel(), ar2, invert=bool(invert))


OPS: dict[str, Callable[..., Any]] = {
    "sort": sort,
    "argsort": argsort,
    "ndarray.sort": sort_in_place,
    "ndarray.partition": partition_in_place,
    "lexsort": lexsort,
    "msort": lambda a: sort(a, 0),
    "sort_complex": sort_complex,
    "partition": lambda a, kth, axis=-1: np.ascontiguousarray(np.partition(a, kth, axis=axis)),
    "argpartition": argpartition,
    "searchsorted": searchsorted,
    "where": where,
    "nonzero": nonzero,
    "flatnonzero": lambda a: np.flatnonzero(a),
    "argwhere": lambda a: np.argwhere(a),
    "unique": unique,
    "unique_all": lambda x: unique(x, True, True, True, equal_nan=False),
    "unique_counts": lambda x: unique(x, return_counts=True, equal_nan=False),
    "unique_inverse": lambda x: unique(x, return_inverse=True, equal_nan=False),
    "unique_values": lambda x: unique(x, equal_nan=False),
    "union1d": lambda arr1, arr2: np.union1d(arr1, arr2),
    "intersect1d": intersect1d,
    "setdiff1d": lambda ar1, ar2, assume_unique=False: np.setdiff1d(ar1, ar2, bool(assume_unique)),
    "setxor1d": lambda ar1, ar2, assume_unique=False: np.setxor1d(ar1.ravel(), ar2.ravel(), bool(assume_unique)),
    "in1d": in1d,
    "isin": lambda element, test_elements, assume_unique=False, invert=False: np.isin(
        element, test_elements, invert=bool(invert)
    ),
}
