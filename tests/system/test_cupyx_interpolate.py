"""`cupyx.scipy.interpolate` through a real server: attributes are arrays, evaluation does not wait, errors come at the call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.interpolate
from cupool.shim import cupy as cp
from cupool.shim import cupyx, session
from live import waits

ours: Any = cupyx.scipy.interpolate
sp: Any = scipy.interpolate
X = np.linspace(0, 3, 12)
Y = np.sin(X) + 0.1 * X**2
AT = np.array([[0.1, 1.0, 2.9], [-0.5, 3.4, 1.5]])


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    session.current()
    cp.array(np.zeros(100_000)).get()
    ours.make_interp_spline(
        cp.asarray(X), cp.asarray(Y)
    )  # the server imports SciPy's part now, so that no test is slow
    yield
    session.close()


def close(mine: Any, theirs: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(mine.get(), theirs, rtol=tolerance, atol=tolerance)


def test_a_spline_is_arrays_and_evaluates_without_waiting() -> None:
    made, theirs = ours.make_interp_spline(cp.asarray(X), cp.asarray(Y)), sp.make_interp_spline(X, Y)
    close(made.t, theirs.t)
    close(made.c, theirs.c)
    at = cp.asarray(AT)
    before = waits()
    values, slopes = made(at), made.derivative()(at)
    area = made.antiderivative()(at)
    assert values.shape == AT.shape and waits() == before
    close(values, theirs(AT))
    close(slopes, theirs(AT, 1))
    close(area, theirs.antiderivative()(AT))
    close(made.integrate(0.5, 2.5), theirs.integrate(0.5, 2.5))


def test_the_interpolated_axis_is_where_it_was() -> None:
    table = np.stack([Y, Y**2])
    for mine, theirs in (
        (ours.CubicSpline(cp.asarray(X), cp.asarray(table), axis=1), sp.CubicSpline(X, table, axis=1)),
        (ours.PchipInterpolator(cp.asarray(X), cp.asarray(table), axis=1), sp.PchipInterpolator(X, table, axis=1)),
        (ours.Akima1DInterpolator(cp.asarray(X), cp.asarray(table), axis=1), sp.Akima1DInterpolator(X, table, axis=1)),
        (
            ours.BarycentricInterpolator(cp.asarray(X), cp.asarray(table), axis=1),
            sp.BarycentricInterpolator(X, table, axis=1),
        ),
        (ours.KroghInterpolator(cp.asarray(X), cp.asarray(table), axis=1), sp.KroghInterpolator(X, table, axis=1)),
        (ours.make_interp_spline(cp.asarray(X), cp.asarray(table), axis=1), sp.make_interp_spline(X, table, axis=1)),
    ):
        close(mine(cp.asarray(AT)), theirs(AT))
        close(mine(cp.asarray(1.3)), theirs(1.3))


def test_errors_of_the_data_come_at_the_call() -> None:
    with pytest.raises(ValueError, match="increasing"):
        ours.CubicSpline(cp.asarray(X[::-1].copy()), cp.asarray(Y))
    with pytest.raises(ValueError, match="strictly increasing or decreasing"):
        ours.PPoly(cp.ones((2, 3)), cp.asarray([0.0, 2.0, 1.0, 3.0]))
    with pytest.raises(ValueError, match="non-decreasing"):
        ours.BSpline(cp.asarray([0.0, 2, 1, 3]), cp.ones(2), 1)
    with pytest.raises(ValueError, match="below the interpolation range"):
        ours.interp1d(cp.asarray(X), cp.asarray(Y))(cp.asarray([-1.0]))
    with pytest.raises(ValueError, match="out of bounds in dimension 0"):
        ours.RegularGridInterpolator((cp.asarray(X),), cp.asarray(Y))(cp.asarray([[9.0]]))


def test_polynomials_grow_and_change_their_basis() -> None:
    c = np.arange(1.0, 13).reshape(3, 4)
    x = np.array([0.0, 1, 2, 4, 5])
    mine, theirs = ours.PPoly(cp.asarray(c), cp.asarray(x)), sp.PPoly(c, x)
    close(ours.BPoly.from_power_basis(mine)(cp.asarray(AT)), theirs(AT))
    for made, other in ((mine, theirs), (ours.BPoly(cp.asarray(c), cp.asarray(x)), sp.BPoly(c, x))):
        made.extend(cp.asarray(c[:, :2]), cp.asarray([6.0, 7.0]))
        other.extend(c[:, :2], np.array([6.0, 7.0]))
        close(made.x, other.x)
        close(made(cp.asarray(AT + 3)), other(AT + 3))
        close(made.integrate(0.5, 6.5), other.integrate(0.5, 6.5))
    with pytest.raises(NotImplementedError):
        mine.roots()


def test_smoothing_splines_take_the_class_of_their_fit() -> None:
    made = ours.UnivariateSpline(cp.asarray(X), cp.asarray(Y), s=0)
    assert type(made) is ours.InterpolatedUnivariateSpline
    close(made(cp.asarray(X)), Y)
    smooth, theirs = ours.UnivariateSpline(cp.asarray(X), cp.asarray(Y), s=0.05), sp.UnivariateSpline(X, Y, s=0.05)
    close(smooth(cp.asarray(AT)), theirs(AT))
    close(smooth.get_knots(), theirs.get_knots())
    close(smooth.derivatives(cp.asarray(1.0)), theirs.derivatives(1.0))
    assert float(smooth.get_residual()) == pytest.approx(theirs.get_residual())


GRID = (np.linspace(0, 1, 7), np.linspace(0, 2, 8))
VALUES = np.sin(3 * GRID[0])[:, None] * np.cos(GRID[1])
POINTS = np.array([[0.2, 0.3], [0.9, 1.9], [0.5, 1.0]])


@pytest.mark.parametrize("method", ["linear", "nearest", "slinear", "cubic", "quintic", "pchip"])
def test_grids(method: str) -> None:
    grid, values = tuple(cp.asarray(g) for g in GRID), cp.asarray(VALUES)
    theirs = sp.RegularGridInterpolator(GRID, VALUES, method=method, bounds_error=False, fill_value=7.0)
    made = ours.RegularGridInterpolator(grid, values, method=method, bounds_error=False, fill_value=7.0)
    at = np.concatenate([POINTS, [[3.0, 3.0], [np.nan, 1.0]]])
    # SciPy solves for these splines approximately.
    tolerance = 1e-4 if method in ("cubic", "quintic") else 1e-9
    close(made(cp.asarray(at)), theirs(at), tolerance)
    turned = ours.interpn((grid[0][::-1], grid[1]), values[::-1], cp.asarray(POINTS), method=method)
    close(turned, theirs(POINTS), tolerance)


def _scattered() -> tuple[Any, Any]:
    points = ((np.sin(np.arange(80) * 12.9898) * 43758.5453) % 1).reshape(40, 2)
    return points, np.cos(4 * points[:, 0]) + points[:, 1]


@pytest.mark.parametrize("name", ["NearestNDInterpolator", "LinearNDInterpolator", "CloughTocher2DInterpolator"])
def test_scattered_points(name: str) -> None:
    points, values = _scattered()
    for each in (values, np.stack([values, 2 * values], 1)):
        made = getattr(ours, name)(cp.asarray(points), cp.asarray(each), rescale=True)
        theirs = getattr(sp, name)(points, each, rescale=True)
        close(made(cp.asarray(POINTS)), theirs(POINTS))
        close(made(cp.asarray([0.2, 0.4]), cp.asarray([[0.3], [0.5]])), theirs([0.2, 0.4], [[0.3], [0.5]]))


@pytest.mark.parametrize("neighbors", [None, 12])
def test_radial_functions(neighbors: Any) -> None:
    points, values = _scattered()
    for each in (values, values + 1j * values**2):
        made = ours.RBFInterpolator(cp.asarray(points), cp.asarray(each), neighbors=neighbors)
        close(made(cp.asarray(POINTS)), sp.RBFInterpolator(points, each, neighbors=neighbors)(POINTS))
    with pytest.raises(ValueError, match="`epsilon` must be specified"):
        ours.RBFInterpolator(cp.asarray(points), cp.asarray(values), kernel="gaussian")


def test_products_of_splines() -> None:
    t = np.array([0.0, 0, 0, 0, 1, 2, 3, 3, 3, 3])
    c = np.sin(np.arange(36.0)).reshape(6, 6)
    made, theirs = ours.NdBSpline((cp.asarray(t),) * 2, cp.asarray(c), 3), sp.NdBSpline((t, t), c, 3)
    close(made(cp.asarray(POINTS)), theirs(POINTS))
    close(made(cp.asarray(POINTS), nu=[1, 0]), theirs(POINTS, nu=[1, 0]))
    assert np.isnan(made(cp.asarray([[4.0, 1.0]]), extrapolate=False).get()).all()
