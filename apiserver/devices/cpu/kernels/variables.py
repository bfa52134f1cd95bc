"""The variables of loaded modules (`__device__`, `__constant__`, statics) as state of the session: what has changed in a module's writable
pages since it was loaded.

Only changes are kept, word by word: what the loader put there (addresses of the module's own) is another one in another process. A
word that a kernel has changed to an address inside of a module cannot be taken along, and neither can one in device memory; `escaped`
looks for both.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .globals import data_pages_of, span_of

#: Writable pages beyond this are not kept apart, so that such a module's session stays where it is.
MAX_DATA_BYTES = 64 << 20
_CHUNK_WORDS = 1 << 17

Words = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """A loaded object.

    Attributes:
        source .. backend: what it was made of, as `KernelEngine.module` takes it.
        object_hash: blake2b-32 of the file.
        start, size: its writable pages; pristine: what was there when it was loaded (None: too much to keep).
        low, high: where all of it lies.
        has_variables: the source may have some of its own, or take addresses.
    """

    source: str
    options: tuple[str, ...]
    name: str
    expressions: tuple[str, ...]
    headers: dict[str, str]
    backend: str
    object_hash: bytes
    start: int
    size: int
    pristine: bytes | None
    low: int
    high: int
    has_variables: bool


def remembered(path: Path, base: int, source: str, options: tuple[str, ...], name: str, expressions: tuple[str, ...],
               headers: dict[str, str], backend: str) -> Library:  # fmt: skip
    """The record of an object that was just loaded at `base`."""
    start, size = data_pages_of(base)
    low, high = span_of(base)
    pristine = ctypes.string_at(start, size) if 0 < size <= MAX_DATA_BYTES else b"" if size <= 0 else None
    text = "\n".join((source, *headers.values()))
    has = any(word in text for word in ("__device__", "__constant__", "__managed__", "static"))
    return Library(source, options, name, expressions, headers, backend, hashlib.blake2b(path.read_bytes(), digest_size=32).digest(),
                   start, max(size, 0), pristine, low, high, has)  # fmt: skip


def changes(library: Library) -> tuple[list[int], list[bytes]]:
    """Offsets and contents of the runs of words that differ from what was loaded. Raises LookupError when that is not known."""
    if library.pristine is None:
        raise LookupError(
            f"a module has {library.size} bytes of variables, more than the {MAX_DATA_BYTES} that a document holds of one"
        )
    now = _words(library)
    differ = np.flatnonzero(now != np.frombuffer(library.pristine, np.uint64))
    if not differ.size:
        return [], []
    breaks = np.flatnonzero(np.diff(differ) > 1) + 1
    runs = np.split(differ, breaks)
    return [int(run[0]) * 8 for run in runs], [now[run[0] : run[-1] + 1].tobytes() for run in runs]


def _words(library: Library) -> Words:
    if not library.size:
        return np.empty(0, np.uint64)
    return _words_at(library.start, library.size)


def _words_at(address: int, nbytes: int) -> Words:
    memory: Any = (ctypes.c_ubyte * (nbytes // 8 * 8)).from_address(address)
    words: Words = np.frombuffer(memory, np.uint64)
    return words


def apply(library: Library, offsets: Iterable[int], data: Iterable[bytes]) -> None:
    """Put changes back. Raises ValueError where they do not lie in the pages."""
    for offset, content in zip(offsets, data, strict=True):
        if offset < 0 or offset + len(content) > library.size:
            raise ValueError("a module's variables lie outside of its pages")
        ctypes.memmove(library.start + offset, content, len(content))


def escaped(libraries: Iterable[Library], arena: Any, apart: Set[int]) -> str:
    """Whether an address inside of a module was stored where it outlives a call: of what, or empty. `apart`: blocks that modules' own pages
    are mapped into; without an arena the modules alone are searched."""
    with_variables = [library for library in libraries if library.has_variables]
    spans = [(library.low, library.high) for library in with_variables]
    for library in with_variables:
        _, data = changes(library)
        if any(_holds_address(np.frombuffer(run, np.uint64), spans) for run in data):
            return "a variable or function"
    if spans and arena is not None:
        for address, nbytes in arena.blocks_in_use():
            if address in apart:
                continue
            if _holds_address(_words_at(address, nbytes), spans):
                return "a variable or function"
    return ""


def _holds_address(words: Words, spans: list[tuple[int, int]]) -> bool:
    for at in range(0, words.size, _CHUNK_WORDS):
        chunk = words[at : at + _CHUNK_WORDS]
        if any(bool((chunk - np.uint64(low) < np.uint64(high - low)).any()) for low, high in spans):
            return True
    return False


__all__ = ["Library", "apply", "changes", "escaped", "remembered"]
