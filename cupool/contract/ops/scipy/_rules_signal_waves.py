"""Rules of `cupyx.scipy.signal`: resampling, splines, waveforms, transforms of the z-plane, peaks, wavelets."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from cupool.contract.ops._row import UNKNOWN
from cupool.contract.ops.rules._arrays import as_spec, broadcast, is_scalar, packed, to_axis, to_shape
from cupool.contract.ops.rules.common import normalize_axis, rule
from cupool.contract.ops.rules.fft import complex_dtype, real_dtype
from cupool.contract.ops.scipy._rules_signal import C128, F32, F64, divided, with_axis
from cupool.contract.spec import Spec

# -- resampling --------------------------------------------------------------------------------------------------------


@rule("signal.resample")
def resample(x: Any, num: Any, t: Any = None, axis: Any = 0, window: Any = None, domain: Any = "time") -> Any:
    if domain not in ("time", "freq"):
        raise ValueError(f"Acceptable domain flags are 'time' or 'freq', not domain={domain}")
    x = as_spec(x)
    axis = to_axis(operator.index(axis), x.ndim)
    n = x.shape[axis]
    if isinstance(window, Spec) and window.shape != (n,):
        raise ValueError(
            f"window.shape={window.shape!r} != ({n},), i.e., window length is not equal to number of frequency bins!"
        )
    dtype = complex_dtype(x.dtype) if x.dtype.kind == "c" else real_dtype(x.dtype)
    y = packed(with_axis(x.shape, axis, int(num)), dtype)
    return y if t is None else (y, UNKNOWN)


def ceil_div(n: int, q: int) -> int:
    """n / q rounded up."""
    return -(-n // q)


@rule("signal.resample_poly")
def resample_poly(
    x: Any,
    up: Any,
    down: Any,
    axis: Any = 0,
    window: Any = ("kaiser", 5.0),
    padtype: Any = "constant",
    cval: Any = None,
) -> Spec:
    if padtype != "constant" or cval is not None:
        raise ValueError("padtype and cval arguments are not supported by upfirdn")
    x, up, down = as_spec(x), int(up), int(down)
    if up < 1 or down < 1:
        raise ValueError("up and down must be >= 1")
    axis = to_axis(operator.index(axis), x.ndim)
    g = math.gcd(up, down)
    up, down = up // g, down // g
    if up == down == 1:
        return packed(x.shape, x.dtype)
    taps = F64
    if isinstance(window, list | Spec | np.ndarray):
        spec = as_spec(window)
        if spec.ndim > 1:
            raise ValueError("window must be 1-D")
        taps = spec.dtype
    return packed(with_axis(x.shape, axis, ceil_div(x.shape[axis] * up, down)), np.result_type(taps, x.dtype, F32))


@rule("signal.decimate")
def decimate(x: Any, q: Any, n: Any = None, ftype: Any = "iir", axis: Any = -1, zero_phase: Any = True) -> Spec:
    x, q = as_spec(x), operator.index(q)
    if n is not None:
        operator.index(n)
    if ftype not in ("fir", "iir"):
        raise ValueError("invalid ftype")
    axis = to_axis(operator.index(axis), x.ndim)
    dtype = x.dtype if x.dtype.kind in "fc" and x.dtype.char != "e" else F64
    if ftype == "fir":
        dtype = np.result_type(dtype, F32)
    return packed(with_axis(x.shape, axis, ceil_div(x.shape[axis], q)), dtype)


@rule("signal.upfirdn")
def upfirdn(h: Any, x: Any, up: Any = 1, down: Any = 1, axis: Any = -1, mode: Any = "constant", cval: Any = 0) -> Spec:
    if (mode or "constant") != "constant" or cval != 0:
        raise NotImplementedError(f"mode={mode!r} and cval={cval!r} not implemented.")
    if not isinstance(x, Spec):
        raise AttributeError(f"{type(x).__name__!r} object has no attribute 'dtype'")
    h, up, down = as_spec(h), int(up), int(down)
    if h.ndim != 1 or h.size == 0:
        raise ValueError("h must be 1D with non-zero length")
    if up < 1 or down < 1:
        raise ValueError("Both up and down must be >= 1")
    axis = to_axis(operator.index(axis), x.ndim)
    length = ((x.shape[axis] - 1) * up + h.size - 1) // down + 1
    return packed(with_axis(x.shape, axis, length), np.result_type(h.dtype, x.dtype, F32))


@rule("signal.savgol_coeffs")
def savgol_coeffs(
    window_length: Any, polyorder: Any, deriv: Any = 0, delta: Any = 1.0, pos: Any = None, use: Any = "conv"
) -> Spec:
    if polyorder >= window_length:
        raise ValueError("polyorder must be less than window_length.")
    if pos is not None and not 0 <= pos < window_length:
        raise ValueError("pos must be nonnegative and less than window_length.")
    if use not in ("conv", "dot"):
        raise ValueError("`use` must be 'conv' or 'dot'")
    return packed((operator.index(window_length),), F64)


@rule("signal.savgol_filter")
def savgol_filter(
    x: Any, window_length: Any, polyorder: Any, deriv: Any = 0, delta: Any = 1.0, axis: Any = -1, mode: Any = "interp",
    cval: Any = 0.0,
) -> Spec:  # fmt: skip
    if mode not in ("mirror", "constant", "nearest", "interp", "wrap"):
        raise ValueError("mode must be 'mirror', 'constant', 'nearest' 'wrap' or 'interp'.")
    x = as_spec(x)
    savgol_coeffs(window_length, polyorder, deriv)
    axis = to_axis(operator.index(axis), x.ndim)
    if mode == "interp" and window_length > x.shape[axis]:
        raise ValueError("If mode is 'interp', window_length must be less than or equal to the size of x.")
    return packed(x.shape, x.dtype if x.dtype.char in "fd" else F64)


# -- splines -----------------------------------------------------------------------------------------------------------


@rule("signal.sepfir2d")
def sepfir2d(input: Any, hrow: Any, hcol: Any) -> Spec:
    if any(h.ndim != 1 or h.size % 2 == 0 for h in (hrow, hcol)):
        raise ValueError("hrow and hcol must be 1 dimensional and odd length")
    dtype = input.dtype
    if dtype.kind == "c":
        dtype = np.dtype("c8" if dtype.char == "F" else "c16")
    else:
        dtype = F32 if dtype.char == "f" or dtype.itemsize <= 2 else F64
    return packed(input.shape, dtype)


def _coefficients(signal: Any) -> Any:
    """As many as samples; of double signals they are double."""
    signal = as_spec(signal)
    return packed(signal.shape, F64) if signal.dtype == F64 else UNKNOWN


@rule("signal.cspline1d")
def cspline1d(signal: Any, lamb: Any = 0.0) -> Any:
    return _coefficients(signal)


@rule("signal.qspline1d")
def qspline1d(signal: Any, lamb: Any = 0.0) -> Any:
    if lamb != 0.0:
        raise ValueError("Smoothing quadratic splines not supported yet.")
    return _coefficients(signal)


@rule("signal.gauss_spline")
def gauss_spline(x: Any, n: Any) -> Any:
    return _coefficients(x)


@rule("signal.qspline2d")
def qspline2d(signal: Any, lamb: Any = 0.0, precision: Any = -1.0) -> Any:
    if lamb > 0:
        raise ValueError("lambda must be negative or zero")
    return UNKNOWN


def _spline_points(cj: Any, newx: Any) -> Spec:
    if cj.size == 0:
        raise ValueError("Spline coefficients 'cj' must not be empty.")
    return as_spec(newx)


@rule("signal.cspline1d_eval")
def cspline1d_eval(cj: Any, newx: Any, dx: Any = 1.0, x0: Any = 0) -> Spec:
    return packed(_spline_points(cj, newx).shape, cj.dtype)


@rule("signal.qspline1d_eval")
def qspline1d_eval(cj: Any, newx: Any, dx: Any = 1.0, x0: Any = 0) -> Spec:
    newx = _spline_points(cj, newx)
    return packed(newx.shape, divided(newx.dtype, np.dtype("i1")))


@rule("signal.spline_filter")
def spline_filter(Iin: Any, lmbda: Any = 5.0) -> Spec:
    if Iin.dtype.char not in "fdFD":
        raise TypeError("Invalid data type for Iin")
    return packed(Iin.shape, Iin.dtype)


# -- waveforms ---------------------------------------------------------------------------------------------------------


def _periodic(t: Any, parameter: Any) -> Spec:
    return packed(broadcast(as_spec(t), as_spec(parameter)), F64)


@rule("signal.sawtooth")
def sawtooth(t: Any, width: Any = 1.0) -> Spec:
    return _periodic(t, width)


@rule("signal.square")
def square(t: Any, duty: Any = 0.5) -> Spec:
    return _periodic(t, duty)


def _wave(t: Any, *parameters: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of a kernel with one type for every parameter: arrays decide it, scalars only among themselves."""
    arrays = [as_spec(p) for p in (t, *parameters) if not is_scalar(p)]
    return broadcast(*arrays), np.result_type(*(a.dtype for a in arrays))


