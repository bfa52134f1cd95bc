"""`cupyx.empty_pinned` and its like: NumPy arrays over memory of `cupy.cuda.alloc_pinned_memory`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import cupy as _cupy
from ..array import ndarray as _ndarray


def _pinned(like: np.ndarray[Any, Any]) -> Any:
    """An array of the shape, dtype and strides of `like`, which is never written and so takes no memory."""
    memory: Any = _cupy.cuda.alloc_pinned_memory(math.prod(like.shape) * like.itemsize)
    return np.ndarray(like.shape, like.dtype, memory, 0, like.strides)


def empty_pinned(shape: Any, dtype: Any = float, order: str = "C") -> Any:
    """A NumPy array without values.

    Args:
        shape: its shape, an integer or a sequence.
        dtype: its dtype.
        order: "C" or "F".
    """
    return _pinned(np.empty(shape, dtype, order))  # type: ignore[call-overload]


def zeros_pinned(shape: Any, dtype: Any = float, order: str = "C") -> Any:
    """A NumPy array of zeros. Arguments as in `empty_pinned`."""
    made = empty_pinned(shape, dtype, order)
    np.copyto(made, 0, casting="unsafe")
    return made


def empty_like_pinned(a: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> Any:
    """A NumPy array like `a`, without values.

    Args:
        a: an array of the device or of NumPy.
        dtype: another dtype.
        order: "C", "F", "A", or "K" for `a`'s own order.
        subok: must be None.
        shape: another shape.

    Raises:
        TypeError: `subok` is given.
    """
    if subok is not None:
        raise TypeError("subok is not supported yet")
    template = a._resolve().shadow if isinstance(a, _ndarray) else a
    return _pinned(np.empty_like(template, dtype=dtype, order=order, subok=False, shape=shape))  # type: ignore[call-overload]


def zeros_like_pinned(a: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> Any:
    """A NumPy array of zeros like `a`. Arguments as in `empty_like_pinned`."""
    made = empty_like_pinned(a, dtype, order, subok, shape)
    np.copyto(made, 0, casting="unsafe")
    return made
