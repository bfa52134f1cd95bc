"""Rules for random numbers: shapes from `size` or from broadcasting the parameters, dtypes as CuPy's kernels have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops.rules._arrays import as_spec, broadcast, check_out, is_scalar, packed, to_shape
from cupool.contract.ops.rules.common import as_dtype, require_array
from cupool.contract.spec import Spec

INT64 = np.dtype(np.int64)
FLOAT64 = np.dtype(np.float64)


def real_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype of a distribution that cuRAND draws: float32 or float64."""
    result: np.dtype[Any] = np.dtype(dtype)
    if result.char not in "fd":
        raise TypeError("cupy.random only supports float32 and float64")
    return result


def sized(size: Any, *parameters: Any) -> tuple[int, ...]:
    """The result's shape: `size`, into which the parameters must broadcast, or else the parameters' broadcast shape."""
    shape = broadcast(*(p for p in parameters if not is_scalar(p)))
    if size is None:
        return shape
    wanted = to_shape(size)
    if shape and broadcast(packed(shape, bool), packed(wanted, bool)) != wanted:
        raise ValueError(f"operands could not be broadcast together with shapes {shape} {wanted}")
    return wanted


def constructor(*args: Any, **kwargs: Any) -> None:
    """A remote object: no array results."""


def distribution(real: bool, default: Any = float) -> Callable[..., Spec]:
    """`RandomState.<name>(parameters…, size, dtype)`. `real`: float32 and float64 only; else whatever the array can hold."""

    def rule(self: Any, *args: Any, size: Any = None, dtype: Any = default, **parameters: Any) -> Spec:
        result = real_dtype(dtype) if real else as_dtype(dtype)
        return packed(sized(size, *args, *parameters.values()), result)

    rule.rule_name = f"distribution_{'real' if real else 'any'}_{np.dtype(default).char}"  # type: ignore[attr-defined]
    return rule


def dirichlet(self: Any, alpha: Any, size: Any = None, dtype: Any = float) -> Spec:
    return packed(to_shape(size) + as_spec(alpha).shape, as_dtype(dtype))


def multivariate_normal(
    self: Any, mean: Any, cov: Any, size: Any = None, check_valid: str = "ignore", tol: float = 1e-8, method: str = "cholesky",
    dtype: Any = float,
) -> Spec:  # fmt: skip
    mean, cov = as_spec(mean), as_spec(cov)
    if mean.ndim != 1:
        raise ValueError("mean must be 1 dimensional")
    if cov.ndim != 2 or cov.shape[0] != cov.shape[1]:
        raise ValueError("cov must be 2 dimensional and square")
    if mean.shape[0] != cov.shape[0]:
        raise ValueError("mean and cov must have same length")
    if method not in ("eigh", "svd", "cholesky"):
        raise ValueError("method must be one of {'eigh', 'svd', 'cholesky'}")
    if check_valid not in ("ignore", "warn", "raise"):
        raise ValueError("check_valid must equal 'warn', 'raise', or 'ignore'")
    return packed(to_shape(size) + mean.shape, real_dtype(dtype))


def rand(self: Any, *size: Any, dtype: Any = float) -> Spec:
    return packed(to_shape(size), real_dtype(dtype))


def randint(self: Any, low: Any, high: Any = None, size: Any = None, dtype: Any = int) -> Spec:
    result = np.dtype(dtype)
    np.iinfo(result)
    return packed(sized(size, *(p for p in (low, high) if p is not None)), result)


def tomaxint(self: Any, size: Any = None) -> Spec:
    return packed(to_shape(size), INT64)


def choice(self: Any, a: Any, size: Any = None, replace: Any = True, p: Any = None) -> Spec:
    if a is None:
        raise ValueError("a must be 1-dimensional or an integer")
    if isinstance(a, Spec) and a.ndim == 0:
        raise NotImplementedError("choice() from a 0-dimensional array is not supported by CuPy")
    if isinstance(a, int):
        length, dtype = a, INT64
        if a < 0:
            raise ValueError("a must be greater than or equal to 0")
    else:
        spec = as_spec(a)
        if spec.ndim != 1:
            raise ValueError("a must be 1-dimensional or an integer")
        length, dtype = spec.shape[0], spec.dtype
    if p is not None:
        weights = as_spec(p)
        if weights.ndim != 1:
            raise ValueError("p must be 1-dimensional")
        if weights.shape[0] != length:
            raise ValueError("a and p must have same size")
        if not isinstance(p, Spec):
            _check_probabilities(np.asarray(p, np.float64))
    if size is None:
        raise NotImplementedError("choice() without specifying size is not supported yet")
    shape = to_shape(size)
    count = packed(shape, bool).size
    if length == 0 and count > 0:
        raise ValueError("a cannot be empty unless no samples are taken")
    if not replace and p is None and length < count:
        raise ValueError("Cannot take a larger sample than population when 'replace=False'")
    if not replace and p is not None:
        raise NotImplementedError("choice() with both p= and replace=False is not supported by CuPy")
    return packed(shape, dtype)


def _check_probabilities(p: np.ndarray[Any, Any]) -> None:
    """Those of the host; a device looks at its own."""
    if not (p >= 0).all():
        raise ValueError("probabilities are not non-negative")
    if not np.allclose(p.sum(), 1):
        raise ValueError("probabilities do not sum to 1")


