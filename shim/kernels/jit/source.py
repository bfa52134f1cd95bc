"""From a function object to its syntax tree: the source is read where the function was written, on this machine."""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from typing import Any


def tree_of(function: Any) -> tuple[ast.FunctionDef, str]:
    """The definition of a function or lambda.

    Returns:
        its tree, and its text for messages.

    Raises:
        RuntimeError: it was typed into Python's own prompt, which keeps no source.
        ValueError: not a Python function; or a lambda beside another one on its lines.
    """
    if not callable(function):
        raise ValueError("`func` must be a callable object.")
    try:
        filename = inspect.getsourcefile(function)
    except TypeError:
        filename = None
    if filename == "<stdin>":
        raise RuntimeError(
            f"JIT needs access to the Python source code for {function}, and Python's interactive interpreter does not keep it. "
            "Put the function into a file, or use IPython."
        )
    if filename is None:
        raise ValueError(
            f"JIT needs access to the Python source code for {function}, which was not found: is it a built-in function?"
        )
    lines, first = inspect.getsourcelines(function)
    if function.__name__ != "<lambda>":
        source = textwrap.dedent("".join(lines))
        definition = ast.parse(source).body[0]
        if not isinstance(definition, ast.FunctionDef):
            raise NotImplementedError(f"Not supported: {type(definition)}")
        return definition, source
    # The lines of a lambda alone need not parse, so it is looked up in the whole file.
    whole = ast.parse("".join(linecache.getlines(filename)))
    found = [
        node for node in ast.walk(whole) if isinstance(node, ast.Lambda) and first <= node.lineno < first + len(lines)
    ]
    arguments = function.__code__.co_varnames[: function.__code__.co_argcount]
    if len(found) > 1:
        found = (
            [node for node in found if tuple(a.arg for a in node.args.args) == arguments] if _differ(found) else found
        )
    if len(found) != 1:
        raise ValueError(
            f"Multiple callables are found near the definition of {function}, and JIT could not tell which it is. "
            "Write them on lines of their own."
        )
    body = ast.Return(found[0].body)
    definition = ast.FunctionDef(
        name="_lambda_kernel", args=found[0].args, body=[body], decorator_list=[], returns=None, type_comment=None
    )
    ast.copy_location(body, found[0])
    ast.copy_location(definition, found[0])
    return definition, "".join(lines)


def _differ(nodes: list[ast.Lambda]) -> bool:
    """Whether the parameters' names tell the lambdas apart."""
    return len({tuple(a.arg for a in node.args.args) for node in nodes}) == len(nodes)


def names_of(function: Any) -> dict[str, Any]:
    """The names that the function sees from outside: closure, globals, builtins."""
    seen = inspect.getclosurevars(function)
    return {**seen.builtins, **seen.globals, **seen.nonlocals}
