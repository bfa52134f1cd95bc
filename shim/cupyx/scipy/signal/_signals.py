"""Functions of signals that do something on the client: take functions, give dicts, numbers or text, or warn."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from cupool.contract.ops.scipy._rules_signal_waves import peak_properties

from ...._generated import cupyx_scipy_signal as _generated
from ....array import ndarray
from ....ufunc import ufunc
from .._commands import command, cp

_argrelextrema = command("@cupyx.scipy.signal.argrelextrema")
_deconvolve = command("@cupyx.scipy.signal.deconvolve")
_find_peaks = command("@cupyx.scipy.signal.find_peaks")
_gausspulse = command("@cupyx.scipy.signal.gausspulse")

#: What argrelextrema may compare with.
_COMPARATORS = frozenset({"less", "greater", "less_equal", "greater_equal", "equal", "not_equal"})


def choose_conv_method(in1: Any, in2: Any, mode: Any = "full") -> str:
    """ "direct" for integers, "fft" otherwise. As `cupyx.scipy.signal.choose_conv_method`."""
    if in1.ndim != 1 or in2.ndim != 1:
        raise NotImplementedError("Only 1d inputs are supported currently")
    return "direct" if in1.dtype.kind in "bui" or in2.dtype.kind in "bui" else "fft"


def deconvolve(signal: Any, divisor: Any) -> Any:
    """As `cupyx.scipy.signal.deconvolve`."""
    quotient, remainder = _deconvolve(signal, divisor)
    # CuPy gives an empty list and the signal itself where the divisor is longer.
    return ([], cp.atleast_1d(signal)) if quotient.size == 0 else (quotient, remainder)


def medfilt(volume: Any, kernel_size: Any = None) -> Any:
    """As `cupyx.scipy.signal.medfilt`."""
    result = _generated.medfilt(volume, kernel_size)
    sizes = kernel_size if np.iterable(kernel_size) else (3 if kernel_size is None else kernel_size,) * volume.ndim
    if any(k > n for k, n in zip(sizes, volume.shape, strict=True)):
        warnings.warn("kernel_size exceeds volume extent: volume will be zero-padded", stacklevel=2)
    return result


def resample(x: Any, num: Any, t: Any = None, axis: Any = 0, window: Any = None, domain: Any = "time") -> Any:
    """As `cupyx.scipy.signal.resample`."""
    if callable(window):
        x = cp.asarray(x)
        window = window(cp.fft.fftfreq(x.shape[axis]))
    return _generated.resample(x, num, t, axis, window, domain)


def decimate(x: Any, q: Any, n: Any = None, ftype: Any = "iir", axis: Any = -1, zero_phase: Any = True) -> Any:
    """As `cupyx.scipy.signal.decimate`."""
    if isinstance(ftype, str):
        return _generated.decimate(x, q, n, ftype, axis, zero_phase)
    from ._systems import dlti

    if not isinstance(ftype, dlti):
        raise ValueError("invalid ftype")
    from . import filtfilt, lfilter, resample_poly, sosfilt, sosfiltfilt, upfirdn, zpk2sos

    x = cp.asarray(x)
    every = [slice(None)] * x.ndim
    every[axis] = slice(None, None, q)
    system = ftype._as_zpk()
    if system.poles.shape[0] == 0:
        transfer = ftype._as_tf()
        taps = transfer.num / transfer.den
        if zero_phase:
            return resample_poly(x, 1, q, axis=axis, window=taps)
        every[axis] = slice(None, -(-x.shape[axis] // q))
        return upfirdn(taps, x, up=1, down=q, axis=axis)[tuple(every)]
    if any(cp.iscomplex(system.poles)) or cp.iscomplex(system.gain):
        transfer = ftype._as_tf()
        run = filtfilt if zero_phase else lfilter
        return run(transfer.num, transfer.den, x, axis=axis)[tuple(every)]
    dtype = x.dtype if x.dtype.kind in "fc" and x.dtype.char != "e" else np.float64
    sos = cp.asarray(zpk2sos(system.zeros, system.poles, system.gain), dtype=dtype)
    return (sosfiltfilt if zero_phase else sosfilt)(sos, x, axis=axis)[tuple(every)]


def gausspulse(
    t: Any, fc: Any = 1000, bw: Any = 0.5, bwr: Any = -6, tpr: Any = -60, retquad: Any = False, retenv: Any = False
) -> Any:
    """As `cupyx.scipy.signal.gausspulse`; for t="cutoff" a number."""
    if not isinstance(t, str):
        return _gausspulse(cp.asarray(t), fc, bw, bwr, tpr, retquad, retenv)
    if t != "cutoff":
        raise ValueError("If `t` is a string, it must be 'cutoff'")
    if fc < 0:
        raise ValueError(f"Center frequency (fc={fc:.2f}) must be >=0.")
    if bw <= 0:
        raise ValueError(f"Fractional bandwidth (bw={bw:.2f}) must be > 0.")
    if bwr >= 0:
        raise ValueError(f"Reference level for bandwidth (bwr={bwr:.2f}) must be < 0 dB")
    if tpr >= 0:
        raise ValueError("Reference level for time cutoff must be < 0 dB")
    width = -((math.pi * fc * bw) ** 2) / (4.0 * np.log(10.0 ** (bwr / 20.0)))
    return np.sqrt(-np.log(10.0 ** (tpr / 20.0)) / width)


def argrelextrema(data: Any, comparator: Any, axis: Any = 0, order: Any = 1, mode: Any = "clip") -> Any:
    """As `cupyx.scipy.signal.argrelextrema`. `comparator` is one of CuPy's comparison cp."""
    name = comparator.name.removeprefix("cupy_") if isinstance(comparator, ufunc) else ""
    if name not in _COMPARATORS:
        raise KeyError(comparator)
    return _argrelextrema(cp.asarray(data), name, axis, order, mode)


def find_peaks(
    x: Any, height: Any = None, threshold: Any = None, distance: Any = None, prominence: Any = None, width: Any = None,
    wlen: Any = None, rel_height: Any = 0.5, plateau_size: Any = None,
) -> tuple[ndarray, dict[str, ndarray]]:  # fmt: skip
    """As `cupyx.scipy.signal.find_peaks`."""
    found = _find_peaks(cp.asarray(x), height, threshold, distance, prominence, width, wlen, rel_height, plateau_size)
    given = {
        "plateau_size": plateau_size,
        "height": height,
        "threshold": threshold,
        "prominence": prominence,
        "width": width,
    }
    names = peak_properties(given)
    peaks, *values = found if isinstance(found, tuple) else (found,)
    return peaks, dict(zip(names, values, strict=True))


def sweep_poly(t: Any, poly: Any, phi: Any = 0) -> Any:
    """As `cupyx.scipy.signal.sweep_poly`. `poly` is an array of coefficients or a `cupy.poly1d`."""
    return _generated.sweep_poly(t, getattr(poly, "coeffs", poly), phi)