@rule("signal.gausspulse")
def gausspulse(
    t: Any, fc: Any = 1000, bw: Any = 0.5, bwr: Any = -6, tpr: Any = -60, retquad: Any = False, retenv: Any = False
) -> Any:
    if is_scalar(fc) and fc < 0:
        raise ValueError(f"Center frequency (fc={fc:.2f}) must be >=0.")
    if is_scalar(bw) and bw <= 0:
        raise ValueError(f"Fractional bandwidth (bw={bw:.2f}) must be > 0.")
    if bwr >= 0:
        raise ValueError(f"Reference level for bandwidth (bwr={bwr:.2f}) must be < 0 dB")
    spec = as_spec(t)
    result = packed(spec.shape, spec.dtype)
    count = 1 + bool(retquad) + bool(retenv)
    return result if count == 1 else (result,) * count


@rule("signal.chirp")
def chirp(t: Any, f0: Any, t1: Any, f1: Any, method: Any = "linear", phi: Any = 0, vertex_zero: Any = True) -> Spec:
    t = as_spec(t)
    if t.dtype.kind in "iu":
        t = packed(t.shape, F64)
    if method in ("logarithmic", "log", "lo"):
        if is_scalar(f0) and is_scalar(f1) and f0 * f1 <= 0.0:
            raise ValueError("For a logarithmic chirp, f0 and f1 must be nonzero and have the same sign.")
    elif method in ("hyperbolic", "hyp"):
        if (is_scalar(f0) and f0 == 0) or (is_scalar(f1) and f1 == 0):
            raise ValueError("For a hyperbolic chirp, f0 and f1 must be nonzero.")
    elif method not in ("linear", "lin", "li", "quadratic", "quad", "q"):
        raise ValueError(
            f"method must be 'linear', 'quadratic', 'logarithmic', or 'hyperbolic', but a value of {method!r} was given."
        )
    return packed(*_wave(t, f0, t1, f1, phi))


