"""`cupyx.scipy.special` on `scipy.special`, with CuPy's loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from cupool.contract.ops.rules.elementwise import apply
from cupool.contract.ops.scipy import _rules_special as rules
from cupool.contract.ops.scipy.special import UFUNCS
from cupool.contract.spec import spec_like

from ..ops_ufuncs import Ufunc

Array = np.ndarray[Any, Any]

_PREFIX = "cupyx.scipy.special."


def _widened(function: Callable[..., Any]) -> Callable[..., Any]:
    """float16 as float64: CuPy computes in its result's precision, SciPy in the operands' next one."""

    def run(*operands: Array) -> Any:
        return function(*(x.astype(np.float64) if x.dtype.char == "e" else x for x in operands))

    return run


#: Places of the operands that stand for an integer, and lose their fraction as in CuPy.
_WHOLE = {
    "bdtr": (1,), "bdtrc": (1,), "bdtri": (1,), "expn": (0,), "nbdtr": (0, 1), "nbdtrc": (0, 1), "nbdtri": (0, 1), "pdtri": (0,),
    "yn": (0,),
}  # fmt: skip


def _truncated(function: Callable[..., Any], places: tuple[int, ...]) -> Callable[..., Any]:
    def run(*operands: Array) -> Any:
        whole = [np.nan_to_num(operands[i]).astype(np.int64) for i in places]
        given = [whole[places.index(i)] if i in places else x.astype(np.float64) for i, x in enumerate(operands)]
        made = function(*given)
        for i in places:
            made = np.where(np.isnan(operands[i]), np.nan, made)
        return made

    return run


def _exprel(x: Array) -> Any:
    """As CuPy computes it: NaN at infinity."""
    return np.where(np.abs(x) >= 1e-16, np.expm1(x) / np.where(x == 0, 1, x), 1)


def _ufunc(name: str) -> Ufunc:
    function = _exprel if name == "exprel" else getattr(scipy.special, name)
    return Ufunc(_PREFIX + name, _truncated(function, _WHOLE[name]) if name in _WHOLE else _widened(function))


# -- functions over ufuncs -----------------------------------------------------------------------------------------------------


def _sph_harm(m: Array, n: Array, theta: Array, phi: Array) -> Any:
    """SciPy's `sph_harm_y` has the degree first and the polar angle before the azimuth."""
    return scipy.special.sph_harm_y(n, m, phi, theta)


def _lambertw(z: Array, k: Array, tol: Array) -> Any:
    return scipy.special.lambertw(z, k, tol)  # type: ignore[call-overload]


def _spherical(derivative: bool) -> Callable[..., Any]:
    def run(n: Array, z: Array) -> Any:
        made = scipy.special.spherical_yn(n, z, derivative)
        if derivative:
            # SciPy's is -inf times infinity at zero, CuPy's the limit.
            made = np.where(z == 0, np.inf, made)
        return made

    return run


_INTERNAL = {
    "btdtr": Ufunc(f"@{_PREFIX}btdtr", scipy.special.betainc),
    "btdtri": Ufunc(f"@{_PREFIX}btdtri", scipy.special.betaincinv),
    "lambertw": Ufunc(f"@{_PREFIX}lambertw", _lambertw),
    "sph_harm": Ufunc(f"@{_PREFIX}sph_harm", _sph_harm),
}
_YN = {d: Ufunc(f"@{_PREFIX}spherical_yn", _spherical(d)) for d in (False, True)}


def lambertw(z: Any, k: Any = 0, tol: Any = 1e-8) -> Any:
    return _INTERNAL["lambertw"](z, k, tol)


def sph_harm_y(n: Any, m: Any, theta: Any, phi: Any, *, diff_n: int = 0) -> Any:
    return _INTERNAL["sph_harm"](m, n, phi, theta)


def spherical_yn(n: Any, z: Any, derivative: Any = False) -> Any:
    return _YN[bool(derivative)](n, z)


