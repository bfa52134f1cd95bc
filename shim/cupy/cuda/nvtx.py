"""`cupy.cuda.nvtx`: marks for profilers, which attach to the server's process. Here they do nothing."""

from __future__ import annotations

from typing import Any


def Mark(message: str, id_color: int = -1) -> None:
    """Nothing."""


def MarkC(message: str, color: int = 0) -> None:
    """Nothing."""


def RangePush(message: str, id_color: int = -1) -> None:
    """Nothing."""


def RangePushC(message: str, color: int = 0) -> None:
    """Nothing."""


def RangePop() -> None:
    """Nothing."""


#: Marks are taken; as with NVTX itself, nothing happens unless a profiler listens, and none listens here.
available: Any = True


def RangeStart(message: str, id_color: int = -1) -> int:
    """Nothing; 0 for `RangeEnd`."""
    return 0


def RangeEnd(range_id: int) -> None:
    """Nothing."""
