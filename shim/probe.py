"""Stand-ins for arrays whose shape only the data can tell.

A boolean selection has a known dtype and number of dimensions; only one length is unknown. A `Probe` holds two specs that differ
in that length, both large odd numbers that nothing else in a program is likely to be. A rule that gives the same answer for both
does not depend on the length, so the result is known without waiting (`a[mask].sum()`); a rule that gives two answers makes the
result pending too; a rule that refuses either is asked again once the shape is known. The server checks every known result, so
a guess here can never become a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cupool.contract.ops._row import UNKNOWN, Vector
from cupool.contract.spec import Spec, spec_of

#: The two stand-in lengths.
LENGTHS = (1_000_003, 1_299_709)


class Probe:
    """Two stand-in specs of one pending array. Equal probes are the same object."""

    __slots__ = ("bound_bytes", "first", "second")

    def __init__(self, first: Spec, second: Spec, bound_bytes: int | None) -> None:
        self.first = first
        self.second = second
        #: The array is at most this large, where that is known.
        self.bound_bytes = bound_bytes

    def pick(self, index: int) -> Spec:
        return self.second if index else self.first


_interned: dict[tuple[Spec, Spec, int | None], Probe] = {}


def probe_of(first: Spec, second: Spec, bound_bytes: int | None = None) -> Probe:
    """The interned probe."""
    if len(_interned) > 4096:
        _interned.clear()
    key = (first, second, bound_bytes)
    return _interned.setdefault(key, Probe(first, second, bound_bytes))


def lengths_probe(shape: Callable[[int], tuple[int, ...]], dtype: Any, bound_bytes: int | None = None) -> Probe:
    """A probe of a C-ordered array whose shape is `shape(n)` for an n that only the data can tell."""
    first, second = (spec_of(shape(n), dtype) for n in LENGTHS)
    return probe_of(first, second, bound_bytes)


def probed(run: Callable[[int], Any]) -> Any:
    """The answer of a rule that is run on both stand-ins, or None when it must be run on the real specs."""
    try:
        first, second = run(0), run(1)
    except Exception:  # whatever it is, the rule raises it again on the real specs
        return None
    if isinstance(first, Spec) and isinstance(second, Spec):
        return first if first == second else probe_of(first, second)
    if isinstance(first, (tuple, list)) and isinstance(second, (tuple, list)) and len(first) == len(second):
        merged = [a if a == b else probe_of(a, b) for a, b in zip(first, second, strict=True)]
        return tuple(merged)
    if first is None and second is None:
        return None
    if isinstance(first, Vector):
        return first if first == second else None
    return UNKNOWN if isinstance(first, str) and first == UNKNOWN else None
