"""`cupy.lib.stride_tricks`: views with strides of the program's own. The server refuses a view that leaves the array's memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.spec import spec_of

from ... import views
from ...convert import asarray


def as_strided(x: Any, shape: Any = None, strides: Any = None) -> Any:
    """A view with the given shape and strides."""
    shape = x.shape if shape is None else tuple(int(n) for n in shape)
    strides = x.strides if strides is None else tuple(int(s) for s in strides)
    if len(shape) != len(strides):
        raise ValueError("len(shape) != len(strides)")
    return views.view(x, spec_of(shape, x.dtype, strides), 0)


def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    """All windows of an array as a view."""
    if writeable:
        raise NotImplementedError("Writeable views are not supported.")
    if subok:
        raise NotImplementedError("subok views are not supported.")
    return views.on_shadow(asarray(x), lambda s: np.lib.stride_tricks.sliding_window_view(s, window_shape, axis))


__all__ = ["as_strided", "sliding_window_view"]
