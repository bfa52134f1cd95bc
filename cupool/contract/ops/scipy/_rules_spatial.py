"""Rules of `cupyx.scipy.spatial`'s ops: distances, k-d trees, triangulations."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops._row import UNKNOWN
from cupool.contract.ops.rules.common import FLOAT64, INT64, require_array, rule
from cupool.contract.spec import Spec, spec_of

INT32 = np.dtype(np.int32)

#: Canonical name of a metric -> its other names.
METRICS: dict[str, tuple[str, ...]] = {
    "canberra": (),
    "chebyshev": ("chebychev", "cheby", "cheb", "ch"),
    "cityblock": ("cblock", "cb", "c"),
    "correlation": ("co",),
    "cosine": ("cos",),
    "euclidean": ("euclid", "eu", "e"),
    "hamming": ("matching", "hamm", "ha", "h"),
    "hellinger": (),
    "jensenshannon": ("js",),
    "kl_divergence": ("kl_div", "kld"),
    "minkowski": ("mi", "m", "pnorm"),
    "russellrao": (),
    "sqeuclidean": ("sqe", "sqeuclid"),
}
ALIASES = {alias: name for name, aliases in METRICS.items() for alias in (name, *aliases)}


def canonical(metric: Any) -> str:
    """The name of a metric. Raises TypeError for what is no name, ValueError for one that nobody knows."""
    if not isinstance(metric, str):
        raise TypeError("2nd argument metric must be a string identifier")
    name = ALIASES.get(metric.lower())
    if name is None:
        raise ValueError(f"Unknown Distance Metric: {metric.lower()}")
    return name


def distance_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What distances of points of `dtype` are computed in: their own precision, or single."""
    return dtype if dtype.char in "fd" else np.dtype(np.float32)


@rule("spatial.cdist")
def cdist(XA: Any, XB: Any, metric: Any, p: Any) -> Any:
    XA, XB = require_array(XA, "XA"), require_array(XB, "XB")
    canonical(metric)
    orders = tuple("F" if x.f_contiguous and not x.c_contiguous else "C" for x in (XA, XB))
    if orders[0] != orders[1]:
        raise ValueError(f"XA and XB must have the same layout (XA.order={orders[0]}, XB.order={orders[1]}")
    for name, x in (("XA", XA), ("XB", XB)):
        if x.ndim != 2:
            raise ValueError(f"{name} must be a 2-dimensional array.")
    if XA.shape[1] != XB.shape[1]:
        raise ValueError("XA and XB must have the same number of columns (i.e. feature dimension.)")
    return spec_of((XA.shape[0], XB.shape[0]), distance_dtype(XA.dtype), order=orders[0])


# -- k-d trees -----------------------------------------------------------------------------------------------------------------


@rule("spatial.kdtree_build")
def kdtree_build(data: Any, periodic: Any = False) -> Any:
    data = require_array(data, "data")
    if data.ndim != 2:
        raise ValueError("data must be 2 dimensions")
    if data.shape[0] == 0:
        raise ValueError("a k-d tree needs at least one point")
    n, m = data.shape
    bounds = spec_of((n, m, 2), data.dtype) if periodic else spec_of((0,), FLOAT64)
    return spec_of((n, m), data.dtype), spec_of((n,), INT64), bounds


def _queried(given: Any, tree: Spec) -> Spec:
    x: Spec = require_array(given, "x")
    if x.ndim == 0 or x.shape[-1] != tree.shape[-1]:
        raise ValueError(
            "The number of dimensions of the query points must match with the tree ones. "
            f"Expected {tree.shape[-1]}, got: {x.shape[-1] if x.ndim else 0}"
        )
    return x


@rule("spatial.kdtree_query")
def kdtree_query(
    x: Any, tree: Any, index: Any, boxsize: Any, bounds: Any, k: Any, eps: Any, p: Any, distance_upper_bound: Any
) -> Any:
    x = _queried(x, tree)
    count = k if isinstance(k, int) else len(k)
    if min([k] if isinstance(k, int) else k, default=0) < 1:
        raise ValueError("k must be an integer greater than 0 or a list of them")
    # One neighbour of several points has no axis of its own, one of a single point has.
    is_squeezed = isinstance(k, int) and k == 1 and x.ndim > 1
    shape = x.shape[:-1] if is_squeezed else (*x.shape[:-1], count)
    return spec_of(shape, FLOAT64), spec_of(shape, INT64)


#: What a ball query gives: numbers of neighbours; neighbours, one point's after the other's, and their numbers; pairs.
WANTS = ("length", "neighbors", "pairs")


@rule("spatial.kdtree_ball")
def kdtree_ball(x: Any, tree: Any, index: Any, boxsize: Any, bounds: Any, r: Any, p: Any, eps: Any, want: Any) -> Any:
    x = _queried(x, tree)
    counts = spec_of((int(np.prod(x.shape[:-1], dtype=np.int64)),), INT64)
    if want == "length":
        return counts
    return (UNKNOWN, counts) if want == "neighbors" else UNKNOWN


# -- triangulations --------------------------------------------------------------------------------------------------------------


@rule("spatial.delaunay_find")
def delaunay_find(points: Any, simplices: Any, neighbors: Any, xi: Any, eps: Any, coordinates: Any) -> Any:
    xi = require_array(xi, "xi")
    if xi.ndim != 2 or xi.shape[1] != 2:
        raise ValueError("xi must have the shape (n, 2)")
    found = spec_of(xi.shape[:1], INT32)
    return (found, spec_of((xi.shape[0], 3), FLOAT64)) if coordinates else found


@rule("spatial.delaunay_vertices")
def delaunay_vertices(points: Any, simplices: Any) -> Any:
    return spec_of((points.shape[0] + 1,), INT64), UNKNOWN
