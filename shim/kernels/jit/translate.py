"""Functions and their statements, as C++."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from . import operations, source
from .expressions import TranslationError, translate
from .scope import Program, Scope
from .types import VOID, CType, Element, Opaque, Scalar, Tuple
from .values import Code, Constant, Range, Value, as_code, is_constant

_Lines = list[str]
#: What a Python name may be bound to without being known while compiling.
_NUMBERS = (bool, int, float, complex, np.bool_, np.number)


def add_function(function: Any, attributes: Iterable[str], types: tuple[CType, ...], result: CType | None,
                 program: Program) -> tuple[str, CType]:  # fmt: skip
    """Translate a function for these types of its parameters, once per program.

    Returns:
        its name in the program, and the type of its result.

    Raises:
        ValueError: it calls itself.
        what the translation raises, with the lines of the function in the message.
    """
    key = (function, types)
    if key in program.known:
        known = program.known[key]
        if known is None:
            raise ValueError("Recursive function is not supported.")
        return known
    definition, text = source.tree_of(function)
    name = definition.name + (f"_{len(program.known)}" if program.known else "")
    program.known[key] = None
    failure: TranslationError
    try:
        body, kind = _function(definition, name, attributes, source.names_of(function), types, result, program)
    except TranslationError as error:
        failure = error
    else:
        program.known[key] = name, kind
        program.add_function(body)
        return name, kind
    # Raised here, so that the user's traceback does not show how the translator walks.
    raise _with_source(failure, text) from None


def _with_source(failure: TranslationError, text: str) -> Exception:
    first = getattr(failure.node, "lineno", 0)
    last = getattr(failure.node, "end_lineno", first) or first
    lines = [f"> {line}" if first <= i <= last else f"  {line}".rstrip() for i, line in enumerate(text.split("\n"), 1)]
    kind = type(failure.error)
    message = str(failure.error) + "\n\n" + "\n".join(lines)
    try:
        return kind(message)
    except TypeError:  # an exception that is not made from a text
        return TypeError(message)


def _function(definition: ast.FunctionDef, name: str, attributes: Iterable[str], outside: dict[str, Any], types: tuple[CType, ...],
              result: CType | None, program: Program) -> tuple[str, CType]:  # fmt: skip
    for decorator in definition.decorator_list:
        text = ast.unparse(decorator)
        if "rawkernel" not in text and "vectorize" not in text:
            warnings.warn(f"Decorator {text} may not supported in JIT.", RuntimeWarning, stacklevel=2)
    parameters = definition.args
    for given, what in (
        (parameters.vararg, "`*args`"), (parameters.kwonlyargs, "keyword only arguments"), (parameters.kwarg, "`**kwargs`"),
        (parameters.defaults, "Default values"),
    ):  # fmt: skip
        if given:
            raise NotImplementedError(f"{what} is not supported currently.")
    names = [a.arg for a in (*parameters.posonlyargs, *parameters.args)]
    if len(names) != len(types):
        raise TypeError(f"{name}() takes {len(names)} positional arguments but {len(types)} were given.")
    for kind in types:
        program.use_type(kind)
    scope = Scope(program, {k: Constant(v) for k, v in outside.items()},
                  {n: Code(_spelled(n), t) for n, t in zip(names, types, strict=True)}, result)  # fmt: skip
    body = _block(definition.body, True, scope)
    declared = [f"{kind.declare(variable)};" for variable, kind in scope.hoisted.items()]
    head = f"{' '.join(attributes)} {scope.result or VOID} {name}"
    arguments = ", ".join(t.declare(_spelled(n)) for n, t in zip(names, types, strict=True))
    return f"{head}({arguments}) {{\n" + "".join(
        f"  {line}\n" for line in (*declared, *body)
    ) + "}\n", scope.result or VOID


#: Python names that C++ reads otherwise.
_RESERVED = frozenset(
    """\
