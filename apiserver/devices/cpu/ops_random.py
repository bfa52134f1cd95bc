"""Random generators of the CPU device: NumPy's PCG64 under CuPy's interface and dtypes.

Streams are this device's own: as with CuPy, the same seed gives the same numbers on the same kind of device, not NumPy's numbers.
Method names and parameters are CuPy's. Each object's state is plain values (`state()`, `restore()`), so that a session can move.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Mixed into the seed, so that the generators of one seed do not give the same stream.
_STREAMS = {"RandomState": 1, "XORWOW": 2, "MRG32k3a": 3, "Philox4x3210": 4}


def _generator(kind: str, seed: Any, extra: int = 0) -> np.random.Generator:
    words = [0] if seed is None else [int(word) for word in np.atleast_1d(np.asarray(seed, object))]
    return np.random.Generator(np.random.PCG64([_STREAMS[kind], extra, *words]))


def _shape(size: Any, *parameters: Any) -> tuple[int, ...]:
    if size is None:
        return np.broadcast_shapes(*(np.shape(p) for p in parameters))
    return (int(size),) if isinstance(size, (int, np.integer)) else tuple(size)


def _reals(rng: np.random.Generator, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """`random`, `standard_normal` or `standard_exponential` in the precision that is asked for."""
    draw: Callable[..., Any] = getattr(rng, name)
    return np.asarray(draw(shape, np.float32 if np.dtype(dtype) == np.float32 else np.float64))


class RandomState:
    """As `cupy.random.RandomState`."""

    def __init__(self, seed: Any = None, method: Any = None) -> None:
        self.method = 100 if method is None else int(method)
        self.seed(seed)

    def seed(self, seed: Any = None) -> None:
        self.rng = _generator("RandomState", seed, self.method)

    def state(self) -> dict[str, Any]:
        """Plain values from which `restore` makes this object again."""
        inner = self.rng.bit_generator.state
        return {
            "method": self.method,
            "state": inner["state"],
            "has_uint32": inner["has_uint32"],
            "uinteger": inner["uinteger"],
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> RandomState:
        """The object whose `state` this is."""
        self = cls(0, state["method"])
        self.rng.bit_generator.state = {
            "bit_generator": "PCG64", "state": state["state"], "has_uint32": state["has_uint32"], "uinteger": state["uinteger"],
        }  # fmt: skip
        return self

    def random_sample(self, size: Any = None, dtype: Any = float) -> Array:
        return _reals(self.rng, "random", _shape(size), dtype)

    def rand(self, *size: int, dtype: Any = float) -> Array:
        return _reals(self.rng, "random", size, dtype)

    def randn(self, *size: int, dtype: Any = float) -> Array:
        return _reals(self.rng, "standard_normal", size, dtype)

    def standard_normal(self, size: Any = None, dtype: Any = float) -> Array:
        return _reals(self.rng, "standard_normal", _shape(size), dtype)

    def standard_exponential(self, size: Any = None, dtype: Any = float) -> Array:
        return _reals(self.rng, "standard_exponential", _shape(size), dtype)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None, dtype: Any = float) -> Array:
        x = _reals(self.rng, "standard_normal", _shape(size, loc, scale), dtype)
        x *= scale
        x += loc
        return x

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None, dtype: Any = float) -> Array:
        x = _reals(self.rng, "random", _shape(size, low, high), dtype)
        low, high = (np.asarray(v).astype(x.dtype) for v in (low, high))
        x *= high - low
        x += low
        return x

    def exponential(self, scale: Any = 1.0, size: Any = None, dtype: Any = float) -> Array:
        if np.any(np.asarray(scale) < 0):
            raise ValueError("scale < 0")
        x = _reals(self.rng, "standard_exponential", _shape(size, scale), dtype)
        x *= np.asarray(scale).astype(x.dtype)
        return x

    def dirichlet(self, alpha: Any, size: Any = None, dtype: Any = float) -> Array:
        """As CuPy: one gamma draw per element of `alpha`, normalised along the last axis."""
        alpha = np.asarray(alpha)
        shape = (() if size is None else _shape(size)) + alpha.shape
        y = np.asarray(self.rng.standard_gamma(alpha, shape))
        return np.asarray(y / y.sum(axis=-1, keepdims=True)).astype(dtype)

    def multivariate_normal(
        self, mean: Any, cov: Any, size: Any = None, check_valid: str = "ignore", tol: float = 1e-8, method: str = "cholesky",
        dtype: Any = float,
    ) -> Array:  # fmt: skip
        x = self.rng.multivariate_normal(mean, cov, _shape(size), check_valid, tol, method=method)  # type: ignore[arg-type]
        return np.asarray(x).astype(dtype)

    def randint(self, low: Any, high: Any = None, size: Any = None, dtype: Any = int) -> Array:
        if high is None:
            low, high = 0, low
        shape = _shape(size, low, high)
        return np.asarray(self.rng.integers(low, high, shape, np.dtype(dtype)))

    def tomaxint(self, size: Any = None) -> Array:
        return np.asarray(self.rng.integers(0, np.iinfo(np.int64).max, _shape(size), np.int64, endpoint=True))

    def choice(self, a: Any, size: Any = None, replace: bool = True, p: Any = None) -> Array:
        if p is not None:
            p = np.asarray(p, np.float64)
            if not (p >= 0).all():
                raise ValueError("probabilities are not non-negative")
            if not np.allclose(p.sum(), 1):
                raise ValueError("probabilities do not sum to 1")
            p = p / p.sum()
        return np.asarray(self.rng.choice(a, _shape(size), replace, p))

    def shuffle(self, a: Array) -> None:
        a[...] = a[self.rng.permutation(len(a))]

    def permutation(self, a: Any) -> Array:
        if isinstance(a, np.ndarray):
            return np.asarray(a[self.rng.permutation(len(a))])
        return self.rng.permutation(int(a)).astype(np.int64, copy=False)


def _hypergeometric(rng: Any, shape: Any, ngood: Any, nbad: Any, nsample: Any) -> Array:
    """Parameters are cut to integers, and more than there is means all there is, as in CuPy's kernel."""
    good, bad, taken = (np.asarray(x).astype(np.int64) for x in (ngood, nbad, nsample))
    return np.asarray(rng.hypergeometric(good, bad, np.minimum(taken, good + bad), size=shape))


