"""What an elementwise command is in a chain's kernel: CuPy's own text for it, between CuPy's own types.

CuPy keeps of each ufunc, by types, the C++ that computes an element (`out0 = in0 + in1`), and compiles it into a kernel of its own. A chain
has the same texts one behind the other, compiled with `--fmad=false`: a product in one text and a sum in the next stay two roundings, as
they are in two kernels. A text that has both within itself, or that calls a function that has, would change by that. So only ufuncs are
joined for which the compiler makes the same instructions with and without the option: see Note [Same instructions].

Note [Same instructions]
    `SAME` was found by compiling each of CuPy 14.2's texts by itself, for every type here, twice (`tools/chain_operations.py`): the machine
    code had to be the same, byte for byte. A kernel is tried beside its commands before it is used (`proofs.py`), whatever stands here.

Boundary: forms, and CuPy's tables; nothing of windows. `cupy` may be any module with ufuncs that have `_ops`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cupy
import numpy as np

from ....forms import SLOT_HANDLE, Constant, Form
from ....fusion.kinds import CHARS, Join, bare, copy_join, elementwise_join, packed_result, view_join, where_join

#: Results below this many elements run as ever: their operation takes a GPU hardly longer than its launch, and looking costs more.
#: To be measured on one; `make gpu` shows both sides.
MIN_ELEMENTS = 1 << 18

#: See Note [Same instructions].
SAME = frozenset((
    "absolute", "add", "arcsin", "arctan", "arctan2", "bitwise_and", "bitwise_count", "bitwise_or", "bitwise_xor", "cbrt", "ceil",
    "conjugate", "copysign", "cos", "cosh", "cupyx.rsqrt", "cupyx.scipy.special.cbrt", "cupyx.scipy.special.cosdg",
    "cupyx.scipy.special.erf", "cupyx.scipy.special.erfinv", "cupyx.scipy.special.exp10", "cupyx.scipy.special.exp2",
    "cupyx.scipy.special.expm1", "cupyx.scipy.special.exprel", "cupyx.scipy.special.gammasgn", "cupyx.scipy.special.i1",
    "cupyx.scipy.special.i1e", "cupyx.scipy.special.sindg", "deg2rad", "equal", "exp", "expm1", "fabs", "fix", "floor", "floor_divide",
    "fmax", "fmin", "fmod", "gcd", "greater", "greater_equal", "heaviside", "hypot", "invert", "isfinite", "isinf", "isnan", "lcm",
    "ldexp", "left_shift", "less", "less_equal", "logical_and", "logical_not", "logical_or", "logical_xor", "maximum", "minimum",
    "multiply", "negative", "nextafter", "not_equal", "positive", "rad2deg", "reciprocal", "right_shift", "rint", "sign", "signbit",
    "sin", "sinc", "sinh", "sqrt", "square", "subtract", "tan", "tanh", "true_divide", "trunc",
))  # fmt: skip

#: In C++, as CuPy writes them.
TYPENAMES = {
    "?": "bool", "b": "signed char", "B": "unsigned char", "h": "short", "H": "unsigned short", "i": "int", "I": "unsigned int",
    "l": "long long", "L": "unsigned long long", "q": "long long", "Q": "unsigned long long", "f": "float", "d": "double",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operation:
    """
    Attributes:
        routine: C++ from `in0`, `in1`, ... to `out0`.
        inputs: dtypes of those.
        output: of `out0`.
        dtype: in which the result is kept.
        preamble: what the routine needs before the kernel.
    """

    routine: str
    inputs: tuple[np.dtype[Any], ...]
    output: np.dtype[Any]
    dtype: np.dtype[Any]
    preamble: str = ""


def join_of(form: Form, impl: Any) -> Join | None:
    """The join of a form; None: it has none."""
    name = form.row.impl
    if name == "@view":
        return view_join(form)
    if form.row.family == "ufunc":
        return _ufunc(form, impl)
    maker = _MAKERS.get(name)
    return maker(form) if maker is not None else None


def _ufunc(form: Form, impl: Any) -> Join | None:
    slots = bare(form)
    if form.row.impl not in SAME or not is_plain(impl) or slots is None or len(slots) != impl.nin:
        return None
    if all(kind != SLOT_HANDLE for kind, _ in slots):
        return None
    join = elementwise_join(form, slots, MIN_ELEMENTS)
    if join is not None:
        join.read = lambda key: operation_of(impl, key)
    return join


def is_plain(impl: Any) -> bool:
    """Whether a function is a ufunc of CuPy's with one result and nothing but a text."""
    return type(impl) is cupy.ufunc and impl.nout == 1 and not impl._loop_prep


