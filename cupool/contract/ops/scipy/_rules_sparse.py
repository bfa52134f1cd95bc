"""Rules of sparse matrices. An operand is a tuple `(format, shape, *arrays)`, as the client's classes hand themselves over:

    ("csr" | "csc", (m, n), data, indices, indptr)    ("coo", (m, n), data, row, col)    ("dia", (m, n), data, offsets)

A matrix as a result is its arrays in that order. How many elements are stored is often for the data to tell: then the rule says
`Vector`. `parts` is the one place that knows which arrays a format has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cupool.contract.ops._row import Vector
from cupool.contract.ops.rules.common import rule
from cupool.contract.spec import Spec, spec_of

#: Types of elements that a matrix may have.
VALUE_CHARS = "?fdFD"
INT32 = np.dtype(np.int32)
INT64 = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)


@dataclass(frozen=True, slots=True)
class Operand:
    """An operand as a rule sees it."""

    format: str
    shape: tuple[int, int]
    arrays: tuple[Spec, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.arrays[0].dtype

    @property
    def index(self) -> np.dtype[Any]:
        """The dtype of its indices."""
        return self.arrays[1].dtype

    @property
    def stored(self) -> int:
        """Number of stored elements."""
        return self.arrays[0].shape[0]


def operand(value: Any) -> Operand:
    """An operand from its tuple."""
    return Operand(value[0], tuple(value[1]), tuple(value[2:]))


def index_dtype(largest: int, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
    """The smallest index dtype, int32 or int64, for numbers up to `largest` and for what already has one of `dtypes`."""
    wide = largest > np.iinfo(np.int32).max or any(not np.can_cast(d, INT32) for d in dtypes)
    return INT64 if wide else INT32


def vector(dtype: Any, length: int | None) -> Any:
    """The spec of a one-dimensional result; Vector where the length is not known."""
    return Vector(np.dtype(dtype)) if length is None else spec_of((length,), dtype)


def parts(format: str, shape: tuple[int, int], dtype: Any, index: Any, stored: int | None = None) -> tuple[Any, ...]:
    """Specs of a matrix's arrays."""
    minor = vector(index, stored)
    if format == "coo":
        return vector(dtype, stored), minor, minor
    major = shape[0] if format == "csr" else shape[1]
    return vector(dtype, stored), minor, spec_of((major + 1,), index)


# -- formats ------------------------------------------------------------------------------------------------------------


@rule("sparse.convert")
def convert(a: Any, to: str, canonical: bool = False) -> Any:
    a = operand(a)
    if a.format == "dia":
        return parts(to, a.shape, a.dtype, index_dtype(max(a.shape)))
    summed = a.format == "coo" and not canonical
    return parts(to, a.shape, a.dtype, a.index, None if summed else a.stored)


@rule("sparse.from_dense")
def from_dense(x: Spec, to: str) -> Any:
    """Formats of matrices made of a dense array; the index dtype is the smallest that fits."""
    if x.ndim != 2:
        raise ValueError("expected dimension <= 2 array or matrix")
    largest = max(x.shape) if x.dtype != BOOL or to == "coo" else x.shape[0] * x.shape[1]
    rows, cols = x.shape
    return parts(to, (rows, cols), x.dtype, index_dtype(largest))


@rule("sparse.to_dense")
def to_dense(a: Any, order: str = "C") -> Spec:
    a = operand(a)
    if order not in ("C", "F"):
        raise ValueError("order not understood")
    return spec_of(a.shape, a.dtype, order=order)


@rule("sparse.expand")
def expand(indptr: Spec, indices: Spec) -> Spec:
    """The major index of each stored element."""
    return spec_of(indices.shape, indices.dtype)


@rule("sparse.coalesce")
def coalesce(a: Any) -> Any:
    a = operand(a)
    return parts(a.format, a.shape, a.dtype, a.index)


@rule("sparse.sort")
def sort(a: Any, by: str = "r") -> Any:
    """data and indices of a compressed matrix in order; data, row, col of a coo matrix by rows ("r") or columns ("c")."""
    a = operand(a)
    return parts(a.format, a.shape, a.dtype, a.index, a.stored)[: 2 if a.format != "coo" else 3]


@rule("sparse.nonzero")
def nonzero(a: Any) -> Any:
    """row, col, data of the elements that are not zero, duplicates summed, by rows."""
    a = operand(a)
    return Vector(a.index), Vector(a.index), Vector(a.dtype)


@rule("sparse.triangle")
def triangle(a: Any, k: int, lower: bool) -> Any:
    a = operand(a)
    return parts("coo", a.shape, a.dtype, a.index)


@rule("sparse.reshape")
def reshape(a: Any, shape: Any, order: str) -> Any:
    """New row and col of a coo matrix."""
    a = operand(a)
    rows, cols = a.shape
    largest = cols * max(0, rows - 1) + max(0, cols - 1)
    if order == "F":
        largest = rows * max(0, cols - 1) + max(0, rows - 1)
    wide = np.promote_types(index_dtype(largest), a.index)
    return vector(wide, a.stored), vector(wide, a.stored)