def _cast(name: str, default: Any) -> Callable[..., Array]:
    """A distribution drawn in NumPy's own dtype and cast to the one that is asked for, as C casts."""

    def draw(self: RandomState, *args: Any, size: Any = None, dtype: Any = default, **parameters: Any) -> Array:
        shape = _shape(size, *args, *parameters.values())
        if name == "hypergeometric":
            return _hypergeometric(self.rng, shape, *args, **parameters).astype(dtype, copy=False)
        if name == "logseries" and np.any(np.asarray(args[0] if args else parameters["p"]) <= 0):
            raise ValueError("p <= 0.0")  # where NumPy takes zero
        return np.asarray(getattr(self.rng, name)(*args, **parameters, size=shape)).astype(dtype, copy=False)

    return draw


_CAST_DISTRIBUTIONS = {
    "beta": float, "binomial": int, "chisquare": float, "f": float, "gamma": float, "geometric": int, "gumbel": float,
    "hypergeometric": int, "laplace": float, "logistic": float, "lognormal": float, "logseries": int, "negative_binomial": int,
    "noncentral_chisquare": float, "noncentral_f": float, "pareto": float, "poisson": int, "power": float, "rayleigh": float,
    "standard_cauchy": float, "standard_gamma": float, "standard_t": float, "triangular": float, "vonmises": float, "wald": float,
    "weibull": float, "zipf": int,
}  # fmt: skip


class BitGenerator:
    """As CuPy's XORWOW, MRG32k3a and Philox4x3210: a source for `Generator`."""

    def __init__(self, kind: str, seed: Any = None, size: int = -1) -> None:
        self.kind = kind
        self.rng = _generator(kind, seed)

    def random_raw(self, size: Any = None, output: bool = True) -> Array | None:
        info = np.iinfo(np.int32)
        values = self.rng.integers(info.min, info.max, _shape(size), np.int32, endpoint=True)
        return np.asarray(values) if output else None


