"""Which forms can be joined to a chain, and what each does to a block.

A *join* is what a form becomes for a window: where its operands stand in the words, and for operands of given dtypes the function that
NumPy itself would run. A form that has no join, or none for the operands at hand, ends the window and runs as ever.

Boundary: knows forms and NumPy's functions. Which commands meet in a chain is `window.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cupool.contract.spec import Spec, spec_of

from ..forms import ARRAY, SLOT_HANDLE, SLOT_INTEGER, SLOT_REAL, Constant, Form
from . import proof

Array = np.ndarray[Any, Any]

#: Arrays below this many elements run as ever: what a chain saves is memory traffic, and they stay in the cache anyway. Measured: at 66 000
#: programs of chains took 1.0 to 1.5 of the time without, at 131 000 0.5 to 0.9.
MIN_ELEMENTS = 100_000
#: dtypes of values in a chain. Half precision and complex numbers run as ever.
CHARS = frozenset("?bBhHiIlLqQfd")


@dataclass(frozen=True, slots=True)
class Operation:
    """What is done to each block.

    Attributes:
        call: (*operands, out=) -> the result in `out`; with `makes` (*operands) -> a new array.
        dtype: of the result.
        ufunc: what `call` is, where it is a ufunc.
        copies: it is the operand itself.
        inputs: the dtypes in which a ufunc's loop takes its operands.
        casts: an operand is converted first, in pieces of NumPy's own.
        converts: it is the operand in another dtype.
        overwrites: the result may be written over an operand of its dtype that is not used again.
    """

    call: Callable[..., Any]
    dtype: np.dtype[Any]
    ufunc: np.ufunc | None = None
    makes: bool = False
    overwrites: bool = True
    casts: bool = False
    copies: bool = False
    converts: bool = False
    inputs: tuple[np.dtype[Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Reduction:
    """How a whole operand, or each of its rows, becomes one value.

    Attributes:
        ufunc: whose `reduce` it is.
        dtype: in which it adds up, and of the result.
        style: "pairwise" (NumPy's order of adding floating point numbers), "any order", "extremum" (any order, but for the sign of a zero
            and which NaN), "count" (truths).
        divide: divide by the number of elements, as `mean` does.
        root: and take the square root, as `std` does.
    """

    ufunc: np.ufunc
    dtype: np.dtype[Any]
    style: str
    divide: bool = False
    root: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """The steps of a variance, or of its root: the mean, what is left, its square, and the mean of that."""

    mean: Reduction
    subtract: Operation
    multiply: Operation
    last: Reduction


#: ufuncs that a core computes faster than its memory brings their operands.
_CHEAP = frozenset((
    "add", "subtract", "multiply", "negative", "positive", "absolute", "square", "maximum", "minimum", "fmax", "fmin", "greater",
    "greater_equal", "less", "less_equal", "equal", "not_equal", "logical_and", "logical_or", "logical_xor", "logical_not", "bitwise_and",
    "bitwise_or", "bitwise_xor", "clip", "invert", "isnan", "isinf", "isfinite", "signbit", "copysign",
))  # fmt: skip


def is_cheap(how: Operation | Reduction) -> bool:
    """Whether memory bounds it, not arithmetic."""
    return isinstance(how, Reduction) or how.ufunc is None or how.ufunc.__name__ in _CHEAP


class Join:
    """A form as a window takes it."""

    __slots__ = (
        "_bound",
        "axis",
        "form",
        "is_chain",
        "is_cheap",
        "kind",
        "operands",
        "out_at",
        "read",
        "spec",
        "starts",
        "width",
    )

    def __init__(self, kind: str, form: Form, operands: list[tuple[int, int]], out_at: int, starts: bool) -> None:
        #: the name of the window's method that takes it
        self.kind = kind
        self.form = form
        #: (slot kind, offset of its word), in order
        self.operands = operands
        #: the word of the handle that is written or promised
        self.out_at = out_at
        #: whether a window may begin with it
        self.starts = starts
        self.width = form.width
        #: see `is_cheap`, by the form's name alone
        self.is_cheap = form.row.family != "ufunc" or form.row.impl in _CHEAP
        self.spec: Spec | None = form.results[0].spec if form.results else None
        self.axis: Any = None
        #: whether it is a chain by itself
        self.is_chain = kind == "spread"
        #: what the kind needs beside
        self.read: Any = None
        self._bound: dict[Any, Any] = {}

    def bind(self, key: tuple[Any, ...], make: Callable[[tuple[Any, ...]], Any]) -> Any:
        """What `make(key)` gives, made once for each key; None: it cannot be joined."""
        try:
            return self._bound[key]
        except KeyError:
            if len(self._bound) > 256:
                self._bound.clear()
            found = self._bound[key] = make(key)
            return found

    def take(self, window: Any, words: list[int], i: int) -> bool:
        """Add the command at `i` to the window; False: it is not one for it, and nothing has changed."""
        return bool(getattr(window, self.kind)(self, words, i))


# -- forms --------------------------------------------------------------------------------------------------------------


def join_of(form: Form, impl: Any) -> Join | None:
    """The join of a plain form or a view; None: it has none."""
    name = form.row.impl
    if name == "@view":
        return view_join(form)
    if form.row.family == "ufunc":
        return _ufunc(form, impl)
    maker = _MAKERS.get(name)
    return maker(form, impl) if maker is not None else None


def bare(form: Form, kinds: tuple[int, ...] = (SLOT_HANDLE, SLOT_INTEGER, SLOT_REAL)) -> list[tuple[int, int]] | None:
    """The slots, when each positional argument is one bare slot of these kinds and keywords have none but `out`."""
    slots = [(s.kind, s.offset) for s in form.slots if s.parameter != "out"]
    if len(slots) != len(form.args) or any(isinstance(a, Constant) for a in form.args):
        return None
    if not all(s.bare and s.kind in kinds for s in form.slots):
        return None
    return slots


def packed_result(form: Form) -> Spec | None:
    """The spec of the one result, a packed array; None: it is something else."""
    if len(form.results) != 1 or form.results[0].kind != ARRAY:
        return None
    spec = form.results[0].spec
    if spec is None or spec.dtype.char not in CHARS or not spec.dtype.isnative:
        return None
    return spec if spec is spec_of(spec.shape, spec.dtype) else None


def _ufunc(form: Form, impl: Any) -> Join | None:
    slots = bare(form)
    choose = getattr(impl, "direct_for", None)
    if slots is None or choose is None or not 1 <= len(slots) <= 2 or all(kind != SLOT_HANDLE for kind, _ in slots):
        return None
    join = elementwise_join(form, slots, MIN_ELEMENTS)
    if join is not None:
        join.read = lambda key: ufunc_for(choose, key)
    return join


def elementwise_join(form: Form, slots: list[tuple[int, int]], least: int) -> Join | None:
    """Of a ufunc's form, with a new result of so many elements at least or with `out=`; how it is read is the caller's."""
    if not form.kwargs:
        spec = packed_result(form)
        return Join("map", form, slots, 1, True) if spec is not None and spec.size >= least else None
    if set(form.kwargs) == {"out"} and not form.results and len(form.written) == 1:
        return Join("map_into", form, slots, form.written[0].offset, True)
    return None


def ufunc_for(choose: Callable[[tuple[Any, ...]], Any], key: tuple[Any, ...]) -> Operation | None:
    """`key`: a dtype for an array, `float`, or the integer itself."""
    sample = tuple(np.empty(1, k) if isinstance(k, np.dtype) else 1.0 if k is float else k for k in key)
    ufunc = choose(sample)
    if not isinstance(ufunc, np.ufunc) or ufunc.nout != 1:
        return None
    types = tuple(k if isinstance(k, np.dtype) else float if k is float else int for k in key)
    if ufunc.__name__ == "power" and not all(k is float or getattr(k, "kind", "") == "f" for k in key):
        return None  # NumPy refuses negative powers of integers
    loop = ufunc.resolve_dtypes((*types, None))  # `choose` has seen that there is one
    inputs, output = loop[:-1], loop[-1]
    if any(d.char not in CHARS or not d.isnative for d in loop):
        return None
    for k, dtype in zip(key, inputs, strict=True):
        if (
            type(k) is int
            and dtype.kind in "iub"
            and (dtype.kind == "b" or not np.iinfo(dtype).min <= k <= np.iinfo(dtype).max)
        ):
            return None  # NumPy refuses it, or compares it in a way of its own
    if not proof.can_be_cut(ufunc, inputs):
        return None
    same = all(d == k for d, k in zip(inputs, key, strict=True) if isinstance(k, np.dtype))
    return Operation(ufunc, output, ufunc, overwrites=same, casts=not same, inputs=tuple(inputs))


def where_join(form: Form, least: int) -> Join | None:
    """Of `where` with a mask and an array, and an array or a number; how it is read is the caller's."""
    spec = packed_result(form)
    slots = [(s.kind, s.offset) for s in form.slots]
    if len(slots) != 3 or not all(s.bare for s in form.slots) or spec is None or spec.size < least:
        return None
    if [s.parameter for s in form.slots] != ["condition", "x", "y"]:
        return None
    if slots[0][0] != SLOT_HANDLE or slots[1][0] != SLOT_HANDLE or slots[2][0] not in (SLOT_HANDLE, SLOT_REAL):
        return None
    return Join("map", form, slots, 1, True)


