"""Rules of `cupyx.scipy.special`'s functions that are more than one ufunc: CuPy composes them of ufuncs, so do their dtypes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cupool.contract.ops.rules import reductions
from cupool.contract.ops.rules.common import FLOAT64, broadcast, normalize_axes, reduced_shape, require_array, rule
from cupool.contract.ops.rules.elementwise import apply
from cupool.contract.spec import Spec, spec_of

_PREFIX = "cupyx.scipy.special."
_MAX = reductions.extremum("max")
_SUM = reductions.summed("sum")


def over_ufunc(name: str) -> Any:
    """The rule of a function that hands its arguments to one internal ufunc."""

    @rule(f"over_ufunc:{name}")
    def infer(*operands: Any, out: Any = None) -> Any:
        return apply(name, operands, out)

    return infer


@rule("special.lambertw")
def lambertw(z: Any, k: Any = 0, tol: Any = 1e-8) -> Any:
    return apply(f"@{_PREFIX}lambertw", (z, k, tol))


@rule("special.sph_harm_y")
def sph_harm_y(n: Any, m: Any, theta: Any, phi: Any, *, diff_n: Any = 0) -> Any:
    if diff_n != 0:
        raise NotImplementedError("Derivatives not implemented.")
    return apply(f"@{_PREFIX}sph_harm", (m, n, phi, theta))


@rule("special.spherical_yn")
def spherical_yn(n: Any, z: Any, derivative: Any = False) -> Any:
    if np.iscomplexobj(z.dtype.type() if isinstance(z, Spec) else z):
        raise NotImplementedError("spherical_yn of complex arguments")
    return apply(f"@{_PREFIX}spherical_yn", (n, z))


@rule("special.polygamma")
def polygamma(n: Any, x: Any) -> Any:
    if isinstance(n, Spec):
        above, sign = apply("add", (n, 1.0)), apply("power", (-1.0, apply("add", (n, 1))))
        is_digamma = apply("equal", (n, 0))
    else:
        above, sign, is_digamma = n + 1.0, (-1.0) ** (n + 1), n == 0
    factor = apply("multiply", (sign, apply(_PREFIX + "gamma", (above,))))
    factor = apply("multiply", (factor, apply(_PREFIX + "zeta", (above, x))))
    return apply("@where", (is_digamma, apply(_PREFIX + "digamma", (x,)), factor))


@rule("special.multigammaln")
def multigammaln(a: Any, d: Any) -> Any:
    if not np.isscalar(d) or isinstance(d, str | bytes) or math.floor(d) != d:  # type: ignore[arg-type]
        raise ValueError("d should be a positive integer (dimension)")
    # Scaled by NumPy's logarithm of pi, a strong float64.
    return spec_of(apply(_PREFIX + "gammaln", (a,)).shape, FLOAT64)


def _shifted(x: Spec, axis: Any) -> Spec:
    """`x` minus its maximum."""
    x = require_array(x, "x")
    made: Spec = apply("subtract", (x, _MAX(x, axis, keepdims=True)))
    return made


@rule("special.softmax")
def softmax(x: Any, axis: Any = None) -> Any:
    powers = apply("exp", (_shifted(x, axis),))
    return apply("true_divide", (powers, _SUM(powers, axis, keepdims=True)))


@rule("special.log_softmax")
def log_softmax(x: Any, axis: Any = None) -> Any:
    shifted = _shifted(x, axis)
    if shifted.dtype.kind not in "iu":
        return spec_of(shifted.shape, shifted.dtype)
    dtype = next(d for d in map(np.dtype, "efd") if np.can_cast(shifted.dtype, d) or d == FLOAT64)
    return spec_of(shifted.shape, dtype)


@rule("special.logsumexp")
def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: Any = False, return_sign: Any = False) -> Any:
    a = require_array(a)
    if a.dtype.kind in "biu":
        a = spec_of(a.shape, FLOAT64)
    if b is not None:
        a = spec_of(broadcast(a, b), a.dtype)
    real = spec_of(a.shape, a.dtype.type(0).real.dtype)
    _MAX(real, axis, keepdims=True)  # refuses axes, and arrays without elements
    terms = apply("exp", (a,))
    if b is not None:
        terms = apply("multiply", (b, terms))
    shape = reduced_shape(a.shape, normalize_axes(axis, a.ndim), bool(keepdims))
    total = spec_of(shape, terms.dtype)
    if not return_sign:
        return apply("log", (total,))
    return apply("log", (apply("absolute", (total,)),)), apply("sign", (total,))
