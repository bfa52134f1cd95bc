"""Rows: polynomials as arrays of coefficients, composed on the client (`shim/cupy/_poly.py`)."""

from __future__ import annotations

from cupool.contract.ops._row import CLIENT, op

for _name, _sig in {
    "polyadd": "(a1, a2)",
    "polysub": "(a1, a2)",
    "polymul": "(a1, a2)",
    "polyval": "(p, x)",
    "polyfit": "(x, y, deg, rcond=None, full=False, w=None, cov=False)",
}.items():
    op(_name, _sig, CLIENT)
