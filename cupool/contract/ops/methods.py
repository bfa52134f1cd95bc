"""`cupy.ndarray` as data: which methods share a function's row, and which operators are which ufunc."""

from __future__ import annotations

#: Method -> (row, the method's own signature). The array is the row's first parameter; the others go by name.
METHODS: dict[str, tuple[str, str]] = {
}

#: Method -> {row's parameter: method's parameter}, where the names differ.
RENAMES: dict[str, dict[str, str]] = {"clip": {"a_min": "min", "a_max": "max"}}
