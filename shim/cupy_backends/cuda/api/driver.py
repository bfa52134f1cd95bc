"""What `cupy.cuda.driver` has: real CuPy keeps that module here."""

from __future__ import annotations

from typing import Any

from ....cupy.cuda import driver


def __getattr__(name: str) -> Any:
    return getattr(driver, name)


def __dir__() -> list[str]:
    return dir(driver)
