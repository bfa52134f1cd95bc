"""Solvers that take a sparse matrix: they get its arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupyx.cusolver
import cupyx.linalg.sparse
import cupyx.scipy.sparse


def _matrix(data: Any, indices: Any, indptr: Any, b: Any) -> Any:
    return cupyx.scipy.sparse.csr_matrix((data, indices, indptr), shape=(b.size, b.size))


def csrlsvqr(data: Any, indices: Any, indptr: Any, b: Any, tol: float, reorder: int) -> Any:
    return cupyx.cusolver.csrlsvqr(_matrix(data, indices, indptr, b), b, tol, reorder)


def lschol(data: Any, indices: Any, indptr: Any, b: Any) -> Any:
    return cupyx.linalg.sparse.lschol(_matrix(data, indices, indptr, b), b)


#: Row's name -> function.
OPS: dict[str, Callable[..., Any]] = {"@cupyx.cusolver.csrlsvqr": csrlsvqr, "@cupyx.linalg.sparse.lschol": lschol}
