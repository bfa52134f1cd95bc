"""`cupy.linalg`."""

from __future__ import annotations

from typing import Any

from numpy.linalg import LinAlgError as LinAlgError

from .._generated.linalg import *  # noqa: F403


def __getattr__(name: str) -> Any:
    from ._missing import refuse_attribute

    return refuse_attribute("linalg", name)



