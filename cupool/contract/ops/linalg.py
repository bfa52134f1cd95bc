"""Rows: products and `cupy.linalg`."""

from __future__ import annotations

import numpy as np

from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import arr, call, fails, pos, spd
from cupool.contract.ops.rules import linalg as rules
from cupool.contract.ops.rules.einsum import einsum
from cupool.contract.ops.rules.manipulation import viewed

AxisError = np.exceptions.AxisError
LinAlgError = np.linalg.LinAlgError

# -- products --------------------------------------------------------------------------------------------------------------------
_MATMUL = "(x1, x2, /, out=None, *, axes=None, axis=None, keepdims=False, casting='same_kind', dtype=None, signature=None, order='K')"
for _name in ("matmul", "linalg.matmul"):
    op(_name, _MATMUL, rules.matmul, writes=("out",), arrays=("x1", "x2", "out"), server="matmul",
       samples=lambda: [call(arr(2, 3), arr(3, 4)), call(arr(3), arr(3)), call(arr(5, 2, 3), arr(3, 2)), call(arr(3),
                  arr(2, 3, 4)),
                        call(arr(2, 3, dtype="i4"), arr(3, 2, dtype="f4")), call(arr(2, 2), arr(2, 2), out=arr(2, 2)),
                        call(arr(2, 0), arr(0, 3)), call(arr(4, 1, 2, 3), arr(5, 3, 2))],
       errors=lambda: [fails(ValueError, arr(2, 3), arr(2, 3)), fails(ValueError, arr(), arr(3)), fails(TypeError, arr(3),
                  [1, 2, 3]),
                       fails(ValueError, arr(2, 2, 3), arr(3, 3, 2)), fails(ValueError, arr(2, 2), arr(2, 2), out=arr(3,
                       2)),
                       fails(NotImplementedError, arr(2, 2), arr(2, 2), axis=0)])  # fmt: skip
op("dot", "(a, b, out=None)", rules.dot, writes=("out",), arrays=("a", "b", "out"),
   samples=lambda: [call(arr(3), arr(3)), call(arr(2, 3), arr(3, 4)), call(arr(2, 3), arr(3)), call(arr(), arr(3)),
                    call(arr(2, 3, 4), arr(5, 4, 2)), call(arr(2, 3), arr(3, 2), out=arr(2, 2)), call(arr(2, 0), arr(0, 3)),
                    call(arr(3, dtype="f4"), arr(3, dtype="i8"))],
   errors=lambda: [fails(ValueError, arr(3), arr(2)), fails(ValueError, arr(2, 3), arr(2, 3)),
                   fails(ValueError, arr(2, 2), arr(2, 2), out=arr(2, 2, dtype="f4"))])  # fmt: skip
op("vdot", "(a, b)", rules.vdot, arrays=("a", "b"),
   samples=lambda: [call(arr(2, 3), arr(6)), call(arr(3, dtype="c8"), arr(3, dtype="c8"))],
   errors=lambda: [fails(ValueError, arr(3), arr(2))])  # fmt: skip
op("inner", "(a, b)", rules.inner, arrays=("a", "b"),
   samples=lambda: [call(arr(3), arr(3)), call(arr(2, 3), arr(4, 3)), call(arr(), arr(3))],
   errors=lambda: [fails(ValueError, arr(3), arr(2))])  # fmt: skip
op("outer", "(a, b, out=None)", rules.outer, writes=("out",), arrays=("a", "b", "out"),
   samples=lambda: [call(arr(3), arr(2, 2)), call(arr(2), arr(3), out=arr(2, 3))],
   errors=lambda: [fails(ValueError, arr(2), arr(3), out=arr(3, 2))])  # fmt: skip
