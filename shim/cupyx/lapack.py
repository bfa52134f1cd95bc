"""`cupyx.lapack`. Singular input raises only under `cupyx.errstate(linalg="raise")`."""

from __future__ import annotations

from typing import Any

from .._generated import cupyx_lapack as _plain
from .._generated.cupyx_lapack import *  # noqa: F403
from ..cupy import linalg as _of_cupy

posv = _of_cupy.checked(_plain.posv, "The matrix is not positive definite.")
gels = _of_cupy.checked(_plain.gels, "The matrix does not have full rank.")


def gesv(a: Any, b: Any) -> None:  # type: ignore[no-redef]
    """As `cupyx.lapack.gesv`: the solution replaces `b`, the factors replace `a`."""
    _plain.gesv(a, b)
    _of_cupy.checked(lambda: b, "Singular matrix")()


def __getattr__(name: str) -> Any:
    from ..cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.lapack", name)
