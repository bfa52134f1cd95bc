"""What a name without support does: importing it works where programs import at the top, using it says why not.

Boundary: reasons come from the op table's rows; a name that CuPy does not have is an AttributeError as in any module.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from cupool.contract.errors import Unsupported


def _row(name: str) -> Any:
    from cupool.contract.ops import TABLE

    return TABLE.get(name)


def refuse_attribute(module: str, name: str) -> Any:
    """The stand-in for an unsupported public name.

    Args:
        module: dotted path below `cupy` ("" for cupy itself), or "cupyx…".
        name: the attribute.

    Raises:
        AttributeError: CuPy has no such name.
    """
    full = f"{module}.{name}" if module else name
    row = _row(full)
    if name.startswith("__") or row is None or not row.unsupported:
        public = full if full.startswith("cupyx") else f"cupy.{full}"
        raise AttributeError(f"module {public.rpartition('.')[0]!r} has no attribute {name!r}")
    return refusing(full, row.unsupported, name[:1].isupper())


def refusing(full: str, reason: str, is_class: bool) -> Any:
    """A function, or a class for `isinstance` and annotations, that raises Unsupported when called."""
    public = full if full.startswith("cupyx") else f"cupy.{full}"

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise Unsupported(f"{public} is not supported: {reason}.", "See docs/coverage.md for what is.")

    refuse.__name__ = refuse.__qualname__ = full.rpartition(".")[2]
    refuse.__module__ = public.rpartition(".")[0]
    if not is_class:
        return refuse
    members = {"__new__": lambda cls, *args, **kwargs: refuse(), "__module__": refuse.__module__, "__doc__": f"Not supported: {reason}."}
    return type(refuse.__name__, (), members)


class MissingModule(ModuleType):
    """A module of CuPy that has no code here: import works, use raises the table's reason."""

    def __getattr__(self, name: str) -> Any:
        path = self.__name__.partition(".shim.")[2].removeprefix("cupy.")
        return refuse_attribute(path, name)
