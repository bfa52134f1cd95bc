"""`cupyx.linalg`."""

from __future__ import annotations

from typing import Any

from ..._generated import cupyx_linalg as _plain
from ...cupy import linalg as _of_cupy
from . import sparse as sparse


def cho_solve(c_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """As `cupyx.linalg.cho_solve`."""
    return _plain.cho_solve(tuple(c_and_lower), b, False, check_finite)


invh = _of_cupy.checked(_plain.invh, "The matrix is not positive definite.")


def __getattr__(name: str) -> Any:
    from ...cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.linalg", name)
