"""`cupy.cuda.cub`, on arrays, and `cupy.cuda.thrust`, by addresses, against NumPy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import session
from cupool.shim.cupy.cuda import cub, cufft, thrust


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    session.current()
    yield
    session.close()


def test_reductions_keep_the_dtype() -> None:
    host = np.arange(1, 25, dtype="f4").reshape(2, 3, 4)
    a = cp.asarray(host)
    for op, name in ((cub.CUPY_CUB_SUM, "sum"), (cub.CUPY_CUB_MAX, "max"), (cub.CUPY_CUB_MIN, "min")):
        whole = cub.cub_reduction(a, op)
        assert whole.dtype == "f4" and whole.item() == getattr(host, name)()
        rows = cub.cub_reduction(a, op, axis=(1, 2), keepdims=True)
        assert rows.get().tolist() == getattr(host, name)(axis=(1, 2), keepdims=True).tolist()
        columns = cub.cub_reduction(cp.asfortranarray(a), op, axis=(0, -2))
        assert columns.get().tolist() == getattr(host, name)(axis=(0, 1)).tolist()
    assert cub.device_reduce(a[0, 0], cub.CUPY_CUB_PROD, (0,), ()).item() == 24
    assert cub.cub_reduction(a, cub.CUPY_CUB_ARGMAX).item() == 23
    out = cp.zeros((1, 1, 1), "f4")
    assert cub.cub_reduction(a, cub.CUPY_CUB_SUM, out=out, keepdims=True) is out and out.item() == 300


def test_what_cub_does_not_do_is_none() -> None:
    a = cp.ones((4, 6), "f4")
    assert cub.cub_reduction(a[:, ::2], cub.CUPY_CUB_SUM) is None
    assert cub.cub_reduction(a, cub.CUPY_CUB_SUM, axis=0) is None
    assert cub.cub_reduction(a, cub.CUPY_CUB_SUM, dtype="f8") is None
    assert cub.cub_reduction(a.astype("i4"), cub.CUPY_CUB_SUM) is None
    assert cub.cub_reduction(a, cub.CUPY_CUB_ARGMIN, axis=1) is None
    assert cub.cub_scan(a, cub.CUPY_CUB_SUM) is None and cub.cub_scan(a > 0, cub.CUPY_CUB_CUMSUM) is None


def test_scans_are_in_place() -> None:
    a = cp.arange(1, 7, dtype="i2").reshape(2, 3)
    assert cub.cub_scan(a, cub.CUPY_CUB_CUMSUM) is a and a.tolist() == [[1, 3, 6], [10, 15, 21]]
    b = cp.arange(1, 5)[::2]
    made = cub.device_scan(b, cub.CUPY_CUB_CUMPROD)
    assert made.tolist() == [1, 3] == b.tolist() and made is not b
    assert cub.device_scan(cp.zeros(0), cub.CUPY_CUB_CUMSUM).size == 0


def test_histograms() -> None:
    x = cp.asarray(np.array([0, 1, 1, 2, 3, 3, 9, -1]))
    assert cub.cub_histogram(x, cp.zeros(3, "i8"), 4).tolist() == [1, 2, 1]
    y = cp.zeros(2, "i4")
    assert cub.device_histogram(x.astype("f8"), y, cp.array([0.5, 1.5, 9.0])) is y and y.tolist() == [2, 3]


def test_refusals() -> None:
    a = cp.ones(3)
    with pytest.raises(ValueError, match="only CUPY_CUB_SUM"):
        cub.device_reduce(a, cub.CUPY_CUB_CUMSUM, (0,), ())
    with pytest.raises(ValueError, match="zero-size array to reduction operation CUPY_CUB_MIN"):
        cub.device_reduce(a[:0], cub.CUPY_CUB_MIN, (0,), ())
    with pytest.raises(ValueError, match="wrong number of dimensions"):
        cub.device_reduce(a, cub.CUPY_CUB_SUM, (0,), (), cp.zeros(1))
    with pytest.raises(ValueError, match="wrong shape"):
        cub.device_segmented_reduce(cp.ones((2, 3)), cub.CUPY_CUB_SUM, (1,), (0,), cp.zeros(3))
    with pytest.raises(RuntimeError, match="contiguous"):
        cub.device_segmented_reduce(cp.ones((2, 6))[:, ::2], cub.CUPY_CUB_SUM, (1,), (0,))
    with pytest.raises(ValueError, match="integer input"):
        cub.device_histogram(a, cp.zeros(2), 3)
    with pytest.raises(TypeError, match=r"expected cupy.ndarray, got ndarray"):
        cub.device_scan(np.ones(3), cub.CUPY_CUB_CUMSUM)


@pytest.mark.parametrize("dtype", ["i4", "f8", "c8", "?"])
def test_thrust_sorts_in_place(dtype: str) -> None:
    host = np.array([[3, 1, 2, 0], [0, 5, -1, 7]]).astype(dtype)
    a, b, places = cp.asarray(host), cp.asarray(host), cp.zeros((2, 4), "u8")
    thrust.sort(np.dtype(dtype), a.data.ptr, 0, a.shape)
    assert a.tolist() == np.sort(host).tolist()
    thrust.argsort(np.dtype(dtype), places.data.ptr, b.data.ptr, 0, b.shape)
    assert b.tolist() == a.tolist() == np.take_along_axis(host, places.get().astype(int), 1).tolist()
    keys, order = cp.asarray(host), cp.zeros(4, "u8")
    thrust.lexsort(np.dtype(dtype), order.data.ptr, keys.data.ptr, 2, 4)
    assert order.tolist() == np.lexsort(host).tolist()
    with pytest.raises(NotImplementedError, match="not supported"):
        thrust.sort(np.dtype("V3"), a.data.ptr, 0, a.shape)


def test_an_empty_plan_runs_nothing() -> None:
    plan, a = cufft.create(), cp.zeros(4, "c8")
    assert cufft.setAutoAllocation(plan, 0) == 0
    with pytest.raises(cufft.CuFFTError, match="INVALID_PLAN"):
        cufft.execC2C(plan, a.data.ptr, a.data.ptr, cufft.CUFFT_FORWARD)
    with pytest.raises(cufft.CuFFTError, match="INVALID_PLAN"):
        cufft.setAutoAllocation(-1, 0)
