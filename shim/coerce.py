"""Arguments that CuPy itself passes through `cupy.asarray`: these functions take host data too.

Boundary: the others are given to the rules as they are, and the rules refuse host data as CuPy does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops._row import Row

#: Function -> parameters that are converted. `*args` are converted one by one; None stays None.
CONVERTED: dict[str, tuple[str, ...]] = {
    "allclose": ("a", "b"),
    "append": ("arr", "values"),
    "around": ("a",),
    "atleast_1d": ("arys",),
    "atleast_2d": ("arys",),
    "atleast_3d": ("arys",),
    "average": ("a", "weights"),
    "corrcoef": ("a", "y"),
    "cov": ("a", "y"),
    "cross": ("a", "b"),
    "cupyx.scipy.linalg.bandwidth": ("a",),
    "cupyx.scipy.linalg.block_diag": ("arrs",),
    "cupyx.scipy.linalg.lu": ("a",),
    "cupyx.scipy.linalg.lu_factor": ("a",),
    "diag": ("v",),
    "diff": ("a", "prepend", "append"),
    "extract": ("condition",),
    "fft.fftshift": ("x",),
    "fft.ifftshift": ("x",),
    "gradient": ("f",),
    "histogramdd": ("weights",),
    "imag": ("val",),
    "isclose": ("a", "b"),
    "linalg.cond": ("x",),
    "piecewise": ("x",),
    "place": ("mask", "vals"),
    "real": ("val",),
    "resize": ("a",),
    "round": ("a",),
    "tril": ("m",),
    "triu": ("m",),
    "unique": ("ar",),
    "unwrap": ("p",),
    "vander": ("x",),
}


#: Functions that look at shape, dtype and layout of their first argument alone, which may be a host array: no bytes of it go up.
LIKE = frozenset(("empty_like", "full_like", "ones_like", "zeros_like"))


def stand_in(a: np.ndarray[Any, Any]) -> Any:
    """An uninitialised device array of the host array's shape, dtype and order of axes in memory."""
    from ._generated.functions import empty

    by_stride = sorted(range(a.ndim), key=lambda i: -abs(a.strides[i]))
    made = empty(tuple(a.shape[i] for i in by_stride), a.dtype)
    return made.transpose([by_stride.index(i) for i in range(a.ndim)])


def places(row: Row) -> tuple[tuple[int, bool], ...]:
    """(position among the row's parameters, whether it is `*args`) of what is converted."""
    return tuple((row.params.index(name), f"*{name}" in row.sig) for name in CONVERTED.get(row.name, ()))


def converted(where: tuple[tuple[int, bool], ...], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments with device arrays in those places."""
    from .convert import asarray

    made = list(args)
    for i, is_many in where:
        if is_many:
            made[i] = tuple(asarray(value) for value in args[i])
        elif args[i] is not None:
            made[i] = asarray(args[i])
    return tuple(made)
