"""`cupyx.linalg.sparse`."""

from __future__ import annotations

from typing import Any

from cupool.contract.ops import row as _row

from ... import dispatch as _dispatch
from ...array import ndarray as _ndarray


def lschol(A: Any, b: Any) -> Any:
    """As `cupyx.linalg.sparse.lschol`: a sparse system with a symmetric positive definite matrix; float64."""
    if getattr(A, "format", None) != "csr":
        from ..scipy import sparse

        A = sparse.csr_matrix(A)
    if len(A.shape) != 2 or A.shape[0] != A.shape[1]:
        from numpy.linalg import LinAlgError

        raise LinAlgError("Last 2 dimensions of the array must be square")
    if not isinstance(b, _ndarray):
        raise TypeError("b must be a cupy.ndarray")
    if b.ndim != 1 or len(b) != A.shape[0]:
        raise ValueError("b must be 1-d array whose size is same as A")
    return _dispatch.call(_row("@cupyx.linalg.sparse.lschol"), (A.data, A.indices, A.indptr, b))


def __getattr__(name: str) -> Any:
    from ...cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.linalg.sparse", name)
