"""`cupyx.cusparse`: the functions of cuSPARSE that CuPy wraps, on the matrices of `cupyx.scipy.sparse`.

Everything is there, also what newer releases of cuSPARSE have dropped: here they are products and conversions of the device, whatever
library it has. Descriptors hold handles of that library and mean nothing here; `MatDescriptor` is a number.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from .. import cupy as _cp
from .. import session as _session
from .scipy import sparse as _sparse
from .scipy.sparse import _ops
from .scipy.sparse._sputils import as_dtype as _as_dtype
from .scipy.sparse._sputils import isdense as _isdense

#: The release of cuSPARSE whose behaviour this is.
_VERSION = 12720
_AVAILABLE = frozenset(
    ("csrmv", "csrmm", "csrmm2", "spmv", "spmm", "csrgeam", "csrgeam2", "csrgemm", "csrgemm2", "gthr", "csr2dense", "csc2dense", "csrsort",
     "cscsort", "coosort", "coo2csr", "csr2coo", "csr2csc", "csc2csr", "csr2cscEx2", "csc2csrEx2", "dense2csc", "dense2csr",
     "csr2csr_compress", "csrsm2", "csrilu02", "denseToSparse", "sparseToDense", "spgemm", "spsm", "spgemm_int64")
)  # fmt: skip
_ABSENT = frozenset(("spgeam",))
_numbers = itertools.count(1)


def check_availability(name: str) -> bool:
    """Whether a function is there. Raises ValueError for a name that CuPy does not know."""
    if name in _AVAILABLE:
        return True
    if name in _ABSENT:
        return False
    raise ValueError(f"No available version information specified for {name}")


def getVersion() -> int:
    """Number of the release of cuSPARSE whose behaviour this is."""
    return _VERSION


class MatDescriptor:
    """Stands for a descriptor of the library: a number of its own."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def create(cls) -> MatDescriptor:
        """A new one."""
        return cls(next(_numbers))

    def __reduce__(self) -> Any:
        return self.create, ()

    def set_mat_type(self, typ: Any) -> None:
        """Nothing to set: matrices are general."""

    def set_mat_index_base(self, base: Any) -> None:
        """Nothing to set: indices start at 0."""

    def set_mat_fill_mode(self, fill_mode: Any) -> None:
        """Nothing to set: solvers take the triangle as an argument."""

    def set_mat_diag_type(self, diag_type: Any) -> None:
        """Nothing to set: solvers take the kind of diagonal as an argument."""


# -- checks --------------------------------------------------------------------------------------------------------------------


def _is_format(x: Any, *formats: str) -> bool:
    return _sparse.issparse(x) and x.format in formats


def _require_csr(*matrices: Any) -> None:
    for m in matrices:
        if not _is_format(m, "csr"):
            raise TypeError(f"unsupported type (actual: {type(m)})")


def _require_canonical(**matrices: Any) -> None:
    for name, m in matrices.items():
        if not m.has_canonical_format:
            raise ValueError(f"expected canonical format for {name}")


def _require_f_contiguous(**arrays: Any) -> None:
    for name, x in arrays.items():
        if x is not None and not x.flags.f_contiguous:
            raise ValueError(f"expected F-contiguous array for {name}")


def _check_int32_indices(a: Any, func_name: str) -> None:
    """Raises ValueError for a matrix whose indices are int64: the library's function takes int32."""
    if a.indices.dtype == np.int64:
        raise ValueError(f"{func_name} does not support int64 indices (cuSPARSE {func_name} is int32-only)")


def _cast_common_type(*xs: Any) -> list[Any]:
    dtype = np.result_type(*(x.dtype for x in xs if x is not None))
    return [x if x is None or x.dtype == dtype else x.astype(dtype) for x in xs]


def _turned(a: Any, transposed: Any) -> Any:
    return a.T if transposed else a


def _scalar(value: Any, dtype: Any) -> Any:
    return np.asarray(value, dtype)[()]


# -- products with dense arrays -------------------------------------------------------------------------------------------------


