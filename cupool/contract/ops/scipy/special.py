"""Rows: `cupyx.scipy.special`. Loops of its ufuncs come from CuPy's record (`_loops.py`)."""

from __future__ import annotations

from functools import partial

from cupool.contract.ops._loops import KERNELS
from cupool.contract.ops._row import op
from cupool.contract.ops.rules.elementwise import elementwise
from cupool.contract.ops.ufuncs import OPTIONS, samples_of

_PREFIX = "cupyx.scipy.special."

#: Public names of ufuncs.
UFUNCS = ("erf", "erfc", "gammaln", "xlogy")

_OPERANDS = ("x", "x1, x2", "x1, x2, x3", "x1, x2, x3, x4")

for _each in UFUNCS:
    _name = _PREFIX + _each
    _operands = _OPERANDS[KERNELS[_name][0] - 1]
    op(_name, f"({_operands}, {OPTIONS})", elementwise(_name), writes=("out",), family="ufunc", arrays=tuple(_operands.split(", ")),
       samples=partial(samples_of, _name))  # fmt: skip
