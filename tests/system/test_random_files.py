"""`cupy.random`, files and polynomials through a real server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import session
from cupool.shim.cupy import random
from live import waits


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    random.reset_states()
    session.current()
    yield
    random.reset_states()
    session.close()


def test_drawing_does_not_wait() -> None:
    random.seed(1)
    before = waits()
    x = random.normal(size=(100, 3)) * random.uniform(0.5, 1.0, size=(100, 1))
    x += random.randint(0, 5, size=(100, 3))
    x = x[random.permutation(100)]
    random.shuffle(x)
    random.choice(10, size=4)
    assert waits() == before
    assert x.get().shape == (100, 3)


def test_a_seed_repeats_the_global_stream() -> None:
    random.seed(7)
    first = random.rand(5).get()
    random.seed(7)
    assert np.array_equal(random.rand(5).get(), first)
    assert not np.array_equal(random.rand(5).get(), first)


def test_the_environment_seeds_a_fresh_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPY_SEED", "11")
    random.reset_states()
    first = random.random_sample(4).get()
    random.reset_states()
    assert np.array_equal(random.random_sample(4).get(), first)
    monkeypatch.delenv("CUPY_SEED")
    random.reset_states()
    assert not np.array_equal(random.random_sample(4).get(), first)


def test_states_are_objects_of_their_own() -> None:
    mine = random.RandomState(3)
    kept = random.get_random_state()
    random.set_random_state(mine)
    try:
        assert random.get_random_state() is mine
        with pytest.raises(TypeError, match="instance of RandomState"):
            random.set_random_state(3)  # type: ignore[arg-type]
    finally:
        random.set_random_state(kept)
    assert np.array_equal(mine.normal(size=3).get(), random.RandomState(3).normal(size=3).get())
    assert np.array_equal(
        random.default_rng(5).standard_normal(3).get(), random.Generator(random.XORWOW(5)).standard_normal(3).get()
    )


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: random.RandomState("a"), TypeError),
        (lambda: random.RandomState(-1), ValueError),
        (lambda: random.randint(5, 5), ValueError),
        (lambda: random.randint(0, 300, dtype="u1"), ValueError),
        (lambda: random.rand(2, dtype="i4"), TypeError),
        (lambda: random.rand(2, wrong=1), TypeError),
        (lambda: random.shuffle(cp.zeros(())), TypeError),
        (lambda: random.default_rng(1).integers(3, 3), ValueError),
        (lambda: random.hypergeometric(-1, 2, 3), ValueError),
        (lambda: random.BitGenerator(1).random_raw(), NotImplementedError),
    ],
)
def test_errors_come_at_the_call(call: Any, error: type[Exception]) -> None:
    before = waits()
    with pytest.raises(error):
        call()
    assert waits() == before


def test_seed_sequences_and_arrays_as_seeds() -> None:
    spawned = np.random.SeedSequence(9).spawn(2)
    a, b = (random.default_rng(s).random(4).get() for s in spawned)
    assert not np.array_equal(a, b)
    array = np.arange(4)
    assert np.array_equal(random.RandomState(array).rand(3).get(), random.RandomState(array.copy()).rand(3).get())
    assert random.XORWOW([1, 2, 3]).random_raw(4).dtype == np.int32


def test_multinomial_counts_add_up() -> None:
    counts = random.multinomial(20, [0.2, 0.3, 0.5], size=(4, 2))
    assert counts.shape == (4, 2, 3)
    assert (counts.sum(axis=-1).get() == 20).all()


def test_files_round_trip(tmp_path: Path) -> None:
    a, b = cp.arange(6.0).reshape(2, 3), cp.arange(3, dtype="i4")
    cp.save(tmp_path / "a.npy", a)
    assert (cp.load(tmp_path / "a.npy") == a).all()
    assert np.array_equal(np.load(tmp_path / "a.npy"), a.get())
    for save in (cp.savez, cp.savez_compressed):
        save(tmp_path / "both.npz", a, named=b)
        with cp.load(tmp_path / "both.npz") as both:
            assert isinstance(both["named"], cp.ndarray) and both["named"].dtype == np.int32
            assert (both["arr_0"] == a).all()
    text = io.StringIO()
    cp.savetxt(text, a)
    text.seek(0)
    assert (cp.loadtxt(text) == a).all()
    assert cp.array_str(b) == "[0 1 2]" and cp.array_repr(b) == "array([0, 1, 2], dtype=int32)"


def test_polynomials() -> None:
    x = np.linspace(0, 1, 20)
    y = 3 * x**2 - 2 * x + 1 + 0.1 * np.sin(40 * x)
    device_x, device_y = cp.asarray(x), cp.asarray(y)
    weights = np.linspace(1, 2, 20)
    ours = cp.polyfit(device_x, device_y, 2, w=cp.asarray(weights), cov=True)
    theirs = np.polyfit(x, y, 2, w=weights, cov=True)
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got.get(), expected)
    np.testing.assert_allclose(cp.polyval(ours[0], device_x).get(), np.polyval(theirs[0], x))
    p, q = [1.0, 2.0], [0.0, 1.0, 3.0, 4.0]
    for name in ("polyadd", "polysub", "polymul"):
        np.testing.assert_allclose(getattr(cp, name)(cp.array(p), cp.array(q)).get(), getattr(np, name)(p, q))
