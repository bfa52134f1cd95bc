"""Rows: fancy indexing and assignment, take and put, index generation.

Basic reads (`a[1:3]`, `a[0]`, `a[None]`) are views and have no row of their own: the client makes "@view".
"""

from __future__ import annotations

import numpy as np

from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import arr, call, fails, idx, mask
from cupool.contract.ops.rules import indexing as rules
from cupool.contract.ops.rules.manipulation import viewed

AxisError = np.exceptions.AxisError

op("ndarray.__getitem__", "(a, key)", rules.getitem, arrays=("a", "key"), repeat="exact",
   note="fancy and boolean keys; integer-array indices out of range wrap, as on CUDA",
   samples=lambda: [
       call(arr(5), idx(0, -1, 7)), call(arr(3, 4), (idx(0, 2), idx(1, 1))), call(arr(3, 4), (slice(None), idx(3, 0))),
       call(arr(3, 4, 5), (idx(0, 1), slice(None), idx(1, 2))), call(arr(3, 4, 5), (0, slice(None), idx(1, 2))),
       call(arr(3, 4), (None, idx(1, 2), Ellipsis)), call(arr(3, 4), ([0, 2],)), call(arr(3, 4), (idx(0, 1).reshape(2, 1),
       idx(0, 2))),
       call(arr(5), mask(5)), call(arr(3, 4), mask(3, 4)), call(arr(3, 4), (slice(1, None), mask(4))), call(arr(4), ([],)),
       call(arr(2, 3, 4), (Ellipsis, idx(5, -6))), call(arr(3, 3, 3), (slice(None), idx(0, 2), Ellipsis, idx(1, 1))),
   ],
   errors=lambda: [fails(IndexError, arr(3), (idx(0), 0)), fails(IndexError, arr(3, 4), (5, idx(0))),
                   fails(IndexError, arr(3), mask(4)), fails(IndexError, arr(3), arr(2)), fails(IndexError, arr(3), 1.5),
                   fails(IndexError, arr(3), (Ellipsis, Ellipsis, idx(0))), fails(IndexError, arr(0, 2), (idx(0),)),
                   fails(ValueError, arr(3, 3), (idx(0, 1), idx(0, 1, 2)))])  # fmt: skip
op("ndarray.__setitem__", "(a, key, value)", rules.setitem, writes=("a",), arrays=("a", "key", "value"), varying=("value",),
   repeat="exact", note="with duplicate indices the winner is undefined, as in CuPy",
   samples=lambda: [
       call(arr(5), slice(1, 3), 7.0), call(arr(3, 4), (slice(None), 1), arr(3)), call(arr(5), idx(0, 9), 1),
       call(arr(3, 4), (idx(0, 2), idx(1, 1)), arr(2)), call(arr(5), mask(5), 0), call(arr(3, 4), Ellipsis, arr(1, 1, 4)),
       call(arr(3, 4), mask(3, 4), 2.5), call(arr(4), idx(1, 2), [5.0, 6.0]), call(arr(3, 4), (slice(None), idx(0, 1)),
       arr(3, 1)),
   ],
   errors=lambda: [fails(ValueError, arr(3), slice(None), arr(2)), fails(IndexError, arr(3), 3, 1.0),
                   fails(ValueError, arr(3), idx(0, 1), arr(3)), fails(IndexError, arr(3), mask(2), 1)])  # fmt: skip
op("ndarray.fill", "(a, value)", rules.fill, writes=("a",), arrays=("a", "value"), varying=("value",), repeat="exact",
   samples=lambda: [call(arr(2, 3), 5), call(arr(2), arr())], errors=lambda: [fails(ValueError, arr(2),
              arr(2))])  # fmt: skip
for _name in ("add", "max", "min"):
    op(f"cupyx.scatter_{_name}", "(a, slices, value)", rules.scatter, writes=("a",), arrays=("a", "slices", "value"),
       varying=("value",),
       samples=lambda: [call(arr(5), idx(0, 0, 7), 1), call(arr(3, 4), (idx(0, 0), slice(None)), arr(2, 4)), call(arr(4),
                  mask(4), 1.0),
                        call(arr(4), slice(0, 2), 1.0)],
       errors=lambda: [fails(IndexError, arr(3), 5, 1)])  # fmt: skip
op("ufunc.at", "(ufunc, a, indices, b=None)", rules.ufunc_at, writes=("a",), arrays=("a", "indices", "b"), varying=("b",),
   note="ufunc is the ufunc's name",
   samples=lambda: [call("add", arr(4), idx(0, 0, 1), b=1.0), call("maximum", arr(4), idx(0, 0, 1), b=arr(3)),
                    call("bitwise_or", arr(4, dtype="i4"), idx(1, 1), b=8), call("subtract", arr(4), idx(2), b=1.0)],
   errors=lambda: [fails(NotImplementedError, "multiply", arr(4), idx(0), b=1)])  # fmt: skip
