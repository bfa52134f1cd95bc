"""Rules of `cupyx.scipy.signal.windows` and of spectral analysis."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from cupool.contract.ops._row import UNKNOWN
from cupool.contract.ops.rules._arrays import as_spec, packed
from cupool.contract.ops.rules.common import normalize_axis, rule
from cupool.contract.ops.rules.fft import complex_dtype, real_dtype
from cupool.contract.ops.scipy._rules_signal import F64, with_axis
from cupool.contract.spec import Spec, spec_of

# -- windows -----------------------------------------------------------------------------------------------------------


@rule("signal.window")
def window(M: Any, *parameters: Any, **named: Any) -> Any:
    """Any window: `M` points of float64."""
    if int(M) != M or M < 0:
        raise ValueError("Window length M must be a non-negative integer")
    return packed((int(M),), F64)


@rule("signal.exponential")
def exponential(M: Any, center: Any = None, tau: Any = 1.0, sym: Any = True) -> Any:
    if sym and center is not None:
        raise ValueError("If sym==True, center must be None.")
    return window(M)


@rule("signal.kaiser_bessel_derived")
def kaiser_bessel_derived(M: Any, beta: Any, sym: Any = True) -> Any:
    if not sym:
        raise ValueError("Kaiser-Bessel Derived windows are only defined for symmetric shapes")
    if M < 1:
        return packed((0,), F64)
    if M % 2:
        raise ValueError("Kaiser-Bessel Derived windows are only defined for even number of points")
    return window(M)


#: Names that get_window takes -> (function of `windows`, whether it needs parameters).
WINDOW_NAMES: dict[str, tuple[str, bool]] = {}
for _function, _needs, _names in (
    ("barthann", False, "barthann brthan bth"),
    ("bartlett", False, "bartlett bart brt"),
    ("blackman", False, "blackman black blk"),
    ("blackmanharris", False, "blackmanharris blackharr bkh"),
    ("bohman", False, "bohman bman bmn"),
    ("boxcar", False, "boxcar box ones rect rectangular"),
    ("chebwin", True, "chebwin cheb"),
    ("cosine", False, "cosine halfcosine"),
    ("exponential", True, "exponential poisson"),
    ("flattop", False, "flattop flat flt"),
    ("gaussian", True, "gaussian gauss gss"),
    ("general_cosine", True, "general_cosine general-cosine"),
    ("general_gaussian", True, "general_gaussian general-gaussian general-gauss general_gauss ggs"),
    ("general_hamming", True, "general_hamming general-hamming"),
    ("hamming", False, "hamming hamm ham"),
    ("hann", False, "hanning hann han"),
    ("kaiser", True, "kaiser ksr"),
    ("kaiser_bessel_derived", True, "kaiser-bessel-derived kbd"),
    ("lanczos", False, "lanczos sinc"),
    ("nuttall", False, "nuttall nutl nut"),
    ("parzen", False, "parzen parz par"),
    ("triang", False, "triangle triang tri"),
    ("tukey", True, "tukey tuk"),
):
    WINDOW_NAMES.update({_name.replace("-", " "): (_function, _needs) for _name in _names.split()})


def named_window(given: Any) -> tuple[str, tuple[Any, ...]]:
    """(function of `windows`, its parameters) of what get_window takes. Raises ValueError."""
    try:
        return "kaiser", (float(given),)
    except (TypeError, ValueError):
        pass
    parameters: tuple[Any, ...] = ()
    if isinstance(given, tuple):
        name, parameters = given[0], given[1:]
    elif isinstance(given, str):
        name = given
        if WINDOW_NAMES.get(name, ("", False))[1]:
            raise ValueError(f"The '{name}' window needs one or more parameters -- pass a tuple.")
    else:
        raise ValueError(f"{type(given)} as window type is not supported.")
    found = WINDOW_NAMES.get(name) if isinstance(name, str) else None
    if found is None:
        raise ValueError("Unknown window type.")
    return found[0], parameters


@rule("signal.get_window")
def get_window(window: Any, Nx: Any, fftbins: Any = True) -> Any:
    function, parameters = named_window(window)
    if function == "kaiser_bessel_derived":
        return kaiser_bessel_derived(Nx, 0, not fftbins)
    if function == "exponential" and parameters and parameters[0] is not None and not fftbins:
        raise ValueError("If sym==True, center must be None.")
    return _any_window(Nx)


_any_window = window

# -- spectra -----------------------------------------------------------------------------------------------------------


def segment(window: Any, nperseg: Any, length: int) -> int:
    """The length of a segment. Raises ValueError for a window that does not fit."""
    if isinstance(window, str | tuple):
        named_window(window)
        return min(256 if nperseg is None else nperseg, length)
    spec = as_spec(window)
    if spec.ndim != 1:
        raise ValueError("window must be 1-D")
    if length < spec.shape[0]:
        raise ValueError("window is longer than input signal")
    if nperseg is not None and nperseg != spec.shape[0]:
        raise ValueError("value specified for nperseg is different from length of window")
    return int(spec.shape[0])


def _segments(length: int, window: Any, nperseg: Any, noverlap: Any, nfft: Any) -> tuple[int, int, int]:
    """(samples per segment, overlap, points of the transform)."""
    if nperseg is not None:
        nperseg = int(nperseg)
        if nperseg < 1:
            raise ValueError("nperseg must be a positive integer")
    nperseg = segment(window, nperseg, length)
    if nfft is None:
        nfft = nperseg
    elif nfft < nperseg:
        raise ValueError("nfft must be greater than or equal to nperseg.")
    noverlap = nperseg // 2 if noverlap is None else int(noverlap)
    if noverlap >= nperseg:
        raise ValueError("noverlap must be less than nperseg.")
    return nperseg, noverlap, int(nfft)


def _check(scaling: Any, detrend: Any) -> None:
    if scaling not in ("density", "spectrum"):
        raise ValueError(f"Unknown scaling: {scaling!r}")
    if detrend and detrend not in ("linear", "l", "constant", "c"):
        raise ValueError("Trend type must be 'linear' or 'constant'.")


def _points(nfft: int, onesided: Any, *operands: Spec) -> int:
    is_complex = any(x.dtype.kind == "c" for x in operands)
    return nfft // 2 + 1 if onesided and not is_complex else nfft


def _real(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(dtype.char.lower())


@rule("signal.csd")
def csd(
    x: Any, y: Any, fs: Any = 1.0, window: Any = "hann", nperseg: Any = None, noverlap: Any = None, nfft: Any = None,
    detrend: Any = "constant", return_onesided: Any = True, scaling: Any = "density", axis: Any = -1, average: Any = "mean",
) -> Any:  # fmt: skip
    x, y = as_spec(x), as_spec(y)
    axis = int(axis)
    for operand in (x, y):
        normalize_axis(axis, operand.ndim)
    outer = []
    for operand in (x, y):
        rest = list(operand.shape)
        rest.pop(axis)
        outer.append(rest)
    try:
        lead = np.broadcast_shapes(*(tuple(rest) for rest in outer))
    except ValueError:
        raise ValueError("x and y cannot be broadcast together.") from None
    if x.size == 0 or y.size == 0:
        return UNKNOWN, UNKNOWN
    length = max(x.shape[axis], y.shape[axis])
    nperseg, noverlap, nfft = _segments(length, window, nperseg, noverlap, nfft)
    _check(scaling, detrend)
    if average not in ("mean", "median") and (length - noverlap) // (nperseg - noverlap) > 1:
        raise ValueError(f'average must be "median" or "mean", got {average}')
    points = _points(nfft, return_onesided, x, y)
    ndim = len(lead) + 1
    at = axis if axis >= 0 else ndim + axis
    shape = (*lead[:at], points, *lead[at:])
    return packed((points,), F64), packed(shape, np.result_type(x.dtype, y.dtype, np.complex64))


@rule("signal.welch")
def welch(x: Any, **options: Any) -> Any:
    x = as_spec(x)
    if x.size == 0:
        return packed(x.shape, F64), packed(x.shape, F64)
    freqs, power = csd(x, x, **options)
    return freqs, packed(power.shape, _real(power.dtype))


@rule("signal.coherence")
def coherence(x: Any, y: Any, **options: Any) -> Any:
    freqs, power = csd(x, y, **options)
    if power == UNKNOWN:
        return freqs, power
    return freqs, packed(power.shape, _real(power.dtype))


@rule("signal.periodogram")
def periodogram(x: Any, *, nfft: Any = None, window: Any = "boxcar", axis: Any = -1, **options: Any) -> Any:
    x = as_spec(x)
    if x.size == 0:
        return packed(x.shape, F64), packed(x.shape, F64)
    length = x.shape[axis]
    nperseg = length
    if nfft is not None and nfft < length:
        x, nperseg, nfft = packed(with_axis(x.shape, axis, nfft), x.dtype), nfft, None
    elif nfft == length:
        nfft = None
    window = "boxcar" if window is None else window
    return welch(x, window=window, nperseg=nperseg, noverlap=0, nfft=nfft, axis=axis, **options)


#: How stft's input may be extended at its ends.
BOUNDARIES = ("even", "odd", "constant", "zeros", None)


def _in_time(
    x: Spec, window: Any, nperseg: Any, noverlap: Any, nfft: Any, return_onesided: Any, axis: Any, boundary: Any = None,
    padded: Any = False,
) -> Any:  # fmt: skip
    """(specs of frequencies and times, shape of the transform) of successive segments."""
    axis = int(axis)
    normalize_axis(axis, x.ndim)
    length = x.shape[axis]
    nperseg, noverlap, nfft = _segments(length, window, nperseg, noverlap, nfft)
    step = nperseg - noverlap
    if boundary is not None:
        if nperseg // 2 > length - 1 and boundary != "zeros":
            return None
        length += 2 * (nperseg // 2)
    if padded:
        length += -(length - nperseg) % step % nperseg
    segments = length if nperseg == 1 and noverlap == 0 else (length - noverlap) // step
    points = _points(nfft, return_onesided, x)
    return packed((points,), F64), packed((segments,), F64), (*with_axis(x.shape, axis, points), segments)


def _rolled(shape: tuple[int, ...], axis: int, dtype: np.dtype[Any]) -> Spec:
    """Transforms of segments are made with frequencies last, and CuPy moves that axis without a copy."""
    at = axis - 1 if axis < 0 else axis
    rest = list(shape)
    points = rest.pop(at)
    made = spec_of((*rest, points), dtype)
    moved = np.moveaxis(made.shadow, -1, at)
    return spec_of(moved.shape, dtype, moved.strides)


@rule("signal.stft")
def stft(
    x: Any, fs: Any = 1.0, window: Any = "hann", nperseg: Any = 256, noverlap: Any = None, nfft: Any = None, detrend: Any = False,
    return_onesided: Any = True, boundary: Any = "zeros", padded: Any = True, axis: Any = -1, scaling: Any = "spectrum",
) -> Any:  # fmt: skip
    x = as_spec(x)
    if scaling not in ("psd", "spectrum"):
        raise ValueError(f"Parameter scaling={scaling!r} not in ['spectrum', 'psd']!")
    if boundary not in BOUNDARIES:
        raise ValueError(f"Unknown boundary option '{boundary}', must be one of: {list(BOUNDARIES)}")
    if x.size == 0:
        return (packed(x.shape, F64),) * 3
    _check("density", detrend)
    known = _in_time(x, window, nperseg, noverlap, nfft, return_onesided, axis, boundary, padded)
    if known is None:
        return (UNKNOWN,) * 3
    freqs, times, shape = known
    return freqs, times, _rolled(shape, int(axis), np.result_type(x.dtype, np.complex64))


@rule("signal.spectrogram")
def spectrogram(
    x: Any, fs: Any = 1.0, window: Any = ("tukey", 0.25), nperseg: Any = None, noverlap: Any = None, nfft: Any = None,
    detrend: Any = "constant", return_onesided: Any = True, scaling: Any = "density", axis: Any = -1, mode: Any = "psd",
) -> Any:  # fmt: skip
    modes = ["psd", "complex", "magnitude", "angle", "phase"]
    if mode not in modes:
        raise ValueError(f"unknown value for mode {mode}, must be one of {modes}")
    x = as_spec(x)
    normalize_axis(int(axis), x.ndim)
    if x.size == 0:
        return (packed(x.shape, F64),) * 3
    _check(scaling, detrend)
    nperseg = segment(window, nperseg, x.shape[axis])
    noverlap = nperseg // 8 if noverlap is None else noverlap
    freqs, times, shape = _in_time(x, window, nperseg, noverlap, nfft, return_onesided, axis)
    dtype = np.result_type(x.dtype, np.complex64)
    return freqs, times, packed(shape, dtype if mode == "complex" else _real(dtype))


@rule("signal.istft")
def istft(
    Zxx: Any, fs: Any = 1.0, window: Any = "hann", nperseg: Any = None, noverlap: Any = None, nfft: Any = None,
    input_onesided: Any = True, boundary: Any = True, time_axis: Any = -1, freq_axis: Any = -2, scaling: Any = "spectrum",
) -> Any:  # fmt: skip
    z = as_spec(Zxx)
    freq_axis, time_axis = int(freq_axis), int(time_axis)
    if z.ndim < 2:
        raise ValueError("Input stft must be at least 2d!")
    if freq_axis == time_axis:
        raise ValueError("Must specify differing time and frequency axes!")
    default = 2 * (z.shape[freq_axis] - 1) if input_onesided else z.shape[freq_axis]
    nperseg = default if nperseg is None else int(nperseg)
    if nperseg < 1:
        raise ValueError("nperseg must be a positive integer")
    if nfft is not None and nfft < nperseg:
        raise ValueError("nfft must be greater than or equal to nperseg.")
    noverlap = nperseg // 2 if noverlap is None else int(noverlap)
    if noverlap >= nperseg:
        raise ValueError("noverlap must be less than nperseg.")
    if isinstance(window, str | tuple):
        named_window(window)
    else:
        given = as_spec(window)
        if given.ndim != 1:
            raise ValueError("window must be 1-D")
        if given.shape[0] != nperseg:
            raise ValueError(f"window must have length of {nperseg}")
    if scaling not in ("psd", "spectrum"):
        raise ValueError(f"Parameter scaling={scaling!r} not in ['spectrum', 'psd']!")
    return UNKNOWN, UNKNOWN


@rule("signal.lombscargle")
def lombscargle(x: Any, y: Any, freqs: Any, precenter: Any = False, normalize: Any = False) -> Spec:
    x, y, freqs = as_spec(x), as_spec(y), as_spec(freqs)
    for operand in (x, y, freqs):
        assert operand.ndim == 1, "x, y and freqs must be 1-D arrays"
    if x.shape[0] != y.shape[0]:
        raise ValueError("Input arrays do not have the same size.")
    return packed(freqs.shape, F64)


@rule("signal.vectorstrength")
def vectorstrength(events: Any, period: Any) -> Any:
    events, period = as_spec(events), as_spec(period)
    if events.ndim > 1:
        raise ValueError("events cannot have dimensions more than 1")
    if period.ndim > 1:
        raise ValueError("period cannot have dimensions more than 1")
    return UNKNOWN, UNKNOWN


def overlap_check(least: bool) -> Any:
    """check_COLA and check_NOLA."""

    @rule(f"signal.check_{'NOLA' if least else 'COLA'}")
    def infer(window: Any, nperseg: Any, noverlap: Any, tol: Any = 1e-10) -> Spec:
        nperseg = int(nperseg)
        if nperseg < 1:
            raise ValueError("nperseg must be a positive integer")
        if noverlap >= nperseg:
            raise ValueError("noverlap must be less than nperseg.")
        if least and noverlap < 0:
            raise ValueError("noverlap must be a nonnegative integer")
        if isinstance(window, str | tuple):
            named_window(window)
        else:
            given = as_spec(window)
            if given.ndim != 1:
                raise ValueError("window must be 1-D")
            if given.shape[0] != nperseg:
                raise ValueError("window must have length of nperseg")
        return packed((), np.bool_)

    return infer


# -- cupyx.signal ------------------------------------------------------------------------------------------------------


def higher_order(ndim: int) -> Any:
    """convolve1d2o and convolve1d3o: the kernel has one dimension more than the order's name says."""

    @rule(f"signal.convolve1d{ndim}o")
    def infer(in1: Any, in2: Any, mode: Any = "valid", method: Any = "direct") -> Spec:
        if in1.ndim != 1:
            raise ValueError("in1 should have one dimension")
        if in2.ndim != ndim:
            raise ValueError(f"in2 should have {('two', 'three')[ndim - 2]} dimensions")
        if mode in ("same", "full"):
            raise NotImplementedError(f"Mode == {mode} not implemented")
        if mode != "valid":
            raise AssertionError(f"mode must be 'valid', not {mode!r}")
        if method != "direct":
            raise NotImplementedError("Only Direct method implemented")
        length = in1.shape[0] - max(in2.shape) + 1
        if length < 0:
            raise ValueError("Negative dimensions are not allowed")
        return packed((length,), np.result_type(in1.dtype, in2.dtype))

    return infer


