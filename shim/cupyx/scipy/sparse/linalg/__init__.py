"""`cupyx.scipy.sparse.linalg`."""

from __future__ import annotations

import importlib
from typing import Any

from ..... import naming as _naming

#: Public names -> the module that has them; loaded when first looked at.
_LAZY = {
    "matrix_power": "._matfuncs",
    "norm": "._norm",
    "lobpcg": "._lobpcg",
    **dict.fromkeys(("LinearOperator", "aslinearoperator"), "._interface"),
    **dict.fromkeys(("bicgstab", "cg", "cgs", "gmres", "lsmr", "minres"), "._iterative"),
    **dict.fromkeys(("eigsh", "svds"), "._eigen"),
    **dict.fromkeys(("SuperLU", "factorized", "lsqr", "spilu", "splu", "spsolve", "spsolve_triangular"), "._solve"),
}


def __getattr__(name: str) -> Any:
    where = _LAZY.get(name)
    if where is not None:
        value = globals()[name] = getattr(importlib.import_module(where, __package__), name)
        _naming.adopt(value, "cupyx.scipy.sparse.linalg")
        return value
    from .....cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy.sparse.linalg", name)


__all__ = sorted(_LAZY)  # noqa: PLE0605
