"""`cupy.testing`: what programs' own tests use. CuPy's tests of it run with `tools/cupy_suite.py --own-testing testing`."""

from __future__ import annotations

import unittest
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.shim import cupy as cp
from cupool.shim import session
from cupool.shim.cupy import testing


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    session.current()
    yield
    session.close()


# -- comparisons ---------------------------------------------------------------------------------------------------------------


@testing.for_all_dtypes(no_complex=True)
@testing.for_orders("CF")
@testing.numpy_cupy_allclose(contiguous_check=False)
def test_decorators_run_both_and_compare(xp: Any, dtype: Any, order: str) -> Any:
    return testing.shaped_arange((2, 3), xp, dtype, order) + xp.ones((), dtype)


@testing.for_float_dtypes("source")
@testing.for_unsigned_dtypes("target")
@testing.numpy_cupy_array_equal()
def test_negative_numbers_as_unsigned_are_not_compared(xp: Any, source: Any, target: Any) -> Any:
    return xp.asarray([-1, 0, 3], source).astype(target)


@testing.for_all_dtypes_combination(names=("a", "b"), no_complex=True, no_bool=True)
@testing.numpy_cupy_allclose()
def test_combinations_of_dtypes(xp: Any, a: Any, b: Any) -> Any:
    return testing.shaped_arange((3,), xp, a) + testing.shaped_reverse_arange((3,), xp, b)


@testing.numpy_cupy_array_equal(accept_error=ValueError)
def test_errors_that_are_accepted(xp: Any) -> Any:
    return xp.zeros((2, 3)).reshape(4)


@testing.numpy_cupy_equal()
def test_plain_values(xp: Any) -> Any:
    return xp.zeros((2, 3)).shape


def _differs(decorator: Any, test: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        decorator(test)()
    return str(caught.value)


def test_differences_are_told() -> None:
    def dtype(xp: Any) -> Any:
        return xp.zeros(2, "f4" if xp is cp else "f8")

    def value(xp: Any) -> Any:
        return xp.full(2, 1.0 if xp is cp else 2.0)

    def error(xp: Any) -> Any:
        if xp is cp:
            raise ValueError("here")
        return xp.zeros(2)

    def errors(xp: Any) -> Any:
        raise (ValueError if xp is cp else TypeError)("here")

    def order(xp: Any) -> Any:
        return xp.zeros((2, 3), order="F" if xp is cp else "C")

    assert "different dtypes" in _differs(testing.numpy_cupy_allclose(), dtype)
    testing.numpy_cupy_allclose(type_check=False)(dtype)()
    assert "not equal" in _differs(testing.numpy_cupy_array_equal(), value)
    testing.numpy_cupy_array_less()(value)()
    assert "Only cupy raises error" in _differs(testing.numpy_cupy_allclose(), error)
    assert "Different types of errors" in _differs(testing.numpy_cupy_allclose(accept_error=True), errors)
    assert "c_contiguous" in _differs(testing.numpy_cupy_allclose(), order)
    testing.numpy_cupy_array_equal()(order)()


def test_tolerances_by_dtype() -> None:
    def test(xp: Any) -> Any:
        return xp.full(1, 1.0 if xp is cp else 1.01, np.float32)

    testing.numpy_cupy_allclose(rtol={np.float32: 0.1, "default": 0})(test)()
    _differs(testing.numpy_cupy_allclose(rtol={np.float16: 0.1, "default": 0}), test)
    with pytest.raises(TypeError, match="Keys of the tolerance"):
        testing.numpy_cupy_allclose(rtol={"float32": 1})
    with pytest.raises(TypeError, match="type_check"):
        testing.numpy_cupy_allclose(rtol={"default": 1}, type_check=False)


def test_failures_say_which_choice() -> None:
    def test(dtype: Any) -> None:
        assert dtype is not np.int16

    with pytest.raises(AssertionError) as caught:
        testing.for_signed_dtypes()(test)()
    assert "int16" in str(caught.value.__notes__)


def test_skips_are_of_one_choice() -> None:
    seen = []

    def test(dtype: Any) -> None:
        if dtype is np.complex64:
            raise unittest.SkipTest("not this one")
        seen.append(dtype)

    testing.for_complex_dtypes()(test)()
    assert seen == [np.complex128]


@testing.for_contiguous_axes()
def _axes(axis: Any, shape: Any, order: str, seen: Any) -> None:
    seen.append(axis)


def test_contiguous_axes() -> None:
    seen: list[Any] = []
    _axes(shape=(1, 2, 3), order="C", seen=seen)
    _axes(shape=(1, 2, 3), order="F", seen=seen)
    assert seen == [(0, 1, 2), (1, 2), (2,), (0,), (0, 1), (0, 1, 2)]


# -- data, parameters, environment ------------------------------------------------------------------------------------------------


def test_data_is_the_same_on_both_sides() -> None:
    for make in (testing.shaped_arange, testing.shaped_reverse_arange, testing.shaped_random):
        for dtype in "?iBfFd":
            testing.assert_array_equal(make((2, 3), cp, dtype), make((2, 3), np, dtype))
    testing.assert_array_equal(testing.shaped_linspace(-1, 1, (2, 2), cp, "B"), np.array([[0, 0], [0, 1]], "B"))
    before = np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    testing.shaped_random((2,))
    assert (np.random.get_state()[1] == before).all()  # type: ignore[index,union-attr]


def test_matrices_with_given_singular_values() -> None:
    made = testing.generate_matrix((2, 3, 4), cp, "D", singular_values=[3.0, 2.0, 1.0])
    np.testing.assert_allclose(np.linalg.svd(made.get(), compute_uv=False), [[3, 2, 1]] * 2)
    with pytest.raises(ValueError, match="negative"):
        testing.generate_matrix((2, 2), singular_values=[-1.0, 1.0])


@testing.parameterize(*testing.product({"n": [1, 2], "f": [abs, len]}))
class TestByPytest:
    n: int
    f: Any

    def test_attributes(self) -> None:
        assert self.n in (1, 2)
        assert self.f in (abs, len)


@testing.parameterize({"n": 1}, {"n": 2})
class TestByClasses(unittest.TestCase):
    n: int

    def test_attributes(self) -> None:
        assert self.n in (1, 2)


def test_cases_become_classes() -> None:
    names = sorted(name for name in globals() if name.startswith("TestByClasses"))
    assert names == ["TestByClasses", "TestByClasses_param_0_{n=1}", "TestByClasses_param_1_{n=2}"]
    assert globals()["TestByClasses"] is None
    assert testing.product_dict([{"a": 1}], [{"b": 2}, {"b": 3}]) == [{"a": 1, "b": 2}, {"a": 1, "b": 3}]


def test_requirements() -> None:
    assert testing.installed("numpy>=2")
    assert not testing.installed("numpy>=99")
    assert not testing.installed("no-such-distribution")
    assert testing.installed("cupy>=14")
    assert testing.numpy_satisfies("<99")


def test_random_numbers_are_fixed_and_given_back() -> None:
    @testing.fix_random()
    def test_draw() -> Any:
        return testing.generate_seed(), cp.random.rand(2).tolist(), np.random.rand()

    state = np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    assert test_draw() == test_draw()
    assert (np.random.get_state()[1] == state).all()  # type: ignore[index,union-attr]
    with pytest.raises(AssertionError):
        testing.generate_seed()


def test_warnings_that_must_come() -> None:
    with testing.assert_warns(UserWarning):
        warnings.warn("here", stacklevel=1)
    with pytest.raises(AssertionError, match="UserWarning not"), testing.assert_warns(UserWarning):
        pass
