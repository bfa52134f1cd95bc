"""`cupyx.signal`, and the wavelets that SciPy no longer has."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft

from ._common import table, widened
from .filters import filtered, lfilter
from .windows import get_window


def _higher_order(in1: Any, in2: Any, mode: str = "valid", method: str = "direct") -> Any:
    """The sum over every tap of the kernel, each axis reaching back from the same last sample of its own length."""
    length = in1.shape[0] - max(in2.shape) + 1
    out = np.zeros(length, np.result_type(in1, in2))
    start = np.arange(length)
    for index, weight in np.ndenumerate(in2):
        term = weight
        for position, width in zip(index, in2.shape, strict=True):
            term = term * in1[start + width - position - 1]
        out += term
    return out


def firfilter(b: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    return lfilter(b, np.ones(1), x, axis, zi)


def firfilter_zi(b: Any) -> Any:
    """The transposed form's state for a constant input: sums of the later taps."""
    b = np.atleast_1d(b)
    return np.cumsum(b[:0:-1])[::-1].astype(np.result_type(b, np.float32))


def _extended(x: Any, n: int, padtype: Any) -> Any:
    """`x` with `n` samples before and after, along the last axis."""
    if not n or padtype is None:
        return x
    first, last = x[..., :1], x[..., -1:]
    before, after = x[..., n:0:-1], x[..., -2 : -(n + 2) : -1]
    if padtype == "odd":
        before, after = 2 * first - before, 2 * last - after
    elif padtype == "constant":
        before, after = np.repeat(first, n, -1), np.repeat(last, n, -1)
    return np.concatenate([before, x, after], -1)


def firfilter2(
    b: Any, x: Any, axis: int = -1, padtype: Any = "odd", padlen: Any = None, method: str = "pad", irlen: Any = None
) -> Any:
    b, x = np.atleast_1d(b), np.asarray(x)
    edge = 0 if padtype is None else 3 * b.size if padlen is None else padlen
    y = _extended(np.moveaxis(x, axis, -1), edge, padtype)
    zi = firfilter_zi(b)
    dtype = np.result_type(x, b, np.float64)
    for _ in range(2):
        # CuPy takes the transposed form's state as previous inputs.
        y = filtered(b, np.ones(1), y, zi * y[..., :1], y[..., :0], dtype)[..., ::-1]
    if edge:
        y = y[..., edge:-edge]
    return np.ascontiguousarray(np.moveaxis(y, -1, axis))


def freq_shift(x: Any, freq: Any, fs: Any) -> Any:
    x = np.asarray(x, np.float64)
    return x * np.exp(1j * (-2 * np.pi * freq / fs) * np.arange(x.size).reshape(x.shape))


def channelize_poly(x: Any, h: Any, n_chans: int) -> Any:
    """Split into `n_chans` bands: a filter of `len(h) / n_chans` taps per branch, then a transform over the branches."""
    dtype = np.promote_types(x.dtype, h.dtype)
    x, h = np.asarray(x, dtype), np.asarray(h, dtype)
    n_taps, n_pts = int(len(h) / n_chans), int(len(x) / n_chans)
    branches = h[: n_taps * n_chans].reshape(n_taps, n_chans).conj()
    samples = x[: n_pts * n_chans].reshape(n_pts, n_chans)[:, ::-1].conj()
    y = np.zeros((n_pts, n_chans), np.result_type(dtype, np.complex64))
    for tap in range(min(n_taps, n_pts)):
        y[tap:] += branches[tap] * samples[: n_pts - tap]
    return np.ascontiguousarray(np.conj(scipy.fft.fft(y)).T)


def real_cepstrum(x: Any, n: Any = None, axis: int = -1) -> Any:
    spectrum = scipy.fft.fft(widened(x), n, axis)
    logs = np.log(np.abs(spectrum)).astype(spectrum.dtype)
    return np.ascontiguousarray(scipy.fft.ifft(logs, n, axis).real)


def complex_cepstrum(x: Any, n: Any = None, axis: int = -1) -> Any:
    spectrum = scipy.fft.fft(widened(x), n, axis)
    unwrapped = np.unwrap(np.angle(spectrum)).ravel()
    center = int(0.5 * (spectrum.size + 1))
    delay = np.round(unwrapped[center] / np.pi)
    phase = (unwrapped - np.pi * delay * np.arange(spectrum.size) / center).reshape(spectrum.shape)
    logs = (np.log(np.abs(spectrum)) + 1j * phase).astype(spectrum.dtype)
    ceps = np.ascontiguousarray(scipy.fft.ifft(logs, n, axis).real)
    return ceps, np.full(spectrum.shape, delay, ceps.dtype)


def inverse_complex_cepstrum(ceps: Any, ndelay: Any) -> Any:
    logs = scipy.fft.fft(widened(ceps))
    delay = np.asarray(ndelay).astype(np.int32)
    index = np.arange(logs.size).reshape(logs.shape)
    wrapped = logs.imag + np.pi * delay * index / (0.5 * (logs.size + 1))
    spectrum = np.exp(logs.real + 1j * wrapped).astype(logs.dtype)
    return np.ascontiguousarray(scipy.fft.ifft(spectrum).real)


def minimum_phase(x: Any, n: Any = None) -> Any:
    n = len(x) if n is None else n
    ceps = real_cepstrum(x, n)
    odd = ceps.size % 2
    bend = int(0.5 * (ceps.size + odd))
    weights = np.zeros(ceps.size)
    weights[0] = 1
    weights[1:bend] = 2
    if bend < ceps.size:
        weights[bend] = 1 - odd
    folded = ceps * weights.reshape(ceps.shape).astype(ceps.dtype)
    return np.ascontiguousarray(scipy.fft.ifft(np.exp(scipy.fft.fft(folded))).real)


