"""The CPU device's numbers: NumPy's where NumPy and CuPy agree, CuPy's where they do not."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.devices.cpu import ops_indexing
from cupool.apiserver.devices.cpu.casting import cast
from cupool.apiserver.devices.cpu.ops import OPS, resolve
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cupool.contract.ops.rules import reductions
from cupool.contract.spec import spec_like

A = np.array([[3.0, -1.5, 2.0], [0.5, 4.0, -2.0]])
NAN = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, 2.0]])


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


SAME = (
    "sum",
    "prod",
    "max",
    "min",
    "argmax",
    "argmin",
    "mean",
    "var",
    "std",
    "median",
    "all",
    "any",
    "ptp",
    "count_nonzero",
)


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("char", list("bBhilefdFD"))
def test_reductions_agree_with_numpy(name: str, axis: int | None, char: str) -> None:
    a = np.array([[3, 1, 2], [0, 4, 5]]).astype(char)
    ours = resolve(name)(a, axis=axis)
    wide = a.astype("f8") if char == "e" else a
    np.testing.assert_allclose(ours, getattr(np, name)(wide, axis=axis), rtol=1e-3 if char == "e" else 1e-6)


@pytest.mark.parametrize(
    "name",
    ["nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd", "nanmedian", "nancumsum", "nancumprod"],
)
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_nan_forms_agree_with_numpy(name: str, axis: int | None) -> None:
    np.testing.assert_allclose(resolve(name)(NAN, axis=axis), getattr(np, name)(NAN, axis=axis))


@settings(max_examples=80, deadline=None)
@given(hnp.array_shapes(min_dims=1, max_dims=4, max_side=3), st.data())
def test_reductions_over_any_axes(shape: Any, data: Any) -> None:
    a = np.arange(np.prod(shape), dtype="i4").reshape(shape)
    axes = data.draw(st.one_of(st.none(), hnp.valid_tuple_axes(len(shape))))
    keepdims = data.draw(st.booleans())
    promised = reductions.summed("sum")(spec_like(a), axes, keepdims=keepdims)
    actual = resolve("sum")(a, axis=axes, keepdims=keepdims)
    assert (promised.shape, promised.dtype) == (actual.shape, actual.dtype)
    assert (actual == a.sum(axis=axes, keepdims=keepdims)).all()


def test_sums_and_products_of_booleans_as_booleans() -> None:
    a = np.array([True, True, False])
    assert resolve("sum")(a, dtype=np.bool_).dtype == np.bool_ and bool(resolve("sum")(a, dtype=np.bool_))
    assert not bool(resolve("prod")(a, dtype=np.bool_))
    assert int(resolve("sum")(a)) == 2


def test_float16_adds_up_in_float32() -> None:
    a = np.ones((4, 3000), np.float16)
    assert (resolve("sum")(a, axis=1) == 3000).all()
    assert (resolve("sum")(a.T, axis=0) == 3000).all()
    assert (resolve("mean")(a.T, axis=0) == 1).all()


def test_where_there_is_nothing() -> None:
    assert np.isnan(resolve("mean")(np.zeros((0,))))
    assert np.isnan(resolve("var")(np.array([2.0, 5.0]), ddof=2))  # NumPy: inf
    assert (resolve("nanargmax")(NAN[1:, :2], axis=1) == -1).all()  # NumPy raises
    assert np.isnan(resolve("nanmax")(NAN[1:, :2], axis=1)).all()


def test_parts_of_complex_numbers_are_nan_by_themselves() -> None:
    a = np.array([complex(1, np.nan), complex(np.nan, 2)])
    assert complex(resolve("nansum")(a)) == 1 + 2j  # NumPy: 0


@pytest.mark.parametrize(
    "method",
    ["linear", "lower", "higher", "midpoint", "nearest", "inverted_cdf", "hazen", "weibull", "median_unbiased"],
)
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_quantiles_agree_with_numpy(method: str, axis: int | None) -> None:
    for q in (0.0, 0.3, np.array([0.25, 1.0])):
        ours = resolve("quantile")(A, q, axis=axis, method=method)
        np.testing.assert_allclose(ours, np.quantile(A, q, axis=axis, method=method))
    np.testing.assert_allclose(resolve("percentile")(A, 30, axis=axis), np.percentile(A, 30, axis=axis))


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_places_of_quantiles_are_found_in_the_dtype_of_q(method: str) -> None:
    a, hundredths = np.arange(101, dtype="f"), np.arange(101) / 100
    for name, q in (("quantile", hundredths.astype("f")), ("percentile", np.arange(101, dtype="f"))):
        ours = resolve(name)(a, q, method=method)
        np.testing.assert_allclose(ours, getattr(np, name)(a, q, method=method), rtol=2e-6)
        assert ours.dtype == np.float32
    half = resolve("quantile")(np.zeros(70_000, "f"), np.array([0.5], "e"), method=method)
    assert half.tolist() == [0]  # 70,000 is no float16


def test_nan_sorts_last_in_quantiles() -> None:
    assert float(resolve("quantile")(np.array([1.0, np.nan, 3.0]), 0.0)) == 1.0  # NumPy: nan


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_convolutions(mode: str) -> None:
    a, v = np.array([1.0, 2, 3, 4]), np.array([0.5, 1, -1])
    np.testing.assert_allclose(resolve("convolve")(a, v, mode), np.convolve(a, v, mode))
    np.testing.assert_allclose(resolve("correlate")(a, v, mode), np.correlate(a, v, mode))


def test_histograms() -> None:
    x = np.array([0.1, 0.4, 0.4, 0.9])
    counts, edges = resolve("histogram")(x, bins=4, range=(0, 1))
    assert counts.tolist() == [1, 2, 0, 1] and edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    h, ex, ey = resolve("histogram2d")(x, x, bins=2)
    assert h.sum() == 4 and ex.shape == ey.shape == (3,)
    with pytest.raises(ValueError, match="not finite"):
        resolve("histogram")(np.array([np.inf, 0.0]))
    with pytest.raises(ValueError):
        resolve("bincount")(np.array([-1]))


def test_ranges() -> None:
    assert resolve("arange")(5).tolist() == [0, 1, 2, 3, 4]
    assert resolve("arange")(250, 260, dtype=np.dtype("i2")).tolist() == list(range(250, 260))
    np.testing.assert_allclose(resolve("arange")(0, 1, 0.1), np.arange(0, 1, 0.1))
    for args in ((0, 1, 5), (0, 1, 1), (0, 1, 0), (3, -2, 7)):
        np.testing.assert_allclose(resolve("linspace")(*args), np.linspace(*args))
        np.testing.assert_allclose(resolve("linspace")(*args, endpoint=False), np.linspace(*args, endpoint=False))
    assert resolve("linspace")(0, 10, 4, dtype=np.dtype(int)).tolist() == [0, 3, 6, 10]
    np.testing.assert_allclose(resolve("logspace")(0, 2, 3), [1, 10, 100])


def test_clip() -> None:
    a = np.array([1, 5, 9])
    clip = resolve("clip")
    assert clip(a, 2, 6).tolist() == [2, 5, 6]
    assert clip(a, None, 6).tolist() == [1, 5, 6]
    assert clip(a, 8, 3).tolist() == [3, 3, 3]  # the upper limit wins
    assert np.isnan(clip(np.array([np.nan, 1.0]), 0.0, 2.0)[0])
    out = np.zeros(3)
    assert clip(a, 2, 6, out=out) is out and out.tolist() == [2, 5, 6]
    assert clip(a, 0, 10) is not a


def test_rounding() -> None:
    around = resolve("around")
    np.testing.assert_allclose(around(np.array([1.25, 2.675, -0.5]), 1), np.round([1.25, 2.675, -0.5], 1))
    assert around(np.array([15, 25, 44, -15]), -1).tolist() == [20, 20, 40, -20]
    assert around(np.array([2**63 - 1]), -1).dtype == np.int64
    assert around(np.array([7], "u1"), -5).tolist() == [0]


def test_search_and_sets() -> None:
    assert resolve("searchsorted")(np.array([1.0, 2, 3]), 2.0, side="right") == 2
    assert [x.tolist() for x in resolve("where")(np.array([0, 1, 2]))] == [[1, 2]]
    picked = resolve("where")(np.array([True, False]), np.array([1, 2], "i4"), 2.5)
    assert picked.dtype == np.float64 and picked.tolist() == [1.0, 2.5]
    assert resolve("argsort")(np.array([2, 1, 2, 1])).tolist() == [1, 3, 0, 2]
    values, index, inverse, counts = resolve("unique_all")(np.array([[3, 1], [3, 2]]))
    assert (values[inverse] == [[3, 1], [3, 2]]).all() and counts.tolist() == [1, 1, 2] and index.tolist() == [1, 3, 0]


@pytest.mark.parametrize(("source", "target"), list(itertools.product("efd", "bBhHiIlL")))
def test_floats_become_integers_as_on_a_gpu(source: str, target: str) -> None:
    kind = np.dtype(target)
    wide = np.dtype(f"{kind.kind}{max(kind.itemsize, 4)}")
    info = np.iinfo(wide)
    a = np.array([1.9, -0.9, 100.0, np.inf, -np.inf], source)
    expected = [np.array(v).astype(kind) for v in (1, 0, 100, info.max, info.min)]
    assert cast(a, kind).tolist() == [e.item() for e in expected]
    nan = cast(np.array([np.nan], source), kind)[0]
    wide_nan = info.min if wide.kind == "i" else 1 << (8 * wide.itemsize - 1)
    assert nan == (np.array(wide_nan).astype(kind) if source == "d" or kind.itemsize == 8 else 0)


def test_negative_floats_become_unsigned_zero() -> None:
    assert cast(np.array([-3.7, -1.0, 2.0]), np.dtype("u1")).tolist() == [0, 0, 2]
    assert cast(np.array([300.7]), np.dtype("u1")).tolist() == [44]


def test_complex_numbers_lose_their_imaginary_part_quietly() -> None:
    assert cast(np.array([1 + 2j, -1j]), np.dtype("f4")).tolist() == [1, 0]
    assert cast(np.array([1j, 0]), np.dtype("?")).tolist() == [True, False]


def test_results_do_not_share_memory_with_arguments() -> None:
    a = np.arange(3.0)
    for name in ("copy", "around", "ceil", "nan_to_num", "sort", "diag"):
        assert not np.shares_memory(resolve(name)(a), a), name
    edges = resolve("histogram")(a, bins=a)[1]
    assert not np.shares_memory(edges, a)
    assert set(OPS) >= {"add", "sum"}


def test_unknown_names_are_key_errors() -> None:
    for name in ("no_such_thing", "linalg.nothing", "_core", "pi", "linalg._linalg"):
        with pytest.raises(KeyError):
            resolve(name)


def test_a_mask_assigns_what_overlaps_it() -> None:
    """NumPy writes through a mask as it goes: what is assigned must have been read before."""
    a = np.arange(40.0)
    mask = np.arange(40) % 3 != 0
    expected = a.copy()
    expected[mask] = a[: mask.sum()].copy()
    ops_indexing.setitem(a, mask, a[: mask.sum()])
    np.testing.assert_array_equal(a, expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mask_that_is_alone_reads_and_writes_as_its_indices(axis: int) -> None:
    a = np.arange(60.0).reshape(3, 4, 5)
    mask = np.arange(math.prod(a.shape[axis : axis + 2])).reshape(a.shape[axis : axis + 2]) % 3 == 0
    key = (*[slice(None)] * axis, mask)
    indexed = a[(*[slice(None)] * axis, *mask.nonzero())]
    np.testing.assert_array_equal(ops_indexing.getitem(a, key), indexed)
    # One dimension more than the result has: CuPy drops it where it is of length one.
    ops_indexing.setitem(a, key, -indexed[None])
    np.testing.assert_array_equal(ops_indexing.getitem(a, key), -indexed)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i8", "u1"])
def test_large_sorts_are_stable_to_the_bit(dtype: str, axis: int | None) -> None:
    with np.errstate(invalid="ignore"):
        a = (np.sin(np.arange(9000.0)).reshape(90, 100) * 300).round().astype(dtype)
    if a.dtype.kind == "f":
        a[::7, ::3], a[::5, ::4], a[::9, ::2], a[::9, 1::2] = -0.0, 0.0, np.nan, -np.nan
    expected = np.sort(a, axis=axis, kind="stable")
    assert resolve("sort")(a, axis).tobytes() == expected.tobytes()
    np.testing.assert_array_equal(resolve("argsort")(a, axis), np.argsort(a, axis=axis, kind="stable"))
    # Without equal elements too.
    distinct = np.sin(np.arange(9000.0)).reshape(90, 100)
    np.testing.assert_array_equal(resolve("argsort")(distinct, axis), np.argsort(distinct, axis=axis, kind="stable"))
