"""Rows: what `cupyx.scipy.spatial` does on the device. Its public names are the shim's own functions and classes over these.

The real CuPy's distances need the library cuVS; ours are computed by the server on any device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import arr, call, fails, pos
from cupool.contract.ops.scipy import _rules_spatial as rules

_PREFIX = "@cupyx.scipy.spatial."


def _points(n: int, m: int, dtype: Any = "f8") -> Any:
    """Scattered points between 0 and 1."""
    return ((np.sin(np.arange(n * m) * 12.9898) * 43758.5453) % 1).reshape(n, m).astype(dtype)


def _distances() -> Iterator[Any]:
    for metric in rules.METRICS:
        a, b = _points(4, 3), _points(5, 3) + 0.25
        if metric in ("jensenshannon", "kl_divergence", "hellinger"):
            a, b = a / a.sum(axis=1, keepdims=True), b / b.sum(axis=1, keepdims=True)
        if metric in ("russellrao", "hamming"):
            a, b = np.round(a), np.round(b)
        yield call(a, b, metric, 2.0)
        yield call(a.astype("f4"), b.astype("f4"), metric, 2.0)
    yield call(_points(4, 3), _points(2, 3), "minkowski", 3.0)
    yield call(_points(4, 3), _points(2, 3), "minkowski", np.inf)
    yield call(np.asfortranarray(_points(4, 3)), np.asfortranarray(_points(2, 3)), "euclidean", 2.0)
    yield call(arr(4, 3, dtype="i4"), arr(2, 3, dtype="i4"), "cityblock", 2.0)


def _distance_errors() -> Iterator[Any]:
    yield fails(ValueError, _points(4, 3), _points(4, 2), "euclidean", 2.0)
    yield fails(ValueError, _points(4, 3)[0], _points(4, 3), "euclidean", 2.0)
    yield fails(ValueError, _points(4, 3), _points(4, 3), "no such metric", 2.0)
    yield fails(TypeError, _points(4, 3), _points(4, 3), max, 2.0)


op(
    _PREFIX + "cdist",
    "(XA, XB, metric, p)",
    rules.cdist,
    arrays=("XA", "XB"),
    samples=_distances,
    errors=_distance_errors,
)


def _builds() -> Iterator[Any]:
    for n in (1, 2, 3, 7, 20):
        yield call(_points(n, 3))
    yield call(arr(9, 2, dtype="f4") % 3)
    yield call(_points(10, 2), periodic=True)


op(_PREFIX + "kdtree_build", "(data, periodic=False)", rules.kdtree_build, samples=_builds,
   errors=lambda: iter([fails(ValueError, arr(3)), fails(ValueError, arr(0, 2))]))  # fmt: skip

#: A tree, as `kdtree_build` makes it of one or of three points.
_ONE = (np.array([[0.25, 0.5]]), np.array([0]), np.full(2, np.inf), np.empty(0))
_THREE = (np.array([[0.5, 0.5], [0.0, 0.25], [1.0, 0.75]]), np.array([1, 0, 2]), np.full(2, np.inf), np.empty(0))


def _queries() -> Iterator[Any]:
    x = _points(4, 2)
    yield call(x, *_ONE, 1, 0.0, 2.0, np.inf)
    yield call(x, *_THREE, 2, 0.0, 2.0, np.inf)
    yield call(x, *_THREE, [1, 3], 0.0, 1.0, 0.5)
    yield call(x[0], *_THREE, 1, 0.0, 2.0, np.inf)
    yield call(x[0], *_THREE, 5, 0.1, np.inf, np.inf)
    yield call(x.reshape(2, 2, 2), *_THREE, 1, 0.0, 2.0, np.inf)
    yield call(x.reshape(2, 2, 2), *_THREE, [1], 0.0, 2.0, np.inf)
    boxes = np.array([[[0, 1], [0.25, 0.75]], [[0, 0], [0.25, 0.25]], [[1, 1], [0.75, 0.75]]])
    yield call(x, _THREE[0], _THREE[1], np.array([1.5, np.inf]), boxes, 3, 0.0, 2.0, np.inf)


op(_PREFIX + "kdtree_query", "(x, tree, index, boxsize, bounds, k, eps, p, distance_upper_bound)", rules.kdtree_query,
   arrays=("x", "tree", "index", "boxsize", "bounds"), varying=("eps", "p", "distance_upper_bound"), samples=_queries,
   errors=lambda: iter([fails(ValueError, pos(2, 3), *_THREE, 1, 0.0, 2.0, np.inf)]))  # fmt: skip


def _balls() -> Iterator[Any]:
    x = _points(4, 2)
    for want in rules.WANTS:
        yield call(x, *_THREE, 0.5, 2.0, 0.0, want)
        yield call(_THREE[0], *_THREE, 1.0, np.inf, 0.0, want)
    yield call(x[0], *_THREE, 0.5, 2.0, 0.0, "length")


op(_PREFIX + "kdtree_ball", "(x, tree, index, boxsize, bounds, r, p, eps, want)", rules.kdtree_ball,
   arrays=("x", "tree", "index", "boxsize", "bounds"), varying=("r", "p", "eps"), samples=_balls,
   errors=lambda: iter([fails(ValueError, pos(2, 3), *_THREE, 1.0, 2.0, 0.0, "length")]))  # fmt: skip

_SQUARE = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.5, 0.5]])


#: Its triangles, and across which of their sides lies which other one.
_TRIANGLES = (
    np.array([[0, 3, 4], [3, 2, 4], [2, 1, 4], [1, 0, 4]], "i4"),
    np.array([[1, 3, -1], [2, 0, -1], [3, 1, -1], [0, 2, -1]], "i4"),
)


def _find() -> Iterator[Any]:
    for coordinates in (False, True):
        yield call(_SQUARE, *_TRIANGLES, _points(6, 2) * 1.5, 1e-12, coordinates)


op(_PREFIX + "delaunay", "(points)", outs=2, samples=lambda: iter([call(_SQUARE), call(_points(30, 2)), call(_points(9, 2, "f4"))]),
   note="triangles and their neighbours, (m, 3) int32 each; how many depends on the points")  # fmt: skip
op(_PREFIX + "delaunay_find", "(points, simplices, neighbors, xi, eps, coordinates)", rules.delaunay_find,
   arrays=("points", "simplices", "neighbors", "xi"), varying=("eps",),
   unseen=("points", "simplices", "neighbors"), samples=_find)  # fmt: skip
op(_PREFIX + "delaunay_vertices", "(points, simplices)", rules.delaunay_vertices, arrays=("points", "simplices"), unseen=("simplices",),
   samples=lambda: iter([call(_SQUARE, _TRIANGLES[0])]))  # fmt: skip
