"""Comparison of whole arrays on NumPy; results are arrays, 0-d ones too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .casting import assign

Array = np.ndarray[Any, Any]
#: NumPy, for calls whose arguments only the command knows: its overloads want them literal.
xp: Any = np


def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: Any = False) -> Any:
    # float64 for everything real: CuPy's kernel has loops for floating point only, integers take the double one.
    return np.asarray(np.isclose(a, b, rtol, atol, bool(equal_nan)))


def array_equal(a1: Array, a2: Array, equal_nan: Any = False) -> Any:
    return np.asarray(np.array_equal(a1, a2, bool(equal_nan)))


def _signed_infinity(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, out: Any = None) -> Any:
        result = np.asarray(np.isinf(x) & function(x))
        if out is None:
            return result
        assign(out, result)
        return out

    return run


OPS: dict[str, Callable[..., Any]] = {
    "isclose": isclose,
    "allclose": lambda a, b, rtol=1e-05, atol=1e-08, equal_nan=False: np.asarray(
        isclose(a, b, rtol, atol, equal_nan).all()
    ),
    "array_equal": array_equal,
    "array_equiv": lambda a1, a2: np.asarray(np.array_equiv(a1, a2)),
    "packbits": lambda a, axis=None, bitorder="big": xp.packbits(a.ravel(), bitorder=bitorder),
    "unpackbits": lambda a, axis=None, bitorder="big": xp.unpackbits(a.ravel(), bitorder=bitorder),
    "isneginf": _signed_infinity(np.signbit),
    "isposinf": _signed_infinity(lambda x: ~np.signbit(x)),
}