def _product(a: Any, x: Any, y: Any, alpha: Any, beta: Any) -> Any:
    """alpha * a @ x + beta * y, in `y` where it is given and has the common dtype."""
    a, x, y = _cast_common_type(a, x, y)
    made = _ops.on("dot", a, x)
    if alpha != 1:
        made = made * _scalar(alpha, made.dtype)
    if y is None:
        return made
    if y.shape != made.shape:
        raise ValueError("dimension mismatch")
    y[...] = made if beta == 0 else made + _scalar(beta, made.dtype) * y
    return y


def csrmv(a: Any, x: Any, y: Any = None, alpha: Any = 1, beta: Any = 0, transa: bool = False) -> Any:
    """Matrix-vector product of a CSR matrix: alpha * op(a) @ x + beta * y."""
    _require_f_contiguous(y=y)
    a = _turned(a, transa)
    if a.shape[1] != len(x):
        raise ValueError("dimension mismatch")
    return _product(a, x, y, alpha, beta)


def spmv(a: Any, x: Any, y: Any = None, alpha: Any = 1, beta: Any = 0, transa: bool = False) -> Any:
    """Matrix-vector product of a CSR, CSC or COO matrix: alpha * op(a) @ x + beta * y."""
    if not _is_format(a, "csr", "csc", "coo"):
        raise TypeError(f"unsupported type (actual: {type(a)})")
    op_a = _turned(a, transa)
    if op_a.shape[1] != len(x) or (y is not None and len(y) != op_a.shape[0]):
        raise ValueError("dimension mismatch")
    if not a.has_canonical_format:
        raise ValueError("expected canonical format")
    return _product(op_a, x, y, alpha, beta)


def _matrix_product(a: Any, b: Any, c: Any, alpha: Any, beta: Any, transa: bool, transb: bool) -> Any:
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError("expected 2-D matrices")
    _require_f_contiguous(b=b, c=c)
    a, b = _turned(a, transa), _turned(b, transb)
    if a.shape[1] != b.shape[0]:
        raise ValueError("dimension mismatch")
    return _product(a, b, c, alpha, beta)


def csrmm(a: Any, b: Any, c: Any = None, alpha: Any = 1, beta: Any = 0, transa: bool = False) -> Any:
    """Product of a CSR matrix and a dense one: alpha * op(a) @ b + beta * c. Dense matrices are F-contiguous."""
    return _matrix_product(a, b, c, alpha, beta, transa, False)


def csrmm2(
    a: Any, b: Any, c: Any = None, alpha: Any = 1.0, beta: Any = 0.0, transa: bool = False, transb: bool = False
) -> Any:
    """Product of a CSR matrix and a dense one: alpha * op(a) @ op(b) + beta * c."""
    if transa and transb:
        raise AssertionError("only one of transa and transb may be True")
    if a.ndim == 2 and b.ndim == 2:
        _require_canonical(a=a)
    return _matrix_product(a, b, c, alpha, beta, transa, transb)


def spmm(
    a: Any, b: Any, c: Any = None, alpha: Any = 1, beta: Any = 0, transa: bool = False, transb: bool = False
) -> Any:
    """Product of a CSR, CSC or COO matrix and a dense one: alpha * op(a) @ op(b) + beta * c."""
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError("expected 2-D matrices")
    _require_f_contiguous(b=b, c=c)
    if not _is_format(a, "csr", "csc", "coo"):
        raise TypeError(f"unsupported type (actual: {type(a)})")
    if _turned(a, transa).shape[1] != _turned(b, transb).shape[0]:
        raise ValueError("dimension mismatch")
    _require_canonical(a=a)
    return _matrix_product(a, b, c, alpha, beta, transa, transb)


# -- sums and products of sparse matrices ---------------------------------------------------------------------------------------


def _scaled(a: Any, factor: Any) -> Any:
    return a if factor == 1 else a._with_data(a.data * _scalar(factor, a.dtype))


def csrgeam(a: Any, b: Any, alpha: Any = 1, beta: Any = 1) -> Any:
    """alpha * a + beta * b of CSR matrices with int32 indices."""
    _require_csr(a, b)
    for m in (a, b):
        _check_int32_indices(m, "csrgeam")
    return csrgeam2(a, b, alpha, beta)