op("tensordot", "(a, b, axes=2)", rules.tensordot, arrays=("a", "b"),
   samples=lambda: [call(arr(2, 3, 4), arr(3, 4, 5)), call(arr(2, 3), arr(4, 2), axes=(0, 1)), call(arr(2), arr(3), axes=0),
                    call(arr(2, 3, 4), arr(4, 3), axes=([1, 2], [1, 0])), call(arr(), arr(2), axes=0)],
   errors=lambda: [fails(ValueError, arr(2, 3), arr(2, 3), axes=1), fails(ValueError, arr(2), arr(2), axes=([0], [0, 1])),
                   fails(ValueError, arr(), arr(2))])  # fmt: skip
op("einsum", "(*operands, dtype=None, optimize=False)", einsum, arrays=("operands",), view_of="operands",
   note="a single operand whose labels all stay is a view",
   samples=lambda: [call("ij,jk->ik", arr(2, 3), arr(3, 4)), call("ii->i", arr(3, 3)), call("ij->ji", arr(2, 3)),
              call("ii", arr(3, 3)),
                    call("...i,...i", arr(2, 3), arr(2, 3)), call("i,j", arr(2), arr(3)), call("ij->", arr(2, 3)),
                    call("bij,bjk->bik", arr(2, 3, 4), arr(2, 4, 5)), call(arr(2, 3), [0, 1], arr(3, 2), [1, 2], [0, 2]),
                    call("ij,j", arr(2, 3, dtype="i4"), arr(3, dtype="f4")), call("i,i->", arr(3), arr(3), optimize=True),
                    call("...ii->...i", arr(2, 3, 3)), call("i", arr(3)), call("ij,ik,il->jkl", arr(2, 3), arr(2, 2),
                    arr(2, 2))],
   errors=lambda: [fails(ValueError, "ij,jk", arr(2, 3)), fails(ValueError, "ij", arr(3)), fails(ValueError, "ij,jk->ik",
              arr(2, 3), arr(2, 3)),
                   fails(ValueError, "i->j", arr(3)), fails(ValueError, "i$", arr(3)), fails(ValueError, "i->ii", arr(3)),
                   fails(ValueError)])  # fmt: skip
op(
    "kron",
    "(a, b)",
    rules.kron,
    arrays=("a", "b"),
    samples=lambda: [call(arr(2, 3), arr(2, 2)), call(arr(3), arr(2, 2)), call(arr(2), 2.0)],
)
op("cross", "(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None)", rules.cross, arrays=("a", "b"),
   samples=lambda: [call(arr(3), arr(3)), call(arr(4, 3), arr(3)), call(arr(3, 4), arr(3, 4), axis=0), call(arr(4, 3),
              arr(4, 3), axisc=0)],
   errors=lambda: [fails(ValueError, arr(4), arr(3)), fails(AxisError, arr(3), arr(3), axisa=2)])  # fmt: skip
op("linalg.cross", "(x1, x2, /, *, axis=-1)", rules.linalg_cross, arrays=("x1", "x2"),
   samples=lambda: [call(arr(4, 3), arr(4, 3))], errors=lambda: [fails(ValueError, arr(4, 3), arr(3)), fails(ValueError,
              arr(2), arr(2))])  # fmt: skip
op("trace", "(a, offset=0, axis1=0, axis2=1, dtype=None, out=None)", rules.trace, writes=("out",), arrays=("a", "out"),
   samples=lambda: [call(arr(3, 3)), call(arr(2, 3, 4, dtype="i4"), offset=1, axis1=1, axis2=2), call(arr(3, 3),
              dtype="f4"),
                    call(arr(2, 2, dtype="?"))],
   errors=lambda: [fails(ValueError, arr(3)), fails(AxisError, arr(3, 3), axis1=4)])  # fmt: skip
op("linalg.matrix_transpose", "(a)", viewed("linalg.matrix_transpose"), view_of="a", repeat="exact",
   server="matrix_transpose",
   samples=lambda: [call(arr(2, 3))], errors=lambda: [fails(ValueError, arr(2))])  # fmt: skip
