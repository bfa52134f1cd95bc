"""Rows: comparison of whole arrays, tests of elements."""

from __future__ import annotations

from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import arr, call, fails
from cupool.contract.ops.rules import creation, sorting

op("isclose", "(a, b, rtol=1e-05, atol=1e-08, equal_nan=False)", sorting.isclose, arrays=("a", "b"),
   varying=("rtol", "atol"),
   samples=lambda: [call(arr(2, 3, dtype=d), arr(3, dtype=d)) for d in "?bBilLefdFD"] + [call(arr(3), 1.0),
                    call(arr(3), arr(3), rtol=0.1)],
   errors=lambda: [fails(ValueError, arr(2), arr(3))])  # fmt: skip
op("allclose", "(a, b, rtol=1e-05, atol=1e-08, equal_nan=False)", sorting.allclose, arrays=("a", "b"),
   varying=("rtol", "atol"),
   samples=lambda: [call(arr(2, 3), arr(3)), call(arr(3, dtype="D"), arr(3)), call(arr(3), 0)],
   errors=lambda: [fails(ValueError, arr(2), arr(3))])  # fmt: skip
op("array_equal", "(a1, a2, equal_nan=False)", sorting.array_equal, arrays=("a1", "a2"),
   samples=lambda: [call(arr(3), arr(3)), call(arr(3), arr(2)), call(arr(3, dtype="i4"), arr(3)),
                    call(arr(3), arr(3), equal_nan=True)])  # fmt: skip
op("array_equiv", "(a1, a2)", sorting.array_equiv, arrays=("a1", "a2"),
   samples=lambda: [call(arr(3), arr(2, 3)), call(arr(3), arr(2))])  # fmt: skip
for _name in ("isneginf", "isposinf"):
    op(_name, "(x, out=None)", sorting.signed_infinity, writes=("out",), samples=lambda: [call(arr(3)),
                    call(arr(3, dtype="i4"))],
       errors=lambda: [fails(TypeError, arr(3, dtype="D"))])  # fmt: skip
for _name in ("iscomplex", "isreal"):
    op(_name, "(x)", creation.is_complex, samples=lambda: [call(arr(3, dtype="D")), call(arr(2, 2))])
op("packbits", "(a, axis=None, bitorder='big')", sorting.packbits, repeat="exact",
   samples=lambda: [call(arr(2, 5) > 3), call(arr(9, dtype="u1"), bitorder="little"), call(arr(0, dtype="i4"))],
   errors=lambda: [fails(TypeError, arr(3)), fails(NotImplementedError, arr(3, dtype="u1"), axis=0),
                   fails(ValueError, arr(3, dtype="u1"), bitorder="x")])  # fmt: skip
op("unpackbits", "(a, axis=None, bitorder='big')", sorting.unpackbits, repeat="exact",
   samples=lambda: [call(arr(2, 2, dtype="u1")), call(arr(3, dtype="u1"), bitorder="little")],
   errors=lambda: [fails(TypeError, arr(3))])  # fmt: skip