def _where(form: Form, impl: Any) -> Join | None:
    join = where_join(form, MIN_ELEMENTS)
    if join is None:
        return None

    def make(key: tuple[Any, ...]) -> Operation | None:
        # As in ops_sorting.where, where it calls NumPy with the operands as they are.
        condition, x, y = key
        if condition.char != "?" or not (x == y if y is not float else x.kind == "f"):
            return None
        return Operation(np.where, x, makes=True)

    join.read = make
    return join


def _astype(form: Form, impl: Any) -> Join | None:
    spec = packed_result(form)
    slots = [(s.kind, s.offset) for s in form.slots]
    if spec is None or spec.size < MIN_ELEMENTS or len(slots) != 1 or slots[0][0] != SLOT_HANDLE or form.kwargs:
        return None
    target = spec.dtype
    join = Join("map", form, slots, 1, True)

    def make(key: tuple[Any, ...]) -> Operation | None:
        (source,) = key
        if source.kind == "f" and target.kind in "iu":
            return None  # converted as a GPU does, see casting.cast

        def convert(x: Array, out: Array) -> None:
            np.copyto(out, x, casting="unsafe")

        return Operation(convert, target, overwrites=False, converts=True)

    join.read = make
    return join


def copy_join(form: Form, least: int) -> Join | None:
    """Of a copy as it is; how it is read is the caller's."""
    spec = packed_result(form)
    slots = bare(form, (SLOT_HANDLE,))
    if spec is None or spec.size < least or slots is None or len(slots) != 1 or form.kwargs:
        return None
    return Join("map", form, slots, 1, True)


