"""Rows: filter design, conversions, responses, partial fractions and linear systems of `cupyx.scipy.signal`."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops._sample_arrays import arr, call, fails, pos
from cupool.contract.ops.scipy import _rules_signal_design as rules
from cupool.contract.ops.scipy.signal import row, sections, taps, wave

B, A = (0.2, 0.3, 0.1), (1.0, -0.4, 0.2)
Z, P, K = np.array([-0.5, 0.5j, -0.5j]), np.array([0.1, 0.3 + 0.2j, 0.3 - 0.2j]), 1.5


def design(name: str, sig: str, infer: Any, samples: Any, **fields: Any) -> None:
    """A row of a function that looks at its data."""
    row(name, sig, infer, samples, looks=True, **fields)


# -- FIR ---------------------------------------------------------------------------------------------------------------

design(
    "firwin",
    "(numtaps, cutoff, width=None, window='hamming', pass_zero=True, scale=True, fs=2)",
    rules.firwin,
    lambda: [
        call(9, 0.4),
        call(9, [0.2, 0.6], pass_zero=False, scale=False),
        call(21, 0.3, width=0.1),
        call(9, taps(1.0), fs=5, window=("kaiser", 2.0)),
    ],
)
design(
    "firwin2",
    "(numtaps, freq, gain, nfreqs=None, window='hamming', nyq=None, antisymmetric=False, fs=2.0)",
    rules.firwin2,
    lambda: [
        call(9, [0.0, 0.5, 1.0], [1.0, 1.0, 0.0]),
        call(8, taps(0.0, 0.5, 1.0), taps(0.0, 1.0, 1.0), antisymmetric=True, window=None),
    ],
    errors=lambda: [fails(ValueError, 9, [0.0, 1.0], [1.0]), fails(ValueError, 9, [0.0, 1.0], [1.0, 1.0], nfreqs=5)],
)
design(
    "firls",
    "(numtaps, bands, desired, weight=None, fs=2)",
    None,
    lambda: [call(9, [0, 0.4, 0.6, 1], [1, 1, 0, 0]), call(9, taps(0, 1, 2, 2.5), taps(1, 1, 0, 0), [1, 3], fs=5)],
)
design(
    "minimum_phase",
    "(h, method='homomorphic', n_fft=None, half=True)",
    rules.minimum_phase,
    lambda: [call(taps(1, 2, 3, 4, 3, 2, 1) / 10), call(taps(1, 2, 3, 4, 3, 2, 1) / 10, "hilbert", 512)],
    errors=lambda: [
        fails(ValueError, pos(9, dtype="c8")),
        fails(ValueError, pos(2)),
        fails(ValueError, pos(9), "x"),
        fails(ValueError, pos(9), n_fft=4),
    ],
)

# -- IIR ---------------------------------------------------------------------------------------------------------------

_FORM = "btype='low', analog=False, output='ba', fs=None"


def _forms(*given: Any) -> Any:
    def make() -> Any:
        yield call(4, *given, 0.3)
        yield call(3, *given, [0.2, 0.5], btype="bandpass", output="zpk")
        yield call(4, *given, taps(0.3), btype="high", output="sos")
        yield call(2, *given, 30.0, fs=100)

    return make


def _bad_form(*given: Any) -> Any:
    return lambda: [fails(ValueError, 4, *given, 0.3, output="x")]


design("butter", f"(N, Wn, {_FORM})", rules.filter_form, _forms(), errors=_bad_form())
design("cheby1", f"(N, rp, Wn, {_FORM})", rules.filter_form, _forms(1.0), errors=_bad_form(1.0))
design("cheby2", f"(N, rs, Wn, {_FORM})", rules.filter_form, _forms(40.0), errors=_bad_form(40.0))
design("ellip", f"(N, rp, rs, Wn, {_FORM})", rules.filter_form, _forms(1.0, 40.0), errors=_bad_form(1.0, 40.0))
design(
    "iirfilter",
    "(N, Wn, rp=None, rs=None, btype='band', analog=False, ftype='butter', output='ba', fs=None)",
    rules.filter_form,
    lambda: [
        call(3, [0.2, 0.5]),
        call(3, 0.4, 1.0, 40.0, "low", ftype="ellip", output="zpk"),
        call(3, 0.4, rs=40, btype="hp", ftype="cheby2", output="sos"),
    ],
    errors=_bad_form(),
)
design(
    "iirdesign",
    "(wp, ws, gpass, gstop, analog=False, ftype='ellip', output='ba', fs=None)",
    rules.filter_form,
    lambda: [call(0.2, 0.3, 1.0, 40.0), call([0.2, 0.5], [0.1, 0.6], 1.0, 40.0, ftype="butter", output="sos")],
    errors=lambda: [fails(ValueError, 0.2, 0.3, 1, 40, output="x")],
)
row(
    "iircomb",
    "(w0, Q, ftype='notch', fs=2.0, *, pass_zero=False)",
    rules.iircomb,
    lambda: [call(0.25, 10), call(50, 5, ftype="peak", fs=200, pass_zero=True)],
    errors=lambda: [fails(ValueError, 2.0, 1), fails(ValueError, 0.25, 1, ftype="x"), fails(ValueError, 0.3, 1)],
)
for _name in ("iirnotch", "iirpeak"):
    row(
        _name,
        "(w0, Q, fs=2.0)",
        rules.second_order,
        lambda: [call(0.3, 20), call(30, 20, 200)],
        errors=lambda: [fails(ValueError, 3.0, 1)],
    )
row(
    "gammatone",
    "(freq, ftype, order=None, numtaps=None, fs=None)",
    rules.gammatone,
    lambda: [call(0.3, "iir"), call(440, "fir", fs=16000), call(440, "fir", order=3, numtaps=20, fs=16000)],
    errors=lambda: [fails(ValueError, 2, "iir"), fails(ValueError, 0.3, "x"), fails(ValueError, 0.3, "fir", order=25)],
)


def _prototype(name: str, sig: str, *ripples: float) -> None:
    row(
        name,
        sig,
        rules.prototype,
        lambda: [call(n, *ripples) for n in (0, 1, 4, 5)],
        errors=lambda: [fails(ValueError, -1, *ripples), fails(ValueError, 1.5, *ripples)],
        looks=name == "ellipap",
    )


_prototype("buttap", "(N)")
_prototype("cheb1ap", "(N, rp)", 1.0)
_prototype("cheb2ap", "(N, rs)", 40.0)
_prototype("ellipap", "(N, rp, rs)", 1.0, 40.0)
for _name in ("buttord", "cheb1ord", "cheb2ord", "ellipord"):
    design(
        _name,
        "(wp, ws, gpass, gstop, analog=False, fs=None)",
        None,
        lambda: [
            call(0.2, 0.3, 3, 40),
            call([0.2, 0.5], [0.1, 0.6], 3, 40),
            call(taps(20, 50), taps(10, 60), 3, 40, True),
        ],
        outs=2,
    )
row(
    "band_stop_obj",
    "(wp, ind, passb, stopb, gpass, gstop, type)",
    None,
    lambda: [call(2.0, 0, taps(10, 100), taps(20, 50), 3, 40, kind) for kind in ("butter", "cheby", "ellip")],
    looks=True,
)

# -- conversions -------------------------------------------------------------------------------------------------------

design("normalize", "(b, a)", None, lambda: [call(taps(2, 4), taps(2, 1)), call(taps(0, 1, 2), taps(0, 2, 1))], outs=2)
design("bilinear", "(b, a, fs=1.0)", None, lambda: [call(taps(*B), taps(*A)), call([1.0], [1.0, 2.0], 4.0)], outs=2)


def _bands(name: str, sig: str, *given: float) -> None:
    design(
        name,
        f"(b, a, {sig})",
        None,
        lambda: [call(taps(*B), taps(*A)), call([1.0], [1.0, 2.0], *given)],
        outs=2,
    )
    design(f"{name}_zpk", f"(z, p, k, {sig})", None, lambda: [call(Z, P, K), call(taps(), P, K, *given)], outs=3)


_bands("lp2lp", "wo=1.0", 2.0)
_bands("lp2hp", "wo=1.0", 2.0)
_bands("lp2bp", "wo=1.0, bw=1.0", 2.0, 0.5)
_bands("lp2bs", "wo=1.0, bw=1.0", 2.0, 0.5)
design("bilinear_zpk", "(z, p, k, fs)", None, lambda: [call(Z, P, K, 2.0), call(taps(), P, K, 1.0)], outs=3)
row(
    "zpk2tf",
    "(z, p, k)",
    rules.zpk2tf,
    lambda: [call(Z, P, K), call(taps(1, 2), taps(3), 2)],
    errors=lambda: [fails(NotImplementedError, pos(2, 2), pos(2), 1)],
)
design(
    "zpk2sos",
    "(z, p, k, pairing=None, *, analog=False)",
    rules.zpk2sos,
    lambda: [call(Z, P, K), call(Z, P, K, "keep_odd"), call(Z, P, K, analog=True)],
    errors=lambda: [fails(ValueError, Z, P, K, "x"), fails(ValueError, Z, P, K, "nearest", analog=True)],
)
design("zpk2ss", "(z, p, k)", None, lambda: [call(Z, P, K)], outs=4)
design("tf2zpk", "(b, a)", None, lambda: [call(taps(*B), taps(*A))], outs=3)
design(
    "tf2sos",
    "(b, a, pairing=None, *, analog=False)",
    rules.tf2sos,
    lambda: [call(taps(*B), taps(*A)), call(taps(*B), taps(*A), "minimal")],
    errors=lambda: [fails(ValueError, taps(*B), taps(*A), "x")],
)
design("tf2ss", "(num, den)", None, lambda: [call(taps(*B), taps(*A)), call(pos(2, 3), taps(*A))], outs=4)
design("sos2tf", "(sos)", None, lambda: [call(sections())], outs=2)
design("sos2zpk", "(sos)", None, lambda: [call(sections())], outs=3)
_STATE = (np.array([[-0.5, 0.1], [0.2, -0.3]]), np.array([[1.0], [0.5]]), np.array([[1.0, 2.0]]), np.array([[0.5]]))
design("ss2tf", "(A, B, C, D, input=0)", None, lambda: [call(*_STATE)], outs=2)
design("ss2zpk", "(A, B, C, D, input=0)", None, lambda: [call(*_STATE)], outs=3)
row(
    "@flagged",
    "(name, args, options)",
    rules.flagged,
    lambda: [
        call("normalize", (taps(2, 4), taps(2, 1)), {}),
        call("normalize", (taps(0, 1), taps(2, 1)), {}),
        call("tf2sos", (taps(*B), taps(*A)), {"pairing": "minimal"}),
    ],
)

# -- responses ---------------------------------------------------------------------------------------------------------

_CIRCLE = "6.283185307179586"
row(
    "findfreqs",
    "(num, den, N, kind='ba')",
    rules.findfreqs,
    lambda: [call(taps(*B), taps(*A), 9), call(Z, P, 9, "zp")],
    errors=lambda: [fails(ValueError, Z, P, 9, "x")],
)
row(
    "freqs",
    "(b, a, worN=200, plot=None)",
    rules.freqs,
    lambda: [call(taps(*B), taps(*A)), call(taps(*B), taps(*A), pos(9)), call([1.0], taps(*A, dtype="f4"), 7)],
    outs=2,
)
row(
    "freqs_zpk",
    "(z, p, k, worN=200)",
    rules.freqs_zpk,
    lambda: [call(Z, P, K), call(Z, P, K, pos(9)), call(Z, P, K, 7)],
    errors=lambda: [fails(ValueError, Z, P, pos(3))],
)
row(
    "freqz",
    f"(b, a=1, worN=512, whole=False, plot=None, fs={_CIRCLE}, include_nyquist=False)",
    rules.freqz,
    lambda: [
        call(taps(*B)),
        call(taps(*B), taps(*A), 9, True),
        call(taps(*B), taps(*A), pos(5), fs=3.0),
        call(taps(*B), worN=8, include_nyquist=True),
    ],
    errors=lambda: [fails(ValueError, taps(*B), worN=-1)],
)
row(
    "freqz_zpk",
    f"(z, p, k, worN=512, whole=False, fs={_CIRCLE})",
    rules.freqz_zpk,
    lambda: [call(Z, P, K), call(Z, P, K, 9, True), call(Z, P, K, pos(5), fs=3.0)],
    outs=2,
)
for _name in ("freqz_sos", "sosfreqz"):
    design(
        _name,
        f"(sos, worN=512, whole=False, fs={_CIRCLE})",
        None,
        lambda: [call(sections()), call(sections(), pos(5), fs=3.0)],
        outs=2,
    )
row(
    "group_delay",
    f"(system, w=512, whole=False, fs={_CIRCLE})",
    None,
    lambda: [call((taps(*B), taps(*A))), call((taps(*B), 1), pos(5), fs=3.0)],
    outs=2,
)

# -- partial fractions -------------------------------------------------------------------------------------------------

design(
    "unique_roots",
    "(p, tol=0.001, rtype='min')",
    rules.unique_roots,
    lambda: [call(taps(0, 1.3, 1.31, 2.8, 1.25), 0.1), call(P, rtype="avg")],
    errors=lambda: [fails(ValueError, P, rtype="x")],
)
for _name in ("invres", "invresz"):
    design(
        _name,
        "(r, p, k, tol=0.001, rtype='avg')",
        rules.fractions(2),
        lambda: [call(taps(1, 2), taps(0.5, 0.3), taps(1.0)), call(taps(1, 2), taps(0.5, 0.5), taps())],
        errors=lambda: [fails(ValueError, P, P, P, rtype="x")],
    )
for _name in ("residue", "residuez"):
    design(
        _name,
        "(b, a, tol=0.001, rtype='avg')",
        rules.fractions(3),
        lambda: [call(taps(*B), taps(1, -0.8, 0.15)), call(taps(1, 2, 3), taps(1, -1, 0.25))],
        errors=lambda: [fails(ValueError, P, P, rtype="x")],
    )

# -- linear systems ----------------------------------------------------------------------------------------------------

design(
    "@cont2discrete",
    "(system, dt, method='zoh', alpha=None)",
    rules.cont2discrete,
    lambda: (
        [call(_STATE, 0.1, method) for method in ("zoh", "foh", "bilinear", "euler", "backward_diff")]
        + [call((taps(*B), taps(*A)), 0.1, "gbt", 0.3), call((Z, P, K), 0.1)]
    ),
    errors=lambda: [
        fails(ValueError, _STATE, 0.1, "x"),
        fails(ValueError, _STATE, 0.1, "gbt"),
        fails(ValueError, (1,), 0.1),
    ],
)
design(
    "@place_poles",
    "(A, B, poles, method='YT', rtol=0.001, maxiter=30)",
    rules.place_poles,
    lambda: [
        call(np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]), taps(-1, -2)),
        call(np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[1.0], [0.5]]), taps(-1, -2), "KNV0"),
    ],
    errors=lambda: [
        fails(ValueError, pos(2, 3), pos(2, 1), pos(2)),
        fails(ValueError, pos(2, 2), pos(2, 1), pos(3)),
        fails(ValueError, pos(2, 2), pos(2, 1), pos(2), "x"),
    ],
)
design(
    "@lsim",
    "(A, B, C, D, U, T, X0=None, interp=True)",
    None,
    lambda: [
        call(*_STATE, wave(9), arr(9) * 0.1),
        call(*_STATE, None, arr(9) * 0.1, taps(1, 2)),
        call(*_STATE, wave(9), arr(9) * 0.1, interp=False),
    ],
    outs=2,
)
for _name in ("@impulse", "@step"):
    design(
        _name,
        "(A, B, C, D, X0=None, T=None, N=None)",
        None,
        lambda: [call(*_STATE), call(*_STATE, N=9), call(*_STATE, T=arr(9) * 0.1)],
        outs=2,
    )
design(
    "@dlsim",
    "(A, B, C, D, dt, u, t=None, x0=None)",
    None,
    lambda: [call(*_STATE, 0.1, wave(9)), call(*_STATE, 0.1, wave(9), arr(9) * 0.1, taps(1, 2))],
    outs=3,
)
for _name in ("@dimpulse", "@dstep"):
    design(
        _name,
        "(A, B, C, D, dt, x0=None, t=None, n=None)",
        rules.per_input,
        lambda: [call(*_STATE, 0.1, n=9), call(*_STATE, 0.1, t=arr(9) * 0.1)],
    )