# -- arithmetic -----------------------------------------------------------------------------------------------------------


def _inner(a: Operand, inner: int) -> None:
    if a.shape[1] != inner:
        raise ValueError("dimension mismatch")


@rule("sparse.matmul")
def matmul(a: Any, b: Any) -> Any:
    a, b = operand(a), operand(b)
    if a.shape[1] != b.shape[0]:
        raise ValueError("mismatched shape")
    dtype = np.promote_types(a.dtype, b.dtype)
    return parts("csr", (a.shape[0], b.shape[1]), dtype, np.promote_types(a.index, b.index))


@rule("sparse.dot")
def dot(a: Any, x: Spec) -> Spec:
    a = operand(a)
    _inner(a, x.shape[0])
    return spec_of((a.shape[0], *x.shape[1:]), np.promote_types(a.dtype, x.dtype), order="F")


@rule("sparse.add")
def add(a: Any, b: Any, alpha: int, beta: int) -> Any:
    a, b = operand(a), operand(b)
    if a.shape != b.shape:
        raise ValueError("inconsistent shapes")
    dtype = np.promote_types(a.dtype, b.dtype)
    if dtype == BOOL and min(alpha, beta) < 0:
        raise TypeError("boolean subtract, the `-` operator, is not supported for sparse matrices")
    return parts(a.format, a.shape, dtype, np.promote_types(a.index, b.index))


def broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, int]:
    """The shape of an elementwise result. Raises ValueError."""
    if any(m != n and 1 not in (m, n) for m, n in zip(a, b, strict=True)):
        raise ValueError("inconsistent shape")
    rows, cols = (max(m, n) if 0 not in (m, n) else 0 for m, n in zip(a, b, strict=True))
    return rows, cols


@rule("sparse.binary")
def binary(a: Any, b: Any, name: str) -> Any:
    """maximum, minimum and comparisons of two csr matrices."""
    a, b = operand(a), operand(b)
    dtype = np.promote_types(a.dtype, b.dtype) if name in ("maximum", "minimum") else BOOL
    return parts("csr", broadcast(a.shape, b.shape), dtype, np.promote_types(a.index, b.index))


@rule("sparse.compare")
def compare(a: Any, value: Any, name: str) -> Any:
    """Comparison of a csr matrix with a scalar."""
    a = operand(a)
    return parts("csr", a.shape, BOOL, a.index)


@rule("sparse.multiply")
def multiply(a: Any, b: Any) -> Any:
    a, b = operand(a), operand(b)
    dtype = np.promote_types(a.dtype, b.dtype)
    return parts("csr", broadcast(a.shape, b.shape), dtype, np.promote_types(a.index, b.index))


