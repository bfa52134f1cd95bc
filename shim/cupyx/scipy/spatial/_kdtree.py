"""`cupyx.scipy.spatial.KDTree`: the points in the order of a tree, as arrays on the device; building and asking are one command each."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .... import cupy as _cp
from .... import dispatch as _dispatch
from ....convert import asarray as _asarray
from ....rows import ROWS as _ROWS
from . import distance as _distance

_BUILD, _QUERY, _BALL = (_ROWS[f"@cupyx.scipy.spatial.kdtree_{name}"] for name in ("build", "query", "ball"))


class KDTree:
    """A k-d tree for finding neighbours.

    Args:
        data: the points (n, m).
        leafsize: taken and not used, as in CuPy.
        compact_nodes: taken and not used, as in CuPy.
        copy_data: keep a copy of `data`.
        balanced_tree: False warns: the tree is always balanced.
        boxsize: size of a periodic box per axis, or one for all; then `data` must be float64 and in it, which is looked at: the call waits.

    Attributes:
        data: the points.
        n: number of points.
        m: number of axes.
        tree: the points in the order of the tree, node i with the children 2i + 1 and 2i + 2.
        index: place in `data` of each node's point, int64 (n,).
        mins: least value per axis (m,).
        maxes: largest value per axis (m,).
        boxsize: period per axis (m,), float64; infinite where there is none.
        bounds: limits per node and axis (n, m, 2) of a periodic tree; else empty.

    Raises:
        ValueError: data outside of the box, or periodic and not float64.
    """

    def __init__(
        self, data: Any, leafsize: int = 10, compact_nodes: bool = True, copy_data: bool = False, balanced_tree: bool = True,
        boxsize: Any = None,
    ) -> None:  # fmt: skip
        data = _asarray(data)
        self.data = data.copy() if copy_data else data
        if not balanced_tree:
            warnings.warn(
                "balanced_tree=False is not supported by the GPU implementation of KDTree, skipping.", stacklevel=2
            )
        self.leafsize = leafsize
        self.n, self.m = self.data.shape
        self.copy_query_points = boxsize is not None
        if boxsize is None:
            self.boxsize = _cp.full(self.m, np.inf, dtype=np.float64)
        else:
            self.boxsize = _cp.empty(self.m, np.float64)
            self.boxsize[...] = _asarray(boxsize)
            self._check_box()
        self.tree, self.index, self.bounds = _dispatch.call(_BUILD, (self.data, self.copy_query_points))
        self.mins = _cp.min(self.tree, axis=0)
        self.maxes = _cp.max(self.tree, axis=0)

    def _check_box(self) -> None:
        periodic = self.boxsize > 0
        if ((self.data >= self.boxsize) & periodic).any():
            raise ValueError("Some input data are greater than the size of the periodic box.")
        if ((self.data < 0) & periodic).any():
            raise ValueError("Negative input data are outside of the periodic box.")
        self._check_periodic(self.data)

    def _check_periodic(self, x: Any) -> None:
        if self.copy_query_points and x.dtype != np.float64:
            raise ValueError("periodic KDTree is only available on float64")

    def _ask(self, x: Any) -> tuple[Any, ...]:
        """The arrays of a query, the points in their common precision."""
        self._check_periodic(x)
        dtype = np.result_type(self.tree.dtype, x.dtype)
        tree = self.tree.astype(dtype, copy=False)
        return x.astype(dtype, copy=False), tree, self.index, self.boxsize, self.bounds

    def query(
        self, x: Any, k: Any = 1, eps: float = 0.0, p: float = 2.0, distance_upper_bound: float = np.inf
    ) -> tuple[Any, Any]:
        """The nearest neighbours of each point of `x` (..., m).

        Args:
            x: the points.
            k: how many, or a list of ranks from 1.
            eps: how much farther than the true one a neighbour may be, as a factor.
            p: order of the Minkowski distance.
            distance_upper_bound: only neighbours nearer than this.

        Returns:
            distances (..., k) in float64, and places in `data` in int64; infinity and `n` where there is none. Several points and
            k=1 have no last axis.

        Raises:
            ValueError: `k` is neither an integer nor a list, or `x` has other axes than the tree.
        """
        if not isinstance(k, list):
            try:
                k = int(k)
            except TypeError:
                raise ValueError("k must be an integer or list of integers") from None
        args = (*self._ask(_asarray(x)), k, float(eps), float(p), float(distance_upper_bound))
        distances, places = _dispatch.call(_QUERY, args)
        return distances, places

    def _ball(self, x: Any, r: Any, p: Any, eps: Any, want: str) -> Any:
        return _dispatch.call(_BALL, (*self._ask(_asarray(x)), float(r), float(p), float(eps), want))

    def query_ball_point(
        self, x: Any, r: float, p: float = 2.0, eps: float = 0, return_sorted: bool | None = None, return_length: bool = False
    ) -> Any:  # fmt: skip
        """The neighbours within the distance `r` of each point of `x`: a list of arrays of places in `data`; their numbers with
        `return_length`. A list waits for the numbers; they are sorted whatever `return_sorted` says.
        """
        if return_length:
            return self._ball(x, r, p, eps, "length")
        flat, counts = self._ball(x, r, p, eps, "neighbors")
        ends = np.cumsum(counts.get())
        return [flat[end - count : end] for count, end in zip(np.diff(ends, prepend=0), ends, strict=True)]

    def query_ball_tree(self, other: KDTree, r: float, p: float = 2.0, eps: float = 0.0) -> Any:
        """For each point of this tree the points of `other` within the distance `r`: a list of arrays of places in `other.data`."""
        return other.query_ball_point(self.data, r, p=p, eps=eps, return_sorted=True)

    def query_pairs(self, r: float, p: float = 2.0, eps: float = 0, output_type: str = "ndarray") -> Any:
        """The pairs (i, j), i < j, of points within the distance `r` of each other: (number of pairs, 2), int64."""
        if output_type == "set":
            warnings.warn(
                "output_type='set' is not supported by the GPU implementation of KDTree, resorting back to 'ndarray'.", stacklevel=2
            )  # fmt: skip
        return self._ball(self.data, r, p, eps, "pairs")

    def count_neighbors(
        self, other: KDTree, r: Any, p: float = 2.0, weights: Any = None, cumulative: bool = True
    ) -> Any:
        """Not in CuPy either: raises NotImplementedError."""
        raise NotImplementedError("count_neighbors is not available on CuPy")

    def sparse_distance_matrix(
        self, other: KDTree, max_distance: float, p: float = 2.0, output_type: str = "coo_matrix"
    ) -> Any:
        """Distances up to `max_distance` of this tree's points from `other`'s, 0 beyond: a `coo_matrix`, or an "ndarray" (n, n').

        Raises:
            ValueError: another `output_type`.
        """
        if output_type not in ("coo_matrix", "ndarray"):
            raise ValueError("sparse_distance_matrix only supports 'coo_matrix' and 'ndarray' outputs")
        distances = _distance.distance_matrix(self.data, other.data, p)
        distances[distances > max_distance] = 0
        if output_type == "ndarray":
            return distances
        from ..sparse import coo_matrix  # type: ignore[import-not-found, unused-ignore]

        return coo_matrix(distances)
