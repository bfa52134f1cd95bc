"""Linear algebra with sparse matrices, and graphs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.csgraph
import scipy.sparse.linalg as sla

from cupool.contract import solvers
from cupool.contract.ops.scipy.sparse import PREFIX

from ._matrix import Array, canonical, matrix, parts


def _quietly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Nobody reads the server's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def solve(a: Any, b: Array) -> Array:
    """`a` x = `b`. A singular matrix gives infinities."""
    m = canonical(a, "csc")
    work = np.promote_types(m.dtype, np.float32)
    try:
        found = _quietly(sla.splu, m.astype(work)).solve(np.asarray(b, work))
    except RuntimeError as error:  # "Factor is exactly singular"
        if "singular" not in str(error):
            raise
        found = np.full(b.shape, np.inf, work)
    return np.asfortranarray(found.astype(m.dtype, copy=False))


def solve_triangular(a: Any, b: Array, lower: bool, unit: bool, trans: str, alpha: Any = 1) -> Array:
    """The other triangle is not looked at."""
    m = canonical(a, "csr")
    dtype = np.promote_types(m.dtype, b.dtype)
    m = (sp.tril if lower else sp.triu)(m.astype(dtype), format="csr")
    if trans != "N":
        m = (m.T if trans == "T" else m.conj().T).tocsr()
        lower = not lower
    if unit:
        m.setdiag(1)
    right = b.astype(dtype) * dtype.type(alpha)
    try:
        found = _quietly(sla.spsolve_triangular, sp.csr_array(m), right, lower=lower, unit_diagonal=unit)
    except np.linalg.LinAlgError:
        found = np.full(b.shape, np.nan, dtype)
    return np.asarray(found, dtype)


def factors(a: Any, options: dict[str, Any], kind: str) -> tuple[Array, ...]:
    m = sp.csc_matrix(canonical(a, "csc"))
    found = _quietly(sla.splu if kind == "lu" else sla.spilu, m, **options)
    permutations = (np.asarray(p, np.int32) for p in (found.perm_r, found.perm_c))
    made: list[Array] = []
    for triangle in (found.L, found.U):
        triangle = triangle.tocsr()
        triangle.sort_indices()
        made += parts(triangle, np.int32, m.dtype)
    return (*permutations, *made)


def ilu0(a: Any) -> Array:
    """Row by row, on the places that the matrix stores. Raises ValueError where a pivot is missing or zero."""
    m = matrix(a)
    data: Array = m.data.copy()
    indices, indptr = m.indices.tolist(), m.indptr.tolist()
    rows = [{indices[k]: k for k in range(indptr[i], indptr[i + 1])} for i in range(m.shape[0])]
    for i, row in enumerate(rows):
        if i not in row:
            raise ValueError(f"a({i},{i}) is missing")
    for i, row in enumerate(rows):
        for k in sorted(c for c in row if c < i):
            factor = data[row[k]] = data[row[k]] / data[rows[k][k]]
            for j, place in rows[k].items():
                if j > k and j in row:
                    data[row[j]] -= factor * data[place]
        if data[row[i]] == 0:
            raise ValueError(f"u({i},{i}) is zero")
    return data


def components(a: Any, connection: Any) -> tuple[Array, Array]:
    n, labels = scipy.sparse.csgraph.connected_components(matrix(a), directed=True, connection=connection)
    return np.asarray(n, np.int64), _by_first(labels).astype(a[3].dtype)


def _by_first(labels: Array) -> Array:
    """Numbered in the order of their first nodes."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[inverse]


# -- iterations -------------------------------------------------------------------------------------------------------------


def _applied(a: Any) -> Any:
    return a if isinstance(a, np.ndarray) else matrix(a)


def iterate(name: str, a: Any, b: Array, x: Array, m: Any, options: dict[str, Any]) -> tuple[Array, Array]:
    left = _applied(a)
    right = None if m is None else _applied(m)
    psolve = (lambda v: v) if right is None else (lambda v: right @ v)
    found, info = solvers.SQUARE[name](np, lambda v: left @ v, psolve, b, x, **options)  # type: ignore[operator]
    return np.asarray(found), np.asarray(info, np.int64)


def least_squares(a: Any, b: Array, x: Array, options: dict[str, Any]) -> tuple[Array, Array]:
    left = _applied(a)
    turned = left.conj().T
    found, *numbers = solvers.lsmr(np, lambda v: left @ v, lambda v: turned @ v, b, x, left.shape, **options)
    return found, np.asarray(numbers, np.float64)


def eigsh(a: Any, u: Array, options: dict[str, Any]) -> tuple[Array, Array]:
    left = _applied(a)
    w, v = solvers.eigsh(np, lambda x: left @ x, u, **options)
    return w, v.astype(u.dtype, copy=False)


_FUNCTIONS = (solve, solve_triangular, factors, ilu0, components, iterate, least_squares, eigsh)
OPS: dict[str, Callable[..., Any]] = {PREFIX + f.__name__: f for f in _FUNCTIONS}
