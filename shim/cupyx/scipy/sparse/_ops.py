"""Commands on sparse matrices: operands in, arrays out. Rows and rules: `cupool.contract.ops.scipy.sparse`.

Boundary: knows how a matrix is handed over, nothing of what its methods mean.
"""

from __future__ import annotations

from typing import Any

from .... import cupy, dispatch
from ....rows import ROWS

#: The namespace of arrays, for the modules of this package; type checkers see no names in what it gathers.
cp: Any = cupy

_PREFIX = "@cupyx.scipy.sparse."
_rows: dict[str, Any] = {}


def run(name: str, *args: Any) -> Any:
    """The results of one command: an array, or a tuple of them. `args`: one per parameter of the row."""
    row = _rows.get(name)
    if row is None:
        row = _rows[name] = ROWS[_PREFIX + name]
    return dispatch.call(row, args)


def operand(m: Any) -> tuple[Any, ...]:
    """A matrix as commands take it; one of one dimension as its only row."""
    format = m.format
    if format == "coo":
        return "coo", m._shape_as_2d, m.data, m.row, m.col
    if format == "dia":
        return "dia", m._shape, m.data, m.offsets
    return format, m._shape_as_2d, m.data, m.indices, m.indptr


def on(name: str, m: Any, *args: Any) -> Any:
    """`run` with a matrix as the first argument."""
    return run(name, operand(m), *args)


def bounds(arrays: tuple[Any, ...], ends: Any = None) -> tuple[int, ...]:
    """Minimum and maximum of each array ((0, -1) of an empty one), then first and last element of `ends`. Waits, once."""
    return tuple(int(n) for n in run("bounds", arrays, ends))
