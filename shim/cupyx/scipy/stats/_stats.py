"""The functions of `cupyx.scipy.stats`, but for `entropy`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .... import cupy as _cp
from .. import special as _special


def trim_mean(a: Any, proportiontocut: float, axis: int | None = 0) -> Any:
    """Mean without the smallest and the largest `proportiontocut` of the values along an axis.

    Raises:
        ValueError: nothing would be left.
    """
    if a.size == 0:
        return np.nan
    if axis is None:
        a, axis = a.ravel(), 0
    length = a.shape[axis]
    low = int(proportiontocut * length)
    high = length - low
    if low > high:
        raise ValueError("Proportion too big.")
    chosen = [slice(None)] * a.ndim
    chosen[axis] = slice(low, high)
    return _cp.mean(_cp.partition(a, (low, high - 1), axis)[tuple(chosen)], axis=axis)


def boxcox_llf(lmb: Any, data: Any) -> Any:
    """Log-likelihood of the Box-Cox transformation with parameter `lmb`, along the first axis of `data`."""
    if data.dtype.kind in "biu":
        data = data.astype(np.float64)
    dtype = data.dtype
    if dtype.char == "e":
        data = data.astype(np.float32)
    length = data.shape[0]
    if length == 0:
        return _cp.full((), np.nan, dtype)
    logs = _cp.log(data)
    log_variance = _cp.log(_cp.var(logs, axis=0)) if lmb == 0 else _log_variance(lmb * logs) - 2 * math.log(abs(lmb))
    result = (lmb - 1) * _cp.sum(logs, axis=0) - length / 2 * log_variance
    return result.astype(dtype, copy=False)


def _log_variance(logs: Any) -> Any:
    """Logarithm of the variance of what `logs` are the logarithms of; the minus of a difference is an imaginary part of pi."""
    length = math.log(len(logs))
    mean = _special.logsumexp(logs, axis=0) - length
    difference = _special.logsumexp(_cp.stack([logs + 0j, _cp.broadcast_to(mean - math.pi * 1j, logs.shape)]), axis=0)
    return _special.logsumexp(2 * difference, axis=0).real - length


def zscore(a: Any, axis: int | None = 0, ddof: int = 0, nan_policy: str = "propagate") -> Any:
    """Distance of each value from the mean, in standard deviations. See `zmap`."""
    return zmap(a, a, axis=axis, ddof=ddof, nan_policy=nan_policy)


_POLICIES = ("propagate", "raise", "omit")


def zmap(scores: Any, compare: Any, axis: int | None = 0, ddof: int = 0, nan_policy: str = "propagate") -> Any:
    """`scores` minus the mean of `compare`, in standard deviations of `compare`; NaN where `compare` is constant.

    Args:
        scores: the values.
        compare: what they are compared with.
        axis: the axis of mean and deviation; None is all.
        ddof: degrees of freedom that the deviation loses.
        nan_policy: "propagate", "omit" (NaNs of `compare` are left out), or "raise", which looks at the data: the call waits.

    Raises:
        ValueError: another policy, or NaNs under "raise".
    """
    if nan_policy not in _POLICIES:
        raise ValueError(f"nan_policy must be one of {{{', '.join(map(repr, _POLICIES))}}}")
    if compare.size == 0:
        return _cp.empty(compare.shape, compare.dtype if compare.dtype.kind in "fc" else np.float64)
    if nan_policy == "raise" and _cp.isnan(_cp.sum(compare)):
        raise ValueError("The input contains nan values")
    first = compare.ravel()[0] if axis is None else compare[(slice(None),) * (axis % compare.ndim) + (slice(0, 1),)]
    same = first == compare
    if nan_policy == "omit":
        if axis is None:
            compare = compare.ravel()
            mean, deviation = _cp.nanmean(compare), _cp.nanstd(compare, ddof=ddof)
            # What is not a number neither makes nor breaks a constant.
            known = ~_cp.isnan(compare)
            top = _cp.nanmax(compare) if compare.dtype.kind == "f" else _cp.max(compare)
            is_constant = ((compare == top) | ~known).all()
        else:
            mean = _cp.nanmean(compare, axis=axis, keepdims=True)
            deviation = _cp.nanstd(compare, axis=axis, keepdims=True, ddof=ddof)
            is_constant = same.all(axis=axis, keepdims=True)
    else:
        mean = compare.mean(axis=axis, keepdims=True)
        deviation = compare.std(axis=axis, ddof=ddof, keepdims=True)
        is_constant = same.all() if axis is None else same.all(axis=axis, keepdims=True)
    deviation[is_constant] = 1.0
    z = (scores - mean) / deviation
    z[_cp.broadcast_to(is_constant, z.shape)] = np.nan
    return z
