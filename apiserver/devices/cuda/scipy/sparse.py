"""The commands of sparse matrices on CuPy's own: an operand becomes a `cupyx.scipy.sparse` array around the session's arrays, its method
runs, and the arrays of what comes out are the results. What the rules promise of order and duplicates is seen to here.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
from cupyx.scipy import sparse
from cupyx.scipy.sparse import linalg

from cupool.contract.ops.scipy._rules_sparse import index_dtype as smallest
from cupool.contract.ops.scipy.sparse import PREFIX

_CLASSES = {"csr": sparse.csr_array, "csc": sparse.csc_array, "coo": sparse.coo_array, "dia": sparse.dia_array}


def _matrix(operand: Any) -> Any:
    """The sparse array of an operand; it shares the operand's arrays."""
    format, shape, *arrays = operand
    shape = tuple(shape)
    if format == "coo":
        data, row, col = arrays
        return sparse.coo_array((data, (row, col)), shape=shape)
    return _CLASSES[format](tuple(arrays), shape=shape)


def _parts(m: Any, index: Any, dtype: Any = None) -> tuple[Any, ...]:
    """The arrays of a result, as the rule promises them."""
    data = m.data if dtype is None else m.data.astype(dtype, copy=False)
    rest = (m.row, m.col) if m.format == "coo" else (m.indices, m.indptr)
    return (data, *(x.astype(index, copy=False) for x in rest))


def _canonical(m: Any) -> Any:
    m.sum_duplicates()
    return m


def _index(*operands: Any) -> Any:
    return np.result_type(*(o[3].dtype for o in operands))


# -- formats ------------------------------------------------------------------------------------------------------------------


def convert(a: Any, to: str, canonical: bool = False) -> Any:
    m = _matrix(a)
    made = (m.tocsc() if m.format == "dia" else m).asformat(to)
    if made.format != "coo":
        made.sort_indices()
    return _parts(made, smallest(max(m.shape)) if a[0] == "dia" else a[3].dtype)


def from_dense(x: Any, to: str) -> Any:
    largest = max(x.shape) if x.dtype != bool or to == "coo" else x.size
    return _parts(_CLASSES[to](x), smallest(largest))


def to_dense(a: Any, order: str = "C") -> Any:
    return _matrix(a).toarray(order=order)


def expand(indptr: Any, indices: Any) -> Any:
    place = cupy.arange(indices.size, dtype=indptr.dtype)
    return cupy.searchsorted(indptr[1:], place, side="right").astype(indices.dtype)


def coalesce(a: Any) -> Any:
    return _parts(_canonical(_matrix(a).copy()), a[3].dtype)


def sort(a: Any, by: str = "r") -> Any:
    m = _matrix(a)
    if m.format == "coo":
        order = cupy.lexsort(cupy.stack([m.col, m.row] if by == "r" else [m.row, m.col]))
        return m.data[order], m.row[order], m.col[order]
    m = m.copy()
    m.sort_indices()
    return m.data, m.indices.astype(a[3].dtype, copy=False)


def flags(a: Any) -> tuple[bool, bool]:
    m = _matrix(a)
    return bool(m.has_sorted_indices), bool(m.has_canonical_format)


def bounds(arrays: Any, ends: Any = None) -> tuple[int, ...]:
    found: list[int] = []
    for array in arrays:
        found += cupy.stack([array.min(), array.max()]).get().tolist() if array.size else [0, -1]
    if ends is not None:
        found += cupy.stack([ends[0], ends[-1]]).get().tolist()
    return tuple(found)


def nonzero(a: Any) -> Any:
    row, col, data = sparse.find(_matrix(a))
    return row.astype(a[3].dtype, copy=False), col.astype(a[3].dtype, copy=False), data


def triangle(a: Any, k: int, lower: bool) -> Any:
    return _parts((sparse.tril if lower else sparse.triu)(_matrix(a), k, format="coo"), a[3].dtype)


def reshape(a: Any, shape: Any, order: str) -> Any:
    m = _matrix(a)
    rows, cols = m.shape
    largest = cols * max(0, rows - 1) + max(0, cols - 1) if order == "C" else rows * max(0, cols - 1) + max(0, rows - 1)
    made = m.reshape(tuple(shape), order=order)
    index = np.promote_types(smallest(largest), a[3].dtype)
    return made.row.astype(index, copy=False), made.col.astype(index, copy=False)


def dia_stored(a: Any) -> int:
    return int(_matrix(a).nnz)