def _weighted(x: Any, normalize: bool, window: Any) -> Any:
    if window is not None:
        weights = window if isinstance(window, np.ndarray) else get_window(window, x.shape[-1], False).astype(x.dtype)
        x = x * weights
    return x / np.linalg.norm(x) if normalize else x


def pulse_compression(x: Any, template: Any, normalize: bool = False, window: Any = None, nfft: Any = None) -> Any:
    dtype = np.result_type(x, template)
    nfft = x.shape[1] if nfft is None else nfft
    t = _weighted(template, normalize, window)
    out = scipy.fft.ifft(scipy.fft.fft(x, nfft) * scipy.fft.fft(t, nfft).conj(), nfft)
    return np.ascontiguousarray(out if dtype.kind == "c" else out.real)


def pulse_doppler(x: Any, window: Any = None, nfft: Any = None) -> Any:
    nfft = x.shape[0] if nfft is None else nfft
    return np.ascontiguousarray(scipy.fft.fft(_weighted(x.T, False, window), nfft).T)


def _alpha(pfa: float, n: int) -> Any:
    return np.float32(n * (pfa ** (-1.0 / n) - 1))


def _box(total: Any, half: tuple[int, ...], centres: tuple[Any, ...]) -> Any:
    """Sums over the boxes of `2 * half + 1` around the centres, from cumulative sums."""
    padded = np.pad(total, [(1, 0)] * total.ndim)
    edges = [(c + h + 1, c - h) for c, h in zip(centres, half, strict=True)]
    if len(edges) == 1:
        return padded[edges[0][0]] - padded[edges[0][1]]
    (top, bottom), (right, left) = edges
    at = [padded[np.ix_(i, j)] for i, j in ((top, right), (bottom, right), (top, left), (bottom, left))]
    return at[0] - at[1] - at[2] + at[3]


def ca_cfar(array: Any, guard_cells: Any, reference_cells: Any, pfa: float = 1e-3) -> Any:
    guard, reference = (tuple(np.atleast_1d(v).astype(int)) for v in (guard_cells, reference_cells))
    total = array  # in double: a device's scan loses less than adding one after the other
    for axis in range(array.ndim):
        total = np.cumsum(total, axis, dtype=np.float64)
    if array.ndim == 1:
        n = 2 * reference[0]
    else:
        n = 2 * reference[0] * (2 * reference[1] + 2 * guard[1] + 1) + 2 * (2 * guard[0] + 1) * reference[1]
    both = tuple(g + r for g, r in zip(guard, reference, strict=True))
    centres = tuple(np.arange(h, length - h) for h, length in zip(both, array.shape, strict=True))
    threshold = np.zeros(array.shape, np.float32)
    noise = _box(total, both, centres) - _box(total, guard, centres)
    threshold[np.ix_(*centres)] = (_alpha(pfa, n) / np.float32(n) * noise).astype(np.float32)
    return threshold, array - threshold > 0


def mvdr(x: Any, sv: Any, calc_cov: bool = True) -> Any:
    if calc_cov:
        x = np.cov(x, dtype=x.dtype)
    weights = np.linalg.inv(x).dot(sv)
    return np.asarray(weights / sv.conj().dot(weights))


# -- wavelets ----------------------------------------------------------------------------------------------------------


def qmf(hk: Any) -> Any:
    hk = np.asarray(hk)
    signs = np.where(np.arange(len(hk)) % 2, -1, 1).astype(hk.dtype)
    return hk[::-1] * signs


def morlet(M: int, w: float = 5.0, s: float = 1.0, complete: bool = True) -> Any:
    x = np.linspace(-s * 2 * np.pi, s * 2 * np.pi, M)
    wave = np.exp(1j * w * x)
    if complete:
        wave -= np.exp(-0.5 * w * w)
    return wave * np.exp(-0.5 * x * x) * np.pi**-0.25


def morlet2(M: int, s: float, w: float = 5) -> Any:
    x = (np.arange(int(M)) - (int(M) - 1.0) / 2) / s
    return np.sqrt(1 / s) * np.exp(1j * w * x) * np.exp(-0.5 * x * x) * np.pi**-0.25


def ricker(points: int, a: float) -> Any:
    x = np.arange(int(points)) - (int(points) - 1.0) / 2
    square = x * x / (a * a)
    return 2 / (np.sqrt(3 * a) * np.pi**0.25) * (1 - square) * np.exp(-square / 2)


OPS = {
    f"cupyx.signal.{name}": function
    for name, function in {
        "convolve1d2o": _higher_order, "convolve1d3o": _higher_order, "firfilter": firfilter, "firfilter_zi": firfilter_zi,
        "firfilter2": firfilter2, "freq_shift": freq_shift, "channelize_poly": channelize_poly, "real_cepstrum": real_cepstrum,
        "complex_cepstrum": complex_cepstrum, "inverse_complex_cepstrum": inverse_complex_cepstrum, "minimum_phase": minimum_phase,
        "pulse_compression": pulse_compression, "pulse_doppler": pulse_doppler, "ca_cfar": ca_cfar, "mvdr": mvdr,
    }.items()
} | table(qmf=qmf, morlet=morlet, morlet2=morlet2, ricker=ricker)  # fmt: skip
