"""Operations on values: ufuncs by CuPy's loops, casts, indexing."""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cupool.contract.ops._loops import KERNELS

from .. import cpp
from .scope import Scope
from .types import Array, CType, Element, Indexable, Pointer, Scalar, Tuple, of_scalar
from .values import Code, Constant, Value, as_code, is_constant

#: A smaller type can be used where a later one is wanted, in the mode 'cuda'.
_ORDER = "?bBhHiIlLqQefdFD"

_FOLD: dict[type[ast.AST], Callable[..., Any]] = {
    ast.And: lambda x, y: x and y,
    ast.Or: lambda x, y: x or y,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Pow: operator.pow,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
    ast.MatMult: operator.matmul,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda x, y: x in y,
    ast.NotIn: lambda x, y: x not in y,
}
_UFUNCS: dict[type[ast.AST], str] = {
    ast.And: "logical_and",
    ast.Or: "logical_or",
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Pow: "power",
    ast.Div: "true_divide",
    ast.FloorDiv: "floor_divide",
    ast.Mod: "remainder",
    ast.LShift: "left_shift",
    ast.RShift: "right_shift",
    ast.BitOr: "bitwise_or",
    ast.BitAnd: "bitwise_and",
    ast.BitXor: "bitwise_xor",
    ast.Invert: "invert",
    ast.Not: "logical_not",
    ast.UAdd: "positive",
    ast.USub: "negative",
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
}


def operate(op: ast.AST, args: Sequence[Value], scope: Scope) -> Value:
    """An operator on values: folded when all are known, pointer arithmetic, else the ufunc.

    Raises:
        TypeError: no loop takes these types.
        NotImplementedError: the operator means nothing in a kernel.
    """
    kind = type(op)
    if is_constant(*args):
        return Constant(_FOLD[kind](*(a.obj for a in args)))  # type: ignore[attr-defined]
    if len(args) == 2 and kind in (ast.Add, ast.Sub):
        moved = _move_pointer(kind is ast.Sub, as_code(args[0], scope), as_code(args[1], scope))
        if moved is not None:
            return moved
    name = _UFUNCS.get(kind)
    if name is None:
        raise NotImplementedError(f"operator `{kind.__name__}` is not supported in a kernel")
    if name == "logical_not":
        return _negated(as_code(args[0], scope))
    if kind in (ast.Lt, ast.LtE, ast.Gt, ast.GtE):
        for value in args:
            operand = as_code(value, scope).type
            if isinstance(operand, Scalar) and operand.dtype.kind == "c":
                raise TypeError(f'"{name}" of complex numbers is not supported in a kernel: they have no order')
    return call_ufunc(name, args, None, scope)


def _move_pointer(minus: bool, x: Code, y: Code) -> Code | None:
    op = "-" if minus else "+"
    if isinstance(x.type, Pointer):
        if isinstance(y.type, Scalar) and y.type.dtype.kind in "iu":
            return Code(f"({x.code} {op} {y.code})", x.type)
        if minus and x.type == y.type:
            return Code(f"((long long)({x.code} - {y.code}))", Scalar("q"))
    elif isinstance(y.type, Pointer) and not minus and isinstance(x.type, Scalar) and x.type.dtype.kind in "iu":
        return Code(f"({x.code} + {y.code})", y.type)
    return None


def _negated(x: Code) -> Code:
    if not isinstance(x.type, Scalar):
        raise TypeError(f"`not` of {x.type} is not supported")
    if x.type.dtype.kind == "c":
        return Code(f"({x.code} == {x.type}(0))", Scalar(np.bool_))
    return Code(f"(!{x.code})", Scalar(np.bool_))


def _can_cast(mode: str, source: np.dtype[Any], target: str) -> bool:
    if mode == "numpy" or source.char not in _ORDER or target not in _ORDER:
        return target not in "EV" and np.can_cast(source, target)
    return _ORDER.index(source.char) <= _ORDER.index(target)


