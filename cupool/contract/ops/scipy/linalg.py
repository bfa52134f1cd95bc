"""Rows: `cupyx.scipy.linalg`, `cupyx.linalg`, `cupyx.lapack`."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops._row import CLIENT, op
from cupool.contract.ops._sample_arrays import arr, call, fails, pos, spd
from cupool.contract.ops.scipy import _rules_linalg as rules

LinAlgError = np.linalg.LinAlgError
_PREFIX = "cupyx.scipy.linalg."
_NO_WARNING = "does not warn of a zero on the diagonal: that would wait for the result"


def _general(m: int, n: int, dtype: Any = "f8") -> Any:
    """A matrix whose columns are independent."""
    a = np.sin(np.arange(m * n).reshape(m, n) ** 1.3 + 1)
    return (a + 1j * np.cos(a * 3) if np.dtype(dtype).kind == "c" else a).astype(dtype)


def _low(n: int, dtype: Any = "f8") -> Any:
    return np.linalg.cholesky(spd(n, dtype))


# -- decompositions -------------------------------------------------------------------------------------------------------------------
op(
    _PREFIX + "lu_factor", "(a, overwrite_a=False, check_finite=True)", rules.lu_factor, note=_NO_WARNING,
    samples=lambda: [call(_general(4, 4)), call(_general(3, 5, "f4")), call(_general(5, 3, "c8")), call(_general(3, 3, "c16"))],
    errors=lambda: [fails(NotImplementedError, arr(3, 3, dtype="i4")), fails(LinAlgError, pos(3))],
)  # fmt: skip
op(
    _PREFIX + "lu", "(a, permute_l=False, overwrite_a=False, check_finite=True)", rules.lu, note=_NO_WARNING,
    samples=lambda: [call(_general(4, 4)), call(_general(3, 5, "f4"), permute_l=True), call(_general(5, 3, "c8"))],
    errors=lambda: [fails(NotImplementedError, arr(3, 3, dtype="i4")), fails(LinAlgError, pos(3))],
)  # fmt: skip
op(
    _PREFIX + "lu_solve", "(lu_and_piv, b, trans=0, overwrite_b=False, check_finite=True)", rules.lu_solve, arrays=("lu_and_piv", "b"),
    samples=lambda: [
        call((_general(3, 3), np.array([2, 1, 2], "i4")), pos(3)),
        call((_general(3, 3, "c8"), np.array([0, 2, 2], "i4")), pos(3, 2), trans=2),
        call((_general(3, 3, "f4"), np.array([0, 1, 2], "i4")), pos(3, 2, dtype="f4"), trans=1),
    ],
    errors=lambda: [
        fails(ValueError, (pos(3, 3), np.array([0, 1, 2], "i4")), pos(4)),
        fails(ValueError, (pos(3, 3), np.array([0, 1, 2], "i4")), pos(3), trans=3),
    ],
)  # fmt: skip
op(
    _PREFIX + "solve_triangular",
    "(a, b, trans=0, lower=False, unit_diagonal=False, overwrite_b=False, check_finite=False)", rules.solve_triangular,
    arrays=("a", "b"),
    samples=lambda: [
        call(spd(3), pos(3)), call(spd(3, "f4"), pos(3, 2, dtype="f4"), lower=True), call(spd(3, "c16"), pos(3, 2), trans="C"),
        call(spd(3), pos(3), trans=1, unit_diagonal=True), call(spd(3, batch=(2,)), pos(2, 3)), call(spd(3, batch=(2,)), pos(2, 3, 4), "T"),
        call(arr(2, 2, dtype="i4") + 1, pos(2), lower=True),
    ],
    errors=lambda: [
        fails(ValueError, pos(3, 2), pos(3)), fails(ValueError, pos(3, 3), pos(2)), fails(ValueError, pos(2, 3, 3), pos(3, 3)),
        fails(LinAlgError, pos(3, 3), np.float64(1)),
    ],
)  # fmt: skip
op(
    _PREFIX + "expm", "(a)", rules.expm,
    samples=lambda: [
        call(pos(3, 3)), call(pos(2, 2, dtype="f4")), call(arr(3, 3, dtype="i4")), call(pos(2, 2, dtype="c16")), call(arr(0, 0)),
    ],
    errors=lambda: [fails(LinAlgError, pos(2, 3)), fails(TypeError, pos(2, 2, dtype="f2"))],
)  # fmt: skip
op(
    _PREFIX + "khatri_rao", "(a, b)", rules.khatri_rao, arrays=("a", "b"),
    samples=lambda: [call(pos(2, 3), pos(4, 3)), call(arr(2, 3, dtype="i4"), arr(1, 3, dtype="f4"))],
    errors=lambda: [fails(ValueError, pos(2, 3), pos(2, 2)), fails(LinAlgError, pos(3), pos(2, 3))],
)  # fmt: skip
op(
    _PREFIX + "bandwidth", "(a)", None, host=True,
    samples=lambda: [call(np.triu(pos(3, 4), -1)), call(np.asfortranarray(np.tril(pos(4, 4)))), call(np.zeros((0, 3)))],
)  # fmt: skip

# -- matrices of a form -----------------------------------------------------------------------------------------------------------------
for _name in ("toeplitz", "hankel"):
    op(
        _PREFIX + _name, "(c, r=None)", rules.toeplitz, arrays=("c", "r"),
        samples=lambda: [
            call(pos(4)), call(pos(3), arr(5, dtype="f4")), call(arr(2, 2, dtype="c8")), call(arr(3, dtype="i4"), arr(1, dtype="i2")),
        ],
        errors=lambda: [fails(TypeError, [1, 2])],
    )  # fmt: skip
op(_PREFIX + "circulant", "(c)", rules.circulant, samples=lambda: [call(pos(4)), call(arr(3, dtype="i4"))],
   errors=lambda: [fails(TypeError, [1, 2])])  # fmt: skip
op(_PREFIX + "hadamard", "(n, dtype=int)", rules.hadamard, samples=lambda: [call(4), call(1), call(8, dtype=np.float32)],
   errors=lambda: [fails(ValueError, 3), fails(ValueError, 0)])  # fmt: skip
op(
    _PREFIX + "leslie", "(f, s)", rules.leslie, arrays=("f", "s"),
    samples=lambda: [
        call(pos(4), pos(3)), call(arr(3, dtype="i4"), pos(2, dtype="f4")),
    ],
    errors=lambda: [fails(ValueError, pos(4), pos(4)), fails(ValueError, pos(1), pos(0)), fails(ValueError, pos(2, 2), pos(3))],
)  # fmt: skip
op(
    _PREFIX + "block_diag", "(*arrs)", rules.block_diag, arrays=("arrs",),
    samples=lambda: [call(), call(pos(2, 3)), call(pos(2, 3), arr(2, dtype="f4"), pos(1, 1)), call(arr(2, 2, dtype="i4"), pos(0, 3))],
    errors=lambda: [fails(ValueError, pos(2, 2, 2))],
)  # fmt: skip
op(_PREFIX + "companion", "(a)", rules.companion, samples=lambda: [call(pos(4)), call(arr(3, dtype="i4") + 1), call(pos(2, dtype="f4"))],
   errors=lambda: [fails(ValueError, pos(1)), fails(ValueError, pos(2, 2))])  # fmt: skip
op(_PREFIX + "helmert", "(n, full=False)", rules.helmert, samples=lambda: [call(4), call(3, full=True)],
   errors=lambda: [fails(TypeError, 2.5)])  # fmt: skip
op(
    _PREFIX + "hilbert",
    "(n)",
    rules.hilbert,
    samples=lambda: [call(4), call(1)],
    errors=lambda: [fails(TypeError, 2.5)],
)
op(_PREFIX + "dft", "(n, scale=None)", rules.dft, samples=lambda: [call(4), call(3, scale="n"), call(5, scale="sqrtn")],
   errors=lambda: [fails(ValueError, 3, scale="x")])  # fmt: skip
op(_PREFIX + "fiedler", "(a)", rules.fiedler, samples=lambda: [call(pos(4)), call(arr(3, dtype="i4")), call(pos(1)), call(arr(0))],
   errors=lambda: [fails(ValueError, pos(2, 2))])  # fmt: skip
op(
    _PREFIX + "fiedler_companion", "(a)", rules.fiedler_companion,
    samples=lambda: [call(pos(6)), call(arr(4, dtype="i4") + 1), call(pos(2)), call(pos(1)), call(pos(5, dtype="f4"))],
    errors=lambda: [fails(ValueError, pos(2, 2))],
)  # fmt: skip
op(
    _PREFIX + "convolution_matrix", "(a, n, mode='full')", rules.convolution_matrix,
    samples=lambda: [
        call(pos(4), 3), call(pos(3), 5, mode="same"), call(pos(3), 5, mode="valid"), call(arr(5, dtype="i4"), 2, mode="same"),
    ],
    errors=lambda: [fails(ValueError, pos(3), 0), fails(ValueError, pos(0), 3), fails(ValueError, pos(3), 3, mode="x")],
)  # fmt: skip
op(_PREFIX + "kron", "(a, b)", CLIENT)

# -- cupyx.linalg -----------------------------------------------------------------------------------------------------------------------
op("cupyx.linalg.invh", "(a)", rules.invh, samples=lambda: [call(spd(3)), call(spd(2, "f4")), call(spd(3, "c16"))],
   errors=lambda: [fails(LinAlgError, pos(2, 3)), fails(LinAlgError, pos(3))])  # fmt: skip
op(
    "cupyx.linalg.cho_solve", "(c_and_lower, b, overwrite_b=False, check_finite=True)", rules.cho_solve, arrays=("c_and_lower", "b"),
    samples=lambda: [call((_low(3), True), pos(3)), call((_low(3, "f4").T, False), pos(3, 2, dtype="f4"))],
    errors=lambda: [fails(AssertionError, (_low(3), True), pos(4))],
)  # fmt: skip

# -- cupyx.lapack -----------------------------------------------------------------------------------------------------------------------
op(
    "cupyx.lapack.gesv", "(a, b)", rules.gesv, arrays=("a", "b"), writes=("a", "b"),
    samples=lambda: [call(spd(3), pos(3)), call(np.asfortranarray(spd(3, "c8")), np.asfortranarray(pos(3, 2, dtype="c8")))],
    errors=lambda: [
        fails(ValueError, pos(3), pos(3)), fails(ValueError, pos(3, 2), pos(3)), fails(TypeError, arr(3, 3, dtype="i4"), pos(3)),
        fails(ValueError, pos(3, 3), pos(3, 2)),
    ],
)  # fmt: skip
op(
    "cupyx.lapack.gels", "(a, b)", rules.gels, arrays=("a", "b"),
    samples=lambda: [
        call(_general(4, 3), pos(4)), call(_general(3, 4, "c8"), pos(3, 2, dtype="c8")), call(spd(3, "f4"), pos(3, 1, dtype="f4")),
    ],
    errors=lambda: [fails(ValueError, pos(3, 3), pos(4)), fails(ValueError, pos(3, 3), pos(3, dtype="f4"))],
)  # fmt: skip
op(
    "cupyx.lapack.posv", "(a, b)", rules.posv, arrays=("a", "b"),
    samples=lambda: [call(spd(3), pos(3)), call(spd(3, "f4"), pos(3, 2, dtype="f4")), call(spd(2, "c16", (2,)), pos(2, 2, 3)),
                     call(spd(2, batch=(2,)), pos(2, 2))],
    errors=lambda: [fails(LinAlgError, pos(3, 2), pos(3)), fails(ValueError, pos(3, 3), pos(4))],
)  # fmt: skip
op(
    "cupyx.lapack.potrs", "(L, b, lower)", rules.potrs, arrays=("L", "b"),
    samples=lambda: [call(_low(3), pos(3), True), call(_low(3, "c16").T.conj(), pos(3, 2), False),
                     call(np.linalg.cholesky(spd(2, batch=(3,))), pos(3, 2), True)],
    errors=lambda: [fails(AssertionError, pos(3, 3), pos(4), True)],
)  # fmt: skip
