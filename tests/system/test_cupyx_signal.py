"""`cupyx.scipy.signal` through a real server: what is more than an op, and when a call waits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.signal
from cupool.shim import cupy as cp
from cupool.shim import cupyx, session
from live import waits

signal: Any = cupyx.scipy.signal
sp: Any = scipy.signal


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    session.current()
    cp.array(np.zeros(100_000)).get()
    signal.hilbert(cp.ones(8)).get()  # the server imports SciPy's part now, so that no test is slow
    yield
    session.close()


def wave(n: int = 200) -> Any:
    """A signal with peaks of several heights."""
    t = np.arange(n)
    return np.sin(t * 0.3) + 0.4 * np.sin(t * 1.7) + 0.01 * t


def close(ours: Any, theirs: Any, **options: Any) -> None:
    np.testing.assert_allclose(
        ours.get() if isinstance(ours, cp.ndarray) else ours, theirs, rtol=1e-9, atol=1e-9, **options
    )


def test_filtering_does_not_wait() -> None:
    b, a = cp.asarray([0.2, 0.3]), cp.asarray([1.0, -0.4])
    x = cp.asarray(wave())
    before = waits()
    y = signal.lfilter(b, a, x)
    z = signal.hilbert(signal.convolve(y, b, mode="same"))
    freqs, power = signal.welch(z.real, nperseg=64)
    assert waits() == before
    filtered = sp.lfilter([0.2, 0.3], [1.0, -0.4], wave())
    expected = sp.welch(sp.hilbert(np.convolve(filtered, [0.2, 0.3], "same")).real, nperseg=64)
    close(freqs, expected[0])
    close(power, expected[1])


def test_a_filter_state_continues_where_the_last_call_ended() -> None:
    b, a = cp.asarray([0.2, 0.3, 0.1]), cp.asarray([2.0, -0.4])
    x = cp.asarray(wave())
    zi = cp.zeros(3)
    whole, _ = signal.lfilter(b, a, x, zi=zi)
    first, state = signal.lfilter(b, a, x[:90], zi=zi)
    second, _ = signal.lfilter(b, a, x[90:], zi=state)
    close(cp.concatenate([first, second]), whole.get())
    # CuPy's states hold the last inputs, then the last outputs.
    close(state, np.concatenate([wave()[88:90], first.get()[-1:]]))


def test_a_step_starts_at_rest_with_the_state_of_a_step() -> None:
    sos = cp.asarray(sp.butter(4, 0.2, output="sos"))
    y, _ = signal.sosfilt(sos, cp.ones(30), zi=signal.sosfilt_zi(sos))
    close(y, np.ones(30))
    b, a = (cp.asarray(c) for c in sp.butter(3, 0.2))
    y, _ = signal.lfilter(b, a, cp.ones(30), zi=signal.lfilter_zi(b, a))
    close(y, np.ones(30))


def test_design_raises_at_the_call() -> None:
    with pytest.raises(ValueError, match="critical frequencies"):
        signal.butter(3, cp.asarray(1.5))
    with pytest.raises(ValueError, match="output form"):
        signal.butter(3, 0.5, output="x")
    with pytest.raises(ValueError, match="sos\\[:, 3\\]"):
        signal.sosfiltfilt(cp.ones((2, 6)) * 2, cp.ones(50))


def test_orders_are_ints_and_warn() -> None:
    order, wn = signal.buttord(0.2, 0.3, 3, 40)
    assert type(order) is int and order == sp.buttord(0.2, 0.3, 3, 40)[0]
    close(wn, sp.buttord(0.2, 0.3, 3, 40)[1])
    with pytest.warns(signal.BadCoefficients, match="Badly conditioned"):
        num, den = signal.normalize(cp.asarray([0.0, 1.0]), cp.asarray([2.0, 1.0]))
    close(num, [0.5])
    close(den, [1.0, 0.5])
    with pytest.warns(UserWarning, match="45dB"):
        signal.windows.chebwin(9, 30)


def test_peaks_and_their_properties() -> None:
    peaks, properties = signal.find_peaks(cp.asarray(wave()), height=0.2, distance=5, prominence=(0.1, None), width=1)
    expected, theirs = sp.find_peaks(wave(), height=0.2, distance=5, prominence=(0.1, None), width=1)
    close(peaks, expected)
    assert list(properties) == [
        "peak_heights", "prominences", "left_bases", "right_bases", "widths", "width_heights", "left_ips", "right_ips",
    ]  # fmt: skip
    for name, value in properties.items():
        close(value, theirs[name])
    (found,) = signal.argrelextrema(cp.asarray(wave()), cp.greater, order=3)
    close(found, sp.argrelextrema(wave(), np.greater, order=3)[0])
    with pytest.raises(KeyError):
        signal.argrelextrema(cp.asarray(wave()), np.greater)


def test_a_function_of_the_program_removes_the_trend() -> None:
    x = cp.asarray(wave(500))
    freqs, power = signal.welch(x, nperseg=100, detrend=lambda d: signal.detrend(d, type="linear"))
    expected = sp.welch(wave(500), nperseg=100, detrend="linear")
    close(freqs, expected[0])
    close(power, expected[1])
    *_, made = signal.stft(x, nperseg=100, detrend=lambda d: d - d.mean(axis=-1, keepdims=True))
    close(made, sp.stft(wave(500), nperseg=100, detrend="constant")[2])


def test_an_stft_comes_back() -> None:
    _, _, made = signal.stft(cp.asarray(wave(500)), nperseg=100)
    _, back = signal.istft(made, nperseg=100)
    close(back[:500], wave(500))
    with pytest.warns(UserWarning, match="NOLA"):
        signal.istft(made, nperseg=100, noverlap=0, window="hann", boundary=False)


SYSTEM = ([1.0, 0.5], [1.0, 0.3, 2.0])


def test_systems_change_their_form_and_respond() -> None:
    ours, theirs = signal.lti(*(cp.asarray(c) for c in SYSTEM)), sp.lti(*SYSTEM)
    assert isinstance(ours, signal.TransferFunction)
    close(ours.to_ss().A, theirs.to_ss().A)
    np.testing.assert_allclose(np.sort_complex(ours.poles.get()), np.sort_complex(theirs.poles))
    t = np.linspace(0, 5, 40)
    for name in ("impulse", "step"):
        times, values = getattr(ours, name)(T=cp.asarray(t))
        close(times, t)
        close(values, getattr(theirs, name)(T=t)[1])
    close(ours.output(cp.asarray(np.sin(t)), cp.asarray(t))[1], theirs.output(np.sin(t), t)[1])
    for mine, other in zip(ours.bode(cp.asarray(t + 0.1)), theirs.bode(t + 0.1), strict=True):
        close(mine, other)
    with pytest.warns(signal.BadCoefficients):  # the sampled numerator begins with 0
        sampled = ours.to_discrete(0.1)
    with pytest.warns(sp.BadCoefficients):
        expected = theirs.to_discrete(0.1)
    assert isinstance(sampled, signal.dlti) and sampled.dt == 0.1
    close(sampled.num, expected.num.ravel())
    close(sampled.step(n=20)[1][0], expected.step(n=20)[1][0])


def test_state_spaces_add_and_multiply() -> None:
    ours, theirs = signal.lti(*(cp.asarray(c) for c in SYSTEM)).to_ss(), sp.lti(*SYSTEM).to_ss()
    for mine, other in (
        (ours + ours, theirs + theirs),
        (ours * ours, theirs * theirs),
        (2 * ours - 1, 2 * theirs - 1),
        (ours / 2, theirs / 2),
    ):
        for name in "ABCD":
            close(getattr(mine, name), getattr(other, name))
    with pytest.raises(TypeError, match="different"):
        signal.StateSpace(1, 1, 1, 1, dt=0.1) * signal.StateSpace(1, 1, 1, 1, dt=0.2)


def test_poles_are_placed() -> None:
    a, b = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[1.0], [0.5]])
    found = signal.place_poles(cp.asarray(a), cp.asarray(b), cp.asarray([-1.0, -2.0]))
    np.testing.assert_allclose(np.sort(np.linalg.eigvals(a - b @ found.gain_matrix.get()).real), [-2.0, -1.0])
    with pytest.raises(ValueError, match="maximum number"):
        signal.place_poles(cp.asarray(a), cp.asarray(b), cp.ones(3))


def test_chirp_transforms_remember_their_parameters() -> None:
    x = cp.asarray(wave(50))
    transform = signal.ZoomFFT(50, [0.1, 0.4], 30)
    close(transform(x), sp.zoom_fft(wave(50), [0.1, 0.4], 30))
    close(transform.points(), sp.ZoomFFT(50, [0.1, 0.4], 30).points())
    close(signal.CZT(50, 20)(x), sp.czt(wave(50), 20))
    with pytest.raises(ValueError, match="length 50"):
        transform(x[:10])


def test_a_discrete_system_decimates() -> None:
    system = signal.dlti(*signal.cheby1(4, 0.05, 0.4))
    theirs = sp.dlti(*sp.cheby1(4, 0.05, 0.4))
    close(signal.decimate(cp.asarray(wave()), 2, ftype=system), sp.decimate(wave(), 2, ftype=theirs))


def test_wavelets_say_that_they_will_go() -> None:
    with pytest.warns(np.exceptions.VisibleDeprecationWarning):
        made = signal.ricker(9, 2.0)
    assert made.shape == (9,) and float(made[4]) == pytest.approx(2 / (np.sqrt(6) * np.pi**0.25))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert signal.cwt(cp.asarray(wave(30)), signal.ricker, [1, 2, 3]).shape == (3, 30)


def test_sizes_and_factors_may_be_device_arrays() -> None:
    image = wave(48).reshape(6, 8)
    a, whole = cp.asarray(image), np.array([3, 5])
    close(signal.medfilt(a, cp.asarray(whole)), sp.medfilt(image, whole))
    close(signal.medfilt2d(a, cp.array(3)), sp.medfilt2d(image, 3))
    close(signal.wiener(a, cp.asarray(whole)), sp.wiener(image, whole))
    close(signal.resample_poly(a, cp.array(3), 2, axis=1), sp.resample_poly(image, 3, 2, axis=1))