def choose_loop(name: str, types: Sequence[np.dtype[Any]], dtype: Any, mode: str) -> cpp.Loop:
    """The first loop that takes the types; with `dtype` the first that gives it. Raises TypeError when there is none."""
    for loop in cpp.loops(name):
        if dtype is None:
            fits = all(_can_cast(mode, source, target) for source, target in zip(types, loop.ins, strict=True))
        else:
            fits = all(char not in "EV" and np.dtype(char) == dtype for char in loop.outs)
        if fits:
            if loop.error:
                raise TypeError(loop.error)
            return loop
    raise TypeError(f'"cupy_{name}" does not support for the input types: {list(types)}')


def call_ufunc(name: str, args: Sequence[Value], dtype: Any, scope: Scope) -> Code:
    """A ufunc of values.

    Raises:
        ValueError: another number of arguments.
        TypeError: an argument is no number, or no loop takes the types.
        NotImplementedError: the ufunc has no C++.
    """
    if len(args) != KERNELS[name][0]:
        raise ValueError("invalid number of arguments")
    types = []
    for value in args:
        kind = of_scalar(scope.mode, value.obj) if isinstance(value, Constant) else as_code(value, scope).type
        if not isinstance(kind, Scalar):
            raise TypeError(f"cupy.ufunc: {kind} is unsupported")
        types.append(kind.dtype)
    loop = choose_loop(name, types, None if dtype is None else np.dtype(dtype), scope.mode)
    operands = []
    for value, char in zip(args, loop.ins, strict=True):
        operands.append(as_code(cast(value, Scalar(char), "same_kind", scope), scope).code)
    try:
        return Code(cpp.write(name, loop, operands, half="float"), Scalar(loop.outs))
    except cpp.Unwritten:
        raise NotImplementedError(f"ufunc `{name}` is not supported in a kernel") from None


def can_store(source: np.dtype[Any], target: np.dtype[Any], casting: str, mode: str) -> bool:
    """Whether a cast is allowed. In the mode 'cuda' integers become unsigned ones as they do in C."""
    if mode == "cuda" and casting == "same_kind" and source.kind == "i" and target.kind == "u":
        return True
    return np.can_cast(source, target, casting)  # type: ignore[arg-type]


def cast(value: Value, kind: Scalar, casting: str, scope: Scope) -> Value:
    """The value as another type. Raises TypeError where the casting rule forbids it."""
    if isinstance(value, Constant):
        return Constant(kind.dtype.type(value.obj))
    code = as_code(value, scope)
    if not isinstance(code.type, Scalar):
        raise TypeError(f"{code.code} is not scalar type.")
    source, target = code.type.dtype, kind.dtype
    if source == target:
        return code
    if not can_store(source, target, casting, scope.mode):
        raise TypeError(f"Cannot cast from '{source}' to {target} with casting rule {casting}.")
    if source.kind == "c" and target.kind == "b":
        return Code(f"({code.code} != {code.type}(0))", kind)
    if source.kind == "c" and target.kind != "c":
        warnings.warn(
            "Casting complex values to real discards the imaginary part", np.exceptions.ComplexWarning, stacklevel=2
        )
        return Code(f"(({kind}){code.code}.real())", kind)
    return Code(f"(({kind}){code.code})", kind)


def condition(value: Value, scope: Scope) -> str:
    """C++ of a truth value. Raises TypeError for complex numbers, and what is no number."""
    code = as_code(value, scope)
    if not isinstance(code.type, Scalar):
        raise TypeError(f"{code.type} cannot be a boolean condition.")
    if code.type.dtype.kind == "c":
        raise TypeError("Complex type value cannot be boolean condition.")
    return code.code


def alike(x: Value, y: Value, scope: Scope) -> tuple[Code, Code]:
    """Two values of one type: a Python number takes the other's. Raises TypeError when the types differ."""
    a, b = _adapted(x, y, scope), _adapted(y, x, scope)
    if a.type != b.type:
        names = [t.dtype if isinstance(t, Scalar) else t for t in (a.type, b.type)]
        raise TypeError(f"Type mismatch in conditional expression.: {names[0]} != {names[1]}")
    return a, b


