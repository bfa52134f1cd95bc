"""`cupyx` beside its SciPy: generalised ufuncs, pinned arrays, timing, runtime information; and that none of it waits unasked."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import cupyx
from live import device as device
from live import waits

from cupool.contract.errors import Unsupported

# -- generalised ufuncs --------------------------------------------------------------------------------------------------------


def matmul() -> Any:
    return cupyx.GeneralizedUFunc(lambda x, y: x.dot(y), "(i,j),(j,k)->(i,k)", name="matmul_ours")


def test_loops_broadcast_and_do_not_wait() -> None:
    x, y = np.random.rand(3, 1, 2, 4), np.random.rand(5, 4, 3)
    a, b = cp.array(x), cp.array(y)
    before = waits()
    made = matmul()(a, b)
    assert (made.shape, waits()) == ((3, 5, 2, 3), before)
    np.testing.assert_allclose(made.get(), np.matmul(x, y))


def test_axes_out_and_order() -> None:
    x, y = np.random.rand(2, 3, 4), np.random.rand(3, 5, 4)
    axes = [(0, 1), (0, 1), (2, 0)]
    wanted = np.matmul(x, y, axes=axes)
    out = cp.empty(wanted.shape)
    assert matmul()(cp.array(x), cp.array(y), axes=axes, out=out) is out
    np.testing.assert_allclose(out.get(), wanted)
    assert matmul()(cp.array(x), cp.array(y), axes=axes, order="F").flags.f_contiguous


def test_one_axis_is_reduced_and_kept() -> None:
    total = cupyx.GeneralizedUFunc(lambda x: x.sum(), "(i)->()", name="total")
    x = np.arange(24.0).reshape(2, 3, 4)
    assert np.array_equal(total(cp.array(x), axis=1).get(), x.sum(axis=1))
    assert np.array_equal(total(cp.array(x), axis=1, keepdims=True).get(), x.sum(axis=1, keepdims=True))


def test_loops_are_chosen_by_dtype() -> None:
    def double(x: Any) -> Any:
        return x + x

    made = cupyx.GeneralizedUFunc(
        lambda x: x, "(i)->(i)", signatures=["f->f", ("i->i", double)], name="named", doc="what it does"
    )
    assert (made.__name__, made.__doc__) == ("named", "what it does")
    assert made(cp.arange(3, dtype="i2")).tolist() == [0, 1, 2], "int16 is first taken by the loop of float32"
    assert made(cp.arange(3, dtype="i4"), casting="safe").tolist() == [0, 2, 4]
    assert made(cp.arange(3.0), casting="unsafe", signature="i->i").dtype == np.int32


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: cupyx.GeneralizedUFunc(abs, "(i)(j)->(i)"), ValueError),
        (lambda: cupyx.GeneralizedUFunc(abs, 3), TypeError),  # type: ignore[arg-type]
        (lambda: cupyx.GeneralizedUFunc(abs, "(i)->(i|1)"), ValueError),
        (lambda: cupyx.GeneralizedUFunc(abs, "(i)->(i)", signatures=["ff->f"]), ValueError),
        (lambda: matmul()(cp.ones((2, 3))), ValueError),
        (lambda: matmul()(cp.ones((2, 3)), cp.ones((2, 3))), ValueError),
        (lambda: matmul()(cp.ones(3), cp.ones((3, 3))), ValueError),
        (lambda: matmul()(cp.ones((2, 3)), cp.ones((3, 2)), out=cp.ones((3, 3))), ValueError),
        (lambda: matmul()(cp.ones((2, 3)), cp.ones((3, 2)), out=cp.ones((2, 2), "i4")), TypeError),
        (lambda: matmul()(cp.ones((2, 3)), cp.ones((3, 2)), out=np.ones((2, 2))), TypeError),
        (lambda: matmul()(cp.ones((2, 3)), cp.ones((3, 2)), axis=0), ValueError),
        (lambda: matmul()(cp.ones((2, 3)), cp.ones((3, 2)), axes=[(0, 1)]), ValueError),
        (lambda: matmul()(cp.ones((2, 3)), cp.ones((3, 2)), axes=[0, (0, 1), (0, 1)]), np.exceptions.AxisError),
        (lambda: matmul()(cp.ones((2, 3)), cp.ones((3, 2)), signature="dd->d"), TypeError),
    ],
)
def test_what_does_not_fit_is_refused_at_the_call(call: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        call()


# -- pinned arrays, times, information --------------------------------------------------------------------------------------------


def test_pinned_arrays_lie_in_pinned_memory() -> None:
    a = cp.asfortranarray(cp.zeros((3, 4), "f4"))
    for made in (cupyx.empty_pinned((2, 3)), cupyx.zeros_like_pinned(a), cupyx.zeros_pinned(5, "i2")):
        assert type(made) is np.ndarray
        assert isinstance(made.base, cp.cuda.PinnedMemoryPointer)
        assert made.base.ptr == made.ctypes.data
    like = cupyx.empty_like_pinned(a)
    assert (like.shape, like.dtype, like.flags.f_contiguous) == ((3, 4), np.float32, True)
    like[...] = 7
    a.set(like)
    assert a.get(out=cupyx.empty_like_pinned(a)).sum() == 84
    with pytest.raises(TypeError, match="subok"):
        cupyx.empty_like_pinned(a, subok=True)


def test_times_of_a_function() -> None:
    a = cp.ones(10)
    times = cupyx.profiler.benchmark(cp.sum, (a,), n_repeat=4, n_warmup=1)
    assert (times.name, times.cpu_times.shape, times.gpu_times.shape) == ("sum", (4,), (1, 4))
    assert "GPU-0" in str(times)
    with pytest.warns(UserWarning, match="moved to cupyx.profiler.benchmark"):
        cupyx.time.repeat(cp.sum, (a,), n_repeat=1, n_warmup=0)
    with pytest.raises(ValueError, match="`args` should be of tuple type"):
        cupyx.profiler.benchmark(cp.sum, [a])


def test_marks_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cp.cuda.nvtx, "available", True)
    with cupyx.profiler.time_range("here", color_id=1), cupyx.profiler.profile():
        pass

    @cupyx.profiler.time_range()
    def work() -> int:
        return 3

    assert work() == 3
    with pytest.raises(ValueError, match="Only either"):
        cupyx.profiler.time_range("here", 1, 2)
    monkeypatch.setattr(cp.cuda.nvtx, "available", False)
    with pytest.raises(RuntimeError, match="nvtx is not installed"):
        cupyx.profiler.time_range("here")


def test_information_about_both_ends() -> None:
    info = cupyx.get_runtime_info()
    assert (info.cupy_version, info.numpy_version) == (cp.__version__, np.__version__)
    assert "Device 0 Name" in str(info)
    assert "Error" not in str(info)


def test_what_needs_processes_with_gpus_says_so() -> None:
    from cupool.shim.cupyx import distributed

    with pytest.raises(Unsupported, match="several processes with a GPU each"):
        distributed.init_process_group(2, 0)
    from cupool.shim.cupyx import tools

    with pytest.raises(AttributeError):
        tools.no_such_name  # noqa: B018


# -- distributions, neighbours ---------------------------------------------------------------------------------------------------


def test_deprecated_functions_warn() -> None:
    a = cp.full(2, 0.5)
    for call in (
        lambda: cupyx.scipy.special.btdtr(a, a, a),
        lambda: cupyx.scipy.special.btdtri(a, a, a),
        lambda: cupyx.scipy.special.sph_harm(cp.array([0, 1]), cp.array([1, 1]), a, a),
    ):
        with pytest.warns(DeprecationWarning):
            call()


def test_functions_that_look_at_the_data_raise_at_the_call() -> None:
    with pytest.raises(ValueError, match="condition a > "):
        cupyx.scipy.special.multigammaln(cp.zeros(2), 3)
    with pytest.raises(ValueError, match="nan values"):
        cupyx.scipy.stats.zmap(cp.ones(2), cp.array([1.0, np.nan]), nan_policy="raise")
    with pytest.raises(ValueError, match="greater than the size"):
        cupyx.scipy.spatial.KDTree(cp.ones((3, 2)), boxsize=0.5)


def test_statistics_do_not_wait() -> None:
    a = cp.array(np.random.rand(20, 3) + 0.1)
    before = waits()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = [
            cupyx.scipy.stats.entropy(a.copy(), base=2),
            cupyx.scipy.stats.trim_mean(a, 0.1),
            cupyx.scipy.stats.zscore(a, ddof=1),
            cupyx.scipy.stats.zmap(a, a, axis=None, nan_policy="omit"),
            cupyx.scipy.stats.boxcox_llf(0.5, a),
            cupyx.scipy.special.logsumexp(a, axis=0, b=a, return_sign=True),
        ]
    assert waits() == before
    assert np.allclose(made[1].get(), np.sort(a.get(), axis=0)[2:18].mean(axis=0))


def test_weights_are_normalised_in_place_as_in_cupy() -> None:
    weights = cp.array([1.0, 3.0])
    cupyx.scipy.stats.entropy(weights)
    assert weights.tolist() == [0.25, 0.75]


def test_trees_are_asked_without_a_wait_until_lists_are_wanted() -> None:
    data = np.random.rand(40, 2)
    before = waits()
    tree = cupyx.scipy.spatial.KDTree(cp.array(data))
    distances, places = tree.query(cp.array(data), k=2)
    pairs = tree.query_pairs(0.2)
    assert (distances.shape, places.dtype, waits()) == ((40, 2), np.int64, before)
    assert (places.get()[:, 0] == np.arange(40)).all()
    near = tree.query_ball_point(cp.array(data[:3]), 0.3)
    assert [sorted(one.tolist()) for one in near] == [
        np.flatnonzero(np.hypot(*(data - p).T) <= 0.3).tolist() for p in data[:3]
    ]
    assert pairs.shape[1] == 2
    with pytest.raises(NotImplementedError):
        tree.count_neighbors(tree, 1.0)


def test_triangulations_stay_on_the_device() -> None:
    points = cp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    before = waits()
    made = cupyx.scipy.spatial.Delaunay(points)
    found = made.find_simplex(cp.array([[0.1, 0.1], [2.0, 2.0]]))
    assert waits() == before
    assert (found.get() >= 0).tolist() == [True, False]
    assert made.simplices.shape == (2, 3)
    assert made.vertex_neighbor_vertices()[0].shape == (5,)
    with pytest.raises(ValueError, match="2D"):
        cupyx.scipy.spatial.Delaunay(cp.zeros((4, 3)))


@pytest.mark.parametrize(
    "look",
    [
        lambda a: a.get(),
        lambda a: float(a.sum()),
        lambda a: bool(a.any()),
        lambda a: a[a > 1].shape,
        lambda a: cp.zeros(1 << 20).get(),
        lambda a: cp.asnumpy(a[:3]),
        lambda a: a.tolist(),
        lambda a: repr(a),
        lambda a: cp.cuda.Device().synchronize(),
        lambda a: cp.cuda.Stream.null.synchronize(),
    ],
)
def test_waits_raise_where_none_is_allowed(look: Any) -> None:
    a = cp.arange(4.0)
    look(a)  # forms and tables are there
    with cupyx.allow_synchronize(False):
        b = (a + 1).sum()
        with pytest.raises(cupyx.DeviceSynchronized):
            look(a)
        with cupyx.allow_synchronize(True):
            look(a)
    assert b == 10
