"""`cupyx.scipy.sparse`. See docs/decisions/005-sparse-matrices.md for how matrices live on the device."""

from __future__ import annotations

import importlib
from typing import Any

from .... import naming as _naming
from . import _host
from ._base import _spbase as _spbase
from ._base import issparse, isspmatrix, sparray, spmatrix
from ._coo import coo_array, coo_matrix, isspmatrix_coo
from ._csc import csc_array, csc_matrix, isspmatrix_csc
from ._csr import csr_array, csr_matrix, isspmatrix_csr
from ._dia import dia_array, dia_matrix, isspmatrix_dia
from ._sputils import get_index_dtype, safely_cast_index_arrays

#: Public names -> the module that has them; loaded when first looked at.
_LAZY = {
    **dict.fromkeys(
        ("block_array", "block_diag", "bmat", "diags", "diags_array", "eye", "eye_array", "hstack", "identity", "kron", "kronsum",
         "matrix_transpose", "permute_dims", "rand", "random", "random_array", "spdiags", "swapaxes", "vstack"), "._construct"),
    **dict.fromkeys(("find", "tril", "triu"), "._extract"),
}  # fmt: skip
_SUBMODULES = frozenset(("csgraph", "linalg"))
_WARNINGS = frozenset(("SparseEfficiencyWarning", "SparseWarning"))


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__package__}.{name}")
    where = _LAZY.get(name)
    if where is not None:
        value = globals()[name] = getattr(importlib.import_module(where, __package__), name)
        _naming.adopt(value, "cupyx.scipy.sparse")
        return value
    if name in _WARNINGS:
        # SciPy's own classes where the program can have them, so that its filters are ours.
        try:
            _host.module(name)
        except RuntimeError:
            return getattr(_host, name)
        return _host.warning_class(name)
    from ....cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy.sparse", name)


__all__ = [
    "SparseEfficiencyWarning", "SparseWarning", "block_array", "block_diag", "bmat", "coo_array", "coo_matrix", "csc_array", "csc_matrix",
    "csr_array", "csr_matrix", "dia_array", "dia_matrix", "diags", "diags_array", "eye", "eye_array", "find", "get_index_dtype", "hstack",
    "identity", "issparse", "isspmatrix", "isspmatrix_coo", "isspmatrix_csc", "isspmatrix_csr", "isspmatrix_dia", "kron", "kronsum",
    "matrix_transpose", "permute_dims", "rand", "random", "random_array", "safely_cast_index_arrays", "sparray", "spdiags", "spmatrix",
    "swapaxes", "tril", "triu", "vstack",
]  # fmt: skip
