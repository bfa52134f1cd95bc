"""`cupy.fuse`. The decorated function runs as it is: each operation is a command, sent without waiting.

So the results are those of the unfused program, and differ from CuPy's fused kernel at most in the last bit of intermediate
values. Joining the loops is the server's business.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from . import dispatch

_ACCEPTABLE = (np.ndarray, np.generic, int, float, complex, bool, type(None))


class Fusion:
    """What `fuse` makes of a function.

    Attributes:
        func: the function.
        name: the kernel's name, for people.
    """

    __module__ = "cupy"

    def __init__(self, func: Callable[..., Any], name: str | None = None) -> None:
        self.func = func
        self.name = name or func.__name__

    def __repr__(self) -> str:
        return f"<Fusion '{self.name}'>"

    def __call__(self, *args: Any) -> Any:
        if any(isinstance(a, dispatch.ndarray) for a in args):
            for arg in args:
                if not isinstance(arg, (dispatch.ndarray, *_ACCEPTABLE)):
                    kinds = ", ".join(repr(type(a)) for a in args)
                    raise TypeError(f"Invalid argument type for '{self.name}': ({kinds})")
        return self.func(*args)

    def clear_cache(self) -> None:
        """Forget compiled kernels: there are none."""


def fuse(*args: Any, **kwargs: Any) -> Any:
    """Decorator that makes a function of arrays one kernel, as `cupy.fuse`: `@fuse`, `@fuse()`, `@fuse(kernel_name="f")`."""

    def wrapper(func: Callable[..., Any], kernel_name: str | None = None) -> Any:
        fusion = Fusion(func, kernel_name)
        functools.update_wrapper(fusion, func)
        return fusion

    if len(args) == 1 and not kwargs and callable(args[0]):
        return wrapper(args[0])
    if args:
        return lambda func: wrapper(func, *args, **kwargs)
    unknown = set(kwargs) - {"kernel_name"}
    if unknown:
        raise TypeError(f"fuse() got an unexpected keyword argument {sorted(unknown)[0]!r}")
    return lambda func: wrapper(func, **kwargs)