def shuffle(self: Any, a: Any) -> None:
    if not isinstance(a, Spec):
        raise TypeError("The array must be cupy.ndarray")
    if a.ndim == 0:
        raise TypeError("An array whose ndim is 0 is not supported")


def permutation(self: Any, a: Any) -> Spec:
    if isinstance(a, int):
        return packed((a,), INT64)
    a = require_array(a)
    if a.ndim == 0:
        raise TypeError("len() of unsized object")
    return packed(a.shape, a.dtype)


# -- Generator -----------------------------------------------------------------------------------------------------------------
def _number_or_array(error: type[Exception], **parameters: Any) -> None:
    for name, value in parameters.items():
        if not isinstance(value, Spec) and type(value) not in (float, int):
            raise error(f"{name} is required to be a cupy.ndarray or a scalar")


def generator(names: str, dtype: Any = FLOAT64, error: type[Exception] = TypeError) -> Callable[..., Spec]:
    """`Generator.<name>(parameters…, size)` of one dtype. Parameters are Python numbers or arrays."""
    required = names.split()

    def rule(self: Any, *args: Any, size: Any = None, **parameters: Any) -> Spec:
        given = {**dict(zip(required, args, strict=False)), **parameters}
        _number_or_array(error, **given)
        return packed(sized(size, *given.values()), dtype)

    rule.rule_name = f"generator_{'_'.join(required)}_{np.dtype(dtype).char}"  # type: ignore[attr-defined]
    return rule


def _checked(out: Any, size: Any, dtype: Any) -> Spec:
    """An `out=` of a Generator method."""
    if not isinstance(out, Spec):
        raise TypeError(f"out must be a cupy.ndarray, not {type(out).__name__}")
    if out.dtype.char != np.dtype(dtype).char:
        raise TypeError(
            f"Supplied output array has the wrong type. Expected {np.dtype(dtype).name}, got {out.dtype.name}"
        )
    if not out.c_contiguous and not out.f_contiguous:
        raise ValueError("Supplied output array is not contiguous, writable or aligned.")
    if size is not None and to_shape(size) != out.shape:
        raise ValueError("size must match out.shape when used together")
    return check_out(out, out.shape)


def generator_random(self: Any, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Spec:
    return _checked(out, size, dtype) if out is not None else packed(to_shape(size), as_dtype(dtype))


def generator_standard_exponential(
    self: Any, size: Any = None, dtype: Any = np.float64, method: str = "inv", out: Any = None
) -> Spec:
    if method == "zig":
        raise NotImplementedError("Ziggurat method is not supported")
    return generator_random(self, size, dtype, out)


def generator_standard_normal(self: Any, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Spec:
    if np.dtype(dtype).char not in "fd":
        raise TypeError(f"Unsupported dtype {np.dtype(dtype).name} for standard_normal")
    return generator_random(self, size, dtype, out)


def generator_standard_gamma(self: Any, shape: Any, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Spec:
    if shape is None:
        raise TypeError("shape must be real number, not NoneType")
    _number_or_array(ValueError, shape=shape)
    if out is not None:
        if isinstance(out, Spec) and not out.c_contiguous:
            raise ValueError("Supplied output array must be C-contiguous.")
        return _checked(out, size, dtype)
    if np.dtype(dtype).char not in "fd":
        raise TypeError(f"Unsupported dtype {np.dtype(dtype).name} for standard_gamma")
    return packed(sized(size, shape), dtype)


def generator_uniform(self: Any, low: Any = 0.0, high: Any = 1.0, size: Any = None, dtype: Any = np.float64) -> Spec:
    return packed(sized(size, low, high), as_dtype(dtype))


def generator_integers(
    self: Any, low: Any, high: Any = None, size: Any = None, dtype: Any = np.int64, endpoint: Any = False
) -> Spec:
    for value in (low, high):
        if isinstance(value, Spec):
            raise TypeError("low and high must be Python integers")
    result = np.dtype(dtype)
    np.iinfo(result)
    return packed(to_shape(size), result)


def generator_beta(self: Any, a: Any, b: Any, size: Any = None, dtype: Any = np.float64) -> Spec:
    _number_or_array(TypeError, a=a, b=b)
    return packed(sized(size, a, b), as_dtype(dtype))


def generator_dirichlet(self: Any, alpha: Any, size: Any = None) -> Spec:
    _number_or_array(TypeError, alpha=alpha)
    tail = alpha.shape if isinstance(alpha, Spec) else ()
    return packed(to_shape(size) + tail, FLOAT64)


def generator_exponential(self: Any, scale: Any = 1.0, size: Any = None) -> Spec:
    # CuPy multiplies: an array as scale broadcasts against `size`, and may widen it.
    shape = to_shape(size)
    if is_scalar(scale):
        return packed(shape, FLOAT64)
    return packed(broadcast(packed(shape, bool), scale), np.result_type(FLOAT64, as_spec(scale).dtype))


def random_raw(self: Any, size: Any = None, output: Any = True) -> Spec | None:
    return packed(to_shape(size), np.int32) if output else None
