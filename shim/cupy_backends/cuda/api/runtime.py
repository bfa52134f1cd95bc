"""What `cupy.cuda.runtime` has: real CuPy keeps that module here."""

from __future__ import annotations

from typing import Any

from ....cupy.cuda import runtime


def __getattr__(name: str) -> Any:
    return getattr(runtime, name)


def __dir__() -> list[str]:
    return dir(runtime)
