"""Remote objects of a device, written down in plain values and read back: what both devices' `state.py` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

#: The number of an object in the document. What is referred to was written before.
NumberOf = Callable[[Any], int]
#: The reverse.
ObjectAt = Callable[[int], Any]


class Inconsistent(ValueError):
    """What was written down cannot be."""


def read_object(
    readers: Mapping[str, Callable[[Any, ObjectAt], Any]], kind: str, state: Any, object_at: ObjectAt
) -> Any:
    """The object of this kind and state. Raises Inconsistent."""
    reader = readers.get(kind)
    if reader is None:
        raise Inconsistent(f"an object of kind {kind[:40]!r}, which this device has not")
    try:
        return reader(state, object_at)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise Inconsistent(f"the state of a {kind[:40]} ({type(error).__name__}: {str(error)[:80]})") from None