def _adapted(value: Value, other: Value, scope: Scope) -> Code:
    if isinstance(value, Constant) and not isinstance(value.obj, np.generic):
        hint = as_code(other, scope).type
        if isinstance(hint, Scalar) and isinstance(value.obj, (bool, int, float, complex)):
            natural = of_scalar(scope.mode, value.obj)
            if not np.can_cast(natural.dtype, hint.dtype, "same_kind"):
                raise TypeError(f"Cannot cast from '{natural.dtype}' to {hint.dtype} with casting rule same_kind.")
            return as_code(Constant(hint.dtype.type(value.obj)), scope)
    return as_code(value, scope)


# -- indexing ------------------------------------------------------------------------------------------------------------------


def element(code: str, kind: CType) -> Code:
    """What lies at a place in memory."""
    if isinstance(kind, Element) and kind.is_short:
        return Code(f"((float){code})", kind, code)
    return Code(code, kind, code)


def index(array: Value, key: Value, scope: Scope) -> Value:
    """`array[key]`: a constant, an item of a tuple, an element, or the part of an array that fewer indices lead to.

    Raises:
        TypeError, IndexError: what CuPy raises.
    """
    if isinstance(array, Constant):
        if isinstance(key, Constant):
            return Constant(array.obj[key.obj])
        raise TypeError(f"{type(array.obj)} is not subscriptable with non-constants.")
    whole = as_code(array, scope)
    if isinstance(whole.type, Tuple):
        if not isinstance(key, Constant):
            raise TypeError("Tuple is not subscriptable with non-constants.")
        items = whole.type.items
        position = range(len(items))[key.obj]
        return Code(f"{whole.code}._{position}", items[position])
    if not isinstance(whole.type, Indexable):
        raise TypeError(f"{whole.code} is not subscriptable.")
    keys = (
        [as_code(Constant(k), scope) for k in key.obj]
        if isinstance(key, Constant) and isinstance(key.obj, tuple)
        else None
    )
    if isinstance(key, Items):
        keys = key.items
    if keys is not None:
        return _index_by(whole, keys)
    single = as_code(key, scope)
    if isinstance(single.type, Tuple):
        return _index_by_tuple(whole, single, single.type)
    if isinstance(single.type, Array):
        raise TypeError("Advanced indexing is not supported.")
    if not isinstance(single.type, Scalar):
        raise TypeError(f"{single.type} is not an index.")
    if whole.type.ndim == 0:
        raise TypeError("Scalar indexing is not supported for 0-dim array.")
    if isinstance(whole.type, Array):
        return _index_by(whole, [single], "Array indices must be integers.")
    _check_integers([single.type], "Array indices must be integers.")
    return element(f"{whole.code}[{single.code}]", whole.type.element)


class Items(Value):
    """Several values written between brackets: an index that needs no tuple."""

    def __init__(self, items: list[Code]) -> None:
        self.items = items


def _check_integers(types: Sequence[CType], message: str) -> None:
    for kind in types:
        if not isinstance(kind, Scalar):
            raise TypeError("Array indices must be scalar.")
        if kind.dtype.kind not in "iu":
            raise TypeError(message)


def _index_by(whole: Code, keys: list[Code], message: str = "Array indices must be integer.") -> Code:
    kind = whole.type
    assert isinstance(kind, Indexable)
    if kind.ndim < len(keys):
        raise IndexError(f"The number of indices is beyond array dim: {kind.ndim}")
    _check_integers([k.type for k in keys], message)
    joined = ", ".join(k.code for k in keys)
    if not isinstance(kind, Array):
        return element(f"{whole.code}[{joined}]", kind.element)
    if kind.ndim > len(keys):
        return Code(f"{whole.code}.part({joined})", kind.drop(len(keys))) if keys else whole
    return element(f"{whole.code}.at({joined})", kind.element)


def _index_by_tuple(whole: Code, key: Code, types: Tuple) -> Code:
    kind, count = whole.type, len(types.items)
    assert isinstance(kind, Indexable)
    if kind.ndim < count:
        raise IndexError(f"The number of indices is beyond array dim: {kind.ndim}")
    _check_integers(types.items, "Array indices must be integer.")
    if not isinstance(kind, Array):
        return element(f"{whole.code}[{key.code}._0]", kind.element)
    if kind.ndim > count:
        return Code(f"cupool_part({whole.code}, {key.code})", kind.drop(count))
    return element(f"cupool_at({whole.code}, {key.code})", kind.element)
