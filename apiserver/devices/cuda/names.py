"""From the op table's names to CuPy's objects: "linalg.svd" is `cupy.linalg.svd`, "ndarray.sort" the method, "cupyx.rsqrt" cupyx's.

Boundary: needs the package, not a GPU.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import cupy
import cupyx

from . import scipy


def _ufunc_at(ufunc: str, a: Any, indices: Any, b: Any = None) -> None:
    getattr(cupy, ufunc).at(a, indices, *(() if b is None else (b,)))


def _ufunc_reduceat(ufunc: str, array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
    return getattr(cupy, ufunc).reduceat(array, indices, axis, dtype, out)


def _getitem(a: Any, key: Any) -> Any:
    return a[key]


def _setitem(a: Any, key: Any, value: Any) -> None:
    a[key] = value


_SPECIAL: dict[str, Callable[..., Any]] = {
    "ufunc.at": _ufunc_at,
    "ufunc.reduceat": _ufunc_reduceat,
    "ndarray.__getitem__": _getitem,
    "ndarray.__setitem__": _setitem,
}


def resolve(impl: str) -> Callable[..., Any]:
    """The callable of a name. Raises KeyError when this CuPy has none: the name, and why, where a library of CUDA is not here."""
    try:
        return _SPECIAL.get(impl) or scipy.resolve(impl) or _find(impl)
    except ImportError as error:
        raise KeyError(impl, str(error)) from None


def _find(impl: str) -> Callable[..., Any]:
    found: Any = cupy
    parts = impl.split(".")
    if parts[0] == "cupyx":
        found, parts = cupyx, parts[1:]
    for part in parts:
        found = _member(found, part)
        if found is None:
            raise KeyError(impl)
    if not callable(found):
        raise KeyError(impl)
    return found  # type: ignore[no-any-return]


def _member(owner: Any, name: str) -> Any:
    """An attribute, or a submodule that is not imported yet. Raises ImportError where CuPy looks for a library that is not here."""
    found = getattr(owner, name, None)
    if found is None and hasattr(owner, "__path__"):
        full = f"{owner.__name__}.{name}"
        try:
            found = importlib.import_module(full)
        except ModuleNotFoundError as error:
            if error.name != full:
                raise
            return None
    return found
