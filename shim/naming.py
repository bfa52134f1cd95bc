"""How public modules look from outside: whose their functions and classes say they are, and what `dir` lists.

A function of `cupy.linalg` says that it is `cupy.linalg`'s, whichever file it is written in: programs ask `type(x).__module__`, and
pickles name what they refer to by it. `dir` lists CuPy's public names, also those without support (using one says why).

Note [Names of modules]. While `import cupy` is the shim (`finder.install`), `cupy.linalg.__name__` and its repr are CuPy's too. Without
that they stay what they are: the import system completes `from .random import x` by the package's name, and "cupy.random" would then be
another CuPy's, or nobody's.

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
        # CuPy's signatures, which `help` shows, have no annotations. Type checkers read the text.
        while isinstance(value, FunctionType):
            value.__annotations__ = {}
            value = getattr(value, "__wrapped__", None)


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


class PublicSpec(ModuleSpec):
    """The spec of a module under CuPy's name. Relative imports go by `parent`, which stays the real one."""

    def __init__(self, name: str, real: ModuleSpec) -> None:
        super().__init__(name, real.loader, origin=real.origin, is_package=real.submodule_search_locations is not None)
        self.submodule_search_locations = real.submodule_search_locations
        self.cached = real.cached
        self.has_location = real.has_location
        self.real = real

    @property
    def parent(self) -> str | None:
        return self.real.parent


_is_renaming = False


def rename_modules(is_public: bool) -> None:
    """Give the public modules, those loaded and those to come, CuPy's names, or take them away. Idempotent; Note [Names of modules]."""
    global _is_renaming
    _is_renaming = is_public
    for name in [name for name in list(sys.modules) if public_name(name)]:
        module = sys.modules[name]
        spec = module.__spec__
        if is_public:
            _rename(module)
        elif isinstance(spec, PublicSpec):
            module.__spec__ = spec.real
            if spec.name not in _ALWAYS:
                module.__name__ = spec.real.name


#: Modules that have CuPy's name in any case: programs tell CuPy from NumPy by it. They find what is below them themselves.
_ALWAYS = ("cupy", "cupyx.scipy")


def _rename(module: ModuleType) -> None:
    spec = module.__spec__
    if spec is not None and not isinstance(spec, PublicSpec):
        public = public_name(spec.name)
        module.__name__ = public
        module.__spec__ = PublicSpec(public, spec)


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
        if _is_renaming:
            _rename(module)


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
