"""SciPy's backend protocol (uarray): `with scipy.fft.set_backend(cupyx.scipy.fft)`. SciPy itself is never imported: functions go by name.

Boundary: a backend module makes `__ua_domain__`, `__ua_convert__` and `__ua_function__` out of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ...array import ndarray
from ...convert import asarray


def convert(dispatchables: Iterable[Any], coerce: bool) -> Any:
    """`__ua_convert__`: the arguments, host arrays on the device when asked for; NotImplemented when one is no device array."""
    given = list(dispatchables)
    try:
        values = [asarray(d.value) if coerce and d.coercible and d.type is np.ndarray else d.value for d in given]
    except TypeError:
        return NotImplemented
    if any(d.type is np.ndarray and not isinstance(v, ndarray) for d, v in zip(given, values, strict=True)):
        return NotImplemented
    return values


def caller(module: str, functions: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """`__ua_function__` for the functions of a SciPy module that are here under the same name."""

    def call(method: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(method, "__name__", "")
        owner = getattr(method, "__module__", None) or module
        function = functions.get(name) if owner.startswith(module) else None
        return NotImplemented if function is None else function(*args, **kwargs)

    return call
