"""Numbers of the CPU device in the families of manipulation, linear algebra, FFT and random."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cupool.apiserver.devices.cpu import ops

rng = np.random.default_rng(5)
A = rng.normal(size=(4, 4))
SPD = A @ A.T + 4 * np.eye(4)


def run(name: str, *args: Any, **kwargs: Any) -> Any:
    with np.errstate(all="ignore"):
        return ops.resolve(name)(*args, **kwargs)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_factorisations_multiply_back(dtype: str) -> None:
    a = (SPD + (0.1j * (A - A.T) if dtype.startswith("c") else 0)).astype(dtype)
    tolerance = {"rtol": 2e-3, "atol": 2e-3} if dtype in ("f4", "c8") else {}
    lower = run("linalg.cholesky", a)
    np.testing.assert_allclose(lower @ lower.conj().T, a, **tolerance)
    q, r = run("linalg.qr", a)
    np.testing.assert_allclose(q @ r, a, **tolerance)
    u, s, vh = run("linalg.svd", a)
    np.testing.assert_allclose(u @ np.diag(s) @ vh, a, **tolerance)
    w, v = run("linalg.eigh", a)
    np.testing.assert_allclose(v @ np.diag(w) @ v.conj().T, a, **tolerance)
    np.testing.assert_allclose(run("linalg.inv", a) @ a, np.eye(4), **tolerance or {"atol": 1e-12})
    np.testing.assert_allclose(a @ run("linalg.solve", a, a[:, 0]), a[:, 0], **tolerance or {"atol": 1e-12})


def test_singular_matrices_give_nan_and_spare_their_neighbours() -> None:
    stack = np.stack([np.eye(2), np.zeros((2, 2)), 2 * np.eye(2)])
    inverse = run("linalg.inv", stack)
    assert np.array_equal(inverse[0], np.eye(2)) and np.array_equal(inverse[2], np.eye(2) / 2)
    assert np.isnan(inverse[1]).all()
    assert np.isnan(run("linalg.solve", np.zeros((2, 2)), np.ones(2))).all()
    assert np.isnan(run("linalg.cholesky", -np.eye(2))).all()
    assert run("linalg.cond", np.zeros((2, 2)), 1) == np.inf


def test_least_squares() -> None:
    a, b = rng.normal(size=(6, 2)), rng.normal(size=6)
    x, residuals, rank, _ = run("linalg.lstsq", a, b)
    expected = np.linalg.lstsq(a, b, rcond=None)
    np.testing.assert_allclose(x, expected[0])
    np.testing.assert_allclose(residuals, expected[1])
    assert rank == 2 and rank.dtype == np.int32
    _, residuals, rank, _ = run("linalg.lstsq", np.ones((6, 2)), b)
    assert rank == 1 and residuals.shape == (0,)
    np.testing.assert_allclose(run("linalg.pinv", a), np.linalg.pinv(a))


@pytest.mark.parametrize("name", ["fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"])
@pytest.mark.parametrize("options", [{}, {"s": (3, 8), "axes": (-2, -1)}, {"axes": (1, 0)}, {"norm": "ortho"}])
def test_transforms_along_several_axes(name: str, options: dict[str, Any]) -> None:
    a = rng.normal(size=(4, 6, 5))
    np.testing.assert_allclose(run(f"fft.{name}", a, **options), getattr(np.fft, name)(a, **options), atol=1e-12)


def test_single_precision_stays() -> None:
    a = rng.normal(size=8).astype("f4")
    assert run("fft.rfft", a).dtype == np.complex64
    assert run("fft.irfft", run("fft.rfft", a)).dtype == np.float32
    assert run("fft.fft", a.astype("f2")).dtype == np.complex64
    # CuPy drops an imaginary part where NumPy refuses.
    np.testing.assert_allclose(run("fft.rfft", a.astype("c8") + 1j), run("fft.rfft", a))


def test_cross_products_of_two_and_three_dimensions() -> None:
    a, b = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    np.testing.assert_allclose(run("cross", a, b), np.cross(a, b))
    np.testing.assert_allclose(run("cross", a[:, :2], b[:, :2]), a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def test_choose_beyond_numpys_limit() -> None:
    choices = np.arange(100 * 3).reshape(100, 3)
    index = np.array([99, 0, 70])
    assert run("choose", index, choices).tolist() == [297, 1, 212]
    with pytest.raises(ValueError, match="invalid entry"):
        run("choose", np.array([100, 0, 0]), choices)


def test_scatter_accumulates_duplicates_and_masks() -> None:
    a = np.zeros(4)
    run("cupyx.scatter_add", a, np.array([0, 0, 5]), np.array([1.0, 2.0, 4.0]))
    assert a.tolist() == [3, 4, 0, 0]
    run("ufunc.at", "maximum", a, np.array([2, 2]), b=np.array([5.0, 1.0]))
    assert a.tolist() == [3, 4, 5, 0]
    run("ufunc.at", "subtract", a, (np.array([True, False, False, True]),), b=1.0)
    assert a.tolist() == [2, 4, 5, -1]


def test_assignment_converts_as_a_gpu_does() -> None:
    a = np.zeros(2, np.uint8)
    run("ndarray.__setitem__", a, slice(None), np.array([-3.0, 300.0]))
    assert a.tolist() == [0, 44]


# -- random ---------------------------------------------------------------------------------------------------------------------
def state(seed: int = 3) -> Any:
    return run("random.RandomState", seed=seed)


def test_a_seed_repeats_its_stream_and_no_other() -> None:
    first, again, other = (run("random.RandomState.normal", state(s), size=100) for s in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    s = state(9)
    run("random.RandomState.seed", s, seed=3)
    assert np.array_equal(run("random.RandomState.normal", s, size=100), first)
    streams = [
        run(f"random.{kind}.random_raw", run(f"random.{kind}", seed=3), size=20)
        for kind in ("XORWOW", "MRG32k3a", "Philox4x3210")
    ]
    assert not np.array_equal(streams[0], streams[1]) and not np.array_equal(streams[1], streams[2])


def test_a_state_survives_as_plain_values() -> None:
    s = state()
    run("random.RandomState.randint", s, 10, size=3, dtype="i4")
    copy = type(s).restore(s.state())
    assert np.array_equal(run("random.RandomState.normal", s, size=5), run("random.RandomState.normal", copy, size=5))


MOMENTS: dict[str, tuple[tuple[Any, ...], dict[str, Any], float, float]] = {
    "normal": ((), {"loc": 2.0, "scale": 3.0}, 2.0, 3.0),
    "uniform": ((), {"low": 1.0, "high": 3.0}, 2.0, 2 / 12**0.5),
    "exponential": ((), {"scale": 2.0}, 2.0, 2.0),
    "gamma": ((4.0,), {"scale": 0.5}, 2.0, 1.0),
    "beta": ((2.0, 2.0), {}, 0.5, 0.05**0.5),
    "binomial": ((10, 0.5), {}, 5.0, 2.5**0.5),
    "poisson": ((), {"lam": 4.0}, 4.0, 2.0),
    "laplace": ((), {"loc": 1.0}, 1.0, 2**0.5),
    "rayleigh": ((), {"scale": 1.0}, 1.2533, 0.6551),
    "randint": ((0,), {"high": 11}, 5.0, 10**0.5),
    "random_sample": ((), {}, 0.5, 12**-0.5),
}


@pytest.mark.parametrize("name", sorted(MOMENTS))
def test_distributions_have_their_mean_and_deviation(name: str) -> None:
    args, kwargs, mean, deviation = MOMENTS[name]
    x = run(f"random.RandomState.{name}", state(), *args, size=20_000, **kwargs)
    assert abs(x.mean() - mean) < 5 * deviation / 20_000**0.5
    assert abs(x.std() - deviation) < 0.05 * deviation


def test_choice_without_replacement_and_with_weights() -> None:
    assert sorted(run("random.RandomState.choice", state(), 10, size=10, replace=False).tolist()) == list(range(10))
    drawn = run("random.RandomState.choice", state(), 3, size=5000, p=np.array([0.0, 0.25, 0.75]))
    assert 0.2 < (drawn == 1).mean() < 0.3 and not (drawn == 0).any()
    with pytest.raises(ValueError, match="do not sum"):
        run("random.RandomState.choice", state(), 2, size=1, p=np.array([0.5, 0.6]))


def test_shuffle_and_permutation_keep_rows_together() -> None:
    a = np.arange(20).reshape(10, 2)
    shuffled = a.copy()
    run("random.RandomState.shuffle", state(), shuffled)
    assert not np.array_equal(shuffled, a) and np.array_equal(np.sort(shuffled, axis=0), a)
    assert (np.diff(run("random.RandomState.permutation", state(), a)) == 1).all()
