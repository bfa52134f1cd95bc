"""Expressions of a function, as values.

Cases: operators and comparisons go to `operations.operate`; names and attributes are looked up; a call is of a builtin, of a device
function, of a ufunc (CuPy's, NumPy's, or `math`'s), of a type, or of any Python function when all its arguments are constants.
"""

from __future__ import annotations

import ast
import builtins as python
import inspect
import math
import numbers
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from ...ufunc import ufunc
from . import builtins, operations
from .operations import Items, operate
from .scope import Scope
from .types import UINT32, Array, CType, Dim3, Element, Opaque, Scalar
from .values import Builtin, Code, Constant, Method, Value, as_code, is_constant, pack

_PYTHON: dict[Any, Builtin] = {
    python.range: builtins.range_, python.len: builtins.len_, python.min: builtins.min_, python.max: builtins.max_,
    python.abs: builtins.abs_, python.print: builtins.print_,
}  # fmt: skip
#: Functions of `math` that are ufuncs.
_MATH = {
    "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan", "atan2": "arctan2", "atanh": "arctanh",
    **{name: name for name in ("cbrt", "copysign", "cos", "cosh", "exp", "exp2", "expm1", "fabs", "floor", "ceil", "fmod", "hypot",
                               "isfinite", "isinf", "isnan", "log", "log10", "log1p", "log2", "sin", "sinh", "sqrt", "tan", "tanh",
                               "trunc")},
    "degrees": "rad2deg", "radians": "deg2rad", "pow": "power", "gamma": "cupyx.scipy.special.gamma", "erf": "cupyx.scipy.special.erf",
    "lgamma": "cupyx.scipy.special.gammaln", "erfc": "cupyx.scipy.special.erfc",
}  # fmt: skip
_FROM_MATH: dict[Any, str] = {getattr(math, name): target for name, target in _MATH.items() if hasattr(math, name)}

_Translate = Callable[[Any, Scope], Value]


class TranslationError(Exception):
    """An error with the node that it is about."""

    def __init__(self, error: Exception, node: ast.AST) -> None:
        super().__init__(str(error))
        self.error = error
        self.node = node


def translate(node: ast.expr | None, scope: Scope) -> Value:
    """An expression. Raises TranslationError around whatever is wrong with it."""
    if node is None:
        return Constant(None)
    try:
        handler = _HANDLERS.get(type(node))
        if handler is None:
            raise ValueError(f"Not supported: type {type(node)}")
        value = handler(node, scope)
    except TranslationError:
        raise
    except Exception as error:
        raise TranslationError(error, node) from error
    # cupyx.jit's own names are Python objects that stand for values of the device.
    if isinstance(value, Constant) and isinstance(value.obj, Value):
        return value.obj
    return value


def _bool_op(node: ast.BoolOp, scope: Scope) -> Value:
    result = translate(node.values[0], scope)
    for operand in node.values[1:]:
        if isinstance(result, Constant) and bool(result.obj) is isinstance(node.op, ast.Or):
            return result  # what follows is not looked at
        result = operate(node.op, (result, translate(operand, scope)), scope)
    return result


def _bin_op(node: ast.BinOp, scope: Scope) -> Value:
    return operate(node.op, (translate(node.left, scope), translate(node.right, scope)), scope)


def _unary_op(node: ast.UnaryOp, scope: Scope) -> Value:
    return operate(node.op, (translate(node.operand, scope),), scope)


def _compare(node: ast.Compare, scope: Scope) -> Value:
    if len(node.ops) > 1 and not all(isinstance(e, (ast.Name, ast.Constant)) for e in node.comparators[:-1]):
        raise NotImplementedError(
            "Comparison of 3 or more values is not implemented where a value in the middle is an expression: it would run twice."
        )
    values = [translate(e, scope) for e in (node.left, *node.comparators)]
    result = operate(node.ops[0], values[:2], scope)
    for op, pair in zip(node.ops[1:], pairwise(values[1:]), strict=True):
        result = operate(ast.And(), (result, operate(op, pair, scope)), scope)
    return result


