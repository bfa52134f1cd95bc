"""`cupyx.scipy.spatial`: distances, k-d trees and triangulations on SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.spatial
import scipy.spatial.distance

from cupool.contract.ops.scipy._rules_spatial import canonical, distance_dtype

from ... import distances

Array = np.ndarray[Any, Any]

#: Metrics that SciPy computes, in float64 and without an array of differences.
_SCIPY = frozenset(
    ("canberra", "chebyshev", "cityblock", "correlation", "cosine", "euclidean", "hamming", "jensenshannon", "minkowski", "sqeuclidean")
)  # fmt: skip


def cdist(XA: Array, XB: Array, metric: str, p: float) -> Array:
    name, dtype = canonical(metric), distance_dtype(XA.dtype)
    if name not in _SCIPY:
        return np.asarray(distances.pairwise(np, XA, XB, name, p, dtype))
    options = {"p": p} if name == "minkowski" and p != np.inf else {}
    if name == "minkowski" and p == np.inf:
        name = "chebyshev"
    made = scipy.spatial.distance.cdist(XA.astype(np.float64), XB.astype(np.float64), name, **options)  # type: ignore[call-overload]
    return np.asarray(made, dtype)


# -- k-d trees -------------------------------------------------------------------------------------------------------------------


def kdtree_build(data: Array, periodic: bool = False) -> tuple[Array, Array, Array]:
    """The points in the order of a left-balanced tree: node i has the children 2i + 1 and 2i + 2, and level l splits axis l % m.

    Returns:
        the points (n, m), their places in `data` (n,), and the boxes of the nodes (n, m, 2) of a periodic tree.
    """
    n, m = data.shape
    sizes = _subtree_sizes(n)
    points, index, node = data.copy(), np.arange(n), np.zeros(n, np.int64)
    for level in range(n.bit_length()):
        # Nodes above this level are where they belong already: in front.
        order = np.lexsort((points[:, level % m], node))
        points, index, node = points[order], index[order], node[order]
        first, last = min((1 << level) - 1, n), min((2 << level) - 1, n)
        mine = sizes[first:last]
        left = np.zeros_like(mine)
        children = 2 * np.arange(first, last) + 1
        left[children < n] = sizes[children[children < n]]
        owner = np.repeat(np.arange(first, last), mine)
        place = np.arange(n - first) - np.repeat(np.cumsum(mine) - mine, mine)
        pivot = np.repeat(left, mine)
        node[first:] = np.where(place < pivot, 2 * owner + 1, np.where(place == pivot, owner, 2 * owner + 2))
    order = np.argsort(node, kind="stable")
    points, index = points[order], index[order]
    return points, index, _boxes(points) if periodic else np.empty(0)


def _subtree_sizes(n: int) -> Array:
    """Nodes below and at each node of a tree of n nodes that is filled level by level."""
    sizes = np.ones(n, np.int64)
    for node in range(n - 1, 0, -1) if n < 64 else ():
        sizes[(node - 1) // 2] += sizes[node]
    if n >= 64:
        for level in range(n.bit_length() - 1, 0, -1):
            nodes = np.arange((1 << level) - 1, min((2 << level) - 1, n))
            np.add.at(sizes, (nodes - 1) // 2, sizes[nodes])
    return sizes


def _boxes(tree: Array) -> Array:
    """For each node the limits of the leaves below it, per axis."""
    n = tree.shape[0]
    boxes = np.repeat(tree[:, :, None], 2, axis=2)
    for level in range(n.bit_length() - 1, -1, -1):
        nodes = np.arange((1 << level) - 1, min((2 << level) - 1, n))
        left, right = 2 * nodes + 1, 2 * nodes + 2
        one, two = left < n, right < n
        boxes[nodes[one]] = boxes[left[one]]
        boxes[nodes[two], :, 0] = np.minimum(boxes[left[two], :, 0], boxes[right[two], :, 0])
        boxes[nodes[two], :, 1] = np.maximum(boxes[left[two], :, 1], boxes[right[two], :, 1])
    return boxes


def _searchable(tree: Array, index: Array, boxsize: Array) -> Any:
    """SciPy's tree of the same points, numbered as in the program's data. Axes that are not periodic have a box of 0 there."""
    data = np.empty(tree.shape)
    data[index] = tree
    box = np.where(np.isfinite(boxsize) & (boxsize > 0), boxsize, 0)
    return scipy.spatial.cKDTree(data, boxsize=box if box.any() else None)


def kdtree_query(
    x: Array, tree: Array, index: Array, boxsize: Array, bounds: Array, k: Any, eps: float, p: float, distance_upper_bound: float
) -> tuple[Array, Array]:  # fmt: skip
    ranks = list(range(1, k + 1)) if isinstance(k, int) else list(k)
    found, places = _searchable(tree, index, boxsize).query(x.astype(np.float64), ranks, eps, p, distance_upper_bound)
    if isinstance(k, int) and k == 1 and x.ndim > 1:
        found, places = found[..., 0], places[..., 0]
    return np.asarray(found), np.asarray(places, np.int64)


def kdtree_ball(
    x: Array, tree: Array, index: Array, boxsize: Array, bounds: Array, r: float, p: float, eps: float, want: str
) -> Any:
    points = x.reshape(-1, x.shape[-1]).astype(np.float64)
    near = _searchable(tree, index, boxsize).query_ball_point(points, r, p, eps, return_sorted=True)
    counts = np.array([len(each) for each in near], np.int64)
    if want == "length":
        return counts
    flat = np.concatenate([np.asarray(each, np.int64) for each in near]) if counts.sum() else np.empty(0, np.int64)
    if want == "neighbors":
        return flat, counts
    pairs = np.stack([np.repeat(np.arange(len(points)), counts), flat], axis=1)
    return pairs[pairs[:, 0] < pairs[:, 1]]


# -- triangulations ---------------------------------------------------------------------------------------------------------------


def delaunay(points: Array) -> tuple[Array, Array]:
    """Raises RuntimeError for points that span no triangle."""
    try:
        made = scipy.spatial.Delaunay(points.astype(np.float64))
    except scipy.spatial.QhullError as error:
        raise RuntimeError(f"the points have no triangulation: {str(error).strip().splitlines()[0]}") from None
    return made.simplices, made.neighbors


def delaunay_find(points: Array, simplices: Array, neighbors: Array, xi: Array, eps: float, coordinates: bool) -> Any:
    """Walk from the triangle with the nearest centre towards each point, across the side that it lies beyond furthest."""
    corners = points.astype(np.float64)[simplices]
    targets = xi.astype(np.float64)
    origin = corners[:, 2]
    edges = np.stack([corners[:, 0] - origin, corners[:, 1] - origin], axis=-1)
    with np.errstate(all="ignore"):
        inverse = np.stack(
            [edges[:, 1, 1], -edges[:, 0, 1], -edges[:, 1, 0], edges[:, 0, 0]], axis=-1
        ).reshape(-1, 2, 2) / np.linalg.det(edges)[:, None, None]  # fmt: skip
    found = np.full(len(targets), -1, np.int32)
    weights = np.full((len(targets), 3), np.nan)
    usable = np.isfinite(targets).all(axis=1)
    active = np.flatnonzero(usable)
    at = np.zeros(len(targets), np.int64)
    if len(active):
        at[active] = scipy.spatial.cKDTree(corners.mean(axis=1)).query(targets[active])[1]
    for _ in range(2 * len(simplices) + 2):
        if not len(active):
            break
        here = at[active]
        part = np.einsum("nij,nj->ni", inverse[here], targets[active] - origin[here])
        bary = np.concatenate([part, 1 - part.sum(axis=1, keepdims=True)], axis=1)
        worst = bary.argmin(axis=1)
        inside = bary[np.arange(len(active)), worst] >= -eps
        found[active[inside]] = here[inside]
        weights[active[inside]] = bary[inside]
        at[active] = neighbors[here, worst]
        active = active[~inside]
        active = active[at[active] >= 0]
    return (found, weights) if coordinates else found


def delaunay_vertices(points: Array, simplices: Array) -> tuple[Array, Array]:
    pairs = np.concatenate([simplices[:, [i, j]] for i in range(3) for j in range(3) if i != j]).astype(np.int64)
    pairs = np.unique(pairs, axis=0)
    counts = np.bincount(pairs[:, 0], minlength=len(points))
    return np.concatenate([[0], np.cumsum(counts)]), pairs[:, 1].astype(np.int32)


#: Op's name -> function.
OPS: dict[str, Callable[..., Any]] = {
    f"@cupyx.scipy.spatial.{function.__name__}": function
    for function in (cdist, delaunay, delaunay_find, delaunay_vertices, kdtree_ball, kdtree_build, kdtree_query)
}
