"""Rows: random number generators as remote objects, and `cupy.random`'s functions, which the client builds of them.

Streams differ from NumPy's for the same seed, as CuPy's do; the same seed gives the same numbers on the same kind of device.
Seeds are always minted by the client: a row never draws entropy on a server.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops._row import CLIENT, op
from cupool.contract.ops._sample_arrays import Remote, arr, call, fails, idx
from cupool.contract.ops.rules import random as rules

_STATE = "random.RandomState"
_RNG: dict[str, Any] = {"uses": ("rng",), "writes": ("self",)}


def _rs() -> Remote:
    return Remote(_STATE, seed=7)


op(
    _STATE,
    "(seed=None, method=None)",
    rules.constructor,
    uses=("rng",),
    object=_STATE,
    varying=("seed",),
    samples=lambda: [call(seed=1), call(seed=2, method=100)],
)
op(
    f"{_STATE}.seed",
    "(self, seed=None)",
    rules.constructor,
    varying=("seed",),
    **_RNG,
    samples=lambda: [call(_rs(), seed=3)],
)

#: name -> (parameters, default dtype as text, whether float32 and float64 only, sample parameters)
_DISTRIBUTIONS: dict[str, tuple[str, str, bool, tuple[Any, ...]]] = {
    "beta": ("a, b", "float", False, (2.0, 3.0)),
    "binomial": ("n, p", "int", False, (10, 0.5)),
    "chisquare": ("df", "float", False, (3.0,)),
    "exponential": ("scale=1.0", "float", True, (2.0,)),
    "f": ("dfnum, dfden", "float", False, (2.0, 3.0)),
    "gamma": ("shape, scale=1.0", "float", False, (2.0, 3.0)),
    "geometric": ("p", "'l'", False, (0.25,)),
    "gumbel": ("loc=0.0, scale=1.0", "float", True, (1.0, 2.0)),
    "hypergeometric": ("ngood, nbad, nsample", "'l'", False, (10, 5, 7)),
    "laplace": ("loc=0.0, scale=1.0", "float", True, (1.0, 2.0)),
    "logistic": ("loc=0.0, scale=1.0", "float", False, (1.0, 2.0)),
    "lognormal": ("mean=0.0, sigma=1.0", "float", True, (0.5, 1.5)),
    "logseries": ("p", "'l'", False, (0.5,)),
    "negative_binomial": ("n, p", "int", False, (5, 0.5)),
    "noncentral_chisquare": ("df, nonc", "float", False, (3.0, 2.0)),
    "noncentral_f": ("dfnum, dfden, nonc", "float", False, (3.0, 4.0, 2.0)),
    "normal": ("loc=0.0, scale=1.0", "float", True, (1.0, 2.0)),
    "pareto": ("a", "float", True, (3.0,)),
    "poisson": ("lam=1.0", "'l'", False, (4.0,)),
    "power": ("a", "float", True, (2.0,)),
    "rayleigh": ("scale=1.0", "float", True, (2.0,)),
    "standard_cauchy": ("", "float", True, ()),
    "standard_exponential": ("", "float", True, ()),
    "standard_gamma": ("shape", "float", False, (2.0,)),
    "standard_normal": ("", "float", True, ()),
    "standard_t": ("df", "float", False, (3.0,)),
    "triangular": ("left, mode, right", "float", True, (0.0, 1.0, 3.0)),
    "uniform": ("low=0.0, high=1.0", "float", True, (1.0, 2.0)),
    "vonmises": ("mu, kappa", "float", False, (0.0, 1.0)),
    "wald": ("mean, scale", "float", True, (1.0, 2.0)),
    "weibull": ("a", "float", True, (2.0,)),
    "zipf": ("a", "int", False, (3.0,)),
}
_RULES = {(real, text): rules.distribution(real, {"float": float, "int": int, "'l'": "l"}[text])
          for real, text in ((True, "float"), (False, "float"), (False, "int"), (False, "'l'"))}  # fmt: skip


def _names(text: str) -> tuple[str, ...]:
    return tuple(piece.partition("=")[0].strip() for piece in text.split(",") if piece.strip())


def _samples(text: str, values: tuple[Any, ...], real: bool) -> Any:
    """Samples of a distribution: scalars with a size, arrays without, another dtype."""

    def make() -> list[Any]:
        named = dict(zip(_names(text), values, strict=True))
        required = tuple(named.pop(n) for n in _names(text) if f"{n}=" not in text)
        arrays = tuple(np.full((2, 3), v) for v in required)
        result = [
            call(_rs(), *required, size=(2, 3), **named),
            call(_rs(), *required, size=4, **named),
            call(_rs(), *required, **named),
        ]
        result.append(call(_rs(), *required, size=5, dtype="f4" if real else "f8", **named))
        if values:
            result.append(call(_rs(), *arrays, **{n: np.full(3, v) for n, v in named.items()}))
        return result

    return make


def _errors(text: str, values: tuple[Any, ...], real: bool) -> Any:
    def make() -> list[Any]:
        required = tuple(v for n, v in zip(_names(text), values, strict=True) if f"{n}=" not in text)
        result = [fails(ValueError, _rs(), *required, size=-1)]
        if real:
            result.append(fails(TypeError, _rs(), *required, size=2, dtype="i4"))
        return result

    return make


for _name, (_text, _dtype, _real, _values) in _DISTRIBUTIONS.items():
    _joined = f"self, {_text}, " if _text else "self, "
    op(f"{_STATE}.{_name}", f"({_joined}size=None, dtype={_dtype})", _RULES[_real, _dtype], arrays=_names(_text),
       varying=_names(_text),
       samples=_samples(_text, _values, _real), errors=_errors(_text, _values, _real), **_RNG)  # fmt: skip

op(f"{_STATE}.random_sample", "(self, size=None, dtype=float)", _RULES[True, "float"], **_RNG,
   samples=lambda: [call(_rs()), call(_rs(), size=(2, 3)), call(_rs(), size=3, dtype="f4")],
   errors=lambda: [fails(TypeError, _rs(), dtype="i4")])  # fmt: skip
op(f"{_STATE}.rand", "(self, *size, dtype=float)", rules.rand, **_RNG, server=f"{_STATE}.rand",
   samples=lambda: [call(_rs(), 2, 3), call(_rs()), call(_rs(), 2, dtype="f4")])  # fmt: skip
op(
    f"{_STATE}.randn",
    "(self, *size, dtype=float)",
    rules.rand,
    **_RNG,
    samples=lambda: [call(_rs(), 2, 3), call(_rs(), 2, dtype="f4")],
)
op(f"{_STATE}.dirichlet", "(self, alpha, size=None, dtype=float)", rules.dirichlet, arrays=("alpha",), **_RNG,
   samples=lambda: [call(_rs(), arr(3) + 1), call(_rs(), arr(3) + 1, size=(2,)), call(_rs(), [1.0, 2.0],
              size=4)])  # fmt: skip
op(f"{_STATE}.multivariate_normal",
   "(self, mean, cov, size=None, check_valid='ignore', tol=1e-08, method='cholesky', dtype=float)",
      rules.multivariate_normal,
   arrays=("mean", "cov"), **_RNG,
   samples=lambda: [call(_rs(), arr(2), np.eye(2)), call(_rs(), arr(2), np.eye(2), size=(3, 4), dtype="f4", method="eigh")],
   errors=lambda: [fails(ValueError, _rs(), arr(2), np.eye(3)), fails(ValueError, _rs(), arr(2, 2),
              np.eye(2))])  # fmt: skip
op(f"{_STATE}.randint", "(self, low, high=None, size=None, dtype=int)", rules.randint, arrays=("low", "high"),
   varying=("low", "high"),
   **_RNG,
   samples=lambda: [call(_rs(), 10), call(_rs(), 2, high=5, size=(2, 3)), call(_rs(), 10, size=3, dtype="u1"), call(_rs(),
              idx(3, 4, 5))],
   errors=lambda: [fails(ValueError, _rs(), 10, dtype="f4")])  # fmt: skip
op(
    f"{_STATE}.tomaxint",
    "(self, size=None)",
    rules.tomaxint,
    **_RNG,
    samples=lambda: [call(_rs()), call(_rs(), size=3)],
)
op(f"{_STATE}.choice", "(self, a, size=None, replace=True, p=None)", rules.choice, arrays=("a", "p"), **_RNG,
   samples=lambda: [call(_rs(), 5, size=(2, 3)), call(_rs(), arr(4), size=3, replace=False), call(_rs(), 3, size=4,
              p=np.array([0.2, 0.3, 0.5])),
                    call(_rs(), 6, size=6, replace=False), call(_rs(), arr(4, dtype="f4"), size=())],
   errors=lambda: [fails(ValueError, _rs(), arr(2, 2), size=1), fails(NotImplementedError, _rs(), 5), fails(ValueError,
              _rs(), 0, size=1),
                   fails(ValueError, _rs(), 3, size=4, replace=False), fails(ValueError, _rs(), 3, size=1, p=arr(2)),
                   fails(NotImplementedError, _rs(), 3, size=1, replace=False, p=arr(3))])  # fmt: skip
op(f"{_STATE}.shuffle", "(self, a)", rules.shuffle, arrays=("a",), uses=("rng",), writes=("self", "a"),
   samples=lambda: [call(_rs(), arr(5)), call(_rs(), arr(3, 2))],
   errors=lambda: [fails(TypeError, _rs(), arr()), fails(TypeError, _rs(), [1, 2])])  # fmt: skip
op(f"{_STATE}.permutation", "(self, a)", rules.permutation, arrays=("a",), **_RNG,
   samples=lambda: [call(_rs(), 5), call(_rs(), arr(3, 2))])  # fmt: skip

# -- bit generators and Generator -------------------------------------------------------------------------------------------------
for _name in ("XORWOW", "MRG32k3a", "Philox4x3210"):
    op(f"random.{_name}", "(seed=None, *, size=-1)", rules.constructor, uses=("rng",), object=f"random.{_name}",
       varying=("seed",),
       samples=lambda: [call(seed=1)])  # fmt: skip
    op(f"random.{_name}.random_raw", "(self, size=None, output=True)", rules.random_raw, **_RNG,
       samples=lambda _n=_name: [call(Remote(f"random.{_n}", seed=1), size=(2, 3))])  # fmt: skip

_GEN = "random.Generator"
_NUM: dict[str, Any] = {"uses": ("rng",), "writes": ("self",)}


def _gen() -> Remote:
    return Remote(_GEN, Remote("random.XORWOW", seed=5))


op(
    _GEN,
    "(bit_generator)",
    rules.constructor,
    uses=("rng",),
    object=_GEN,
    samples=lambda: [call(Remote("random.XORWOW", seed=1))],
)
#: name -> (parameters, dtype, sample parameters)
_GENERATOR: dict[str, tuple[str, Any, tuple[Any, ...]]] = {
    "binomial": ("n, p", rules.INT64, (10, 0.5)),
    "chisquare": ("df", rules.FLOAT64, (3.0,)),
    "f": ("dfnum, dfden", rules.FLOAT64, (2.0, 3.0)),
    "gamma": ("shape, scale=1.0", rules.FLOAT64, (2.0,)),
    "geometric": ("p", rules.INT64, (0.5,)),
    "hypergeometric": ("ngood, nbad, nsample", rules.INT64, (10, 5, 7)),
    "logseries": ("p", rules.INT64, (0.5,)),
    "poisson": ("lam=1.0", rules.INT64, ()),
    "power": ("a", rules.FLOAT64, (2.0,)),
}
for _name, (_text, _kind, _values) in _GENERATOR.items():
    _params = _names(_text)
    op(f"{_GEN}.{_name}", f"(self, {_text}, size=None)", rules.generator(" ".join(_params), _kind), arrays=_params,
       varying=_params,
       samples=lambda _v=_values: [call(_gen(), *_v), call(_gen(), *_v, size=(2, 3)), call(_gen(), *(np.full(4,
                  v) for v in _v))],
       errors=lambda _v=_values: [fails(ValueError, _gen(), *_v, size=-2)], **_NUM)  # fmt: skip
op(f"{_GEN}.random", "(self, size=None, dtype='d', out=None)", rules.generator_random, arrays=("out",), uses=("rng",),
   writes=("self", "out"),
   samples=lambda: [call(_gen()), call(_gen(), size=(2, 3), dtype="f4"), call(_gen(), out=arr(3))],
   errors=lambda: [fails(TypeError, _gen(), out=arr(3, dtype="f4")), fails(ValueError, _gen(), size=2,
              out=arr(3))])  # fmt: skip
op(f"{_GEN}.uniform", "(self, low=0.0, high=1.0, size=None, dtype='d')", rules.generator_uniform, arrays=("low", "high"),
   varying=("low", "high"), **_NUM, samples=lambda: [call(_gen()), call(_gen(), low=1.0, high=3.0, size=(2, 3)),
      call(_gen(), high=arr(3))])  # fmt: skip
op(f"{_GEN}.integers", "(self, low, high=None, size=None, dtype='l', endpoint=False)", rules.generator_integers,
   varying=("low", "high"), **_NUM,
   samples=lambda: [call(_gen(), 10), call(_gen(), 2, high=5, size=(2, 3), dtype="i4", endpoint=True)],
   errors=lambda: [fails(ValueError, _gen(), 10, dtype="f4"), fails(TypeError, _gen(), arr(3))])  # fmt: skip
op(f"{_GEN}.beta", "(self, a, b, size=None, dtype='d')", rules.generator_beta, arrays=("a", "b"), varying=("a", "b"),
   **_NUM,
   samples=lambda: [call(_gen(), 2.0, 3.0), call(_gen(), 2.0, arr(3) + 1, dtype="f4")],
   errors=lambda: [fails(TypeError, _gen(), [1.0], 2.0)])  # fmt: skip
op(f"{_GEN}.dirichlet", "(self, alpha, size=None)", rules.generator_dirichlet, arrays=("alpha",), **_NUM,
   samples=lambda: [call(_gen(), arr(3) + 1), call(_gen(), arr(3) + 1, size=(2,))], errors=lambda: [fails(TypeError,
              _gen(), [1.0])])  # fmt: skip
op(f"{_GEN}.exponential", "(self, scale=1.0, size=None)", rules.generator_exponential, arrays=("scale",),
   varying=("scale",), **_NUM,
   samples=lambda: [call(_gen()), call(_gen(), scale=2.0, size=(2, 3)), call(_gen(), scale=arr(3), size=(2,
              1))])  # fmt: skip
op(f"{_GEN}.standard_exponential", "(self, size=None, dtype='d', method='inv', out=None)",
   rules.generator_standard_exponential,
   arrays=("out",), uses=("rng",), writes=("self", "out"),
   samples=lambda: [call(_gen()), call(_gen(), size=3, dtype="f4")],
   errors=lambda: [fails(NotImplementedError, _gen(), method="zig")])  # fmt: skip
op(f"{_GEN}.standard_normal", "(self, size=None, dtype='d', out=None)", rules.generator_standard_normal, arrays=("out",),
   uses=("rng",), writes=("self", "out"),
   samples=lambda: [call(_gen()), call(_gen(), size=(2, 3), dtype="f4"), call(_gen(), out=arr(3))],
   errors=lambda: [fails(TypeError, _gen(), dtype="i4")])  # fmt: skip
op(f"{_GEN}.standard_gamma", "(self, shape, size=None, dtype='d', out=None)", rules.generator_standard_gamma,
   arrays=("shape", "out"),
   varying=("shape",), uses=("rng",), writes=("self", "out"),
   samples=lambda: [call(_gen(), 2.0), call(_gen(), arr(3) + 1, dtype="f4"), call(_gen(), 2.0, out=arr(3))],
   errors=lambda: [fails(TypeError, _gen(), None), fails(ValueError, _gen(), [1.0])])  # fmt: skip

# -- functions: the client calls the global RandomState of the current device ---------------------------------------------------------
for _name, (_text, _dtype, _real, _values) in _DISTRIBUTIONS.items():
    _joined = f"{_text}, " if _text else ""
    op(
        f"random.{_name}",
        f"({_joined.replace('=1.0', '') if _name == 'exponential' else _joined}size=None, dtype={_dtype})",
        CLIENT,
    )
for _name in ("random", "random_sample", "ranf", "sample"):
    op(f"random.{_name}", "(size=None, dtype=float)", CLIENT)
for _name, _sig in {
    "rand": "(*size, **kwarg)", "randn": "(*size, **kwarg)", "randint": "(low, high=None, size=None, dtype='l')",
    "random_integers": "(low, high=None, size=None)", "choice": "(a, size=None, replace=True, p=None)", "shuffle": "(a)",
    "permutation": "(a)", "dirichlet": "(alpha, size=None, dtype=float)", "multinomial": "(n, pvals, size=None)",
    "multivariate_normal": "(mean, cov, size=None, check_valid='ignore', tol=1e-08, method='cholesky', dtype=float)",
    "bytes": "(length)", "seed": "(seed=None)", "reset_states": "()", "get_random_state": "()", "set_random_state": "(rs)",
    "default_rng": "(seed=None)", "BitGenerator": "(seed=None)",
       "BitGenerator.random_raw": "(self, size=None, output=True)",
}.items():  # fmt: skip
    op(f"random.{_name}", _sig, CLIENT)
