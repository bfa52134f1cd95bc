"""Captures of streams: what CUDA allows meanwhile, decided here; the commands are recorded by the server (`apiserver/captures.py`).

A capture begins on one stream; others join by waiting for an event recorded in it, and must be waited for before it ends. Its commands
get results at once, with contents to come: each launch of the graph computes them.

Boundary: stream numbers. `cupy.cuda.Stream` and `Graph` are the public side.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from cupool.contract.errors import CUDARuntimeError

from . import streams

ILLEGAL_STATE = 401
UNSUPPORTED, INVALIDATED, MERGE, UNMATCHED, UNJOINED, ISOLATION, IMPLICIT = range(900, 907)

#: stream number -> the capture that it is part of.
CAPTURING: dict[int, Capture] = {}
_numbers = itertools.count(1)

#: Prefixes of op names that use a library which CuPy does not capture -> that library.
_LIBRARIES = {
    **dict.fromkeys(("matmul", "dot", "vdot", "inner", "tensordot", "einsum", "cublas."), "cuBLAS"),
    "linalg.": "cuSOLVER",
    "cupyx.lapack.": "cuSOLVER",
    "cupyx.cusolver.": "cuSOLVER",
    "random.": "cuRAND",
    "@cupyx.scipy.sparse.": "cuSPARSE",
    "cupyx.scipy.sparse.": "cuSPARSE",
    "cupyx.cusparse.": "cuSPARSE",
}
_NOT_SOLVER = frozenset({"linalg.norm", "linalg.outer", "linalg.trace", "linalg.diagonal", "linalg.cross"})


class Capture:
    """One capture under way.

    Attributes:
        number: its number at the server.
        origin: the stream that it began on.
        is_invalid: a call that is not allowed has spoilt it.
        unjoined: streams that joined and were not waited for since.
        callbacks: (function, argument) of `launch_host_func`, in order.
    """

    def __init__(self, origin: int) -> None:
        self.number = next(_numbers)
        self.origin = origin
        self.is_invalid = False
        self.unjoined: set[int] = set()
        self.callbacks: list[tuple[Callable[[Any], Any], Any]] = []

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return CAPTURING.get(self.origin) is self


def of_stream(number: int) -> Capture | None:
    """The capture that a stream is part of."""
    return CAPTURING.get(number)


def current() -> Capture | None:
    """The capture that this thread's current stream is part of."""
    return CAPTURING.get(streams.current()) if CAPTURING else None


def begin(number: int) -> Capture:
    """A capture begins on a stream. Raises CUDARuntimeError when it is part of one."""
    if number in CAPTURING:
        raise CUDARuntimeError(ILLEGAL_STATE)
    capture = CAPTURING[number] = Capture(number)
    return capture


def join(capture: Capture, number: int) -> bool:
    """A stream waits for an event recorded in a capture: it joins. Returns whether it was not in it before."""
    other = CAPTURING.get(number)
    if other is capture:
        return False
    if other is not None:
        other.is_invalid = capture.is_invalid = True
        raise CUDARuntimeError(MERGE)
    CAPTURING[number] = capture
    capture.unjoined.add(number)
    return True


def end(number: int) -> Capture:
    """The capture on a stream ends.

    Raises:
        CUDARuntimeError: the stream is in none, did not begin it, or a stream was not joined back. `is_invalid` is for the caller.
    """
    capture = CAPTURING.get(number)
    if capture is None:
        raise CUDARuntimeError(ILLEGAL_STATE)
    if capture.origin != number:
        capture.is_invalid = True
        raise CUDARuntimeError(UNMATCHED)
    return capture


def close(capture: Capture) -> None:
    """Its streams are free again."""
    for number in [n for n, c in CAPTURING.items() if c is capture]:
        del CAPTURING[number]


def forbid(number: int) -> None:
    """A stream is to be waited for: spoils the capture that it is in. Raises CUDARuntimeError."""
    capture = CAPTURING.get(number)
    if capture is not None:
        capture.is_invalid = True
        raise CUDARuntimeError(UNSUPPORTED)


def check_wait() -> None:
    """Data are to be looked at. Raises RuntimeError while the current stream is in a capture, which that does not spoil."""
    if current() is not None:
        raise RuntimeError("the current stream is capturing, so synchronous API calls are disallowed")


def check_op(name: str) -> None:
    """Raises NotImplementedError for ops of libraries that CuPy does not capture, while the current stream is in a capture."""
    if current() is None or name in _NOT_SOLVER:
        return
    for prefix, library in _LIBRARIES.items():
        if name.startswith(prefix) if prefix.endswith(".") else name == prefix:
            raise NotImplementedError(
                f"calling {library} API during stream capture is currently unsupported: {name} (run it outside of the capture)"
            )


def forget() -> None:
    """Another session, or a forked child: what was captured is gone."""
    CAPTURING.clear()
