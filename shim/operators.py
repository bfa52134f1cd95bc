"""The hot paths: operators of `ndarray` on arrays and Python numbers.

Note [Hot tables]. Each operator has a table: left operand's spec -> {right operand's spec, or `float`, or `int`: entry}. An entry
exists only when the whole call is decided by the specs: no stream but the default one in use, result small enough not to need the
user's line, plain `ndarray` on both sides. Then a call is two dict lookups, one `extend` and one new object. Whatever is not
in the table takes `slow_binary`, which raises the errors, and fills the table when it may. Specs are compared by identity: arrays
from before a fork, and arrays of subclasses (`array.twin`), have specs of their own and so never hit.

Boundary: no rule is evaluated here; `ufunc.py` does that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from struct import Struct
from typing import Any

import numpy as np

from . import streams
from .pending import COMMANDS, GATE, extend
from .session import flush

#: Results from this size on take the slow path, which records the user's line.
TAGGED_BYTES = 64 * 1024
#: When tables hold this many entries together, all are dropped.
MAX_ENTRIES = 200_000

_pack = Struct("<d").pack
_unpack = Struct("<q").unpack

Table = dict[Any, Any]
TABLES: list[Table] = []
_entries = 0
#: False while a call must look at more than the specs; `_cold` says why.
hot = True
_cold: set[str] = set()
_lock = threading.RLock()

# Set by `bind`: this module and `array.py` need each other.
ndarray: Any = None
#: `next(counter)` mints a handle.
counter: Iterator[int] = iter(())
#: An array that has nothing yet: a tenth cheaper than `object.__new__(ndarray)`, for hot paths.
blank: Callable[[], Any] = object

#: Bits of doubles met as scalar operands. Zeros are not kept: 0.0 and -0.0 are one key.
_double_bits: dict[float, int] = {}


def bind(cls: Any, handles: Iterator[int]) -> None:
    """Give this module the array class and what counts handles. Called at import, and after a fork with the child's counter."""
    global ndarray, counter, blank
    ndarray, counter, blank = cls, handles, partial(object.__new__, cls)


def clear() -> None:
    """Forget every entry: forms were dropped, or a session ended."""
    global _entries
    with _lock:
        _entries = 0
        for table in TABLES:
            table.clear()


def set_hot(reason: str, is_hot: bool) -> None:
    """Note or withdraw a reason to look at more than specs. Under the lock, so that nothing is filled in after the clearing."""
    global hot
    with _lock:
        (_cold.discard if is_hot else _cold.add)(reason)
        hot = not _cold
        if not hot:
            clear()


def leave_hot() -> None:
    """Send every call through the slow path from here on."""
    set_hot("sync", False)


streams.ON_USE.append(lambda in_use: set_hot("streams", not in_use))


#: As `right` of `remember`: the entry is the left spec's alone.
ALONE: Any = object()


def remember(table: Table, left: Any, right: Any, entry: Any) -> None:
    """Fill a hot table."""
    global _entries
    with _lock:
        if not hot:
            return
        if _entries >= MAX_ENTRIES:
            clear()
        _entries += 1
        if right is ALONE:
            table[left] = entry
        else:
            table.setdefault(left, {})[right] = entry


def double_bits(value: float) -> int:
    """The SLOT_REAL word of a double."""
    bits = _double_bits.get(value)
    if bits is None:
        bits = _unpack(_pack(value))[0]
        if value and len(_double_bits) < 4096:
            _double_bits[value] = bits
    return bits


def new_table() -> Table:
    """A registered table."""
    table: Table = {}
    TABLES.append(table)
    return table


def binary(name: str, slow: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The method of a binary operator.

    Args:
        name: the method's name.
        slow: `slow(self, other, table)` does the whole call and may fill the table; see Note [Hot tables].
    """
    table = new_table()

    def method(self: Any, other: Any) -> Any:
        kind = type(other)
        if kind is ndarray:  # all of it in one place: a twentieth faster
            try:
                head, spec = table[self._spec][other._spec]
            except KeyError:
                return slow(self, other, table)
            result = blank()
            result._spec = spec
            result._handle = handle = next(counter)
            extend((head, handle, self._handle, other._handle))
            if len(COMMANDS) > GATE.words:
                flush()
            return result
        try:
            if kind is float:
                head, spec = table[self._spec][float]
                word = double_bits(other)
            elif kind is int:
                head, spec, low, high = table[self._spec][int]
                if not low <= other <= high:
                    return slow(self, other, table)
                word = other
            else:
                return slow(self, other, table)
        except KeyError:
            return slow(self, other, table)
        result = blank()
        result._spec = spec
        result._handle = handle = next(counter)
        extend((head, handle, self._handle, word))
        if len(COMMANDS) > GATE.words:
            flush()
        return result

    method.__name__ = name
    method.__qualname__ = f"ndarray.{name}"
    return method


def reflected(name: str, slow: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """As `binary`, of a method whose `other` is the left operand (`__radd__`): a number, since of two arrays the left one is asked."""
    table = new_table()

    def method(self: Any, other: Any) -> Any:
        kind = type(other)
        try:
            if kind is float:
                head, spec = table[self._spec][float]
                word = double_bits(other)
            elif kind is int:
                head, spec, low, high = table[self._spec][int]
                if not low <= other <= high:
                    return slow(self, other, table)
                word = other
            else:
                return slow(self, other, table)
        except KeyError:
            return slow(self, other, table)
        result = blank()
        result._spec = spec
        result._handle = handle = next(counter)
        extend((head, handle, word, self._handle))
        if len(COMMANDS) > GATE.words:
            flush()
        return result

    method.__name__ = name
    method.__qualname__ = f"ndarray.{name}"
    return method


def inplace(name: str, slow: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The method of an in-place operator: the ufunc with `out=` its left operand."""
    table = new_table()

    def method(self: Any, other: Any) -> Any:
        kind = type(other)
        try:
            if kind is ndarray:
                head = table[self._spec][other._spec]
                word = other._handle
            elif kind is float:
                head = table[self._spec][float]
                word = double_bits(other)
            elif kind is int:
                head, low, high = table[self._spec][int]
                if not low <= other <= high:
                    return slow(self, other, table)
                word = other
            else:
                return slow(self, other, table)
        except KeyError:
            return slow(self, other, table)
        handle = self._handle
        extend((head, handle, word, handle))
        if len(COMMANDS) > GATE.words:
            flush()
        return self

    method.__name__ = name
    method.__qualname__ = f"ndarray.{name}"
    return method


def unary(name: str, slow: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """The method of a unary operator."""
    table = new_table()

    def method(self: Any) -> Any:
        try:
            head, spec = table[self._spec]
        except KeyError:
            return slow(self, table)
        result = blank()
        result._spec = spec
        result._handle = handle = next(counter)
        extend((head, handle, self._handle))
        if len(COMMANDS) > GATE.words:
            flush()
        return result

    method.__name__ = name
    method.__qualname__ = f"ndarray.{name}"
    return method


def int_bounds(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Python ints that fit a loop on operands of `dtype` whatever their value: what an `int` entry may be used for."""
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return max(int(info.min), -(1 << 63)), min(int(info.max), (1 << 63) - 1)
    if dtype.kind in "fc":
        return -(1 << 31), 1 << 31
    return 0, 127


def reset_lock() -> None:
    """In a forked child: the lock may have been held by a thread that is not here."""
    global _lock
    _lock = threading.RLock()