# -- decompositions ------------------------------------------------------------------------------------------------------------
op("linalg.cholesky", "(a)", rules.cholesky,
   note="no error for a matrix that is not positive definite, as CuPy by default",
   samples=lambda: [call(spd(3)), call(spd(2, "f4", (4,))), call(arr(0, 0)), call(spd(3).astype("i8"))],
   errors=lambda: [fails(LinAlgError, arr(2, 3)), fails(LinAlgError, arr(3)), fails(TypeError, arr(2, 2,
              dtype="f2"))])  # fmt: skip
op("linalg.qr", "(a, mode='reduced')", rules.qr,
   samples=lambda: [call(pos(4, 3)), call(pos(3, 4), mode="complete"), call(pos(4, 3), mode="r"), call(pos(4, 3),
              mode="raw"),
                    call(pos(2, 4, 3)), call(arr(0, 3)), call(pos(2, 4, 3, dtype="f4"), mode="complete")],
   errors=lambda: [fails(ValueError, arr(2, 2), mode="full"), fails(ValueError, arr(2, 2), mode="x")])  # fmt: skip
op("linalg.svd", "(a, full_matrices=True, compute_uv=True)", rules.svd,
   samples=lambda: [call(pos(4, 3)), call(pos(3, 4), full_matrices=False), call(pos(4, 3), compute_uv=False),
                    call(pos(2, 3, 3, dtype="f4")), call(arr(0, 3)), call(pos(2, 2, dtype="c8"))],
   errors=lambda: [fails(TypeError, arr(2, 2, dtype="f2")), fails(LinAlgError, [[1.0]])])  # fmt: skip
op("linalg.eigh", "(a, UPLO='L')", rules.eigh,
   samples=lambda: [call(spd(3)), call(spd(3, "f4"), UPLO="U"), call(spd(2, batch=(3,))), call(arr(0, 0)), call(spd(2,
              "c16"))],
   errors=lambda: [fails(LinAlgError, arr(2, 3)), fails(ValueError, spd(2), UPLO="X")])  # fmt: skip
op("linalg.eigvalsh", "(a, UPLO='L')", rules.eigvalsh, samples=lambda: [call(spd(3)), call(spd(3, "c8"), UPLO="U")],
   errors=lambda: [fails(LinAlgError, arr(2, 3))])  # fmt: skip
op("linalg.eig", "(a)", rules.eig, samples=lambda: [call(pos(3, 3)), call(pos(2, 2, dtype="f4")), call(arr(0, 0))],
   errors=lambda: [fails(LinAlgError, arr(2, 3))])  # fmt: skip
op(
    "linalg.eigvals",
    "(a)",
    rules.eigvals,
    samples=lambda: [call(pos(3, 3))],
    errors=lambda: [fails(LinAlgError, arr(2, 3))],
)
# -- norms ---------------------------------------------------------------------------------------------------------------------------
op("linalg.norm", "(x, ord=None, axis=None, keepdims=False)", rules.norm,
   samples=lambda: [call(arr(3)), call(arr(2, 3)), call(arr(2, 3), axis=1), call(arr(2, 3), ord=1, axis=0, keepdims=True),
                    call(arr(2, 3, dtype="f4"), ord=np.inf), call(arr(2, 3), ord="nuc"), call(arr(3, dtype="i4")),
                    call(arr(3), ord=3),
                    call(arr(2, 3, dtype="c8")), call(arr(2, 3, 4), axis=(0, 2), keepdims=True), call(arr(3), ord=0),
                    call(arr(3, 3), ord=-2),
                    call(arr(2, 3, 2), keepdims=True)],
   errors=lambda: [fails(ValueError, arr(2, 3, 4), ord=2), fails(ValueError, arr(2, 3), ord=3), fails(AxisError, arr(3),
              axis=1),
                   fails(ValueError, arr(3), ord="fro", axis=0), fails(ValueError, arr(2, 3), axis=(0, 0))])  # fmt: skip
op("linalg.cond", "(x, p=None)", rules.cond, samples=lambda: [call(spd(3)), call(spd(3, "f4"), p=1), call(spd(2,
   batch=(3,)), p=-2)],
   errors=lambda: [fails(LinAlgError, arr(0, 0)), fails(LinAlgError, arr(2, 3), p=1)])  # fmt: skip