def kron(a: Any, b: Any, index: Any) -> Any:
    return _parts(sparse.kron(_matrix(a), _matrix(b), format="coo"), index)


def block(blocks: Any, offsets: Any, dtype: Any, index: Any) -> Any:
    made = [_matrix(b) for b in blocks]
    row = cupy.concatenate([m.row.astype(index) + r for m, (r, _) in zip(made, offsets, strict=True)])
    col = cupy.concatenate([m.col.astype(index) + c for m, (_, c) in zip(made, offsets, strict=True)])
    return cupy.concatenate([m.data.astype(dtype) for m in made]), row, col


def stack(blocks: Any, dtype: Any, index: Any) -> Any:
    made = [_matrix(b) for b in blocks]
    starts = np.cumsum([0, *(m.data.size for m in made)])
    pieces = [m.indptr[:-1].astype(index) + int(s) for m, s in zip(made, starts[:-1], strict=True)]
    indptr = cupy.concatenate([*pieces, cupy.asarray(starts[-1:], index)])
    indices = cupy.concatenate([m.indices.astype(index) for m in made])
    return cupy.concatenate([m.data.astype(dtype) for m in made]), indices, indptr


def diagonal(a: Any, k: int) -> Any:
    return _matrix(a).diagonal(k)


def set_diagonal(a: Any, values: Any, k: int) -> Any:
    m = _matrix(a).copy()
    m.setdiag(values, k)
    return _parts(m, a[3].dtype)


def eliminate_zeros(a: Any) -> Any:
    m = _matrix(a).copy()
    if m.dtype == bool and m.format != "coo":
        return _parts(_CLASSES[a[0]](_matrix(a).toarray()), a[3].dtype)
    m.eliminate_zeros()
    return _parts(m, a[3].dtype)


# -- arithmetic ------------------------------------------------------------------------------------------------------------------


def matmul(a: Any, b: Any) -> Any:
    return _parts(_canonical((_matrix(a).tocsr() @ _matrix(b).tocsr()).tocsr()), _index(a, b))


def dot(a: Any, x: Any) -> Any:
    return cupy.asfortranarray(_matrix(a) @ x)


def add(a: Any, b: Any, alpha: int, beta: int) -> Any:
    m, n = _matrix(a), _matrix(b)
    made = (m if alpha == 1 else -m) + (n if beta == 1 else -n)
    return _parts(_canonical(made.asformat(a[0])), _index(a, b))


def binary(a: Any, b: Any, name: str) -> Any:
    m, n = _matrix(a), _matrix(b)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = getattr(m, name)(n) if name in ("maximum", "minimum") else getattr(operator, name)(m, n)
    return _parts(_canonical(made.tocsr()), _index(a, b))