def _if_exp(node: ast.IfExp, scope: Scope) -> Value:
    test = translate(node.test, scope)
    if isinstance(test, Constant):
        return translate(node.body if test.obj else node.orelse, scope)
    x, y = operations.alike(translate(node.body, scope), translate(node.orelse, scope), scope)
    kind: CType = Scalar(x.type.dtype) if isinstance(x.type, Element) else x.type
    return Code(f"({operations.condition(test, scope)} ? {x.code} : {y.code})", kind)


def _name(node: ast.Name, scope: Scope) -> Value:
    value = scope.look_up(node.id)
    if value is None:
        raise NameError(f"Unbound name: {node.id}")
    return value


def _tuple(node: ast.Tuple, scope: Scope) -> Value:
    items = [translate(e, scope) for e in node.elts]
    if is_constant(*items):
        return Constant(tuple(item.obj for item in items))  # type: ignore[attr-defined]
    return pack([as_code(item, scope) for item in items], scope)


def _subscript(node: ast.Subscript, scope: Scope) -> Value:
    whole = translate(node.value, scope)
    if isinstance(node.slice, ast.Tuple):
        items = [translate(e, scope) for e in node.slice.elts]
        if not is_constant(whole, *items):
            return operations.index(whole, Items([as_code(item, scope) for item in items]), scope)
    if isinstance(node.slice, ast.Slice):
        raise NotImplementedError("slices are not supported in a kernel: use a loop, or index the array.")
    return operations.index(whole, translate(node.slice, scope), scope)


def _attribute(node: ast.Attribute, scope: Scope) -> Value:
    value = translate(node.value, scope)
    if isinstance(value, Constant):
        return Constant(getattr(value.obj, node.attr))
    if isinstance(value, Code):
        found = attribute_of(value, node.attr, scope)
        if found is not None:
            return found
    raise AttributeError(f"Unknown attribute: {node.attr}")


def attribute_of(value: Code, name: str, scope: Scope) -> Value | None:
    """An attribute of a value of the device, or None."""
    kind = value.type
    if isinstance(kind, Array):
        return _array_attribute(value, kind, name, scope)
    if isinstance(kind, Dim3) and name in ("x", "y", "z"):
        return Code(f"{value.code}.{name}", UINT32)
    if isinstance(kind, Opaque):
        from . import collectives, groups

        known = (
            collectives.METHODS if isinstance(kind, collectives.Collective) else groups.METHODS.get(kind.spelling, {})
        )
        method = known.get(name)
        return None if method is None else Method(method, value)
    if isinstance(kind, Scalar):
        if name in ("real", "imag") and kind.dtype.kind == "c":
            part = Scalar(np.float32 if kind.dtype.char == "F" else np.float64)
            return Code(f"{value.code}.{name}()", part)
        if name == "dtype":
            return Constant(kind.dtype)
        if name == "astype":
            return Method(_astype, value)
    return None


def _array_attribute(value: Code, kind: Array, name: str, scope: Scope) -> Value | None:
    if name == "ndim":
        return Constant(kind.ndim)
    if name == "dtype":
        return Constant(kind.dtype)
    if name == "size":
        return Code(f"{value.code}.size", Scalar("q"))
    if name in ("shape", "strides"):
        return pack([Code(f"{value.code}.extent.{name}[{d}]", Scalar("q")) for d in range(kind.ndim)], scope)
    return None


def _astype(scope: Scope, instance: Code, dtype: Value, *rest: Value, **keywords: Value) -> Value:
    if not isinstance(dtype, Constant) or rest or keywords:
        raise TypeError("astype in a kernel takes a dtype, known while compiling")
    return operations.cast(instance, Scalar(dtype.obj), "unsafe", scope)


# -- calls ---------------------------------------------------------------------------------------------------------------------


def _call(node: ast.Call, scope: Scope) -> Value:
    function = translate(node.func, scope)
    if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
        raise NotImplementedError("`*args` and `**kwargs` in a call are not supported in a kernel")
    args = [translate(a, scope) for a in node.args]
    kwargs = {str(k.arg): translate(k.value, scope) for k in node.keywords}
    if isinstance(function, Constant) and _is_hashable(function.obj) and function.obj in _PYTHON:
        if is_constant(*args, *kwargs.values()) and function.obj not in (python.range, python.print):
            return _run(function.obj, args, kwargs)
        function = _PYTHON[function.obj]
    if isinstance(function, Builtin):
        return function.write(scope, *args, **kwargs)
    if isinstance(function, Method):
        return function.write(scope, function.instance, *args, **kwargs)
    if not isinstance(function, Constant):
        raise TypeError(f"{function!r} is not callable.")
    return _call_object(function.obj, args, kwargs, scope)


