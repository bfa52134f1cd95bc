"""Rows: `cupyx.scipy.signal`, what works on signals: convolution, filters, resampling, splines, waveforms, peaks.

Filter design and systems are in `signal_design.py`, windows and spectra in `signal_spectral.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import arr, call, fails, pos
from cupool.contract.ops.scipy import _rules_signal as rules
from cupool.contract.ops.scipy import _rules_signal_waves as waves

AxisError = np.exceptions.AxisError
PREFIX = "cupyx.scipy.signal."


def row(name: str, sig: str, infer: Any, samples: Callable[[], Any], **fields: Any) -> None:
    """A row of this family; internal ones begin with `@`."""
    full = f"@{PREFIX}{name[1:]}" if name.startswith("@") else PREFIX + name
    op(full, sig, infer, samples=samples, **fields)


def wave(*shape: int, dtype: Any = "f8") -> Any:
    """A signal that is neither monotonic nor periodic."""
    n = np.arange(int(np.prod(shape)))
    return (np.sin(n * 0.7) + np.cos(n * n * 0.11)).reshape(shape).astype(dtype)


def taps(*values: float, dtype: Any = "f8") -> Any:
    """Coefficients."""
    return np.array(values, dtype)


# -- convolution -------------------------------------------------------------------------------------------------------


def _convolutions() -> Any:
    yield call(pos(6), pos(3))
    yield call(arr(6, dtype="i4"), arr(3, dtype="i8"), mode="same")
    yield call(pos(3), pos(6), mode="valid", method="direct")
    yield call(pos(4, 5), pos(2, 2, dtype="f4"), method="direct", mode="same")
    yield call(pos(4, 5, dtype="c8"), pos(2, 2, dtype="c8"), method="fft")
    yield call(np.array(2.0), np.array(3.0))
    yield call(arr(0), pos(3))


def _convolution_errors() -> Any:
    return [
        fails(ValueError, pos(3), pos(2, 2)),
        fails(ValueError, pos(3), pos(2), mode="x"),
        fails(ValueError, pos(3), pos(2), method="x"),
        fails(NotImplementedError, pos(3, 3), pos(2, 2)),
        fails(ValueError, pos(3, 1), pos(2, 2), mode="valid", method="fft"),
    ]


for _name in ("convolve", "correlate"):
    row(_name, "(in1, in2, mode='full', method='auto')", rules.convolve, _convolutions, errors=_convolution_errors)
for _name in ("fftconvolve", "oaconvolve"):
    row(
        _name,
        "(in1, in2, mode='full', axes=None)",
        rules.fftconvolve,
        lambda: [
            call(pos(6), pos(3)),
            call(pos(4, 5, dtype="f4"), pos(2, 2, dtype="f4"), mode="same"),
            call(pos(3, 4), pos(3, 2), axes=1),
            call(pos(4, dtype="c16"), pos(2), mode="valid"),
            call(pos(1), pos(1)),
            call(pos(40), pos(3), mode="valid"),
        ],
        errors=lambda: [
            fails(ValueError, pos(3, 4), pos(2, 2), axes=1),
            fails(ValueError, pos(3), pos(3), axes=()),
            fails(AxisError, pos(3), pos(3), axes=2),
        ],
    )
for _name in ("convolve2d", "correlate2d"):
    row(
        _name,
        "(in1, in2, mode='full', boundary='fill', fillvalue=0)",
        rules.convolve2d(_name),
        lambda: [
            call(pos(4, 5), pos(2, 3)),
            call(pos(4, 5, dtype="f4"), pos(3, 3, dtype="f4"), mode="same", boundary="symm"),
            call(arr(4, 5, dtype="i4"), arr(2, 2, dtype="i4"), boundary="wrap"),
            call(pos(2, 2), pos(3, 4), mode="valid"),
            call(pos(4, 4, dtype="c16"), pos(2, 2, dtype="c16"), fillvalue=2),
        ],
        errors=lambda: [fails(ValueError, pos(3), pos(3, 3)), fails(ValueError, pos(3, 3), pos(3, 3), boundary="x")],
    )
row(
    "correlation_lags",
    "(in1_len, in2_len, mode='full')",
    rules.correlation_lags,
    lambda: [call(5, 3), call(5, 3, "same"), call(4, 6, "same"), call(3, 6, "valid")],
    errors=lambda: [fails(ValueError, 5, 3, "x")],
)

# -- rank filters ------------------------------------------------------------------------------------------------------

row(
    "wiener",
    "(im, mysize=None, noise=None)",
    rules.wiener,
    lambda: [call(wave(6, 7)), call(wave(6, 7, dtype="f4"), 5), call(wave(8), mysize=[3], noise=0.2)],
    errors=lambda: [fails(RuntimeError, wave(6), mysize=[3, 3])],
)
row(
    "order_filter",
    "(a, domain, rank)",
    rules.order_filter,
    lambda: [call(wave(6, 7), np.ones((3, 3)), 2), call(arr(9, dtype="i4"), np.array([1, 0, 1]), 0)],
    errors=lambda: [fails(ValueError, wave(6), np.ones(2), 0), fails(ValueError, pos(6, dtype="c8"), np.ones(3), 0)],
)
row(
    "medfilt",
    "(volume, kernel_size=None)",
    rules.medfilt,
    lambda: [call(wave(9)), call(wave(5, 5, dtype="f4"), kernel_size=(3, 1)), call(arr(7, dtype="i4"), 5)],
    errors=lambda: [
        fails(ValueError, wave(9), 4),
        fails(ValueError, pos(9, dtype="c8")),
        fails(RuntimeError, wave(9), (3, 3)),
    ],
)
row(
    "medfilt2d",
    "(input, kernel_size=3)",
    rules.medfilt2d,
    lambda: [call(wave(5, 6)), call(wave(5, 6, dtype="f4"), (3, 5))],
    errors=lambda: [fails(ValueError, wave(9)), fails(ValueError, wave(3, 3), 2)],
)

# -- linear filters ----------------------------------------------------------------------------------------------------

B, A = (0.2, 0.3, 0.1), (1.0, -0.4, 0.2)
SOS = ((0.2, 0.3, 0.1, 1.0, -0.4, 0.2), (1.0, 0.5, 0.0, 1.0, -0.3, 0.1))


def sections(dtype: Any = "f8") -> Any:
    """Second-order sections."""
    return np.array(SOS, dtype)


def _filterings() -> Any:
    yield call(taps(*B), taps(*A), wave(12))
    yield call(taps(*B, dtype="f4"), taps(*A, dtype="f4"), wave(3, 12, dtype="f4"))
    yield call(taps(*B), taps(2.0), wave(12, 3), axis=0)
    yield call(taps(*B), taps(2.0, 1.0), wave(12), zi=pos(3))
    yield call(taps(*B), taps(2.0, 1.0, 0.1), wave(2, 12, dtype="c16"), zi=pos(2, 4))
    yield call(taps(1.0), taps(2.0, 1.0), arr(9, dtype="i4"))


row(
    "lfilter",
    "(b, a, x, axis=-1, zi=None)",
    rules.lfilter,
    _filterings,
    errors=lambda: [
        fails(AxisError, taps(*B), taps(*A), wave(5), axis=1),
        fails(ValueError, taps(*B), taps(*A), wave(5), zi=pos(2)),
    ],
)
row(
    "lfiltic",
    "(b, a, y, x=None)",
    rules.lfiltic,
    lambda: [
        call(taps(*B), taps(*A), pos(2)),
        call(taps(*B), taps(*A), pos(1), pos(2)),
        call(taps(*B), taps(*A), None, pos(3)),
        call(taps(1.0), taps(1.0), pos(2)),
    ],
)
row(
    "lfilter_zi",
    "(b, a)",
    rules.lfilter_zi,
    lambda: [call(taps(*B), taps(*A)), call(taps(*B), taps(1.0)), call(taps(1.0), taps(*A))],
)
row(
    "detrend",
    "(data, axis=-1, type='linear', bp=0, overwrite_data=False)",
    rules.detrend,
    lambda: [
        call(wave(12)),
        call(wave(3, 12, dtype="f4"), type="constant"),
        call(wave(12, 3), axis=0, bp=[4, 7]),
        call(arr(9, dtype="i4"), type="c"),
    ],
    errors=lambda: [
        fails(ValueError, wave(5), type="x"),
        fails(ValueError, wave(5), bp=9),
        fails(AxisError, wave(5), axis=2),
    ],
)
row(
    "filtfilt",
    "(b, a, x, axis=-1, padtype='odd', padlen=None, method='pad', irlen=None)",
    rules.filtfilt,
    lambda: [
        call(taps(*B), taps(*A), wave(20)),
        call(taps(*B, dtype="f4"), taps(*A, dtype="f4"), wave(2, 20, dtype="f4"), padtype="even"),
        call(taps(*B), taps(*A), wave(20, 2), axis=0, padtype=None),
        call(taps(*B), taps(*A), wave(20), method="gust"),
        call(taps(*B), taps(*A), wave(20), padtype="constant", padlen=4),
    ],
    errors=lambda: [
        fails(ValueError, taps(*B), taps(*A), wave(5)),
        fails(ValueError, taps(*B), taps(*A), wave(30), padtype="x"),
        fails(ValueError, taps(*B), taps(*A), wave(30), method="x"),
    ],
)
row(
    "sosfilt",
    "(sos, x, axis=-1, zi=None)",
    rules.sosfilt,
    lambda: [
        call(sections(), wave(12)),
        call(sections("f4"), wave(12, 2, dtype="f4"), axis=0),
        call(sections(), wave(12), zi=pos(2, 4)),
        call(sections(), wave(3, 12), zi=pos(2, 3, 4)),
    ],
    errors=lambda: [fails(ValueError, pos(2, 5), wave(12)), fails(ValueError, sections(), wave(12), zi=pos(2, 3))],
)
row("sosfilt_zi", "(sos)", rules.sosfilt_zi, lambda: [call(sections()), call(sections("f4"))])
row(
    "sosfiltfilt",
    "(sos, x, axis=-1, padtype='odd', padlen=None)",
    rules.sosfiltfilt,
    lambda: [call(sections(), wave(30)), call(sections("f4"), wave(30, 2, dtype="f4"), axis=0, padlen=5)],
    errors=lambda: [fails(ValueError, pos(2, 5), wave(30)), fails(ValueError, sections(), wave(3), padlen=5)],
    looks=True,
)
row(
    "@deconvolve",
    "(signal, divisor)",
    rules.deconvolve,
    lambda: [call(pos(7), pos(3)), call(pos(2), pos(3))],
    errors=lambda: [fails(ValueError, pos(2, 2), pos(3)), fails(ValueError, pos(3), pos(2, 2))],
)
row(
    "hilbert",
    "(x, N=None, axis=-1)",
    rules.hilbert,
    lambda: [call(wave(9)), call(wave(3, 8, dtype="f4"), N=6), call(arr(8, 2, dtype="i4"), axis=0)],
    errors=lambda: [
        fails(ValueError, pos(3, dtype="c8")),
        fails(ValueError, pos(3), N=0),
        fails(AxisError, pos(3), axis=1),
    ],
)
row(
    "hilbert2",
    "(x, N=None)",
    rules.hilbert2,
    lambda: [call(wave(4, 5)), call(wave(4, 5, dtype="f4"), N=(3, 6)), call(wave(5), N=4)],
    errors=lambda: [
        fails(ValueError, pos(2, 2, dtype="c8")),
        fails(ValueError, pos(2, 2, 2)),
        fails(ValueError, pos(2, 2), N=-1),
    ],
)

# -- resampling --------------------------------------------------------------------------------------------------------

row(
    "resample",
    "(x, num, t=None, axis=0, window=None, domain='time')",
    waves.resample,
    lambda: [
        call(wave(12), 8),
        call(wave(12), 15),
        call(wave(9, 3, dtype="f4"), 6, window="hann"),
        call(wave(3, 8, dtype="c16"), 5, axis=1),
        call(wave(8), 16, t=arr(8)),
        call(wave(8, dtype="c16"), 6, domain="freq"),
        call(wave(8), 5, window=pos(8)),
    ],
    errors=lambda: [fails(ValueError, wave(8), 4, domain="x"), fails(ValueError, wave(8), 4, window=pos(3))],
)
row(
    "resample_poly",
    "(x, up, down, axis=0, window=('kaiser', 5.0), padtype='constant', cval=None)",
    waves.resample_poly,
    lambda: [
        call(wave(12), 2, 3),
        call(wave(2, 12, dtype="f4"), 3, 1, axis=1, window=pos(21, dtype="f4")),
        call(wave(12), 4, 4),
        call(wave(12), 1, 2, window=[0.1, 0.8, 0.1]),
    ],
    errors=lambda: [
        fails(ValueError, wave(5), 0, 1),
        fails(ValueError, wave(5), 2, 1, padtype="line"),
        fails(ValueError, wave(5), 2, 1, window=pos(2, 2)),
    ],
)
row(
    "decimate",
    "(x, q, n=None, ftype='iir', axis=-1, zero_phase=True)",
    waves.decimate,
    lambda: [
        call(wave(60), 3),
        call(wave(60, dtype="f4"), 2, ftype="fir"),
        call(wave(2, 60), 4, zero_phase=False),
        call(wave(60), 4, n=10, ftype="fir", zero_phase=False),
    ],
    errors=lambda: [fails(ValueError, wave(60), 2, ftype="x"), fails(TypeError, wave(60), 2.5)],
)
row(
    "upfirdn",
    "(h, x, up=1, down=1, axis=-1, mode='constant', cval=0)",
    waves.upfirdn,
    lambda: [
        call(pos(3), wave(7), 2, 3),
        call(pos(3, dtype="f4"), wave(7, 2, dtype="f4"), up=2, axis=0),
        call([1.0, 2.0], wave(2, 3, 4)),
    ],
    errors=lambda: [
        fails(NotImplementedError, pos(3), wave(7), mode="wrap"),
        fails(ValueError, pos(2, 2), wave(7)),
        fails(ValueError, pos(3), wave(7), up=0),
    ],
)
row(
    "savgol_coeffs",
    "(window_length, polyorder, deriv=0, delta=1.0, pos=None, use='conv')",
    waves.savgol_coeffs,
    lambda: [call(5, 2), call(7, 3, deriv=1, use="dot"), call(6, 2), call(5, 2, deriv=3), call(5, 2, pos=0)],
    errors=lambda: [fails(ValueError, 5, 5), fails(ValueError, 5, 2, pos=5), fails(ValueError, 5, 2, use="x")],
)
row(
    "savgol_filter",
    "(x, window_length, polyorder, deriv=0, delta=1.0, axis=-1, mode='interp', cval=0.0)",
    waves.savgol_filter,
    lambda: [
        call(wave(12), 5, 2),
        call(wave(3, 12, dtype="f4"), 7, 3, mode="nearest"),
        call(arr(12, 2, dtype="i4"), 5, 2, deriv=1, axis=0),
    ],
    errors=lambda: [
        fails(ValueError, wave(4), 5, 2),
        fails(ValueError, wave(9), 5, 2, mode="x"),
        fails(ValueError, wave(9), 3, 3),
    ],
)

# -- splines -----------------------------------------------------------------------------------------------------------

row(
    "sepfir2d",
    "(input, hrow, hcol)",
    waves.sepfir2d,
    lambda: [
        call(wave(6, 7), pos(3), pos(5)),
        call(wave(6, 7, dtype="f4"), pos(3), pos(3)),
        call(wave(6, 7, dtype="c8"), pos(3), pos(3)),
    ],
    errors=lambda: [fails(ValueError, wave(6, 7), pos(2), pos(3))],
)
row("cspline1d", "(signal, lamb=0.0)", waves.cspline1d, lambda: [call(wave(12)), call(wave(12), lamb=2.0)])
row(
    "qspline1d",
    "(signal, lamb=0.0)",
    waves.qspline1d,
    lambda: [call(wave(12))],
    errors=lambda: [fails(ValueError, wave(12), 1.0)],
)
row(
    "cspline1d_eval",
    "(cj, newx, dx=1.0, x0=0)",
    waves.cspline1d_eval,
    lambda: [call(wave(12), pos(5)), call(wave(12), arr(5) * 4 - 6.3, dx=2.0, x0=1)],
    errors=lambda: [fails(ValueError, arr(0), pos(3))],
)
row(
    "qspline1d_eval",
    "(cj, newx, dx=1.0, x0=0)",
    waves.qspline1d_eval,
    lambda: [call(wave(12), pos(5)), call(wave(12), arr(5) * 4 - 6.3, dx=2.0)],
    errors=lambda: [fails(ValueError, arr(0), pos(3))],
)
row(
    "cspline2d",
    "(signal, lamb=0.0, precision=-1.0)",
    None,
    lambda: [call(wave(60, 61)), call(wave(60, 61), 5.0)],
    looks=True,
)
row(
    "qspline2d",
    "(signal, lamb=0.0, precision=-1.0)",
    waves.qspline2d,
    lambda: [call(wave(60, 61))],
    errors=lambda: [fails(ValueError, wave(6, 6), 1.0)],
    looks=True,
)
row(
    "spline_filter",
    "(Iin, lmbda=5.0)",
    waves.spline_filter,
    lambda: [call(wave(60, 61)), call(wave(60, 61, dtype="c8"))],
    errors=lambda: [fails(TypeError, arr(6, 6, dtype="i4"))],
    looks=True,
)
row("gauss_spline", "(x, n)", waves.gauss_spline, lambda: [call(wave(7), 3)])
row("symiirorder1", "(input, c0, z1, precision=-1.0)", None, lambda: [call(wave(120), 0.5, 0.3)], looks=True)
row("symiirorder2", "(input, r, omega, precision=-1.0)", None, lambda: [call(wave(120), 0.5, 0.3)], looks=True)

# -- waveforms ---------------------------------------------------------------------------------------------------------

row("sawtooth", "(t, width=1.0)", waves.sawtooth, lambda: [call(arr(9) - 4.0), call(arr(9) * 0.5, pos(9) - 1)])
row("square", "(t, duty=0.5)", waves.square, lambda: [call(arr(9) - 4.0), call(arr(9) * 0.5, pos(9) - 1)])
row(
    "@gausspulse",
    "(t, fc=1000, bw=0.5, bwr=-6, tpr=-60, retquad=False, retenv=False)",
    waves.gausspulse,
    lambda: [
        call(wave(9) * 1e-3),
        call(wave(9) * 1e-3, retquad=True, retenv=True),
        call(wave(9) * 1e-3, fc=300, retenv=True),
    ],
    errors=lambda: [
        fails(ValueError, pos(3), fc=-1),
        fails(ValueError, pos(3), bw=0),
        fails(ValueError, pos(3), bwr=1),
    ],
)
row(
    "chirp",
    "(t, f0, t1, f1, method='linear', phi=0, vertex_zero=True)",
    waves.chirp,
    lambda: (
        [call(pos(9), 1.0, 2.0, 3.0, each, 90) for each in ("linear", "quadratic", "log", "hyp")]
        + [call(arr(9, dtype="i4"), 1.0, 2.0, 3.0), call(pos(9), 1.0, 2.0, 3.0, "quad", vertex_zero=False)]
    ),
    errors=lambda: [
        fails(ValueError, pos(3), 1, 1, 2, "x"),
        fails(ValueError, pos(3), -1, 1, 2, "log"),
        fails(ValueError, pos(3), 0, 1, 2, "hyp"),
    ],
)
row(
    "sweep_poly",
    "(t, poly, phi=0)",
    waves.sweep_poly,
    lambda: [call(pos(9), taps(0.05, -0.7, 2.0)), call(pos(9), taps(1.0, 2.0), 90)],
)
row(
    "unit_impulse",
    "(shape, idx=None, dtype=float)",
    waves.unit_impulse,
    lambda: [call(7), call((3, 4), "mid"), call((3, 4), (1, 2), "f4"), call((3, 3), 1, int)],
    errors=lambda: [fails(ValueError, 3, 5)],
)
row(
    "max_len_seq",
    "(nbits, state=None, length=None, taps=None)",
    waves.max_len_seq,
    lambda: [call(4), call(5, length=40), call(4, state=np.array([1, 0, 0, 1])), call(5, taps=[2])],
    errors=lambda: [
        fails(ValueError, 40),
        fails(ValueError, 4, length=-1),
        fails(ValueError, 4, state=np.array([1, 0])),
    ],
    looks=True,
)

# -- chirp z-transform, wavelets ---------------------------------------------------------------------------------------

row(
    "czt_points",
    "(m, w=None, a=(1+0j))",
    waves.czt_points,
    lambda: [call(5), call(5, 0.9 + 0.1j, 1.1)],
    errors=lambda: [fails(ValueError, 0), fails(ValueError, 2.5)],
)
row(
    "czt",
    "(x, m=None, w=None, a=(1+0j), *, axis=-1)",
    waves.czt,
    lambda: [call(wave(9)), call(wave(3, 9), 5, axis=0)],
    errors=lambda: [fails(ValueError, wave(5), 0)],
)
row(
    "zoom_fft",
    "(x, fn, m=None, *, fs=2, endpoint=False, axis=-1)",
    waves.zoom_fft,
    lambda: [call(wave(9), 0.5), call(wave(9), [0.2, 0.7], 12, fs=3, endpoint=True)],
    errors=lambda: [fails(ValueError, wave(5), [1, 2, 3]), fails(ValueError, wave(5), 0.5, 0)],
)

# -- peaks -------------------------------------------------------------------------------------------------------------

for _name in ("argrelmin", "argrelmax"):
    row(
        _name,
        "(data, axis=0, order=1, mode='clip')",
        waves.argrelmin,
        lambda: [call(wave(20)), call(wave(4, 20), axis=1, order=2)],
        errors=lambda: [fails(ValueError, wave(5), order=0), fails(NotImplementedError, wave(5), mode="raise")],
    )
row(
    "@argrelextrema",
    "(data, comparator, axis=0, order=1, mode='clip')",
    waves.argrelextrema,
    lambda: [call(wave(20), "greater_equal"), call(wave(4, 20), "less", axis=1, mode="wrap")],
    errors=lambda: [
        fails(ValueError, wave(5), "less", order=0),
        fails(NotImplementedError, wave(5), "less", mode="raise"),
    ],
)
row(
    "peak_prominences",
    "(x, peaks, wlen=None)",
    waves.peak_prominences,
    lambda: [
        call(wave(20), np.array([3, 8])),
        call(wave(20, dtype="f4"), np.array([3, 8]), 5),
        call(wave(5), np.array([])),
    ],
    errors=lambda: [fails(ValueError, wave(4, 4), np.array([1])), fails(ValueError, wave(4), np.array([1]), wlen=1)],
    looks=True,
)
row(
    "peak_widths",
    "(x, peaks, rel_height=0.5, prominence_data=None, wlen=None)",
    waves.peak_widths,
    lambda: [
        call(wave(20), np.array([3, 8])),
        call(wave(20), np.array([3]), 0.3, (pos(1), np.array([1]), np.array([5]))),
    ],
    errors=lambda: [
        fails(ValueError, wave(9), np.array([1]), rel_height=-1),
        fails(TypeError, wave(9), np.array([1]), 0.5, (None, None, None)),
    ],
    looks=True,
)
row(
    "@find_peaks",
    "(x, height=None, threshold=None, distance=None, prominence=None, width=None, wlen=None, rel_height=0.5, plateau_size=None)",
    waves.find_peaks,
    lambda: [
        call(wave(30)),
        call(wave(30, dtype="f4"), height=0.1, width=1),
        call(wave(30), threshold=(0, None), distance=3, plateau_size=1),
    ],
    errors=lambda: [
        fails(ValueError, wave(4, 4)),
        fails(ValueError, wave(9), distance=0),
        fails(ValueError, wave(9), width=1, wlen=0),
    ],
    looks=True,
)
