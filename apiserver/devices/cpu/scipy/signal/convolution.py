"""Convolution, correlation and rank filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.ndimage

from ._common import plain, sp_signal, table, widened


def _empty(in1: Any, in2: Any) -> Any:
    """What a convolution with nothing gives; None when there is something."""
    return np.empty(0, in1.dtype) if in1.size == 0 or in2.size == 0 else None


def _direct_or_fft(function: Callable[..., Any], is_correlation: bool) -> Callable[..., Any]:
    def run(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
        if in1.ndim == in2.ndim == 0:
            return np.asarray(in1 * (in2.conj() if is_correlation else in2))
        nothing = _empty(in1, in2)
        if nothing is not None:
            return nothing
        dtype = np.result_type(in1, in2)
        if dtype == np.bool_:
            in1, in2 = in1.astype(np.int64), in2.astype(np.int64)
        return np.asarray(function(widened(in1), widened(in2), mode, method)).astype(dtype, copy=False)

    return run


def _fft(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
        nothing = _empty(in1, in2)
        return np.asarray(function(in1, in2, mode, axes)) if nothing is None else nothing

    return run


def _two_dimensional(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Any:
        nothing = _empty(in1, in2)
        if nothing is not None:
            return nothing
        dtype = np.result_type(in1, in2)
        made = function(widened(in1), widened(in2), mode, boundary, fillvalue)
        return np.asarray(made).astype(dtype, copy=False)

    return run


def wiener(im: Any, mysize: Any = None, noise: Any = None) -> Any:
    """The local mean, and as much of the rest as its variance exceeds the noise's."""
    im = im.astype(np.complex128 if im.dtype.kind == "c" else np.float64)
    size = 3 if mysize is None else mysize
    mean = scipy.ndimage.uniform_filter(im, size, mode="constant")
    variance = scipy.ndimage.uniform_filter(im * im, size, mode="constant") - mean * mean
    if noise is None:
        noise = variance.mean()
    return np.where(variance < noise, mean, mean + (im - mean) * (1 - noise / variance))


def order_filter(a: Any, domain: Any, rank: Any) -> Any:
    return scipy.ndimage.rank_filter(a, int(rank), footprint=np.asarray(domain) != 0, mode="constant")


def _median(a: Any, kernel_size: Any = 3) -> Any:
    size = (3 if kernel_size is None else kernel_size,) * a.ndim if np.ndim(kernel_size or 3) == 0 else kernel_size
    size = tuple(int(n) for n in size)
    return scipy.ndimage.rank_filter(a, int(np.prod(size)) // 2, size=size, mode="constant")


OPS = table(
    convolve=_direct_or_fft(sp_signal.convolve, False),
    correlate=_direct_or_fft(sp_signal.correlate, True),
    fftconvolve=_fft(sp_signal.fftconvolve),
    oaconvolve=_fft(sp_signal.oaconvolve),
    convolve2d=_two_dimensional(sp_signal.convolve2d),
    correlate2d=_two_dimensional(sp_signal.correlate2d),
    correlation_lags=plain(sp_signal.correlation_lags),
    wiener=wiener,
    order_filter=order_filter,
    medfilt=_median,
    medfilt2d=_median,
)
