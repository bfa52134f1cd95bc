"""Rows: new arrays, ranges, matrices, windows, copies, and functions of one array that keep its shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupool.contract.ops._row import CLIENT, op
from cupool.contract.ops._sample_arrays import arr, call, fails
from cupool.contract.ops.rules import creation as rules

AxisError = np.exceptions.AxisError


def _shapes() -> Any:
    for dtype in "?bBhHiIlLefdFD":
        yield call((2, 3), dtype=dtype)
    yield call(4)
    yield call(())
    yield call((2, 0))
    yield call([2, 3], order="F")
    yield call(np.int64(3), dtype=int)


def _likes() -> Any:
    yield call(arr(2, 3))
    yield call(arr(2, 3, order="F"))
    yield call(arr(2, 3, 4).transpose(1, 2, 0))
    yield call(arr(2, 3, 4).transpose(1, 2, 0), order="C", dtype="i4")
    yield call(arr(2, 3), order="F")
    yield call(arr(2, 3).T, order="A")
    yield call(arr(2, 3), shape=(4,))
    yield call(arr(3)[::-1])


def _bad_shapes() -> Any:
    return [fails(ValueError, (-1,)), fails(TypeError, 2.5), fails(TypeError, None), fails(ValueError, 2, order="X"),
            fails(TypeError, 2, dtype="nonsense"), fails(ValueError, 2, dtype=object),
            fails(TypeError, True)]  # fmt: skip


def _bad_likes() -> Any:
    return [fails(TypeError, arr(2), subok=True), fails(ValueError, arr(2), order="X")]


_NEW = "(shape, dtype=float, order='C')"
_LIKE = "({}, dtype=None, order='K', subok=None, shape=None)"

for _name in ("empty", "zeros", "ones"):
    op(_name, _NEW, rules.created, repeat="exact", samples=_shapes, errors=_bad_shapes, family="creation")
op(
    "empty_like",
    _LIKE.format("prototype"),
    rules.like,
    repeat="exact",
    samples=_likes,
    errors=_bad_likes,
    family="creation",
)
op("zeros_like", _LIKE.format("a"), rules.like, repeat="exact", samples=_likes, errors=_bad_likes, family="creation")
op("ones_like", _LIKE.format("a"), rules.like, repeat="exact", samples=_likes, errors=_bad_likes, family="creation")
op("full", "(shape, fill_value, dtype=None, order='C')", rules.full, repeat="exact", varying=("fill_value",),
   arrays=("fill_value",),
   samples=lambda: [call((2, 3), 1), call(3, 2.5), call((2,), 1 + 2j), call(2, True), call((2, 3), arr(3)),
                    call((2,), np.float32(1)),
                    call((2,), -1, dtype="f4"), call((2,), np.array(3, "i2"))],
   errors=lambda: [fails(ValueError, (2,), arr(3)), fails(ValueError, (-2,), 1)])  # fmt: skip
op("full_like", "(a, fill_value, dtype=None, order='K', subok=None, shape=None)", rules.full_like, repeat="exact",
   arrays=("a", "fill_value"), varying=("fill_value",),
   samples=lambda: [call(arr(2, 3), 1), call(arr(2, 3, order="F"), arr(3)), call(arr(2), 1.5, dtype="i4")],
   errors=lambda: [fails(TypeError, arr(2), 1, subok=True)])  # fmt: skip

# -- ranges ---------------------------------------------------------------------------------------------------------
op("arange", "(start, stop=None, step=1, dtype=None)", rules.arange, repeat="exact",
   samples=lambda: [call(5), call(1, 7, 2), call(5.0), call(0, 1, 0.1), call(3, 0, -1), call(0, -5),
                    call(5, dtype="f4"), call(2, dtype=bool),
                    call(1, 4, dtype="u1"), call(3, dtype="D"), call(np.float32(3)), call(1, 2, 3)],
   errors=lambda: [fails(TypeError, 3, dtype=bool), fails(ZeroDivisionError, 1, 2, 0)])  # fmt: skip
op("linspace", "(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0)", rules.linspace,
   arrays=("start", "stop"),
   varying=("start", "stop"),
   samples=lambda: [call(0, 1), call(0.0, 1.0, 5, endpoint=False), call(0, 10, 4, dtype=int),
                    call(arr(3), 1.0, 4), call(arr(3), arr(3) + 1, 4, axis=1),
                    call(0, 1, 1), call(0, 1, 0), call(arr(2, dtype="f4"), arr(2, dtype="f4"), 3)],
   errors=lambda: [fails(ValueError, 0, 1, -1)])  # fmt: skip
op("logspace", "(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0)", rules.logspace,
   arrays=("start", "stop"),
   varying=("start", "stop", "base"),
   samples=lambda: [call(0, 1, 5), call(0, 3, 4, base=2.0, dtype=int), call(0.0, 1.0, 3, dtype="f4"),
                    call(arr(2), arr(2) + 1, 3)])  # fmt: skip
op("meshgrid", "(*xi, **kwargs)", rules.meshgrid, arrays=("xi",),
   samples=lambda: [call(arr(2), arr(3)), call(arr(2), arr(3), indexing="ij"),
                    call(arr(2), arr(3, dtype="i4"), arr(4), sparse=True), call(arr(3))],
   errors=lambda: [fails(ValueError, arr(2, 2), arr(2)), fails(ValueError, arr(2), arr(2), indexing="x"),
                   fails(TypeError, arr(2), wrong=1)])  # fmt: skip

# -- matrices -------------------------------------------------------------------------------------------------------
op("eye", "(N, M=None, k=0, dtype=float, order='C')", rules.eye, repeat="exact", varying=("k",),
   samples=lambda: [call(3), call(2, 4, k=1), call(3, k=-5, dtype="i4"), call(2, 3, order="F")],
   errors=lambda: [fails(ValueError, -1)])  # fmt: skip
op("identity", "(n, dtype=float)", rules.identity, repeat="exact", samples=lambda: [call(3), call(2, dtype="i4")])
op(
    "tri",
    "(N, M=None, k=0, dtype=float)",
    rules.tri,
    repeat="exact",
    varying=("k",),
    samples=lambda: [call(3), call(2, 4, k=1), call(3, k=-1, dtype="i4")],
)
for _name in ("tril", "triu"):
    op(_name, "(m, k=0)", rules.triangle, varying=("k",),
       samples=lambda: [call(arr(3, 4)), call(arr(2, 3, 3, dtype="i4"), k=1), call(arr(3), k=-1),
                        call(arr(3, 3, order="F"))],
       errors=lambda: [fails(TypeError, arr())])  # fmt: skip
op("diag", "(v, k=0)", rules.diag, samples=lambda: [call(arr(3)), call(arr(3), k=-1), call(arr(3, 4)),
                                                    call(arr(3, 4), k=2), call(arr(3, 4), k=-9)],
   errors=lambda: [fails(ValueError, arr(2, 2, 2))])  # fmt: skip
op("diagflat", "(v, k=0)", rules.diagflat, samples=lambda: [call(arr(2, 2)), call(arr(3, dtype="i4"), k=1)])
op("vander", "(x, N=None, increasing=False)", rules.vander, samples=lambda: [call(arr(3)),
                    call(arr(3, dtype="i4"), 2), call(arr(3, dtype="f4"), increasing=True)],
   errors=lambda: [fails(ValueError, arr(2, 2))])  # fmt: skip
for _name in ("bartlett", "blackman", "hamming", "hanning"):
    op(
        _name,
        "(M)",
        rules.window(_name),
        samples=lambda: [call(5), call(1), call(0), call(8)],
        note="CuPy computes with a float32 step",
    )
op("kaiser", "(M, beta)", rules.kaiser, varying=("beta",), samples=lambda: [call(5, 2.0), call(1, 1.0), call(0, 3.0)])

# -- copies and conversions -----------------------------------------------------------------------------------------
op("copy", "(a, order='K')", rules.copy, repeat="exact",
   samples=lambda: [call(arr(2, 3)), call(arr(2, 3).T), call(arr(2, 3, 4).transpose(1, 0, 2)),
                    call(arr(2, 3), order="F"), call(arr(4)[::-2])],
   errors=lambda: [fails(ValueError, arr(2), order="X")])  # fmt: skip
op("ndarray.copy", "(self, order='C')", rules.method_copy, repeat="exact",
   samples=lambda: [call(arr(2, 3).T), call(arr(2, 3).T, order="K"), call(arr(2, 3).T, order="A")])  # fmt: skip
op("ndarray.astype", "(self, dtype, order='K', casting=None, subok=None, copy=True)", rules.astype, repeat="exact",
   samples=lambda: [call(arr(2, 3, dtype=d), e) for d in "?bBilefdFD" for e in "?BilefdFD" if d not in "FD" or e in "?FD"]
   + [call(arr(2, 3).T, "f4"), call(arr(2, 3), "f4", order="F"), call(arr(2, 3, 4).transpose(1, 0, 2), "i4")],
   errors=lambda: [fails(TypeError, arr(2), "f4", casting="safe"), fails(ValueError, arr(2), object),
                   fails(TypeError, arr(2), "nonsense")])  # fmt: skip
op(
    "astype",
    "(x, dtype, /, *, copy=True)",
    rules.astype_function,
    repeat="exact",
    samples=lambda: [call(arr(2, 3), "i4")],
)
op("ndarray.byteswap", "(self, inplace=False)", rules.byteswap, writes=("self",), repeat="exact",
   samples=lambda: [call(arr(3, dtype="i4")), call(arr(3, dtype="D")), call(arr(2, 2, dtype="u1")),
                    call(arr(3, dtype="i4"), True)])  # fmt: skip
for _name, _sig in (
    ("array", "(obj, dtype=None, copy=True, order='K', subok=False, ndmin=0, *, blocking=False)"),
    ("asarray", "(a, dtype=None, order=None, *, copy=None, blocking=False)"),
    ("asanyarray", "(a, dtype=None, order=None, *, copy=None, blocking=False)"),
    ("asarray_chkfinite", "(a, dtype=None, order=None)"),
    ("asfarray", "(a, dtype=float64)"),
):
    op(_name, _sig, CLIENT, note="the bytes of a host array travel; a device array is copied or returned")

# -- one array in, the same shape out -------------------------------------------------------------------------------
op("clip", "(a, a_min, a_max, out=None)", rules.clip, writes=("out",), arrays=("a", "a_min", "a_max"),
   varying=("a_min", "a_max"),
   samples=lambda: [call(arr(5, dtype=d), 1, 3) for d in "bBhHiIlLefd"]
   + [call(arr(2, 3), None, 2.0), call(arr(2, 3), arr(3), None),
   call(arr(2, 3, dtype="i4"), arr(3, dtype="i4"), arr(2, 1, dtype="i4")),
      call(arr(3), 0.5, 1.5, out=np.zeros(3))],
   errors=lambda: [fails(TypeError, arr(3, dtype="D"), 0, 1), fails(ValueError, arr(3), arr(2), 1)])  # fmt: skip
for _name in ("around", "round", "round_"):
    op(_name, "(a, decimals=0, out=None)", rules.rounded, writes=("out",),
       server=None if _name == "around" else "around",
       samples=lambda: [call(arr(4, dtype=d) * np.dtype(d).type(1)) for d in "?bBilefdFD"]
       + [call(arr(4) / 3, 2), call(arr(4, dtype="i4") * 7, -1)])  # fmt: skip
op("angle", "(z, deg=False)", rules.angle, arrays=("z",),
   samples=lambda: [call(arr(3, dtype=d)) for d in "?efdFD"] + [call(arr(3, dtype="D"), True)],
   note="as CuPy's kernel: integers are angles of float16 to float64, by size")  # fmt: skip
op("nan_to_num", "(x, copy=True, nan=0.0, posinf=None, neginf=None)", rules.nan_to_num, writes=("x",),
   varying=("nan", "posinf", "neginf"),
   samples=lambda: [call(np.array([1, np.nan, np.inf, -np.inf], d)) for d in "efdFD"]
   + [call(arr(3, dtype="i4")), call(arr(2, 3).T, nan=1.0), call(np.array([1, np.nan]), False)])  # fmt: skip
op("unwrap", "(p, discont=None, axis=-1, *, period=6.283185307179586)", rules.unwrap,
   samples=lambda: [call(arr(6) * 2), call(arr(2, 6, dtype="f4"), axis=0), call(arr(6, dtype="i4") * 3, period=4)],
   errors=lambda: [fails(AxisError, arr(3), axis=1)])  # fmt: skip
op("real_if_close", "(a, tol=100)", rules.real_if_close, samples=lambda: [call(arr(3, dtype="D"))])
