"""Matrices of SciPy, where this program has SciPy: it is no part of the client, so nothing here imports it unasked."""

from __future__ import annotations

import sys
from typing import Any


class SparseWarning(Warning):
    """As `scipy.sparse.SparseWarning`, for programs without SciPy."""


class SparseEfficiencyWarning(SparseWarning):
    """As `scipy.sparse.SparseEfficiencyWarning`, for programs without SciPy."""


def loaded() -> Any:
    """`scipy.sparse` if the program has imported it, else None."""
    return sys.modules.get("scipy.sparse")


def module(wanted: str) -> Any:
    """`scipy.sparse`, imported now.

    Raises:
        RuntimeError: SciPy is not installed here.
    """
    try:
        import scipy.sparse
    except ImportError as error:
        raise RuntimeError(
            f"scipy is not available: {wanted} makes an object of scipy.sparse in this program. Install scipy beside it "
            "(`pip install scipy`); matrices on the device do not need it."
        ) from error
    return scipy.sparse


def is_sparse(x: Any) -> bool:
    """Whether `x` is a matrix or array of scipy.sparse. False where the program has not imported SciPy: then it is none."""
    scipy_sparse = loaded()
    return scipy_sparse is not None and bool(scipy_sparse.issparse(x))


def warning_class(name: str) -> type[Warning]:
    """SciPy's class where the program has SciPy loaded, else ours."""
    scipy_sparse = loaded()
    return getattr(scipy_sparse, name) if scipy_sparse is not None else globals()[name]  # type: ignore[no-any-return]


def efficiency_warning() -> type[Warning]:
    """The class of warnings about slow ways."""
    return warning_class("SparseEfficiencyWarning")


def matching(m: Any, kind: str) -> Any:
    """SciPy's class of the format and kind ("csr_array", "csr_matrix") of one of our matrices."""
    return getattr(module(f"{type(m).__name__}.get()"), f"{m.format}_{kind}")
