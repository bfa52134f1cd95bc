"""The op table: a frozen row per public CuPy name. `TABLE` is complete whenever someone gets it from this package.

The rows are made when `TABLE` (or a digest of it) is first asked for: a client that only imports must not pay for them. A client asks
for single rows by `row(name)`, which makes those of one file only (`_homes.py`), and sends the committed `DIGEST`.

To add a name: one row in the file of its family. A new shape behaviour: one rule in `rules/` and the row. Then `make generate`.
"""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any

from cupool.contract.ops._digest import DIGEST
from cupool.contract.ops._row import (
    CLIENT,
    LOCAL,
    NDIM,
    REQUIRED,
    UNKNOWN,
    Parameter,
    Row,
    Same,
    Vector,
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
#: The families of `cupyx.scipy` and of what stands on it, in the package `scipy` beside them.
SCIPY_FAMILIES = (
    "sparse",
    "cusolver",
    "fft",
    "interpolate",
    "linalg",
    "ndimage",
    "signal",
    "signal_design",
    "signal_spectral",
    "spatial",
    "special",
)
_WITH_ROWS = frozenset({"TABLE", "row_hashes", "table_digest"})
_lock = threading.RLock()
#: What has been imported whole.
_loaded: set[tuple[str, ...]] = set()


def _load(families: tuple[str, ...], package: str = __name__) -> None:
    if families in _loaded:
        return
    with _lock:
        for family in families:
            importlib.import_module(f"{package}.{family}")
        _loaded.add(families)


def _load_scipy() -> None:
    _load(SCIPY_FAMILIES, f"{__name__}.scipy")


def row(name: str) -> Row:
    """The row of a name; makes only those of its family.

    Raises:
        KeyError: there is no such row.
    """
    found = find_row(name)
    if found is None:
        raise KeyError(name)
    return found


def find_row(name: str) -> Row | None:
    """As `row`, but None where there is no such row."""
    from cupool.contract.ops._row import TABLE as table

    found = table.get(name)
    if found is None:
        from cupool.contract.ops._homes import HOMES

        home = next((family for family, names in HOMES.items() if f" {name} " in names), "")
        if home:
            _load((home,))
        else:  # made by nothing, or since `make generate`
            _load(FAMILIES)
            _load_scipy()
        found = table.get(name)
    return found


def __getattr__(name: str) -> Any:
    if name in _WITH_ROWS:
        from cupool.contract.ops import _row

        _load(FAMILIES)
        _load_scipy()
        globals().update({each: getattr(_row, each) for each in _WITH_ROWS})
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "CLIENT",
    "DIGEST",
    "LOCAL",
    "NDIM",
    "REQUIRED",
    "TABLE",
    "UNKNOWN",
    "Parameter",
    "Row",
    "Same",
    "Vector",
    "call_arguments",
    "find_row",
    "infer",
    "op",
    "parameters",
    "row",
    "row_hashes",
    "table_digest",
    "unsupported",
]
