"""Filter design, conversions between forms, responses and partial fractions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ._common import Function, arrays, internal, plain, sp_signal, table

#: Functions that take and give what SciPy's of the same name do.
_PLAIN = (
    "iirdesign", "iircomb", "iirnotch", "iirpeak", "buttap", "cheb1ap", "cheb2ap", "ellipap",
    "buttord", "cheb1ord", "cheb2ord", "ellipord", "band_stop_obj", "normalize", "bilinear",
    "bilinear_zpk", "zpk2tf", "zpk2sos", "zpk2ss", "tf2zpk", "tf2sos", "tf2ss",
    "sos2tf", "sos2zpk", "ss2tf", "ss2zpk", "findfreqs", "group_delay", "unique_roots", "invres", "invresz", "residue", "residuez",
)  # fmt: skip


#: Functions whose frequencies and gains may be arrays of one element, which `float` takes in CuPy and not in NumPy.
_SCALARS = (
    "butter", "cheby1", "cheby2", "ellip", "lp2lp", "lp2hp", "lp2bp", "lp2bs", "lp2lp_zpk", "lp2hp_zpk", "lp2bp_zpk", "lp2bs_zpk",
)  # fmt: skip


def _single(value: Any) -> Any:
    return value.reshape(()) if isinstance(value, np.ndarray) and value.size == 1 else value


def _with_scalars(function: Function, first: int) -> Function:
    """`function` with arrays of one element as scalars, from the argument `first` on."""

    def run(*args: Any, **kwargs: Any) -> Any:
        rest = [_single(a) for a in args[first:]]
        return arrays(function(*args[:first], *rest, **{name: _single(value) for name, value in kwargs.items()}))

    return run


def firwin(numtaps: int, cutoff: Any, **options: Any) -> Any:
    return np.asarray(sp_signal.firwin(numtaps, cutoff, **options))


def firwin2(numtaps: int, freq: Any, gain: Any, nyq: Any = None, **options: Any) -> Any:
    return np.asarray(sp_signal.firwin2(numtaps, np.asarray(freq), np.asarray(gain), **options))


def firls(numtaps: int, bands: Any, desired: Any, weight: Any = None, fs: Any = 2) -> Any:
    return np.asarray(sp_signal.firls(numtaps, np.ravel(bands), np.ravel(desired), weight=weight, fs=fs))


def minimum_phase(h: Any, method: str = "homomorphic", n_fft: Any = None, half: bool = True) -> Any:
    options = {} if half else {"half": False}
    return np.asarray(sp_signal.minimum_phase(h, method, n_fft, **options))


def iirfilter(N: int, Wn: Any, rp: Any = None, rs: Any = None, **options: Any) -> Any:
    if str(options.get("ftype", "")).lower().startswith("bessel"):
        raise NotImplementedError(f"'{options['ftype']}' not implemented in iirfilter.")
    return arrays(sp_signal.iirfilter(N, _single(Wn), rp, rs, **options))


def gammatone(freq: Any, ftype: str, order: Any = None, numtaps: Any = None, fs: Any = None) -> Any:
    return arrays(sp_signal.gammatone(freq, ftype, order=order, numtaps=numtaps, fs=fs))


def _points(worN: Any) -> Any:
    """A number of points, or the points; a device scalar counts as a number."""
    if isinstance(worN, np.ndarray) and worN.ndim == 0 and worN.dtype.kind in "iu":
        return int(worN)
    return worN


def freqs(b: Any, a: Any, worN: Any = 200, plot: Any = None) -> Any:
    return arrays(sp_signal.freqs(b, a, _points(worN)))


def freqs_zpk(z: Any, p: Any, k: Any, worN: Any = 200) -> Any:
    return arrays(sp_signal.freqs_zpk(z, p, k, _points(worN)))


def _frequencies_first(response: Any) -> Any:
    """(w, h) with real frequencies: SciPy gives w the coefficients' dtype, complex for complex ones."""
    w, h = arrays(response)
    return (w.real.copy() if w.dtype.kind == "c" else w), h


def freqz(b: Any, a: Any = 1, worN: Any = 512, whole: bool = False, plot: Any = None, **options: Any) -> Any:
    return _frequencies_first(sp_signal.freqz(b, a, _points(worN), whole, **options))


def freqz_zpk(z: Any, p: Any, k: Any, worN: Any = 512, **options: Any) -> Any:
    return _frequencies_first(sp_signal.freqz_zpk(z, p, k, _points(worN), **options))


def freqz_sos(sos: Any, worN: Any = 512, **options: Any) -> Any:
    return _frequencies_first(sp_signal.freqz_sos(sos, _points(worN), **options))


_FUNCTIONS: dict[str, Function] = (
    {name: plain(getattr(sp_signal, name)) for name in _PLAIN}
    | {
        name: _with_scalars(
            getattr(sp_signal, name), 3 if name.endswith("_zpk") else 2 if name.startswith("lp2") else 0
        )
        for name in _SCALARS
    }
    | {
        "firwin": firwin,
        "firwin2": firwin2,
        "firls": firls,
        "minimum_phase": minimum_phase,
        "iirfilter": iirfilter,
        "gammatone": gammatone,
        "freqs": freqs,
        "freqs_zpk": freqs_zpk,
        "freqz": freqz,
        "freqz_zpk": freqz_zpk,
        "freqz_sos": freqz_sos,
        "sosfreqz": freqz_sos,
    }
)


def flagged(name: str, args: Any, options: Any) -> Any:
    """The results of the named function, then whether it warned."""
    from .spectral import istft

    function = istft if name == "istft" else _FUNCTIONS[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = function(*args, **options)
    flag = np.asarray(any(issubclass(w.category, _TOLD) for w in caught), np.int8)
    return (*(found if isinstance(found, tuple) else (found,)), flag)


#: Categories that CuPy warns of, too. SciPy's notes about its own future are not among them.
_TOLD = (sp_signal.BadCoefficients, RuntimeWarning, UserWarning)

OPS = {**table(**_FUNCTIONS), **internal(flagged=flagged)}
