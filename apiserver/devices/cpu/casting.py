"""Conversion between dtypes as a GPU does it. NumPy converts as the host's processor does, which differs out of range.

From floating point to integers: through 32 bits (64 for 64-bit results) of the result's signedness, saturating there, then cut to
the result's width; NaN gives 0, or the smallest integer when 64 bits or float64 take part. Complex numbers lose their imaginary part.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]
Order = Literal["C", "F", "A", "K"]


def cast(a: Array, dtype: Any, order: Order = "K", copy: bool = True) -> Array:
    """`a` as `dtype`.

    Args:
        a: any array.
        dtype: the target.
        order: layout of the copy.
        copy: False returns `a` itself when it needs no change.
    """
    dtype = np.dtype(dtype)
    source = a.dtype
    if source.kind == "c" and dtype.kind not in "cb":
        a = a.real
        source = a.dtype
    if source.kind == "f" and dtype.kind in "iu" and not _in_range(a, dtype):
        return _saturated(a, dtype, order)
    result: Array = a.astype(dtype, order=order, copy=copy)
    return result


def _in_range(a: Array, dtype: np.dtype[Any]) -> bool:
    if a.size == 0:
        return True
    low, high = a.min(), a.max()
    info = np.iinfo(dtype)
    # NaN compares false. 2.0**63 is the first float beyond int64, hence <.
    return bool(low > info.min - 1.0 and high < float(info.max) + (0.0 if dtype.itemsize == 8 else 1.0)) and bool(
        low >= 0 or dtype.kind == "i"
    )


def _saturated(a: Array, dtype: np.dtype[Any], order: Order) -> Array:
    wide = np.dtype(f"{dtype.kind}{8 if dtype.itemsize == 8 else 4}")
    info = np.iinfo(wide)
    whole = np.trunc(a.astype(np.float64, order=order))
    over, under, nan = whole >= float(info.max), whole <= float(info.min), np.isnan(whole)
    result = np.where(over | under | nan, 0.0, whole).astype(wide)
    result[over] = info.max
    result[under] = info.min
    if a.dtype.itemsize == 8 or wide.itemsize == 8:
        result[nan] = info.min if wide.kind == "i" else 1 << (8 * wide.itemsize - 1)
    return result.astype(dtype, order="K")


def assign(target: Array, value: Any, where: Any = True) -> None:
    """Write `value` into `target`, converted, by broadcasting; `where` chooses elements."""
    if isinstance(value, np.ndarray | np.generic):
        value = cast(np.asarray(value), target.dtype, copy=False)
    np.copyto(target, value, casting="unsafe", where=where)
