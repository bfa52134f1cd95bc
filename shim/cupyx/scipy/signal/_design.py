"""Filter design by hand: what is arithmetic of numbers, what warns, and responses that are handed to a plotting function."""

from __future__ import annotations

import math
from typing import Any

from ...._generated import cupyx_scipy_signal as _generated
from ._flagged import flagged

# -- Kaiser's formulas -------------------------------------------------------------------------------------------------


def kaiser_beta(a: Any) -> Any:
    """The parameter of a Kaiser window for an attenuation of `a` dB."""
    if a > 50:
        return 0.1102 * (a - 8.7)
    if a > 21:
        return 0.5842 * (a - 21) ** 0.4 + 0.07886 * (a - 21)
    return 0.0


def kaiser_atten(numtaps: Any, width: Any) -> Any:
    """The attenuation in dB of a Kaiser filter with `numtaps` taps and a transition of `width` (1 is the Nyquist frequency)."""
    return 2.285 * (numtaps - 1) * math.pi * width + 7.95


def kaiserord(ripple: Any, width: Any) -> tuple[int, Any]:
    """(taps, beta) of a Kaiser window filter with `ripple` dB and a transition of `width` (1 is the Nyquist frequency)."""
    attenuation = abs(ripple)
    if attenuation < 8:
        raise ValueError(f"Requested maximum ripple attenuation {attenuation:f} is too small for the Kaiser formula.")
    taps = (attenuation - 7.95) / 2.285 / (math.pi * width) + 1
    return math.ceil(taps), kaiser_beta(attenuation)


# -- gains that are numbers ------------------------------------------------------------------------------------------------


def buttap(N: Any) -> Any:
    """As `cupyx.scipy.signal.buttap`."""
    z, p, _ = _generated.buttap(N)
    return z, p, 1


def cheb1ap(N: Any, rp: Any) -> Any:
    """As `cupyx.scipy.signal.cheb1ap`."""
    z, p, k = _generated.cheb1ap(N, rp)
    return z, p, 10 ** (-rp / 20) if N == 0 else k


def cheb2ap(N: Any, rs: Any) -> Any:
    """As `cupyx.scipy.signal.cheb2ap`."""
    z, p, k = _generated.cheb2ap(N, rs)
    return z, p, 1 if N == 0 else k


def lp2lp_zpk(z: Any, p: Any, k: Any, wo: Any = 1.0) -> Any:
    """As `cupyx.scipy.signal.lp2lp_zpk`. The gain is a number when `k` is one."""
    zeros, poles, _ = _generated.lp2lp_zpk(z, p, k, wo)
    return zeros, poles, k * float(wo) ** (len(poles) - len(zeros))


def lp2bp_zpk(z: Any, p: Any, k: Any, wo: Any = 1.0, bw: Any = 1.0) -> Any:
    """As `cupyx.scipy.signal.lp2bp_zpk`. The gain is a number when `k` is one."""
    zeros, poles, _ = _generated.lp2bp_zpk(z, p, k, wo, bw)
    return zeros, poles, k * float(bw) ** (len(poles) - len(zeros))


#: Bands of an analogue Butterworth filter whose gain is a number in CuPy.
_NUMBER_BANDS = frozenset(("band", "bandpass", "pass", "bp", "l", "low", "lowpass", "lp"))


def iirfilter(
    N: Any, Wn: Any, rp: Any = None, rs: Any = None, btype: Any = "band", analog: Any = False, ftype: Any = "butter",
    output: Any = "ba", fs: Any = None,
) -> Any:  # fmt: skip
    """As `cupyx.scipy.signal.iirfilter`."""
    made = _generated.iirfilter(N, Wn, rp, rs, btype, analog, ftype, output, fs)
    if analog and output.lower() == "zpk" and ftype.lower().startswith("butter") and btype.lower() in _NUMBER_BANDS:
        return (*made[:2], float(made[2]))
    return made


def butter(N: Any, Wn: Any, btype: Any = "low", analog: Any = False, output: Any = "ba", fs: Any = None) -> Any:
    """As `cupyx.scipy.signal.butter`."""
    return iirfilter(N, Wn, btype=btype, analog=analog, output=output, ftype="butter", fs=fs)


# -- functions that warn -----------------------------------------------------------------------------------------------


def minimum_phase(h: Any, method: Any = "homomorphic", n_fft: Any = None, half: Any = True) -> Any:
    """As `cupyx.scipy.signal.minimum_phase`."""
    return flagged("minimum_phase", h, method, n_fft, half)


def normalize(b: Any, a: Any) -> Any:
    """As `cupyx.scipy.signal.normalize`."""
    return flagged("normalize", b, a)


def bilinear(b: Any, a: Any, fs: Any = 1.0) -> Any:
    """As `cupyx.scipy.signal.bilinear`."""
    return flagged("bilinear", b, a, fs)


