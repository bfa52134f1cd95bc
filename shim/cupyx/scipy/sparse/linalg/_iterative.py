"""Iterative solvers. With matrices the whole iteration is one command of the device; with an operator or a callback, which are functions
of the program, it runs here, and waits in each step, as CuPy does. The solvers themselves: `cupool.contract.solvers`."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract import solvers

from .. import _ops
from .._base import issparse
from .._ops import cp
from ._interface import IdentityOperator, MatrixLinearOperator, aslinearoperator


def as_operand(A: Any) -> Any:
    """A matrix as a command takes it: its arrays, or the dense array; None for an operator of the program's functions."""
    if type(A) is MatrixLinearOperator:
        A = A.A
    if issparse(A):
        return _ops.operand(A if A.format != "dia" else A.tocsr())
    return A if isinstance(A, cp.ndarray) and A.ndim == 2 else None


def _make_system(A: Any, M: Any, x0: Any, b: Any) -> tuple[Any, Any, Any, Any]:
    """(A, M, x, b): operators and vectors of A's dtype. Raises ValueError and TypeError for what makes no system."""
    A = aslinearoperator(A)
    if A.shape[0] != A.shape[1]:
        raise ValueError(f"expected square matrix (shape: {A.shape})")
    if A.dtype.char not in "fdFD":
        raise TypeError(f"unsupprted dtype (actual: {A.dtype})")
    n = A.shape[0]
    if b.shape not in ((n,), (n, 1)):
        raise ValueError("b has incompatible dimensions")
    b = b.astype(A.dtype).ravel()
    if x0 is None:
        x = cp.zeros((n,), dtype=A.dtype)
    elif x0.shape in ((n,), (n, 1)):
        x = x0.astype(A.dtype).ravel()
    else:
        raise ValueError("x0 has incompatible dimensions")
    M = IdentityOperator(A.shape, A.dtype) if M is None else aslinearoperator(M)
    if A.shape != M.shape:
        raise ValueError("matrix and preconditioner have different shapes")
    return A, M, x, b


def _solve(name: str, A: Any, b: Any, x0: Any, M: Any, callback: Any, options: dict[str, Any]) -> tuple[Any, int]:
    A, M, x, b = _make_system(A, M, x0, b)
    options = {key: value for key, value in options.items() if value is not None}
    matrix = as_operand(A)
    preconditioner = None if type(M) is IdentityOperator else as_operand(M)
    on_device = matrix is not None and callback is None and (preconditioner is not None or type(M) is IdentityOperator)
    if not on_device:
        return solvers.SQUARE[name](cp, A.matvec, M.matvec, b, x, callback, **options)  # type: ignore[operator, no-any-return]
    x, info = _ops.run("iterate", name, matrix, b, x, preconditioner, options)
    return x, int(info)


def cg(A: Any, b: Any, x0: Any = None, *, rtol: float = 1e-5, atol: float = 0.0, maxiter: Any = None, M: Any = None,
       callback: Any = None) -> tuple[Any, int]:  # fmt: skip
    """Conjugate gradients: (x, info)."""
    return _solve("cg", A, b, x0, M, callback, {"rtol": rtol, "atol": atol, "maxiter": maxiter})


def cgs(A: Any, b: Any, x0: Any = None, *, rtol: float = 1e-5, atol: float = 0.0, maxiter: Any = None, M: Any = None,
        callback: Any = None) -> tuple[Any, int]:  # fmt: skip
    """Conjugate gradients squared: (x, info)."""
    return _solve("cgs", A, b, x0, M, callback, {"rtol": rtol, "atol": atol, "maxiter": maxiter})


def bicgstab(A: Any, b: Any, x0: Any = None, *, rtol: float = 1e-5, atol: float = 0.0, maxiter: Any = None, M: Any = None,
             callback: Any = None) -> tuple[Any, int]:  # fmt: skip
    """Biconjugate gradients, stabilised: (x, info)."""
    return _solve("bicgstab", A, b, x0, M, callback, {"rtol": rtol, "atol": atol, "maxiter": maxiter})


def gmres(A: Any, b: Any, x0: Any = None, *, rtol: float = 1e-5, atol: float = 0.0, restart: Any = None, maxiter: Any = None,
          M: Any = None, callback: Any = None, callback_type: Any = None) -> tuple[Any, int]:  # fmt: skip
    """Generalised minimal residuals: (x, info). `callback_type`: "x" or "pr_norm", what the callback gets at a restart."""
    if callback_type not in (None, "x", "pr_norm"):
        raise ValueError(f"Unknown callback_type: {callback_type}")
    options = {"rtol": rtol, "atol": atol, "maxiter": maxiter, "restart": restart}
    return _solve(
        "gmres", A, b, x0, M, callback, options if callback is None else {**options, "callback_type": callback_type}
    )


def minres(A: Any, b: Any, x0: Any = None, shift: Any = 0.0, tol: float = 1e-5, maxiter: Any = None, M: Any = None, callback: Any = None,
           check: bool = False) -> tuple[Any, int]:  # fmt: skip
    """Minimal residuals of a symmetric matrix: (x, info)."""
    return _solve("minres", A, b, x0, M, callback, {"shift": shift, "tol": tol, "maxiter": maxiter, "check": check})


def lsmr(A: Any, b: Any, x0: Any = None, damp: float = 0.0, atol: float = 1e-6, btol: float = 1e-6, conlim: Any = 1e8,
         maxiter: Any = None) -> tuple[Any, ...]:  # fmt: skip
    """Least squares: (x, istop, itn, normr, normar, norma, conda, normx)."""
    A = aslinearoperator(A)
    b = b.squeeze()
    cols = A.shape[1]
    dtype = np.result_type(*(v.dtype for v in (A, b, x0) if v is not None), np.float64)
    options: dict[str, Any] = {
        "damp": damp or 0.0,
        "atol": atol,
        "btol": btol,
        "conlim": 1e8 if conlim is None else conlim,
    }
    if maxiter is not None:
        options["maxiter"] = maxiter
    if x0 is not None:
        if x0.shape not in ((cols,), (cols, 1)):
            raise ValueError("x0 has incompatible dimensions")
        options["starts"] = True
    x = cp.zeros((cols,), dtype) if x0 is None else x0.astype(dtype).ravel()
    matrix = as_operand(A)
    if matrix is None:
        return solvers.lsmr(cp, A.matvec, A.rmatvec, b.astype(dtype), x, A.shape, **options)
    x, numbers = _ops.run("least_squares", matrix, b.astype(dtype), x, options)
    istop, itn, *rest = numbers.get().tolist()
    return x, int(istop), int(itn), *rest