def csrgeam2(a: Any, b: Any, alpha: Any = 1, beta: Any = 1) -> Any:
    """alpha * a + beta * b of CSR matrices."""
    _require_csr(a, b)
    if np.int64 not in (a.indices.dtype, b.indices.dtype):
        _require_canonical(a=a, b=b)
    if a.shape != b.shape:
        raise ValueError("inconsistent shapes")
    a, b = _cast_common_type(a, b)
    made = _ops.run("add", _ops.operand(_scaled(a, alpha)), _ops.operand(_scaled(b, beta)), 1, 1)
    return _sparse.csr_matrix._of(a.shape, *made, canonical=True)


def spgeam(a: Any, b: Any, alpha: Any = 1, beta: Any = 1) -> Any:
    """alpha * a + beta * b of CSR matrices, with indices of any dtype."""
    return csrgeam2(a, b, alpha, beta)


def _sparse_product(a: Any, b: Any, alpha: Any) -> Any:
    a, b = _cast_common_type(a, b)
    made = _ops.run("matmul", _ops.operand(a), _ops.operand(b))
    return _scaled(_sparse.csr_matrix._of((a.shape[0], b.shape[1]), *made, canonical=True), alpha)


def csrgemm(a: Any, b: Any, transa: bool = False, transb: bool = False) -> Any:
    """op(a) @ op(b) of CSR matrices with int32 indices."""
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError("expected 2-D matrices")
    for m in (a, b):
        _check_int32_indices(m, "csrgemm")
    _require_canonical(a=a, b=b)
    a, b = _turned(a, transa), _turned(b, transb)
    if a.shape[1] != b.shape[0]:
        raise ValueError("dimension mismatch")
    return _sparse_product(a, b, 1)


def csrgemm2(a: Any, b: Any, d: Any = None, alpha: Any = 1, beta: Any = 1) -> Any:
    """alpha * a @ b + beta * d of CSR matrices with int32 indices."""
    given = {"a": a, "b": b} if d is None else {"a": a, "b": b, "d": d}
    if any(m.ndim != 2 for m in given.values()):
        raise ValueError("expected 2-D matrices")
    _require_csr(*given.values())
    for m in given.values():
        _check_int32_indices(m, "csrgemm2")
    _require_canonical(**given)
    if a.shape[1] != b.shape[0] or (d is not None and d.shape != (a.shape[0], b.shape[1])):
        raise ValueError("mismatched shape")
    made = _sparse_product(a, b, alpha)
    return made if d is None else csrgeam2(made, d, 1, beta)


def spgemm(a: Any, b: Any, alpha: Any = 1) -> Any:
    """alpha * a @ b of CSR matrices."""
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError("expected 2-D matrices")
    _require_csr(a, b)
    if a.shape[1] != b.shape[0]:
        raise ValueError("mismatched shape")
    if np.int64 not in (a.indices.dtype, b.indices.dtype):
        _require_canonical(a=a, b=b)
    return _sparse_product(a, b, alpha)


# -- formats --------------------------------------------------------------------------------------------------------------------


def _to_dense(x: Any, out: Any) -> Any:
    if x.dtype.char not in "fdFD":
        raise ValueError("unsupported dtype")
    if out is None:
        return _ops.on("to_dense", x, "F")
    _require_f_contiguous(out=out)
    if out.dtype != x.dtype:
        raise ValueError("out dtype mismatch")
    out[...] = _ops.on("to_dense", x, "F")
    return out


def csr2dense(x: Any, out: Any = None) -> Any:
    """A CSR matrix as a dense one, F-contiguous."""
    return _to_dense(x, out)


def csc2dense(x: Any, out: Any = None) -> Any:
    """A CSC matrix as a dense one, F-contiguous."""
    return _to_dense(x, out)


def sparseToDense(x: Any, out: Any = None) -> Any:
    """A sparse matrix as a dense one, F-contiguous."""
    return _to_dense(x, out)


def denseToSparse(x: Any, format: str = "csr") -> Any:
    """A dense matrix as a CSR, CSC or COO matrix."""
    if x.ndim != 2:
        raise ValueError("expected 2-D matrix")
    if x.dtype.char not in "fdFD":
        raise ValueError("unsupported dtype")
    classes: dict[str, Any] = {"csr": _sparse.csr_matrix, "csc": _sparse.csc_matrix, "coo": _sparse.coo_matrix}
    if format not in classes:
        raise TypeError(f"unsupported format (actual: {format})")
    return classes[format]._of(x.shape, *_ops.run("from_dense", x, format), canonical=True)