def _copied(form: Form, impl: Any) -> Join | None:
    join = copy_join(form, MIN_ELEMENTS)
    if join is None:
        return None
    join.read = lambda key: Operation(copy_into, key[0], overwrites=False, copies=True)
    return join


def copy_into(x: Array, out: Array) -> None:
    """A block that is its operand."""
    np.copyto(out, x)


#: The ufunc behind `numpy.clip`.
_CLIP: Any = getattr(getattr(getattr(np, "_core", None), "umath", None), "clip", None)
#: Integers up to this are numbers of every floating point dtype in a chain.
_EXACT = 1 << 24


def _clip(form: Form, impl: Any) -> Join | None:
    spec = packed_result(form)
    slots = bare(form)
    if spec is None or spec.size < MIN_ELEMENTS or slots is None or form.kwargs:
        return None
    if (
        _CLIP is None
        or len(slots) != 3
        or slots[0][0] != SLOT_HANDLE
        or any(kind == SLOT_HANDLE for kind, _ in slots[1:])
    ):
        return None
    join = Join("clip", form, slots, 1, True)

    def make(key: tuple[Any, ...]) -> Operation | None:
        # As in ops_creation.clip, where it calls NumPy.
        source, *limits = key
        if source.kind != "f" or any(type(k) is int and abs(k) > _EXACT for k in limits):
            return None
        inputs = (source,) * 3
        return Operation(_CLIP, source, _CLIP, inputs=inputs) if proof.can_be_cut(_CLIP, inputs) else None

    join.read = make
    return join


def _setitem(form: Form, impl: Any) -> Join | None:
    """`a[key] = value` with a key that only slices."""
    if len(form.args) != 3 or form.kwargs or form.results or not isinstance(form.args[1], Constant):
        return None
    slots = [(s.kind, s.offset) for s in form.slots]
    if len(slots) != 2 or not all(s.bare and s.kind == SLOT_HANDLE for s in form.slots):
        return None
    key = form.args[1].value
    parts = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(part, slice) or type(part) is int or part is Ellipsis for part in parts):
        return None
    join = Join("put", form, [slots[1]], slots[0][1], True)
    join.read = (*parts, Ellipsis) if Ellipsis not in parts else parts
    return join


