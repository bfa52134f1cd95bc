"""Spectral functions that warn, or take a function of the program that removes the trend of each segment.

Without such a function each is one op. With one, the segments are cut, weighted and transformed here, out of CuPy's own functions.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from cupool.contract.ops.scipy._rules_signal_spectral import csd as csd_rule
from cupool.contract.ops.scipy._rules_signal_spectral import stft as stft_rule

from ...._generated import cupyx_scipy_signal as _generated
from ....array import ndarray
from .._commands import cp
from ._flagged import flagged


def _note(x: Any, y: Any, window: Any, nperseg: Any, axis: Any, onesided: Any) -> None:
    """The warnings of CuPy's functions."""
    for operand in (x,) if y is x else (x, y):
        if onesided and operand.dtype.kind == "c":
            warnings.warn("Input data is complex, switching to return_onesided=False", stacklevel=3)
    if x.size == 0 or y.size == 0 or not isinstance(window, str | tuple):
        return
    length = max(x.shape[axis], y.shape[axis])
    wanted = 256 if nperseg is None else int(nperseg)
    if wanted > length:
        warnings.warn(
            f"nperseg = {wanted} is greater than input length  = {length}, using nperseg = {length}", stacklevel=3
        )


# -- with a function of the program ---------------------------------------------------------------------------------------


def _segmented(x: Any, n: int, step: int) -> Any:
    """Successive segments on a new last axis."""
    count = (x.shape[-1] - n) // step + 1
    strides = (*x.strides[:-1], step * x.strides[-1], x.strides[-1])
    return cp.lib.stride_tricks.as_strided(x, (*x.shape[:-1], count, n), strides)


def _detrended(segments: Any, detrend: Any, axis: int) -> Any:
    if axis == -1:
        return detrend(segments)
    return cp.moveaxis(detrend(cp.moveaxis(segments, -1, axis)), axis, -1)


def _extended(x: Any, n: int, boundary: Any) -> Any:
    """`x` with `n` samples before and after, along the last axis."""
    if boundary is None or n == 0:
        return x
    if boundary == "zeros":
        edge = cp.zeros((*x.shape[:-1], n), x.dtype)
        return cp.concatenate([edge, x, edge], -1)
    first, last = x[..., :1], x[..., -1:]
    if boundary == "constant":
        return cp.concatenate([cp.repeat(first, n, -1), x, cp.repeat(last, n, -1)], -1)
    before, after = x[..., n:0:-1], x[..., -2 : -(n + 2) : -1]
    if boundary == "odd":
        before, after = 2 * first - before, 2 * last - after
    return cp.concatenate([before, x, after], -1)


class _Cut:
    """Parameters of a segmented transform, with their defaults filled in."""

    def __init__(self, window: Any, nperseg: Any, noverlap: Any, nfft: Any, length: int) -> None:
        if isinstance(window, str | tuple):
            self.n = min(256 if nperseg is None else int(nperseg), length)
            self.window = _generated.get_window(window, self.n)
        else:
            self.window = cp.asarray(window)
            self.n = self.window.shape[0]
        self.overlap = self.n // 2 if noverlap is None else int(noverlap)
        self.step = self.n - self.overlap
        self.nfft = self.n if nfft is None else int(nfft)

    def transform(self, x: Any, detrend: Any, axis: int, onesided: bool, dtype: Any) -> Any:
        """(…, segments, frequencies)"""
        weighted = self.window.astype(np.result_type(self.window.dtype, dtype)) * _detrended(
            _segmented(x, self.n, self.step), detrend, axis
        )
        return cp.fft.rfft(weighted.real, self.nfft) if onesided else cp.fft.fft(weighted, self.nfft)

    def scale(self, fs: Any, scaling: str) -> Any:
        """The factor that makes a density or a spectrum."""
        w = self.window
        return 1.0 / (fs * (w * w).sum()) if scaling == "density" else 1.0 / w.sum() ** 2


def _frequencies(cut: _Cut, fs: Any, onesided: bool) -> Any:
    return (cp.fft.rfftfreq if onesided else cp.fft.fftfreq)(cut.nfft, 1 / fs)


def _power(x: Any, y: Any, detrend: Any, axis: int, fs: Any, cut: _Cut, onesided: bool, scaling: str) -> Any:
    """(…, frequencies, segments): products of the segments' transforms."""
    dtype = np.result_type(x.dtype, y.dtype, np.complex64)
    operands = [cp.moveaxis(v, axis, -1) if v.ndim > 1 else v for v in ((x,) if y is x else (x, y))]
    length = max(v.shape[-1] for v in operands)
    operands = [
        v
        if v.shape[-1] == length
        else cp.concatenate([v, cp.zeros((*v.shape[:-1], length - v.shape[-1]), v.dtype)], -1)
        for v in operands
    ]
    made = [cut.transform(v, detrend, axis, onesided, dtype) for v in operands]
    result = cp.conj(made[0]) * made[-1] * cut.scale(fs, scaling)
    if onesided:
        last = None if cut.nfft % 2 else -1
        result[..., 1:last] *= 2
    result = result.astype(dtype)
    return cp.moveaxis(result.real if y is x else result, -1, axis - 1 if axis < 0 else axis)


