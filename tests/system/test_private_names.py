"""What programs take from CuPy's private modules although they are private: image and signal libraries do, so it is here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cupool.shim import cupy as cp
from live import device as device

PREAMBLE = "__device__ double twice(double x) { return 2 * x; }"


@pytest.fixture(scope="module")
def function() -> Any:
    ops = ("ff->f", "dd->d", ("DD->D", "out0 = in0 * in1"))
    made = cp._core.create_ufunc("mine", ops, "out0 = out0_type(in0) + twice(in1);", preamble=PREAMBLE, doc="A sum.")
    for dtype in "fdD":
        made(
            cp.ones(1, dtype), cp.ones(1, dtype)
        ).get()  # compiled here, not in a test that is watched for what it leaves
    return made


def test_functions_of_the_core_are_the_public_ones() -> None:
    for name in ("add", "absolute", "dot", "matmul", "ascontiguousarray", "true_divide"):
        assert getattr(cp._core, name) is getattr(cp, name)
    with pytest.raises(AttributeError):
        _ = cp._core.nothing_of_the_kind


def test_arrays_tell_their_contiguity() -> None:
    a = cp.zeros((2, 3))
    assert (a._c_contiguous, a._f_contiguous, a.T._c_contiguous, a.T._f_contiguous) == (True, False, False, True)
    with pytest.raises(AttributeError):
        a._c_contiguous = False


def test_helpers() -> None:
    internal = cp._core.internal
    assert internal._normalize_axis_indices((-1, 0), 3) == (0, 2)
    assert internal._normalize_axis_indices((-1, 0), 3, sort_axes=False) == (2, 0)
    assert internal._normalize_axis_indices(None, 2) == (0, 1)
    with pytest.raises(np.exceptions.AxisError):
        internal._normalize_axis_index(3, 3)
    with pytest.raises(ValueError, match="duplicate"):
        internal._normalize_axis_indices((0, -3), 3)
    assert [internal.clp2(n) for n in (0, 1, 5, 8)] == [0, 1, 8, 8]
    assert [internal.get_size(s) for s in ((), 3, (2, 3), np.array(4))] == [(), (3,), (2, 3), (4,)]
    for nothing in (None, True, (2, np.bool_(True))):
        with pytest.raises(TypeError):
            internal.get_size(nothing)
    assert internal.get_c_contiguity((2, 1, 3), (24, 7, 8), 8)
    assert not internal.get_c_contiguity((2, 3), (8, 16), 8)


def test_shapes_and_slices() -> None:
    internal = cp._core.internal
    assert internal.infer_unknown_dimension((-1, 2, 3), 12) == [2, 2, 3]
    for shape, size in (((-1, 1, -1), 10), ((3, 4), 10), ((-1, 4), 10), ((0, -1), 0)):
        with pytest.raises(ValueError, match=r"unknown dimension|cannot reshape"):
            internal.infer_unknown_dimension(shape, size)
    assert internal.vector_equal([1, 2], (1, 2)) and not internal.vector_equal([1, 2], [1])
    for start in (None, -11, -3, 0, 4, 12):
        for stop in (None, -11, -3, 0, 4, 12):
            for step in (None, 1, 2, -1, -3):
                found = internal.complete_slice(slice(start, stop, step), 10)
                within = range(10)[start:stop:step]
                assert list(range(found.start, found.stop, found.step)) == list(within)
                assert found.start <= found.stop if found.step > 0 else found.start >= found.stop >= -1
    with pytest.raises(ValueError, match="nonzero"):
        internal.complete_slice(slice(1, 1, 0), 1)
    with pytest.raises(TypeError, match=r"slice\.start"):
        internal.complete_slice(slice((1, 2), 1, -1), 1)


def test_helpers_of_linalg() -> None:
    from cupool.shim.cupy.linalg import _util

    x = cp.arange(24.0).reshape(2, 3, 4)
    assert np.array_equal(
        _util.stacked_identity((2, 2), 3, "f").get(), np.broadcast_to(np.eye(3, dtype="f"), (2, 2, 3, 3))
    )
    assert np.array_equal(_util.stacked_identity_like(x[..., :3]).get(), np.broadcast_to(np.eye(3), (2, 3, 3)))
    assert _util.linalg_common_type(x, cp.ones(1, "F")) == (np.dtype("D"), np.dtype("D"))
    assert _util.linalg_common_type(cp.ones(1, "e"), reject_float16=False) == (np.dtype("f"), np.dtype("e"))
    with pytest.raises(TypeError, match="float16"):
        _util.linalg_common_type(cp.ones(1, "e"))
    _util._assert_stacked_2d(x)
    for check, wrong in (
        (_util._assert_cupy_array, np.ones(1)),
        (_util._assert_2d, x),
        (_util._assert_stacked_2d, x[0, 0]),
        (_util._assert_stacked_square, x),
    ):
        with pytest.raises(np.linalg.LinAlgError):
            check(wrong)
    upper = cp.ones((3, 3))
    assert _util._triu(upper, 1) is upper and np.array_equal(upper.get(), np.triu(np.ones((3, 3)), 1))
    assert np.array_equal(_util._tril(cp.ones((3, 3))).get(), np.tri(3))


def test_numbers_of_transforms() -> None:
    from cupool.shim.cupy.cuda import cufft
    from cupool.shim.cupy.fft import _fft

    assert _fft._convert_fft_type(np.complex64, "C2C") == cufft.CUFFT_C2C
    assert _fft._convert_fft_type(np.dtype("d"), "R2C") == cufft.CUFFT_D2Z
    with pytest.raises(ValueError, match="no transform"):
        _fft._convert_fft_type(np.dtype("i4"), "R2C")


def test_integer_outputs_of_images() -> None:
    from cupool.shim.cupyx.scipy.ndimage import _util

    whole, real = cp.ones(1, "B"), cp.ones(1)
    cases = {(None, 0): True, ("i4", 0): True, (float, 0): False, (None, 1): False, ("?", 1): False}
    assert all(_util._is_integer_output(given, (whole, real)[i]) is is_one for (given, i), is_one in cases.items())
    assert _util._is_integer_output(whole, real) and not _util._is_integer_output(real, whole)


def test_accelerators_are_remembered() -> None:
    cp._core.set_routine_accelerators(["cub", 2])
    try:
        assert cp._core.get_routine_accelerators() == [1, 2]
        with pytest.raises(ValueError, match="Unknown accelerator"):
            cp._core.set_reduction_accelerators(["abacus"])
    finally:
        cp._core.set_routine_accelerators([])


def test_pools_by_their_private_names() -> None:
    cp._default_memory_pool.free_all_blocks()
    assert cp._default_memory_pool is cp.get_default_memory_pool()
    assert cp._default_pinned_memory_pool is cp.get_default_pinned_memory_pool()


def test_a_made_ufunc_picks_its_loop(function: Any) -> None:
    a = cp.arange(6, dtype="f4").reshape(2, 3)
    assert function.types == ["ff->f", "dd->d", "DD->D"]
    assert (function.nin, function.nout, function.__doc__) == (2, 1, "A sum.")
    for operands, dtype in (((a, 2), "f4"), ((cp.arange(3), a), "f8"), ((a, a + 1j), "c16"), ((3.0, a), "f4"), ((1, 2), "f8"),
                            ((np.float32(1), 2), "f4")):  # fmt: skip
        x, y = (np.asarray(cp.asnumpy(o), None if hasattr(o, "dtype") else dtype) for o in operands)
        result = function(*operands)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result.get(), x * y if dtype == "c16" else x + 2 * y)


def test_a_made_ufunc_writes_where_it_is_told(function: Any) -> None:
    a = cp.arange(6, dtype="f4").reshape(2, 3)
    out = cp.empty((2, 3), "f8")
    assert function(a, a, out=out) is out
    np.testing.assert_array_equal(out.get(), 3 * a.get())
    assert function(a, cp.float32(1), a) is a
    np.testing.assert_array_equal(a.get(), np.arange(6).reshape(2, 3) + 2)


def test_a_made_ufunc_refuses(function: Any) -> None:
    a = cp.arange(6, dtype="f4")
    with pytest.raises(TypeError, match="Wrong number of arguments"):
        function(a)
    with pytest.raises(TypeError, match=r"Unsupported type <class 'numpy.ndarray'>"):
        function(a, np.arange(6.0))
    with pytest.raises(TypeError, match="casting rule"):
        function(a, a, out=cp.empty(6, "i4"))
    with pytest.raises(ValueError, match="both a positional and keyword"):
        function(a, a, a, out=a)
    with pytest.raises(TypeError, match="Wrong type"):
        cp._core.create_ufunc("small", ("bb->b",), "out0 = in0 + in1")(a, a)