op("linalg.det", "(a)", rules.det, samples=lambda: [call(spd(3)), call(spd(2, "f4", (3,))), call(arr(0, 0)),
   call(spd(2).astype("i4"))],
   errors=lambda: [fails(LinAlgError, arr(2, 3)), fails(TypeError, arr(2, 2, dtype="f2"))])  # fmt: skip
op(
    "linalg.slogdet",
    "(a)",
    rules.slogdet,
    samples=lambda: [call(spd(3)), call(spd(2, "c8"))],
    errors=lambda: [fails(LinAlgError, arr(2, 3))],
)
op(
    "linalg.matrix_rank",
    "(M, tol=None)",
    rules.matrix_rank,
    samples=lambda: [call(arr(3, 3)), call(arr(3)), call(pos(2, 3, 4))],
)
op("linalg.matrix_power", "(M, n)", rules.matrix_power,
   samples=lambda: [call(spd(2), 3), call(spd(2), -2), call(arr(2, 2, dtype="i4"), 0), call(arr(2, 2, dtype="i4"), 5),
              call(spd(2), 1)],
   errors=lambda: [fails(LinAlgError, arr(2, 3), 2), fails(TypeError, arr(2, 2), 1.5)])  # fmt: skip
# -- solving --------------------------------------------------------------------------------------------------------------------------
op("linalg.solve", "(a, b)", rules.solve, arrays=("a", "b"), note="no error for a singular matrix, as CuPy by default",
   samples=lambda: [call(spd(3), arr(3)), call(spd(3), arr(3, 2)), call(spd(2, "f4", (3,)), arr(3, 2, 4, dtype="f4")),
                    call(spd(2, batch=(3,)), arr(2)), call(arr(0, 0), arr(0))],
   errors=lambda: [fails(LinAlgError, arr(2, 3), arr(2)), fails(ValueError, spd(3), arr(2)), fails(ValueError, spd(3),
              arr(2, 3)),
                   fails(ValueError, spd(2, batch=(3,)), arr(3, 2))])  # fmt: skip
op("linalg.tensorsolve", "(a, b, axes=None)", rules.tensorsolve, arrays=("a", "b"),
   samples=lambda: [call(spd(6).reshape(2, 3, 6), arr(2, 3))], errors=lambda: [fails(LinAlgError, arr(2, 3, 4), arr(2,
              3))])  # fmt: skip
op("linalg.inv", "(a)", rules.inv, note="no error for a singular matrix, as CuPy by default",
   samples=lambda: [call(spd(3)), call(spd(2, "f4", (3,))), call(arr(0, 0)), call(spd(2, "c8"))],
   errors=lambda: [fails(LinAlgError, arr(2, 3)), fails(LinAlgError, [[1.0]])])  # fmt: skip
op("linalg.tensorinv", "(a, ind=2)", rules.tensorinv, samples=lambda: [call(spd(6).reshape(2, 3, 6)),
   call(spd(4).reshape(4, 2, 2), ind=1)],
   errors=lambda: [fails(ValueError, arr(2, 2), ind=0), fails(LinAlgError, arr(2, 3, 4))])  # fmt: skip
op(
    "linalg.pinv",
    "(a, rcond=1e-15)",
    rules.pinv,
    varying=("rcond",),
    samples=lambda: [call(pos(3, 2)), call(pos(2, 3, 2, dtype="f4")), call(arr(0, 3))],
)
op("linalg.lstsq", "(a, b, rcond=None)", rules.lstsq, arrays=("a", "b"), varying=("rcond",),
   samples=lambda: [call(pos(4, 2), arr(4)), call(pos(2, 4), arr(2, 3)), call(pos(3, 3, dtype="f4"), arr(3, dtype="f4"))],
   errors=lambda: [fails(LinAlgError, arr(3), arr(3)), fails(LinAlgError, arr(3, 2), arr(2))])  # fmt: skip
