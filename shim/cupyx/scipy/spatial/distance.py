"""`cupyx.scipy.spatial.distance`. CuPy needs the library cuVS for it; here the server computes it, so the functions are always there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cupool.contract.ops.scipy._rules_spatial import METRICS

from .... import cupy as _cp
from .... import dispatch as _dispatch
from ....convert import asarray as _asarray
from ....rows import ROWS as _ROWS

_CDIST = _ROWS["@cupyx.scipy.spatial.cdist"]

#: What CuPy says of the libraries that it takes distances from.
cuvs_available = True
pylibraft_available = False


class MetricInfo:
    """A metric and its names."""

    def __init__(self, canonical_name: Any = None, aka: Any = None, validator: Any = None, types: Any = None) -> None:
        self.canonical_name_ = canonical_name
        self.aka_ = aka
        self.validator_ = validator
        self.types_ = types


_TYPES = {"hamming": ["double", "bool"], "russellrao": ["bool"]}
_METRIC_INFOS = [MetricInfo(name, {name, *aliases}, None, _TYPES.get(name)) for name, aliases in METRICS.items()]
_METRICS = {info.canonical_name_: info for info in _METRIC_INFOS}
_METRIC_ALIAS = {alias: info for info in _METRIC_INFOS for alias in info.aka_}
_METRICS_NAMES = list(_METRICS)


def check_soft_dependencies() -> None:
    """Raises RuntimeError where distances cannot be computed: nowhere here."""


def _of_vectors(metric: str, u: Any, v: Any, p: float = 2.0) -> Any:
    u, v = _asarray(u), _asarray(v)
    for name, x in (("u", u), ("v", v)):
        if x.ndim > 2 or (x.ndim == 2 and x.shape[0] != 1):
            raise ValueError(f"{name} must be a vector")
    return _dispatch.call(_CDIST, (u.reshape(1, -1), v.reshape(1, -1), metric, float(p)))[0, 0]


def _metric(name: str, text: str) -> Callable[[Any, Any], Any]:
    def distance(u: Any, v: Any) -> Any:
        return _of_vectors(name, u, v)

    distance.__name__ = distance.__qualname__ = name
    distance.__doc__ = f"{text} of two vectors of the shape (n,)."
    return distance


canberra = _metric("canberra", "Canberra distance")
chebyshev = _metric("chebyshev", "Chebyshev distance, the largest difference,")
cityblock = _metric("cityblock", "City block distance, the sum of differences,")
correlation = _metric("correlation", "Correlation distance")
cosine = _metric("cosine", "Cosine distance")
euclidean = _metric("euclidean", "Euclidean distance")
hamming = _metric("hamming", "Hamming distance, the share of different elements,")
hellinger = _metric("hellinger", "Hellinger distance")
jensenshannon = _metric("jensenshannon", "Jensen-Shannon distance")
kl_divergence = _metric("kl_divergence", "Kullback-Leibler divergence")
russellrao = _metric("russellrao", "Russell-Rao distance")
sqeuclidean = _metric("sqeuclidean", "Squared Euclidean distance")


def minkowski(u: Any, v: Any, p: float) -> Any:
    """Minkowski distance of order `p` of two vectors of the shape (n,)."""
    return _of_vectors("minkowski", u, v, p)


def cdist(XA: Any, XB: Any, metric: Any = "euclidean", out: Any = None, **kwargs: Any) -> Any:
    """Distances of each row of `XA` (m, k) from each row of `XB` (n, k).

    Args:
        XA: points; computed in its dtype, float32 or float64, else in float32.
        XB: points, in the same memory order.
        metric: name of a metric.
        out: where to write the (m, n) results to.
        **kwargs: `p`, the order of the Minkowski distance; 2 by default.

    Raises:
        TypeError: `metric` is no name.
        ValueError: an unknown metric, or shapes or orders that do not fit.
    """
    XA, XB = _asarray(XA), _asarray(XB)
    result = _dispatch.call(_CDIST, (XA, XB, metric, float(kwargs.get("p", 2.0))))
    if out is None:
        return result
    if out.shape != result.shape:
        raise ValueError(f"out has the shape {out.shape}, the distances {result.shape}")
    out[...] = result
    return out


def pdist(X: Any, metric: Any = "euclidean", *, out: Any = None, **kwargs: Any) -> Any:
    """Distances of the pairs of rows of `X` (m, k): (m (m - 1) / 2,), pair (i, j) with i < j in the order of the upper triangle."""
    distances = cdist(X, X, metric=metric, out=out, **kwargs)
    return distances[_cp.triu_indices_from(distances, 1)]


def distance_matrix(x: Any, y: Any, p: float = 2.0) -> Any:
    """Minkowski distances of order `p` of each row of `x` (m, k) from each row of `y` (n, k): (m, n)."""
    x, y = _asarray(x), _asarray(y)
    k, kk = x.shape[1], y.shape[1]
    if k != kk:
        raise ValueError(f"x contains {k}-dimensional vectors but y contains {kk}-dimensional vectors")
    return cdist(x, y, metric="minkowski", p=p)
