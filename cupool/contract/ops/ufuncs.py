"""The ufuncs. Loops come from CuPy's record (`_loops.py`); a new one is one line here and `make generate`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from cupool.contract.ops._loops import KERNELS
from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import call, mask, pos
from cupool.contract.ops.rules.elementwise import REAL_ONLY, elementwise, find_loop

#: `where=` travels to CuPy as `_where`, which is how CuPy 14 spells it; `order` and `subok` it does not take.
OPTIONS = "/, out=None, *, where=True, dtype=None, casting='same_kind'"

#: Canonical name -> other public names of the same function.
UFUNCS: dict[str, tuple[str, ...]] = {
    # arithmetic
    "absolute": ("abs",), "add": (), "conjugate": ("conj",), "divmod": (), "fabs": (), "float_power": (), "floor_divide": (),
    "fmod": (), "gcd": (), "lcm": (), "modf": (), "multiply": (), "negative": (), "positive": (), "power": ("pow",), "reciprocal": (),
    "remainder": ("mod",), "sign": (), "square": (), "subtract": (), "true_divide": ("divide",),
    # exponents, roots
    "cbrt": (), "exp": (), "exp2": (), "expm1": (), "log": (), "log10": (), "log1p": (), "log2": (), "logaddexp": (),
    "logaddexp2": (), "sqrt": (),
    # angles
    "arccos": ("acos",), "arccosh": ("acosh",), "arcsin": ("asin",), "arcsinh": ("asinh",), "arctan": ("atan",),
    "arctan2": ("atan2",), "arctanh": ("atanh",), "cos": (), "cosh": (), "deg2rad": ("radians",), "hypot": (),
    "rad2deg": ("degrees",), "sin": (), "sinh": (), "tan": (), "tanh": (),
    # bits
    "bitwise_and": (), "bitwise_count": (), "bitwise_or": (), "bitwise_xor": (), "invert": ("bitwise_invert", "bitwise_not"),
    "left_shift": ("bitwise_left_shift",), "right_shift": ("bitwise_right_shift",),
    # comparison, logic
    "equal": (), "greater": (), "greater_equal": (), "less": (), "less_equal": (), "logical_and": (), "logical_not": (),
    "logical_or": (), "logical_xor": (), "not_equal": (), "maximum": (), "minimum": (), "fmax": (), "fmin": (),
    # floating point
    "copysign": (), "frexp": (), "isfinite": (), "isinf": (), "isnan": (), "ldexp": (), "nextafter": (), "signbit": (),
    # rounding, special
    "ceil": (), "fix": (), "floor": (), "heaviside": (), "i0": (), "rint": (), "sinc": (), "trunc": (), "cupyx.rsqrt": (),
}  # fmt: skip

_OPERANDS = {1: "(x", 2: "(x1, x2"}


def samples_of(name: str) -> Iterator[Any]:
    """Each loop once, a broadcast, a Python scalar, `out=` and `where=`."""
    nin, nout, loops = KERNELS[name][:3]
    for loop in dict.fromkeys(loops.split()):
        if loop[0] != "!" and not set("EV") & set(loop) and not (name in REAL_ONLY and set("FD") & set(loop)):
            yield call(*(pos(2, 3, dtype=char) for char in loop[:nin]))
    char = next(c for c in "dlL?" if find_loop(name, ((np.dtype(c), None),) * nin) is not None)
    a = pos(2, 3, dtype=char)
    if nin == 2:
        yield call(a, pos(3, dtype=char))
        yield call(a, 2 if char in "lL" else 2.0) if name != "ldexp" else call(a, 2)
    yield call(*(a,) * nin, where=mask(3))
    if nout == 1:
        result = find_loop(name, ((np.dtype(char), None),) * nin)
        assert result is not None
        yield call(*(a,) * nin, out=np.zeros((2, 3), result.outputs[0]))


for _name, _aliases in UFUNCS.items():
    _nin = KERNELS[_name][0]
    _infer = elementwise(_name)
    _sig = f"{_OPERANDS[_nin]}, {OPTIONS})"
    for _each in (_name, *_aliases):
        op(_each, _sig, _infer, server=None if _each == _name else _name, writes=("out",), family="ufunc",
           arrays=("x",) if _nin == 1 else ("x1", "x2"), samples=partial(samples_of, _name))  # fmt: skip
