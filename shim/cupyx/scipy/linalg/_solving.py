"""Factorisations and what follows them. What `overwrite_…` allows to be destroyed is left as it is."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from cupool.contract.ops.scipy import _rules_linalg as _rules
from cupool.contract.spec import spec_like

from ...._generated import cupyx_scipy_linalg as _plain
from ...._generated import functions as _functions


def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """As `cupyx.scipy.linalg.lu_factor`. It does not wait, so it does not warn of a zero on the diagonal."""
    return _plain.lu_factor(a, False, check_finite)


def lu(a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """As `cupyx.scipy.linalg.lu`. It does not wait, so it does not warn of a zero on the diagonal."""
    return _plain.lu(a, permute_l, False, check_finite)


def lu_solve(lu_and_piv: Any, b: Any, trans: int = 0, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """As `cupyx.scipy.linalg.lu_solve`."""
    return _plain.lu_solve(tuple(lu_and_piv), b, trans, False, check_finite)


def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False, overwrite_b: bool = False,
    check_finite: bool = False,
) -> Any:  # fmt: skip
    """As `cupyx.scipy.linalg.solve_triangular`."""
    return _plain.solve_triangular(a, b, trans, lower, unit_diagonal, False, check_finite)


def kron(a: Any, b: Any) -> Any:
    """As `cupyx.scipy.linalg.kron`, deprecated: `cupy.kron`."""
    warnings.warn(
        "`cupyx.scipy.linalg.kron` has been deprecated in CuPy v14 and will be removed in the near future. "
        "Please use `cupy.kron` instead.",
        DeprecationWarning,
        stacklevel=2,
    )
    if a.ndim == b.ndim == 2:
        return _functions.kron(a, b)
    product = _functions.outer(a, b).reshape(a.shape + b.shape)
    return _functions.concatenate(list(_functions.concatenate(list(product), 1)), 1)


def khatri_rao(a: Any, b: Any) -> Any:
    """As `cupyx.scipy.linalg.khatri_rao`; of host arrays it is a host array."""
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        return _plain.khatri_rao(a, b)
    _rules.khatri_rao(spec_like(a), spec_like(b))
    return (a[:, None, :] * b[None, :, :]).reshape(-1, a.shape[1])


def expm(a: Any) -> Any:
    """As `cupyx.scipy.linalg.expm`."""
    if isinstance(a, np.ndarray) and a.size == 0:
        return _functions.zeros((0, 0), a.dtype)
    return _plain.expm(a)


__all__ = ["expm", "khatri_rao", "kron", "lu", "lu_factor", "lu_solve", "solve_triangular"]
