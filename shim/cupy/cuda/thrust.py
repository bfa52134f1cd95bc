"""`cupy.cuda.thrust`: sorting in place by device pointers is not offered; `cupy.sort`, `cupy.argsort` and `cupy.lexsort` are."""

from __future__ import annotations

from typing import Any

available = False


def get_build_version() -> int:
    """0: there is none."""
    return 0


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.thrust", name)
