"""Rows: what belongs to no family, and functions that call the program's own functions (on the client)."""

from __future__ import annotations

from cupool.contract.ops._row import CLIENT, op
from cupool.contract.ops._sample_arrays import arr, call, fails, mask
from cupool.contract.ops.rules import misc as rules

op("real", "(val)", rules.real, view_of="val", arrays=("val",), repeat="exact",
   samples=lambda: [call(arr(3)), call(arr(2, 3, dtype="c8"))])  # fmt: skip
op("imag", "(val)", rules.imag, view_of="val", arrays=("val",), repeat="exact",
   samples=lambda: [call(arr(3)), call(arr(2, 3, dtype="c8"))])  # fmt: skip
op("piecewise", "(x, condlist, funclist)", rules.piecewise, arrays=("x", "condlist", "funclist"), repeat="exact",
   samples=lambda: [call(arr(4), [mask(4), ~mask(4)], [1.0, 2.0]), call(arr(4), [mask(4)], [1, -1]), call(arr(4),
              [mask(4)], [arr(), 5])],
   errors=lambda: [fails(ValueError, arr(4), [mask(4)], [1, 2, 3]), fails(NotImplementedError, arr(4), [mask(4)],
              [len])])  # fmt: skip
for _name, _sig in {
    "mask_indices": "(n, mask_func, k=0)",
    "apply_along_axis": "(func1d, axis, arr, *args, **kwargs)",
    "apply_over_axes": "(func, a, axes)",
    "get_array_module": "(*args)",
    "asnumpy": "(a, stream=None, order='C', out=None, *, blocking=True)",
    "who": "(vardict=None)",
    "show_config": "(*, _full=False)",
    "is_available": "()",
    "memoize": "(for_each_device=False)",
    "clear_memo": "()",
}.items():
    op(_name, _sig, CLIENT)
