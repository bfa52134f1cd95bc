"""What a name without support does: importing it works where programs import at the top, using it says why not.

Boundary: reasons come from the op table's rows; a name that CuPy does not have is an AttributeError as in any module.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from cupool.contract.errors import Unsupported


def _row(name: str) -> Any:
    from cupool.contract.ops import find_row, refusals

    return find_row(name) or refusals.row(name)


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
    members = {
        "__new__": lambda cls, *args, **kwargs: refuse(),
        "__module__": refuse.__module__,
        "__doc__": f"Not supported: {reason}.",
    }
    return type(refuse.__name__, (), members)


class MissingModule(ModuleType):
    """A module of CuPy that has no code here: import works, use raises the table's reason."""

    def __getattr__(self, name: str) -> Any:
        path = self.__name__.partition(".shim.")[2].removeprefix("cupy.")
        return refuse_attribute(path, name)


# -- modules without code --------------------------------------------------------------------------------------------------------

_CUPYX = "cutensor distributed distributed.array jit.thrust tools"
_CUDA = "texture"
#: Modules of CuPy that have no code here, below the shim.
MODULES = frozenset(
    [
        *(f"cupyx.{name}" for name in _CUPYX.split()),
        *(f"cupy.cuda.{name}" for name in _CUDA.split()),
    ]
)  # fmt: skip


class _Finder:
    """Finds the modules of `MODULES`; last on `sys.meta_path`, so that a module with code of its own wins."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> Any:
        prefix, _, name = fullname.partition(".shim.")
        if prefix != _PACKAGE or name not in MODULES:
            return None
        return ModuleSpec(fullname, _Loader(), is_package=True)  # type: ignore[arg-type]


class _Loader:
    @staticmethod
    def create_module(spec: Any) -> ModuleType:
        module = MissingModule(spec.name, "A module of CuPy that cupool does not have yet: using it says why.")
        if spec.name.endswith(".cupyx.scipy.sparse"):
            # Libraries ask this of every array they get.
            for ask in (
                "issparse",
                "isspmatrix",
                "isspmatrix_csr",
                "isspmatrix_csc",
                "isspmatrix_coo",
                "isspmatrix_dia",
            ):
                setattr(module, ask, lambda x: False)
        return module

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Nothing to run."""


_PACKAGE = __name__.partition(".shim.")[0]


def install_finder() -> None:
    """Make the modules of `MODULES` importable. Idempotent."""
    if not any(getattr(f, "__name__", "") == "_Finder" and f.__module__ == __name__ for f in sys.meta_path):
        sys.meta_path.append(_Finder)


install_finder()
