"""Rows: questions about dtypes, shapes and memory, which the client answers alone (`shim/local.py`). Dtype classes, constants and
the functions that are NumPy's own (`finfo`, `issubdtype`, …) are NumPy's objects in the namespace and need no row."""

from __future__ import annotations

from cupool.contract.ops._row import CLIENT, op

for _name, _sig in {
    "result_type": "(*arrays_and_dtypes)",
    "can_cast": "(from_, to, casting='safe')",
    "common_type": "(*arrays)",
    "min_scalar_type": "(a)",
    "broadcast_shapes": "(*args)",
    "isscalar": "(element)",
    "iscomplexobj": "(x)",
    "isrealobj": "(x)",
    "isfortran": "(a)",
    "may_share_memory": "(a, b, max_work=None)",
    "shares_memory": "(a, b, max_work=None)",
    "byte_bounds": "(a)",
    "ndim": "(a)",
    "shape": "(a)",
    "size": "(a, axis=None)",
    "issubclass_": "(arg1, arg2)",
    "obj2sctype": "(rep, default=None)",
    "issubsctype": "(arg1, arg2)",
    "sctype2char": "(sctype)",
    "issctype": "(rep)",
    **dict.fromkeys(
        ("find_common_type", "set_string_function", "get_array_wrap", "disp", "safe_eval"), "(*args, **kwds)"
    ),
}.items():
    op(_name, _sig, CLIENT)