def lp2lp(b: Any, a: Any, wo: Any = 1.0) -> Any:
    """As `cupyx.scipy.signal.lp2lp`."""
    return flagged("lp2lp", b, a, wo)


def lp2hp(b: Any, a: Any, wo: Any = 1.0) -> Any:
    """As `cupyx.scipy.signal.lp2hp`."""
    return flagged("lp2hp", b, a, wo)


def lp2bp(b: Any, a: Any, wo: Any = 1.0, bw: Any = 1.0) -> Any:
    """As `cupyx.scipy.signal.lp2bp`."""
    return flagged("lp2bp", b, a, wo, bw)


def lp2bs(b: Any, a: Any, wo: Any = 1.0, bw: Any = 1.0) -> Any:
    """As `cupyx.scipy.signal.lp2bs`."""
    return flagged("lp2bs", b, a, wo, bw)


def tf2zpk(b: Any, a: Any) -> Any:
    """As `cupyx.scipy.signal.tf2zpk`."""
    return flagged("tf2zpk", b, a)


def tf2sos(b: Any, a: Any, pairing: Any = None, *, analog: Any = False) -> Any:
    """As `cupyx.scipy.signal.tf2sos`."""
    return flagged("tf2sos", b, a, pairing=pairing, analog=analog)


def tf2ss(num: Any, den: Any) -> Any:
    """As `cupyx.scipy.signal.tf2ss`."""
    return flagged("tf2ss", num, den)


def zpk2ss(z: Any, p: Any, k: Any) -> Any:
    """As `cupyx.scipy.signal.zpk2ss`."""
    return flagged("zpk2ss", z, p, k)


def ss2zpk(A: Any, B: Any, C: Any, D: Any, input: Any = 0) -> Any:
    """As `cupyx.scipy.signal.ss2zpk`."""
    return flagged("ss2zpk", A, B, C, D, input)


def sos2zpk(sos: Any) -> Any:
    """As `cupyx.scipy.signal.sos2zpk`."""
    return flagged("sos2zpk", sos)


def _order(name: str, *args: Any) -> tuple[int, Any]:
    order, frequencies = flagged(name, *args)
    return int(order), frequencies


def buttord(wp: Any, ws: Any, gpass: Any, gstop: Any, analog: Any = False, fs: Any = None) -> tuple[int, Any]:
    """As `cupyx.scipy.signal.buttord`. Waits: the order is a Python int."""
    return _order("buttord", wp, ws, gpass, gstop, analog, fs)


def cheb1ord(wp: Any, ws: Any, gpass: Any, gstop: Any, analog: Any = False, fs: Any = None) -> tuple[int, Any]:
    """As `cupyx.scipy.signal.cheb1ord`. Waits: the order is a Python int."""
    return _order("cheb1ord", wp, ws, gpass, gstop, analog, fs)


def cheb2ord(wp: Any, ws: Any, gpass: Any, gstop: Any, analog: Any = False, fs: Any = None) -> tuple[int, Any]:
    """As `cupyx.scipy.signal.cheb2ord`. Waits: the order is a Python int."""
    return _order("cheb2ord", wp, ws, gpass, gstop, analog, fs)


def ellipord(wp: Any, ws: Any, gpass: Any, gstop: Any, analog: Any = False, fs: Any = None) -> tuple[int, Any]:
    """As `cupyx.scipy.signal.ellipord`. Waits: the order is a Python int."""
    return _order("ellipord", wp, ws, gpass, gstop, analog, fs)


def gammatone(freq: Any, ftype: Any, order: Any = None, numtaps: Any = None, fs: Any = None) -> Any:
    """As `cupyx.scipy.signal.gammatone`."""
    import warnings

    made = _generated.gammatone(freq, ftype, order, numtaps, fs)
    for name, value in (("order", order), ("numtaps", numtaps)):
        if ftype.lower() == "iir" and value is not None:
            warnings.warn(f"{name} is not used for IIR gammatone filter.", stacklevel=2)
    return made


# -- responses ---------------------------------------------------------------------------------------------------------


def _plotted(response: Any, plot: Any) -> Any:
    if plot is not None:
        plot(*response)
    return response


def freqs(b: Any, a: Any, worN: Any = 200, plot: Any = None) -> Any:
    """As `cupyx.scipy.signal.freqs`."""
    return _plotted(_generated.freqs(b, a, worN), plot)


def freqz(
    b: Any,
    a: Any = 1,
    worN: Any = 512,
    whole: Any = False,
    plot: Any = None,
    fs: Any = 2 * math.pi,
    include_nyquist: Any = False,
) -> Any:
    """As `cupyx.scipy.signal.freqz`."""
    return _plotted(_generated.freqz(b, a, worN, whole, None, fs, include_nyquist), plot)
