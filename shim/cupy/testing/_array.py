"""Comparisons of device and host arrays. Everything is brought to the host and compared by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...convert import asnumpy


def assert_allclose(
    actual: Any, desired: Any, rtol: float = 1e-7, atol: float = 0, err_msg: str = "", verbose: bool = True
) -> None:
    """As `numpy.testing.assert_allclose`."""
    np.testing.assert_allclose(
        asnumpy(actual), asnumpy(desired), rtol=rtol, atol=atol, err_msg=err_msg, verbose=verbose
    )


def assert_array_almost_equal(x: Any, y: Any, decimal: int = 6, err_msg: str = "", verbose: bool = True) -> None:
    """As `numpy.testing.assert_array_almost_equal`."""
    np.testing.assert_array_almost_equal(asnumpy(x), asnumpy(y), decimal=decimal, err_msg=err_msg, verbose=verbose)


def assert_array_almost_equal_nulp(x: Any, y: Any, nulp: int = 1) -> None:
    """As `numpy.testing.assert_array_almost_equal_nulp`."""
    np.testing.assert_array_almost_equal_nulp(asnumpy(x), asnumpy(y), nulp=nulp)


def assert_array_max_ulp(a: Any, b: Any, maxulp: int = 1, dtype: Any = None) -> None:
    """As `numpy.testing.assert_array_max_ulp`."""
    np.testing.assert_array_max_ulp(asnumpy(a), asnumpy(b), maxulp=maxulp, dtype=dtype)


def assert_array_equal(
    x: Any, y: Any, err_msg: str = "", verbose: bool = True, strides_check: bool = False, **kwargs: Any
) -> None:
    """As `numpy.testing.assert_array_equal`; with `strides_check` the strides too."""
    np.testing.assert_array_equal(asnumpy(x), asnumpy(y), err_msg=err_msg, verbose=verbose, **kwargs)
    if strides_check and x.strides != y.strides:
        lines = ["Strides are not equal:", *([err_msg] if err_msg else []), f" x: {x.strides}", f" y: {y.strides}"]
        raise AssertionError("\n".join(lines))


def assert_array_list_equal(xlist: Any, ylist: Any, err_msg: str = "", verbose: bool = True) -> None:
    """Two sequences of arrays, pair by pair."""
    if type(xlist) is not type(ylist):
        kinds = f"(xlist:{type(xlist)} ylist:{type(ylist)})"
        raise AssertionError(f"Matching types of list or tuple are expected, but were different types {kinds}")
    if type(xlist) not in (list, tuple):
        raise AssertionError(f"List or tuple is expected, but was {type(xlist)}")
    if len(xlist) != len(ylist):
        raise AssertionError("List size is different")
    for x, y in zip(xlist, ylist, strict=True):
        np.testing.assert_array_equal(asnumpy(x), asnumpy(y), err_msg=err_msg, verbose=verbose)


def assert_array_less(x: Any, y: Any, err_msg: str = "", verbose: bool = True) -> None:
    """As `numpy.testing.assert_array_less`."""
    np.testing.assert_array_less(asnumpy(x), asnumpy(y), err_msg=err_msg, verbose=verbose)