def dense2csr(x: Any) -> Any:
    """A dense matrix as a CSR matrix."""
    return denseToSparse(x, "csr")


def dense2csc(x: Any) -> Any:
    """A dense matrix as a CSC matrix."""
    return denseToSparse(x, "csc")


def _sort(x: Any, by: str = "r") -> None:
    """In the very arrays of the matrix, as the library does."""
    made = _ops.on("sort", x, by)
    names = ("data", "row", "col") if x.format == "coo" else ("data", "indices")
    for name, array in zip(names, made, strict=True):
        getattr(x, name)[...] = array


def csrsort(x: Any) -> None:
    """Sort the indices of a CSR matrix, in place."""
    _sort(x)


def cscsort(x: Any) -> None:
    """Sort the indices of a CSC matrix, in place."""
    _sort(x)


def coosort(x: Any, sort_by: str = "r") -> None:
    """Sort a COO matrix by rows ("r") or columns ("c"), in place."""
    if sort_by not in ("r", "c"):
        raise ValueError("sort_by must be either 'r' or 'c'")
    if sort_by == "r" and x.has_canonical_format:
        return
    _sort(x, sort_by)
    if sort_by == "c":
        x.has_canonical_format = False


def _compress(x: Any, cls: Any, major: Any, minor: Any, length: int) -> Any:
    """Of a COO matrix that is sorted along the major axis."""
    indptr = _build_indptr(major, length, major.dtype)
    return cls._of(x.shape, x.data, minor, indptr)


def coo2csr(x: Any) -> Any:
    """A COO matrix that is sorted by rows as CSR; `data` and `col` are shared."""
    return _compress(x, _sparse.csr_matrix, x.row, x.col, x.shape[0])


def coo2csc(x: Any) -> Any:
    """A COO matrix that is sorted by columns as CSC; `data` and `row` are shared."""
    return _compress(x, _sparse.csc_matrix, x.col, x.row, x.shape[1])


def csr2coo(x: Any, data: Any, indices: Any) -> Any:
    """A CSR matrix as COO, around the given arrays."""
    row = _ops.run("expand", x.indptr, x.indices)
    return _sparse.coo_matrix._of(x.shape, data, row, indices, canonical=x._known_canonical())


def csc2coo(x: Any, data: Any, indices: Any) -> Any:
    """A CSC matrix as COO, around the given arrays."""
    return _sparse.coo_matrix._of(x.shape, data, indices, _ops.run("expand", x.indptr, x.indices))


def csr2csc(x: Any) -> Any:
    """A CSR matrix as CSC."""
    return x._converted("csc", _sparse.csc_matrix)


def csr2cscEx2(x: Any) -> Any:
    """A CSR matrix as CSC."""
    return csr2csc(x)


def csc2csr(x: Any) -> Any:
    """A CSC matrix as CSR."""
    return x._converted("csr", _sparse.csr_matrix)


def csc2csrEx2(x: Any) -> Any:
    """A CSC matrix as CSR."""
    return csc2csr(x)


def csr2csr_compress(x: Any, tol: Any) -> Any:
    """A CSR matrix without the elements whose magnitude is at most `tol`."""
    if x.dtype.char not in "fdFD":
        raise ValueError("unsupported dtype")
    made = x.copy()
    if tol:
        made.data = _cp.where(abs(made.data) > tol, made.data, _scalar(0, x.dtype))
    made.eliminate_zeros()
    return made


def _indptr_to_coo(indptr: Any, dtype: Any = None, *, nnz: int | None = None) -> Any:
    """The major index of each stored element."""
    dtype = indptr.dtype if dtype is None else dtype
    if nnz is None:
        nnz = _ops.bounds((), indptr)[-1]
    return _as_dtype(_ops.run("expand", indptr, _cp.empty(nnz, indptr.dtype)), np.dtype(dtype))


def _build_indptr(row_indices: Any, n_rows: int, dtype: Any) -> Any:
    """The index pointer of elements of these major indices."""
    counts = _cp.bincount(_as_dtype(row_indices, np.dtype(np.int64)), minlength=n_rows)
    indptr = _cp.zeros(n_rows + 1, dtype)
    indptr[1:] = _cp.cumsum(counts)
    return indptr