def _median_bias(n: int) -> float:
    """Median of a periodogram's values over their mean."""
    even = 2 * np.arange(1.0, (n - 1) // 2 + 1)
    return float(1 + np.sum(1.0 / (even + 1) - 1.0 / even))


def _csd(
    x: Any, y: Any, fs: Any, window: Any, nperseg: Any, noverlap: Any, nfft: Any, detrend: Any, onesided: Any, scaling: Any,
    axis: Any, average: Any,
) -> Any:  # fmt: skip
    csd_rule(
        x._resolve(), y._resolve(), fs, _spec(window), nperseg, noverlap, nfft, False, onesided, scaling, axis, average
    )
    axis = int(axis)
    half = bool(onesided) and x.dtype.kind != "c" and y.dtype.kind != "c"
    cut = _Cut(window, nperseg, noverlap, nfft, max(x.shape[axis], y.shape[axis]))
    power = _power(x, y, detrend, axis, fs, cut, half, scaling)
    if power.shape[-1] == 1:
        power = power[..., 0]
    elif average == "median":
        power = cp.median(power, axis=-1) / _median_bias(power.shape[-1])
    else:
        power = power.mean(axis=-1)
    return _frequencies(cut, fs, half), power


def _spec(window: Any) -> Any:
    return window._resolve() if isinstance(window, ndarray) else window


# -- the functions -----------------------------------------------------------------------------------------------------


def csd(
    x: Any, y: Any, fs: Any = 1.0, window: Any = "hann", nperseg: Any = None, noverlap: Any = None, nfft: Any = None,
    detrend: Any = "constant", return_onesided: Any = True, scaling: Any = "density", axis: Any = -1, average: Any = "mean",
) -> Any:  # fmt: skip
    """As `cupyx.scipy.signal.csd`."""
    x, y = cp.asarray(x), cp.asarray(y)
    if y is x:
        # The product of a spectrum with its own conjugate: CuPy gives it as real numbers.
        return welch(x, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, average)
    if callable(detrend) and x.size and y.size:
        return _csd(x, y, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, average)
    made = _generated.csd(x, y, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, average)
    _note(x, y, window, nperseg, axis, return_onesided)
    return made


def welch(
    x: Any, fs: Any = 1.0, window: Any = "hann", nperseg: Any = None, noverlap: Any = None, nfft: Any = None,
    detrend: Any = "constant", return_onesided: Any = True, scaling: Any = "density", axis: Any = -1, average: Any = "mean",
) -> Any:  # fmt: skip
    """As `cupyx.scipy.signal.welch`."""
    x = cp.asarray(x)
    if callable(detrend) and x.size:
        freqs, power = _csd(x, x, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, average)
        return freqs, power.real
    made = _generated.welch(x, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, average)
    _note(x, x, window, nperseg, axis, return_onesided)
    return made


def periodogram(
    x: Any, fs: Any = 1.0, window: Any = "boxcar", nfft: Any = None, detrend: Any = "constant", return_onesided: Any = True,
    scaling: Any = "density", axis: Any = -1,
) -> Any:  # fmt: skip
    """As `cupyx.scipy.signal.periodogram`."""
    x = cp.asarray(x)
    if callable(detrend) and x.size:
        n = x.shape[axis]
        if nfft is not None and nfft < n:
            x, n, nfft = cp.moveaxis(cp.moveaxis(x, axis, 0)[:nfft], 0, axis), nfft, None
        window = "boxcar" if window is None else window
        return welch(x, fs, window, n, 0, nfft, detrend, return_onesided, scaling, axis)
    made = _generated.periodogram(x, fs, window, nfft, detrend, return_onesided, scaling, axis)
    _note(x, x, None, None, axis, return_onesided)
    return made


def coherence(
    x: Any, y: Any, fs: Any = 1.0, window: Any = "hann", nperseg: Any = None, noverlap: Any = None, nfft: Any = None,
    detrend: Any = "constant", axis: Any = -1,
) -> Any:  # fmt: skip
    """As `cupyx.scipy.signal.coherence`."""
    x, y = cp.asarray(x), cp.asarray(y)
    if callable(detrend):
        options = {"nperseg": nperseg, "noverlap": noverlap, "nfft": nfft, "detrend": detrend, "axis": axis}
        freqs, cross = csd(x, y, fs, window, **options)
        return freqs, cp.abs(cross) ** 2 / welch(x, fs, window, **options)[1] / welch(y, fs, window, **options)[1]
    made = _generated.coherence(x, y, fs, window, nperseg, noverlap, nfft, detrend, axis)
    _note(x, y, window, nperseg, axis, True)
    return made


def _in_time(
    x: Any, fs: Any, window: Any, nperseg: Any, noverlap: Any, nfft: Any, detrend: Any, onesided: Any, scaling: Any, axis: Any,
    boundary: Any = None, padded: Any = False,
) -> Any:  # fmt: skip
    """(frequencies, times, complex transform) of successive segments."""
    axis = int(axis)
    half = bool(onesided) and x.dtype.kind != "c"
    cut = _Cut(window, nperseg, noverlap, nfft, x.shape[axis])
    along = _extended(cp.moveaxis(x, axis, -1), cut.n // 2, boundary)
    if padded:
        missing = -(along.shape[-1] - cut.n) % cut.step % cut.n
        along = cp.concatenate([along, cp.zeros((*along.shape[:-1], missing))], -1)
    dtype = np.result_type(x.dtype, np.complex64)
    made = cut.transform(along, detrend, axis, half, dtype) * cp.sqrt(cut.scale(fs, scaling))
    times = cp.arange(cut.n / 2, along.shape[-1] - cut.n / 2 + 1, cut.step) / float(fs)
    if boundary is not None:
        times -= cut.n / 2 / fs
    return _frequencies(cut, fs, half), times, cp.moveaxis(made.astype(dtype), -1, axis - 1 if axis < 0 else axis)


def stft(
    x: Any, fs: Any = 1.0, window: Any = "hann", nperseg: Any = 256, noverlap: Any = None, nfft: Any = None, detrend: Any = False,
    return_onesided: Any = True, boundary: Any = "zeros", padded: Any = True, axis: Any = -1, scaling: Any = "spectrum",
) -> Any:  # fmt: skip
    """As `cupyx.scipy.signal.stft`."""
    x = cp.asarray(x)
    if callable(detrend) and x.size:
        options = (window, nperseg, noverlap, nfft)
        stft_rule(
            x._resolve(), fs, _spec(window), *options[1:], False, return_onesided, boundary, padded, axis, scaling
        )
        kind = "density" if scaling == "psd" else scaling
        return _in_time(x, fs, *options, detrend, return_onesided, kind, axis, boundary, padded)
    made = _generated.stft(
        x, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, boundary, padded, axis, scaling
    )
    _note(x, x, window, nperseg, axis, return_onesided)
    return made


def spectrogram(
    x: Any, fs: Any = 1.0, window: Any = ("tukey", 0.25), nperseg: Any = None, noverlap: Any = None, nfft: Any = None,
    detrend: Any = "constant", return_onesided: Any = True, scaling: Any = "density", axis: Any = -1, mode: Any = "psd",
) -> Any:  # fmt: skip
    """As `cupyx.scipy.signal.spectrogram`."""
    x = cp.asarray(x)
    if callable(detrend) and x.size:
        return _spectrogram(x, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, mode)
    made = _generated.spectrogram(x, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, mode)
    _note(x, x, window, nperseg, axis, return_onesided)
    return made


def _spectrogram(
    x: Any, fs: Any, window: Any, nperseg: Any, noverlap: Any, nfft: Any, detrend: Any, onesided: Any, scaling: Any, axis: Any,
    mode: Any,
) -> Any:  # fmt: skip
    modes = ["psd", "complex", "magnitude", "angle", "phase"]
    if mode not in modes:
        raise ValueError(f"unknown value for mode {mode}, must be one of {modes}")
    n = _Cut(window, nperseg, noverlap, nfft, x.shape[axis]).n
    noverlap = n // 8 if noverlap is None else noverlap
    if mode == "psd":
        half = bool(onesided) and x.dtype.kind != "c"
        cut = _Cut(window, nperseg, noverlap, nfft, x.shape[axis])
        times = cp.arange(cut.n / 2, x.shape[axis] - cut.n / 2 + 1, cut.step) / float(fs)
        return _frequencies(cut, fs, half), times, _power(x, x, detrend, int(axis), fs, cut, half, scaling)
    freqs, times, made = _in_time(x, fs, window, nperseg, noverlap, nfft, detrend, onesided, scaling, axis)
    if mode == "magnitude":
        made = cp.abs(made)
    elif mode in ("angle", "phase"):
        made = cp.angle(made)
        if mode == "phase":
            made = cp.unwrap(made, axis=axis - 1 if axis < 0 else axis)
    return freqs, times, made


def istft(
    Zxx: Any, fs: Any = 1.0, window: Any = "hann", nperseg: Any = None, noverlap: Any = None, nfft: Any = None,
    input_onesided: Any = True, boundary: Any = True, time_axis: Any = -1, freq_axis: Any = -2, scaling: Any = "spectrum",
) -> Any:  # fmt: skip
    """As `cupyx.scipy.signal.istft`. Waits, as CuPy: it looks whether the windows cover every sample."""
    return flagged(
        "istft", Zxx, fs=fs, window=window, nperseg=nperseg, noverlap=noverlap, nfft=nfft, input_onesided=input_onesided,
        boundary=boundary, time_axis=time_axis, freq_axis=freq_axis, scaling=scaling,
    )  # fmt: skip
