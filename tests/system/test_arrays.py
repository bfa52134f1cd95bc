"""Arrays through a real server: views, operators, indexing, conversion, against NumPy on the same data."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
from cupool.shim import bulk, operators, session
from cupool.shim import cupy as cp
from live import device as device
from live import waits

from cupool.contract.errors import ForeignArray, OutOfMemoryError


def same(device_array: Any, host: Any) -> None:
    got = device_array.get()
    host = np.asarray(host)
    assert got.dtype == host.dtype
    assert got.shape == host.shape
    np.testing.assert_array_equal(got, host)


A = np.arange(24.0).reshape(2, 3, 4)

VIEWS = {
    "int": lambda x: x[1],
    "negative": lambda x: x[-2, 2],
    "slice": lambda x: x[:, 1:],
    "step": lambda x: x[::-1, ::2],
    "empty": lambda x: x[:, 3:],
    "newaxis": lambda x: x[None, ..., None],
    "ellipsis": lambda x: x[..., 2],
    "all": lambda x: x[...],
    "T": lambda x: x.T,
    "transpose": lambda x: x.transpose(1, 2, 0),
    "swap": lambda x: x.swapaxes(0, -1),
    "reshape": lambda x: x.reshape(6, 4),
    "reshape -1": lambda x: x.reshape(-1),
    "ravel": lambda x: x.ravel(),
    "diagonal": lambda x: x.diagonal(1, 1, 2),
    "squeeze": lambda x: x[:1].squeeze(),
    "dtype": lambda x: x.view("i8"),
    "smaller": lambda x: x.view("f4"),
    "chain": lambda x: x.T[1:, ::-1][..., 0].T,
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_numpys_view(name: str) -> None:
    host = A.copy()
    a = cp.array(host)
    expected, got = VIEWS[name](host), VIEWS[name](a)
    same(got, expected)
    assert got.strides == expected.strides
    assert got.base is a
    assert not got.flags.owndata
    got[...] = 7
    expected.flags.writeable or expected.setflags(write=True)
    expected[...] = 7
    same(a, host)


def test_views_need_no_wait() -> None:
    a = cp.array(A)
    before = waits()
    for view in VIEWS.values():
        view(a)
    assert waits() == before


def test_reshape_copies_where_it_must() -> None:
    a = cp.array(A)
    flat = a.T.reshape(-1)
    same(flat, A.T.reshape(-1))
    assert flat.base is None
    with pytest.raises(ValueError, match="copy"):
        a.T.reshape(-1, copy=False)


def test_assigning_a_shape() -> None:
    a = cp.arange(6)
    view = a[:]
    a.shape = (2, 3)
    a[0, 0] = 9
    same(a, [[9, 1, 2], [3, 4, 5]])
    same(view, [9, 1, 2, 3, 4, 5])
    with pytest.raises(AttributeError):
        a.T.shape = (6,)


@pytest.mark.parametrize(
    "key",
    [
        np.array([2, 0]), [1, 1], ([0, 1], [1, 2]), (slice(None), [2, 0]), ([1], slice(None), [0, 3]), (0, [0, 1]),
        np.array([[0, 1], [1, 0]]), (Ellipsis, np.array([1, 2])), [],
    ],
    ids=str,
)  # fmt: skip
def test_index_arrays(key: Any) -> None:
    host = np.arange(36.0).reshape(3, 3, 4)
    a = cp.array(host)
    before = waits()
    got = a[key]
    assert got.shape == host[key].shape
    assert waits() == before, "the shape of an integer selection is known"
    same(got, host[key])
    a[key] = -1
    host[key] = -1
    same(a, host)


def test_index_arrays_wrap_and_integers_do_not() -> None:
    a = cp.arange(3)
    same(a[[1, 3]], [1, 0])
    same(a[cp.array([-4, 5])], [2, 2])
    with pytest.raises(IndexError, match="out of bounds"):
        a[3]
    with pytest.raises(IndexError, match="too many indices"):
        a[0, 0]
    with pytest.raises(TypeError):
        a[1.5:]
    with pytest.raises(IndexError):
        a["x"]


def test_masks() -> None:
    host = np.arange(12.0).reshape(3, 4)
    a = cp.array(host)
    before = waits()
    picked = a[a > 4]
    total = (picked * 2).sum()
    assert waits() == before, "nobody looked at the shape"
    assert float(total) == float((host[host > 4] * 2).sum())
    assert waits() == before + 1
    assert picked.shape == (7,)
    same(picked, host[host > 4])
    rows = cp.array([True, False, True])
    same(a[rows], host[[0, 2]])
    same(a[:, cp.array([False, True, True, False])], host[:, 1:3])
    a[a > 4] = 0
    host[host > 4] = 0
    same(a, host)
    a[rows] += 1
    host[[0, 2]] += 1
    same(a, host)
    with pytest.raises(IndexError, match="boolean index did not match"):
        a[cp.array([True])]


def test_pending_arrays_meet_others() -> None:
    host = np.array([5.0, -1, 3, -2, 8])
    a = cp.array(host)
    p = a[a > 0]
    same(p + p, host[host > 0] * 2)
    same(p + cp.array([1.0, 2.0, 3.0]), host[host > 0] + [1, 2, 3])
    same(cp.concatenate([p, a]), np.concatenate([host[host > 0], host]))
    same(cp.sort(p), np.sort(host[host > 0]))
    same(p[1:], host[host > 0][1:])
    q = a[a > 0]
    q += 1
    same(q, host[host > 0] + 1)
    assert len(a[a > 100]) == 0
    with pytest.raises(ValueError, match="broadcast"):
        p + cp.array([1.0, 2.0])


def test_iteration_and_scalars() -> None:
    a = cp.arange(3.0)
    assert [float(x) for x in a] == [0.0, 1.0, 2.0]
    assert all(isinstance(x, cp.ndarray) and x.shape == () for x in a)
    assert len(a) == 3
    assert int(a[2]) == 2
    assert complex(a[1]) == 1
    assert a.tolist() == [0.0, 1.0, 2.0]
    assert a.tobytes() == np.arange(3.0).tobytes()
    assert f"{a[1]:.2f}" == "1.00"
    assert repr(a) == "array([0., 1., 2.])"
    assert str(a) == "[0. 1. 2.]"
    assert a[1].item() == 1.0
    with pytest.raises(ValueError, match="size 1"):
        a.item()
    zero_d = cp.array(5)
    for ask in (len, iter):
        with pytest.raises(TypeError):
            ask(zero_d)
    with pytest.raises(TypeError):
        [1, 2, 3][zero_d]  # type: ignore[call-overload]


def test_truth() -> None:
    assert not cp.array([0.0])
    assert cp.array(True)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(cp.arange(2))
    with pytest.warns(DeprecationWarning):
        assert not cp.empty(0)


def test_get_and_set() -> None:
    a = cp.array(A)
    out = np.empty_like(A)
    assert a.get(out=out) is out
    np.testing.assert_array_equal(out, A)
    assert a.get(order="F").flags.f_contiguous
    assert cp.array(np.asfortranarray(A)).get(order="A").flags.f_contiguous
    with pytest.raises(TypeError):
        a.get(out=np.empty(A.shape, "f4"))
    with pytest.raises(ValueError, match="Shape mismatch"):
        a.get(out=np.empty(3))
    a.set(A * 2)
    same(a, A * 2)
    for wrong, error in ((A.astype("f4"), TypeError), (A[0], ValueError), ([1], TypeError)):
        with pytest.raises(error):
            a.set(wrong)


@pytest.mark.parametrize("shape", [(300, 400), (70_000,)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_large_arrays_travel_in_bulk(shape: tuple[int, ...], order: str) -> None:
    host = np.asarray(np.random.default_rng(0).random(shape), order=order)  # type: ignore[call-overload]
    kept = host.copy(order="K")
    a = cp.array(host)
    host[...] = 0
    assert a.base is None
    assert a.flags.f_contiguous == kept.flags.f_contiguous or order == "C"
    same(a, kept)
    same(a.T, kept.T)
    out = np.empty_like(kept)
    np.testing.assert_array_equal(a.get(out=out), kept)


def test_pickle_and_copies() -> None:
    a = cp.array(np.asfortranarray(A))
    back = pickle.loads(pickle.dumps(a))
    assert back.flags.f_contiguous
    same(back, A)
    for made in (copy.copy(a), copy.deepcopy(a), a.copy()):
        made[...] = 0
    same(a, A)


def test_the_fast_paths_agree_with_the_slow_ones() -> None:
    host = np.array([1.5, -2.0, 0.25])
    a, b = cp.array(host), cp.array(host[::-1].copy())
    for _ in range(3):  # the second round runs from the hot tables
        same(a + b, host + host[::-1])
        same(a - 1, host - 1)
        same(1 - a, 1 - host)
        same(a * -0.0, host * -0.0)
        assert np.signbit((a * 0.0).get()).tolist() == np.signbit(host * 0.0).tolist()
        assert np.signbit((a * -0.0).get()).tolist() == np.signbit(host * -0.0).tolist()
        same(2.0 / a, 2.0 / host)
        same(a < 0.5, host < 0.5)
        same(-a, -host)
        same(abs(a), abs(host))
        same(a**2, host**2)
        same(a // 2, host // 2)
        same(a % 2, host % 2)
    small = cp.array(np.array([1, 2], "u1"))
    for _ in range(2):
        same(small + 3, np.array([4, 5], "u1"))
        with pytest.raises(OverflowError):
            small + 300
        with pytest.raises(OverflowError):
            small - -1
    c = a.copy()
    h = host.copy()
    for _ in range(2):
        c += a
        c *= 2
        c -= 0.5
        h += host
        h *= 2
        h -= 0.5
    same(c, h)
    with pytest.raises(TypeError):
        small += 1.5


def test_scalar_types_promote_apart() -> None:
    a = cp.array(np.array([1, 2], "i4"))
    for value in (True, 1, 1.0, 1j, np.float32(1), np.int64(1), np.uint8(1)):
        expected = np.array([1, 2], "i4") + value
        same(a + value, expected)
        same(value + a, expected)


def test_subclasses_survive_operations() -> None:
    class Sub(cp.ndarray):  # type: ignore[misc]
        label: str | None = None

        def __array_finalize__(self, obj: Any) -> None:
            self.label = getattr(obj, "label", None)

    a = cp.arange(3.0).view(Sub)
    a.label = "x"
    for made in (a + 1, a[1:], a * a, a.T[0:2]):
        assert type(made) is Sub
        assert made.label == "x"
    assert type(cp.arange(3.0) + 1) is cp.ndarray
    same(a + cp.arange(3.0), [0.0, 2.0, 4.0])


def test_dead_arrays_are_freed() -> None:
    pool = cp.get_default_memory_pool()
    gc.collect()
    before = pool.used_bytes()
    a = cp.zeros(1000)
    assert pool.used_bytes() == before + 8192
    view = a[10:]
    alive = weakref.ref(a)
    del a
    assert alive() is not None, "a view keeps its base"
    assert pool.used_bytes() == before + 8192
    del view
    assert pool.used_bytes() == before


def test_out_of_memory_is_cupys() -> None:
    with pytest.raises(OutOfMemoryError, match="Out of memory allocating"):
        cp.zeros((1 << 40,)).sum().get()


def test_deferred_errors_name_the_users_line() -> None:
    huge = cp.empty(1 << 45, "u1")  # this line
    with pytest.raises(OutOfMemoryError) as caught:
        huge.sum().get()
    assert any("test_arrays.py" in note for note in caught.value.__notes__)


def test_threads_share_arrays() -> None:
    total = cp.zeros(4)
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            rng = np.random.default_rng(seed)
            host = rng.random(4)
            a = cp.array(host)
            for _ in range(200):
                a = a * 1.5 - 0.25
                host = host * 1.5 - 0.25
            np.testing.assert_array_equal(a.get(), host)
        except BaseException as error:  # handed to the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    same(total, np.zeros(4))


@pytest.mark.keeps("the session that it opens is the next test's")
def test_a_closed_sessions_arrays_are_foreign() -> None:
    a = cp.arange(3.0)
    b = a + a
    a + a  # in the hot table now
    session.close()
    for use in (lambda: a + a, lambda: b.get(), lambda: a[1:], lambda: a.sum()):
        with pytest.raises(ForeignArray):
            use()
    same(cp.arange(3.0) + cp.arange(3.0), [0.0, 2.0, 4.0])
    cp.array(np.zeros(100_000)).get()
    assert bulk is not None and operators.hot


def test_a_thread_that_ends_inside_a_stream_has_left_it() -> None:
    assert operators.hot
    seen = []

    def work() -> None:
        cp.cuda.Stream().use()
        seen.append(operators.hot)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False] and operators.hot


def test_positive_of_booleans_warns() -> None:
    with pytest.warns(DeprecationWarning):
        same(+cp.array([True]), [True])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same(+cp.array([1]), [1])
