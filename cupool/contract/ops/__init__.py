"""The op table: a frozen row per public CuPy name. `TABLE` is complete whenever someone gets it from this package.

The rows are made when `TABLE` (or a digest of it) is first asked for: a client that only imports must not pay for them.

To add a name: one row in the file of its family. A new shape behaviour: one rule in `rules/` and the row. Then `make generate`.
"""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any

from cupool.contract.ops._row import (
    CLIENT,
    LOCAL,
    NDIM,
    REQUIRED,
    UNKNOWN,
    Parameter,
    Row,
    Same,
    call_arguments,
    infer,
    op,
    parameters,
    unsupported,
)

if TYPE_CHECKING:
    from cupool.contract.ops._row import TABLE, row_hashes, table_digest

#: The files of the families, in the order in which their rows are made.
FAMILIES = (
    "_internal", "creation", "dtypes", "fft", "indexing", "io", "linalg", "logic", "manipulation", "misc", "polynomial", "random",
    "reductions", "sorting", "statistics", "ufuncs",
)  # fmt: skip
_WITH_ROWS = frozenset({"TABLE", "row_hashes", "table_digest"})
_lock = threading.RLock()


def _load() -> dict[str, Any]:
    """What needs all rows, by name."""
    from cupool.contract.ops import _row

    with _lock:
        for family in FAMILIES:
            importlib.import_module(f"{__name__}.{family}")
    return {name: getattr(_row, name) for name in _WITH_ROWS}


def __getattr__(name: str) -> Any:
    if name in _WITH_ROWS:
        globals().update(_load())
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "CLIENT",
    "LOCAL",
    "NDIM",
    "REQUIRED",
    "TABLE",
    "UNKNOWN",
    "Parameter",
    "Row",
    "Same",
    "call_arguments",
    "infer",
    "op",
    "parameters",
    "row_hashes",
    "table_digest",
    "unsupported",
]
