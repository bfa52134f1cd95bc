"""`cupyx.cusolver`."""

from __future__ import annotations

from typing import Any

from cupool.contract.ops import row as _row

from .. import dispatch as _dispatch
from .._generated import cupyx_cusolver as _plain
from .._generated.cupyx_cusolver import gels as gels
from .._generated.cupyx_cusolver import gesv as gesv
from .._generated.cupyx_cusolver import gesvda as gesvda
from .._generated.cupyx_cusolver import syevj as syevj
from ..array import ndarray as _ndarray

#: What CuPy asks for by name; every server has them.
_AVAILABLE = frozenset(
    ("gesvdj", "gesvdjBatched", "gesvda", "potrfBatched", "potrsBatched", "syevj", "gesv", "gels", "csrlsvqr", "geev")
)  # fmt: skip


def check_availability(name: str) -> bool:
    """As `cupyx.cusolver.check_availability`."""
    if name not in _AVAILABLE:
        raise ValueError(f"No available version information specified for {name}")
    return True


def gesvdj(a: Any, full_matrices: bool = True, compute_uv: bool = True, overwrite_a: bool = False) -> Any:
    """As `cupyx.cusolver.gesvdj`. What may be overwritten is left as it is."""
    return _plain.gesvdj(a, full_matrices, compute_uv)


def csrlsvqr(A: Any, b: Any, tol: float = 0, reorder: int = 1) -> Any:
    """As `cupyx.cusolver.csrlsvqr`. It does not wait, so it does not warn of a nearly singular matrix."""
    if getattr(A, "format", None) != "csr":
        raise ValueError("A must be CSR sparse matrix")
    if not isinstance(b, _ndarray):
        raise ValueError("b must be cupy.ndarray")
    if b.ndim != 1:
        raise ValueError(f"b.ndim must be 1 (actual: {b.ndim})")
    if not A.shape[0] == A.shape[1] == b.shape[0]:
        raise ValueError("invalid shape")
    if A.dtype != b.dtype:
        raise TypeError("dtype mismatch")
    if A.dtype.char not in "fdFD":
        raise TypeError(f"Invalid dtype (actual: {A.dtype})")
    arrays = (A.data, A.indices, A.indptr, b)
    return _dispatch.call(_row("@cupyx.cusolver.csrlsvqr"), (*arrays, float(max(tol, 0)), int(reorder)))


def __getattr__(name: str) -> Any:
    from ..cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.cusolver", name)
