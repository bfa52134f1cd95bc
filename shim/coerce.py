"""Arguments that CuPy itself converts: host data that it passes through `cupy.asarray`, and device data that it reads.

Boundary: the others are given to the rules as they are, and the rules refuse what CuPy refuses.
"""

from __future__ import annotations

from collections.abc import Callable
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


#: Parameters of `cupyx.scipy.ndimage` of which CuPy takes each value by `int` or `float`, so that a device array is read (a wait);
#: where the row takes an array, only those in a sequence are.
READ = frozenset(
    (
        *("angle", "axes", "offset", "order", "origin", "origin1", "origin2", "output_shape", "percentile", "rank"),
        *("sampling", "shift", "sigma", "size", "truncate", "zoom"),
    )
)

#: Other functions' parameters that are read, for the same reason.
READ_OF: dict[str, tuple[str, ...]] = {
    "bincount": ("minlength",),
    "cupyx.scipy.signal.medfilt": ("kernel_size",),
    "cupyx.scipy.signal.medfilt2d": ("kernel_size",),
    "cupyx.scipy.signal.resample_poly": ("up", "down"),
    "cupyx.scipy.signal.wiener": ("mysize",),
    "histogram": ("range",),
    "histogram2d": ("range",),
    "histogramdd": ("range",),
}


def places(row: Row) -> tuple[tuple[int, Callable[[Any], Any]], ...]:
    """(position among the row's parameters, how it is converted) of what is converted."""
    made: list[tuple[int, Callable[[Any], Any]]] = [
        (row.params.index(name), _on_device_each if f"*{name}" in row.sig else _on_device)
        for name in CONVERTED.get(row.name, ())
    ]
    if row.name.startswith("cupyx.scipy.ndimage."):
        made += [(i, _read_items if name in row.arrays else _read) for i, name in enumerate(row.params) if name in READ]
    made += [(row.params.index(name), _read) for name in READ_OF.get(row.name, ())]
    return tuple(made)


def converted(where: tuple[tuple[int, Callable[[Any], Any]], ...], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments, those in these places converted."""
    made = list(args)
    for i, convert in where:
        made[i] = convert(args[i])
    return tuple(made)


def _on_device(value: Any) -> Any:
    from .convert import asarray

    return None if value is None else asarray(value)


def _on_device_each(values: Any) -> Any:
    from .convert import asarray

    return tuple(asarray(value) for value in values)


def _read(value: Any) -> Any:
    """Device arrays as NumPy's scalars, or lists of what iterating gives; those in a sequence too."""
    from .array import ndarray

    if not isinstance(value, ndarray):
        return _read_items(value)
    host = value.get()
    return list(host) if host.ndim else host[()]


def _read_items(value: Any) -> Any:
    from .array import ndarray

    if type(value) in (tuple, list) and any(isinstance(item, (ndarray, tuple, list)) for item in value):
        return type(value)(_read(item) for item in value)
    return value