def _with_indices_dtype(m: Any, dtype: Any) -> Any:
    """The matrix with its indices as another dtype; `data` is shared."""
    if m.indptr.dtype == dtype:
        return m
    return m._of(m.shape, m.data, m.indices.astype(dtype), m.indptr.astype(dtype), like=m)


# -- solvers --------------------------------------------------------------------------------------------------------------------


def _transposition(transa: Any) -> str:
    if transa is False or transa is True:
        return "T" if transa else "N"
    if not isinstance(transa, str) or transa not in ("N", "T", "H"):
        raise ValueError(f"Unknown transa (actual: {transa})")
    return transa


def _check_triangular(a: Any, b: Any, lower: Any) -> None:
    if b.ndim not in (1, 2):
        raise ValueError("b.ndim must be 1 or 2")
    if not a.shape[0] == a.shape[1] == b.shape[0]:
        raise ValueError("mismatched shape")
    if a.dtype.char not in "fdFD":
        raise TypeError(f"Invalid dtype (actual: {a.dtype})")
    if a.dtype != b.dtype:
        raise TypeError("dtype mismatch")
    if lower is not True and lower is not False:
        raise ValueError(f"Unknown lower (actual: {lower})")


def _alpha(alpha: Any) -> Any:
    return complex(alpha) if isinstance(alpha, (complex, np.complexfloating)) else float(alpha)


def spsm(a: Any, b: Any, alpha: Any = 1.0, lower: Any = True, unit_diag: Any = False, transa: Any = False) -> Any:
    """The solution x of the triangular system op(a) @ x = alpha * b, in F order."""
    trans = _transposition(transa)
    if not _is_format(a, "csr", "csc", "coo"):
        raise ValueError("a must be CSR, CSC or COO sparse matrix")
    _require_canonical(a=a)
    _check_triangular(a, b, lower)
    if unit_diag is not True and unit_diag is not False:
        raise ValueError(f"Unknown unit_diag (actual: {unit_diag})")
    made = _ops.on("solve_triangular", a, b, lower, unit_diag, trans, _alpha(alpha))
    return made


def csrsm2(a: Any, b: Any, alpha: Any = 1.0, lower: Any = True, unit_diag: Any = False, transa: Any = False, blocking: Any = True,
           level_info: Any = False) -> None:  # fmt: skip
    """Solve the triangular system op(a) @ x = alpha * b; x overwrites `b`."""
    if not _is_format(a, "csr", "csc"):
        raise ValueError("a must be CSR or CSC sparse matrix")
    if not _isdense(b):
        raise ValueError("b must be cupy.ndarray")
    _check_triangular(a, b, lower)
    if a.format == "csc" and transa == "H" and a.dtype.kind == "c":
        raise ValueError("If matrix is CSC format and complex dtype,transa must not be 'H'")
    if not (b.flags.f_contiguous or b.flags.c_contiguous):
        raise ValueError("b must be F-contiguous or C-contiguous.")
    for name, value in (("unit_diag", unit_diag), ("blocking", blocking), ("level_info", level_info)):
        if value is not True and value is not False:
            raise ValueError(f"Unknown {name} (actual: {value})")
    _check_int32_indices(a, "csrsm2")
    b[...] = _ops.on("solve_triangular", a, b, lower, unit_diag, _transposition(transa), _alpha(alpha))


def csrilu02(a: Any, level_info: Any = False) -> None:
    """Incomplete LU decomposition of a CSR matrix, without fill-in and pivoting; it overwrites `a`."""
    if not _is_format(a, "csr"):
        raise TypeError("a must be CSR sparse matrix")
    if a.shape[0] != a.shape[1]:
        raise ValueError(f"invalid shape (a.shape: {a.shape})")
    _check_int32_indices(a, "csrilu02")
    if level_info is not True and level_info is not False:
        raise ValueError(f"Unknown level_info (actual: {level_info})")
    made = _ops.on("ilu0", a)
    _session.wait_all()  # a missing or zero pivot raises here, as in CuPy
    a.data[...] = made


def __getattr__(name: str) -> Any:
    from ..cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.cusparse", name)
