"""The op table: a frozen row per public CuPy name. `TABLE` is complete once this package is imported.

To add a name: one row in the file of its family. A new shape behaviour: one rule in `rules.py` and the row. Then `make generate`.
"""

from __future__ import annotations

from cupool.contract.ops import _internal as _internal
from cupool.contract.ops._row import CLIENT, LOCAL, NDIM, TABLE, Row, op, row_hashes, table_digest, unsupported

__all__ = ["CLIENT", "LOCAL", "NDIM", "TABLE", "Row", "op", "row_hashes", "table_digest", "unsupported"]