@rule("sparse.scale")
def scale(a: Any, x: Spec, canonical: bool = False) -> Any:
    """Product of a csr matrix and a dense array of two dimensions, elementwise."""
    a = operand(a)
    shape = broadcast(a.shape, x.shape)
    copies = (shape[0] // max(a.shape[0], 1)) * (shape[1] // max(a.shape[1], 1))
    stored = a.stored * copies if canonical else None
    return parts("csr", shape, np.promote_types(a.dtype, x.dtype), a.index, stored)


@rule("sparse.kron")
def kron(a: Any, b: Any, index: Any) -> Any:
    """data, row, col of the Kronecker product of two coo matrices."""
    a, b = operand(a), operand(b)
    shape = (a.shape[0] * b.shape[0], a.shape[1] * b.shape[1])
    return parts("coo", shape, np.promote_types(a.dtype, b.dtype), index, a.stored * b.stored)


@rule("sparse.block")
def block(blocks: Any, offsets: Any, dtype: Any, index: Any) -> Any:
    """data, row, col of coo matrices put together, each moved by its offset (rows, columns)."""
    return parts("coo", (0, 0), dtype, index, sum(operand(b).stored for b in blocks))


@rule("sparse.stack")
def stack(blocks: Any, dtype: Any, index: Any) -> Any:
    """data, indices, indptr of csr or csc matrices one after the other along their major axis."""
    found = [operand(b) for b in blocks]
    stored = sum(b.stored for b in found)
    majors = sum(b.arrays[2].shape[0] - 1 for b in found)
    return vector(dtype, stored), vector(index, stored), spec_of((majors + 1,), index)


# -- elements ---------------------------------------------------------------------------------------------------------------


@rule("sparse.diagonal")
def diagonal(a: Any, k: int) -> Spec:
    a = operand(a)
    rows, cols = a.shape
    length = max(min(rows + min(k, 0), cols - max(k, 0)), 0)
    return spec_of((length,), a.dtype)


@rule("sparse.set_diagonal")
def set_diagonal(a: Any, values: Spec, k: int) -> Any:
    a = operand(a)
    return parts(a.format, a.shape, a.dtype, a.index)


@rule("sparse.eliminate_zeros")
def eliminate_zeros(a: Any) -> Any:
    a = operand(a)
    return parts(a.format, a.shape, a.dtype, a.index)


@rule("sparse.item")
def item(a: Any, i: int, j: int) -> Spec:
    a = operand(a)
    return spec_of((), a.dtype)


def _length(key: Any) -> int:
    return key if isinstance(key, int) else int(key.shape[0])


@rule("sparse.take")
def take(a: Any, rows: Any, row_start: int, row_step: int, cols: Any, col_start: int, col_step: int) -> Any:
    """Rows and columns of a compressed matrix: each a one-dimensional array of indices, or how many from `start` on by `step`."""
    a = operand(a)
    return parts(a.format, (_length(rows), _length(cols)), a.dtype, a.index)


@rule("sparse.sample")
def sample(a: Any, rows: Spec, cols: Spec) -> Spec:
    """The elements at pairs of indices."""
    a = operand(a)
    return spec_of(rows.shape, a.dtype)


@rule("sparse.locate")
def locate(a: Any, rows: Spec, cols: Spec) -> Spec:
    """Where in `data` the elements at pairs of indices are stored; -1: not stored."""
    return spec_of(rows.shape, INT64)


@rule("sparse.insert")
def insert(a: Any, rows: Spec, cols: Spec, values: Spec) -> Any:
    """The matrix with elements stored that were not before; of equal pairs the last one counts."""
    a = operand(a)
    return parts(a.format, a.shape, a.dtype, a.index)


# -- reductions -------------------------------------------------------------------------------------------------------------


@rule("sparse.extremes")
def extremes(a: Any, name: str, axis: int, explicit: bool) -> Any:
    """Indices and values of the maxima or minima along an axis that are not zero."""
    a = operand(a)
    return Vector(index_dtype(a.shape[1 - axis])), Vector(a.dtype)


@rule("sparse.extremum")
def extremum(a: Any, name: str, explicit: bool) -> Spec:
    return spec_of((), operand(a).dtype)


@rule("sparse.arg_extremes")
def arg_extremes(a: Any, name: str, axis: int) -> Spec:
    return spec_of((operand(a).shape[1 - axis],), INT64)


@rule("sparse.arg_extremum")
def arg_extremum(a: Any, name: str) -> Spec:
    return spec_of((), INT64)


@rule("sparse.count")
def count(a: Any, axis: int | None) -> Spec:
    """Elements that are not zero, duplicates summed: of the whole (0-d), or per column (0) or row (1)."""
    a = operand(a)
    return spec_of((), INT64) if axis is None else spec_of((a.shape[1 - axis],), INT64)


# -- linear algebra ---------------------------------------------------------------------------------------------------------


def _solved(a: Operand, b: Spec, dtype: np.dtype[Any], order: str) -> Spec:
    if a.shape[0] != a.shape[1] or b.shape[0] != a.shape[0]:
        raise ValueError(f"matrix dimension mismatch (A.shape: {a.shape}, b.shape: {b.shape})")
    return spec_of(b.shape, dtype, order=order)


@rule("sparse.solve")
def solve(a: Any, b: Spec) -> Spec:
    a = operand(a)
    return _solved(a, b, a.dtype, "F")


@rule("sparse.solve_triangular")
def solve_triangular(a: Any, b: Spec, lower: bool, unit: bool, trans: str, alpha: Any = 1) -> Spec:
    a = operand(a)
    return _solved(a, b, np.promote_types(a.dtype, b.dtype), "F")


@rule("sparse.factors")
def factors(a: Any, options: Any, kind: str) -> Any:
    """perm_r, perm_c, and data, indices, indptr of L and of U in csr format, of an LU factorisation."""
    a = operand(a)
    one = parts("csr", a.shape, a.dtype, INT32)
    permutation = spec_of((a.shape[0],), INT32)
    return permutation, permutation, *one, *one


@rule("sparse.ilu0")
def ilu0(a: Any) -> Spec:
    """New data of a csr matrix: its incomplete LU factorisation without fill-in."""
    a = operand(a)
    return spec_of((a.stored,), a.dtype)


@rule("sparse.components")
def components(a: Any, connection: str) -> Any:
    """Number of connected components (0-d) and the label of each node."""
    a = operand(a)
    return spec_of((), INT64), spec_of((a.shape[0],), a.index)


@rule("sparse.iterate")
def iterate(name: str, a: Any, b: Spec, x: Spec, m: Any, options: Any) -> Any:
    """(solution, info) of a solver of `cupool.contract.solvers.SQUARE`; matrices are operands or dense arrays, `m` may be None."""
    dtype = np.dtype(np.float64) if name == "minres" and b.dtype == np.float32 else b.dtype
    return spec_of(b.shape, dtype), spec_of((), INT64)


@rule("sparse.least_squares")
def least_squares(a: Any, b: Spec, x: Spec, options: Any) -> Any:
    """(solution, the other seven results of lsmr as numbers)."""
    return spec_of(x.shape, x.dtype), spec_of((7,), np.float64)


@rule("sparse.eigsh")
def eigsh(a: Any, u: Spec, options: Any) -> Any:
    k = options["k"]
    return spec_of((k,), u.dtype.char.lower()), spec_of((u.shape[0], k), u.dtype)


__all__ = ["BOOL", "INT32", "INT64", "VALUE_CHARS", "Operand", "broadcast", "index_dtype", "operand", "parts", "vector"]
