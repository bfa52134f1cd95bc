"""`cupyx.scipy.stats.entropy`. CuPy's tests look here for `_normalize`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .... import cupy as _cp
from .. import special as _special


def entropy(pk: Any, qk: Any = None, base: float | None = None, axis: int = 0) -> Any:
    """Shannon entropy of `pk`, or relative entropy of `pk` to `qk`.

    As in CuPy, arguments that are float32 or float64 are normalised in place.

    Args:
        pk: weights; need not sum to one.
        qk: weights of the same shape, or None.
        base: of the logarithm; e when None.
        axis: the axis that is summed over.

    Raises:
        TypeError: complex weights.
        ValueError: the shapes differ.
    """
    if pk.dtype.kind == "c" or (qk is not None and qk.dtype.kind == "c"):
        raise TypeError("complex dtype not supported")
    dtype = np.result_type(pk.dtype, np.float32) if pk.dtype.kind == "f" else np.dtype(np.float64)
    pk = _normalize(pk.astype(dtype, copy=False), axis)
    if qk is None:
        terms = _special.entr(pk)
    else:
        if qk.shape != pk.shape:
            raise ValueError("qk and pk must have same shape.")
        terms = _special.rel_entr(pk, _normalize(qk.astype(dtype, copy=False), axis))
    total = _cp.sum(terms, axis=axis)
    if base is not None:
        total /= math.log(base)
    return total


def _normalize(x: Any, axis: Any) -> Any:
    total = x.sum(axis=axis, keepdims=True)
    if x.dtype.kind != "f":
        return x / total
    x /= total
    return x
