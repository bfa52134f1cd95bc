"""Polynomials through points, in barycentric and in Newton's form."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._commands import cp
from ._common import MODULE, inexact, interpolation, is_complex, is_scalar

_weights = interpolation("weights")
_barycentric = interpolation("barycentric")
_newton = interpolation("newton")
_newton_values = interpolation("newton_values")
_newton_derivatives = interpolation("newton_derivatives")


class Interpolator1D:
    """An interpolator along one axis of a table.

    Attributes:
        dtype: float64 or complex128, of results.
    """

    def __init__(self, xi: Any = None, yi: Any = None, axis: Any = None) -> None:
        self._y_axis = axis
        self._y_extra_shape: Any = None
        self.dtype: Any = None
        if yi is not None:
            self._set_yi(yi, xi, axis)

    def __call__(self, x: Any) -> Any:
        """Values at `x`."""
        x, shape = self._prepare_x(x)
        return self._finish_y(self._evaluate(x), shape)

    def _evaluate(self, x: Any) -> Any:
        raise NotImplementedError

    @staticmethod
    def _prepare_x(x: Any) -> tuple[Any, tuple[int, ...]]:
        x = cp.asarray(x)
        if x.dtype.kind not in "fc":
            x = x.astype(np.float64)
        return x.ravel(), x.shape

    def _finish_y(self, y: Any, shape: tuple[int, ...], lead: int = 0) -> Any:
        """Values (…`lead` axes, points, columns) with the points' shape in the place of the axis."""
        y = y.reshape((*y.shape[:lead], *shape, *self._y_extra_shape))
        if self._y_axis == 0 or shape == ():
            return y
        dims = list(range(y.ndim))
        head, points, rest = dims[:lead], dims[lead : lead + len(shape)], dims[lead + len(shape) :]
        return y.transpose(head + rest[: self._y_axis] + points + rest[self._y_axis :])

    def _reshape_yi(self, yi: Any, check: bool = False) -> Any:
        yi = cp.moveaxis(cp.asarray(yi), self._y_axis, 0)
        if check and yi.shape[1:] != self._y_extra_shape:
            extra = self._y_extra_shape
            wanted = f"{extra[-self._y_axis :]!r} + (N,) + {extra[: -self._y_axis]!r}"
            raise ValueError(f"Data must be of shape {wanted}")
        return yi.reshape((yi.shape[0], -1))

    def _set_yi(self, yi: Any, xi: Any = None, axis: Any = None) -> None:
        axis = self._y_axis if axis is None else axis
        if axis is None:
            raise ValueError("no interpolation axis specified")
        shape = yi.shape or (1,)
        if xi is not None and shape[axis] != len(xi):
            raise ValueError("x and y arrays must be equal in length along interpolation axis.")
        self._y_axis = axis % yi.ndim
        self._y_extra_shape = yi.shape[: self._y_axis] + yi.shape[self._y_axis + 1 :]
        self.dtype = inexact(yi.dtype)

    def _set_dtype(self, dtype: Any, union: bool = False) -> None:
        if is_complex(dtype) or (self.dtype is not None and is_complex(self.dtype)):
            self.dtype = np.complex128
        elif not union or self.dtype != np.complex128:
            self.dtype = np.float64


class BarycentricInterpolator(Interpolator1D):
    """As `cupyx.scipy.interpolate.BarycentricInterpolator`. Attributes `xi`, `yi`, `wi`: points, values (points, columns), weights."""

    __module__ = MODULE

    def __init__(self, xi: Any, yi: Any = None, axis: int = 0) -> None:
        super().__init__(xi, yi, axis)
        self.xi = xi.astype(np.float64)
        self.set_yi(yi)
        self.n = len(self.xi)
        self.wi = _weights(self.xi)

    def set_yi(self, yi: Any, axis: Any = None) -> None:
        """Other values at the same points."""
        if yi is None:
            self.yi = None
            return
        self._set_yi(yi, self.xi, axis)
        self.yi = self._reshape_yi(yi)
        self.n, self.r = self.yi.shape

    def add_xi(self, xi: Any, yi: Any = None) -> None:
        """More points and their values."""
        if yi is not None:
            if self.yi is None:
                raise ValueError("No previous yi value to update!")
            self.yi = cp.vstack((self.yi, self._reshape_yi(yi, check=True)))
        elif self.yi is not None:
            raise ValueError("No update to yi provided!")
        self.xi = cp.concatenate((self.xi, xi.astype(np.float64)))
        self.n = len(self.xi)
        self.wi = _weights(self.xi)

    def _evaluate(self, x: Any) -> Any:
        return _barycentric(self.xi, self.yi, self.wi, x)


def barycentric_interpolate(xi: Any, yi: Any, x: Any, axis: int = 0) -> Any:
    """As `cupyx.scipy.interpolate.barycentric_interpolate`."""
    return BarycentricInterpolator(xi, yi, axis=axis)(x)


class KroghInterpolator(Interpolator1D):
    """As `cupyx.scipy.interpolate.KroghInterpolator`. A point that is named again takes a derivative. Attributes `xi`, `yi`, `c`."""

    __module__ = MODULE

    def __init__(self, xi: Any, yi: Any, axis: int = 0) -> None:
        super().__init__(xi, yi, axis)
        self.xi = xi.astype(np.float64)
        self.yi = self._reshape_yi(yi)
        self.n, self.r = self.yi.shape
        self.c = _newton(cp.asarray(xi), self.yi)  # differences in the dtype that was given, as CuPy's

    def _evaluate(self, x: Any) -> Any:
        return _newton_values(self.xi, self.c, x)

    def derivatives(self, x: Any, der: Any = None) -> Any:
        """The derivatives 0 … `der` - 1 at `x`, on a new first axis; as many as there are points by default."""
        x, shape = self._prepare_x(x)
        values = _newton_derivatives(self.xi, self.c, x, self.n if der is None else int(der))
        return self._finish_y(values, shape, 1)

    def derivative(self, x: Any, der: Any = 1) -> Any:
        """One derivative at `x`."""
        x, shape = self._prepare_x(x)
        return self._finish_y(_newton_derivatives(self.xi, self.c, x, int(der) + 1)[der], shape)


def krogh_interpolate(xi: Any, yi: Any, x: Any, der: Any = 0, axis: int = 0) -> Any:
    """As `cupyx.scipy.interpolate.krogh_interpolate`."""
    made = KroghInterpolator(xi, yi, axis=axis)
    if is_scalar(der):
        return made(x) if der == 0 else made.derivative(x, der=der)
    return made.derivatives(x, der=int(cp.amax(cp.asarray(der))) + 1)[der]
