"""Names that NumPy 2 dropped and CuPy 14 still has: questions about scalar types, and functions that only say what to use instead."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.npyio import DataSource as DataSource
from numpy.rec import format_parser as format_parser

from ..dispatch import ndarray


def issubclass_(arg1: Any, arg2: Any) -> bool:
    """As `issubclass`; False for what is no class."""
    try:
        return issubclass(arg1, arg2)
    except TypeError:
        return False


def obj2sctype(rep: Any, default: Any = None) -> Any:
    """The scalar type of a dtype, a type, an array or an object; `default` where there is none."""
    if isinstance(rep, type) and issubclass(rep, np.generic):
        return rep
    if isinstance(rep, (np.ndarray, ndarray)):
        return rep.dtype.type
    try:
        return np.dtype(rep).type
    except (TypeError, ValueError):
        return default


def issubsctype(arg1: Any, arg2: Any) -> bool:
    """Whether the scalar type of the first is one of the second's."""
    return issubclass(obj2sctype(arg1), obj2sctype(arg2))


def sctype2char(sctype: Any) -> str:
    """The letter of a scalar type."""
    found = obj2sctype(sctype)
    if found is None:
        raise ValueError("unrecognized type")
    return str(np.dtype(found).char)


def issctype(rep: Any) -> bool:
    """Whether this is a scalar type or a dtype."""
    found = obj2sctype(rep) if isinstance(rep, (type, np.dtype)) else None
    return found is not None and found is not np.object_


def _removed(name: str, instead: str) -> Any:
    def function(*args: Any, **kwds: Any) -> Any:
        raise RuntimeError(f"This function has been removed in NumPy v2.\nUse {instead} instead.\n")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Removed in NumPy 2: use {instead}."
    return function


find_common_type = _removed("find_common_type", "`promote_types` or `result_type`")
set_string_function = _removed("set_string_function", "`np.set_printoptions`")
get_array_wrap = _removed("get_array_wrap", "<no replacement>")
disp = _removed("disp", "your own print function")
safe_eval = _removed("safe_eval", "`ast.literal_eval`")
