"""Kernels that most programs use, loaded before a server is leased.

CuPy makes an elementwise kernel or a reduction when it is first called with certain types: it compiles the kernel, or finds it in its
cache on disk, which all servers of a host share and which is addressed by content, and loads it. That takes a program's first call some
milliseconds, and a tenth of a second or more where nobody on the host has compiled it yet. So a server calls the common ones once, on
arrays of a few elements. Packed arrays of any shape are one dimension to CuPy's kernels: those of any size find the same ones.

On a host's first start they all have to be compiled; what does not fit into the time is left for the next server, which finds the others in
the cache. But a server that is confined reads that cache and keeps what it compiles to itself (`confine.py`): where all are, and no other
program of the same user has filled it, each start takes the whole time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import cupy

log = logging.getLogger(__name__)

#: A function of CuPy's, and what it is called with.
Call = tuple[Callable[..., Any], tuple[Any, ...]]
#: Seconds that a server may spend on them before it is ready.
BUDGET_S = 3.0
#: By how often programs call them: of floats, and of all numbers.
_BINARY = ("add", "multiply", "subtract", "true_divide", "maximum", "minimum", "power")
_COMPARING = ("greater", "less", "equal", "greater_equal", "less_equal", "not_equal")
_UNARY = ("sqrt", "exp", "negative", "absolute", "log", "square", "sin", "cos", "tanh")
_REDUCING = ("sum", "max", "min", "mean", "argmax", "argmin")


def calls() -> Iterator[Call]:
    """What loads a kernel each, the most common first."""
    for dtype in ("float64", "float32"):
        a = cupy.ones(8, dtype)
        yield cupy.full, (8, 2, dtype)
        for name in _BINARY:
            for operands in ((a, a), (a, 2.0), (2.0, a)):
                yield getattr(cupy, name), operands
        for name in (*_UNARY, *_REDUCING):
            yield getattr(cupy, name), (a,)
        for name in _COMPARING:
            for operands in ((a, a), (a, 0.5)):
                yield getattr(cupy, name), operands
        yield cupy.where, (cupy.greater(a, a), a, a)
        yield cupy.copy, (a,)
        yield cupy.take, (a, cupy.arange(4))
    whole = cupy.arange(8)
    for name in ("add", "multiply", "subtract", "equal", "less"):
        for operands in ((whole, whole), (whole, 2)):
            yield getattr(cupy, name), operands
    yield cupy.sum, (whole,)
    for dtype, others in (
        ("int64", ("float64", "float32", "int32")),
        ("float64", ("float32", "int64")),
        ("float32", ("float64", "int64")),
    ):
        for other in others:
            yield cupy.ones(8, dtype).astype, (other,)


def load(budget_s: float = BUDGET_S) -> int:
    """Call them until the time is used up; returns how many were called. One that fails is the last: programs hear of it in their turn."""
    started, loaded = time.monotonic(), 0
    try:
        for function, arguments in calls():  # which makes arrays
            if time.monotonic() - started > budget_s:
                break
            function(*arguments)
            loaded += 1
    except Exception as error:
        log.warning("event=hot-kernel-failed what=%s: %s", type(error).__name__, str(error)[:200])
    log.info("event=hot-kernels loaded=%d seconds=%.2f", loaded, time.monotonic() - started)
    return loaded


__all__ = ["BUDGET_S", "Call", "calls", "load"]