@rule("signal.freq_shift")
def freq_shift(x: Any, freq: Any, fs: Any) -> Spec:
    x = as_spec(x)
    if not np.can_cast(x.dtype, F64, "same_kind"):
        raise TypeError(f"Cannot cast array data from {x.dtype!r} to {F64!r} according to the rule 'same_kind'")
    return packed(x.shape, np.complex128)


@rule("signal.channelize_poly")
def channelize_poly(x: Any, h: Any, n_chans: Any) -> Spec:
    dtype = np.promote_types(x.dtype, h.dtype)
    h = as_spec(h)
    taps = int(h.shape[0] / n_chans)
    if taps > 32:
        raise NotImplementedError(
            f"The number of calculated taps ({taps}) in each filter is currently capped at 32. "
            "Please reduce filter length or number of channels"
        )
    if dtype.char not in "fdFD":
        raise NotImplementedError(f"Data type ({dtype}) not allowed.")
    return packed((n_chans, int(x.shape[0] / n_chans)), complex_dtype(dtype))


@rule("signal.cepstrum")
def cepstrum(x: Any, n: Any = None, axis: Any = -1) -> Any:
    x = as_spec(x)
    axis = normalize_axis(axis, x.ndim)
    return packed(with_axis(x.shape, axis, x.shape[axis] if n is None else operator.index(n)), real_dtype(x.dtype))