op("ufunc.reduceat", "(ufunc, array, indices, axis=0, dtype=None, out=None)", rules.ufunc_reduceat, writes=("out",),
   arrays=("array", "indices", "out"), note="ufunc is the ufunc's name",
   samples=lambda: [call("add", arr(6), idx(0, 2, 4)), call("add", arr(2, 6, dtype="i4"), idx(0, 3), axis=1)],
   errors=lambda: [fails(NotImplementedError, "multiply", arr(6), idx(0))])  # fmt: skip
# -- take and put -------------------------------------------------------------------------------------------------------------
op("take", "(a, indices, axis=None, out=None)", rules.take, writes=("out",), arrays=("a", "indices", "out"),
   varying=("indices",),
   repeat="exact", note="indices out of range wrap, as in CuPy",
   samples=lambda: [call(arr(5), idx(0, -1, 7)), call(arr(3, 4), idx(1, 2), axis=1), call(arr(3, 4), 5), call(arr(3, 4),
              [0, 1], axis=0),
                    call(arr(3), idx(0, 1), out=arr(2)), call(arr(3, 4), 1, axis=0)],
   errors=lambda: [fails(AxisError, arr(3), idx(0), axis=1), fails(TypeError, arr(3), idx(0), out=arr(1, dtype="f4")),
                   fails(ValueError, arr(3), idx(0), out=arr(2)), fails(IndexError, arr(0), idx(0))])  # fmt: skip
op("take_along_axis", "(a, indices, axis)", rules.take_along_axis, arrays=("a", "indices"), repeat="exact",
   samples=lambda: [call(arr(3, 4), idx(0, 1, 2).reshape(3, 1), 1), call(arr(4), idx(1, 2), None)],
   errors=lambda: [fails(IndexError, arr(3), arr(3), 0), fails(ValueError, arr(3, 4), idx(0), 0)])  # fmt: skip
op("put_along_axis", "(arr, indices, values, axis)", rules.put_along_axis, writes=("arr",), arrays=("arr", "indices",
   "values"),
   varying=("values",), repeat="exact", samples=lambda: [call(arr(3, 4), idx(0, 1, 2).reshape(3, 1), 9.0, 1)],
   errors=lambda: [fails(ValueError, arr(3, 4), idx(0), 1.0, 0)])  # fmt: skip
op("put", "(a, ind, v, mode='wrap')", rules.put, writes=("a",), arrays=("a", "ind", "v"), varying=("ind", "v"),
   repeat="exact",
   samples=lambda: [call(arr(5), idx(0, 7), 9.0), call(arr(2, 3), [1, 2], arr(2)), call(arr(5), idx(9), 1.0, mode="clip"),
                    call(arr(5), idx(1), 1.0, mode="raise")],
   errors=lambda: [fails(ValueError, arr(3), idx(0), 1, mode="nope")])  # fmt: skip
op("place", "(arr, mask, vals)", rules.place, writes=("arr",), arrays=("arr", "mask", "vals"), repeat="exact",
   samples=lambda: [call(arr(4), mask(4), arr(1)), call(arr(2, 2), mask(2, 2), [7.0, 8.0])],
   errors=lambda: [fails(ValueError, arr(4), mask(3), arr(1))])  # fmt: skip
op("putmask", "(a, mask, values)", rules.putmask, writes=("a",), arrays=("a", "mask", "values"), varying=("values",),
   repeat="exact",
   samples=lambda: [call(arr(4), mask(4), 5.0), call(arr(4), mask(4), arr(4)), call(arr(4), mask(4), arr(3))],
   errors=lambda: [fails(ValueError, arr(4), mask(3), 1.0), fails(TypeError, arr(4, dtype="i4"), mask(4), arr(4)),
                   fails(TypeError, arr(4), [True] * 4, 1.0)])  # fmt: skip
op("choose", "(a, choices, out=None, mode='raise')", rules.choose, writes=("out",), arrays=("a", "choices", "out"),
   repeat="exact",
   samples=lambda: [call(idx(0, 1, 1), arr(2, 3)), call(idx(0, 5), arr(3, 2), mode="wrap"), call(idx(0, 9), arr(3, 1),
              mode="clip"),
                    call(idx(0, 1).reshape(2, 1), arr(2, 1, 3))],
   errors=lambda: [fails(ValueError, idx(0), arr(2, 1), mode="nope")])  # fmt: skip
op("compress", "(condition, a, axis=None, out=None)", rules.compress, writes=("out",), arrays=("condition", "a", "out"),
   repeat="exact",
   samples=lambda: [call(mask(5), arr(5)), call(mask(3), arr(3, 4), axis=0), call([True, False, True], arr(4, 3), axis=1)],
   errors=lambda: [fails(ValueError, True, arr(3)), fails(AxisError, mask(3), arr(3), axis=1)])  # fmt: skip
