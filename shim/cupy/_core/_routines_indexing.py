"""`cupy._core._routines_indexing`: what programs take from it."""

from __future__ import annotations

from typing import Any

from ..._generated import functions as _functions


def _ndarray_argwhere(a: Any) -> Any:
    """Indices of what is not zero, a row each."""
    return _functions.argwhere(a)