@rule("signal.complex_cepstrum")
def complex_cepstrum(x: Any, n: Any = None, axis: Any = -1) -> Any:
    result = cepstrum(x, n, axis)
    return result, result


@rule("signal.inverse_complex_cepstrum")
def inverse_complex_cepstrum(ceps: Any, ndelay: Any) -> Any:
    return cepstrum(ceps)


@rule("signal.cupyx_minimum_phase")
def minimum_phase(x: Any, n: Any = None) -> Any:
    x = as_spec(x)
    return cepstrum(x, x.shape[0] if n is None else n)


def _pulse(x: Spec, window: Any) -> None:
    if isinstance(window, Spec):
        if window.shape != (x.shape[-1],):
            raise ValueError("window must have the same length as data")
    elif window is not None:
        named_window(window)


@rule("signal.pulse_compression")
def pulse_compression(x: Any, template: Any, normalize: Any = False, window: Any = None, nfft: Any = None) -> Any:
    if x.ndim != 2:
        raise ValueError(f"expected 2 dimensions, got {x.ndim}")
    _pulse(template, window)
    return UNKNOWN


@rule("signal.pulse_doppler")
def pulse_doppler(x: Any, window: Any = None, nfft: Any = None) -> Any:
    if x.ndim != 2:
        raise ValueError(f"expected 2 dimensions, got {x.ndim}")
    _pulse(packed(x.shape[::-1], x.dtype), window)
    return UNKNOWN


