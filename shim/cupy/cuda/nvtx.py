"""`cupy.cuda.nvtx`: marks for profilers, which attach to the server's process. Here they do nothing."""

from __future__ import annotations

from typing import Any


def Mark(message: str, id_color: int = -1) -> None:  # noqa: N802 - CuPy's names
    """Nothing."""


def MarkC(message: str, color: int = 0) -> None:  # noqa: N802
    """Nothing."""


def RangePush(message: str, id_color: int = -1) -> None:  # noqa: N802
    """Nothing."""


def RangePushC(message: str, color: int = 0) -> None:  # noqa: N802
    """Nothing."""


def RangePop() -> None:  # noqa: N802
    """Nothing."""


available: Any = False
