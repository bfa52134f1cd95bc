"""Rows: sparse matrices. What a client's matrix classes (`shim/cupyx/scipy/sparse`) ask a device to do with the arrays of matrices.

CuPy has no names for these commands: its matrices' methods are Python. Each is a rule of `_rules_sparse.py`, where operands are
described, under its rule's name. See docs/decisions/005-sparse-matrices.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import arr, call, fails, idx, pos
from cupool.contract.ops.scipy import _rules_sparse as rules

PREFIX = "@cupyx.scipy.sparse."


# -- matrices for samples -------------------------------------------------------------------------------------------------


def _i(*values: int) -> Any:
    return np.array(values, np.int32)


def _csr(dtype: Any = "f8", format: str = "csr") -> Any:
    """3 x 4 (4 x 3 as csc), a stored zero, canonical: 0 1 . . | . . . 2 | . . 3 ."""
    shape = (3, 4) if format == "csr" else (4, 3)
    return (format, shape, arr(4, dtype=dtype), _i(0, 1, 3, 2), _i(0, 2, 3, 4))


def _messy(format: str = "csr") -> Any:
    """3 x 4 (4 x 3), unsorted, with duplicates."""
    shape = (3, 4) if format == "csr" else (4, 3)
    return (format, shape, arr(6), _i(2, 0, 0, 2, 0, 1), _i(0, 3, 6, 6))


def _square(dtype: Any = "f8", format: str = "csr") -> Any:
    """Lower triangular: 1 . . | 2 3 . | . 4 5"""
    return (format, (3, 3), (arr(5) + 1).astype(dtype), _i(0, 0, 1, 1, 2), _i(0, 1, 3, 5))


def _spd() -> Any:
    """Symmetric, positive definite: 4 1 . | 1 4 1 | . 1 4"""
    return ("csr", (3, 3), np.array([4.0, 1, 1, 4, 1, 1, 4]), _i(0, 1, 0, 1, 2, 1, 2), _i(0, 2, 5, 7))


def _coo(dtype: Any = "f8") -> Any:
    return ("coo", (3, 4), arr(4, dtype=dtype), _i(0, 2, 0, 0), _i(1, 3, 1, 2))


def _dia() -> Any:
    return ("dia", (3, 4), arr(2, 4) + 1, _i(0, 1))


_ROW = ("csr", (1, 4), arr(2) + 1, _i(0, 2), _i(0, 2))
_EMPTY = ("csr", (3, 4), arr(0), _i(), _i(0, 0, 0, 0))


def _all(*formats: str) -> list[Any]:
    made = {
        "csr": [_csr(), _csr("F"), _csr("?"), _messy(), _EMPTY], "csc": [_csr("f4", "csc"), _messy("csc")], "coo": [_coo()],
        "dia": [_dia()],
    }  # fmt: skip
    return [m for format in formats for m in made[format]]


# -- rows -----------------------------------------------------------------------------------------------------------------


def _row(name: str, sig: str, samples: Any, errors: Any = None, **fields: Any) -> None:
    op(PREFIX + name, sig, getattr(rules, name), samples=samples, errors=errors, **fields)


def _each(*formats: str, rest: tuple[Any, ...] = ()) -> Any:
    """Samples: every matrix of these formats, with the same other arguments."""
    return lambda: [call(m, *rest) for m in _all(*formats)]


def _converted() -> Iterator[Any]:
    for to in ("csr", "csc", "coo"):
        for m in _all("csr", "csc", "coo"):
            if m[0] != to:
                yield call(m, to)
    yield call(_dia(), "csc")


_row("convert", "(a, to, canonical=False)", _converted, arrays=("a",))
_row("from_dense", "(x, to)", lambda: [call(x, to) for to in ("csr", "csc", "coo") for x in (arr(3, 4), arr(2, 2, dtype="?"), arr(0, 3))],
     lambda: [fails(ValueError, arr(3), "csr")])  # fmt: skip
_row("to_dense", "(a, order='C')", lambda: [call(m, order=o) for m in _all("csr", "csc", "coo", "dia") for o in "CF"],
     lambda: [fails(ValueError, _csr(), order="K")], arrays=("a",))  # fmt: skip
_row("expand", "(indptr, indices)", lambda: [call(_i(0, 2, 2, 3), _i(1, 0, 2))], arrays=("indptr", "indices"))
_row("coalesce", "(a)", _each("csr", "csc", "coo"), arrays=("a",))
_row(
    "sort",
    "(a, by='r')",
    lambda: [call(_messy()), call(_messy("csc")), call(_coo()), call(_coo(), by="c")],
    arrays=("a",),
)
_row("nonzero", "(a)", _each("csr", "csc", "coo"), arrays=("a",))
_row("triangle", "(a, k, lower)", lambda: [call(_coo(), 0, True), call(_coo(), 1, False)], arrays=("a",))
_row("reshape", "(a, shape, order)", lambda: [call(_coo(), (2, 6), "C"), call(_coo(), (12, 1), "F")], arrays=("a",))
_row("matmul", "(a, b)", lambda: [call(_square(), _csr("f4")), call(_csr("F"), _csr("f4", "csc")), call(_messy(), _messy("csc"))],
     lambda: [fails(ValueError, _csr(), _csr())], arrays=("a", "b"))  # fmt: skip
_row("dot", "(a, x)", lambda: [call(m, x) for m in (_csr("f4"), _messy(), _coo("F")) for x in (arr(4), arr(4, 2, dtype="f4"))],
     lambda: [fails(ValueError, _csr(), arr(3))], arrays=("a", "x"))  # fmt: skip
_row("add", "(a, b, alpha, beta)", lambda: [call(_csr(), _messy(), 1, 1), call(_csr("f4", "csc"), _messy("csc"), -1, 1)],
     lambda: [fails(ValueError, _csr(), _square(), 1, 1), fails(TypeError, _csr("?"), _csr("?"), 1, -1)], arrays=("a", "b"))  # fmt: skip
_row("binary", "(a, b, name)",
     lambda: [call(m, _messy(), name) for m in (_csr(), _ROW) for name in ("maximum", "minimum", "lt", "ne", "ge")],
     lambda: [fails(ValueError, _csr(), _square(), "ne")], arrays=("a", "b"))  # fmt: skip
_row("compare", "(a, value, name)", lambda: [call(_csr(), v, name) for v in (0.0, 1.5) for name in ("eq", "lt", "gt")], arrays=("a",),
     varying=("value",))  # fmt: skip
_row("multiply", "(a, b)", lambda: [call(_csr(), _messy()), call(_ROW, _csr("F"))], arrays=("a", "b"))
_row("scale", "(a, x, canonical=False)", lambda: [call(_csr(), arr(3, 4)), call(_ROW, arr(3, 4, dtype="i4")), call(_messy(), arr(1, 4))],
     lambda: [fails(ValueError, _csr(), arr(2, 4))], arrays=("a", "x"))  # fmt: skip
_row("kron", "(a, b, index)", lambda: [call(_coo(), _coo("f4"), rules.INT32)], arrays=("a", "b"))
_row("block", "(blocks, offsets, dtype, index)",
     lambda: [call([_coo(), _coo("f4")], [(0, 0), (3, 4)], np.dtype("f8"), rules.INT32)], arrays=("blocks",))  # fmt: skip
_row(
    "stack",
    "(blocks, dtype, index)",
    lambda: [call([_csr(), _messy()], np.dtype("f8"), rules.INT32)],
    arrays=("blocks",),
)
_row(
    "diagonal",
    "(a, k)",
    lambda: [call(m, k) for m in _all("csr", "csc", "coo", "dia") for k in (0, 1, -2, 9)],
    arrays=("a",),
)
_row(
    "set_diagonal",
    "(a, values, k)",
    lambda: [call(m, arr(2), 0) for m in (_csr(), _messy("csc"), _coo())],
    arrays=("a", "values"),
)
_row("eliminate_zeros", "(a)", _each("csr", "csc", "coo"), arrays=("a",))
_row(
    "item",
    "(a, i, j)",
    lambda: [call(m, i, 1) for m in (_messy(), _csr("f4", "csc")) for i in (0, 2)],
    arrays=("a",),
    varying=("i", "j"),
)
_row("take", "(a, rows, row_start, row_step, cols, col_start, col_step)",
     lambda: [call(m, *rows, *cols) for m in (_csr(), _messy(), _csr("f4", "csc"))
     for rows in ((2, 0, 1), (2, 2, -1), (idx(2, 0, 0), 0, 1)) for cols in ((m[1][1], 0, 1), (idx(2, 1), 0, 1))],
     arrays=("a", "rows", "cols"), varying=("row_start", "row_step", "col_start", "col_step"))  # fmt: skip
_row("sample", "(a, rows, cols)", lambda: [call(_messy(), idx(0, 0, 2), idx(2, 1, 0)), call(_csr("F"), _i(), _i())],
     arrays=("a", "rows", "cols"))  # fmt: skip
_row("locate", "(a, rows, cols)", lambda: [call(_csr(), idx(0, 0, 2), idx(1, 2, 2)), call(_csr("f4", "csc"), _i(1), _i(0))],
     arrays=("a", "rows", "cols"))  # fmt: skip
_row("insert", "(a, rows, cols, values)",
     lambda: [call(_csr(), idx(2, 0, 2), idx(0, 3, 0), arr(3)), call(_csr("f8", "csc"), idx(0), idx(2), arr(1))],
     arrays=("a", "rows", "cols", "values"))  # fmt: skip
_row("extremes", "(a, name, axis, explicit)", lambda: [call(m, name, axis, e) for m in (_csr(), _messy()) for name in ("max", "min")
     for axis in (0, 1) for e in (False, True)], arrays=("a",))  # fmt: skip
_row("extremum", "(a, name, explicit)",
     lambda: [call(m, name, e) for m in (_csr(), _EMPTY) for name in ("max", "min") for e in (False, True)],
     arrays=("a",))  # fmt: skip
_row("arg_extremes", "(a, name, axis)",
     lambda: [call(m, name, axis) for m in (_csr(), _messy()) for name in ("max", "min") for axis in (0, 1)],
     arrays=("a",))  # fmt: skip
_row(
    "arg_extremum",
    "(a, name)",
    lambda: [call(m, name) for m in (_csr(), _EMPTY) for name in ("max", "min")],
    arrays=("a",),
)
_row(
    "count",
    "(a, axis)",
    lambda: [call(m, axis) for m in _all("csr", "csc", "coo", "dia") for axis in (None, 0, 1)],
    arrays=("a",),
)
_row("solve", "(a, b)", lambda: [call(_square("f4"), arr(3, dtype="f4")), call(_square(), arr(3, 2))],
     lambda: [fails(ValueError, _csr(), arr(3))], arrays=("a", "b"))  # fmt: skip
_row("solve_triangular", "(a, b, lower, unit, trans, alpha=1)",
     lambda: [call(_square(), arr(3), True, False, "N"), call(_square("F"), arr(3, 2), True, True, "H")],
     arrays=("a", "b"))  # fmt: skip
_row(
    "factors",
    "(a, options, kind)",
    lambda: [call(_square(), {}, "lu"), call(_square("f4"), {"drop_tol": 0.1}, "ilu")],
    arrays=("a",),
)
_row("ilu0", "(a)", lambda: [call(_square())], arrays=("a",))
_row("components", "(a, connection)", lambda: [call(_square(), "weak"), call(_square(), "strong")], arrays=("a",))

_row("iterate", "(name, a, b, x, m, options)",
     lambda: [call(name, a, arr(3) + 1, arr(3), m, {}) for name in ("cg", "cgs", "bicgstab", "gmres", "minres")
     for a, m in ((_spd(), None), (np.eye(3) * 2, _spd()))], arrays=("a", "b", "x", "m"))  # fmt: skip
_row(
    "least_squares",
    "(a, b, x, options)",
    lambda: [call(_csr(), arr(3), np.zeros(4), {"damp": 0.5})],
    arrays=("a", "b", "x"),
)
_row("eigsh", "(a, u, options)", lambda: [call(a, pos(3), {"k": 1, "which": "LA", "ncv": 3, "maxiter": 30, "tol": 1e-9})
     for a in (_spd(), np.eye(3) * 2 + 1)], arrays=("a", "u"))  # fmt: skip

op(
    PREFIX + "flags",
    "(a)",
    host=True,
    arrays=("a",),
    note="reply: (indices sorted, and without duplicates) of a compressed matrix",
)
op(PREFIX + "bounds", "(arrays, ends=None)", host=True, arrays=("arrays", "ends"),
   note="reply: minimum and maximum of each array (0, -1 of an empty one), then the first and the last element of `ends`")  # fmt: skip
op(
    PREFIX + "dia_stored",
    "(a)",
    host=True,
    arrays=("a",),
    note="reply: stored elements of a dia matrix that lie inside its shape",
)
