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
