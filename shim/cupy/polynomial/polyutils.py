"""`cupy.polynomial.polyutils`: coefficient arrays, lowest power first, made fit for use. Dropping zeros looks at the numbers: a wait."""

from __future__ import annotations

import operator
from typing import Any

from ..._generated import functions
from ...local import common_type


def as_degree(deg: Any) -> int:
    """A degree as int. Raises TypeError for anything else, floats of whole value too."""
    try:
        return operator.index(deg)
    except TypeError as error:
        raise TypeError(f"deg must be an integer, received {deg}") from error


def trimseq(seq: Any) -> Any:
    """As `cupy.polynomial.polyutils.trimseq`: without trailing zeros, but not empty."""
    if seq.ndim == 0:
        raise TypeError("Input must be 1-d array")
    if seq.ndim > 1:
        raise ValueError("Input must be 1-d array")
    if seq.size <= 1:  # whatever the number is, it stays
        return seq
    kept = functions.trim_zeros(seq, "b")
    return kept if kept.size else seq[:1]


def as_series(alist: Any, trim: bool = True) -> list[Any]:
    """As `cupy.polynomial.polyutils.as_series`: one-dimensional arrays of one float dtype."""
    arrays = []
    for a in alist:
        if a.size == 0:
            raise ValueError("Coefficient array is empty")
        if a.ndim > 1:
            raise ValueError("Coefficient array is not 1-d")
        if a.dtype.kind == "b":
            raise ValueError("Coefficient arrays have no common type")
        a = a.ravel()
        arrays.append(trimseq(a) if trim else a)
    dtype = common_type(*arrays)
    return [a.astype(dtype, copy=False) for a in arrays]


def trimcoef(c: Any, tol: Any = 0) -> Any:
    """As `cupy.polynomial.polyutils.trimcoef`: without trailing coefficients of at most `tol`."""
    if tol < 0:
        raise ValueError("tol must be non-negative")
    if c.size == 0:
        raise ValueError("Coefficient array is empty")
    if c.ndim > 1:
        raise ValueError("Coefficient array is not 1-d")
    if c.dtype.kind == "b":
        raise ValueError("bool inputs are not allowed")
    c = c.ravel()
    c = c.astype(common_type(c), copy=False)
    (large,) = functions.nonzero(abs(c) > tol)
    return c[: int(large[-1]) + 1] if large.size else functions.zeros_like(c[:1])