class Generator:
    """As `cupy.random.Generator`."""

    def __init__(self, bit_generator: BitGenerator) -> None:
        self.rng = bit_generator.rng

    def _into(self, values: Array, dtype: Any, out: Any) -> Array:
        if out is None:
            return values.astype(dtype, copy=False)
        out[...] = values
        return out  # type: ignore[no-any-return]

    def random(self, size: Any = None, dtype: Any = float, out: Any = None) -> Array:
        shape = _shape(size) if out is None else out.shape
        return self._into(_reals(self.rng, "random", shape, dtype), dtype, out)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None, dtype: Any = float) -> Array:
        low, high = np.asarray(low), np.asarray(high)
        y = _reals(self.rng, "random", _shape(size, low, high), dtype)
        return np.asarray(low + (high - low) * y).astype(dtype, copy=False)

    def integers(
        self, low: Any, high: Any = None, size: Any = None, dtype: Any = np.int64, endpoint: bool = False
    ) -> Array:
        if high is None:
            low, high = 0, low
        return np.asarray(self.rng.integers(low, high, _shape(size), np.dtype(dtype), endpoint=endpoint))

    def beta(self, a: Any, b: Any, size: Any = None, dtype: Any = float) -> Array:
        return np.asarray(self.rng.beta(a, b, _shape(size, a, b))).astype(dtype, copy=False)

    def dirichlet(self, alpha: Any, size: Any = None) -> Array:
        alpha = np.asarray(alpha, np.float64)
        y = np.asarray(self.rng.standard_gamma(alpha, (() if size is None else _shape(size)) + alpha.shape))
        return np.asarray(y / y.sum(axis=-1, keepdims=True))

    def exponential(self, scale: Any = 1.0, size: Any = None) -> Array:
        return np.asarray(np.asarray(self.rng.standard_exponential(_shape(size))) * scale)

    def standard_exponential(self, size: Any = None, dtype: Any = float, method: str = "inv", out: Any = None) -> Array:
        shape = _shape(size) if out is None else out.shape
        return self._into(np.asarray(self.rng.standard_exponential(shape)), dtype, out)

    def standard_normal(self, size: Any = None, dtype: Any = float, out: Any = None) -> Array:
        shape = _shape(size) if out is None else out.shape
        return self._into(_reals(self.rng, "standard_normal", shape, dtype), dtype, out)

    def standard_gamma(self, shape: Any, size: Any = None, dtype: Any = float, out: Any = None) -> Array:
        wanted = out.shape if out is not None else _shape(size, shape)
        return self._into(np.asarray(self.rng.standard_gamma(shape, wanted)), dtype, out)

    def power(self, a: Any, size: Any = None) -> Array:
        shape = _shape(size, a)
        return np.asarray(
            np.power(1 - np.exp(-np.asarray(self.rng.standard_exponential(shape))), 1.0 / np.asarray(a, np.float64))
        )


def _plain(name: str) -> Callable[..., Array]:
    def draw(self: Generator, *args: Any, size: Any = None, **parameters: Any) -> Array:
        shape = _shape(size, *args, *parameters.values())
        if name == "hypergeometric":
            return _hypergeometric(self.rng, shape, *args, **parameters)
        return np.asarray(getattr(self.rng, name)(*args, **parameters, size=shape))

    return draw


_STATE_METHODS = (
    "seed", "random_sample", "rand", "randn", "standard_normal", "standard_exponential", "normal", "uniform", "exponential", "dirichlet",
    "multivariate_normal", "randint", "tomaxint", "choice", "shuffle", "permutation",
)  # fmt: skip
_GENERATOR_METHODS = (
    "random", "uniform", "integers", "beta", "dirichlet", "exponential", "standard_exponential", "standard_normal", "standard_gamma",
    "power",
)  # fmt: skip
_PLAIN = ("binomial", "chisquare", "f", "gamma", "geometric", "hypergeometric", "logseries", "poisson")


def _constructor(kind: str) -> Callable[..., BitGenerator]:
    def make(seed: Any = None, *, size: int = -1) -> BitGenerator:
        return BitGenerator(kind, seed, size)

    return make


#: Implementation name -> function.
OPS: dict[str, Callable[..., Any]] = {
    "random.RandomState": RandomState,
    "random.Generator": Generator,
    **{f"random.{kind}": _constructor(kind) for kind in ("XORWOW", "MRG32k3a", "Philox4x3210")},
    **{f"random.{kind}.random_raw": BitGenerator.random_raw for kind in ("XORWOW", "MRG32k3a", "Philox4x3210")},
    **{f"random.RandomState.{name}": getattr(RandomState, name) for name in _STATE_METHODS},
    **{f"random.RandomState.{name}": _cast(name, default) for name, default in _CAST_DISTRIBUTIONS.items()},
    **{f"random.Generator.{name}": getattr(Generator, name) for name in _GENERATOR_METHODS},
    **{f"random.Generator.{name}": _plain(name) for name in _PLAIN},
}