def _is_hashable(obj: Any) -> bool:
    try:
        hash(obj)
    except TypeError:
        return False
    return True


def _run(function: Any, args: list[Value], kwargs: dict[str, Value]) -> Constant:
    return Constant(function(*(a.obj for a in args), **{k: v.obj for k, v in kwargs.items()}))  # type: ignore[attr-defined]


def _call_object(function: Any, args: list[Value], kwargs: dict[str, Value], scope: Scope) -> Value:
    from .collectives import Collective
    from .kernel import JitKernel

    if isinstance(function, Collective):
        return function.write(scope, *args, **kwargs)
    if isinstance(function, JitKernel):
        return _call_device(function, args, kwargs, scope)
    name = _ufunc_name(function)
    if name is not None and not (is_constant(*args, *kwargs.values()) and not isinstance(function, ufunc)):
        dtype = kwargs.pop("dtype", Constant(None))
        if kwargs:
            raise TypeError(f"'{next(iter(kwargs))}' is an invalid keyword to ufunc {function.__name__}")
        if not isinstance(dtype, Constant):
            raise TypeError("the dtype of a ufunc must be known while compiling")
        return operations.call_ufunc(name, args, dtype.obj, scope)
    if is_constant(*args, *kwargs.values()):
        return _run(function, args, kwargs)
    if inspect.isclass(function) and issubclass(function, (bool, np.bool_, numbers.Number)):
        if len(args) != 1 or kwargs:
            raise TypeError(f"function takes {function} invalid number of argument")
        return operations.cast(args[0], _type_of_class(function, scope), "unsafe", scope)
    special = _FUNCTIONS.get(getattr(function, "__name__", ""))
    if special is not None and getattr(function, "__module__", "").partition(".")[0] in ("cupy", "cupool", "numpy"):
        return operations.call_ufunc(special, args, None, scope)
    raise TypeError(f"Invalid function call '{getattr(function, '__name__', function)}'.")


#: Functions of CuPy that are elementwise though no ufuncs.
_FUNCTIONS = {"where": "@where", "clip": "@clip"}


def _type_of_class(function: Any, scope: Scope) -> Scalar:
    """The type of `int(x)`, `numpy.float32(x)`."""
    return Scalar(function)


def _ufunc_name(function: Any) -> str | None:
    if isinstance(function, ufunc):
        return str(function._row.name)
    if isinstance(function, np.ufunc):
        from .. import cpp

        return function.__name__ if cpp.loops(function.__name__) else None
    return _FROM_MATH.get(function) if _is_hashable(function) else None


def _call_device(function: Any, args: list[Value], kwargs: dict[str, Value], scope: Scope) -> Code:
    from .translate import add_function

    if not function.is_device:
        raise TypeError(f"Calling __global__ function {function.__name__} from __global__ function is not allowed.")
    if kwargs:
        raise TypeError("keyword arguments of device functions are not supported")
    values = [as_code(a, scope) for a in args]
    types = [Scalar(v.type.dtype) if isinstance(v.type, Element) else v.type for v in values]
    name, result = add_function(function.function, ("__device__",), tuple(types), None, scope.program)
    return Code(f"{name}({', '.join(v.code for v in values)})", result)


_HANDLERS: dict[type[ast.AST], _Translate] = {
    ast.BoolOp: _bool_op,
    ast.BinOp: _bin_op,
    ast.UnaryOp: _unary_op,
    ast.Compare: _compare,
    ast.IfExp: _if_exp,
    ast.Call: _call,
    ast.Constant: lambda node, scope: Constant(node.value),
    ast.Name: _name,
    ast.Tuple: _tuple,
    ast.Subscript: _subscript,
    ast.Attribute: _attribute,
}