op("extract", "(condition, a)", rules.extract, arrays=("condition", "a"), repeat="exact",
   samples=lambda: [call(mask(2, 3), arr(2, 3))], errors=lambda: [fails(TypeError, mask(2), [1, 2])])  # fmt: skip
op("select", "(condlist, choicelist, default=0)", rules.select, arrays=("condlist", "choicelist"), varying=("default",),
   repeat="exact",
   samples=lambda: [call([mask(4), ~mask(4)], [arr(4), -arr(4)]), call([mask(4)], [arr(4, dtype="i4")], default=9),
                    call([mask(4)], [arr(2, 1)])],
   errors=lambda: [fails(ValueError, [mask(4)], []), fails(ValueError, [], []), fails(ValueError, [arr(4)], [arr(4)]),
                   fails(TypeError, [mask(4)], [1.0])])  # fmt: skip
op("diagonal", "(a, offset=0, axis1=0, axis2=1)", viewed("diagonal"), view_of="a", repeat="exact",
   samples=lambda: [call(arr(3, 4)), call(arr(3, 4), offset=-1), call(arr(2, 3, 4), axis1=0, axis2=2), call(arr(2, 2),
              offset=5)],
   errors=lambda: [fails(ValueError, arr(3)), fails(AxisError, arr(3, 3), axis1=2)])  # fmt: skip
op("fill_diagonal", "(a, val, wrap=False)", rules.fill_diagonal, writes=("a",), arrays=("a", "val"), varying=("val",),
   repeat="exact",
   samples=lambda: [call(arr(3, 3), 5.0), call(arr(5, 2), 1.0, wrap=True), call(arr(2, 2, 2), 3.0), call(arr(3, 3),
              arr(2))],
   errors=lambda: [fails(ValueError, arr(3), 1.0), fails(ValueError, arr(2, 3, 2), 1.0)])  # fmt: skip
# -- index generation ------------------------------------------------------------------------------------------------------------
op("indices", "(dimensions, dtype=int)", rules.indices, repeat="exact",
   samples=lambda: [call((2, 3)), call((4,), dtype="f4"), call(())], errors=lambda: [fails(ValueError, (-1,))])  # fmt: skip
op("ix_", "(*args)", rules.ix_, arrays=("args",), view_of="args", repeat="exact",
   samples=lambda: [call(idx(0, 1), idx(2, 3, 4)), call([0, 1], idx(1)), call(mask(4), idx(0))],
   errors=lambda: [fails(ValueError, arr(2, 2))])  # fmt: skip
op("diag_indices", "(n, ndim=2)", rules.diag_indices, repeat="exact", samples=lambda: [call(3), call(2, ndim=3)])
op("diag_indices_from", "(arr)", rules.diag_indices_from, repeat="exact", samples=lambda: [call(arr(3, 3))],
   errors=lambda: [fails(ValueError, arr(2, 3)), fails(ValueError, arr(2)), fails(TypeError, [1])])  # fmt: skip
op("tril_indices", "(n, k=0, m=None)", rules.tri_indices(True), repeat="exact",
   samples=lambda: [call(4), call(4, k=-1), call(3, k=1, m=5), call(0)])  # fmt: skip
op("triu_indices", "(n, k=0, m=None)", rules.tri_indices(False), repeat="exact",
   samples=lambda: [call(4), call(4, k=-1), call(3, k=1, m=5), call(0)])  # fmt: skip
op("tril_indices_from", "(arr, k=0)", rules.tri_indices_from(True), repeat="exact", samples=lambda: [call(arr(3, 4), k=1)],
   errors=lambda: [fails(ValueError, arr(3))])  # fmt: skip
op("triu_indices_from", "(arr, k=0)", rules.tri_indices_from(False), repeat="exact", samples=lambda: [call(arr(3, 4), k=1)],
   errors=lambda: [fails(ValueError, arr(3))])  # fmt: skip
op("ravel_multi_index", "(multi_index, dims, mode='wrap', order='C')", rules.ravel_multi_index, arrays=("multi_index",),
   repeat="exact",
   samples=lambda: [call((idx(0, 1), idx(2, 3)), (3, 4)), call((idx(0, 9), idx(2, 3)), (3, 4), mode="clip", order="F")],
   errors=lambda: [fails(ValueError, (idx(0),), (3, 4)), fails(TypeError, (arr(1), arr(1)), (3, 4)),
                   fails(ValueError, (idx(0), idx(0)), (3, 4), mode="nope"), fails(TypeError, ([0], [0]), (3,
                   4))])  # fmt: skip
op("unravel_index", "(indices, dims, order='C')", rules.unravel_index, arrays=("indices",), repeat="exact",
   samples=lambda: [call(idx(0, 7, 11), (3, 4)), call(idx(0, 7, dtype="i4"), (3, 4), order="F")],
   errors=lambda: [fails(TypeError, arr(2), (3, 4)), fails(ValueError, idx(0), (3, 4), order="K")])  # fmt: skip
