"""Distances of all pairs of points, by formula: for devices whose library has none. NumPy and CuPy alike, which `xp` is one of.

The real CuPy hands them to the library cuVS, which few installations have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Elements of the differences of a block of pairs: bounds memory.
BLOCK = 1 << 24

Formula = Callable[[Any, Any, Any, float], Any]


def _ratio(xp: Any, above: Any, below: Any) -> Any:
    """above / below, and 0 where both are 0."""
    return xp.where(below == 0, 0, above / xp.where(below == 0, 1, below))


def _xlogy(xp: Any, x: Any, y: Any) -> Any:
    """x log y, and 0 where x is 0."""
    return xp.where(x == 0, 0, x * xp.log(xp.where(x == 0, 1, y)))


def _minkowski(xp: Any, a: Any, b: Any, p: float) -> Any:
    difference = abs(a - b)
    if p == float("inf"):
        return difference.max(axis=-1)
    return (difference**p).sum(axis=-1) ** (1.0 / p)


def _cosine(xp: Any, a: Any, b: Any, p: float) -> Any:
    norms = xp.sqrt((a * a).sum(axis=-1)) * xp.sqrt((b * b).sum(axis=-1))
    return 1 - (a * b).sum(axis=-1) / norms


def _correlation(xp: Any, a: Any, b: Any, p: float) -> Any:
    return _cosine(xp, a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True), p)


def _jensenshannon(xp: Any, a: Any, b: Any, p: float) -> Any:
    middle = (a + b) / 2
    halves = _xlogy(xp, a, a / xp.where(middle == 0, 1, middle)) + _xlogy(xp, b, b / xp.where(middle == 0, 1, middle))
    return xp.sqrt(xp.maximum(halves.sum(axis=-1) / 2, 0))


def _kl_divergence(xp: Any, a: Any, b: Any, p: float) -> Any:
    # As cuVS: what is impossible under `b` counts nothing.
    both = (a != 0) & (b != 0)
    return xp.where(both, _xlogy(xp, a, a / xp.where(b == 0, 1, b)), 0).sum(axis=-1)


def _hellinger(xp: Any, a: Any, b: Any, p: float) -> Any:
    return xp.sqrt(xp.maximum(1 - xp.sqrt(a * b).sum(axis=-1), 0))


def _russellrao(xp: Any, a: Any, b: Any, p: float) -> Any:
    return 1 - ((a != 0) & (b != 0)).mean(axis=-1)


#: Metric -> formula on points (m, 1, k) and (1, n, k).
FORMULAS: dict[str, Formula] = {
    "canberra": lambda xp, a, b, p: _ratio(xp, abs(a - b), abs(a) + abs(b)).sum(axis=-1),
    "chebyshev": lambda xp, a, b, p: abs(a - b).max(axis=-1),
    "cityblock": lambda xp, a, b, p: abs(a - b).sum(axis=-1),
    "correlation": _correlation,
    "cosine": _cosine,
    "euclidean": lambda xp, a, b, p: xp.sqrt(((a - b) ** 2).sum(axis=-1)),
    "hamming": lambda xp, a, b, p: (a != b).mean(axis=-1),
    "hellinger": _hellinger,
    "jensenshannon": _jensenshannon,
    "kl_divergence": _kl_divergence,
    "minkowski": _minkowski,
    "russellrao": _russellrao,
    "sqeuclidean": lambda xp, a, b, p: ((a - b) ** 2).sum(axis=-1),
}


def pairwise(xp: Any, a: Any, b: Any, metric: str, p: float, dtype: Any) -> Any:
    """Distances of each row of `a` (m, k) from each row of `b` (n, k), computed in `dtype`: (m, n) of `dtype`."""
    a, b = a.astype(dtype), b.astype(dtype)
    result = xp.empty((a.shape[0], b.shape[0]), dtype)
    formula = FORMULAS[metric]
    step = max(1, BLOCK // max(b.size, 1))
    for start in range(0, a.shape[0], step):
        result[start : start + step] = formula(xp, a[start : start + step, None], b[None], p)
    return result
