"""Rows: polynomials as arrays of coefficients, composed on the client (`shim/cupy/_poly.py`, `shim/cupy/polynomial/`)."""

from __future__ import annotations

from cupool.contract.ops._row import CLIENT, op

for _name, _sig in {
    "polyadd": "(a1, a2)",
    "polysub": "(a1, a2)",
    "polymul": "(a1, a2)",
    "polyval": "(p, x)",
    "poly": "(seq_of_zeros)",
    "roots": "(p)",
    "poly1d": "(c_or_r, r=False, variable=None)",
    "polynomial.polynomial.polycompanion": "(c)",
    "polynomial.polynomial.polyval": "(x, c, tensor=True)",
    "polynomial.polynomial.polyvalfromroots": "(x, r, tensor=True)",
    "polynomial.polynomial.polyvander": "(x, deg)",
    "polynomial.polyutils.as_series": "(alist, trim=True)",
    "polynomial.polyutils.trimcoef": "(c, tol=0)",
    "polynomial.polyutils.trimseq": "(seq)",
    "polyfit": "(x, y, deg, rcond=None, full=False, w=None, cov=False)",
}.items():
    op(_name, _sig, CLIENT)
