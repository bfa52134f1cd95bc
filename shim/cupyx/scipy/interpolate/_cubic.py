"""Piecewise cubics through points. Building one looks at the data and waits."""

from __future__ import annotations

from typing import Any, Self

from .._commands import cp
from ._common import MODULE, interpolation, is_scalar
from ._interpolate import PPoly

_cubic = interpolation("cubic")


class CubicHermiteSpline(PPoly):
    """As `cupyx.scipy.interpolate.CubicHermiteSpline`: values `y` and derivatives `dydx` at `x`."""

    __slots__ = ()
    __module__ = MODULE

    def __init__(self, x: Any, y: Any, dydx: Any, axis: int = 0, extrapolate: Any = None) -> None:
        self._fit("hermite", x, y, axis, extrapolate, dydx)

    def _fit(
        self, kind: str, x: Any, y: Any, axis: int, extrapolate: Any, dydx: Any = None, bc_type: Any = None
    ) -> None:
        y = cp.asarray(y)
        axis = axis % y.ndim
        dydx = None if dydx is None else cp.asarray(dydx)
        self.x, self.c = _cubic(kind, cp.asarray(x), y, dydx, axis, bc_type)
        self.axis = axis
        self.extrapolate = True if extrapolate is None else extrapolate


class PchipInterpolator(CubicHermiteSpline):
    """As `cupyx.scipy.interpolate.PchipInterpolator`: monotonic between the points."""

    __slots__ = ()
    __module__ = MODULE

    def __init__(self, x: Any, y: Any, axis: int = 0, extrapolate: Any = None) -> None:
        self._fit("pchip", x, y, axis, extrapolate)


def pchip_interpolate(xi: Any, yi: Any, x: Any, der: Any = 0, axis: int = 0) -> Any:
    """As `cupyx.scipy.interpolate.pchip_interpolate`."""
    made = PchipInterpolator(xi, yi, axis=axis)
    if is_scalar(der):
        return made(x) if der == 0 else made.derivative(der)(x)
    return [made.derivative(nu)(x) for nu in der]


class Akima1DInterpolator(CubicHermiteSpline):
    """As `cupyx.scipy.interpolate.Akima1DInterpolator`. Outside of the points it is NaN."""

    __slots__ = ()
    __module__ = MODULE

    def __init__(self, x: Any, y: Any, axis: int = 0) -> None:
        self._fit("akima", x, y, axis, False)

    def extend(self, c: Any, x: Any, right: Any = True) -> None:
        """Not implemented in CuPy."""
        raise NotImplementedError("Extending a 1-D Akima interpolator is not yet implemented")

    @classmethod
    def from_spline(cls, tck: Any, extrapolate: Any = None) -> Self:
        """Makes no sense for this interpolator."""
        raise NotImplementedError("This method does not make sense for an Akima interpolator.")

    @classmethod
    def from_bernstein_basis(cls, bp: Any, extrapolate: Any = None) -> Self:
        """Makes no sense for this interpolator."""
        raise NotImplementedError("This method does not make sense for an Akima interpolator.")


class CubicSpline(CubicHermiteSpline):
    """As `cupyx.scipy.interpolate.CubicSpline`: twice continuously differentiable."""

    __slots__ = ()
    __module__ = MODULE

    def __init__(self, x: Any, y: Any, axis: int = 0, bc_type: Any = "not-a-knot", extrapolate: Any = None) -> None:
        x, y = cp.asarray(x), cp.asarray(y)
        bc_type = _conditions(bc_type)
        if extrapolate is None and bc_type == "periodic" and len(x) <= 3:
            extrapolate = "periodic"  # with more points CuPy extrapolates a polynomial
        self._fit("spline", x, y, axis, extrapolate, None, bc_type)


def _conditions(bc_type: Any) -> Any:
    """A name, or two of: a name, (order, value)."""
    if isinstance(bc_type, str):
        names: Any = (bc_type,)
    else:
        if len(bc_type) != 2:
            raise ValueError("`bc_type` must contain 2 elements to specify start and end conditions.")
        if any(isinstance(bc, str) and bc == "periodic" for bc in bc_type):
            raise ValueError(
                "'periodic' `bc_type` is defined for both curve ends and cannot be used with other boundary conditions."
            )
        names = tuple(bc for bc in bc_type if isinstance(bc, str))
    for name in names:
        if name not in ("clamped", "natural", "not-a-knot", "periodic"):
            raise ValueError(f"bc_type={name} is not allowed.")
    if isinstance(bc_type, str):
        return bc_type
    return tuple(bc if isinstance(bc, str) else _value(bc) for bc in bc_type)


def _value(bc: Any) -> tuple[int, Any]:
    try:
        order, value = bc
    except (TypeError, ValueError):
        raise ValueError("A specified derivative value must be given in the form (order, value).") from None
    if order not in (1, 2):
        raise ValueError("The specified derivative order must be 1 or 2.")
    return order, value
