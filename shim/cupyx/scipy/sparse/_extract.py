"""Parts of sparse matrices."""

from __future__ import annotations

from typing import Any

from . import _ops
from ._base import issparse, sparray
from ._coo import coo_array, coo_matrix
from ._sputils import isdense


def _as_coo(A: Any) -> Any:
    if not (isdense(A) or issparse(A)):
        raise TypeError("A must be cupy.ndarray or cupyx.scipy.sparse")
    return (coo_array if isinstance(A, sparray) else coo_matrix)(A)


def find(A: Any) -> tuple[Any, Any, Any]:
    """Row indices, column indices and values of the elements that are not zero."""
    row, col, data = _ops.on("nonzero", _as_coo(A))
    return row, col, data


def tril(A: Any, k: int = 0, format: str | None = None) -> Any:
    """The lower triangle, up to the `k`-th diagonal."""
    return _triangle(A, k, format, True)


def triu(A: Any, k: int = 0, format: str | None = None) -> Any:
    """The upper triangle, from the `k`-th diagonal on."""
    return _triangle(A, k, format, False)


def _triangle(A: Any, k: int, format: str | None, lower: bool) -> Any:
    A = _as_coo(A)
    return A._of(A._shape, *_ops.on("triangle", A, k, lower)).asformat(format)
