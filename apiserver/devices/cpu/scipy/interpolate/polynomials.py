"""Polynomials through points, and interpolation of a table. Values are (points, columns)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def _inexact(a: Any) -> Any:
    return np.dtype(np.complex128 if np.iscomplexobj(a) else np.float64)


def weights(xi: Any) -> Any:
    """Barycentric weights, of points scaled to an interval of length 4 so that the products stay in range."""
    scale = 4.0 / (np.max(xi) - np.min(xi))
    distances = scale * (xi[:, None] - xi[None, :])
    np.fill_diagonal(distances, 1.0)
    # In a shuffled order the partial products stay near 1.
    order = np.random.default_rng(0).permutation(len(xi))
    return 1.0 / np.prod(distances[:, order], axis=1)


def barycentric(xi: Any, yi: Any, wi: Any, x: Any) -> Any:
    if not x.size:
        return np.zeros((0, yi.shape[1]), _inexact(yi))
    distances = x[:, None] - xi
    rows, columns = np.nonzero(distances == 0)
    distances[rows, columns] = 1
    terms = wi / distances
    values = (terms @ yi) / np.sum(terms, -1)[:, None]
    values[rows] = yi[columns]
    return values.astype(_inexact(yi), copy=False)


def newton(xi: Any, yi: Any) -> Any:
    """Divided differences; equal points take derivatives."""
    n, dtype = len(xi), _inexact(yi)
    c = np.zeros((n + 1, yi.shape[1]), dtype)
    c[0] = yi[0]
    column = np.zeros((n, yi.shape[1]), dtype)
    for k in range(1, n):
        same = 0
        while same <= k and xi[k - same] == xi[k]:
            same += 1
        same -= 1
        column[0] = yi[k] / math.factorial(same)
        for i in range(k - same):
            if xi[i] == xi[k]:
                raise ValueError("Elements if `xi` can't be equal.")
            upper = c[i] if same == 0 else column[i + 1]
            column[i + 1] = (upper - column[i]) / (xi[i] - xi[k])
        c[k] = column[k - same]
    return c


def newton_values(xi: Any, c: Any, x: Any) -> Any:
    values = np.zeros((len(x), c.shape[1]), c.dtype) + c[len(xi) - 1]
    for k in range(len(xi) - 2, -1, -1):
        values = values * (x - xi[k])[:, None] + c[k]
    return values


def newton_derivatives(xi: Any, c: Any, x: Any, der: int) -> Any:
    """(derivatives 0 … der - 1, points, columns)."""
    n = len(xi)
    powers = np.zeros((n, len(x)))
    steps = np.zeros((n, len(x)))
    powers[0] = 1
    made = np.zeros((max(der, n + 1), len(x), c.shape[1]), c.dtype)
    made[: n + 1] += c[: n + 1, None, :]
    made[0] = c[0]
    for k in range(1, n):
        steps[k - 1] = x - xi[k - 1]
        powers[k] = steps[k - 1] * powers[k - 1]
        made[0] += powers[k][:, None] * c[k]
    for k in range(1, n):
        for i in range(1, n - k + 1):
            powers[i] = steps[k + i - 1] * powers[i - 1] + powers[i]
            made[k] = made[k] + powers[i][:, None] * made[k + i]
        made[k] *= math.factorial(k)
    made[n] = 0
    return made[:der]


# -- a table -----------------------------------------------------------------------------------------------------------


def _linear(x: Any, y: Any, at: Any) -> Any:
    high = np.clip(np.searchsorted(x, at), 1, len(x) - 1)
    low = high - 1
    slope = (y[high] - y[low]) / (x[high] - x[low])[:, None]
    return slope * (at - x[low])[:, None] + y[low]


def _nearest(side: Any) -> Any:
    def run(x: Any, y: Any, at: Any) -> Any:
        halves = x / 2.0
        bounds = halves[1:] + halves[:-1]
        return y[np.clip(np.searchsorted(bounds, at, side), 0, len(x) - 1)]

    return run


def _previous(x: Any, y: Any, at: Any) -> Any:
    shifted = np.nextafter(x, -np.inf)
    return y[np.clip(np.searchsorted(shifted, at, "left"), 1, len(x)) - 1]


def _next(x: Any, y: Any, at: Any) -> Any:
    shifted = np.nextafter(x, np.inf)
    return y[np.clip(np.searchsorted(shifted, at, "right"), 0, len(x) - 1)]


_KINDS = {
    "linear": _linear,
    "nearest": _nearest("left"),
    "nearest-up": _nearest("right"),
    "previous": _previous,
    "next": _next,
}


def interp1d(x: Any, y: Any, x_new: Any, kind: str, below: Any, above: Any, bounds_error: bool) -> Any:
    """Values at `x_new`; outside of the table `below` and `above` (columns), or extrapolated where they are None."""
    if kind == "linear" and y.shape[1] == 1 and below is not None and x.dtype.char in "dl" and y.dtype.char in "dl":
        made = np.interp(x_new, x, y[:, 0])[:, None]
    else:
        made = np.array(_KINDS[kind](x, y, x_new))
    if below is None:
        return made
    under, over = x_new < x[0], x_new > x[-1]
    for outside, bound, side in (
        (under, x[0], "below the interpolation range's minimum"),
        (over, x[-1], "above the interpolation range's maximum"),
    ):
        if bounds_error and outside.any():
            raise ValueError(f"A value ({x_new[np.argmax(outside)]}) in x_new is {side} value ({bound}).")
    if len(made):
        made[under], made[over] = below, above
    return made


FUNCTIONS = {
    function.__name__: function
    for function in (weights, barycentric, newton, newton_values, newton_derivatives, interp1d)
}
