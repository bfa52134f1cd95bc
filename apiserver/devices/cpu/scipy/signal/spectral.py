"""Spectral analysis."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._common import arrays, sp_signal, table, widened
from .windows import get_window


def _window(window: Any, n: int) -> Any:
    return get_window(window, n) if isinstance(window, str | tuple) else np.asarray(window)


def _contiguous(results: Any) -> Any:
    return tuple(np.ascontiguousarray(each) if np.ndim(each) else np.asarray(each) for each in results)


def _named(options: dict[str, Any], length: int) -> dict[str, Any]:
    """Options with the window as an array: CuPy's names of windows are its own."""
    window = options.get("window", "hann")
    if isinstance(window, str | tuple):
        nperseg = options.get("nperseg")
        nperseg = min(256 if nperseg is None else int(nperseg), length)
        options = {**options, "window": get_window(window, nperseg), "nperseg": nperseg}
    return options


def csd(x: Any, y: Any, **options: Any) -> Any:
    x, y = np.asarray(x), np.asarray(y)
    dtype = np.result_type(x, y, np.complex64)
    if x.size and y.size:
        axis = options.get("axis", -1)
        options = _named(options, max(x.shape[axis], y.shape[axis]))
    freqs, power = sp_signal.csd(widened(x), widened(y), **options)
    return _contiguous((freqs, np.asarray(power).astype(dtype if power.size else power.dtype, copy=False)))


def welch(x: Any, **options: Any) -> Any:
    x = np.asarray(x)
    if not x.size:
        return np.empty(x.shape), np.empty(x.shape)
    freqs, power = csd(x, x, **options)
    return _contiguous((freqs, power.real))


def coherence(x: Any, y: Any, **options: Any) -> Any:
    freqs, cross = csd(x, y, **options)
    return _contiguous((freqs, np.abs(cross) ** 2 / welch(x, **options)[1] / welch(y, **options)[1]))


def periodogram(x: Any, **options: Any) -> Any:
    x = np.asarray(x)
    if not x.size:
        return np.empty(x.shape), np.empty(x.shape)
    axis, nfft = options.get("axis", -1), options.pop("nfft", None)
    if options.get("window", "boxcar") is None:
        options.pop("window")
    options.setdefault("window", "boxcar")
    nperseg = x.shape[axis]
    if nfft is not None and nfft < nperseg:
        x, nperseg, nfft = np.moveaxis(np.moveaxis(x, axis, 0)[:nfft], 0, axis), nfft, None
    elif nfft == nperseg:
        nfft = None
    return welch(x, **options, nperseg=nperseg, noverlap=0, nfft=nfft)


def spectrogram(x: Any, **options: Any) -> Any:
    x = np.asarray(x)
    if not x.size:
        return (np.empty(x.shape),) * 3
    options.setdefault("window", ("tukey", 0.25))
    options = _named(options, x.shape[options.get("axis", -1)])
    freqs, times, made = sp_signal.spectrogram(widened(x), **options)
    dtype = np.result_type(x, np.complex64)
    dtype = dtype if options.get("mode") == "complex" else np.dtype(dtype.char.lower())
    return _contiguous((freqs, times, made.astype(dtype, copy=False)))


def stft(x: Any, **options: Any) -> Any:
    x = np.asarray(x)
    if not x.size:
        return (np.empty(x.shape),) * 3
    options.setdefault("nperseg", 256)
    freqs, times, made = sp_signal.stft(widened(x), **_named(options, x.shape[options.get("axis", -1)]))
    return _contiguous((freqs, times, made.astype(np.result_type(x, np.complex64), copy=False)))


def istft(Zxx: Any, **options: Any) -> Any:
    z = np.asarray(Zxx)
    window = options.get("window", "hann")
    if isinstance(window, str | tuple):
        n = z.shape[options.get("freq_axis", -2)]
        nperseg = options.get("nperseg") or (2 * (n - 1) if options.get("input_onesided", True) else n)
        options["window"] = get_window(window, int(nperseg))
    return _contiguous(sp_signal.istft(z, **options))


def lombscargle(x: Any, y: Any, freqs: Any, precenter: bool = False, normalize: bool = False) -> Any:
    """The periodogram of unevenly sampled data, with Lomb's time offset per frequency."""
    x, y, freqs = (np.asarray(v, np.float64) for v in (x, y, freqs))
    dot = y @ y
    if precenter:
        y = y - y.mean()
    phase = np.outer(freqs, x)
    cosine, sine = np.cos(phase), np.sin(phase)
    yc, ys = cosine @ y, sine @ y
    cc, ss, cs = (cosine * cosine).sum(1), (sine * sine).sum(1), (cosine * sine).sum(1)
    tau = np.arctan2(2.0 * cs, cc - ss) / (2.0 * freqs)
    ct, st = np.cos(freqs * tau), np.sin(freqs * tau)
    along = (ct * yc + st * ys) ** 2 / (ct * ct * cc + 2 * ct * st * cs + st * st * ss)
    across = (ct * ys - st * yc) ** 2 / (ct * ct * ss - 2 * ct * st * cs + st * st * cc)
    power = 0.5 * (along + across)
    return power * (2 / dot) if normalize else power


def vectorstrength(events: Any, period: Any) -> Any:
    return arrays(sp_signal.vectorstrength(np.asarray(events), np.asarray(period)))


def check_cola(window: Any, nperseg: Any, noverlap: Any, tol: float = 1e-10) -> Any:
    return np.asarray(sp_signal.check_COLA(_window(window, int(nperseg)), nperseg, noverlap, tol))


def check_nola(window: Any, nperseg: Any, noverlap: Any, tol: float = 1e-10) -> Any:
    return np.asarray(sp_signal.check_NOLA(_window(window, int(nperseg)), nperseg, noverlap, tol))


OPS = table(
    csd=csd, welch=welch, coherence=coherence, periodogram=periodogram, spectrogram=spectrogram, stft=stft, istft=istft,
    lombscargle=lombscargle, vectorstrength=vectorstrength, check_COLA=check_cola, check_NOLA=check_nola,
)  # fmt: skip
