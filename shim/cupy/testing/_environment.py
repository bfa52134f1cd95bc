"""Conditions of tests: versions, devices, random states, warnings; and base classes for names that are NumPy's."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import inspect
import os
import random
import types
import unittest
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np

from ... import cupy as _cupy


def _pytest(feature: str) -> Any:
    try:
        import pytest
    except ImportError as error:
        raise RuntimeError(f"cupy.testing: {feature} is not available: {error}") from None
    return pytest


def installed(*specifiers: str) -> bool:
    """Whether the distributions are here: "numpy>=1.20". Needs the package packaging."""
    from packaging.requirements import Requirement

    for text in specifiers:
        wanted = Requirement(text)
        if wanted.name == "cupy":
            found = _cupy.__version__
        else:
            try:
                found = importlib.metadata.version(wanted.name)
            except importlib.metadata.PackageNotFoundError:
                return False
        if wanted.specifier and not wanted.specifier.contains(found, prereleases=True):
            return False
    return True


def numpy_satisfies(version_range: str) -> bool:
    """Whether NumPy's version is in a range: ">=1.20"."""
    return installed(f"numpy{version_range}")


def with_requires(*requirements: str) -> Callable[[Any], Any]:
    """Skip the test where the distributions are not `installed`."""
    reason = f"requires: {','.join(requirements)}"
    try:
        skip_if: Any = _pytest("with_requires").mark.skipif
    except RuntimeError:
        return unittest.skipIf(not installed(*requirements), reason)
    marked: Callable[[Any], Any] = skip_if(not installed(*requirements), reason=reason)
    return marked


def slow(*args: Any, **kwargs: Any) -> Any:
    """pytest's mark `slow`."""
    return _pytest("pytest attributes").mark.slow(*args, **kwargs)


def multi_gpu(gpu_num: int) -> Callable[[Any], Any]:
    """pytest's mark `multi_gpu`, and a skip where CUPY_TEST_GPU_LIMIT says that there are fewer devices."""
    pytest = _pytest("multi_gpu attribute")
    assert gpu_num > 1
    limit = int(os.environ.get("CUPY_TEST_GPU_LIMIT", "-1"))

    def mark(function: Any) -> Any:
        skip = pytest.mark.skipif(0 <= limit < gpu_num, reason=f"{gpu_num} GPUs required")
        return skip(pytest.mark.multi_gpu(function))

    return mark


@contextlib.contextmanager
def assert_warns(expected: type[Warning]) -> Iterator[None]:
    """Raises AssertionError when the block gives no warning of this class."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        yield
    if not any(isinstance(each.message, expected) for each in given):
        raise AssertionError(f"{getattr(expected, '__name__', expected)} not triggerred")


@contextlib.contextmanager
def AssertFunctionIsCalled(*args: Any, times_called: int = 1, **kwargs: Any) -> Iterator[None]:
    """`unittest.mock.patch` for the block, and an AssertionError when what it replaces is not called so often."""
    with mock.patch(*args, **kwargs) as handle:
        yield
        assert handle.call_count == times_called


class NumpyAliasTestBase(unittest.TestCase):
    """A name that is to be NumPy's; `func` is the name."""

    @property
    def func(self) -> str:
        raise NotImplementedError

    @property
    def cupy_func(self) -> Any:
        return getattr(_cupy, self.func)

    @property
    def numpy_func(self) -> Any:
        return getattr(np, self.func)


class NumpyAliasBasicTestBase(NumpyAliasTestBase):
    """Signature and docstring."""

    def test_argspec(self) -> None:
        assert inspect.signature(self.cupy_func) == inspect.signature(self.numpy_func)

    def test_docstring(self) -> None:
        assert self.cupy_func.__doc__
        assert self.cupy_func.__doc__ is not self.numpy_func.__doc__


class NumpyAliasValuesTestBase(NumpyAliasTestBase):
    """Values for the arguments `args`."""

    args: tuple[Any, ...] = ()

    def test_values(self) -> None:
        assert self.cupy_func(*self.args) == self.numpy_func(*self.args)


# -- random states ----------------------------------------------------------------------------------------------------------------

_depth = 0


@contextlib.contextmanager
def _fixed() -> Iterator[None]:
    """Python's, NumPy's and our generators from known seeds, and back. Nested ones do nothing."""
    global _depth
    _depth += 1
    try:
        if _depth > 1:
            yield
            return
        python, numpy = random.getstate(), np.random.get_state()
        ours = _cupy.random.get_random_state()
        seeds = (None,) * 3 if int(os.environ.get("CUPY_TEST_RANDOM_NONDETERMINISTIC", "0")) else (99, 100, 101)
        try:
            random.seed(seeds[0])
            np.random.seed(seeds[1])
            _cupy.random.set_random_state(_cupy.random.RandomState(seeds[2]))
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            _cupy.random.set_random_state(ours)
    finally:
        _depth -= 1


def generate_seed() -> int:
    """A seed, inside what `fix_random` decorates."""
    assert _depth > 0, "random is not set up"
    return int(np.random.randint(0x7FFFFFFF))


def fix_random() -> Callable[[Any], Any]:
    """Random numbers of a test method, or of each of a `unittest.TestCase`'s, from known seeds."""

    def decorate(target: Any) -> Any:
        if isinstance(target, types.FunctionType) and target.__name__.startswith("test_"):

            @functools.wraps(target)
            def test(*args: Any, **kwargs: Any) -> Any:
                with _fixed():
                    return target(*args, **kwargs)

            return test
        if isinstance(target, type) and issubclass(target, unittest.TestCase):
            set_up: Any = target.setUp

            def setUp(self: Any) -> None:
                self.enterContext(_fixed())
                set_up(self)

            target.setUp = setUp  # type: ignore[method-assign]
            return target
        raise ValueError(f"Can't apply fix_random to {target}")

    return decorate
