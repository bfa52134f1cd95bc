"""Making sparse matrices: identities, diagonals, random ones; joining and multiplying them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from . import _ops, _sputils
from ._base import issparse, sparray
from ._coo import coo_array, coo_matrix
from ._csc import csc_array, csc_matrix
from ._csr import csr_array, csr_matrix
from ._dia import dia_array, dia_matrix
from ._ops import cp

_ARRAYS = {"csr": csr_array, "csc": csc_array, "coo": coo_array, "dia": dia_array}


def _any_array(items: Iterable[Any]) -> bool:
    """Whether a sparse array, not a matrix, is among them."""
    return any(isinstance(x, sparray) for x in items)


# -- axes -------------------------------------------------------------------------------------------------------------------


def _require_sparse(A: Any, name: str) -> None:
    if not issparse(A):
        raise TypeError(f"{name} expected a sparse object")


def matrix_transpose(A: Any) -> Any:
    """`A` with its axes exchanged."""
    _require_sparse(A, "matrix_transpose")
    return A.transpose()


def swapaxes(A: Any, axis1: int, axis2: int) -> Any:
    """`A` with two axes exchanged. Raises ValueError."""
    _require_sparse(A, "swapaxes")
    axes = [axis + 2 if axis < 0 else axis for axis in (axis1, axis2)]
    if not all(axis in (0, 1) for axis in axes):
        raise ValueError("axis out of range for 2-D sparse object")
    return A.copy() if axes[0] == axes[1] else A.transpose()


def permute_dims(A: Any, axes: Any = None, copy: bool = False) -> Any:
    """`A` with its axes permuted. Raises ValueError."""
    _require_sparse(A, "permute_dims")
    order = tuple(axis + 2 if axis < 0 else axis for axis in ((1, 0) if axes is None else axes))
    if sorted(order) != [0, 1]:
        raise ValueError("axes must be a permutation of (0, 1)")
    if order == (0, 1):
        return A.copy() if copy else A
    return A.transpose(copy=copy)


# -- diagonals --------------------------------------------------------------------------------------------------------------


def eye(m: Any, n: Any = None, k: int = 0, dtype: Any = "d", format: str | None = None) -> Any:
    """Ones on a diagonal."""
    m, n = int(m), int(m if n is None else n)
    if m == n and k == 0 and format in ("csr", "csc", "coo"):
        index = _sputils.index_type(n)
        data, places = cp.ones(n, dtype=dtype), cp.arange(n, dtype=index)
        _sputils.check_data_dtype(data.dtype)
        if format == "coo":
            return coo_matrix._of((n, n), data, places, places.copy())
        cls: Any = csr_matrix if format == "csr" else csc_matrix
        return cls._of((n, n), data, places, cp.arange(n + 1, dtype=index), canonical=True)
    diagonal = cp.ones((1, max(0, min(m + k, n))), dtype=dtype)
    return spdiags(diagonal, k, m, n).asformat(format)


def identity(n: Any, dtype: Any = "d", format: str | None = None) -> Any:
    """The identity matrix."""
    return eye(n, n, dtype=dtype, format=format)


def spdiags(data: Any, diags: Any, m: Any, n: Any, format: str | None = None) -> Any:
    """A matrix of the diagonals that are the rows of `data`."""
    return dia_matrix((data, diags), shape=(m, n)).asformat(format)


def diags(diagonals: Any, offsets: Any = 0, shape: Any = None, format: str | None = None, dtype: Any = None) -> Any:
    """A matrix of diagonals of their own lengths; scalars and arrays of one element are repeated.

    Raises:
        ValueError: numbers, lengths or offsets that do not fit.
    """
    if _sputils.isscalarlike(offsets):
        if len(diagonals) and not _sputils.isscalarlike(diagonals[0]):
            raise ValueError("Different number of diagonals and offsets.")
        lines = [cp.atleast_1d(cp.asarray(diagonals))]
    else:
        lines = [cp.atleast_1d(cp.asarray(d)) for d in diagonals]
    places = np.atleast_1d(offsets.get() if isinstance(offsets, cp.ndarray) else np.asarray(offsets))
    if len(lines) != len(places):
        raise ValueError("Different number of diagonals and offsets.")
    if shape is None:
        size = len(lines[0]) + abs(int(places[0]))
        shape = (size, size)
    m, n = shape
    dtype = cp.common_type(*lines) if dtype is None else dtype
    width = max(0, *(int(min(m + k, n - k) + max(0, k)) for k in places))
    data = cp.zeros((len(places), width), dtype=dtype)
    for j, (line, k) in enumerate(zip(lines, places.tolist(), strict=True)):
        length = min(m + k, n - k, m, n)
        if length < 0:
            raise ValueError(f"Offset {k} (index {j}) out of bounds")
        if len(line) < length and len(line) != 1:
            raise ValueError(
                f"Diagonal length (index {j}: {len(line)} at offset {k}) does not agree with matrix size ({m}, {n})."
            )
        first = max(0, k)
        data[j, first : first + length] = line[:length]
    return dia_matrix((data, places), shape=(m, n)).asformat(format)


# -- joining ------------------------------------------------------------------------------------------------------------------


def hstack(blocks: Any, format: str | None = None, dtype: Any = None) -> Any:
    """Side by side."""
    return bmat([[_as_block(b) for b in blocks]], format=format, dtype=dtype)


def vstack(blocks: Any, format: str | None = None, dtype: Any = None) -> Any:
    """One below the other."""
    return bmat([[_as_block(b)] for b in blocks], format=format, dtype=dtype)


def _as_block(b: Any) -> Any:
    return b._as_2d() if issparse(b) and b.ndim == 1 else b


def bmat(blocks: Any, format: str | None = None, dtype: Any = None) -> Any:
    """A matrix of blocks; None is a block of zeros. An array when a block is one.

    Raises:
        ValueError: blocks whose shapes do not fit.
    """
    rows, cols = len(blocks), len(blocks[0])
    given = [(i, j, blocks[i][j]) for i in range(rows) for j in range(cols) if blocks[i][j] is not None]
    if not given:
        return coo_matrix((0, 0), dtype=dtype)
    flat = [b for _, _, b in given]
    for wanted, single, axis in (("csr", cols, 0), ("csc", rows, 1)):
        if single == 1 and format in (None, wanted) and all(issparse(b) and b.format == wanted for b in flat):
            made = _stacked(flat, axis)
            return made if dtype is None else made.astype(dtype)
    is_array, wide = _any_array(flat), any(_index_dtype(b) == np.int64 for b in flat)
    found = [(i, j, coo_matrix(b)) for i, j, b in given]
    heights = _lengths([(i, j, b._shape[0]) for i, j, b in found], rows, "row")
    widths = _lengths([(j, i, b._shape[1]) for i, j, b in found], cols, "column")
    tops, lefts = np.cumsum([0, *heights]).tolist(), np.cumsum([0, *widths]).tolist()
    shape = (tops[-1], lefts[-1])
    dtype = np.dtype(_sputils.upcast(*(b.dtype for _, _, b in found)) if dtype is None else dtype)
    index = np.dtype(np.int64 if wide else _sputils.index_type(max(shape) - 1))
    operands = [_ops.operand(b) for _, _, b in found]
    offsets = [(tops[i], lefts[j]) for i, j, _ in found]
    arrays = _ops.run("block", operands, offsets, dtype, index)
    cls: Any = coo_array if is_array else coo_matrix
    return cls._of(shape, *arrays).asformat(format)


def _index_dtype(b: Any) -> Any:
    for name in ("indices", "row", "offsets"):
        array = getattr(b, name, None)
        if array is not None:
            return array.dtype
    return None


def _lengths(found: list[tuple[int, int, int]], count: int, what: str) -> list[int]:
    """The length of each line of blocks: (line, place in it, length). Raises ValueError."""
    lengths = [0] * count
    for line, place, length in found:
        if not lengths[line]:
            lengths[line] = length
        elif lengths[line] != length:
            axis, where = (0, f"{line},{place}") if what == "row" else (1, f"{place},{line}")
            named = f"blocks[{line},:]" if what == "row" else f"blocks[:,{line}]"
            raise ValueError(
                f"{named} has incompatible {what} dimensions. Got blocks[{where}].shape[{axis}] == {length}, "
                f"expected {lengths[line]}."
            )
    return lengths


def _stacked(blocks: list[Any], axis: int) -> Any:
    """CSR matrices below each other (0), CSC ones side by side (1): their arrays, one after the other."""
    other = 1 - axis
    across = blocks[0].shape[other]
    if any(b.shape[other] != across for b in blocks):
        raise ValueError(f"incompatible dimensions for axis {other}")
    dtype = np.result_type(*(b.dtype for b in blocks))
    known = all(b.data._spec is not None for b in blocks)
    largest = max(sum(b.data.size for b in blocks) if known else 0, across)
    wide = any(b.indices.dtype == np.int64 or b.indptr.dtype == np.int64 for b in blocks)
    index = np.dtype(np.int64 if wide else _sputils.index_type(largest))
    along = sum(b.shape[axis] for b in blocks)
    arrays = _ops.run("stack", [_ops.operand(b) for b in blocks], dtype, index)
    is_array = _any_array(blocks)
    canonical = True if all(b._known_canonical() for b in blocks) else None
    if axis == 0:
        return (csr_array if is_array else csr_matrix)._of((along, across), *arrays, canonical=canonical)
    return (csc_array if is_array else csc_matrix)._of((across, along), *arrays, canonical=canonical)


def block_diag(mats: Any, format: str | None = None, dtype: Any = None) -> Any:
    """Blocks along the diagonal: sparse, dense, lists or scalars. An array when a block is one."""
    mats = list(mats)
    is_array = _any_array(mats)
    cls: Any = coo_array if is_array else coo_matrix
    if not mats:
        made = cls((0, 0), dtype=dtype)
        return made.asformat(format)
    blocks = [_diagonal_block(a) for a in mats]
    tops = np.cumsum([0, *(b._shape[0] for b in blocks)]).tolist()
    lefts = np.cumsum([0, *(b._shape[1] for b in blocks)]).tolist()
    wide = any(issparse(a) and np.int64 in (b.row.dtype, b.col.dtype) for a, b in zip(mats, blocks, strict=True))
    index = np.dtype(np.int64 if wide else _sputils.index_type(max(tops[-1], lefts[-1])))
    common = np.result_type(*(b.dtype for b in blocks))
    offsets = list(zip(tops[:-1], lefts[:-1], strict=True))
    arrays = _ops.run("block", [_ops.operand(b) for b in blocks], offsets, common, index)
    made = cls._of((tops[-1], lefts[-1]), *arrays)
    return (made if dtype is None else made.astype(dtype)).asformat(format)


def _diagonal_block(a: Any) -> Any:
    """A block in COO format; a dense one with every element stored, as in CuPy."""
    if issparse(a):
        return a._as_2d().tocoo()
    a = cp.atleast_2d(cp.asarray(a))
    if not _sputils.is_sparse_data_dtype(a.dtype):
        a = a.astype(np.float64)
    rows, cols = a.shape
    row, col = cp.divmod(cp.arange(rows * cols), max(cols, 1))
    return coo_matrix._of((rows, cols), a.ravel(), row.astype(np.int32), col.astype(np.int32))


def kron(A: Any, B: Any, format: str | None = None) -> Any:
    """Kronecker product. An array when a factor is one."""
    is_array = _any_array((A, B))
    cls: Any = coo_array if is_array else coo_matrix
    A, B = cls(A), cls(B)
    shape = (A._shape[0] * B._shape[0], A._shape[1] * B._shape[1])
    if A.nnz == 0 or B.nnz == 0:  # waits where only the data can tell: the dtype of the result depends on it
        return cls(shape).asformat(format)
    wide = is_array and np.int64 in (A.row.dtype, B.row.dtype)
    index = np.dtype(np.int64 if wide else _sputils.index_type(max(shape)))
    return cls._of(shape, *_ops.run("kron", _ops.operand(A), _ops.operand(B), index)).asformat(format)


def kronsum(A: Any, B: Any, format: str | None = None) -> Any:
    """Kronecker sum of two square matrices: kron(I, A) + kron(B, I). Raises ValueError."""
    cls: Any = coo_array if _any_array((A, B)) else coo_matrix
    A, B = cls(A), cls(B)
    for m, name in ((A, "A"), (B, "B")):
        if m._shape[0] != m._shape[1]:
            raise ValueError(f"{name} is not square matrix")
    dtype = _sputils.upcast(A.dtype, B.dtype)
    left = kron(eye(B._shape[0], dtype=dtype), A, format=format)
    return (left + kron(B, eye(A._shape[0], dtype=dtype), format=format)).asformat(format)


# -- random -----------------------------------------------------------------------------------------------------------------


def random(m: Any, n: Any, density: float = 0.01, format: str | None = "coo", dtype: Any = None, random_state: Any = None,
           data_rvs: Any = None) -> Any:  # fmt: skip
    """Random elements at random places.

    Raises:
        ValueError: a density outside 0 … 1.
        NotImplementedError: a dtype other than float32 and float64.
    """
    if density < 0 or density > 1:
        raise ValueError("density expected to be 0 <= density <= 1")
    dtype = np.dtype(dtype)
    if dtype.char not in "fd":
        raise NotImplementedError(f"type {dtype} not supported")
    count = int(density * m * n)
    if random_state is None:
        random_state = cp.random
    elif isinstance(random_state, (int, np.integer)):
        random_state = cp.random.RandomState(random_state)
    values = random_state.rand if data_rvs is None else data_rvs
    places = random_state.choice(m * n, size=count, replace=False)
    index = _sputils.index_type(m * n - 1)
    col = places // m if m else places
    row = places - col * m
    data = values(count).astype(dtype)
    return coo_matrix((data, (row.astype(index), col.astype(index))), shape=(m, n)).asformat(format)


def rand(
    m: Any, n: Any, density: float = 0.01, format: str | None = "coo", dtype: Any = None, random_state: Any = None
) -> Any:
    """As `random`, with uniform elements."""
    return random(m, n, density, format, dtype, random_state)


# -- arrays -----------------------------------------------------------------------------------------------------------------


def _to_array(matrix: Any, format: str | None = None) -> Any:
    """A matrix as an array of the format, as CSR where there is no way to it."""
    cls: Any = _ARRAYS.get(format or matrix.format, csr_array)
    if isinstance(matrix, cls):
        return matrix
    made = csr_array(matrix)
    try:
        return made.asformat(format or matrix.format)
    except NotImplementedError:
        return made


def eye_array(m: Any, n: Any = None, *, k: int = 0, dtype: Any = float, format: str | None = None) -> Any:
    """As `eye`, an array."""
    return _to_array(eye(m, n, k=k, dtype=dtype, format=format), format)


def diags_array(
    diagonals: Any, /, *, offsets: Any = 0, shape: Any = None, format: str | None = None, dtype: Any = None
) -> Any:
    """As `diags`, an array."""
    return _to_array(diags(diagonals, offsets=offsets, shape=shape, format=format, dtype=dtype), format)


def block_array(blocks: Any, *, format: str | None = None, dtype: Any = None) -> Any:
    """As `bmat`, always an array."""
    made = bmat(blocks, format=format, dtype=dtype)
    return made if isinstance(made, sparray) else _to_array(made, format)


def random_array(shape: Any, *, density: float = 0.01, format: str | None = "coo", dtype: Any = None, rng: Any = None,
                 data_sampler: Any = None) -> Any:  # fmt: skip
    """As `random`, an array of one or two dimensions."""
    options = {"density": density, "dtype": dtype, "random_state": rng, "data_rvs": data_sampler}
    if len(shape) == 1:
        row = random(1, shape[0], **options)
        return coo_array((row.data, (row.col,)), shape=tuple(shape)).asformat(format)
    m, n = shape
    return _to_array(random(m, n, format=format, **options), format)
