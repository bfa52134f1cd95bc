"""Calls at the edges of what functions take: the answers are CuPy's, and none of them disturbs the calls after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import session


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    session.current()
    yield
    session.close()


def test_too_many_dimensions_are_refused_here_and_the_session_goes_on() -> None:
    with pytest.raises(ValueError, match="maximum supported dimension"):
        cp.zeros((1,) * 65)
    with pytest.raises(ValueError, match=r"maximum supported dimension|axis"):
        cp.expand_dims(cp.zeros((1,) * 64), 0)
    assert cp.ones((1,) * 64).sum().item() == 1


def deep(levels: int) -> np.dtype[np.void]:
    dtype = np.dtype([("leaf", "i4")])
    for _ in range(levels):
        dtype = np.dtype([("more", dtype)])
    return dtype


@pytest.mark.parametrize(
    "call",
    [
        lambda: cp.zeros((2**40, 2**40)),
        lambda: cp.empty(2**62, "u1"),
        lambda: cp.repeat(cp.zeros(3), 2**61),
        lambda: cp.lib.stride_tricks.as_strided(cp.zeros(3), (3,), (2**62,)),
        lambda: cp.zeros(3, "i8").view(object),
        lambda: cp.zeros(2, deep(12)),
        lambda: cp.zeros(2, np.dtype([(f"f{i}", "i4") for i in range(5000)])),
        lambda: cp.zeros(2, "V2000000"),
        lambda: cp.einsum(*[part for _ in range(5000) for part in (cp.zeros(1), [0])]),
    ],
    ids=["product", "length", "repeat", "strides", "object", "deep dtype", "wide dtype", "large item", "many arrays"],
)
def test_what_no_server_takes_is_refused_here_and_the_session_goes_on(call: Callable[[], object]) -> None:
    kept = cp.arange(3)
    with pytest.raises(ValueError, match=r"too big|Unsupported dtype|too large|at most"):
        call()
    assert kept.tolist() == [0, 1, 2]


def test_einsum_sums_as_the_dtype_that_is_asked_for() -> None:
    a = np.ones((2, 2, 3), bool)
    assert cp.einsum("ii...->...", cp.array(a), dtype="i4").tolist() == [2, 2, 2]
    # Subscripts as an array are no operand.
    b = np.arange(9, dtype="f4").reshape(3, 3)
    traced = cp.einsum(cp.array(b), np.array([0, 0]))
    assert traced.dtype == np.float32 and traced.item() == 12


def test_masks_without_dimensions() -> None:
    a = cp.array(3.0)
    a[a > 2] = 7
    assert a.item() == 7 and a[a > 2].tolist() == [7] and a[a < 2].tolist() == []
    b = cp.arange(3)
    b[cp.array(False)] = 5
    assert b.tolist() == [0, 1, 2]
    with pytest.raises(IndexError, match="zero-dimensional boolean"):
        cp.zeros((2, 2))[cp.array([0]), cp.array(True)].get()


def test_booleans_against_integers_of_any_size() -> None:
    a = cp.array([True, False])
    for scalar in (2**63, 2**64 - 1, -(2**63)):
        assert (a < scalar).tolist() == [scalar > 0] * 2
        assert (scalar >= a).tolist() == [scalar > 0] * 2


def test_arguments_that_only_look_right() -> None:
    with pytest.raises(TypeError, match="mask"):
        cp.copyto(cp.zeros(3), cp.ones(3), where=cp.ones(3))
    with pytest.raises(ValueError, match="invalid literal"):
        cp.roll(cp.arange(4), "a", axis=0)


def test_draws_without_size() -> None:
    # One number, from a command whose only operand is the generator.
    assert cp.random.RandomState(3).uniform().shape == ()
    assert cp.random.default_rng(3).random().shape == ()
    assert 0 < cp.random.default_rng(3).exponential(2.0).item()
    assert 0 < cp.random.default_rng(3).standard_exponential().item()


def test_a_generator_continues_with_the_bit_generator_that_it_is_given() -> None:
    wanted = cp.random.Generator(cp.random.Philox4x3210(5)).random(3).tolist()
    generator = cp.random.default_rng(1)
    generator.bit_generator = cp.random.Philox4x3210(5)
    assert isinstance(generator.bit_generator, cp.random.Philox4x3210)
    assert generator.random(3).tolist() == wanted
    with pytest.raises(TypeError, match="BitGenerator"):
        generator.bit_generator = 5