@rule("signal.ca_cfar")
def ca_cfar(array: Any, guard_cells: Any, reference_cells: Any, pfa: Any = 1e-3) -> Any:
    if array.ndim > 2:
        raise TypeError("Only 1D and 2D arrays are currently supported.")
    if array.ndim == 1 and array.shape[0] <= 2 * guard_cells + 2 * reference_cells:
        raise ValueError("Array too small for given parameters")
    if array.ndim == 2:
        if len(guard_cells) != 2 or len(reference_cells) != 2:
            raise TypeError("Guard and reference cells must be two dimensional.")
        for n, guard, reference, which in zip(
            array.shape, guard_cells, reference_cells, ("first", "second"), strict=True
        ):
            if n - 2 * guard - 2 * reference <= 0:
                raise ValueError(f"Array {which} dimension too small for given parameters.")
    return packed(array.shape, np.float32), packed(array.shape, np.bool_)


@rule("signal.mvdr")
def mvdr(x: Any, sv: Any, calc_cov: Any = True) -> Any:
    if x.shape[0] > x.shape[1]:
        raise ValueError("Matrix has more sensors than samples. Consider transposing it.")
    if x.shape[0] != sv.shape[0]:
        raise ValueError("Steering Vector and input data do not align")
    return UNKNOWN
