"""The values of the nearest points."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._commands import cp
from ..spatial import KDTree
from ._common import MODULE, is_complex
from ._interpnd import Scattered


class NearestNDInterpolator(Scattered):
    """As `cupyx.scipy.interpolate.NearestNDInterpolator`. Attribute `tree`: the k-d tree of the points."""

    __module__ = MODULE

    def __init__(self, x: Any, y: Any, rescale: Any = False, tree_options: Any = None) -> None:
        super().__init__(x, rescale, is_contiguous=False)
        y = cp.asarray(y)
        self._check(y)
        self.tree = KDTree(self.points, **(tree_options or {}))
        self.values = y

    def __call__(self, *args: Any, **query_options: Any) -> Any:
        """Values of the nearest points; NaN where the query's options find none."""
        flat, shape = self._points_of(args)
        distances, places = self.tree.query(flat, **query_options)
        found = cp.isfinite(distances)
        rest = self.values.shape[1:]
        values = self.values[cp.where(found, places, 0)]
        dtype: Any = self.values.dtype if is_complex(self.values.dtype) else np.float64
        found = found.reshape(found.shape + (1,) * len(rest))
        return cp.where(found, values.astype(dtype), np.nan).astype(dtype).reshape((*shape[:-1], *rest))
