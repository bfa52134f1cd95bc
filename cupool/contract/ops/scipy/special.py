"""Rows: `cupyx.scipy.special`. Loops of its ufuncs come from CuPy's record (`_loops.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from cupool.contract.ops._loops import KERNELS
from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import arr, call, fails, mask, pos
from cupool.contract.ops.rules.elementwise import elementwise
from cupool.contract.ops.scipy import _rules_special as rules
from cupool.contract.ops.ufuncs import OPTIONS

_PREFIX = "cupyx.scipy.special."

#: Canonical name -> other public names of the same function.
UFUNCS: dict[str, tuple[str, ...]] = {
    # Bessel
    "i0": (), "i0e": (), "i1": (), "i1e": (), "j0": (), "j1": (), "k0": (), "k0e": (), "k1": (), "k1e": (), "wright_bessel": (),
    "y0": (), "y1": (), "yn": (),
    # distributions
    "bdtr": (), "bdtrc": (), "bdtri": (), "boxcox": (), "boxcox1p": (), "chdtr": (), "chdtrc": (), "chdtri": (), "expit": (),
    "fdtr": (), "fdtrc": (), "fdtri": (), "gdtr": (), "gdtrc": (), "inv_boxcox": (), "inv_boxcox1p": (), "log_expit": (),
    "log_ndtr": (), "logit": (), "nbdtr": (), "nbdtrc": (), "nbdtri": (), "ndtr": (), "ndtri": (), "pdtr": (), "pdtrc": (), "pdtri": (),
    # convex analysis
    "entr": (), "huber": (), "kl_div": (), "pseudo_huber": (), "rel_entr": (),
    # gamma and beta
    "beta": (), "betainc": (), "betaincinv": (), "betaln": (), "binom": (), "digamma": ("psi",), "gamma": (), "gammainc": (),
    "gammaincc": (), "gammainccinv": (), "gammaincinv": (), "gammaln": (), "gammasgn": (), "loggamma": (), "poch": (), "rgamma": (),
    # error functions, integrals, elliptic functions
    "ellipeinc": (), "ellipj": (), "ellipk": (), "ellipkinc": (), "ellipkm1": (), "erf": (), "erfc": (), "erfcinv": (), "erfcx": (),
    "erfinv": (), "exp1": (), "expi": (), "expn": (), "lpmv": (), "shichi": (), "sici": (), "zeta": (), "zetac": (),
    # conveniences
    "cbrt": (), "cosdg": (), "cosm1": (), "cotdg": (), "exp10": (), "exp2": (), "expm1": (), "exprel": (), "log1p": (), "radian": (),
    "sindg": (), "tandg": (), "xlog1py": (), "xlogy": (),
}  # fmt: skip

_OPERANDS = ("x", "x1, x2", "x1, x2, x3")


def _samples(name: str) -> Iterator[Any]:
    """Each loop once on operands between 0 and 1 (or small integers), a broadcast, a Python scalar, `out=` and `where=`."""
    nin, nout, loops = KERNELS[name][:3]

    def operand(char: str, place: int) -> Any:
        a = pos(2, 3, dtype="f8") - 0.875 + 0.0625 * place
        return (a * 4).astype(char) if char in "lLi" else a.astype(char)

    for loop in dict.fromkeys(loops.split()):
        yield call(*(operand(c, i) for i, c in enumerate(loop[:nin])))
    first = [operand("d", i) for i in range(nin)]
    if nin > 1:
        yield call(*first[:-1], first[-1][0])
        yield call(*first[:-1], 0.5)
    yield call(*first, where=mask(3))
    if nout == 1:
        yield call(*first, out=np.zeros((2, 3)))


for _name, _aliases in UFUNCS.items():
    _full = _PREFIX + _name
    _sig = f"({_OPERANDS[KERNELS[_full][0] - 1]}, {OPTIONS})"
    for _each in (_name, *_aliases):
        op(_PREFIX + _each, _sig, elementwise(_full), server=None if _each == _name else _full, writes=("out",), family="ufunc",
           arrays=tuple(_sig[1:].partition(", /")[0].split(", ")), samples=partial(_samples, _full))  # fmt: skip

# -- functions over ufuncs ---------------------------------------------------------------------------------------------------


def _three() -> Iterator[Any]:
    a, b, x = pos(2, 3), pos(2, 3) + 1, pos(2, 3) / 4
    yield call(a, b, x)
    yield call(a.astype("f4"), 2.0, x.astype("f4"))
    yield call(a, b, x, out=np.zeros((2, 3)))


def _three_errors() -> Iterator[Any]:
    yield fails(TypeError, arr(2, dtype="F"), arr(2), arr(2))
    yield fails(ValueError, arr(2), arr(3), arr(2))


for _name in ("btdtr", "btdtri"):
    _last = "x" if _name == "btdtr" else "p"
    op(_PREFIX + _name, f"(a, b, {_last}, out=None)", rules.over_ufunc(f"@{_PREFIX}{_name}"), writes=("out",), arrays=("a", "b", _last),
       varying=("a", "b", _last), samples=_three, errors=_three_errors)  # fmt: skip


def _lambertw() -> Iterator[Any]:
    yield call(pos(2, 3))
    yield call(pos(3, dtype="F"), 1)
    yield call(pos(3), np.array([-1, 0, 1]), 1e-6)


op(_PREFIX + "lambertw", "(z, k=0, tol=1e-8)", rules.lambertw, arrays=("z", "k", "tol"), varying=("z",), samples=_lambertw,
   errors=lambda: iter([fails(TypeError, pos(2), pos(2) + 0.5)]))  # fmt: skip


def _harmonics(swap: bool) -> Iterator[Any]:
    m, n = np.array([0, 1, -1]), np.array([1, 2, 3])
    for theta, phi in ((pos(3), pos(3) / 2), (pos(2, 3, dtype="f4"), pos(3, dtype="f4") / 2)):
        yield call(n, m, theta, phi) if swap else call(m, n, phi, theta)


op(_PREFIX + "sph_harm", "(m, n, theta, phi, out=None)", rules.over_ufunc(f"@{_PREFIX}sph_harm"), writes=("out",),
   arrays=("m", "n", "theta", "phi"), varying=("m", "n", "theta", "phi"), samples=partial(_harmonics, False),
   errors=lambda: iter([fails(TypeError, pos(2), arr(2, dtype="i4"), pos(2), pos(2))]))  # fmt: skip
op(_PREFIX + "sph_harm_y", "(n, m, theta, phi, *, diff_n=0)", rules.sph_harm_y, arrays=("m", "n", "theta", "phi"),
   varying=("m", "n", "theta", "phi"), samples=partial(_harmonics, True),
   errors=lambda: iter([fails(NotImplementedError, 1, 1, pos(2), pos(2), diff_n=1)]))  # fmt: skip


def _spherical() -> Iterator[Any]:
    for derivative in (False, True):
        yield call(np.array([0, 1, 4]), pos(2, 3), derivative)
        yield call(np.array([1, 2, 3], "i4"), pos(3, dtype="f4") - 1.5, derivative=derivative)


op(_PREFIX + "spherical_yn", "(n, z, derivative=False)", rules.spherical_yn, arrays=("n", "z"), varying=("n", "z"), samples=_spherical,
   errors=lambda: iter([fails(NotImplementedError, arr(2, dtype="i8"), arr(2, dtype="D"))]))  # fmt: skip


def _polygamma() -> Iterator[Any]:
    yield call(np.array([0, 1, 2]), pos(2, 3))
    yield call(np.array([0, 1, 2], "f4"), pos(3, dtype="f4"))
    yield call(arr(3, dtype="i8"), np.array([1, 2, 3]))


op(_PREFIX + "polygamma", "(n, x)", rules.polygamma, arrays=("n", "x"), samples=_polygamma,
   errors=lambda: iter([fails(TypeError, arr(2, dtype="i8"), arr(2, dtype="D")), fails(ValueError, arr(2), arr(3))]))  # fmt: skip


def _multigammaln() -> Iterator[Any]:
    yield call(pos(2, 3) + 2, 3)
    yield call(pos(2, dtype="f4") + 1, 1)
    yield call(np.array([3, 4]), 2)
    yield call(4.5, 2)


op(_PREFIX + "multigammaln", "(a, d)", rules.multigammaln, arrays=("a",), varying=("a",), samples=_multigammaln,
   errors=lambda: iter([fails(ValueError, pos(2), 1.5), fails(ValueError, pos(2), arr(2))]))  # fmt: skip

# -- sums of exponentials --------------------------------------------------------------------------------------------------------


def _sums() -> Iterator[Any]:
    for char in "bilefd":
        yield call(arr(2, 3, dtype=char))
    yield call(arr(2, 3), axis=1)
    yield call(arr(2, 3, 2), axis=(0, 2))
    yield call(np.array([[np.inf, 1.0], [-np.inf, -np.inf]]), axis=1)
    yield call(np.full((), 3.0))


def _logsumexp() -> Iterator[Any]:
    yield from _sums()
    yield call(arr(2, 3, dtype="D"), axis=0)
    yield call(arr(2, 3), axis=0, keepdims=True)
    yield call(arr(2, 3), b=arr(3) - 1, return_sign=True)
    yield call(arr(2, 3, dtype="f4"), 1, arr(2, 1, dtype="i8"))
    yield call(arr(2, 3, dtype="F"), axis=1, keepdims=True, return_sign=True)


def _sum_errors() -> Iterator[Any]:
    yield fails(np.exceptions.AxisError, arr(2, 3), axis=2)
    yield fails(ValueError, arr(2, 0))


op(_PREFIX + "logsumexp", "(a, axis=None, b=None, keepdims=False, return_sign=False)", rules.logsumexp, arrays=("a", "b"),
   samples=_logsumexp, errors=_sum_errors)  # fmt: skip
op(_PREFIX + "softmax", "(x, axis=None)", rules.softmax, samples=_sums, errors=_sum_errors)
op(_PREFIX + "log_softmax", "(x, axis=None)", rules.log_softmax, samples=_sums, errors=_sum_errors)
