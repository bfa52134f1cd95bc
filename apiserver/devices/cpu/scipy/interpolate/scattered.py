"""Interpolation of values at scattered points: radial functions, and triangles."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import scipy.interpolate
import scipy.spatial

from ...ops_linalg import solve

_sp: Any = scipy.interpolate


def _thin_plate_spline(r: Any) -> Any:
    return np.where(r == 0, 0.0, r * r * np.log(np.where(r == 0, 1.0, r)))


_KERNELS: dict[str, Any] = {
    "linear": lambda r: -r,
    "thin_plate_spline": _thin_plate_spline,
    "cubic": lambda r: r**3,
    "quintic": lambda r: -(r**5),
    "multiquadric": lambda r: -np.sqrt(r * r + 1),
    "inverse_multiquadric": lambda r: 1 / np.sqrt(r * r + 1),
    "inverse_quadratic": lambda r: 1 / (r * r + 1),
    "gaussian": lambda r: np.exp(-r * r),
}
#: Elements of one matrix of an evaluation, so that many points do not need much memory.
_CHUNK = 1_000_000


def _powers(ndim: int, degree: int) -> Any:
    """Exponents of the monomials up to `degree` (monomials, ndim)."""
    rows = [
        np.bincount(chosen, minlength=ndim)
        for total in range(degree + 1)
        for chosen in combinations_with_replacement(range(ndim), total)
    ]
    return np.array(rows, np.int64).reshape(-1, ndim)


def _distances(a: Any, b: Any) -> Any:
    return np.linalg.norm(a[:, None, :] - b[None, :, :], axis=-1)


def _monomials(x: Any, powers: Any) -> Any:
    return np.prod(x[:, None, :] ** powers[None], axis=-1)


def radial_fit(y: Any, d: Any, smoothing: Any, kernel: str, epsilon: float, degree: int) -> Any:
    """(shift, scale, coefficients): of the kernel around each point, then of the monomials."""
    n, powers = len(y), _powers(y.shape[1], degree)
    low, high = np.min(y, 0), np.max(y, 0)
    shift, scale = (high + low) / 2, (high - low) / 2
    scale[scale == 0.0] = 1.0
    system = np.zeros((n + len(powers),) * 2)
    system[:n, :n] = _KERNELS[kernel](_distances(y * epsilon, y * epsilon))
    system[:n, n:] = _monomials((y - shift) / scale, powers)
    system[n:, :n] = system[:n, n:].T
    system[np.arange(n), np.arange(n)] += smoothing
    right = np.zeros((n + len(powers), d.shape[1]))
    right[:n] = d
    return shift, scale, solve(system, right)


def radial(x: Any, y: Any, shift: Any, scale: Any, coefficients: Any, kernel: str, epsilon: float, degree: int) -> Any:
    powers = _powers(y.shape[1], degree)
    step = _CHUNK // (len(powers) + len(y)) + 1
    out = np.empty((len(x), coefficients.shape[1]))
    for i in range(0, len(x), step):
        part = x[i : i + step]
        near = _KERNELS[kernel](_distances(part * epsilon, y * epsilon))
        out[i : i + step] = np.hstack([near, _monomials((part - shift) / scale, powers)]) @ coefficients
    return out


def radial_near(
    x: Any, y: Any, d: Any, smoothing: Any, kernel: str, epsilon: float, degree: int, neighbors: int
) -> Any:
    """Each point from a fit of its nearest neighbors alone."""
    _, near = scipy.spatial.cKDTree(y).query(x, neighbors)
    near = np.sort(near.reshape(len(x), -1), axis=1)
    groups, which = np.unique(near, return_inverse=True, axis=0)
    out = np.empty((len(x), d.shape[1]))
    for i, chosen in enumerate(groups):
        at = np.nonzero(which.ravel() == i)[0]
        shift, scale, coefficients = radial_fit(y[chosen], d[chosen], smoothing[chosen], kernel, epsilon, degree)
        out[at] = radial(x[at], y[chosen], shift, scale, coefficients, kernel, epsilon, degree)
    return out


# -- triangles ---------------------------------------------------------------------------------------------------------


def linear_nd(found: Any, simplices: Any, corners: Any, values: Any, fill_value: Any) -> Any:
    """The corners' values by their weights; the fill value where no triangle was found (-1)."""
    made = np.einsum("nk,nkv->nv", corners, values[simplices[np.maximum(found, 0)]])
    return np.where((found < 0)[:, None], fill_value, made).astype(values.dtype, copy=False)


def gradients(points: Any, values: Any, tol: float, maxiter: int) -> Any:
    """Gradients (points, columns, 2) that make the surface least curved."""
    made = _sp.CloughTocher2DInterpolator(points, values, tol=tol, maxiter=maxiter)
    return np.ascontiguousarray(made.grad).reshape(*values.shape, 2)


def clough_tocher(
    points: Any,
    simplices: Any,
    neighbors: Any,
    values: Any,
    grad: Any,
    xi: Any,
    fill_value: Any,
    tol: float,
    maxiter: int,
) -> Any:
    made = _sp.CloughTocher2DInterpolator(points, values, fill_value.item(), tol, maxiter)
    return np.asarray(made(xi))


FUNCTIONS = {
    function.__name__: function for function in (radial_fit, radial, radial_near, linear_nd, gradients, clough_tocher)
}
