"""Functions that call the program's own functions, and small utilities of the host."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dispatch
from .._generated import functions
from ._creation import asarray

_memos: list[dict[Any, Any]] = []


def memoize(for_each_device: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: remember results by arguments, until `clear_memo`."""

    def decorate(f: Callable[..., Any]) -> Callable[..., Any]:
        memo: dict[Any, Any] = {}
        _memos.append(memo)

        @functools.wraps(f)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            key = (args, frozenset(kwargs.items()))
            if key not in memo:
                memo[key] = f(*args, **kwargs)
            return memo[key]

        return wrapped

    return decorate


def clear_memo() -> None:
    """Forget what `memoize` remembers."""
    for memo in _memos:
        memo.clear()


def apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """As `cupy.apply_along_axis`."""
    if not -arr.ndim <= axis < arr.ndim:
        raise np.exceptions.AxisError(axis, arr.ndim)
    axis %= arr.ndim
    lines = functions.moveaxis(arr, axis, -1)
    outer = lines.shape[:-1]
    if 0 in outer:
        raise ValueError("Cannot apply_along_axis when any iteration dimensions are 0")
    results = [asarray(func1d(lines[(*index, Ellipsis)], *args, **kwargs)) for index in np.ndindex(outer)]
    inner = results[0].shape
    joined = functions.stack(results).reshape(outer + inner)
    for i in range(len(inner)):
        joined = functions.moveaxis(joined, -len(inner) + i, axis + i)
    return joined


def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    """As `cupy.apply_over_axes`."""
    value = asarray(a)
    ndim = value.ndim
    for axis in (axes,) if np.ndim(axes) == 0 else axes:
        axis = int(axis) + (ndim if axis < 0 else 0)
        result = func(value, axis)
        if result.ndim != value.ndim:
            result = functions.expand_dims(result, axis)
            if result.ndim != value.ndim:
                raise ValueError("function is not returning an array of the correct shape")
        value = result
    return value


def get_array_module(*args: Any) -> Any:
    """This module when an argument is a device array (or holds one), else NumPy."""
    from .. import cupy

    # A sparse matrix can only be there if its module is.
    sparse = sys.modules.get(f"{__name__.partition('.shim.')[0]}.shim.cupyx.scipy.sparse")
    for arg in args:
        if isinstance(arg, dispatch.ndarray) or hasattr(arg, "__cupy_get_ndarray__"):
            return cupy
        if sparse is not None and sparse.issparse(arg):
            return cupy
        if isinstance(arg, type) and issubclass(arg, dispatch.ndarray):
            return cupy
    return np


class broadcast:
    """Arrays broadcast against each other.

    Attributes:
        values: the broadcast arrays.
        shape, nd, size: of the result.
    """

    __module__ = "cupy"

    def __init__(self, *arrays: Any) -> None:
        shapes = [a.shape for a in arrays if isinstance(a, dispatch.ndarray)]
        try:
            self.shape = np.broadcast_shapes(*shapes)
        except ValueError:
            text = " ".join(str(s) for s in shapes)
            raise ValueError(f"operands could not be broadcast together with shapes {text}") from None
        self.nd = len(self.shape)
        self.size = int(np.prod(self.shape, dtype=np.int64))
        self.values = [functions.broadcast_to(a, self.shape) if isinstance(a, dispatch.ndarray) else a for a in arrays]


def show_config(*, _full: bool = False) -> None:
    """Print what this is and what it talks to."""
    import sys

    from .. import cupyx

    sys.stdout.write(str(cupyx.get_runtime_info(full=_full)))
    sys.stdout.flush()


def who(vardict: dict[str, Any] | None = None) -> None:
    """Print the device arrays of a dict, or of the caller's variables."""
    import sys

    if vardict is None:
        vardict = sys._getframe(1).f_globals
    rows = []
    seen: dict[int, str] = {}
    for name, value in vardict.items():
        if isinstance(value, dispatch.ndarray):
            original = seen.setdefault(id(value), name)
            rows.append((name, original != name, value.shape, value.nbytes, str(value.dtype)))
    if not rows:
        print("\nUpper bound on total bytes  =       0")
        return
    print(f"{'Name':<20}{'Shape':<20}{'Bytes':<20}{'Type':<20}")
    print("=" * 70)
    for name, again, shape, nbytes, dtype in rows:
        print(f"{name:<20}{' x '.join(map(str, shape)):<20}{nbytes:<20}{dtype:<20}{' (again)' if again else ''}")
    print(f"\nUpper bound on total bytes  =       {sum(r[3] for r in rows if not r[1])}")
