"""Calls at the edges of what functions take: the answers are CuPy's, and none of them disturbs the calls after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import open_session, session
from cupool.shim.pending import COMMANDS, GATE
from live import device as device


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
    assert cp.einsum(",i->", 3, cp.ones(2, "f4")).dtype == np.float64


@pytest.mark.parametrize("optimize", [False, True, "optimal"])
def test_einsum_along_a_path_multiplies_as_the_dtype_that_is_asked_for(optimize: Any) -> None:
    a, b = np.full((2, 3), 1e30, "f4"), np.full((3, 2), 1e30, "f4")
    made = cp.einsum("ij,jk->ik", cp.array(a), cp.array(b), dtype="f8", optimize=optimize)
    assert made.dtype == np.float64 and np.allclose(made.get(), 3e60)
    three = cp.einsum(cp.array(a), [0, 1], cp.array(b), [1, 2], cp.full(2, 1e-30), [2], [0], optimize=optimize)
    assert three.dtype == np.float64 and np.allclose(three.get(), 6e30)
    assert cp.einsum("ij,jk", cp.array(a), cp.array(b), dtype="c16", optimize=optimize).dtype == np.complex128


def test_bounds_and_lengths_may_be_device_scalars() -> None:
    host = np.random.default_rng(3).random(100, "f4")
    a = cp.asarray(host)
    counts, edges = cp.histogram(a, bins=5, range=(a.min(), a.max()))
    expected = np.histogram(host, 5, (host.min(), host.max()))
    assert edges.dtype == np.float32 and counts.tolist() == expected[0].tolist()
    np.testing.assert_array_equal(edges.get(), expected[1])
    limits = np.array([0.0, 0.5])
    counts, edges = cp.histogram(a, bins=5, range=cp.asarray(limits))
    assert edges.dtype == np.float64 and counts.tolist() == np.histogram(host, 5, tuple(limits))[0].tolist()
    counts, *_ = cp.histogram2d(a, a, bins=4, range=[[a.min(), a.max()], [0, 1]])
    expected = np.histogram2d(host, host, 4, [[host.min(), host.max()], [0, 1]])
    np.testing.assert_array_equal(counts.get(), expected[0])
    labels = cp.array([0, 2, 1, 2])
    assert cp.bincount(labels, minlength=labels.max() + 3).tolist() == [1, 1, 2, 0, 0]


def test_the_step_of_an_integral_may_be_a_device_array() -> None:
    host = np.random.default_rng(4).random((10, 10), "f4")
    a = cp.asarray(host)
    made = cp.trapezoid(a, dx=a[0, 1] - a[0, 0])
    assert made.dtype == np.float32
    np.testing.assert_allclose(made.get(), np.trapezoid(host, dx=host[0, 1] - host[0, 0]), rtol=1e-6)
    assert cp.trapezoid(a, dx=cp.array(2.0)).dtype == np.float64
    steps = np.arange(1.0, 10.0)
    np.testing.assert_allclose(cp.trapezoid(a, dx=cp.asarray(steps)).get(), np.trapezoid(host, dx=steps), rtol=1e-6)


def test_masks_without_dimensions() -> None:
    a = cp.array(3.0)
    a[a > 2] = 7
    assert a.item() == 7 and a[a > 2].tolist() == [7] and a[a < 2].tolist() == []
    b = cp.arange(3)
    b[cp.array(False)] = 5
    assert b.tolist() == [0, 1, 2]
    assert cp.arange(4.0).reshape(2, 2)[cp.array([0]), cp.array(True)].tolist() == [[0.0, 1.0]]
    assert cp.arange(4.0).reshape(2, 2)[cp.array([0]), cp.array(False)].tolist() == []


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
    assert cp.random.default_rng(3).exponential(2.0).item() > 0
    assert cp.random.default_rng(3).standard_exponential().item() > 0


def test_a_generator_continues_with_the_bit_generator_that_it_is_given() -> None:
    wanted = cp.random.Generator(cp.random.Philox4x3210(5)).random(3).tolist()
    generator = cp.random.default_rng(1)
    generator.bit_generator = cp.random.Philox4x3210(5)
    assert isinstance(generator.bit_generator, cp.random.Philox4x3210)
    assert generator.random(3).tolist() == wanted
    with pytest.raises(TypeError, match="BitGenerator"):
        generator.bit_generator = 5


def test_host_data_where_the_function_itself_asks_for_an_array() -> None:
    assert cp.tril([[1, 2], [3, 4]]).tolist() == [[1, 0], [3, 4]]
    assert cp.diag((1, 2)).tolist() == [[1, 0], [0, 2]]
    assert cp.vander([1, 2, 3], 2).tolist() == [[1, 1], [2, 1], [3, 1]]
    assert cp.unique(np.array([3, 1, 3])).tolist() == [1, 3]
    assert cp.around(14.6).item() == 15 and cp.real(3).item() == 3
    assert cp.average([1, 2, 6], weights=[1, 1, 0]).item() == 1.5
    assert cp.linalg.cond([[1.0, 0.0], [0.0, 2.0]]).item() == 2
    assert cp.diff([1, 4, 9], append=20).tolist() == [3, 5, 11]
    assert cp.piecewise(2.0, [False, True], cp.array([1, 10])).item() == 10
    for scan in (cp.cumsum, cp.cumprod):
        with pytest.raises(TypeError, match=r"must be a cupy\.ndarray"):
            scan(np.arange(3))


def test_views_of_several_arguments_are_each_of_its_own() -> None:
    a, b = cp.arange(6), cp.arange(6) * 10
    one, two, three = cp.atleast_2d(a[1:3], 7, b[4:])
    assert (one.tolist(), two.tolist(), three.tolist()) == ([[1, 2]], [[7]], [[40, 50]])
    three[...] = 0
    assert b.tolist() == [0, 10, 20, 30, 0, 0]


def test_shapes_and_dtypes_that_do_not_fit_are_refused_at_the_call() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        cp.nan_to_num(cp.zeros(4), nan=cp.zeros((2, 4)))
    with pytest.raises(TypeError, match="booleans"):
        cp.gradient(cp.ones(4, bool))
    with pytest.raises(TypeError, match="same_kind"):
        cp.corrcoef(cp.ones((2, 3)), dtype="i4")
    with pytest.warns(DeprecationWarning, match="row_stack"):
        assert cp.row_stack((cp.arange(2), cp.arange(2))).shape == (2, 2)


def test_records_are_compared_and_assigned() -> None:
    host = np.array([(1, 2.0), (3, 4.0)], dtype="i8,f8")
    a = cp.array(host)
    assert (a == cp.array(host[::-1])).tolist() == [False, False] and (a != a).tolist() == [False, False]
    plain = cp.zeros(3, "i4").view("V4")
    assert (plain != plain).tolist() == [False] * 3
    a[0] = (7, 8.0)
    assert a.tolist() == [(7, 8.0), (3, 4.0)]


def test_matmul_along_other_axes() -> None:
    x, y = np.arange(24.0).reshape(3, 2, 4), np.arange(24.0).reshape(4, 2, 3)
    axes = [(0, 2), (0, 2), (-1, 0)]
    wanted = np.matmul(x, y, axes=axes)
    assert np.array_equal(cp.matmul(cp.array(x), cp.array(y), axes=axes).get(), wanted)
    out = cp.zeros(wanted.shape)
    assert cp.matmul(cp.array(x), cp.array(y), axes=axes, out=out) is out
    assert np.array_equal(out.get(), wanted)


def test_bfloat16_products_stay_bfloat16() -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x = cp.ones((2, 3), bfloat16)
    for made in (x + bfloat16(2), bfloat16(2) + x, cp.add(x, bfloat16(2))):
        assert made.dtype == bfloat16 and made.astype("f4").tolist() == [[3, 3, 3]] * 2
    assert (x == bfloat16(1)).all() and not (bfloat16(2) <= x).any()
    assert (x @ x.T).dtype == bfloat16 and (x @ x.T).astype("f4").tolist() == [[3, 3], [3, 3]]


@pytest.mark.parametrize("dtype", ["f4", "i4", "F", "D"])
def test_linspace_between_arrays_is_computed_in_their_precision(dtype: str) -> None:
    start, stop = np.array([0, 120], dtype), np.array([100, 1], dtype)
    if dtype in "FD":
        start = start + start.dtype.type(2j)
    result, step = cp.linspace(cp.array(start), cp.array(stop), 50, retstep=True)
    wanted, wanted_step = np.linspace(start, stop, 50, retstep=True)
    np.testing.assert_array_equal(result.get(), wanted)
    np.testing.assert_array_equal(step.get(), wanted_step)
    assert cp.linspace([0, 0], [100, 16], 3, dtype="i4").tolist() == [[0, 0], [50, 8], [100, 16]]


def test_no_memory_is_nowhere() -> None:
    assert cp.zeros(0).data.ptr == 0 and cp.cuda.alloc(0).ptr == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: cp.bincount(cp.array([1, -1])),
        lambda: cp.histogram(cp.zeros(3), bins=cp.array([3.0, 1.0, 2.0])),
        lambda: cp.repeat(cp.arange(3), cp.array([-1])),
        lambda: cp.ravel_multi_index((cp.array([9]), cp.array([0])), (2, 2), mode="raise"),
        lambda: cp.unravel_index(cp.array([9]), (2, 2)),
        lambda: cp.place(cp.arange(3), cp.array([True, False, True]), cp.zeros(0, int)),
    ],
    ids=["bincount", "histogram", "repeat", "ravel_multi_index", "unravel_index", "place"],
)
def test_functions_that_look_at_the_data_raise_at_the_call(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"negative|monotonically|invalid entry|empty array"):
        call()
    assert cp.arange(3).sum().item() == 3


def test_dropping_imaginary_parts_warns() -> None:
    with pytest.warns(np.exceptions.ComplexWarning, match="discards the imaginary part"):
        assert cp.array([1 + 2j]).astype("f8").tolist() == [1]


def test_indices_of_booleans() -> None:
    assert cp.indices((2, 1), bool).get().tolist() == np.indices((2, 1), bool).tolist()
    with pytest.raises(TypeError, match="booleans"):
        cp.indices((2, 3), bool)


def test_nonzero_wants_dimensions() -> None:
    with pytest.raises(ValueError, match="0d"):
        cp.nonzero(cp.array(1))


class Exposing:
    """Another library's array, in this device's memory."""

    def __init__(self, a: Any) -> None:
        self.__cuda_array_interface__ = a.__cuda_array_interface__


def test_kernels_take_what_exposes_device_memory() -> None:
    add = cp.ElementwiseKernel("T x, T y", "T z", "z = x + y", "add_exposed")
    a = cp.arange(3.0)
    assert add(Exposing(a), a).tolist() == [0, 2, 4]


def test_scalars_adapt_in_kron_and_are_refused_by_tensordot() -> None:
    for a, b in ((cp.ones(3, "u1"), 2), (cp.ones(3, "f4"), 2), (2.5, cp.ones(3, "f4"))):
        assert cp.kron(a, b).get().dtype == (a if isinstance(a, cp.ndarray) else b).dtype
    with pytest.raises(AttributeError):
        cp.tensordot(cp.ones(3), 2.5, 0)


def test_taking_from_nothing_is_an_index_error_and_not_for_ever() -> None:
    with pytest.raises(IndexError, match="non-empty take"):
        cp.take(cp.zeros((0, 0)), cp.array([0]), axis=0).get()


def test_a_limit_below_what_is_used_stops_only_what_takes_memory() -> None:
    pool, held = cp.get_default_memory_pool(), cp.zeros(1 << 16)
    pool.set_limit(size=1 << 10)
    try:
        event = cp.cuda.Event()
        event.record()
        event.synchronize()
        with pytest.raises(cp.cuda.memory.OutOfMemoryError):
            cp.zeros(1 << 16).sum().get()
    finally:
        pool.set_limit(size=0)
    assert held.sum() == 0


def test_an_array_that_the_device_could_not_hold_says_so_when_fetched() -> None:
    with pytest.raises(cp.cuda.memory.OutOfMemoryError):
        cp.ones(1 << 40, "u1").get()
    assert cp.ones(3).sum() == 3


@pytest.mark.parametrize("first", [0, 1])
def test_a_slice_and_the_tuple_of_its_numbers_are_different_keys(first: int) -> None:
    host = np.arange(60).reshape(4, 5, 3)
    a = cp.asarray(host)
    keys: list[Any] = [slice(1, 3), (1, 3, None), (slice(1, 3), 1), (1, slice(1, 3)), (None, 1), (1, None), 1]
    for _ in range(2):  # the second round runs from the hot tables
        for key in keys[first:] + keys[:first]:
            assert a[key].get().tolist() == host[key].tolist()
            assert a[key].base is a


def test_what_equals_a_remembered_key_is_not_that_key() -> None:
    host = np.arange(60).reshape(4, 5, 3)
    a = cp.asarray(host)
    for _ in range(2):
        for key in (np.s_[1:3], np.s_[1:3:1], np.s_[1:3, None], np.s_[None, 1:3], np.s_[1, 1], np.s_[1:3, 1, :]):
            assert a[key].tolist() == host[key].tolist()
        for wrong in (
            np.s_[1.0:3],
            np.s_[1:3.0],
            np.s_[1:3:1.0],
            np.s_[1.0:3, None],
            np.s_[None, 1:3.0],
            np.s_[1:3.0, 1, :],
        ):
            with pytest.raises(TypeError):
                a[wrong]
        for mixed in (np.s_[True, 1], np.s_[1, True], np.s_[1:3, True, :], True):
            assert a[mixed].tolist() == host[mixed].tolist()
        for same in (np.s_[np.int64(1) : 3], np.s_[np.uint8(1), 1], np.s_[1 : np.int32(3), np.int8(1), :]):
            assert a[same].tolist() == host[same].tolist()


def test_views_alone_are_held_back_where_the_server_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    a = cp.arange(1 << 10)
    rows = [a[i] for i in range(1 << 10) for _ in range(40)]
    assert sum(int(row) for row in rows[::997]) == sum(i // 40 for i in range(0, 40 << 10, 997))
    monkeypatch.setattr(open_session, "GATE_WORDS", -1)  # whatever is pending, the ticker finds it too much
    session.wait_all()
    GATE.is_behind = True
    kept = a[3]
    assert not COMMANDS
    assert int(kept) == 3


def test_arguments_that_are_equal_and_not_the_same_are_different_calls() -> None:
    a = cp.arange(6.0).reshape(2, 3)
    for _ in range(2):
        assert a.sum(axis=1).tolist() == [3, 12]
        assert a.sum(axis=0, keepdims=True).tolist() == [[3, 5, 7]]
        assert a.sum(axis=0, keepdims=False).tolist() == [3, 5, 7]
        with pytest.raises(TypeError):
            a.sum(axis=1.0)
        assert a.max(axis=(0, 1)) == 5
        assert (a.astype("f4").dtype, a.astype(cp.float16).dtype, a.astype(int).dtype) == ("f4", "f2", "i8")
        assert cp.dot(a, a.T).tolist() == (a @ a.T).tolist() == [[5, 14], [14, 50]]
        with pytest.raises(ValueError, match="mismatch"):
            a @ a


def test_raveled_and_reshaped_views_are_of_the_first_array() -> None:
    a = cp.arange(12.0)
    for _ in range(2):
        b = a[2:8].reshape(2, 3)
        b.ravel()[1] = -1.0
        b.T[2, 1] = -2.0
        assert b.base is a and b.T.base is a and b.ravel().base is a
    assert a.tolist() == [0, 1, 2, -1, 4, 5, 6, -2, 8, 9, 10, 11]
    assert b.T.ravel().base is None and b.T.ravel("F").base is a


@pytest.mark.parametrize("key", [slice(None), slice(0, 2), np.array([1, 0]), Ellipsis])
def test_complex_values_put_into_real_arrays_warn(key: Any) -> None:
    a = cp.zeros(2)
    with pytest.warns(np.exceptions.ComplexWarning, match="discards the imaginary part"):
        a[cp.asarray(key) if isinstance(key, np.ndarray) else key] = cp.array([1 + 2j, 3])
    assert sorted(a.tolist()) == [1, 3]
    with pytest.warns(np.exceptions.ComplexWarning):
        cp.copyto(a, cp.array([5j, 6]), casting="unsafe")
    assert a.tolist() == [0, 6]


@pytest.mark.parametrize("make", ["zeros_like", "ones_like", "empty_like"])
def test_arrays_like_a_host_array_take_its_shape_and_order_and_none_of_its_bytes(make: str) -> None:
    host = np.ones((2, 3, 4), np.float32).transpose(1, 2, 0)
    before = session.statistics().bytes_up
    made = getattr(cp, make)(host)
    assert (made.shape, made.dtype, made.strides) == (host.shape, host.dtype, np.empty_like(host).strides)
    assert cp.full_like(host, 3)[0, 0, 0] == 3
    assert session.statistics().bytes_up - before < host.nbytes + 4096


def test_functions_that_take_host_arrays_as_cupys_do() -> None:
    host = np.arange(6.0).reshape(2, 3) ** 2
    assert cp.allclose(cp.ones(2), np.ones(2)) and cp.allclose(cp.ones(2), [1, 1])
    np.testing.assert_allclose(cp.cov(host).get(), np.cov(host))
    np.testing.assert_allclose(cp.corrcoef(host).get(), np.corrcoef(host))
    # CuPy calls the array's own method: a host array gives a host array.
    assert isinstance(cp.sort(host[::-1]), np.ndarray) and np.array_equal(cp.sort(host[::-1], axis=0), host)


@pytest.mark.parametrize("name", ["min", "max", "argmin", "argmax", "nanmin", "ptp"])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_reduction_to_nothing_needs_no_identity(name: str, axis: int) -> None:
    result = getattr(cp, name)(cp.ones((0, 0), "f4"), axis=axis)
    assert result.get().shape == (0,) and result.dtype == ("i8" if name.startswith("arg") else "f4")
    with pytest.raises(ValueError, match=r"zero-size|empty"):
        getattr(cp, name)(cp.ones((0, 3)), axis=0).get()


def test_joined_sequences_are_told_apart_on_the_fast_path_too() -> None:
    x, y, z = np.arange(3.0), np.arange(3.0) + 3, np.arange(3, dtype="i4")
    a, b, c = (cp.asarray(h) for h in (x, y, z))
    host = {id(a): x, id(b): y, id(c): z}
    calls = [
        ("concatenate", (a, b), {}),
        ("concatenate", [a, b], {}),
        ("concatenate", (b, a, b), {}),
        ("concatenate", (a, c), {}),
        ("concatenate", (a, c), {"dtype": "f4"}),
        ("stack", (a, b), {"axis": 1}),
        ("stack", (a, b), {"axis": True}),
        ("stack", (a, b), {"axis": 0}),
        ("stack", (a,), {"axis": 0}),
        ("vstack", (a, b), {}),
        ("hstack", [a, c], {}),
    ]
    for _ in range(3):  # the second round runs from the hot tables
        for name, arrays, options in calls:
            if options.get("axis") is True:
                got = getattr(cp, name)(arrays, **options)
                assert got.shape == (3, 2)
                continue
            got = getattr(cp, name)(arrays, **options)
            expected = getattr(np, name)([host[id(each)] for each in arrays], **options)
            assert got.dtype == expected.dtype and got.shape == expected.shape
            assert cp.asnumpy(got).tobytes() == expected.tobytes()
        with pytest.raises(TypeError, match="cupy"):
            cp.concatenate((a, x))
        with pytest.raises(ValueError, match="ndim"):
            cp.concatenate((a, b[None]))
        b += 1  # an operand that changes between
        y += 1


def test_select_takes_arrays_as_lists_of_their_rows() -> None:
    conditions = np.array([[True, False, False], [True, True, False]])
    choices = np.arange(6.0).reshape(2, 3)
    expected = np.select(list(conditions), list(choices), 9.0)
    np.testing.assert_array_equal(cp.select(cp.asarray(conditions), cp.asarray(choices), 9.0).get(), expected)
    np.testing.assert_array_equal(cp.select(list(cp.asarray(conditions)), cp.asarray(choices), 9.0).get(), expected)
    with pytest.raises(ValueError, match="empty condition list"):
        cp.select(cp.zeros((0, 3), bool), cp.zeros((0, 3)))


@pytest.mark.parametrize("d", [1.0, 0.1, 3, 0.0])
@pytest.mark.parametrize("n", [-3, 0, 1, 7, 10])
def test_frequencies_are_divided_as_in_cupy(n: int, d: float) -> None:
    """NumPy multiplies by 1 / (n * d): other last bits, and an error for 0."""
    halves = np.hstack((np.arange(0, (n - 1) // 2 + 1, dtype=float), np.arange(-(n // 2), 0, dtype=float)))
    with np.errstate(all="ignore"):
        for got, want in (
            (cp.fft.fftfreq(n, d), halves / np.float64(n * d)),
            (cp.fft.rfftfreq(n, d), np.arange(0, n // 2 + 1, dtype=float) / np.float64(n * d)),
        ):
            np.testing.assert_array_equal(got.get(), want)


def test_generators_go_on_while_something_has_failed() -> None:
    pool = cp.get_default_memory_pool()
    pool.set_limit(size=1 << 20)
    failed = cp.zeros(1 << 20)
    with pytest.raises(MemoryError):
        failed.get()
    pool.set_limit(size=0)
    drawn, out = cp.random.default_rng(3), cp.empty(3)
    assert drawn.random(out=out) is out and 0 < out.sum().item() < 3
    assert drawn.random(3).get().shape == (3,) and cp.random.RandomState(4).rand(2).get().shape == (2,)
    with pytest.raises(MemoryError):
        (failed + 1).get()
