"""The op table: a frozen row per public CuPy name. `TABLE` is complete once this package is imported.

To add a name: one row in the file of its family. A new shape behaviour: one rule in `rules/` and the row. Then `make generate`.
"""

from __future__ import annotations

from cupool.contract.ops import _internal as _internal
from cupool.contract.ops import creation as _creation
from cupool.contract.ops import dtypes as _dtypes
from cupool.contract.ops import fft as _fft
from cupool.contract.ops import indexing as _indexing
from cupool.contract.ops import io as _io
from cupool.contract.ops import linalg as _linalg
from cupool.contract.ops import logic as _logic
from cupool.contract.ops import manipulation as _manipulation
from cupool.contract.ops import misc as _misc
from cupool.contract.ops import random as _random
from cupool.contract.ops import reductions as _reductions
from cupool.contract.ops import sorting as _sorting
from cupool.contract.ops import statistics as _statistics
from cupool.contract.ops import ufuncs as _ufuncs
from cupool.contract.ops._row import (
    CLIENT,
    LOCAL,
    NDIM,
    REQUIRED,
    TABLE,
    UNKNOWN,
    Parameter,
    Row,
    Same,
    call_arguments,
    infer,
    op,
    parameters,
    row_hashes,
    table_digest,
    unsupported,
)

del _creation, _dtypes, _fft, _indexing, _io, _linalg, _logic
del _manipulation, _misc, _random, _reductions, _sorting, _statistics, _ufuncs

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
