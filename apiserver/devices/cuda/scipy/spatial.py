"""`cupyx.scipy.spatial` on CuPy's own trees and triangulations. Distances are formulas: CuPy's need the library cuVS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy
import cupyx.scipy.spatial

from cupool.contract.ops.scipy._rules_spatial import canonical, distance_dtype

from ... import distances


def cdist(XA: Any, XB: Any, metric: str, p: float) -> Any:
    return distances.pairwise(cupy, XA, XB, canonical(metric), p, distance_dtype(XA.dtype))


# -- k-d trees -------------------------------------------------------------------------------------------------------------------


def kdtree_build(data: Any, periodic: bool = False) -> tuple[Any, Any, Any]:
    # Whether the data lies in the box was looked at by the client; any box that holds it gives the same tree.
    tree = cupyx.scipy.spatial.KDTree(data, boxsize=float(data.max()) + 1.0 if periodic else None)
    return tree.tree, tree.index, tree.bounds


def _made(tree: Any, index: Any, boxsize: Any, bounds: Any) -> Any:
    """A `KDTree` out of what one consists of, without building it again."""
    made = cupyx.scipy.spatial.KDTree.__new__(cupyx.scipy.spatial.KDTree)
    made.n, made.m = tree.shape
    made.tree, made.index, made.boxsize, made.bounds = tree, index, boxsize, bounds
    made.copy_query_points = bounds.size > 0
    return made


def kdtree_query(
    x: Any, tree: Any, index: Any, boxsize: Any, bounds: Any, k: Any, eps: float, p: float, distance_upper_bound: float
) -> Any:
    return _made(tree, index, boxsize, bounds).query(x, k, eps, p, distance_upper_bound)


def kdtree_ball(
    x: Any, tree: Any, index: Any, boxsize: Any, bounds: Any, r: float, p: float, eps: float, want: str
) -> Any:
    made = _made(tree, index, boxsize, bounds)
    if want == "length":
        return made.query_ball_point(x, r, p=p, eps=eps, return_length=True)
    near = made.query_ball_point(x, r, p=p, eps=eps, return_sorted=True)
    counts = cupy.array([len(each) for each in near], cupy.int64)
    flat = cupy.concatenate(near) if near else cupy.empty(0, cupy.int64)
    if want == "neighbors":
        return flat, counts
    pairs = cupy.stack([cupy.repeat(cupy.arange(len(near)), [len(each) for each in near]), flat], axis=1)
    return pairs[pairs[:, 0] < pairs[:, 1]]


# -- triangulations ---------------------------------------------------------------------------------------------------------------


def delaunay(points: Any) -> tuple[Any, Any]:
    made = cupyx.scipy.spatial.Delaunay(points)
    return made.simplices, made.neighbors


def delaunay_find(points: Any, simplices: Any, neighbors: Any, xi: Any, eps: float, coordinates: bool) -> Any:
    found = cupyx.scipy.spatial.Delaunay(points).find_simplex(xi, tol=eps)
    if not coordinates:
        return found
    corners = points.astype(cupy.float64)[simplices[cupy.maximum(found, 0)]]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = _cross(a - c, b - c)
    first, second = _cross(xi - c, b - c) / area, _cross(a - c, xi - c) / area
    weights = cupy.stack([first, second, 1 - first - second], axis=1)
    return found, cupy.where((found < 0)[:, None], cupy.nan, weights)


def _cross(u: Any, v: Any) -> Any:
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]


def delaunay_vertices(points: Any, simplices: Any) -> tuple[Any, Any]:
    n = len(points)
    ends = [(i, j) for i in range(3) for j in range(3) if i != j]
    keys = cupy.unique(cupy.concatenate([simplices[:, i].astype(cupy.int64) * n + simplices[:, j] for i, j in ends]))
    counts = cupy.bincount(keys // n, minlength=n)
    return cupy.concatenate([cupy.zeros(1, cupy.int64), cupy.cumsum(counts)]), (keys % n).astype(cupy.int32)


#: Op's name -> function.
OPS: dict[str, Callable[..., Any]] = {
    f"@cupyx.scipy.spatial.{function.__name__}": function
    for function in (cdist, delaunay, delaunay_find, delaunay_vertices, kdtree_ball, kdtree_build, kdtree_query)
}
