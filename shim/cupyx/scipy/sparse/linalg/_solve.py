"""Direct solvers: sparse systems, triangular ones, LU factorisations."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..... import session
from .. import _host, _ops, _sputils
from .._base import issparse
from .._csr import csr_matrix
from .._ops import cp


def _require_int32(A: Any, name: str) -> None:
    if A.indices.dtype == np.int64:
        raise ValueError(f"{name} does not support int64 indices (cuSPARSE {name} is int32-only)")


def _warn_of_conversion(wanted: str) -> None:
    text = f"{wanted} format is required. Converting to CSR format."
    warnings.warn(text, _host.efficiency_warning(), stacklevel=3)


def _check_system(A: Any, b: Any) -> None:
    if not issparse(A):
        raise TypeError("A must be cupyx.scipy.sparse.spmatrix")
    if not isinstance(b, cp.ndarray):
        raise TypeError("b must be cupy.ndarray")


def spsolve(A: Any, b: Any) -> Any:
    """The solution x of A @ x = b, for a vector or the columns of a matrix.

    Raises:
        TypeError, ValueError: what is no system.
    """
    _check_system(A, b)
    if A.shape[0] != A.shape[1]:
        raise ValueError(f"A must be a square matrix (A.shape: {A.shape})")
    if b.ndim not in (1, 2):
        raise ValueError(f"Invalid b.shape (b.shape: {b.shape})")
    if A.shape[0] != b.shape[0]:
        raise ValueError(f"matrix dimension mismatch (A.shape: {A.shape}, b.shape: {b.shape})")
    if A.format != "csr":
        _warn_of_conversion("CSR")
        A = A.tocsr()
    _require_int32(A, "spsolve")
    return _ops.on("solve", A, _sputils.as_dtype(b, A.dtype))


def lsqr(A: Any, b: Any) -> tuple[Any, ...]:
    """The solution of a square system as the first of ten results; the others are None, as in CuPy.

    Raises:
        LinAlgError, ValueError, TypeError: what is no system.
    """
    A = A if issparse(A) and A.format == "csr" else csr_matrix(A)
    if A.shape[0] != A.shape[1]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")
    if not isinstance(b, cp.ndarray):
        raise np.linalg.LinAlgError(f"cupy.linalg only supports cupy.ndarray, but got {type(b)}")
    _require_int32(A, "lsqr")
    if b.ndim != 1 or len(b) != A.shape[0]:
        raise ValueError("b must be 1-d array whose size is same as A")
    x = _ops.on("solve", A, _sputils.as_dtype(b, A.dtype))
    return (_sputils.as_dtype(x, np.dtype(np.float64)), *(None,) * 9)


def spsolve_triangular(A: Any, b: Any, lower: bool = True, overwrite_A: bool = False, overwrite_b: bool = False,
                       unit_diagonal: bool = False) -> Any:  # fmt: skip
    """The solution x of A @ x = b with a triangular A; what lies in the other triangle is not looked at.

    Raises:
        TypeError, ValueError: what is no system.
    """
    _check_system(A, b)
    if A.shape[0] != A.shape[1]:
        raise ValueError(f"A must be a square matrix (A.shape: {A.shape})")
    if b.ndim not in (1, 2):
        raise ValueError(f"b must be 1D or 2D array (b.shape: {b.shape})")
    if A.shape[0] != b.shape[0]:
        raise ValueError(
            "The size of dimensions of A must be equal to the size of the first dimension of b "
            f"(A.shape: {A.shape}, b.shape: {b.shape})"
        )
    if A.dtype.char not in "fdFD":
        raise TypeError(f"unsupported dtype (actual: {A.dtype})")
    if A.dtype != b.dtype:
        raise TypeError("dtype mismatch")
    if A.format not in ("csr", "csc", "coo"):
        _warn_of_conversion("CSR, CSC or COO")
        A = A.tocsr()
    x = _ops.on("solve_triangular", A, b, bool(lower), bool(unit_diagonal), "N", 1.0)
    return _sputils.as_dtype(x, np.promote_types(x.dtype, np.float64))


class SuperLU:
    """An LU factorisation. `SuperLU(obj)` copies one of SciPy to the device; `splu` and `spilu` make them."""

    shape: tuple[int, int]
    perm_r: Any
    perm_c: Any
    L: Any
    U: Any

    def __init__(self, obj: Any) -> None:
        scipy_linalg = _scipy_linalg()
        if not isinstance(obj, scipy_linalg.SuperLU):
            raise TypeError("obj must be scipy.sparse.linalg.SuperLU")
        self._set(
            obj.shape, cp.array(obj.perm_r), cp.array(obj.perm_c), csr_matrix(obj.L.tocsr()), csr_matrix(obj.U.tocsr())
        )
        self.nnz = obj.nnz

    def _set(self, shape: Any, perm_r: Any, perm_c: Any, L: Any, U: Any) -> None:
        self.shape, self.perm_r, self.perm_c, self.L, self.U = shape, perm_r, perm_c, L, U
        self._perm_r_rev = None if perm_r is None else cp.argsort(perm_r)
        self._perm_c_rev = None if perm_c is None else cp.argsort(perm_c)

    def __getattr__(self, name: str) -> Any:
        if name == "nnz":
            self.nnz = self.L.nnz + self.U.nnz  # waits
            return self.nnz
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def solve(self, rhs: Any, trans: str = "N") -> Any:
        """The solution of A @ x = rhs, of A.T @ x = rhs ("T"), or of A.conj().T @ x = rhs ("H"), in F order.

        Raises:
            TypeError, ValueError: a right side or `trans` that does not fit.
        """
        if not isinstance(rhs, cp.ndarray):
            raise TypeError("ojb must be cupy.ndarray")
        if rhs.ndim not in (1, 2):
            raise ValueError(f"rhs.ndim must be 1 or 2 (actual: {rhs.ndim})")
        if rhs.shape[0] != self.shape[0]:
            raise ValueError(f"shape mismatch (self.shape: {self.shape}, rhs.shape: {rhs.shape})")
        if trans not in ("N", "T", "H"):
            raise ValueError("trans must be 'N', 'T', or 'H'")
        x = rhs.astype(self.L.dtype)
        order = [(self.L, True), (self.U, False)]
        before, after = (self._perm_r_rev, self.perm_c) if trans == "N" else (self._perm_c_rev, self.perm_r)
        if before is not None:
            x = x[before]
        for triangle, lower in order if trans == "N" else reversed(order):
            x = _ops.on("solve_triangular", triangle, x, lower, False, trans, 1.0)
        if after is not None:
            x = x[after]
        return x if x.flags.f_contiguous else x.copy(order="F")


class CusparseLU(SuperLU):
    """The incomplete factorisation without fill-in that `csrilu02` leaves in a matrix."""

    def __init__(self, a: Any) -> None:
        if not (issparse(a) and a.format == "csr"):
            raise TypeError("a must be cupyx.scipy.sparse.csr_matrix")
        from .._extract import tril, triu

        lower = tril(a).tocsr()
        lower.setdiag(1.0)
        self._set(a.shape, None, None, lower, triu(a).tocsr())
        self.nnz = a.nnz


def _scipy_linalg() -> Any:
    _host.module("SuperLU")
    import scipy.sparse.linalg

    return scipy.sparse.linalg


def _check_factorable(A: Any) -> None:
    if not issparse(A):
        raise TypeError("A must be cupyx.scipy.sparse.spmatrix")
    if A.shape[0] != A.shape[1]:
        raise ValueError(f"A must be a square matrix (A.shape: {A.shape})")
    if A.dtype.char not in "fdFD":
        raise TypeError(f"Invalid dtype (actual: {A.dtype})")


def _factorized(A: Any, kind: str, options: dict[str, Any]) -> SuperLU:
    """An LU factorisation made on the device. A singular matrix is a deferred RuntimeError."""
    A = A if A.format in ("csr", "csc") else A.tocsc()
    given = {name: value for name, value in options.items() if value is not None and value != {}}
    perm_r, perm_c, *parts = _ops.on("factors", A, given, kind)
    session.wait_all()  # a singular matrix raises here, as in CuPy
    made = SuperLU.__new__(SuperLU)
    L, U = (csr_matrix._of(A.shape, *parts[i : i + 3], is_sorted=True) for i in (0, 3))
    made._set(A.shape, perm_r, perm_c, L, U)
    return made


def splu(A: Any, permc_spec: Any = None, diag_pivot_thresh: Any = None, relax: Any = None, panel_size: Any = None,
         options: dict[str, Any] = {}) -> SuperLU:  # noqa: B006  # fmt: skip
    """The LU factorisation of a square matrix.

    Raises:
        TypeError, ValueError: a matrix that has none.
        RuntimeError: it is singular.
    """
    _check_factorable(A)
    given = {
        "permc_spec": permc_spec, "diag_pivot_thresh": diag_pivot_thresh, "relax": relax, "panel_size": panel_size, "options": options,
    }  # fmt: skip
    return _factorized(A, "lu", given)


def spilu(A: Any, drop_tol: Any = None, fill_factor: Any = None, drop_rule: Any = None, permc_spec: Any = None,
          diag_pivot_thresh: Any = None, relax: Any = None, panel_size: Any = None, options: dict[str, Any] = {}) -> SuperLU:  # noqa: B006  # fmt: skip
    """An incomplete LU factorisation; with `fill_factor` 1 without fill-in and pivoting.

    Raises:
        TypeError, ValueError: a matrix that has none.
        RuntimeError: it is singular.
    """
    _check_factorable(A)
    if fill_factor == 1:
        from ....cusparse import csrilu02

        a = A.copy() if A.format == "csr" else A.tocsr()
        csrilu02(a)
        return CusparseLU(a)
    given = {
        "drop_tol": drop_tol, "fill_factor": fill_factor, "drop_rule": drop_rule, "permc_spec": permc_spec,
        "diag_pivot_thresh": diag_pivot_thresh, "relax": relax, "panel_size": panel_size, "options": options,
    }  # fmt: skip
    return _factorized(A, "ilu", given)


def factorized(A: Any) -> Any:
    """A function that solves A @ x = b, with A factorised now."""
    return splu(A).solve
