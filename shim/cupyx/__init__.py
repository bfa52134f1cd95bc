"""`import cupyx`: what is here by hand or from the op table; every other public name says at use why it is not supported."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .. import cupy as _cupy
from .. import naming as _naming
from .._generated.cupyx import rsqrt
from ..syncdetect import DeviceSynchronized, allow_synchronize
from ._gufunc import GeneralizedUFunc
from ._pinned_array import empty_like_pinned, empty_pinned, zeros_like_pinned, zeros_pinned
from ._runtime import get_runtime_info

_SUBMODULES = frozenset(
    ("cusolver", "cusparse", "cutensor", "distributed", "jit", "lapack", "linalg", "optimizing", "profiler", "scipy", "signal", "time",
     "tools")
)  # fmt: skip


# -- scatter -----------------------------------------------------------------------------------------------------------------


def scatter_add(a: Any, slices: Any, value: Any) -> None:
    """`a[slices] += value`, each element as often as it is named."""
    _cupy.add.at(a, slices, value)


def scatter_max(a: Any, slices: Any, value: Any) -> None:
    """The maximum of elements and values, in place."""
    _cupy.maximum.at(a, slices, value)


def scatter_min(a: Any, slices: Any, value: Any) -> None:
    """The minimum of elements and values, in place."""
    _cupy.minimum.at(a, slices, value)


# -- error state ---------------------------------------------------------------------------------------------------------------


class _Config(threading.local):
    linalg = "ignore"


_config = _Config()
_LINALG = ("ignore", "raise")


def geterr() -> dict[str, Any]:
    """How errors are treated. Floating-point errors never raise on a device."""
    return {
        "divide": None,
        "over": None,
        "under": None,
        "invalid": None,
        "linalg": _config.linalg,
    }


def seterr(
    *, divide: Any = None, over: Any = None, under: Any = None, invalid: Any = None, linalg: str | None = None
) -> dict[str, Any]:  # fmt: skip
    """Set how errors are treated; returns what was before. With linalg='raise' linear algebra waits for its result and checks it."""
    before = geterr()
    if any(v is not None for v in (divide, over, under, invalid)):
        raise NotImplementedError
    if linalg is not None:
        if linalg not in _LINALG:
            raise NotImplementedError(f"linalg={linalg!r}: only {_LINALG} are supported")
        _config.linalg = linalg
    return before


@contextmanager
def errstate(
    *, divide: Any = None, over: Any = None, under: Any = None, invalid: Any = None, linalg: str | None = None
) -> Iterator[None]:  # fmt: skip
    """`seterr` for a while."""
    before = seterr(divide=divide, over=over, under=under, invalid=invalid, linalg=linalg)
    try:
        yield
    finally:
        _config.linalg = before["linalg"]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__package__}.{name}")
    from ..cupy._missing import refuse_attribute

    return refuse_attribute("cupyx", name)


__all__ = [
    "DeviceSynchronized", "GeneralizedUFunc", "allow_synchronize", "empty_like_pinned", "empty_pinned", "errstate", "get_runtime_info",
    "geterr", "rsqrt", "scatter_add", "scatter_max", "scatter_min", "seterr", "zeros_like_pinned", "zeros_pinned",
]  # fmt: skip
_naming.present(globals())
