"""Tests for several sets of parameters: `parameterize` gives a test class attributes, one class or one pytest parameter per set."""

from __future__ import annotations

import inspect
import itertools
import sys
import types
import unittest
from collections.abc import Callable
from typing import Any


def product(parameter: dict[str, Any]) -> list[dict[str, Any]]:
    """Every combination: {"a": [1, 2], "b": [3]} -> [{"a": 1, "b": 3}, {"a": 2, "b": 3}]."""
    assert isinstance(parameter, dict)
    names = sorted(parameter)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*(parameter[n] for n in names))]


def product_dict(*parameters: Any) -> list[dict[str, Any]]:
    """Every combination of sets of parameters, merged."""
    return [{k: v for each in sets for k, v in each.items()} for sets in itertools.product(*parameters)]


def _text(value: Any) -> str:
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) else repr(value)


def _shortened(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    front = (length - 3) // 2
    return f"{text[:front]}...{text[len(text) - (length - 3 - front) :]}"


def _make_class_name(base: str, number: int, parameters: dict[str, Any]) -> str:
    """ "TestSum_param_3_{axis=0, dtype=float32}"."""
    pairs = ", ".join(f"{k}={_shortened(_text(v), 100)}" for k, v in sorted(parameters.items()))
    return f"{base}_param_{number}_{{{_shortened(pairs, 5000)}}}"


def parameterize(*params: dict[str, Any], **kwargs: Any) -> Callable[[Any], Any]:
    """A test class whose tests run once per set of parameters, each an attribute of the instance.

    A `unittest.TestCase` becomes one class per set in its module; another class is parametrised by pytest.
    """

    def decorate(cls: Any) -> Any:
        if issubclass(cls, unittest.TestCase):
            assert not kwargs
            for number, parameters in enumerate(params):
                _add_case(cls, number, parameters)
            return None
        return _by_pytest(cls, params, **kwargs)

    return decorate


def _as_member(value: Any) -> Any:
    """A function stays a function of its own arguments when it is an attribute."""
    return staticmethod(value) if isinstance(value, types.FunctionType) else value


def _add_case(base: type, number: int, parameters: dict[str, Any]) -> None:
    name = _make_class_name(base.__name__, number, parameters)
    members: dict[str, Any] = {k: _as_member(v) for k, v in parameters.items()}
    shown: Any = base.__repr__
    members["__repr__"] = lambda self: f"<{shown(self)}  parameter: {parameters}>"
    for attribute, method in inspect.getmembers(base, inspect.isfunction):
        if attribute.startswith("test_"):
            members[attribute] = _noted(method, base, parameters)
    made = type(name, (base,), members)
    made.__module__ = base.__module__
    setattr(sys.modules[base.__module__], name, made)


def _noted(method: Any, base: type, parameters: dict[str, Any]) -> Any:
    """The test method; its failures say which parameters."""
    import functools

    @functools.wraps(method)
    def test(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except unittest.SkipTest:
            raise
        except Exception as error:
            error.add_note(
                f"{base.__name__}.{method.__name__} with " + ", ".join(f"{k}={v!r}" for k, v in parameters.items())
            )
            raise

    return test


def _by_pytest(cls: Any, params: tuple[dict[str, Any], ...], _ids: bool = True) -> Any:
    from ._environment import _pytest

    pytest = _pytest("parameterize")
    if getattr(cls, "_cupy_testing_is_parameterized", False):
        raise RuntimeError("do not `@testing.parameterize` twice")

    class Parameterized(cls):  # type: ignore[misc]
        _cupy_testing_is_parameterized = True

        @pytest.fixture(autouse=True)  # type: ignore[untyped-decorator, unused-ignore]
        def _cupy_testing_parameterize(self, _cupy_testing_param: dict[str, Any]) -> None:
            assert not self.__dict__, "There should not be another hack with instance attribute."
            self.__dict__.update(_cupy_testing_param)

        def __repr__(self) -> str:
            return f"<{super().__repr__()}  parameter: {self.__dict__}>"

    Parameterized.__name__, Parameterized.__qualname__, Parameterized.__module__ = (
        cls.__name__,
        cls.__qualname__,
        cls.__module__,
    )
    sets = [pytest.param(p, id=_make_class_name("", i, p) if _ids else str(i)) for i, p in enumerate(params)]
    return pytest.mark.parametrize("_cupy_testing_param", sets)(Parameterized)