def operation_of(ufunc: Any, key: tuple[Any, ...]) -> Operation | None:
    """What a ufunc does to operands of these types.

    Args:
        key: a dtype for an array, `float` for a Python float, or the Python integer itself.
    """
    weak = tuple(False if isinstance(k, np.dtype) else float if k is float else int for k in key)
    types = tuple(k if isinstance(k, np.dtype) else _WEAK[k is float] for k in key)
    # As CuPy: Python's numbers take an array's type unless they are of a higher kind.
    arrays = [_SCORES[k.kind] for k in key if isinstance(k, np.dtype)]
    numbers = [1 if w is int else 2 for w in weak if w]
    takes = bool(arrays and numbers) and max(arrays) >= max(numbers)
    op = ufunc._ops._guess_routine_from_in_types(types, weak if takes else (False,) * len(key))
    if op is None or not isinstance(op.routine, str):
        return None
    inputs, outputs = tuple(map(np.dtype, op.in_types)), tuple(map(np.dtype, op.out_types))
    if any(d.char not in CHARS for d in (*inputs, *outputs)):
        return None
    if any(type(k) is int and not _is_number_of(k, dtype) for k, dtype in zip(key, inputs, strict=True)):
        return None
    return Operation(op.routine, inputs, outputs[0], outputs[0], ufunc._preamble or "")


def _is_number_of(k: int, dtype: np.dtype[Any]) -> bool:
    """Whether an integer is a number of this type, which CuPy takes as it is."""
    if dtype.kind == "f":
        return abs(k) <= _EXACT
    return dtype.kind in "iu" and int(np.iinfo(dtype.name).min) <= k <= int(np.iinfo(dtype.name).max)


#: Integers up to this are numbers of every floating point type here.
_EXACT = 1 << 24
#: What Python's numbers are by themselves: an integer, and a float.
_WEAK: dict[bool, np.dtype[Any]] = {False: np.dtype(np.int64), True: np.dtype(np.float64)}
#: How CuPy orders kinds.
_SCORES = {"b": 0, "i": 1, "u": 1, "f": 2}


def _astype(form: Form) -> Join | None:
    spec = packed_result(form)
    slots = [(s.kind, s.offset) for s in form.slots]
    if spec is None or spec.size < MIN_ELEMENTS or len(slots) != 1 or slots[0][0] != SLOT_HANDLE or form.kwargs:
        return None
    target = form.args[1].value if len(form.args) > 1 and isinstance(form.args[1], Constant) else None
    if not isinstance(target, np.dtype) or target != spec.dtype:
        return None  # what was promised is another thing than what is asked for, and its step says so
    join = Join("map", form, slots, 1, True)
    join.read = lambda key: _copy(key[0], spec.dtype)
    return join


def _copy(source: np.dtype[Any], target: np.dtype[Any]) -> Operation:
    """Elements in another dtype, or as they are."""
    return Operation("out0 = in0", (source,), source, target)


def _copied(form: Form) -> Join | None:
    join = copy_join(form, MIN_ELEMENTS)
    if join is None:
        return None
    join.read = lambda key: _copy(key[0], key[0])
    return join


def _where(form: Form) -> Join | None:
    join = where_join(form, MIN_ELEMENTS)
    if join is None:
        return None

    def make(key: tuple[Any, ...]) -> Operation | None:
        condition, x, y = key
        if condition.char != "?" or not (x == y if y is not float else x.kind == "f"):
            return None
        return Operation("out0 = in0 ? in1 : in2", (condition, x, x), x, x)

    join.read = make
    return join


_MAKERS: dict[str, Callable[[Form], Join | None]] = {
    "where": _where,
    "ndarray.astype": _astype,
    "copy": _copied,
    "ndarray.copy": _copied,
}

__all__ = ["MIN_ELEMENTS", "SAME", "TYPENAMES", "Operation", "is_plain", "join_of", "operation_of"]
