"""What the modules of this package share."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.signal

#: SciPy's functions. Its stubs list every combination of dtypes, which means nothing where a dtype comes from a program.
sp_signal: Any = scipy.signal
PREFIX = "cupyx.scipy.signal."
Function = Callable[..., Any]


def table(**functions: Function) -> dict[str, Function]:
    """Row's name -> function, for functions of `cupyx.scipy.signal` by their own names."""
    return {PREFIX + name: function for name, function in functions.items()}


def internal(**functions: Function) -> dict[str, Function]:
    """Row's name -> function, for our own ops beside them."""
    return {f"@{PREFIX}{name}": function for name, function in functions.items()}


def arrays(result: Any) -> Any:
    """Results as the session stores them: arrays, or a tuple of arrays."""
    if isinstance(result, tuple):
        return tuple(np.asarray(each) for each in result)
    return np.asarray(result)


def plain(function: Function) -> Function:
    """SciPy's function as it is, but for its results."""

    def run(*args: Any, **kwargs: Any) -> Any:
        return arrays(function(*args, **kwargs))

    return run


def widened(a: Any) -> Any:
    """float16 as float32: SciPy's compiled code has no half precision."""
    a = np.asarray(a)
    return a.astype(np.float32) if a.dtype == np.float16 else a


def quiet(function: Function) -> Function:
    """Without SciPy's warnings: where CuPy warns, the client does."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args, **kwargs)

    return run
