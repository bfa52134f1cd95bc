"""What belongs to no family, on NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def imag(val: Any) -> Array:
    val = np.asarray(val)
    return val.imag if val.dtype.kind == "c" else np.zeros_like(val)


def piecewise(x: Array, condlist: Any, funclist: Any) -> Array:
    """As CuPy's: scalars or arrays to choose from, later conditions win."""
    if np.isscalar(condlist) or (isinstance(condlist, np.ndarray) and condlist.ndim == x.ndim):
        condlist = [condlist]
    values = list(funclist)
    out = np.zeros(x.shape, x.dtype)
    if len(values) == len(condlist) + 1:
        out[...] = values.pop()
    for condition, value in zip(condlist, values, strict=True):
        np.copyto(out, np.asarray(value).astype(x.dtype), where=np.asarray(condition, np.bool_))
    return out


def real(val: Any) -> Any:
    array: Any = np.asarray(val)
    return array.real


#: Implementation name -> function.
OPS: dict[str, Callable[..., Any]] = {
    "real": real,
    "imag": imag,
    "piecewise": piecewise,
}
