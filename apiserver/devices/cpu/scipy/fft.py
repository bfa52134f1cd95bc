"""`cupyx.scipy.fft`: cosine, sine and Hankel transforms on `scipy.fft`, in the precision that CuPy computes in."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft

Array = np.ndarray[Any, Any]

#: Not typed: its stubs know literal types of transforms only.
_fft: Any = scipy.fft
_PREFIX = "cupyx.scipy.fft."


def _input(x: Array) -> Array:
    if x.dtype == np.float16:
        return x.astype(np.float32)
    return x if x.dtype.kind in "fc" else x.astype(np.float64)


def _transform(name: str) -> Callable[..., Array]:
    function = getattr(_fft, name)

    def run(x: Array, type: int = 2, *args: Any, **kwargs: Any) -> Array:
        kwargs.pop("overwrite_x", None)
        return np.asarray(function(_input(x), type, *args, **kwargs))

    return run


def _hankel(name: str) -> Callable[..., Array]:
    function = getattr(_fft, name)

    def run(a: Array, dln: Any, mu: Any, offset: Any = 0.0, bias: Any = 0.0) -> Array:
        x = _input(a.real)
        dtype = np.float64 if bias != 0 else x.dtype
        with warnings.catch_warnings():  # of a singular transform: the client warns
            warnings.simplefilter("ignore")
            found = function(x, float(dln), mu, offset, bias)
        return np.asarray(found).astype(dtype, copy=False)

    return run


#: Row's name -> function.
OPS: dict[str, Callable[..., Any]] = {
    **{_PREFIX + name: _transform(name) for name in ("dct", "idct", "dst", "idst", "dctn", "idctn", "dstn", "idstn")},
    **{_PREFIX + name: _hankel(name) for name in ("fht", "ifht")},
}
