"""Rows: what `cupyx.scipy.interpolate` does on the device. Its public names are classes and functions of the shim over these.

Results are arrays alone: the client keeps knots, coefficients and axes, so nothing of an interpolator lives on the server.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import arr, call, fails, pos
from cupool.contract.ops.scipy import _rules_interpolate as rules

_PREFIX = "@cupyx.scipy.interpolate."


def _row(name: str, sig: str, infer: Any, samples: Any, **fields: Any) -> None:
    op(_PREFIX + name, sig, infer, samples=samples, **fields)


def _fit(name: str, sig: str, infer: Any, samples: Any, **fields: Any) -> None:
    """A row that looks at its data."""
    _row(name, sig, infer, samples, looks=True, **fields)


def _c(*shape: int, dtype: Any = "f8") -> Any:
    """Coefficients."""
    return np.sin(np.arange(int(np.prod(shape))) + 1.0).reshape(shape).astype(dtype)


_X = np.array([0.0, 1.0, 2.5, 3.0])
_AT = np.array([[-0.5, 0.2, 1.0], [2.7, 3.0, 3.5]])
_T = np.array([0.0, 0, 0, 0, 1, 2, 3, 3, 3, 3])

# -- polynomials on intervals ------------------------------------------------------------------------------------------

_row(
    "polynomials",
    "(c, x, xp, nu, extrapolate, bernstein)",
    rules.polynomials,
    lambda: [
        call(_c(3, 3, 2), _X, _AT, 0, True, False),
        call(_c(3, 3), _X, _AT, 1, False, True),
        call(_c(3, 3, dtype="c16"), _X, _AT, 0, "periodic", False),
    ],
    errors=lambda: [fails(NotImplementedError, _c(3, 3), _X, _AT, -1, True, True)],
)
_row(
    "derivative",
    "(c, x, nu, bernstein)",
    rules.derivative,
    lambda: [
        call(_c(3, 3, 2), _X, 1, False),
        call(_c(3, 3), _X, 4, False),
        call(_c(3, 3), _X, 2, True),
        call(_c(3, 3), _X, 0, False),
    ],
)
_row(
    "antiderivative",
    "(c, x, nu, bernstein)",
    rules.antiderivative,
    lambda: [call(_c(3, 3, 2), _X, 1, False), call(_c(3, 3), _X, 2, False), call(_c(3, 3), _X, 2, True)],
)
_row(
    "integral",
    "(c, x, a, b, extrapolate, bernstein)",
    rules.integral,
    lambda: [
        call(_c(3, 3, 2), _X, 0.2, 2.0, True, False),
        call(_c(3, 3), _X, 2.0, 9.5, "periodic", False),
        call(_c(3, 3), _X, np.array(2.0), 0.5, True, True),
    ],
)
_row(
    "other_basis",
    "(c, x, bernstein)",
    rules.other_basis,
    lambda: [call(_c(3, 3, 2), _X, True), call(_c(3, 3), _X, False)],
)
_row("raised", "(c, d)", rules.raised, lambda: [call(_c(3, 3, 2), 2)])
_fit(
    "from_derivatives",
    "(xi, yi, orders)",
    None,
    lambda: [call(_X, _c(4, 2), None), call(_X, [_c(2), _c(1), _c(2), _c(1)], None), call(_X, _c(4, 2), 3)],
)
_row("order_of", "(x)", None, lambda: [call(_X), call(_X[::-1].copy())], host=True)
_GRID = (np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.5, 2.0]))
_row(
    "nd_polynomials",
    "(c, x, xp, nu, extrapolate)",
    rules.nd_polynomials,
    lambda: [
        call(_c(2, 3, 2, 3), _GRID, pos(5, 2), (0, 0), True),
        call(_c(2, 3, 2, 3, 2), _GRID, pos(4, 5, 2), (1, 0), False),
    ],
)
_row(
    "nd_derivative",
    "(c, x, nu)",
    rules.nd_derivative,
    lambda: [call(_c(2, 3, 2, 3), _GRID, (1, 2)), call(_c(2, 3, 2, 3), _GRID, (-1, 0))],
)
_row(
    "nd_integral_1d",
    "(c, x, a, b, axis, extrapolate)",
    rules.nd_integral_1d,
    lambda: [call(_c(2, 3, 2, 3), _GRID, 0.2, 1.5, 0, True), call(_c(2, 3, 2, 3, 2), _GRID, 0.2, 1.5, 1, True)],
)
_row(
    "nd_integral",
    "(c, x, ranges, extrapolate)",
    rules.nd_integral,
    lambda: [call(_c(2, 3, 2, 3, 2), _GRID, ((0.2, 1.5), (0.1, 1.0)), True)],
)

# -- splines -----------------------------------------------------------------------------------------------------------

_row(
    "spline",
    "(t, c, k, xp, nu, extrapolate)",
    rules.spline,
    lambda: [
        call(_T, _c(6, 2), 3, _AT, 0, True),
        call(_T, _c(6), 3, _AT, 1, False),
        call(_T, _c(6, dtype="c16"), 3, _AT, 0, "periodic"),
    ],
)
_fit("checked_knots", "(t, k)", rules.checked_knots, lambda: [call(_T, 3)])
_row(
    "spline_derivative",
    "(t, c, k, n)",
    rules.spline_derivative,
    lambda: [call(_T, _c(10), 3, 1), call(_T, _c(10, 2), 3, -2), call(_T, _c(10, dtype="c16"), 3, 0)],
    errors=lambda: [fails(ValueError, _T, _c(10), 3, 4)],
)
_row(
    "spline_integral",
    "(t, c, k, a, b, extrapolate)",
    rules.spline_integral,
    lambda: [
        call(_T, _c(6, 2), 3, 0.2, 2.0, True),
        call(_T, _c(6), 3, 2.0, 9.5, "periodic"),
        call(_T, _c(6), 3, 2.0, -1.0, False),
    ],
)
_row("basis_element", "(t)", rules.basis_element, lambda: [call(_X), call(arr(4, dtype="i4"))])
_fit(
    "design_matrix",
    "(x, t, k, extrapolate)",
    rules.design_matrix,
    lambda: [
        call(np.array([0.0, 0.5, 3.0]), _T, 3, False),
        call(np.array([-1.0, 4.5]), _T, 3, True),
        call(np.array([-1.0, 4.5]), _T, 3, "periodic"),
    ],
    errors=lambda: [
        fails(ValueError, _X, _T, -1, False),
        fails(ValueError, _X, _T[:5], 3, False),
        fails(ValueError, _X, pos(3, 3), 1, False),
    ],
)
_fit(
    "interpolating_spline",
    "(x, y, k, t, bc_type, axis, check_finite)",
    rules.fitted,
    lambda: [
        call(_X, _c(4, 2), 3, None, None, 0, True),
        call(_X, _c(2, 4), 3, None, "natural", 1, True),
        call(_X, _c(4), 1, None, None, 0, True),
        call(_X, _c(4), 3, None, ([(1, 0.5)], [(2, 0.0)]), 0, False),
        call(_X, np.array([1.0, 2, 3, 1]), 3, None, "periodic", 0, True),
    ],
)
_fit(
    "least_squares_spline",
    "(x, y, t, k, w, axis, check_finite)",
    rules.fitted,
    lambda: [
        call(arr(12), _c(12, 2), np.array([0.0, 0, 0, 0, 5, 11, 11, 11, 11]), 3, None, 0, True),
        call(arr(12), _c(12), np.array([0.0, 0, 5, 11, 11]), 1, pos(12), 0, False),
    ],
)
_fit(
    "univariate",
    "(x, y, k, s, xb, xe, t)",
    rules.univariate,
    lambda: [call(arr(12), _c(12), 3, 1.0, None, None, None), call(arr(12), _c(12), 3, 0, -1.0, 12.0, None)],
)
_fit(
    "cubic",
    "(kind, x, y, dydx, axis, bc_type)",
    rules.cubic,
    lambda: [
        call("hermite", _X, _c(4, 2), _c(4, 2), 0, None),
        call("pchip", _X, _c(2, 4), None, 1, None),
        call("pchip", _X, _c(4, 2) * (1 - 2j), None, 0, None),
        call("akima", _X, _c(4), None, 0, None),
        call("spline", _X, _c(4, 2), None, 0, "not-a-knot"),
        call("spline", _X[:3], _c(3), None, 0, "natural"),
        call("spline", _X, _c(4), None, 0, ((1, 0.5), "clamped")),
    ],
    errors=lambda: [
        fails(ValueError, "pchip", _X, _c(3), None, 0, None),
        fails(ValueError, "pchip", _X[:1], _c(1), None, 0, None),
        fails(ValueError, "hermite", _X, _c(4), _c(3), 0, None),
        fails(ValueError, "pchip", _c(2, 2), _c(2, 2), None, 0, None),
        fails(ValueError, "pchip", _X.astype("c16"), _c(4), None, 0, None),
    ],
)

# -- polynomials through points ------------------------------------------------------------------------------------------

_row("weights", "(xi)", rules.weights, lambda: [call(_X)])
_row(
    "barycentric",
    "(xi, yi, wi, x)",
    rules.barycentric,
    lambda: [
        call(_X, _c(4, 2), _c(4), np.array([0.5, 1.0])),
        call(_X, _c(4, 1, dtype="c16"), _c(4), np.array([0.5, 3.0])),
        call(_X, _c(4, 2), _c(4), arr(0)),
    ],
)
_fit(
    "newton",
    "(xi, yi)",
    rules.newton,
    lambda: [call(_X, _c(4, 2)), call(np.array([0.0, 0.0, 1.0]), _c(3, 1, dtype="c16"))],
)
_row("newton_values", "(xi, c, x)", rules.newton_values, lambda: [call(_X, _c(5, 2), pos(3))])
_row(
    "newton_derivatives",
    "(xi, c, x, der)",
    rules.newton_derivatives,
    lambda: [call(_X, _c(5, 2), pos(3), 2), call(_X, _c(5, 2), pos(3), 7)],
)
_row(
    "interp1d",
    "(x, y, x_new, kind, below, above, bounds_error)",
    rules.interp1d,
    lambda: (
        [
            call(_X, _c(4, 2), np.array([0.5, 2.0, 9.0]), kind, np.array([0.0]), np.array([9.0, 8.0]), False)
            for kind in ("linear", "nearest", "nearest-up", "previous", "next")
        ]
        + [call(_X, _c(4, 1), np.array([0.5, 9.0]), "linear", None, None, False)]
    ),
)

# -- in several dimensions -----------------------------------------------------------------------------------------------

_row(
    "nd_spline",
    "(t, c, k, xi, nu, extrapolate)",
    rules.nd_spline,
    lambda: [
        call((_T, _T), _c(6, 6), (3, 3), pos(5, 2), (0, 0), True),
        call((_T, _T), _c(6, 6, 2), (3, 3), pos(2, 5, 2), (1, 0), False),
    ],
)
_fit(
    "nd_design_matrix",
    "(xvals, t, k, extrapolate)",
    rules.nd_design_matrix,
    lambda: [call(pos(5, 2), (_T, _T), (3, 3), True)],
)
_fit(
    "nd_interpolating_spline",
    "(points, values, k)",
    rules.nd_fitted,
    lambda: [call((arr(5), arr(4)), _c(5, 4), (3, 3)), call((arr(5), arr(4)), _c(5, 4, 2), (1, 3))],
)
_row("orders_of", "(points)", None, lambda: [call(_GRID), call((_X, _X[::-1].copy()))], host=True)
_row(
    "on_grid",
    "(points, values, xi, method, bounds_error, fill_value)",
    rules.on_grid,
    lambda: (
        [call(_GRID, _c(3, 4), pos(5, 2), method, False, np.nan) for method in ("linear", "nearest")]
        + [
            call((arr(5), arr(4)), _c(5, 4, 2), pos(2, 5, 2), "pchip", True, None),
            call(_GRID, _c(3, 4, dtype="c16"), 2 * pos(5, 2), "linear", False, 1.0),
        ]
    ),
)
_KERNEL = ("thin_plate_spline", 1.0, 1)
_row(
    "radial_fit",
    "(y, d, smoothing, kernel, epsilon, degree)",
    rules.radial_fit,
    lambda: [call(pos(9, 2) ** 3 % 1, _c(9, 2), arr(9) * 0, *_KERNEL)],
)
_row(
    "radial",
    "(x, y, shift, scale, coefficients, kernel, epsilon, degree)",
    rules.radial,
    lambda: [
        call(pos(4, 2), pos(9, 2) ** 3 % 1, pos(2), pos(2), _c(12, 2), *_KERNEL),
        call(pos(4, 2), pos(9, 2), pos(2), pos(2), _c(9, 2), "gaussian", 2.0, -1),
    ],
)
_row(
    "radial_near",
    "(x, y, d, smoothing, kernel, epsilon, degree, neighbors)",
    rules.radial_near,
    lambda: [call(pos(4, 2), pos(19, 2) ** 3 % 1, _c(19, 2), arr(19) * 0, *_KERNEL, 7)],
)
_TRIANGLES = (
    np.array([[0.0, 0], [1, 0], [0, 1], [1, 1.2]]),
    np.array([[0, 1, 2], [1, 3, 2]], "i4"),
    np.array([[1, -1, -1], [-1, 0, -1]], "i4"),
)
_row(
    "linear_nd",
    "(found, simplices, corners, values, fill_value)",
    rules.linear_nd,
    lambda: [call(np.array([0, -1], "i4"), _TRIANGLES[1], pos(2, 3), _c(4, 2), np.array(np.nan))],
)
_row(
    "gradients",
    "(points, values, tol, maxiter)",
    rules.gradients,
    lambda: [call(_TRIANGLES[0], _c(4, 2), 1e-6, 400), call(_TRIANGLES[0], _c(4, 1, dtype="c16"), 1e-6, 400)],
)
_row(
    "clough_tocher",
    "(points, simplices, neighbors, values, grad, xi, fill_value, tol, maxiter)",
    rules.clough_tocher,
    lambda: [call(*_TRIANGLES, _c(4, 2), _c(4, 2, 2), pos(3, 2) / 2, np.array(np.nan), 1e-6, 400)],
)
