"""Rows: `cupyx.scipy.signal.windows`, the spectral functions of `cupyx.scipy.signal`, and `cupyx.signal`."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import arr, call, fails, pos
from cupool.contract.ops.scipy import _rules_signal as signal_rules
from cupool.contract.ops.scipy import _rules_signal_spectral as rules
from cupool.contract.ops.scipy import _rules_signal_waves as waves
from cupool.contract.ops.scipy.signal import row, taps, wave

AxisError = np.exceptions.AxisError

# -- windows -----------------------------------------------------------------------------------------------------------


def _window(name: str, parameters: str = "", *given: Any, rule: Any = rules.window) -> None:
    sig = f"(M, {parameters}, sym=True)" if parameters else "(M, sym=True)"
    row(
        f"windows.{name}",
        sig,
        rule,
        lambda: [call(8, *given), call(9, *given), call(9, *given, sym=False), call(1, *given), call(0, *given)],
        errors=lambda: [fails(ValueError, -1, *given), fails(ValueError, 2.5, *given)],
    )


for _name in (
    "barthann",
    "bartlett",
    "blackman",
    "blackmanharris",
    "bohman",
    "boxcar",
    "cosine",
    "flattop",
    "hamming",
    "hann",
    "lanczos",
    "nuttall",
    "parzen",
    "triang",
):
    _window(_name)
_window("general_cosine", "a", [0.5, 0.3, 0.2])
_window("general_hamming", "alpha", 0.6)
_window("kaiser", "beta", 7.0)
_window("gaussian", "std", 2.0)
_window("general_gaussian", "p, sig", 1.5, 2.0)
_window("chebwin", "at", 60)
_window("taylor", "nbar=4, sll=30, norm=True")
_window("tukey", "alpha=0.5")
row(
    "windows.exponential",
    "(M, center=None, tau=1.0, sym=True)",
    rules.exponential,
    lambda: [call(8), call(9, 2, 3.0, False), call(1)],
    errors=lambda: [fails(ValueError, 8, 2), fails(ValueError, -1)],
)
row(
    "windows.kaiser_bessel_derived",
    "(M, beta, sym=True)",
    rules.kaiser_bessel_derived,
    lambda: [call(8, 2.0), call(0, 2.0)],
    errors=lambda: [fails(ValueError, 8, 2.0, sym=False), fails(ValueError, 7, 2.0)],
)
for _name in ("get_window", "windows.get_window"):
    row(
        _name,
        "(window, Nx, fftbins=True)",
        rules.get_window,
        lambda: [
            call("hann", 8),
            call(("kaiser", 4.0), 9, False),
            call(4.0, 9),
            call(("general gaussian", 1.5, 2), 7),
            call("box", 3),
            call(("tukey", 0.3), 7),
            call(("general_cosine", [0.6, 0.4]), 6),
        ],
        errors=lambda: [
            fails(ValueError, "x", 8),
            fails(ValueError, "kaiser", 8),
            fails(ValueError, "hann", -1),
            fails(ValueError, [1], 8),
        ],
    )

# -- spectra -----------------------------------------------------------------------------------------------------------

_SEGMENTS = (
    "fs=1.0, window={}, nperseg=None, noverlap=None, nfft=None, detrend='constant', return_onesided=True, "
    "scaling='density', axis=-1"
)
_HANN, _TUKEY = "'hann'", "('tukey', 0.25)"


def _spectrum_errors() -> Any:
    return [
        fails(ValueError, wave(32), nperseg=0),
        fails(ValueError, wave(32), nperseg=8, noverlap=8),
        fails(ValueError, wave(32), nperseg=8, nfft=4),
        fails(ValueError, wave(32), window="x"),
        fails(ValueError, wave(32), window=pos(40)),
        fails(ValueError, wave(32), scaling="x"),
        fails(AxisError, wave(32), axis=1),
        fails(ValueError, wave(32), detrend="x"),
    ]


row(
    "periodogram",
    "(x, fs=1.0, window='boxcar', nfft=None, detrend='constant', return_onesided=True, scaling='density', axis=-1)",
    rules.periodogram,
    lambda: [
        call(wave(16)),
        call(wave(2, 16, dtype="f4"), nfft=12),
        call(wave(16, 2), nfft=20, axis=0, scaling="spectrum"),
        call(wave(16, dtype="c16"), return_onesided=False),
        call(arr(0)),
        call(arr(16, dtype="i4"), window=None),
    ],
    errors=lambda: [fails(ValueError, wave(16), scaling="x"), fails(ValueError, wave(16), window="x")],
)
row(
    "welch",
    f"(x, {_SEGMENTS.format(_HANN)}, average='mean')",
    rules.welch,
    lambda: [
        call(wave(64), nperseg=16),
        call(wave(2, 64, dtype="f4"), nperseg=16, noverlap=4, average="median"),
        call(wave(64, 2), nperseg=16, axis=0),
        call(wave(64, dtype="c16"), nperseg=16, return_onesided=False, detrend="linear"),
        call(wave(20), window=pos(8), detrend=False),
        call(arr(0)),
        call(wave(20)),
    ],
    errors=_spectrum_errors,
)
row(
    "csd",
    f"(x, y, {_SEGMENTS.format(_HANN)}, average='mean')",
    rules.csd,
    lambda: [
        call(wave(64), wave(64) ** 2, nperseg=16),
        call(wave(2, 64, dtype="f4"), wave(64, dtype="f4"), nperseg=16, nfft=20),
        call(wave(64), wave(50), nperseg=16, average="median"),
        call(wave(16), wave(16), nperseg=16),
    ],
    errors=lambda: [
        fails(ValueError, wave(3, 8), wave(2, 8)),
        fails(ValueError, wave(32), wave(32), nperseg=8, average="x"),
    ],
)
row(
    "coherence",
    "(x, y, fs=1.0, window='hann', nperseg=None, noverlap=None, nfft=None, detrend='constant', axis=-1)",
    rules.coherence,
    lambda: [
        call(wave(64), wave(64) ** 2, nperseg=16),
        call(wave(2, 64, dtype="f4"), wave(2, 64, dtype="f4"), nperseg=16),
    ],
    errors=lambda: [fails(ValueError, wave(3, 8), wave(2, 8))],
)
row(
    "spectrogram",
    f"(x, {_SEGMENTS.format(_TUKEY)}, mode='psd')",
    rules.spectrogram,
    lambda: (
        [call(wave(64), nperseg=16, mode=mode) for mode in ("psd", "complex", "magnitude", "angle", "phase")]
        + [call(wave(2, 64, dtype="f4"), nperseg=16, noverlap=8), call(wave(64, 2), nperseg=16, axis=0)]
    ),
    errors=lambda: [*_spectrum_errors(), fails(ValueError, wave(64), mode="x")],
)
row(
    "stft",
    "(x, fs=1.0, window='hann', nperseg=256, noverlap=None, nfft=None, detrend=False, return_onesided=True, boundary='zeros', padded=True, "
    "axis=-1, scaling='spectrum')",
    rules.stft,
    lambda: [
        call(wave(64), nperseg=16),
        call(wave(2, 60, dtype="f4"), nperseg=16, boundary="even"),
        call(wave(60, 2), nperseg=16, axis=0, boundary=None),
        call(wave(64, dtype="c16"), nperseg=15, padded=False, return_onesided=False, scaling="psd"),
        call(wave(40)),
    ],
    errors=lambda: [
        fails(ValueError, wave(32), scaling="x"),
        fails(ValueError, wave(32), boundary="x"),
        fails(ValueError, wave(32), nperseg=0),
    ],
)
row(
    "istft",
    "(Zxx, fs=1.0, window='hann', nperseg=None, noverlap=None, nfft=None, input_onesided=True, boundary=True, time_axis=-1, freq_axis=-2, "
    "scaling='spectrum')",
    rules.istft,
    lambda: [
        call(wave(9, 7, dtype="c16"), nperseg=16),
        call(wave(2, 9, 7, dtype="c8"), nperseg=16, boundary=False, scaling="psd"),
        call(wave(7, 9, dtype="c16"), nperseg=16, time_axis=0, freq_axis=1),
        call(wave(16, 7, dtype="c16"), input_onesided=False),
    ],
    errors=lambda: [
        fails(ValueError, wave(9)),
        fails(ValueError, wave(9, 7), time_axis=1, freq_axis=1),
        fails(ValueError, wave(9, 7), nperseg=0),
        fails(ValueError, wave(9, 7), nperseg=16, noverlap=16),
        fails(ValueError, wave(9, 7), window=pos(3)),
        fails(ValueError, wave(9, 7), scaling="x"),
    ],
)
row(
    "lombscargle",
    "(x, y, freqs, precenter=False, normalize=False)",
    rules.lombscargle,
    lambda: [
        call(pos(20) ** 3, wave(20), pos(7)),
        call(pos(20) ** 3, wave(20), pos(7), precenter=True),
        call(pos(20), wave(20), pos(7), normalize=True),
    ],
    errors=lambda: [fails(ValueError, pos(3), pos(4), pos(2))],
)
row(
    "vectorstrength",
    "(events, period)",
    rules.vectorstrength,
    lambda: [call(pos(9), 0.3), call(pos(9), pos(3)), call(pos(9), [0.1, 0.2])],
    errors=lambda: [fails(ValueError, pos(2, 2), 1.0), fails(ValueError, pos(2), pos(2, 2))],
    looks=True,
)
for _name, _least in (("check_COLA", False), ("check_NOLA", True)):
    row(
        _name,
        "(window, nperseg, noverlap, tol=1e-10)",
        rules.overlap_check(_least),
        lambda: [call("hann", 16, 8), call("boxcar", 10, 3), call(pos(10), 10, 5), call(("tukey", 0.25), 64, 8)],
        errors=lambda: [
            fails(ValueError, "hann", 0, 0),
            fails(ValueError, "hann", 8, 8),
            fails(ValueError, pos(3), 4, 2),
            fails(ValueError, pos(2, 2), 2, 1),
        ],
    )

# -- cupyx.signal ------------------------------------------------------------------------------------------------------


def _ours(name: str, sig: str, infer: Any, samples: Any, **fields: Any) -> None:
    op(f"cupyx.signal.{name}", sig, infer, samples=samples, **fields)


_ours(
    "convolve1d2o",
    "(in1, in2, mode='valid', method='direct')",
    rules.higher_order(2),
    lambda: [call(wave(9), pos(3, 3)), call(wave(9, dtype="f4"), pos(2, 2, dtype="f4"))],
    errors=lambda: [
        fails(ValueError, pos(2, 2), pos(2, 2)),
        fails(NotImplementedError, pos(5), pos(2, 2), mode="same"),
    ],
)
_ours(
    "convolve1d3o",
    "(in1, in2, mode='valid', method='direct')",
    rules.higher_order(3),
    lambda: [call(wave(9), pos(3, 3, 3)), call(wave(9, dtype="c8"), pos(2, 2, 2, dtype="c8"))],
    errors=lambda: [
        fails(ValueError, pos(5), pos(2, 2)),
        fails(NotImplementedError, pos(5), pos(2, 2, 2), method="fft"),
    ],
)
_ours(
    "firfilter",
    "(b, x, axis=-1, zi=None)",
    signal_rules.firfilter,
    lambda: [call(pos(3), wave(9)), call(pos(3), wave(2, 9), zi=pos(2, 2)), call(pos(3), wave(9, 2), axis=0)],
    errors=lambda: [fails(AxisError, pos(3), wave(9), axis=1)],
)
_ours("firfilter_zi", "(b)", signal_rules.firfilter_zi, lambda: [call(pos(4)), call(pos(3, dtype="f4"))])
_ours(
    "firfilter2",
    "(b, x, axis=-1, padtype='odd', padlen=None, method='pad', irlen=None)",
    signal_rules.firfilter2,
    lambda: [
        call(pos(3), wave(20)),
        call(pos(3), wave(2, 20), padtype="even"),
        call(pos(3), wave(20, 2), axis=0, padtype=None),
    ],
    errors=lambda: [fails(ValueError, pos(3), wave(5)), fails(NotImplementedError, pos(3), wave(20), method="gust")],
)
_ours(
    "freq_shift",
    "(x, freq, fs)",
    rules.freq_shift,
    lambda: [call(wave(9), 3.0, 10.0), call(wave(9, dtype="f4"), 3.0, 10)],
    errors=lambda: [fails(TypeError, pos(3, dtype="c8"), 1.0, 2.0)],
)
_ours(
    "channelize_poly",
    "(x, h, n_chans)",
    rules.channelize_poly,
    lambda: [
        call(wave(64), pos(16), 4),
        call(wave(64, dtype="c8"), pos(16, dtype="c8"), 8),
        call(wave(50, dtype="f4"), pos(17, dtype="f4"), 4),
    ],
    errors=lambda: [
        fails(NotImplementedError, wave(64), pos(99), 2),
        fails(NotImplementedError, arr(9, dtype="i4"), arr(9, dtype="i4"), 3),
    ],
)
_ours(
    "real_cepstrum",
    "(x, n=None, axis=-1)",
    rules.cepstrum,
    lambda: [call(pos(9)), call(pos(2, 8, dtype="f4"), n=6), call(pos(8, 2), axis=0)],
    errors=lambda: [fails(AxisError, pos(3), axis=1)],
)
_ours(
    "complex_cepstrum",
    "(x, n=None, axis=-1)",
    rules.complex_cepstrum,
    lambda: [call(pos(9)), call(wave(8, dtype="f4"), n=6)],
    errors=lambda: [fails(AxisError, pos(3), axis=1)],
)
_ours(
    "inverse_complex_cepstrum",
    "(ceps, ndelay)",
    rules.inverse_complex_cepstrum,
    lambda: [call(pos(9), 1), call(pos(8), np.full(8, 2.0))],
)
_ours("minimum_phase", "(x, n=None)", rules.minimum_phase, lambda: [call(pos(9)), call(pos(8), 6)])
_ours(
    "pulse_compression",
    "(x, template, normalize=False, window=None, nfft=None)",
    rules.pulse_compression,
    lambda: [
        call(wave(3, 16), pos(8)),
        call(wave(3, 16), pos(8), True, "hann", 20),
        call(wave(3, 16), pos(8), window=pos(8)),
    ],
    errors=lambda: [fails(ValueError, pos(3), pos(3)), fails(ValueError, pos(3, 3), pos(3), window=pos(2))],
)
_ours(
    "pulse_doppler",
    "(x, window=None, nfft=None)",
    rules.pulse_doppler,
    lambda: [call(wave(3, 16)), call(wave(3, 16), "hamming", 8), call(wave(3, 16), pos(3))],
    errors=lambda: [fails(ValueError, pos(3)), fails(ValueError, pos(3, 3), pos(2))],
)
_ours(
    "ca_cfar",
    "(array, guard_cells, reference_cells, pfa=1e-3)",
    rules.ca_cfar,
    lambda: [call(pos(20, dtype="f4"), 2, 3), call(pos(12, 14, dtype="f4"), (1, 2), (2, 1), 1e-2)],
    errors=lambda: [
        fails(TypeError, pos(2, 2, 2), 1, 1),
        fails(ValueError, pos(5), 2, 3),
        fails(ValueError, pos(5, 9), (2, 1), (3, 1)),
    ],
)
_ours(
    "mvdr",
    "(x, sv, calc_cov=True)",
    rules.mvdr,
    lambda: [call(wave(3, 9), pos(3)), call(np.eye(3) + 0.1, pos(3), False)],
    errors=lambda: [fails(ValueError, pos(9, 3), pos(9)), fails(ValueError, pos(3, 9), pos(2))],
)

# -- wavelets ----------------------------------------------------------------------------------------------------------

row("qmf", "(hk)", waves.qmf, lambda: [call(taps(1.0, 2.0, 3.0)), call(taps(1.0, 2.0, dtype="f4"))])
row("morlet", "(M, w=5.0, s=1.0, complete=True)", waves.morlet, lambda: [call(9), call(8, 4.0, 0.5, False)])
row("morlet2", "(M, s, w=5)", waves.morlet, lambda: [call(9, 2.0), call(8, 1.0, 3)])
row("ricker", "(points, a)", waves.ricker, lambda: [call(9, 2.0), call(8, 1)])
