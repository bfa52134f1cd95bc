"""Resampling, Savitzky-Golay filters and the chirp z-transform."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.fft

from ._common import plain, sp_signal, table, widened


def _on_axis(values: Any, ndim: int, axis: int) -> Any:
    shape = [1] * ndim
    shape[axis] = -1
    return np.reshape(values, shape)


def _window(window: Any, n: int) -> Any:
    """Weights per frequency bin, from zero upwards and then the negative ones."""
    return window if isinstance(window, np.ndarray) else scipy.fft.ifftshift(sp_signal.get_window(window, n))


def resample(x: Any, num: int, t: Any = None, axis: int = 0, window: Any = None, domain: str = "time") -> Any:
    x = widened(x)
    n, is_real = x.shape[axis], np.isrealobj(x)
    spectrum = (scipy.fft.rfft(x, axis=axis) if is_real else scipy.fft.fft(x, axis=axis)) if domain == "time" else x
    dtype = spectrum.dtype
    if window is not None:
        weights = np.array(_window(window, n))
        if is_real:
            weights[1:] = (weights[1:] + weights[-1:0:-1]) * 0.5
            weights = weights[: spectrum.shape[axis]]
        spectrum = (spectrum * _on_axis(weights, x.ndim, axis)).astype(dtype)
    spectrum = np.moveaxis(spectrum, axis, -1)
    kept = min(num, n)
    half = kept // 2 + 1
    made = np.zeros((*spectrum.shape[:-1], num // 2 + 1 if is_real else num), dtype)
    made[..., :half] = spectrum[..., :half]
    if not is_real and kept > 2:
        made[..., half - kept :] = spectrum[..., half - kept :]
    if kept % 2 == 0:
        # The bin at the lower rate's Nyquist frequency stands for two: it is shared, or folded back.
        if num < n:
            if is_real:
                made[..., kept // 2] *= 2.0
            else:
                made[..., -kept // 2] += spectrum[..., -kept // 2]
        elif n < num:
            made[..., kept // 2] *= 0.5
            if not is_real:
                made[..., num - kept // 2] = made[..., kept // 2]
    y = scipy.fft.irfft(made, num) if is_real else scipy.fft.ifft(made)
    y = np.ascontiguousarray(np.moveaxis(y * (num / n), -1, axis))
    if t is None:
        return y
    return y, np.asarray(np.arange(0, num) * (t[1] - t[0]) * n / float(num) + t[0])


def upfirdn(h: Any, x: Any, up: int = 1, down: int = 1, axis: int = -1, mode: str = "constant", cval: Any = 0) -> Any:
    h, x = np.asarray(h), np.asarray(x)
    dtype = np.result_type(h.dtype, x.dtype, np.float32)
    return np.ascontiguousarray(sp_signal.upfirdn(h.astype(dtype), x.astype(dtype), int(up), int(down), axis))


def resample_poly(
    x: Any, up: Any, down: Any, axis: int = 0, window: Any = ("kaiser", 5.0), padtype: Any = None, cval: Any = None
) -> Any:
    """Upsample, filter and downsample at once, with the filter's delay taken out."""
    x, up, down = np.asarray(x), int(up), int(down)
    g = math.gcd(up, down)
    up, down = up // g, down // g
    if up == down == 1:
        return x.copy()
    n_out = -(-x.shape[axis] * up // down)
    if isinstance(window, list | np.ndarray):
        h = np.asarray(window)
        half = (h.size - 1) // 2
    else:
        half = 10 * max(up, down)
        h = sp_signal.firwin(2 * half + 1, 1.0 / max(up, down), window=window)
    h = up * h
    before = down - half % down
    skipped = (half + before) // down
    after = 0
    while ((x.shape[axis] - 1) * up + len(h) + before + after - 1) // down + 1 < n_out + skipped:
        after += 1
    h = np.concatenate([np.zeros(before, h.dtype), h, np.zeros(after, h.dtype)])
    y = upfirdn(h, x, up, down, axis)
    return np.ascontiguousarray(np.moveaxis(np.moveaxis(y, axis, 0)[skipped : skipped + n_out], 0, axis))


def decimate(x: Any, q: int, n: Any = None, ftype: str = "iir", axis: int = -1, zero_phase: bool = True) -> Any:
    from . import filters

    x = np.asarray(x)
    dtype = x.dtype if x.dtype.kind in "fc" and x.dtype.char != "e" else np.dtype(np.float64)
    if ftype == "fir":
        taps = sp_signal.firwin((20 * q if n is None else n) + 1, 1.0 / q, window="hamming").astype(dtype)
        if zero_phase:
            return resample_poly(x, 1, q, axis, taps)
        y = np.moveaxis(upfirdn(taps, x, 1, q, axis), axis, 0)[: -(-x.shape[axis] // q)]
    else:
        sos = sp_signal.cheby1(8 if n is None else n, 0.05, 0.8 / q, output="sos").astype(dtype)
        run = filters.sosfiltfilt if zero_phase else filters.sosfilt
        y = np.moveaxis(run(sos, x, axis), axis, 0)[::q]
    return np.ascontiguousarray(np.moveaxis(y, 0, axis))


def savgol_filter(
    x: Any, window_length: int, polyorder: int, deriv: int = 0, delta: float = 1.0, axis: int = -1, mode: str = "interp",
    cval: float = 0.0,
) -> Any:  # fmt: skip
    x = np.asarray(x)
    x = x if x.dtype.char in "fd" else x.astype(np.float64)
    return np.ascontiguousarray(sp_signal.savgol_filter(x, window_length, polyorder, deriv, delta, axis, mode, cval))


def zoom_fft(x: Any, fn: Any, m: Any = None, *, fs: Any = 2, endpoint: bool = False, axis: int = -1) -> Any:
    fn = np.asarray(fn)
    return np.ascontiguousarray(
        sp_signal.zoom_fft(x, fn if fn.size == 2 else float(fn.ravel()[0]), m, fs=fs, endpoint=endpoint, axis=axis)
    )


def czt(x: Any, m: Any = None, w: Any = None, a: Any = 1 + 0j, *, axis: int = -1) -> Any:
    return np.ascontiguousarray(sp_signal.czt(x, m, w, a, axis=axis))


OPS = table(
    resample=resample,
    upfirdn=upfirdn,
    resample_poly=resample_poly,
    decimate=decimate,
    savgol_coeffs=plain(sp_signal.savgol_coeffs),
    savgol_filter=savgol_filter,
    czt=czt,
    czt_points=plain(sp_signal.czt_points),
    zoom_fft=zoom_fft,
)
