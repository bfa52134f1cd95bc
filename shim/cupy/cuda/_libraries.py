"""What the modules of CUDA's libraries (cublas, cufft, …) share: constants as data, error classes, handles.

A library's handle is a number of this process that stands for its settings: the library itself is the server's, and arrays are what it
is given.
"""

from __future__ import annotations

import itertools
import threading
from typing import Any, ClassVar

from cupool.contract.errors import Unsupported


def constants(text: str) -> dict[str, int]:
    """ "NAME=1 OTHER=0x2" as a dict."""
    return {name: int(value, 0) for name, _, value in (item.partition("=") for item in text.split())}


class LibraryError(RuntimeError):
    """An error of a library, by its status.

    Attributes:
        status: the library's number for it.
    """

    #: status -> text
    TEXTS: ClassVar[dict[int, str]] = {}

    def __init__(self, status: int) -> None:
        self.status = int(status)
        super().__init__(self.TEXTS.get(self.status, f"unknown status {self.status}"))

    def __reduce__(self) -> Any:
        return (type(self), (self.status,))


def texts(prefix: str, words: str) -> dict[int, str]:
    """ "1=NOT_INITIALIZED …" as {1: "<prefix>NOT_INITIALIZED"}."""
    return {int(n): prefix + name for n, _, name in (item.partition("=") for item in words.split())}


_numbers = itertools.count(0x5000)


class Handle:
    """The settings behind a handle.

    Attributes:
        stream: `ptr` of the stream that its calls go to.
        pointer_mode: whether scalars are behind addresses of the host (0) or of the device (1).
        math_mode: noted.
    """

    def __init__(self) -> None:
        self.stream = 0
        self.pointer_mode = 0
        self.math_mode = 0


_handles: dict[int, Handle] = {}


def new_handle() -> int:
    """A handle, with fresh settings."""
    number = next(_numbers)
    _handles[number] = Handle()
    return number


def drop_handle(number: int) -> None:
    """A handle is not used any more."""
    _handles.pop(number, None)


def settings(number: int, error: type[LibraryError]) -> Handle:
    """A handle's settings. Raises `error` for a number that is none."""
    found = _handles.get(number)
    if found is None:
        raise error(1)
    return found


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}


_threads = _PerThread()


def thread_handle(library: str) -> int:
    """This thread's handle of a library; made at the first call."""
    number = _threads.numbers.get(library)
    if number is None:
        number = _threads.numbers[library] = new_handle()
    return number


def refused(module: str, name: str, why: str) -> Unsupported:
    """The error of a function that has no meaning here."""
    return Unsupported(f"cupy.cuda.{module}.{name} is not supported: {why}.", "See docs/coverage.md for what is.")
