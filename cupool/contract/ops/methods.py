"""`cupy.ndarray` as data: which methods share a function's row, and which operators are which ufunc."""

from __future__ import annotations

#: Method -> (row, the method's own signature). The array is the row's first parameter; the others go by name.
METHODS: dict[str, tuple[str, str]] = {
    "all": ("all", "(self, axis=None, out=None, keepdims=False)"),
    "any": ("any", "(self, axis=None, out=None, keepdims=False)"),
    "argmax": ("argmax", "(self, axis=None, out=None, dtype=None, keepdims=False)"),
    "argmin": ("argmin", "(self, axis=None, out=None, dtype=None, keepdims=False)"),
    "argpartition": ("argpartition", "(self, kth, axis=-1)"),
    "argsort": ("argsort", "(self, axis=-1, kind=None)"),
    "clip": ("clip", "(self, min=None, max=None, out=None)"),
    "cumprod": ("cumprod", "(self, axis=None, dtype=None, out=None)"),
    "cumsum": ("cumsum", "(self, axis=None, dtype=None, out=None)"),
    "max": ("max", "(self, axis=None, out=None, keepdims=False)"),
    "mean": ("mean", "(self, axis=None, dtype=None, out=None, keepdims=False)"),
    "min": ("min", "(self, axis=None, out=None, keepdims=False)"),
    "nonzero": ("nonzero", "(self)"),
    "prod": ("prod", "(self, axis=None, dtype=None, out=None, keepdims=False)"),
    "ptp": ("ptp", "(self, axis=None, out=None, keepdims=False)"),
    "round": ("around", "(self, decimals=0, out=None)"),
    "searchsorted": ("searchsorted", "(self, v, side='left', sorter=None)"),
    "std": ("std", "(self, axis=None, dtype=None, out=None, ddof=0, keepdims=False)"),
    "sum": ("sum", "(self, axis=None, dtype=None, out=None, keepdims=False)"),
    "var": ("var", "(self, axis=None, dtype=None, out=None, ddof=0, keepdims=False)"),
    # manipulation, indexing, linear algebra
    "choose": ("choose", "(self, choices, out=None, mode='raise')"),
    "diagonal": ("diagonal", "(self, offset=0, axis1=0, axis2=1)"),
    "dot": ("dot", "(self, b, out=None)"),
    "put": ("put", "(self, indices, values, mode='wrap')"),
    "ravel": ("ravel", "(self, order='C')"),
    "repeat": ("repeat", "(self, repeats, axis=None)"),
    "squeeze": ("squeeze", "(self, axis=None)"),
    "swapaxes": ("swapaxes", "(self, axis1, axis2)"),
    "take": ("take", "(self, indices, axis=None, out=None)"),
    "trace": ("trace", "(self, offset=0, axis1=0, axis2=1, dtype=None, out=None)"),
}

#: Method -> {row's parameter: method's parameter}, where the names differ.
RENAMES: dict[str, dict[str, str]] = {
    "clip": {"a_min": "min", "a_max": "max"},
    "put": {"ind": "indices", "v": "values"},
}

#: Methods whose array is not the row's first parameter, or that need more than a change of names. Hand-written in the shim;
#: method -> (row, what to do).
SPECIAL_METHODS: dict[str, tuple[str, str]] = {
    "compress": ("compress", "(self, condition, axis=None, out=None): the condition is the row's first parameter"),
    "conj": ("conjugate", "(self): the array itself unless complex"),
    "conjugate": ("conjugate", "(self): the array itself unless complex"),
    "reshape": ("reshape", "(self, *shape, order='C', copy=None): one sequence or several integers"),
    "transpose": ("transpose", "(self, *axes): one sequence, None, or several integers"),
}

#: Binary operators -> ufunc. Each has a reflected form (`__radd__`) and, but for those of COMPARISONS, an in-place form (`__iadd__`)
#: that is the ufunc with `out=` its left operand.
OPERATORS: dict[str, str] = {
    "__add__": "add",
    "__and__": "bitwise_and",
    "__divmod__": "divmod",
    "__floordiv__": "floor_divide",
    "__lshift__": "left_shift",
    "__matmul__": "matmul",
    "__mod__": "remainder",
    "__mul__": "multiply",
    "__or__": "bitwise_or",
    "__pow__": "power",
    "__rshift__": "right_shift",
    "__sub__": "subtract",
    "__truediv__": "true_divide",
    "__xor__": "bitwise_xor",
}

#: Comparison -> (ufunc, the reflected ufunc).
COMPARISONS: dict[str, tuple[str, str]] = {
    "__eq__": ("equal", "equal"),
    "__ge__": ("greater_equal", "less_equal"),
    "__gt__": ("greater", "less"),
    "__le__": ("less_equal", "greater_equal"),
    "__lt__": ("less", "greater"),
    "__ne__": ("not_equal", "not_equal"),
}

#: Unary operators -> ufunc. `+a` of a boolean array warns (DeprecationWarning) and copies.
UNARY: dict[str, str] = {"__abs__": "absolute", "__invert__": "invert", "__neg__": "negative", "__pos__": "positive"}

#: In-place forms that there are. `__imatmul__` and `__idivmod__` there are not.
IN_PLACE: dict[str, str] = {
    f"__i{name[2:]}": ufunc for name, ufunc in OPERATORS.items() if name not in ("__divmod__", "__matmul__")
}


#: The other members: attributes, conversions, protocols, and methods that are written by hand in the shim.
MEMBERS: frozenset[str] = frozenset({
    "T", "__array__", "__array_function__", "__array_priority__", "__array_ufunc__", "__bool__", "__bytes__",
    "__class_getitem__", "__complex__", "__copy__", "__cuda_array_interface__", "__deepcopy__", "__delitem__",
    "__div__", "__idiv__", "__dlpack__", "__dlpack_device__", "__float__", "__format__", "__hash__", "__hex__",
    "__int__", "__iter__", "__len__", "__oct__", "__reduce__", "__repr__", "__str__", "base", "cstruct", "data",
    "device", "dtype", "dump", "dumps", "flags", "flat", "get", "imag", "item", "itemsize", "mT", "mdspan",
    "nbytes", "ndim", "real", "reduced_view", "scatter_add", "scatter_max", "scatter_min", "set", "shape", "size",
    "strides", "toDlpack", "tobytes", "tofile", "tolist", "view",
})  # fmt: skip


def power_shortcut(kind: str, exponent: object) -> tuple[str, bool] | None:
    """What CuPy computes for `a ** exponent` with a Python scalar instead of `power`.

    Args:
        kind: `a.dtype.kind`.
        exponent: the right operand.

    Returns:
        (ufunc, whether it is called with dtype=result_type(a, exponent)), or None for `power`.
    """
    if type(exponent) is int:
        return ("square", kind not in "ifc") if exponent == 2 else None
    if type(exponent) is float:
        name = {0.5: "sqrt", 2.0: "square", -1.0: "reciprocal"}.get(exponent)
        return (name, kind not in "fc") if name else None
    return None
