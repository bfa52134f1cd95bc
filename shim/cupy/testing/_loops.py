"""Decorators that call a test once per dtype, order or axes: an argument of the test that pytest does not see."""

from __future__ import annotations

import functools
import inspect
import os
import random
import unittest
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ._parameterized import product

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

COMPLEX = (np.complex64, np.complex128)
FLOATS = (np.float64, np.float32, np.float16)
SIGNED = tuple(np.dtype(c).type for c in "bhilq")
UNSIGNED = tuple(np.dtype(c).type for c in "BHILQ")
INTEGERS = SIGNED + UNSIGNED


def skips() -> tuple[type[BaseException], ...]:
    """What a test raises to be skipped. pytest's is no Exception."""
    try:
        from _pytest.outcomes import Skipped
    except ImportError:
        return (unittest.SkipTest,)
    return (unittest.SkipTest, Skipped)


def hidden(wrapped: Callable[..., Any], *names: str | None) -> Decorator:
    """As `functools.wraps`, but the wrapper does not ask for the arguments `names`, which it gives itself."""
    given = {name: None for name in names if name is not None}

    def decorate(wrapper: Any) -> Any:
        wrapper = functools.wraps(wrapped)(wrapper)
        wrapper.__signature__ = inspect.signature(functools.partial(wrapped, **given))
        return wrapper

    return decorate


def _each(choices: Iterable[dict[str, Any]], names: Sequence[str]) -> Decorator:
    """Call the test once per choice; a skip is of that choice alone, a failure says which it was."""
    choices = list(choices)

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        @hidden(test, *names)
        def run(*args: Any, **kwargs: Any) -> None:
            for choice in choices:
                try:
                    test(*args, **{**kwargs, **choice})
                except skips() as skip:
                    print(f"skipped: {choice} ({skip})")
                except Exception as error:
                    error.add_note(f"with {', '.join(f'{k} = {v}' for k, v in choice.items())}")
                    raise

        return run

    return decorate


def for_dtypes(dtypes: Sequence[Any], name: str = "dtype") -> Decorator:
    """Once per dtype, given as `name`."""
    return _each(({name: np.dtype(d).type} for d in dtypes), (name,))


def _all(no_float16: bool, no_bool: bool, no_complex: bool) -> tuple[Any, ...]:
    floats = FLOATS[:2] if no_float16 else FLOATS
    return (*floats, *INTEGERS, *(() if no_bool else (np.bool_,)), *(() if no_complex else COMPLEX))


def for_all_dtypes(
    name: str = "dtype", no_float16: bool = False, no_bool: bool = False, no_complex: bool = False
) -> Decorator:
    """Once per dtype that arrays may have."""
    return for_dtypes(_all(no_float16, no_bool, no_complex), name)


def for_float_dtypes(name: str = "dtype", no_float16: bool = False) -> Decorator:
    """Once per floating-point dtype."""
    return for_dtypes(FLOATS[:2] if no_float16 else FLOATS, name)


def for_signed_dtypes(name: str = "dtype") -> Decorator:
    """Once per signed integer dtype."""
    return for_dtypes(SIGNED, name)


def for_unsigned_dtypes(name: str = "dtype") -> Decorator:
    """Once per unsigned integer dtype."""
    return for_dtypes(UNSIGNED, name)


def for_int_dtypes(name: str = "dtype", no_bool: bool = False) -> Decorator:
    """Once per integer dtype, and for booleans."""
    return for_dtypes(INTEGERS if no_bool else (*INTEGERS, np.bool_), name)


def for_complex_dtypes(name: str = "dtype") -> Decorator:
    """Once per complex dtype."""
    return for_dtypes(COMPLEX, name)


def for_dtypes_combination(types: Sequence[Any], names: Sequence[str] = ("dtype",), full: Any = None) -> Decorator:
    """Once per combination of dtypes for `names`: of all with `full` or CUPY_TEST_FULL_COMBINATION=1, else of a sample with each in it."""
    types = list(types)
    if len(types) == 1:
        (name,) = names
        return for_dtypes(types, name)
    if full is None:
        full = int(os.environ.get("CUPY_TEST_FULL_COMBINATION", "0")) != 0
    if full:
        return _each(product({name: types for name in names}), names)
    columns = []
    for _ in names:
        shuffled = types[:]
        random.shuffle(shuffled)
        columns.append(types + shuffled)
    rows = dict.fromkeys(zip(*columns, strict=True))
    return _each((dict(zip(names, row, strict=True)) for row in rows), names)


def for_all_dtypes_combination(
    names: Sequence[str] = ("dtyes",), no_float16: bool = False, no_bool: bool = False, full: Any = None, no_complex: bool = False
) -> Decorator:  # fmt: skip
    """As `for_dtypes_combination`, of all dtypes."""
    return for_dtypes_combination(_all(no_float16, no_bool, no_complex), names, full)


def for_signed_dtypes_combination(names: Sequence[str] = ("dtype",), full: Any = None) -> Decorator:
    """As `for_dtypes_combination`, of signed integers."""
    return for_dtypes_combination(SIGNED, names, full)


def for_unsigned_dtypes_combination(names: Sequence[str] = ("dtype",), full: Any = None) -> Decorator:
    """As `for_dtypes_combination`, of unsigned integers."""
    return for_dtypes_combination(UNSIGNED, names, full)


def for_int_dtypes_combination(names: Sequence[str] = ("dtype",), no_bool: bool = False, full: Any = None) -> Decorator:
    """As `for_dtypes_combination`, of integers and booleans."""
    return for_dtypes_combination(INTEGERS if no_bool else (*INTEGERS, np.bool_), names, full)


def for_orders(orders: Iterable[Any], name: str = "order") -> Decorator:
    """Once per memory order."""
    return _each(({name: order} for order in orders), (name,))


def for_CF_orders(name: str = "order") -> Decorator:
    """Once for each way to say C or Fortran order."""
    return for_orders([None, "C", "F", "c", "f"], name)


def for_contiguous_axes(name: str = "axis") -> Decorator:
    """Once for each run of axes that is contiguous in the test's `shape` and `order`."""

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        @hidden(test, name)
        def run(*args: Any, **kwargs: Any) -> None:
            ndim, order = len(kwargs["shape"]), kwargs["order"]
            if order not in ("c", "C", "f", "F"):
                raise ValueError("Please specify the array order.")
            runs = [range(i, ndim) if order in "cC" else range(i + 1) for i in range(ndim)]
            _each(({name: tuple(axes)} for axes in runs), (name,))(test)(*args, **kwargs)

        return run

    return decorate
