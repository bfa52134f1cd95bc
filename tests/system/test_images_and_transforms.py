"""`cupyx.scipy.ndimage`, `fft`, `linalg`: what a program relies on besides the numbers that the table's samples compare."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
from cupool.shim import cupy as cp
from cupool.shim import session
from cupool.shim.cupyx import cusolver, errstate, lapack, linalg
from cupool.shim.cupyx.scipy import fft, fftpack, ndimage
from cupool.shim.cupyx.scipy import linalg as sl
from live import device as device
from live import waits


def image(dtype: Any = "f8") -> Any:
    return ((np.arange(48).reshape(6, 8) * 37) % 23).astype(dtype)


# -- images ---------------------------------------------------------------------------------------------------------------------


def test_an_output_array_is_the_result_and_may_be_the_input() -> None:
    a = cp.asarray(image())
    out = cp.zeros((6, 8), "f4")
    assert ndimage.gaussian_filter(a, 1.0, output=out) is out
    np.testing.assert_allclose(out.get(), scipy.ndimage.gaussian_filter(image(), 1.0), rtol=1e-5)
    expected = scipy.ndimage.median_filter(image(), 3)
    assert ndimage.median_filter(a, 3, output=a) is a
    np.testing.assert_array_equal(a.get(), expected)


def test_sizes_and_widths_may_be_device_arrays() -> None:
    a, host = cp.asarray(image()), scipy.ndimage
    pair, whole = np.array([1.0, 2.0]), np.array([2, 3])
    for name, value in (("gaussian_filter", pair), ("gaussian_laplace", pair), ("zoom", pair), ("shift", pair)):
        expected = getattr(host, name)(image(), value)
        for given in (cp.asarray(value), tuple(cp.asarray(value)), list(cp.asarray(value))):
            np.testing.assert_allclose(getattr(ndimage, name)(a, given).get(), expected, atol=1e-10)
    for name in ("uniform_filter", "median_filter", "maximum_filter", "grey_erosion"):
        expected = getattr(host, name)(image(), whole)
        np.testing.assert_allclose(getattr(ndimage, name)(a, cp.asarray(whole)).get(), expected, atol=1e-10)
    np.testing.assert_allclose(ndimage.gaussian_filter(a, cp.array(2.0)).get(), host.gaussian_filter(image(), 2.0))
    assert ndimage.zoom(a, np.array(2.0)).shape == ndimage.zoom(a, cp.array(2.0)).shape == (12, 16)
    found = ndimage.minimum_filter(a, size=3, origin=cp.array([1, 0]))
    np.testing.assert_array_equal(found.get(), host.minimum_filter(image(), size=3, origin=(1, 0)))
    found = ndimage.distance_transform_edt(a > 3, sampling=cp.array([1.0, 2.0]))
    np.testing.assert_allclose(found.get(), host.distance_transform_edt(image() > 3, sampling=(1, 2)))
    with pytest.raises(RuntimeError, match="must have length equal to input rank"):
        ndimage.zoom(a, cp.array([1.0, 2.0, 3.0]))


def test_fourier_filters_take_arrays_without_elements() -> None:
    for name in ("fourier_ellipsoid", "fourier_gaussian", "fourier_shift", "fourier_uniform"):
        assert getattr(ndimage, name)(cp.zeros((0, 4)), 3).get().shape == (0, 4)
        assert getattr(ndimage, name)(cp.zeros((0, 4, 3)), 3).get().shape == (0, 4, 3)


def test_filters_do_not_wait() -> None:
    a = cp.asarray(image())
    session.wait_all()
    before = waits()
    b = ndimage.sobel(ndimage.gaussian_filter(a, 1.0))
    c = ndimage.zoom(ndimage.binary_dilation(b > 1).astype(float), 2)
    d = ndimage.distance_transform_edt(c > 0.5, return_indices=True)[1]
    assert (c.shape, c.dtype, d.shape, d.dtype) == ((12, 16), np.float64, (2, 12, 16), np.int16)
    assert waits() == before


def test_modes_may_differ_per_axis_in_filters_that_scipy_refuses_them_in() -> None:
    footprint = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    found = ndimage.median_filter(cp.asarray(image()), footprint=cp.asarray(footprint), mode=("nearest", "wrap"))
    padded = np.pad(np.pad(image(), ((1, 1), (0, 0)), "edge"), ((0, 0), (1, 1)), "wrap")
    expected = scipy.ndimage.median_filter(padded, footprint=footprint)[1:-1, 1:-1]
    np.testing.assert_array_equal(found.get(), expected)


def test_a_boolean_result_is_whether_the_number_is_zero() -> None:
    a = np.zeros((5, 5), bool)
    a[2, 2] = True
    assert ndimage.uniform_filter(cp.asarray(a), 3).get().sum() == 9


def test_footprints_without_an_element_raise_at_the_call() -> None:
    a = cp.asarray(image())
    for footprint in (np.zeros((3, 3), bool), cp.zeros((3, 3), bool)):
        with pytest.raises(ValueError, match="all-zero footprint"):
            ndimage.minimum_filter(a, footprint=footprint)


def test_what_is_ignored_is_warned_of_each_time() -> None:
    a, footprint = cp.asarray(image()), cp.ones((3, 3), bool)
    for _ in range(2):
        with pytest.warns(UserWarning, match="ignoring size because footprint is set"):
            ndimage.maximum_filter(a, 3, footprint)
        with pytest.warns(UserWarning, match="promoting specified output dtype to complex"):
            ndimage.correlate(a.astype("c8"), cp.ones((3, 3)), output=np.float32)


def test_kernels_of_the_program_filter() -> None:
    a = image()
    spread = cp.ReductionKernel("X x", "Y y", "x", "max(a, b)", "y = a - _raw_x[_in_ind.size() / 2]", "-1e30", "spread")
    found = ndimage.generic_filter(cp.asarray(a), spread, (3, 4), mode="nearest")
    expected = scipy.ndimage.generic_filter(a, lambda v: v.max() - v[len(v) // 2], (3, 4), mode="nearest")
    np.testing.assert_array_equal(found.get(), expected)
    total = cp.RawKernel(
        'extern "C" __global__ void total(const double* x, int n, double* y) { *y = 0; for (int i = 0; i < n; i++) *y += x[i]; }', "total"
    )  # fmt: skip
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    found = ndimage.generic_filter(cp.asarray(a), total, footprint=cp.asarray(cross), mode="constant", cval=2.0)
    expected = scipy.ndimage.generic_filter(a, np.sum, footprint=cross, mode="constant", cval=2.0)
    np.testing.assert_allclose(found.get(), expected)
    ahead = cp.RawKernel(
        'extern "C" __global__ void ahead(const double* x, ptrdiff_t n, double* y, ptrdiff_t m) '
        "{ for (ptrdiff_t i = 0; i < m; i++) y[i] = x[i + n - m]; }",
        "ahead",
    )
    found = ndimage.generic_filter1d(cp.asarray(a), ahead, 3, axis=0, mode="wrap")
    np.testing.assert_array_equal(found.get(), np.roll(a, -1, 0))
    with pytest.raises(TypeError, match="bad function type"):
        ndimage.generic_filter(cp.asarray(a), np.max, 3)


def test_labels_are_counted_on_the_host() -> None:
    a = cp.asarray([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1]])
    labels, count = ndimage.label(a)
    assert type(count) is int and count == 3 and labels.dtype == np.int32
    assert ndimage.find_objects(labels)[2] == (slice(3, 4), slice(0, 3))
    # Only the half of the structure that comes before its centre counts: this one joins diagonals.
    joined = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]])
    out = cp.zeros((4, 3), np.int8)
    assert ndimage.label(a, cp.asarray(joined), out) == 4
    assert out.get()[1, 1] == out.get()[0, 0]
    with pytest.raises(ValueError, match="insufficient bit-depth"):
        ndimage.label(cp.arange(1000) % 2, output=np.int8)


def test_measurements_that_return_lists_and_dicts() -> None:
    a, labels = image(), np.arange(48).reshape(6, 8) % 3
    on_device = cp.asarray(a), cp.asarray(labels), cp.asarray([1, 2])
    for ours, theirs in zip(ndimage.extrema(*on_device), scipy.ndimage.extrema(a, labels, [1, 2]), strict=True):
        assert list(ours.tolist() if isinstance(ours, cp.ndarray) else ours) == list(theirs)
    found = ndimage.center_of_mass(*on_device)
    np.testing.assert_allclose([c.get() for c in found], scipy.ndimage.center_of_mass(a, labels, [1, 2]))
    found = ndimage.labeled_comprehension(*on_device, lambda v: v.sum(), np.float64, -1)
    np.testing.assert_allclose(found.get(), scipy.ndimage.sum_labels(a, labels, [1, 2]))
    histograms = ndimage.histogram(on_device[0], 0, 23, 4, on_device[1], on_device[2])
    assert histograms[0].get().tolist() == scipy.ndimage.histogram(a, 0, 23, 4, labels, [1, 2])[0].tolist()
    places = ndimage.value_indices(cp.asarray(labels), ignore_value=0)
    assert sorted(places) == [1, 2]
    assert sorted(map(tuple, np.stack([p.get() for p in places[2]], 1).tolist())) == sorted(
        map(tuple, np.argwhere(labels == 2).tolist())
    )


# -- transforms -----------------------------------------------------------------------------------------------------------------


def test_scipy_takes_the_module_as_a_backend() -> None:
    a = cp.asarray(image())
    with scipy.fft.set_backend(fft):
        found = [scipy.fft.fftn(a), scipy.fft.dct(a, norm="ortho"), scipy.fft.ihfft(a, axis=0)]
    assert all(isinstance(x, cp.ndarray) for x in found)
    expected = [scipy.fft.fftn(image()), scipy.fft.dct(image(), norm="ortho"), scipy.fft.ihfft(image(), axis=0)]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.get(), theirs, atol=1e-12)


def test_plans_are_checked_and_remembered() -> None:
    a = cp.asarray(image("c8"))
    cache = cp.fft.config.get_plan_cache()
    cache.clear()
    cp.fft.fft(a)
    cp.fft.fft2(a)
    assert [type(node.plan).__name__ for _, node in cache] == ["PlanNd", "Plan1d"]
    plan = fft.get_fft_plan(a)
    np.testing.assert_allclose(fft.fftn(a, plan=plan).get(), np.fft.fftn(image("c8")), rtol=1e-5, atol=1e-4)
    with plan:
        fft.fftn(a)
        with pytest.raises(ValueError, match=r"do not match"):
            fft.fftn(a[:4].copy())
        with pytest.raises(RuntimeError, match="Use the cuFFT plan either"):
            fftpack.fftn(a, plan=plan)
    with pytest.raises(ValueError, match="expected plan to have type"):
        fft.fft(a, plan=plan)
    cache.set_size(1)
    assert cache.get_curr_size() == 1
    cache.set_size(16)


def test_transforms_lie_in_memory_as_cupys_do() -> None:
    a = cp.asarray(image())
    assert fft.fft(a).flags.c_contiguous
    assert fft.fft(a, axis=0).strides == (16, 96)
    assert fft.fftn(cp.asfortranarray(a)).flags.f_contiguous
    assert fft.rfftn(cp.asfortranarray(a)).shape == (6, 5)


@pytest.mark.parametrize("kind", ["f4", "c8", "f8", "c16"])
def test_transforms_along_several_axes_are_scaled_once(kind: str) -> None:
    """Bit for bit what the transform without a scale gives, divided; where CuPy takes one plan for all the axes."""
    a = cp.asarray(np.random.default_rng(1).random((6, 5, 7)).astype(kind))
    for s, axes in [(None, (-2, -1)), (None, (2, 1)), ((3, 8), (0, 1)), ((4, None, 9), (0, 1, 2))]:
        for name in ["fftn", "ifftn", *(["rfftn"] if a.dtype.kind == "f" else ["irfftn"])]:
            if axes == (2, 1) and "r" in name:
                continue  # the halved axis is not the last neighbour: no plan of several axes
            function, inverse = getattr(cp.fft, name), "i" in name
            plain = function(a, s, axes, norm="forward" if inverse else "backward")
            shape = (a if name == "rfftn" else plain).shape
            points = math.prod((n or shape[axis]) for axis, n in zip(axes, s or [None] * 3, strict=False))
            for norm, by in [("ortho", math.sqrt(points)), ("backward" if inverse else "forward", points)]:
                found, expected = function(a, s, axes, norm=norm), plain / by
                assert found.dtype == plain.dtype and found.get().tobytes() == expected.get().tobytes(), (
                    name,
                    s,
                    axes,
                    norm,
                )
    lines = cp.fft.fftn(a, axes=(0, 2), norm="ortho")  # no neighbours: one axis after the other
    assert (
        lines.get().tobytes() == cp.fft.fft(cp.fft.fft(a, axis=2, norm="ortho"), axis=0, norm="ortho").get().tobytes()
    )


def test_a_singular_hankel_transform_is_warned_of_without_waiting() -> None:
    a = cp.asarray(np.linspace(1, 2, 8))
    session.wait_all()
    before = waits()
    with pytest.warns(UserWarning, match="singular transform"):
        fft.fht(a, 0.1, mu=-1.5, bias=0.5)
    assert waits() == before


# -- linear algebra -------------------------------------------------------------------------------------------------------------


def test_factors_solve() -> None:
    a = np.sin(np.arange(16).reshape(4, 4) ** 1.3 + 1)
    b = np.arange(8.0).reshape(4, 2)
    factors = sl.lu_factor(cp.asarray(a))
    assert factors[0].flags.f_contiguous and factors[1].dtype == np.int32
    np.testing.assert_allclose(sl.lu_solve(factors, cp.asarray(b)).get(), np.linalg.solve(a, b))
    infinite = sl.lu_factor(cp.asarray(a * np.inf))
    with pytest.raises(ValueError, match="infs or NaNs"):
        infinite[0].get()
    with pytest.raises(ValueError, match="infs or NaNs"):  # asked for: looked at before the call returns
        sl.solve_triangular(cp.asarray(a * np.nan), cp.asarray(b), check_finite=True)


def test_lapack_works_in_place() -> None:
    a = np.array([[4.0, 1.0], [1.0, 3.0]])
    factors, solution = cp.asarray(a), cp.asarray([1.0, 2.0])
    assert lapack.gesv(factors, solution) is None
    np.testing.assert_allclose(solution.get(), np.linalg.solve(a, [1.0, 2.0]))
    np.testing.assert_allclose(linalg.invh(cp.asarray(a)).get(), np.linalg.inv(a))
    indefinite = cp.asarray([[1.0, 2.0], [2.0, 1.0]])
    assert np.isnan(lapack.posv(indefinite, solution).get()).all()
    with errstate(linalg="raise"), pytest.raises(np.linalg.LinAlgError):
        lapack.posv(indefinite, solution)
    u, s, v = cusolver.gesvdj(cp.asarray(a))
    np.testing.assert_allclose((u * s @ v.T).get(), a)


def test_a_shape_may_be_a_range() -> None:
    assert cp.zeros(range(2, 4)).shape == (2, 3)
