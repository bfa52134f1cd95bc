"""`cupy.linalg._util`: what programs take from it to judge and make stacks of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.linalg import LinAlgError

from ..._generated import functions as _functions
from ...array import ndarray


def _assert_cupy_array(*arrays: Any) -> None:
    """Raises LinAlgError for what is no array of the device."""
    for a in arrays:
        if not isinstance(a, ndarray):
            raise LinAlgError("cupy.linalg only supports cupy.ndarray")


def _assert_2d(*arrays: Any) -> None:
    """Raises LinAlgError for what is no matrix `(m, n)`."""
    for a in arrays:
        if a.ndim != 2:
            raise LinAlgError(f"{a.ndim}-dimensional array given. Array must be two-dimensional")


def _assert_stacked_2d(*arrays: Any) -> None:
    """Raises LinAlgError for what is no stack `(..., m, n)`."""
    for a in arrays:
        if a.ndim < 2:
            raise LinAlgError(f"{a.ndim}-dimensional array given. Array must be at least two-dimensional")


def _assert_stacked_square(*arrays: Any) -> None:
    """Raises LinAlgError for stacks `(..., m, n)` whose matrices are not square."""
    for a in arrays:
        m, n = a.shape[-2:]
        if m != n:
            raise LinAlgError("Last 2 dimensions of the array must be square")


def linalg_common_type(*arrays: Any, reject_float16: bool = True) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """The dtypes to compute in and of the results. Raises TypeError for float16, where that is rejected."""
    dtypes = [a.dtype for a in arrays]
    if reject_float16 and np.dtype("float16") in dtypes:
        raise TypeError("float16 is unsupported in linalg")
    result: np.dtype[Any] = np.result_type(*(d if d.kind in "fc" else np.dtype("float64") for d in dtypes))
    return (np.dtype("float32") if result == np.float16 else result), result


def stacked_identity(batch_shape: tuple[int, ...], n: int, dtype: Any) -> Any:
    """Unit matrices, `(*batch_shape, n, n)`."""
    return _filled(_functions.zeros((*batch_shape, n, n), dtype))


def stacked_identity_like(x: Any) -> Any:
    """Unit matrices in the shape `(..., n, n)` and the dtype of `x`."""
    return _filled(_functions.zeros_like(x))


def _filled(zeros: Any) -> Any:
    at = _functions.arange(zeros.shape[-1])
    zeros[..., at, at] = 1
    return zeros


def _tril(x: Any, k: int = 0) -> Any:
    """`x` itself, with zeros above the diagonal `k`."""
    x[...] = _functions.tril(x, k)
    return x


def _triu(x: Any, k: int = 0) -> Any:
    """`x` itself, with zeros below the diagonal `k`."""
    x[...] = _functions.triu(x, k)
    return x