@rule("signal.sweep_poly")
def sweep_poly(t: Any, poly: Any, phi: Any = 0) -> Spec:
    t, poly = as_spec(t), as_spec(poly)
    return packed(t.shape, np.result_type(F64, t.dtype, poly.dtype))


@rule("signal.unit_impulse")
def unit_impulse(shape: Any, idx: Any = None, dtype: Any = float) -> Spec:
    shape = to_shape(shape)
    if idx is None:
        idx = (0,) * len(shape)
    elif isinstance(idx, str) and idx == "mid":
        idx = tuple(n // 2 for n in shape)
    elif not np.iterable(idx):
        idx = (idx,) * len(shape)
    np.ravel_multi_index(tuple(int(i) for i in idx), shape)  # raises for what lies outside
    return packed(shape, dtype)


@rule("signal.max_len_seq")
def max_len_seq(nbits: Any, state: Any = None, length: Any = None, taps: Any = None) -> Any:
    if taps is None and not 2 <= nbits <= 32:
        raise ValueError("nbits must be between 2 and 32 if taps is None")
    length = 2**nbits - 1 if length is None else int(length)
    if length < 0:
        raise ValueError("length must be greater than or equal to 0")
    if state is not None and as_spec(state).shape != (nbits,):
        raise ValueError("state must be a 1-D array of size nbits")
    return packed((length,), np.int8), packed((nbits,), np.int8)


# -- chirp z-transform and peaks -----------------------------------------------------------------------------------------


def transform_size(n: Any, m: Any) -> int:
    """The number of points of a chirp z-transform. Raises ValueError."""
    if n < 1 or not isinstance(n, int | np.integer):
        raise ValueError(f"Invalid number of CZT data points ({n}) specified. n must be positive and integer type.")
    if m is None:
        return int(n)
    if m < 1 or not isinstance(m, int | np.integer):
        raise ValueError(f"Invalid number of CZT output points ({m}) specified. m must be positive and integer type.")
    return int(m)


@rule("signal.czt_points")
def czt_points(m: Any, w: Any = None, a: Any = 1 + 0j) -> Any:
    m = transform_size(1, m)
    return packed((m,), C128) if w is None else UNKNOWN


def _with_axes(x: Any) -> Spec:
    spec: Spec = as_spec(x)
    if not spec.ndim:
        raise IndexError("tuple index out of range")
    return spec


@rule("signal.czt")
def czt(x: Any, m: Any = None, w: Any = None, a: Any = 1 + 0j, *, axis: Any = -1) -> Any:
    x = _with_axes(x)
    axis = normalize_axis(axis, x.ndim)
    return packed(with_axis(x.shape, axis, transform_size(x.shape[axis], m)), C128)


@rule("signal.zoom_fft")
def zoom_fft(x: Any, fn: Any, m: Any = None, *, fs: Any = 2, endpoint: Any = False, axis: Any = -1) -> Any:
    x = _with_axes(x)
    axis = normalize_axis(axis, x.ndim)
    m = transform_size(x.shape[axis], m)
    if as_spec(fn).size not in (1, 2):
        raise ValueError("fn must be a scalar or 2-length sequence")
    return packed(with_axis(x.shape, axis, m), C128)


def _check_order(order: Any) -> None:
    if int(order) != order or order < 1:
        raise ValueError("Order must be an int >= 1")


@rule("signal.argrelextrema")
def argrelextrema(data: Any, comparator: str, axis: Any = 0, order: Any = 1, mode: Any = "clip") -> Any:
    data = as_spec(data)
    _check_order(order)
    if mode == "raise":
        raise NotImplementedError("CuPy `take` doesn't support `mode='raise'`.")
    if mode not in ("clip", "wrap"):
        raise ValueError(f"Invalid mode: {mode!r}")
    normalize_axis(axis, data.ndim)
    return (UNKNOWN,) * max(data.ndim, 1)


@rule("signal.argrelminmax")
def argrelmin(data: Any, axis: Any = 0, order: Any = 1, mode: Any = "clip") -> Any:
    return argrelextrema(data, "less", axis, order, mode)


@rule("signal.peak_prominences")
def peak_prominences(x: Any, peaks: Any, wlen: Any = None) -> Any:
    x, peaks = check_peaks(x, peaks, wlen)
    return packed(peaks.shape, x.dtype), packed(peaks.shape, np.int64), packed(peaks.shape, np.int64)


def check_peaks(x: Any, peaks: Any, wlen: Any) -> tuple[Spec, Spec]:
    """The specs of a signal and of its peaks' indices. Raises ValueError."""
    x, peaks = as_spec(x), as_spec(peaks)
    if x.ndim != 1:
        raise ValueError("`x` must be a 1-D array")
    if peaks.size == 0:
        peaks = packed((0,), np.int64)
    if peaks.ndim != 1:
        raise ValueError("`peaks` must be a 1-D array")
    if wlen is not None and not wlen > 1:
        raise ValueError(f"`wlen` must be larger than 1, was {wlen}")
    return x, peaks


@rule("signal.peak_widths")
def peak_widths(x: Any, peaks: Any, rel_height: Any = 0.5, prominence_data: Any = None, wlen: Any = None) -> Any:
    x, peaks = check_peaks(x, peaks, wlen if prominence_data is None else None)
    if rel_height < 0:
        raise ValueError("`rel_height` must be greater or equal to 0.0")
    if prominence_data is not None:
        if any(part is None for part in prominence_data):
            raise TypeError("prominences, left_bases and right_bases must not be None")
        if any(as_spec(part).shape != peaks.shape for part in prominence_data):
            raise ValueError("arrays in `prominence_data` must have the same shape as `peaks`")
    return (packed(peaks.shape, F64),) * 4


#: Conditions of find_peaks, in the order in which they are applied -> the properties that each adds.
PEAK_PROPERTIES = {
    "plateau_size": ("plateau_sizes", "left_edges", "right_edges"),
    "height": ("peak_heights",),
    "threshold": ("left_thresholds", "right_thresholds"),
    "prominence": ("prominences", "left_bases", "right_bases"),
    "width": ("prominences", "left_bases", "right_bases", "widths", "width_heights", "left_ips", "right_ips"),
}


def peak_properties(given: dict[str, Any]) -> tuple[str, ...]:
    """Names of the properties that find_peaks returns for these conditions, in CuPy's order."""
    names: dict[str, None] = {}
    for condition, added in PEAK_PROPERTIES.items():
        if given.get(condition) is not None:
            names.update(dict.fromkeys(added))
    return tuple(names)


@rule("signal.find_peaks")
def find_peaks(
    x: Any, height: Any = None, threshold: Any = None, distance: Any = None, prominence: Any = None, width: Any = None,
    wlen: Any = None, rel_height: Any = 0.5, plateau_size: Any = None,
) -> Any:  # fmt: skip
    if as_spec(x).ndim != 1:
        raise ValueError("`x` must be a 1-D array")
    if distance is not None and distance < 1:
        raise ValueError("`distance` must be greater or equal to 1")
    if (prominence is not None or width is not None) and wlen is not None and not wlen > 1:
        raise ValueError(f"`wlen` must be larger than 1, was {wlen}")
    given = {
        "plateau_size": plateau_size,
        "height": height,
        "threshold": threshold,
        "prominence": prominence,
        "width": width,
    }
    return (UNKNOWN,) * (1 + len(peak_properties(given)))


# -- wavelets ----------------------------------------------------------------------------------------------------------


@rule("signal.qmf")
def qmf(hk: Any) -> Spec:
    hk = as_spec(hk)
    return packed((hk.shape[0],), hk.dtype)


@rule("signal.morlet")
def morlet(M: Any, *parameters: Any, **named: Any) -> Spec:
    return packed((int(M),), C128)


@rule("signal.ricker")
def ricker(points: Any, a: Any) -> Spec:
    return packed((int(points),), F64)