def polygamma(n: Any, x: Any) -> Any:
    above = np.asarray(n, np.float64) + 1.0
    factor = (-1.0) ** above * scipy.special.gamma(above) * scipy.special.zeta(above, x)
    dtype = rules.polygamma(*(spec_like(a) if isinstance(a, np.ndarray) else a for a in (n, x))).dtype
    return np.asarray(np.where(n == 0, scipy.special.psi(x), factor)).astype(dtype)


def multigammaln(a: Any, d: Any) -> Any:
    """Raises ValueError where the function has no value."""
    wide = np.asarray(a, np.float64)
    if np.any(wide <= 0.5 * (d - 1)):
        raise ValueError("condition a > 0.5 * (d-1) not met")
    total = d * (d - 1) * 0.25 * math.log(math.pi) + sum(scipy.special.gammaln(wide - j / 2) for j in range(int(d)))
    return np.asarray(total)


# -- sums of exponentials -------------------------------------------------------------------------------------------------------


def _finite_max(x: Array, axis: Any) -> Any:
    top = np.max(x, axis=axis, keepdims=True)
    return np.where(np.isfinite(top), top, 0).astype(top.dtype)


def _sum(x: Array, axis: Any, keepdims: bool) -> Any:
    """In at least single precision, but given in its own dtype: so do CuPy's steps."""
    wide = np.float64 if x.dtype.char == "e" else x.dtype
    return np.asarray(x.sum(axis=axis, keepdims=keepdims, dtype=wide)).astype(x.dtype)


def _promised(name: str, *operands: Any) -> np.dtype[Any]:
    """The dtype of a ufunc's result by CuPy's loops."""
    made: np.dtype[Any] = apply(name, tuple(spec_like(x) if isinstance(x, np.ndarray) else x for x in operands)).dtype
    return made


def softmax(x: Array, axis: Any = None) -> Any:
    shifted = np.asarray(x - np.max(x, axis=axis, keepdims=True))
    powers = np.exp(shifted).astype(_promised("exp", shifted))
    return np.asarray(powers / _sum(powers, axis, True))


def log_softmax(x: Array, axis: Any = None) -> Any:
    shifted = np.asarray(x - _finite_max(x, axis))
    if shifted.dtype.kind in "iu":
        shifted = shifted.astype(next(d for d in "efd" if np.can_cast(shifted.dtype, d) or d == "d"))
    return np.asarray(shifted - np.log(_sum(np.exp(shifted), axis, True)))


def logsumexp(a: Array, axis: Any = None, b: Any = None, keepdims: Any = False, return_sign: Any = False) -> Any:
    if a.dtype.kind in "biu":
        a = a.astype(np.float64)
    dtype = a.dtype if b is None else _promised("multiply", b, a)
    if b is not None:
        a, b = np.broadcast_arrays(a, b)
        a = np.where(b == 0, -np.inf, a).astype(a.dtype)
    top = _finite_max(a.real, axis)
    terms = np.exp(a - top)
    if b is not None:
        terms = np.asarray(b * terms).astype(dtype)
    total = _sum(terms, axis, bool(keepdims))
    top = top if keepdims else np.squeeze(top, axis=axis)
    made = np.log(np.abs(total) if return_sign else total)
    made = np.asarray(made + top).astype(made.dtype)
    return (made, np.asarray(np.sign(total)).astype(dtype)) if return_sign else made


#: Row's name -> function.
OPS: dict[str, Callable[..., Any]] = {
    **{_PREFIX + name: _ufunc(name) for name in UFUNCS},
    **{_PREFIX + name: _INTERNAL[name] for name in ("btdtr", "btdtri", "sph_harm")},
    **{
        _PREFIX + function.__name__: function
        for function in (lambertw, log_softmax, logsumexp, multigammaln, polygamma, softmax, sph_harm_y, spherical_yn)
    },
}