alignas alignof and and_eq asm auto bitand bitor bool case catch char class compl const constexpr const_cast decltype default
delete do double dynamic_cast enum explicit export extern float friend goto inline int long mutable namespace new noexcept not
not_eq nullptr operator or or_eq private protected public register reinterpret_cast short signed sizeof static static_assert
static_cast struct switch template this thread_local throw try typedef typeid typename union unsigned using virtual void volatile
wchar_t xor xor_eq blockDim blockIdx gridDim threadIdx warpSize dim3 thrust float16 bfloat16 cg""".split()  # noqa: SIM905 - as a list it would fill a page
)


def _spelled(name: str) -> str:
    return f"{name}_" if name in _RESERVED or name.startswith(("cupool_", "__")) or not name.isascii() else name


def _block(statements: list[ast.stmt], is_top: bool, scope: Scope) -> _Lines:
    lines: _Lines = []
    for statement in statements:
        lines += _statement(statement, is_top, scope)
    return lines


def _statement(node: ast.stmt, is_top: bool, scope: Scope) -> _Lines:
    try:
        handler = _HANDLERS.get(type(node))
        if handler is None:
            kind, message = _REFUSED.get(type(node), (NotImplementedError, f"{type(node).__name__} is not supported."))
            raise kind(message)
        return handler(node, is_top, scope)
    except TranslationError:
        raise
    except Exception as error:
        raise TranslationError(error, node) from error


def _indented(lines: _Lines) -> _Lines:
    return [f"  {line}" for line in lines]


# -- statements ----------------------------------------------------------------------------------------------------------------


def _return(node: ast.Return, is_top: bool, scope: Scope) -> _Lines:
    value = translate(node.value, scope)
    if isinstance(value, Constant) and value.obj is None:
        return ["return;"]
    code = as_code(value, scope)
    kind: CType = Scalar(code.type.dtype) if isinstance(code.type, Element) else code.type
    if scope.result is None:
        scope.result = kind
    elif scope.result != kind:
        raise ValueError(f"Failed to infer the return type: {scope.result} or {kind}")
    return [f"return {code.code};"]


def _assign(node: ast.Assign, is_top: bool, scope: Scope) -> _Lines:
    if len(node.targets) != 1:
        raise NotImplementedError("Several targets of one assignment are not supported.")
    return _assign_to(node.targets[0], translate(node.value, scope), is_top, scope)


def _annotated(node: ast.AnnAssign, is_top: bool, scope: Scope) -> _Lines:
    return [] if node.value is None else _assign_to(node.target, translate(node.value, scope), is_top, scope)


def _assign_to(target: ast.expr, value: Value, is_top: bool, scope: Scope) -> _Lines:
    if isinstance(target, ast.Name) and (isinstance(value, Constant) and not isinstance(value.obj, _NUMBERS)):
        # Known while compiling: a type, a tuple of numbers, a function.
        if not is_top:
            raise TypeError("Cannot assign constant value not at top-level.")
        if target.id in scope.variables:
            raise TypeError(f"Type mismatch of variable: `{target.id}`")
        scope.constants[target.id] = value
        return []
    return _store(target, as_code(value, scope), is_top, scope, 0)


def _store(target: ast.expr, value: Code, is_top: bool, scope: Scope, depth: int) -> _Lines:
    if isinstance(target, ast.Name):
        return _store_name(target.id, value, is_top and depth == 0, scope)
    if isinstance(target, ast.Tuple):
        kind = value.type
        if not isinstance(kind, Tuple):
            raise ValueError(f"{kind} cannot be unpack")
        wanted, given = len(target.elts), len(kind.items)
        if given != wanted:
            raise ValueError(f"{'too many' if given > wanted else 'not enough'} values to unpack (expected {wanted})")
        name = scope.fresh("cupool_items_")
        lines = [f"{kind.declare(name)} = {value.code};"]
        for i, (element, part) in enumerate(zip(target.elts, kind.items, strict=True)):
            lines += _store(element, Code(f"{name}._{i}", part), is_top, scope, depth + 1)
        return ["{", *_indented(lines), "}"]
    if isinstance(target, ast.Subscript):
        place = as_code(translate(target, scope), scope)
        return [_written(place, value, scope)]
    if isinstance(target, ast.Attribute):
        raise NotImplementedError("attributes cannot be assigned in a kernel")
    raise NotImplementedError(f"assignment to {type(target).__name__} is not supported")


def _store_name(name: str, value: Code, may_declare: bool, scope: Scope) -> _Lines:
    known = scope.variables.get(name)
    if known is None:
        kind: CType = Scalar(value.type.dtype) if isinstance(value.type, Element) else value.type
        scope.program.use_type(kind)
        spelled = _spelled(name)
        scope.variables[name] = known = Code(spelled, kind, spelled)
        if may_declare:
            return [f"{kind.declare(spelled)} = {value.code};"]
        if isinstance(kind, Opaque) and not kind.can_be_written:
            raise TypeError(f"`{name}` is a {kind}, which is made outside of loops and branches.")
        scope.hoisted[spelled] = kind
    return [_written(known, value, scope)]


def _written(place: Code, value: Code, scope: Scope) -> str:
    if isinstance(place.type, Scalar) and isinstance(value.type, Scalar):
        value = as_code(operations.cast(value, place.type, "same_kind", scope), scope)
    elif place.type != value.type or (isinstance(place.type, Opaque) and not place.type.can_be_written):
        raise TypeError(f"Data type mismatch of variable: `{place.code}`: {place.type} != {value.type}")
    return f"{place.place or place.code} = {place.type.stored(value.code)};"


def _augmented(node: ast.AugAssign, is_top: bool, scope: Scope) -> _Lines:
    value = as_code(translate(node.value, scope), scope)
    target = translate(node.target, scope)
    if not isinstance(target, Code):
        raise TypeError(f"Cannot augassign to {target!r}")
    name = scope.fresh("cupool_target_")
    kind = target.type
    if not isinstance(kind, Scalar):
        raise TypeError(f"Cannot augassign to {kind}")
    read = f"((float){name})" if isinstance(kind, Element) and kind.is_short else name
    result = as_code(operations.operate(node.op, (Code(read, kind), value), scope), scope)
    assert isinstance(result.type, Scalar)
    if not operations.can_store(result.type.dtype, kind.dtype, "same_kind", scope.mode):
        raise TypeError(
            f"output (typecode '{result.type.dtype.char}') could not be coerced to provided output parameter (typecode "
            f"'{kind.dtype.char}') according to the casting rule \"same_kind\""
        )
    stored = kind.stored(as_code(operations.cast(result, Scalar(kind.dtype), "same_kind", scope), scope).code)
    return [f"{{ auto& {name} = {target.place or target.code}; {name} = {stored}; }}"]


def _for(node: ast.For, is_top: bool, scope: Scope) -> _Lines:
    if node.orelse:
        raise NotImplementedError("for-else is not supported.")
    if not isinstance(node.target, ast.Name):
        raise NotImplementedError("the variable of a for-loop must be a name")
    name = node.target.id
    loop = translate(node.iter, scope)
    if not isinstance(loop, Range):
        raise NotImplementedError("for-loop is supported only for range iterator.")
    variable = scope.variables.get(name)
    if variable is None:
        spelled = _spelled(name)
        scope.variables[name] = variable = Code(spelled, loop.type, spelled)
        scope.hoisted[spelled] = loop.type
    elif variable.type != loop.type:
        raise TypeError(f"Data type mismatch of variable: `{name}`: {variable.type} != {loop.type}")
    body = _block(node.body, False, scope)
    i = scope.fresh("cupool_i")
    at, stop, step = i, f"{i}_stop", f"{i}_step"
    test = {True: f"{at} < {stop}", False: f"{at} > {stop}", None: f"{step} >= 0 ? {at} < {stop} : {at} > {stop}"}[
        loop.ascends
    ]
    kind = loop.type
    head = (
        f"for ({kind} {at} = ({kind}){loop.start.code}, {stop} = ({kind}){loop.stop.code}, {step} = ({kind}){loop.step.code}; {test}; "
        f"{at} += {step}) {{"
    )
    pragma = (
        [] if loop.unroll is None else ["#pragma unroll" if loop.unroll is True else f"#pragma unroll({loop.unroll})"]
    )
    return [*pragma, head, f"  {variable.code} = {at};", *_indented(body), "}"]


def _while(node: ast.While, is_top: bool, scope: Scope) -> _Lines:
    if node.orelse:
        raise NotImplementedError("while-else is not supported.")
    test = operations.condition(translate(node.test, scope), scope)
    return [f"while ({test}) {{", *_indented(_block(node.body, False, scope)), "}"]


def _if(node: ast.If, is_top: bool, scope: Scope) -> _Lines:
    test = translate(node.test, scope)
    if isinstance(test, Constant):
        return _block(node.body if test.obj else node.orelse, is_top, scope)
    lines = [f"if ({operations.condition(test, scope)}) {{", *_indented(_block(node.body, False, scope)), "}"]
    if node.orelse:
        lines += ["else {", *_indented(_block(node.orelse, False, scope)), "}"]
    return lines


def _assert(node: ast.Assert, is_top: bool, scope: Scope) -> _Lines:
    test = translate(node.test, scope)
    if isinstance(test, Constant):
        if not test.obj:
            raise AssertionError("an assertion of the kernel is false while compiling")
        return []
    return [f"assert({operations.condition(test, scope)});"]


def _expression(node: ast.Expr, is_top: bool, scope: Scope) -> _Lines:
    value = translate(node.value, scope)
    return [] if is_constant(value) else [f"{as_code(value, scope).code};"]


_HANDLERS: dict[type[ast.AST], Callable[[Any, bool, Scope], _Lines]] = {
    ast.Return: _return,
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.For: _for,
    ast.While: _while,
    ast.If: _if,
    ast.Assert: _assert,
    ast.Expr: _expression,
    ast.Pass: lambda node, is_top, scope: [],
    ast.Break: lambda node, is_top, scope: ["break;"],
    ast.Continue: lambda node, is_top, scope: ["continue;"],
}
_REFUSED: dict[type[ast.AST], tuple[type[Exception], str]] = {
    ast.ClassDef: (NotImplementedError, "class is not supported currently."),
    ast.FunctionDef: (NotImplementedError, "Nested functions are not supported currently."),
    ast.AsyncFunctionDef: (NotImplementedError, "Nested functions are not supported currently."),
    ast.Delete: (NotImplementedError, "`del` is not supported currently."),
    ast.AsyncFor: (ValueError, "`async for` is not allowed."),
    ast.With: (ValueError, "Switching contexts are not allowed."),
    ast.AsyncWith: (ValueError, "Switching contexts are not allowed."),
    ast.Raise: (ValueError, "throw/catch are not allowed."),
    ast.Try: (ValueError, "throw/catch are not allowed."),
    ast.Import: (ValueError, "Cannot import modules from the target functions."),
    ast.ImportFrom: (ValueError, "Cannot import modules from the target functions."),
    ast.Global: (ValueError, "Cannot use global/nonlocal in the target functions."),
    ast.Nonlocal: (ValueError, "Cannot use global/nonlocal in the target functions."),
}
