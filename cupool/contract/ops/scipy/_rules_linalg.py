"""Rules of `cupyx.scipy.linalg`, `cupyx.linalg` and `cupyx.lapack`. What a matrix holds is the device's to see."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops.rules._arrays import as_spec, packed, prod, promote
from cupool.contract.ops.rules.common import as_dtype, rule
from cupool.contract.spec import Spec

LinAlgError = np.linalg.LinAlgError
INT32 = np.dtype(np.int32)


def require(value: Any) -> Spec:
    """The spec of an array argument. Raises LinAlgError for host data, as `cupy.linalg`."""
    if not isinstance(value, Spec):
        raise LinAlgError(f"cupyx.scipy.linalg only supports cupy.ndarray, not {type(value).__name__}")
    return value


def _vector(value: Any, message: str) -> Spec:
    if not isinstance(value, Spec):
        raise TypeError(f"expected a cupy.ndarray, not {type(value).__name__}")
    if value.ndim != 1:
        raise ValueError(message)
    return value


def _matrix(value: Any) -> Spec:
    a = require(value)
    if a.ndim != 2:
        raise LinAlgError(f"{a.ndim}-dimensional array given. Array must be two-dimensional")
    return a


def _square(a: Spec) -> Spec:
    if a.ndim < 2:
        raise LinAlgError(f"{a.ndim}-dimensional array given. Array must be at least two-dimensional")
    if a.shape[-1] != a.shape[-2]:
        raise LinAlgError("Last 2 dimensions of the array must be square")
    return a


def _computable(a: Spec) -> Spec:
    if a.dtype.char not in "fdFD":
        raise NotImplementedError("Only float32, float64, complex64 and complex128 are supported.")
    return a


# -- decompositions ---------------------------------------------------------------------------------------------------------------


@rule("linalg_lu_factor")
def lu_factor(a: Any, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    a = _computable(_matrix(a))
    return packed(a.shape, a.dtype, "F"), packed((min(a.shape),), INT32)


@rule("linalg_lu")
def lu(a: Any, permute_l: Any = False, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    a = _computable(_matrix(a))
    m, n = a.shape
    k = min(m, n)
    lower, upper = packed((m, k), a.dtype), packed((k, n), a.dtype)
    if permute_l:
        return lower, upper
    return packed((m, m), a.dtype.char.lower()), lower, upper


@rule("linalg_lu_solve")
def lu_solve(lu_and_piv: Any, b: Any, trans: Any = 0, overwrite_b: Any = False, check_finite: Any = True) -> Any:
    factors, pivots = lu_and_piv
    factors = _square(_matrix(factors))
    require(pivots)
    b = require(b)
    if b.ndim not in (1, 2) or factors.shape[0] != b.shape[0]:
        raise ValueError("incompatible dimensions.")
    _computable(factors)
    if trans not in (0, 1, 2):
        raise ValueError("unknown trans")
    return packed(b.shape, factors.dtype, "F")


_TRANSPOSITIONS = (0, 1, 2, "N", "T", "C")


@rule("linalg_solve_triangular")
def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: Any = False, unit_diagonal: Any = False, overwrite_b: Any = False, check_finite: Any = False
) -> Any:  # fmt: skip
    a, b = require(a), require(b)
    if a.ndim < 2:
        raise ValueError("expected one square matrix or a batch of square matrices")
    if a.shape[-1] != a.shape[-2]:
        raise ValueError("expected square matrix" if a.ndim == 2 else "expected a batch of square matrices")
    batch = a.ndim - 2
    if batch:
        if a.shape[:batch] != b.shape[:batch]:
            raise ValueError("incompatible batch count")
        if not a.ndim - 1 <= b.ndim <= a.ndim or a.shape[-2] != b.shape[batch]:
            raise ValueError("incompatible dimensions")
    elif b.ndim not in (1, 2) or a.shape[0] != b.shape[0]:
        raise ValueError("incompatible dimensions")
    if trans not in _TRANSPOSITIONS:
        raise ValueError("unknown trans")
    dtype = a.dtype if a.dtype.char in "fd" else np.promote_types(a.dtype, "f")
    return packed(b.shape, dtype, "C" if batch else "F")


@rule("linalg_expm")
def expm(a: Any) -> Any:
    a = require(a)
    if a.size == 0:
        return packed((0, 0), a.dtype)
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise LinAlgError("Last 2 dimensions of the array must be square")
    if a.dtype.kind not in "fc":
        return packed(a.shape, np.float64)
    if a.dtype == np.float16:
        raise TypeError("float16 is unsupported in linalg")
    return packed(a.shape, a.dtype)


@rule("linalg_khatri_rao")
def khatri_rao(a: Any, b: Any) -> Any:
    a, b = _matrix(a), _matrix(b)
    if a.shape[1] != b.shape[1]:
        raise ValueError("The number of columns for both arrays should be equal.")
    return packed((a.shape[0] * b.shape[0], a.shape[1]), promote(a, b))


# -- matrices of a form -------------------------------------------------------------------------------------------------------------


def _flat(value: Any) -> Spec:
    if not isinstance(value, Spec):
        raise TypeError(f"expected a cupy.ndarray, not {type(value).__name__}")
    return value


@rule("linalg_toeplitz")
def toeplitz(c: Any, r: Any = None) -> Any:
    """Hankel matrices too."""
    c = _flat(c)
    if r is None:
        return packed((c.size, c.size), c.dtype)
    r = _flat(r)
    return packed((c.size, r.size), promote(c, r))


@rule("linalg_circulant")
def circulant(c: Any) -> Any:
    c = _flat(c)
    return packed((c.size, c.size), c.dtype)


@rule("linalg_hadamard")
def hadamard(n: Any, dtype: Any = int) -> Any:
    if n < 1 or int(n) != n or int(n) & (int(n) - 1):
        raise ValueError("n must be an positive a power of 2 integer")
    return packed((int(n), int(n)), as_dtype(dtype))


@rule("linalg_leslie")
def leslie(f: Any, s: Any) -> Any:
    f = _vector(f, "Incorrect shape for f. f must be 1D")
    s = _vector(s, "Incorrect shape for s. s must be 1D")
    if f.size != s.size + 1:
        raise ValueError("Length of s must be one less than length of f")
    if s.size == 0:
        raise ValueError("The length of s must be at least 1.")
    return packed((f.size, f.size), promote(f, s))


@rule("linalg_block_diag")
def block_diag(*arrs: Any) -> Any:
    if not arrs:
        return packed((1, 0), np.float64)
    blocks = [as_spec(a) for a in arrs]
    bad = [i for i, block in enumerate(blocks) if block.ndim > 2]
    if bad:
        raise ValueError(f"arguments in the following positions have dimension greater than 2: {bad}")
    shapes = [((1, 1), (1, *block.shape), block.shape)[block.ndim] for block in blocks]
    return packed((sum(s[0] for s in shapes), sum(s[1] for s in shapes)), promote(*blocks))


def _divided(a: Spec) -> np.dtype[Any]:
    """The dtype of an element over another."""
    return a.dtype if a.dtype.kind in "fc" else np.dtype(np.float64)


@rule("linalg_companion")
def companion(a: Any) -> Any:
    a = _vector(a, "`a` must be one-dimensional.")
    if a.size < 2:
        raise ValueError("The length of `a` must be at least 2.")
    return packed((a.size - 1, a.size - 1), _divided(a))


@rule("linalg_helmert")
def helmert(n: Any, full: Any = False) -> Any:
    n = operator.index(n)
    return packed((n if full else n - 1, n), np.float64)


@rule("linalg_hilbert")
def hilbert(n: Any) -> Any:
    n = operator.index(n)
    return packed((n, n), np.float64)


@rule("linalg_dft")
def dft(n: Any, scale: Any = None) -> Any:
    n = operator.index(n)
    if scale not in (None, "sqrtn", "n"):
        raise ValueError(f"scale must be None, 'sqrtn', or 'n'; {scale!r} is not valid.")
    return packed((n, n), np.complex128)


@rule("linalg_fiedler")
def fiedler(a: Any) -> Any:
    a = _vector(a, "Input `a` must be a 1D array.")
    if a.size < 2:
        return packed((a.size,) * (a.size + 1), np.float64)
    return packed((a.size, a.size), a.dtype)


@rule("linalg_fiedler_companion")
def fiedler_companion(a: Any) -> Any:
    a = _vector(a, "Input `a` must be a 1-D array.")
    if a.size < 2:
        return packed((0,), a.dtype)
    return packed((a.size - 1, a.size - 1), _divided(a))


@rule("linalg_convolution_matrix")
def convolution_matrix(a: Any, n: Any, mode: Any = "full") -> Any:
    if n <= 0:
        raise ValueError("n must be a positive integer.")
    a = _vector(a, "convolution_matrix expects a one-dimensional array as input")
    if a.size == 0:
        raise ValueError("len(a) must be at least 1.")
    rows = {"full": a.size + n - 1, "same": max(a.size, n), "valid": max(a.size, n) - min(a.size, n) + 1}
    if mode not in rows:
        raise ValueError("`mode` argument must be one of ('full', 'valid', 'same')")
    return packed((rows[mode], n), a.dtype)


# -- cupyx.lapack, cupyx.linalg -----------------------------------------------------------------------------------------------------


def check_pair(a: Spec, b: Spec, error: type[Exception]) -> None:
    """Check a matrix and right-hand sides. `error`: the class for dtypes that do not fit; TypeError: `a` must be square."""
    if a.ndim != 2:
        raise ValueError(f"a.ndim must be 2 (actual: {a.ndim})")
    if b.ndim not in (1, 2):
        raise ValueError(f"b.ndim must be 1 or 2 (actual: {b.ndim})")
    if error is TypeError and a.shape[0] != a.shape[1]:
        raise ValueError("a must be a square matrix.")
    if a.shape[0] != b.shape[0]:
        raise ValueError(f"shape mismatch (a: {a.shape}, b: {b.shape}).")
    if a.dtype != b.dtype:
        raise error(f"dtype mismatch (a: {a.dtype}, b: {b.dtype})")
    if a.dtype.char not in "fdFD":
        raise error(f"unsupported dtype (actual: {a.dtype})")


@rule("lapack_gesv")
def gesv(a: Any, b: Any) -> None:
    a, b = require(a), require(b)
    check_pair(a, b, TypeError)
    if not (a.f_contiguous or a.c_contiguous):
        raise ValueError("a must be F-contiguous or C-contiguous.")
    if not b.f_contiguous:
        raise ValueError("b must be F-contiguous.")


@rule("lapack_gels")
def gels(a: Any, b: Any) -> Any:
    a, b = require(a), require(b)
    check_pair(a, b, ValueError)
    return packed((a.shape[1], *b.shape[1:]), b.dtype, "F")


def _single(*arrays: Spec) -> np.dtype[Any]:
    dtype = np.promote_types(promote(*arrays), np.float32)
    if dtype.char not in "fdFD":
        raise ValueError(f"dtype must be float32, float64, complex64 or complex128 (actual: {arrays[0].dtype})")
    return dtype


@rule("lapack_posv")
def posv(a: Any, b: Any) -> Any:
    a, b = _square(require(a)), require(b)
    dtype = _single(a, b)
    n, batch = a.shape[-1], a.shape[:-2]
    if b.size == 0 or b.shape[: len(batch)] != batch or b.size % (prod(batch) * n):
        raise ValueError(f"shape mismatch (a: {a.shape}, b: {b.shape}).")
    return packed(b.shape, dtype)


@rule("lapack_potrs")
def potrs(L: Any, b: Any, lower: Any) -> Any:
    factor, b = _square(require(L)), require(b)
    batch = factor.shape[:-2]
    if batch:
        assert b.ndim >= factor.ndim - 1, "Batch dimension of b is different than that of L"
        assert b.shape[: len(batch)] == batch, "Batch dimension of L and b do not match"
    else:
        assert b.ndim in (1, 2), "b is not a vector or a matrix"
    assert b.shape[len(batch)] == factor.shape[-1], "length of arrays in b does not match size of L"
    return packed(b.shape, _single(factor, b), "C" if batch else "F")


@rule("linalg_cho_solve")
def cho_solve(c_and_lower: Any, b: Any, overwrite_b: Any = False, check_finite: Any = True) -> Any:
    c, lower = c_and_lower
    return potrs(c, b, lower)


@rule("linalg_invh")
def invh(a: Any) -> Any:
    a = _square(_matrix(a))
    return packed(a.shape, _single(a))


#: Rules of functions of one size.
SIZED: dict[str, Callable[..., Any]] = {"helmert": helmert, "hilbert": hilbert, "dft": dft}
