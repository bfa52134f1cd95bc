"""Programs whose every key is another one: views and assignments by numbers, through every table that remembers some."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import indexing, operators, session, slicing


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    session.current()
    yield
    session.close()


def a_number(r: random.Random, n: int) -> Any:
    return r.choice([None, r.randint(-n - 2, n + 2), np.int64(r.randint(-n - 1, n + 1)), np.uint8(r.randint(0, n))])


def a_part(r: random.Random, n: int) -> Any:
    kind = r.randrange(9)
    if kind < 3:
        return r.randint(-n - 1, n) if kind else np.int32(r.randint(-n, max(n - 1, 0)))
    if kind < 8:
        return slice(a_number(r, n), a_number(r, n), r.choice([None, 1, 2, -1]) if kind == 7 else None)
    return r.choice([None, Ellipsis, slice(None)])


SHAPES = ((5,), (4, 6), (3, 4, 5), (2, 3, 2, 5), (), (0, 3), (1, 7))


@pytest.mark.parametrize("room", [1, 3, 512])
def test_views_and_assignments_by_random_keys_are_numpys(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "MAX_KEYS", room)
    monkeypatch.setattr(indexing, "PATIENCE", 7)
    monkeypatch.setattr(slicing, "MAX_LENGTHS", 20)
    operators.clear()
    r = random.Random(room)
    hosts = [np.arange(np.prod(s, dtype=int)).reshape(s).astype(dtype) for s in SHAPES for dtype in "fdi"]
    pairs = [(h, cp.asarray(h)) for h in hosts] + [(h.T, cp.asarray(h).T) for h in hosts if h.ndim == 2]
    compared = 0
    for _ in range(500):
        host, device = r.choice(pairs)
        key: Any = tuple(a_part(r, n) for n in host.shape[: r.choice([1, 2, 2, 3, 4])])
        if len(key) == 1 and r.random() < 0.7:
            key = key[0]
        try:
            view = host[key]
        except IndexError:
            with pytest.raises(IndexError):
                device[key]
            continue
        made = device[key]
        assert made.shape == np.shape(view), (host.shape, key)
        if np.size(view) > 1:
            assert made.strides == view.strides, (host.shape, key)
        assert np.array_equal(made.get(), view), (host.shape, key)
        value: Any = r.choice(
            [r.randint(-9, 9), r.random(), np.asarray(np.arange(np.size(view)).reshape(np.shape(view)), "f4")]
        )
        host, device = host.copy(), device.copy()
        host[key] = value
        device[key] = cp.asarray(value) if isinstance(value, np.ndarray) else value
        assert np.array_equal(device.get(), host), (host.shape, key, value)
        compared += 1
    assert compared > 200


def test_keys_that_are_not_met_again_take_no_detour_through_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    a = cp.zeros((40, 50))
    for length in range(1, 40):
        a[0, :length]
    calls: list[Any] = []
    monkeypatch.setattr(indexing, "basic", lambda *args: calls.append(args))
    expected = np.zeros((40, 50))
    for i in range(1, 40):
        for j in range(1, 40):
            a[i, :j] = 7
            expected[i, :j] = 7
    assert not calls
    assert np.array_equal(a.get(), expected)


def test_an_assignment_that_is_remembered_warns_and_casts_as_the_first_one() -> None:
    real, whole = cp.zeros(4), cp.zeros(4, "i4")
    for _ in range(3):
        with pytest.warns(np.exceptions.ComplexWarning):
            real[1:3] = cp.asarray([1 + 2j, 3j])
        whole[:2] = cp.asarray([1.75, -2.5])
        whole[2:] = cp.asarray([[8], [9]]).T
        assert real.tolist() == [0, 1, 0, 0]
        assert whole.tolist() == [1, -2, 8, 9]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            real[...] = cp.asarray([1.0, 2, 3, 4])
            real[1:] = real[:-1]
    for _ in range(3):
        with pytest.raises(ValueError, match="broadcast"):
            real[1:] = cp.ones(2)
