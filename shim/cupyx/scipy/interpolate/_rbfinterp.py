"""Interpolation by radial functions."""

from __future__ import annotations

import warnings
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from cupool.contract.ops.scipy._rules_interpolate import monomials

from ....array import ndarray
from ... import _config
from .._commands import cp
from ._common import MODULE, interpolation

_fit = interpolation("radial_fit")
_evaluate = interpolation("radial")
_evaluate_near = interpolation("radial_near")

_SCALE_INVARIANT = {"linear", "thin_plate_spline", "cubic", "quintic"}
_AVAILABLE = _SCALE_INVARIANT | {"multiquadric", "inverse_multiquadric", "inverse_quadratic", "gaussian"}
_NAME_TO_MIN_DEGREE = {"multiquadric": 0, "linear": 0, "thin_plate_spline": 1, "cubic": 1, "quintic": 2}


def _thin_plate_spline(r: Any) -> Any:
    return cp.where(r == 0, 0.0, r * r * cp.log(cp.where(r == 0, 1.0, r)))


#: Kernel -> its function of distances, for who builds a system of equations of his own.
NAME_TO_FUNC: dict[str, Any] = {
    "linear": lambda r: -r,
    "thin_plate_spline": _thin_plate_spline,
    "cubic": lambda r: r**3,
    "quintic": lambda r: -(r**5),
    "multiquadric": lambda r: -cp.sqrt(r * r + 1),
    "inverse_multiquadric": lambda r: 1 / cp.sqrt(r * r + 1),
    "inverse_quadratic": lambda r: 1 / (r * r + 1),
    "gaussian": lambda r: cp.exp(-r * r),
}


def kernel_matrix(x: Any, kernel_func: Any, out: Any) -> None:
    """The kernel between all pairs of points `x`, into `out`."""
    out[...] = kernel_func(cp.linalg.norm(x[None, :, :] - x[:, None, :], axis=-1))


def polynomial_matrix(x: Any, powers: Any, out: Any) -> None:
    """Monomials of these exponents at the points `x`, into `out`."""
    out[...] = cp.prod(x[:, None, :] ** powers[None, :, :], axis=-1)


def _monomial_powers(ndim: int, degree: int) -> Any:
    """Exponents of the monomials up to `degree` (monomials, ndim)."""
    rows = [
        np.bincount(chosen, minlength=ndim)
        for total in range(degree + 1)
        for chosen in combinations_with_replacement(range(ndim), total)
    ]
    return cp.asarray(np.array(rows, np.int64).reshape(-1, ndim))


class RBFInterpolator:
    """As `cupyx.scipy.interpolate.RBFInterpolator`.

    Attributes:
        y, d: points (n, dimensions) and values (n, columns); complex values as pairs of columns.
        d_shape, d_dtype: what results have beside the points.
        neighbors, smoothing, kernel, epsilon: as given, with their defaults.
    """

    __module__ = MODULE

    def __init__(
        self, y: Any, d: Any, neighbors: Any = None, smoothing: Any = 0.0, kernel: str = "thin_plate_spline", epsilon: Any = None,
        degree: Any = None,
    ) -> None:  # fmt: skip
        y = cp.asarray(y, dtype=np.float64, order="C")
        if y.ndim != 2:
            raise ValueError("`y` must be a 2-dimensional array.")
        n, ndim = y.shape
        d = cp.asarray(d)
        self.d_dtype: Any = complex if d.dtype.kind == "c" else float
        d = cp.ascontiguousarray(d, dtype=self.d_dtype)
        if d.shape[0] != n:
            raise ValueError(f"Expected the first axis of `d` to have length {n}.")
        self.d_shape = d.shape[1:]
        self.d = d.reshape((n, -1)).view(np.float64)
        if isinstance(smoothing, ndarray | np.ndarray | list) and np.shape(smoothing) != ():
            smoothing = cp.asarray(smoothing, dtype=np.float64)
            if smoothing.shape != (n,):
                raise ValueError(f"Expected `smoothing` to be a scalar or have shape ({n},).")
        else:
            smoothing = cp.full(n, smoothing, dtype=np.float64)
        kernel = kernel.lower()
        if kernel not in _AVAILABLE:
            raise ValueError(f"`kernel` must be one of {_AVAILABLE}.")
        if epsilon is None:
            if kernel not in _SCALE_INVARIANT:
                raise ValueError(f"`epsilon` must be specified if `kernel` is not one of {_SCALE_INVARIANT}.")
            epsilon = 1.0
        self.epsilon = float(epsilon)
        self._degree = _checked_degree(degree, kernel)
        self.neighbors = None if neighbors is None else int(min(neighbors, n))
        count = monomials(ndim, self._degree)
        if count > (n if self.neighbors is None else self.neighbors):
            raise ValueError(
                f"At least {count} data points are required when `degree` is {self._degree} and the number of dimensions is {ndim}."
            )
        self.y, self.smoothing, self.kernel = y, smoothing, kernel
        if self.neighbors is None:
            self._shift, self._scale, self._coeffs = _fit(y, self.d, smoothing, kernel, self.epsilon, self._degree)
            _check_solved(self._coeffs)

    def __call__(self, x: Any) -> Any:
        """Values at the points `x` (points, dimensions)."""
        x = cp.asarray(x, dtype=np.float64, order="C")
        if x.ndim != 2:
            raise ValueError("`x` must be a 2-dimensional array.")
        if x.shape[1] != self.y.shape[1]:
            raise ValueError(f"Expected the second axis of `x` to have length {self.y.shape[1]}.")
        shape = (self.kernel, self.epsilon, self._degree)
        if self.neighbors is None:
            out = _evaluate(x, self.y, self._shift, self._scale, self._coeffs, *shape)
        else:
            out = _evaluate_near(x, self.y, self.d, self.smoothing, *shape, self.neighbors)
            _check_solved(out)
        return out.view(np.dtype(self.d_dtype)).reshape((x.shape[0], *self.d_shape))


def _check_solved(solution: Any) -> None:
    """Under `errstate(linalg="raise")` wait, and raise LinAlgError for a system that had no solution."""
    if _config.linalg == "raise" and not bool(cp.isfinite(solution).all()):
        raise np.linalg.LinAlgError("Singular matrix")


def _checked_degree(degree: Any, kernel: str) -> int:
    least = _NAME_TO_MIN_DEGREE.get(kernel, -1)
    if degree is None:
        return max(least, 0)
    degree = int(degree)
    if degree < -1:
        raise ValueError("`degree` must be at least -1.")
    if -1 < degree < least:
        warnings.warn(
            f"`degree` should not be below {least} when `kernel` is '{kernel}'. The interpolant may not be uniquely solvable, and the "
            "smoothing parameter may have an unintuitive effect.",
            UserWarning,
            stacklevel=3,
        )
    return int(degree)