def view_join(form: Form) -> Join | None:
    """The join of `@view`."""
    spec = form.results[0].spec if len(form.results) == 1 and form.results[0].kind == ARRAY else None
    slots = [(s.kind, s.offset) for s in form.slots]
    if spec is None or not slots or slots[0][0] != SLOT_HANDLE or len(form.args) != 2 or form.kwargs:
        return None
    if len(slots) == 2 and slots[1][0] == SLOT_INTEGER:
        at = slots[1][1]
        read: Callable[[list[int], int], int] = lambda words, i: words[i + at]  # noqa: E731
    elif len(slots) == 1 and isinstance(form.args[1], Constant) and type(form.args[1].value) is int:
        offset = form.args[1].value
        read = lambda words, i: offset  # noqa: E731
    else:
        return None
    join = Join("view", form, slots[:1], 1, False)
    join.read = read
    return join


# -- reductions ---------------------------------------------------------------------------------------------------------


def _summing(source: np.dtype[Any]) -> Reduction | None:
    if source.kind == "f":
        return Reduction(np.add, source, "pairwise") if proof.adds_by_halves(source) else None
    if source.kind == "b":
        return Reduction(np.add, np.dtype(np.int64), "count")
    return Reduction(np.add, np.dtype(np.int64 if source.kind == "i" else np.uint64), "any order")


def _meaning(source: np.dtype[Any]) -> Reduction | None:
    if source.kind != "f" or not proof.adds_by_halves(source):
        return None
    return Reduction(np.add, source, "pairwise", divide=True)


def _extremum(ufunc: np.ufunc) -> Callable[[np.dtype[Any]], Reduction | None]:
    return lambda source: Reduction(ufunc, source, "extremum" if source.kind == "f" else "any order")


def _truth(ufunc: np.ufunc) -> Callable[[np.dtype[Any]], Reduction | None]:
    return lambda source: Reduction(ufunc, np.dtype(np.bool_), "any order")


_REDUCTIONS: dict[str, Callable[[np.dtype[Any]], Reduction | None]] = {
    "sum": _summing, "mean": _meaning, "max": _extremum(np.maximum), "min": _extremum(np.minimum),
    "any": _truth(np.logical_or), "all": _truth(np.logical_and),
}  # fmt: skip


def _spreading(root: bool) -> Callable[[np.dtype[Any]], Spread | None]:
    def make(source: np.dtype[Any]) -> Spread | None:
        # As in ops_reductions.var, of numbers that it computes in their own dtype.
        mean, two = _meaning(source), (source, source)
        if mean is None or not (proof.can_be_cut(np.subtract, two) and proof.can_be_cut(np.multiply, two)):
            return None
        subtract, multiply = (Operation(f, source, f, inputs=two) for f in (np.subtract, np.multiply))
        return Spread(mean, subtract, multiply, replace(mean, root=root))

    return make


def _reduction(form: Form, impl: Any) -> Join | None:
    spec = packed_result(form)
    slots = [(s.kind, s.offset) for s in form.slots]
    if spec is None or len(slots) != 1 or len(form.args) != 1 or slots[0][0] != SLOT_HANDLE or not form.slots[0].bare:
        return None
    options = {name: item.value for name, item in form.kwargs.items() if isinstance(item, Constant)}
    if len(options) != len(form.kwargs) or not set(options) <= {"axis", "keepdims"}:
        return None
    axis, keepdims = options.get("axis"), options.get("keepdims", False)
    if isinstance(axis, tuple | list) and len(axis) == 1:
        (axis,) = axis
    if (axis is not None and type(axis) is not int) or type(keepdims) is not bool or (axis is None and keepdims):
        return None
    spread = _SPREADS.get(form.row.impl)
    join = Join("reduce" if spread is None else "spread", form, slots, 1, True)
    join.axis = None if axis is None else (axis, keepdims)
    make = spread or _REDUCTIONS[form.row.impl]

    def read(key: tuple[Any, ...]) -> Reduction | Spread | None:
        found = make(key[0])
        last = found.last if isinstance(found, Spread) else found
        return found if last is not None and last.dtype == spec.dtype else None

    join.read = read
    return join


_SPREADS = {"var": _spreading(False), "std": _spreading(True)}

_MAKERS: dict[str, Callable[[Form, Any], Join | None]] = {
    "where": _where,
    "ndarray.astype": _astype,
    "clip": _clip,
    "copy": _copied,
    "ndarray.copy": _copied,
    "ndarray.__setitem__": _setitem,
    **dict.fromkeys((*_REDUCTIONS, *_SPREADS), _reduction),
}

__all__ = [
    "CHARS", "MIN_ELEMENTS", "Join", "Operation", "Reduction", "bare", "copy_into", "copy_join", "elementwise_join", "is_cheap", "join_of",
    "packed_result", "ufunc_for", "view_join", "where_join",
]  # fmt: skip
