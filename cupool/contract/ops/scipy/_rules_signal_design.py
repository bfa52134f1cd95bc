"""Rules of filter design, of conversions between forms of filters and of linear systems.

CuPy's functions here look at their data: their rows wait, and what the device refuses is raised at the call. So these rules say mostly
how many results there are.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from cupool.contract.ops import row as row_of
from cupool.contract.ops._row import UNKNOWN
from cupool.contract.ops.rules._arrays import as_spec, packed
from cupool.contract.ops.rules.common import rule
from cupool.contract.ops.scipy._rules_signal import F64
from cupool.contract.spec import Spec

#: Form of a filter -> number of arrays.
FORMS = {"ba": 2, "zpk": 3, "sos": 1}


def unknown(count: int) -> Any:
    """As many results that only the data tells."""
    return UNKNOWN if count == 1 else (UNKNOWN,) * count


@rule("signal.filter_form")
def filter_form(*parameters: Any, output: Any = "ba", **named: Any) -> Any:
    """A designed filter in the form `output`."""
    form = output.lower() if isinstance(output, str) else output
    if form not in FORMS:
        raise ValueError(f"'{output}' is not a valid output form.")
    return unknown(FORMS[form])


@rule("signal.flagged")
def flagged(name: str, args: Any, options: Any) -> Any:
    """The results of the named function, and whether it warned."""
    row = row_of(f"cupyx.scipy.signal.{name}")
    found = unknown(int(row.outs)) if row.infer is None else row.infer(*args, **options)
    return (*(found if isinstance(found, tuple) else (found,)), packed((), np.int8))


@rule("signal.cont2discrete")
def cont2discrete(system: Any, dt: Any, method: Any = "zoh", alpha: Any = None) -> Any:
    """The arrays of a system in the form in which it came."""
    count = len(system)
    if count not in (2, 3, 4):
        raise ValueError(
            "First argument must either be a tuple of 2 (tf), 3 (zpk), or 4 (ss) arrays, or an instance of LTI."
        )
    if method == "gbt" and alpha is None:
        raise ValueError("Alpha parameter must be specified for the generalized bilinear transform (gbt) method")
    if method == "gbt" and not 0 <= alpha <= 1:
        raise ValueError("Alpha parameter must be within the interval [0,1] for the gbt method")
    if method not in ("gbt", "bilinear", "tustin", "euler", "forward_diff", "backward_diff", "zoh", "foh", "impulse"):
        raise ValueError(f"Unknown transformation method '{method}'")
    return unknown(count)


@rule("signal.firwin")
def firwin(
    numtaps: Any,
    cutoff: Any,
    width: Any = None,
    window: Any = "hamming",
    pass_zero: Any = True,
    scale: Any = True,
    fs: Any = 2,
) -> Spec:
    cutoff = as_spec(cutoff)
    if cutoff.ndim > 1:
        raise ValueError("The cutoff argument must be at most one-dimensional.")
    if cutoff.size == 0:
        raise ValueError("At least one cutoff frequency must be given.")
    if isinstance(pass_zero, float):
        raise TypeError("can't multiply sequence by non-int of type 'float'")
    if isinstance(pass_zero, str):
        if pass_zero not in ("bandpass", "lowpass", "highpass", "bandstop"):
            raise ValueError(
                f'pass_zero must be True, False, "bandpass", "lowpass", "highpass", or "bandstop", got {pass_zero}'
            )
        if pass_zero in ("lowpass", "highpass") and cutoff.size != 1:
            raise ValueError(f'cutoff must have one element if pass_zero=="{pass_zero}", got {cutoff.shape}')
        if pass_zero in ("bandpass", "bandstop") and cutoff.size <= 1:
            raise ValueError(f'cutoff must have at least two elements if pass_zero=="{pass_zero}", got {cutoff.shape}')
    return packed((operator.index(numtaps),), F64)


@rule("signal.firwin2")
def firwin2(
    numtaps: Any, freq: Any, gain: Any, nfreqs: Any = None, window: Any = "hamming", nyq: Any = None, antisymmetric: Any = False,
    fs: Any = 2.0,
) -> Any:  # fmt: skip
    if as_spec(freq).shape[0] != as_spec(gain).shape[0]:
        raise ValueError("freq and gain must be of same length.")
    if nfreqs is not None and numtaps >= nfreqs:
        raise ValueError(
            f"ntaps must be less than nfreqs, but firwin2 was called with ntaps={numtaps} and nfreqs={nfreqs}"
        )
    return UNKNOWN


@rule("signal.minimum_phase")
def minimum_phase(h: Any, method: Any = "homomorphic", n_fft: Any = None, half: Any = True) -> Any:
    if h.dtype.kind == "c":
        raise ValueError("Complex filters not supported")
    if h.ndim != 1 or h.size <= 2:
        raise ValueError("h must be 1-D and at least 2 samples long")
    if method not in ("homomorphic", "hilbert"):
        raise ValueError(f'method must be "homomorphic" or "hilbert", got {method!r}')
    if n_fft is not None and int(n_fft) < h.size:
        raise ValueError(f"n_fft must be at least len(h)=={h.size}")
    return UNKNOWN


@rule("signal.iircomb")
def iircomb(w0: Any, Q: Any, ftype: Any = "notch", fs: Any = 2.0, *, pass_zero: Any = False) -> Any:
    if any(isinstance(value, Spec) for value in (w0, Q, fs)):
        return unknown(2)
    w0, Q, fs = float(w0), float(Q), float(fs)
    if not 0 < w0 < fs / 2:
        raise ValueError(f"w0 must be between 0 and {fs / 2} (nyquist), but given {w0}.")
    if ftype.lower() not in ("notch", "peak"):
        raise ValueError("ftype must be either notch or peak.")
    n = round(fs / w0)
    if abs(w0 - fs / n) / fs > 1e-14:
        raise ValueError("fs must be divisible by w0.")
    return packed((n + 1,), F64), packed((n + 1,), F64)


@rule("signal.second_order")
def second_order(w0: Any, Q: Any, fs: Any = 2.0) -> Any:
    """iirnotch and iirpeak."""
    if not any(isinstance(value, Spec) for value in (w0, Q, fs)):
        w0, Q = float(w0), float(Q)
        if not 0.0 <= 2 * w0 / fs <= 1.0:
            raise ValueError("w0 should be such that 0 < w0 < 1")
    return packed((3,), F64), packed((3,), F64)


@rule("signal.gammatone")
def gammatone(freq: Any, ftype: Any, order: Any = None, numtaps: Any = None, fs: Any = None) -> Any:
    if any(isinstance(value, Spec) for value in (freq, fs)):
        return unknown(2)
    freq, fs = float(freq), 2.0 if fs is None else float(fs)
    if not 0 < freq < fs / 2:
        raise ValueError(f"The frequency must be between 0 and {fs / 2} (nyquist), but given {freq}.")
    ftype = ftype.lower()
    if ftype not in ("fir", "iir"):
        raise ValueError("ftype must be either fir or iir.")
    if ftype == "iir":
        return packed((5,), F64), packed((9,), F64)
    order = 4 if order is None else operator.index(order)
    numtaps = max(int(fs * 0.015), 15) if numtaps is None else operator.index(numtaps)
    if not 0 < order <= 24:
        raise ValueError("Invalid order: order must be > 0 and <= 24.")
    return packed((numtaps,), F64), packed((1,), F64)


def _order(N: Any) -> int:
    if abs(int(N)) != N:
        raise ValueError("Filter order must be a nonnegative integer")
    return int(N)


@rule("signal.prototype")
def prototype(N: Any, *ripples: Any) -> Any:
    """Zeros, poles and gain of an analogue low-pass filter of order `N`."""
    _order(N)
    return unknown(3)


_KINDS = ("ba", "zp")


@rule("signal.findfreqs")
def findfreqs(num: Any, den: Any, N: Any, kind: Any = "ba") -> Any:
    if kind not in _KINDS:
        raise ValueError("input must be one of {'ba', 'zp'}")
    return UNKNOWN


def _is_double(*operands: Any) -> bool:
    """Whether every operand is one-dimensional (or a number) and computed in double precision."""
    specs = [as_spec(operand) for operand in operands]
    return all(spec.ndim <= 1 and spec.dtype.char in "?bBhHiIlLqQdD" for spec in specs)


def _response(points: Any, default: int, *operands: Any) -> Any:
    """(frequencies, complex response) at a number of points, or at the points."""
    if not _is_double(*operands):
        return unknown(2)
    if points is None or isinstance(points, int):
        n = default if points is None else points
        return packed((n,), F64), packed((n,), np.complex128)
    spec = as_spec(points)
    if spec.ndim == 1 and spec.dtype == F64:
        return packed(spec.shape, F64), packed(spec.shape, np.complex128)
    return unknown(2)


@rule("signal.freqz")
def freqz(
    b: Any,
    a: Any = 1,
    worN: Any = 512,
    whole: Any = False,
    plot: Any = None,
    fs: Any = 6.283185307179586,
    include_nyquist: Any = False,
) -> Any:
    if isinstance(worN, int) and worN < 0:
        raise ValueError(f"worN must be nonnegative, got {worN}")
    return _response(worN, 512, b, a)


@rule("signal.freqs")
def freqs(b: Any, a: Any, worN: Any = 200, plot: Any = None) -> Any:
    return _response(worN, 200, b, a)


@rule("signal.freqz_zpk")
def freqz_zpk(z: Any, p: Any, k: Any, worN: Any = 512, whole: Any = False, fs: Any = 6.283185307179586) -> Any:
    return _response(worN, 512, z, p, k)


@rule("signal.freqs_zpk")
def freqs_zpk(z: Any, p: Any, k: Any, worN: Any = 200) -> Any:
    if as_spec(k).size > 1:
        raise ValueError("k must be a single scalar gain")
    return _response(worN, 200, z, p, k)


@rule("signal.unique_roots")
def unique_roots(p: Any, tol: Any = 1e-3, rtype: Any = "min") -> Any:
    check_rtype(rtype)
    return unknown(2)


def check_rtype(rtype: Any) -> None:
    """Raises ValueError for another way to unite close roots."""
    if rtype not in ("max", "maximum", "min", "minimum", "avg", "mean"):
        raise ValueError("`rtype` must be one of {'max', 'maximum', 'min', 'minimum', 'avg', 'mean'}")


def fractions(count: int) -> Any:
    """Partial fractions: `count` results."""

    @rule(f"signal.fractions{count}")
    def infer(*operands: Any, tol: Any = 1e-3, rtype: Any = "avg") -> Any:
        check_rtype(rtype)
        return unknown(count)

    return infer


@rule("signal.zpk2sos")
def zpk2sos(z: Any, p: Any, k: Any, pairing: Any = None, *, analog: Any = False) -> Any:
    check_pairing(pairing, analog)
    return UNKNOWN


@rule("signal.tf2sos")
def tf2sos(b: Any, a: Any, pairing: Any = None, *, analog: Any = False) -> Any:
    check_pairing(pairing, analog)
    return UNKNOWN


def check_pairing(pairing: Any, analog: Any) -> None:
    """Raises ValueError for another way to pair poles and zeros."""
    pairings = ["nearest", "keep_odd", "minimal"]
    if pairing is None:
        return
    if pairing not in pairings:
        raise ValueError(f"pairing must be one of {pairings}, not {pairing}")
    if analog and pairing != "minimal":
        raise ValueError('for analog zpk2sos conversion, pairing must be "minimal"')


@rule("signal.zpk2tf")
def zpk2tf(z: Any, p: Any, k: Any) -> Any:
    if as_spec(z).ndim > 1:
        raise NotImplementedError(f"zpk2tf: z.ndim = {as_spec(z).ndim}.")
    return unknown(2)


@rule("signal.place_poles")
def place_poles(A: Any, B: Any, poles: Any, method: Any = "YT", rtol: Any = 1e-3, maxiter: Any = 30) -> Any:
    a, b, poles = as_spec(A), as_spec(B), as_spec(poles)
    if poles.ndim > 1:
        raise ValueError("Poles must be a 1D array like.")
    if a.ndim > 2:
        raise ValueError("A must be a 2D array/matrix.")
    if b.ndim > 2:
        raise ValueError("B must be a 2D array/matrix")
    if a.shape[0] != a.shape[1]:
        raise ValueError("A must be square")
    if poles.size > a.shape[0]:
        raise ValueError(f"maximum number of poles is {a.shape[0]} but you asked for {poles.size}")
    if poles.size < a.shape[0]:
        raise ValueError(f"number of poles is {poles.size} but you should provide {a.shape[0]}")
    if method not in ("KNV0", "YT"):
        raise ValueError("The method keyword must be one of 'YT' or 'KNV0'")
    if maxiter < 1:
        raise ValueError("maxiter must be at least equal to 1")
    if rtol > 1:
        raise ValueError("rtol can not be greater than 1")
    return unknown(6)


@rule("signal.per_input")
def per_input(A: Any, B: Any, C: Any, D: Any, dt: Any, x0: Any = None, t: Any = None, n: Any = None) -> Any:
    """Times, then the outputs for each input."""
    return unknown(1 + as_spec(B).shape[1])
