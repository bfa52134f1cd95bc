"""How public modules look from outside: whose their functions and classes say they are, and what `dir` lists.

A function of `cupy.linalg` says that it is `cupy.linalg`'s, whichever file it is written in: programs ask `type(x).__module__`, and
pickles name what they refer to by it. `dir` lists CuPy's public names, also those without support (using one says why).

Boundary: a module's own text does not mention any of this; it is done when a public module has been loaded.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import FunctionType, ModuleType
from typing import Any

_SHIM = f"{__package__}."
#: Where public modules are, below the shim.
_PUBLIC = (f"{_SHIM}cupy", f"{_SHIM}cupyx")


def public_name(name: str) -> str:
    """`cupool.shim.cupy.linalg` -> `cupy.linalg`; "" for a module that is not public."""
    if not name.startswith(_PUBLIC):
        return ""
    path = name[len(_SHIM) :]
    return "" if "._" in path or path.partition(".")[0] not in ("cupy", "cupyx") else path


def present(namespace: dict[str, Any]) -> None:
    """Let the public functions and classes of a loaded module be its own, and its unsupported names say why they are."""
    public = public_name(namespace["__spec__"].name)
    for name, value in namespace.items():
        if name[0] != "_":
            adopt(value, public)
    namespace["__dir__"] = lambda: _directory(public, namespace)
    if "__getattr__" not in namespace:
        namespace["__getattr__"] = lambda name: _refused(public, name)


def adopt(value: Any, public: str) -> None:
    """Let a function or class be a public module's, unless it is another one's already."""
    if isinstance(value, (FunctionType, type)) and str(value.__module__).startswith(_SHIM):
        value.__module__ = public


def _refused(public: str, name: str) -> Any:
    """What a module without a `__getattr__` of its own has for names that it does not have."""
    from .cupy._missing import refuse_attribute

    return refuse_attribute(public.removeprefix("cupy.") if public != "cupy" else "", name)


def _directory(public: str, namespace: dict[str, Any]) -> list[str]:
    from cupool.contract.ops._public_names import NAMES

    hidden = [name for name in namespace if name[0] == "_"]
    names = NAMES.get(public)
    # A module that CuPy does not have, or has and documents nothing of.
    listed = names.split() if names is not None else [name for name in namespace if name[0] != "_"]
    return sorted({*hidden, *listed})


class _Loader:
    """A module's own loader, and `present` after it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._inner.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None
        module.__loader__ = spec.loader = self._inner  # what others see is an ordinary module
        self._inner.exec_module(module)
        present(vars(module))


class _Finder:
    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if not fullname.startswith(_SHIM) or not public_name(fullname):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


def install_finder() -> None:
    """From now on public modules are presented when they are loaded. Idempotent."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


install_finder()