def compare(a: Any, value: Any, name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = getattr(operator, name)(_matrix(a), value)
    return _parts(_canonical(made.tocsr()), a[3].dtype)


def multiply(a: Any, b: Any) -> Any:
    return _parts(_canonical(_matrix(a).multiply(_matrix(b)).tocsr()), _index(a, b))


def scale(a: Any, x: Any, canonical: bool = False) -> Any:
    return _parts(_matrix(a).multiply(x).tocsr(), a[3].dtype)


# -- elements --------------------------------------------------------------------------------------------------------------------


def _lines(key: Any, start: int, step: int) -> Any:
    return start + step * cupy.arange(key) if isinstance(key, int) else key


def item(a: Any, i: int, j: int) -> Any:
    return _matrix(a)[i, j]


def take(a: Any, rows: Any, row_start: int, row_step: int, cols: Any, col_start: int, col_step: int) -> Any:
    m = _matrix(a)
    row, col = _lines(rows, row_start, row_step), _lines(cols, col_start, col_step)
    return _parts(m[row, :][:, col].asformat(a[0]), a[3].dtype)


def sample(a: Any, rows: Any, cols: Any) -> Any:
    return _matrix(a)[rows.ravel(), cols.ravel()].reshape(rows.shape)


def locate(a: Any, rows: Any, cols: Any) -> Any:
    format, shape, data, *rest = a
    places = _matrix((format, shape, cupy.arange(1, data.size + 1, dtype=np.float64), *rest))
    return (places[rows.ravel(), cols.ravel()].reshape(rows.shape) - 1).astype(np.int64)


def insert(a: Any, rows: Any, cols: Any, values: Any) -> Any:
    m = _matrix(a).copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m[rows.ravel(), cols.ravel()] = values.ravel()
    m.sort_indices()
    return _parts(m, a[3].dtype)


# -- reductions ------------------------------------------------------------------------------------------------------------------


def extremes(a: Any, name: str, axis: int, explicit: bool) -> Any:
    made = getattr(_matrix(a), name)(axis=axis, explicit=explicit)
    return made.col.astype(smallest(a[1][1 - axis]), copy=False), made.data.astype(a[2].dtype, copy=False)


def extremum(a: Any, name: str, explicit: bool) -> Any:
    return getattr(_matrix(a), name)(explicit=explicit)


def arg_extremes(a: Any, name: str, axis: int) -> Any:
    return getattr(_matrix(a), f"arg{name}")(axis=axis).astype(np.int64, copy=False)


def arg_extremum(a: Any, name: str) -> Any:
    return cupy.asarray(getattr(_matrix(a), f"arg{name}")(), np.int64)


def count(a: Any, axis: int | None) -> Any:
    m = _matrix(a).tocsr()
    return cupy.asarray(m.count_nonzero(axis=axis), np.int64)


# -- linear algebra --------------------------------------------------------------------------------------------------------------


def solve(a: Any, b: Any) -> Any:
    return cupy.asfortranarray(linalg.spsolve(_canonical(_matrix(a).tocsr()), b))


def solve_triangular(a: Any, b: Any, lower: bool, unit: bool, trans: str, alpha: Any = 1) -> Any:
    m = _matrix(a).tocsr()
    if trans != "N":
        m = (m.T if trans == "T" else m.conj().T).tocsr()
        lower = not lower
    dtype = np.promote_types(m.dtype, b.dtype)
    right = b.astype(dtype) * dtype.type(alpha)
    found = linalg.spsolve_triangular(_canonical(m.astype(dtype)), right, lower=lower, unit_diagonal=unit)
    return cupy.asfortranarray(found.astype(dtype, copy=False))


def factors(a: Any, options: dict[str, Any], kind: str) -> Any:
    found = (linalg.splu if kind == "lu" else linalg.spilu)(_canonical(_matrix(a)), **options)
    permutations = [cupy.asarray(p, np.int32) for p in (found.perm_r, found.perm_c)]
    made: list[Any] = []
    for one in (found.L, found.U):
        one.sort_indices()
        made += _parts(one, np.int32, a[2].dtype)
    return (*permutations, *made)


def ilu0(a: Any) -> Any:
    from cupyx import cusparse

    m = sparse.csr_matrix(_matrix(a), copy=True)
    cusparse.csrilu02(m)
    return m.data


def components(a: Any, connection: Any) -> Any:
    """By cuGraph where the server has it, else by SciPy on the host."""
    from cupyx.scipy.sparse import csgraph

    try:
        n, labels = csgraph.connected_components(_matrix(a), directed=True, connection=connection)
    except RuntimeError as error:
        if "pylibcugraph" not in str(error):
            raise
        import scipy.sparse.csgraph

        n, labels = scipy.sparse.csgraph.connected_components(_matrix(a).get(), directed=True, connection=connection)
    return cupy.asarray(n, np.int64), cupy.asarray(labels, a[3].dtype)


def _applied(a: Any) -> Any:
    return a if isinstance(a, cupy.ndarray) else _matrix(a)


def iterate(name: str, a: Any, b: Any, x: Any, m: Any, options: dict[str, Any]) -> Any:
    found, info = getattr(linalg, name)(_applied(a), b, x0=x, M=None if m is None else _applied(m), **options)
    return found, cupy.asarray(info, np.int64)


def least_squares(a: Any, b: Any, x: Any, options: dict[str, Any]) -> Any:
    given = dict(options)
    start = x if given.pop("starts", False) else None
    found, *numbers = linalg.lsmr(_applied(a), b, x0=start, **given)
    return found.astype(x.dtype, copy=False), cupy.asarray(np.asarray([float(n) for n in numbers]))


def eigsh(a: Any, u: Any, options: dict[str, Any]) -> Any:
    return linalg.eigsh(_applied(a), v0=u, **options)


_FUNCTIONS = (
    convert, from_dense, to_dense, expand, coalesce, sort, flags, bounds, nonzero, triangle, reshape, dia_stored, kron, block, stack,
    diagonal, set_diagonal, eliminate_zeros, matmul, dot, add, binary, compare, multiply, scale, item, take, sample, locate, insert,
    extremes, extremum, arg_extremes, arg_extremum, count, solve, solve_triangular, factors, ilu0, components, iterate, least_squares,
    eigsh,
)  # fmt: skip
OPS: dict[str, Callable[..., Any]] = {PREFIX + f.__name__: f for f in _FUNCTIONS}
